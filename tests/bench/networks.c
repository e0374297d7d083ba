/* SPDX-License-Identifier: MIT */

/* What lists of networks cost: to load a file of them, and to look addresses up.
 *
 *     bench-networks [N]
 *
 * N networks (100,000), half of them IPv4 and half IPv6, are written to a temporary file and loaded
 * as that of Deny=. No network is within another, so that bsearch(3) finds them, too: that is the
 * floor of a lookup. The floor of loading is to convert each line with inet_pton(3). Each ratio is
 * taken within a round; a table has the medians. A cold lookup is one after other work has filled
 * the L1 cache, as the work for a client does. The exit status is 1 if a lookup is wrong. */

#include <arpa/inet.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "greetd/base/cleanup.h"
#include "greetd/guard/network.h"
#include "greetd/guard/networks.h"

#define ROUNDS  21
#define LOOKUPS 50000 /* warm ones of a round */
#define COLD    500   /* cold ones */

#define SCRUBBED_SIZE ((size_t)128 * 1024)

struct bench {
    uint64_t random;
    struct network *networks; /* owned; sorted: IPv4, then IPv6 */
    size_t n, n_in;
    char path[64]; /* of the file of them */
    struct networks *compiled;
    struct peer peers[LOOKUPS];
    volatile char scrubbed[SCRUBBED_SIZE];
};

/* Returns whether the address of PEER is allowed. */
typedef bool lookup(const struct bench *bench, const struct peer *peer);

/* xorshift64* */
static uint64_t random_number(struct bench *bench)
{
    bench->random ^= bench->random >> 12;
    bench->random ^= bench->random << 25;
    bench->random ^= bench->random >> 27;
    return bench->random * UINT64_C(2685821657736338717);
}

static double now_nsec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare_figures(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts the N figures. */
static double median(double *figures, size_t n)
{
    qsort(figures, n, sizeof(*figures), compare_figures);
    return figures[n / 2];
}

/* The Ith of different networks: IPv4 /24 or an address of it; IPv6 /48, or a /64 or an address of
 * it, from 2a00::/8, where the networks of Europe are. Multiplying by an odd number permutes. */
static struct network make_network(struct bench *bench, size_t i)
{
    static const uint8_t prefixes[2][4] = {{24, 24, 32, 32}, {48, 48, 64, 128}};
    bool wide = i % 2;
    uint64_t block = i * UINT64_C(0x9e3779b97f4a7c15);
    struct network network = {.family = wide ? AF_INET6 : AF_INET,
                              .prefix = prefixes[wide][random_number(bench) % 4]};
    uint64_t high =
        wide ? UINT64_C(0x2a) << 56 | (block & 0xffffffffff) << 16 | random_number(bench) % 65536
             : (block & 0xffffff) << 40 | random_number(bench) % 256 << 32;

    network.first = (network_address)high << 64;
    if (wide)
        network.first |= random_number(bench);
    if (network.prefix < 128)
        network.first &= ~(~(network_address)0 >> network.prefix);
    return network;
}

static int write_networks(struct bench *bench)
{
    char text[NETWORK_TEXT_MAX];

    strcpy(bench->path, "/tmp/bench-networks-XXXXXX");
    int fd = mkstemp(bench->path);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file)
        return -1;
    for (size_t i = 0; i < bench->n; i++)
        fprintf(file, "%s\n", network_format(&bench->networks[i], text));
    return fclose(file);
}

/* Loads the file as the only value of Deny=. Returns the time in ns, or -1 after an error. */
static double load(struct bench *bench)
{
    char *text = bench->path, *origin = bench->path;
    const struct network_list none = {0}, deny = {.texts = &text, .origins = &origin, .n = 1};
    struct diagnostics errors = DIAGNOSTICS_NULL;
    struct file_report report = {.errors = &errors};

    networks_unref(TAKE_PTR(bench->compiled));
    double began = now_nsec();
    int r = networks_compile(&bench->compiled, &none, "Allow", &deny, &report);
    double took = now_nsec() - began;
    diagnostics_deinit(&errors);
    return r < 0 || !bench->compiled ? -1 : took;
}

/* The floor of loading. Returns the time in ns. */
static double convert_lines(const struct bench *bench)
{
    char line[NETWORK_TEXT_MAX + 1];
    unsigned char bytes[sizeof(struct in6_addr)];
    double began = now_nsec();
    FILE *file = fopen(bench->path, "r");

    while (file && fgets(line, sizeof(line), file)) {
        *strchrnul(line, '/') = '\0';
        (void)inet_pton(strchr(line, ':') ? AF_INET6 : AF_INET, line, bytes);
    }
    if (file)
        fclose(file);
    return now_nsec() - began;
}

static bool look_up_compiled(const struct bench *bench, const struct peer *peer)
{
    return networks_allow(bench->compiled, peer);
}

static int compare_address(const void *key, const void *element)
{
    network_address address = *(const network_address *)key;
    const struct network *network = element;

    return address < network->first ? -1 : address > network_last(network);
}

static bool look_up_sorted(const struct bench *bench, const struct peer *peer)
{
    network_address address = network_address_of_peer(peer);
    const struct network *networks =
        peer->family == AF_INET ? bench->networks : bench->networks + bench->n_in;
    size_t n = peer->family == AF_INET ? bench->n_in : bench->n - bench->n_in;

    return !bsearch(&address, networks, n, sizeof(*networks), compare_address);
}

/* Makes the peers of a round: half of networks in the file, half of any. */
static void make_peers(struct bench *bench, sa_family_t family)
{
    bool wide = family == AF_INET6;
    size_t first = wide ? bench->n_in : 0, n = wide ? bench->n - bench->n_in : bench->n_in;

    for (size_t i = 0; i < LOOKUPS; i++) {
        uint64_t number = random_number(bench);
        struct network network = i % 2 ? bench->networks[first + number % n]
                                       : make_network(bench, 2 * (number >> 1) + wide);
        const uint64_t halves[] = {htobe64((uint64_t)(network.first >> 64)),
                                   htobe64((uint64_t)network.first)};
        bench->peers[i] = (struct peer){.family = family};
        memcpy(&bench->peers[i].in6, halves,
               wide ? sizeof(struct in6_addr) : sizeof(struct in_addr));
    }
}

/* Returns the number of peers of whom the two lookups differ. */
static size_t count_wrong(const struct bench *bench)
{
    size_t n = 0;

    for (size_t i = 0; i < LOOKUPS; i++)
        n += look_up_compiled(bench, &bench->peers[i]) != look_up_sorted(bench, &bench->peers[i]);
    return n;
}

/* Returns the mean time of a lookup in ns. */
static double time_warm(struct bench *bench, lookup *look_up)
{
    size_t n_allowed = 0;
    double began = now_nsec();

    for (size_t i = 0; i < LOOKUPS; i++)
        n_allowed += look_up(bench, &bench->peers[i]);
    double took = now_nsec() - began;
    bench->scrubbed[0] = (char)n_allowed;
    return took / LOOKUPS;
}

static void scrub(struct bench *bench)
{
    for (size_t i = 0; i < sizeof(bench->scrubbed); i += 64)
        bench->scrubbed[i]++;
}

/* Returns the median time of a lookup after a scrub, without that of reading the clock. */
static double time_cold(struct bench *bench, lookup *look_up)
{
    double took[COLD], clock[COLD];

    for (size_t i = 0; i < COLD; i++) {
        scrub(bench);
        double began = now_nsec();
        bool allowed = look_up(bench, &bench->peers[i]);
        took[i] = now_nsec() - began;
        bench->scrubbed[0] = allowed;
        began = now_nsec();
        clock[i] = now_nsec() - began;
    }
    return median(took, COLD) - median(clock, COLD);
}

/* Measures lookups of one family and prints their lines. Returns the number of wrong ones. */
static size_t measure_lookups(struct bench *bench, sa_family_t family)
{
    static double (*const times[])(struct bench *, lookup *) = {time_warm, time_cold};
    double compiled[2][ROUNDS], ratios[2][ROUNDS];
    size_t n_wrong = 0;

    for (size_t round = 0; round < ROUNDS; round++) {
        make_peers(bench, family);
        n_wrong += count_wrong(bench);
        for (size_t cold = 0; cold < 2; cold++) {
            compiled[cold][round] = times[cold](bench, look_up_compiled);
            ratios[cold][round] = compiled[cold][round] / times[cold](bench, look_up_sorted);
        }
    }
    for (size_t cold = 0; cold < 2; cold++)
        printf("| lookup, %s, %s | %.0f ns | %.2f of bsearch(3) |\n",
               family == AF_INET ? "IPv4" : "IPv6", cold ? "cold" : "warm",
               median(compiled[cold], ROUNDS), median(ratios[cold], ROUNDS));
    return n_wrong;
}

/* Returns 0, or -1 if the file can't be loaded. */
static int measure_loading(struct bench *bench)
{
    double loads[ROUNDS], ratios[ROUNDS];
    size_t size = mallinfo2().uordblks + mallinfo2().hblkhd;

    for (size_t round = 0; round < ROUNDS; round++) {
        loads[round] = load(bench);
        if (loads[round] < 0)
            return -1;
        ratios[round] = loads[round] / convert_lines(bench);
    }
    size = mallinfo2().uordblks + mallinfo2().hblkhd - size;
    printf("| load | %.0f ms | %.2f of inet_pton(3) |\n", median(loads, ROUNDS) / 1e6,
           median(ratios, ROUNDS));
    printf("| memory of a network | %.1f bytes | |\n", (double)size / (double)bench->n);
    return 0;
}

static int run(struct bench *bench)
{
    printf("| %zu networks | median of %d rounds | ratio |\n|---|---|---|\n", bench->n, ROUNDS);
    if (write_networks(bench) < 0 || measure_loading(bench) < 0) {
        perror("bench-networks");
        return 1;
    }
    size_t n_wrong = measure_lookups(bench, AF_INET) + measure_lookups(bench, AF_INET6);
    if (n_wrong > 0)
        printf("%zu lookups are wrong\n", n_wrong);
    return n_wrong > 0;
}

int main(int argc, char *argv[])
{
    _cleanup_free_ struct bench *bench = calloc(1, sizeof(*bench));
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;

    if (!bench || n < 2 || !(bench->networks = calloc(n, sizeof(*bench->networks)))) {
        fputs("bench-networks [N]\n", stderr);
        return 2;
    }
    bench->random = 1;
    for (size_t i = 0; i < n; i++)
        bench->networks[i] = make_network(bench, i);
    bench->n = n;
    bench->n_in = (n + 1) / 2;
    qsort(bench->networks, n, sizeof(*bench->networks), network_compare);

    int status = run(bench);
    (void)unlink(bench->path);
    networks_unref(bench->compiled);
    free(bench->networks);
    return status;
}
