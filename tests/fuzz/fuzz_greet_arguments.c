/* SPDX-License-Identifier: MIT */

/* The command line of greet: each line of the input is an argument. What is accepted is within the
 * limits of the manual, the same when it is parsed again, and gives a PROXY header that is right.
 */

#include "greet/arguments.h"

#include <errno.h>
#include <limits.h>

#include "client/resolve.h"
#include "fuzz.h"
#include "greetd/base/cleanup.h"
#include "greetd/guard/proxy_header.h"
#include "support/null_stderr.h"

#define ARGUMENTS_MAX 32

/* Frees the N arguments behind the name of the program. */
static void free_arguments(char **argv, int n)
{
    for (int i = 1; i < n; i++)
        free(argv[i]);
}

static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool is_argument(char **argv, const char *text)
{
    if (!text)
        return true;
    for (char **p = argv; *p; p++)
        if (text >= *p && text <= *p + strlen(*p))
            return true;
    return false;
}

static void check_numbers(const struct arguments *arguments)
{
    PROPERTY(arguments->timeout_usec > 0);
    PROPERTY(arguments->connections >= 1 && arguments->connections <= UINT64_C(1000000000000));
    PROPERTY(arguments->concurrent >= 1 && arguments->concurrent <= 1000000);
    PROPERTY(arguments->concurrent <= arguments->connections);
    PROPERTY(arguments->rate <= 1000000 && arguments->send_size <= SSIZE_MAX);
    PROPERTY(arguments->pid >= 0);
}

static void check_texts(const struct arguments *arguments, char **argv)
{
    bool load = arguments->action == ARGUMENTS_LOAD;
    bool reconcile = arguments->action == ARGUMENTS_RECONCILE;

    PROPERTY((arguments->address || arguments->expect_config) == !reconcile);
    PROPERTY(!arguments->expect + !arguments->expect_file + !arguments->expect_config >= 2);
    PROPERTY(!arguments->listener || arguments->expect_config);
    PROPERTY(arguments->expect_config || !arguments->config_path);
    PROPERTY(!load || !(arguments->quiet || arguments->explain || arguments->expect_config));
    PROPERTY(load || reconcile || !(arguments->json || arguments->receipts));
    PROPERTY(load || !(arguments->rate || arguments->pid));
    PROPERTY(!reconcile || arguments->receipts);
    PROPERTY(!reconcile || !(arguments->expect || arguments->send || arguments->proxy.version));
    PROPERTY(is_argument(argv, arguments->expect) && is_argument(argv, arguments->expect_file));
    PROPERTY(is_argument(argv, arguments->send) && is_argument(argv, arguments->listener));
    PROPERTY(is_argument(argv, arguments->config_path) && is_argument(argv, arguments->receipts));
    PROPERTY(is_argument(argv, arguments->address) ||
             strcmp(arguments->address, ARGUMENTS_ADDRESS_DEFAULT) == 0);
}

/* Whether the bits before the last N_VARIABLE are the same in both. */
static bool is_in_network(const struct peer *network, const struct peer *source,
                          unsigned n_variable)
{
    const unsigned char *a = (const unsigned char *)&network->in6,
                        *b = (const unsigned char *)&source->in6;
    unsigned n_bits = (network->family == AF_INET ? 32 : 128) - n_variable;

    for (unsigned i = 0; i < n_bits; i++)
        if ((a[i / 8] ^ b[i / 8]) & 0x80 >> i % 8)
            return false;
    return true;
}

/* Every connection has a header that is accepted, with a source in the network. In IPv6 the /64
 * counts, so with a longer prefix the number is added behind it. */
static void check_header(const struct exchange_proxy *proxy, uint64_t number)
{
    const struct address to = {.in = {.sin_family = AF_INET, .sin_port = htons(79)}};
    char buffer[PROXY_FORMAT_MAX];
    size_t size = exchange_format_header(proxy, number, &to, buffer);
    struct proxy_header header;
    enum proxy_error error;

    PROPERTY(size <= PROXY_FORMAT_MAX);
    PROPERTY((size == 0) == (proxy->version == PROXY_NONE));
    if (size == 0)
        return;
    PROPERTY(proxy_header_parse(&header, &error, buffer, size) == 1 && header.size == size);
    if (!peer_is_internet(&proxy->source))
        return;
    PROPERTY(header.has_source);
    /* In ::/64 a source may be one that is IPv4 mapped to IPv6. */
    if (header.source.family == AF_INET && proxy->source.family == AF_INET6)
        return;
    PROPERTY(header.source.family == proxy->source.family);
    PROPERTY(header.source.port == proxy->source.port);
    PROPERTY(is_in_network(&proxy->source, &header.source, proxy->n_variable));
}

static void check_same(const struct arguments *a, const struct arguments *b)
{
    PROPERTY(a->action == b->action && is_same_text(a->address, b->address));
    PROPERTY(is_same_text(a->expect, b->expect) && is_same_text(a->send, b->send));
    PROPERTY(a->timeout_usec == b->timeout_usec && a->connections == b->connections);
    PROPERTY(a->concurrent == b->concurrent && a->rate == b->rate);
    PROPERTY(is_same_text(a->receipts, b->receipts));
    PROPERTY(a->quiet == b->quiet && a->json == b->json && a->pid == b->pid);
}

/* Compiles TEXT; its greeting is no longer. */
static void check_compile(const char *text)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;
    FILE *before = null_stderr();
    int r = arguments_compile(&greeting, text, "--expect");

    stderr = before;
    PROPERTY(r == 0 || r == -EINVAL);
    PROPERTY((r == 0) == (greeting != NULL));
    PROPERTY(r < 0 || (greeting->size <= strlen(text) && greeting_is_plain(greeting)));
}

static int parse(struct arguments *ret, int n, char **argv)
{
    FILE *before = null_stderr();
    int r = arguments_parse(ret, n, argv);

    stderr = before;
    return r;
}

static void check(const struct arguments *arguments, int n, char **argv, uint64_t number)
{
    struct arguments again;

    if (arguments->action == ARGUMENTS_HELP || arguments->action == ARGUMENTS_VERSION)
        return;
    check_numbers(arguments);
    check_texts(arguments, argv);
    PROPERTY(arguments->action == ARGUMENTS_LOAD || arguments->proxy.n_variable == 0);
    check_header(&arguments->proxy, 0);
    check_header(&arguments->proxy, number);
    if (arguments->expect)
        check_compile(arguments->expect);
    if (arguments->address)
        (void)resolve_is_name(arguments->address);
    /* getopt_long(3) has put the options first. */
    PROPERTY(parse(&again, n, argv) == 0);
    check_same(arguments, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {bytes, size};
    uint64_t number = fuzz_take_number(&input, 8);
    char name[] = "greet", *argv[ARGUMENTS_MAX + 1] = {name};
    int n = 1;
    struct arguments arguments, untouched;

    while (input.size > 0 && n < ARGUMENTS_MAX)
        argv[n++] = fuzz_take_text(&input, '\n');
    memset(&arguments, 0xa5, sizeof(arguments));
    untouched = arguments;
    int r = parse(&arguments, n, argv);
    PROPERTY(r == 0 || r == -EINVAL);
    if (r == 0)
        check(&arguments, n, argv, number);
    else
        PROPERTY(memcmp(&arguments, &untouched, sizeof(arguments)) == 0);
    free_arguments(argv, n);
    return 0;
}
