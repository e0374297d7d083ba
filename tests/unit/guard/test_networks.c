/* SPDX-License-Identifier: MIT */
#include "greetd/guard/networks.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <string.h>

#include "greetd/guard/network.h"
#include "support/temp_dir.h"

static struct temp_dir temp_dir;
static struct diagnostics errors, remarks;
static struct file_report report;
static struct network_list allow, deny;

static void set_up(void)
{
    temp_dir_init(&temp_dir);
    errors = remarks = DIAGNOSTICS_NULL;
    report = (struct file_report){.errors = &errors, .remarks = &remarks};
    allow = deny = (struct network_list){0};
}

static void tear_down(void)
{
    network_list_clear(&allow);
    network_list_clear(&deny);
    diagnostics_deinit(&errors);
    diagnostics_deinit(&remarks);
    temp_dir_deinit(&temp_dir);
}

TestSuite(networks, .init = set_up, .fini = tear_down);

static void append(struct network_list *list, const char *text)
{
    cr_assert_eq(network_list_append(list, text, "f:1"), 0);
}

/* Compiles both lists. Returns NULL if they have errors, or no network. */
static struct networks *compile(void)
{
    struct networks *networks = NULL;

    cr_assert_eq(networks_compile(&networks, &allow, "Allow", &deny, &report), 0);
    return networks;
}

static bool allows(const struct networks *networks, const char *address)
{
    struct peer peer = {.family = strchr(address, ':') ? AF_INET6 : AF_INET};

    cr_assert_eq(inet_pton(peer.family, address, &peer.in6), 1);
    return networks_allow(networks, &peer);
}

Test(networks, allow_all_if_there_are_none)
{
    cr_expect_null(compile());
    cr_expect(allows(NULL, "192.0.2.1"));
    cr_expect_null(networks_ref(NULL));
    networks_unref(NULL);
}

Test(networks, deny_what_is_in_no_network_only_if_some_are_allowed)
{
    append(&deny, "192.0.2.0/24");
    struct networks *networks = compile();
    cr_expect_not(allows(networks, "192.0.2.1"));
    cr_expect(allows(networks, "198.51.100.1"));
    cr_expect(allows(networks, "2001:db8::1"));
    networks_unref(networks);

    append(&allow, "192.0.2.1");
    networks = compile();
    cr_expect(allows(networks, "192.0.2.1"));
    cr_expect_not(allows(networks, "192.0.2.2"));
    cr_expect_not(allows(networks, "198.51.100.1"));
    cr_expect_not(allows(networks, "2001:db8::1"));
    networks_unref(networks);
}

Test(networks, deny_a_network_that_is_in_both_lists)
{
    append(&allow, "192.0.2.0/24 any");
    append(&deny, "192.0.2.0/24");
    struct networks *networks = compile();

    cr_expect_not(allows(networks, "192.0.2.1"));
    cr_expect(allows(networks, "198.51.100.1"));
    networks_unref(networks);
}

Test(networks, know_ipv4_that_is_mapped_to_ipv6)
{
    append(&deny, "::ffff:192.0.2.0/120");
    struct networks *networks = compile();
    const struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6,
        .sin6_addr.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 1}};
    struct peer peer = peer_from_sockaddr((const struct sockaddr *)&in6, sizeof(in6));

    cr_expect_not(networks_allow(networks, &peer));
    cr_expect_not(allows(networks, "192.0.2.1"));
    networks_unref(networks);
}

Test(networks, allow_peers_without_an_ip_address)
{
    static const sa_family_t families[] = {AF_UNIX, AF_VSOCK, AF_UNSPEC};

    append(&deny, "any");
    struct networks *networks = compile();
    for (size_t i = 0; i < ELEMENTSOF(families); i++)
        cr_expect(networks_allow(networks, &(struct peer){.family = families[i]}));
    cr_expect_not(allows(networks, "::"));
    networks_unref(networks);
}

Test(networks, live_until_the_last_reference_is_dropped)
{
    append(&deny, "192.0.2.1");
    struct networks *networks = compile();

    cr_expect_eq(networks_ref(networks), networks);
    networks_unref(networks);
    cr_expect_not(allows(networks, "192.0.2.1"));
    networks_unref(networks);
}

Test(networks, are_of_lines_and_of_files)
{
    append(&allow, "127.0.0.1");
    append(&allow, temp_dir_write_text(&temp_dir, "allow", "192.0.2.0/24\nlocalhost\n"));
    append(&deny, temp_dir_write_text(&temp_dir, "deny", "192.0.2.7\n"));
    struct networks *networks = compile();

    cr_assert_not_null(networks);
    cr_expect(allows(networks, "192.0.2.1"));
    cr_expect(allows(networks, "::1"));
    cr_expect_not(allows(networks, "192.0.2.7"));
    networks_unref(networks);
}

Test(networks, report_the_errors_of_all_files)
{
    append(&allow, temp_dir_write_text(&temp_dir, "allow", "x\n"));
    append(&deny, "/nonexistent 192.0.2.1");
    append(&deny, temp_dir_write_text(&temp_dir, "deny", "\ny\n"));

    cr_expect_null(compile());
    cr_assert_eq(errors.n_lines, 3);
    cr_expect(strstr(errors.lines[0], "f:1: Allow=/tmp/"), "%s", errors.lines[0]);
    cr_expect(strstr(errors.lines[0], "/allow:1: x: must be"), "%s", errors.lines[0]);
    cr_expect_str_eq(errors.lines[1], "f:1: Deny=/nonexistent: No such file or directory");
    cr_expect(strstr(errors.lines[2], "/deny:2: y: must be"), "%s", errors.lines[2]);
    cr_expect_eq(report.n_unreadable, 1);
    cr_expect_eq(report.read_error, -ENOENT);
}

Test(networks, have_the_place_of_each_error_and_remark)
{
    static char bad[2 * 150];

    for (size_t i = 0; i < sizeof(bad); i += 2)
        memcpy(bad + i, "x\n", 2);
    append(&deny, temp_dir_write(&temp_dir, "bad", bad, sizeof(bad)));
    append(&deny, "10.1.2.3/8");
    cr_expect_null(compile());
    cr_assert_eq(errors.n_lines, 101);
    cr_expect(strstr(errors.lines[100], "/bad: 50 more mistakes"), "%s", errors.lines[100]);
    cr_assert_eq(remarks.n_lines, 1);
    cr_expect_eq(strncmp(remarks.lines[0], "f:1: Deny=10.1.2.3/8: remark: ", 30), 0, "%s",
                 remarks.lines[0]);
}

Test(networks, are_not_read_from_a_file_over_the_limit)
{
    const char *path = temp_dir_write_text(&temp_dir, "big", "");

    cr_assert_eq(truncate(path, (64 << 20) + 1), 0);
    append(&deny, path);
    cr_expect_null(compile());
    cr_assert_eq(errors.n_lines, 1);
    cr_expect(strstr(errors.lines[0], "/big: File too large"), "%s", errors.lines[0]);
    cr_expect_eq(report.n_unreadable, 0);
}

Test(networks, do_not_count_a_file_of_another_type_as_unreadable)
{
    append(&deny, "/dev/zero /");

    cr_expect_null(compile());
    cr_assert_eq(errors.n_lines, 2);
    cr_expect_str_eq(errors.lines[0], "f:1: Deny=/dev/zero: Not a regular file");
    cr_expect_str_eq(errors.lines[1], "f:1: Deny=/: Is a directory");
    cr_expect_eq(report.n_unreadable, 0);
}

/* A property: what is compiled decides as a scan of all networks would. */

#define N_NETWORKS  400
#define N_ADDRESSES 20000

static uint64_t random_state;

/* xorshift64* */
static uint64_t random_number(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * UINT64_C(2685821657736338717);
}

/* Many addresses have their first bits in common, are all ones, or all zeroes, in their rest. */
static struct peer random_peer(void)
{
    struct peer peer = {.family = random_number() % 2 ? AF_INET : AF_INET6};
    size_t size = peer.family == AF_INET ? 4 : 16, fixed = random_number() % (size + 1);
    unsigned char *bytes = (unsigned char *)&peer.in6, fill = random_number() % 2 ? 0xff : 0;

    for (size_t i = 0; i < size; i++)
        bytes[i] = i >= fixed ? fill : random_number() % 4 ? 0x0a : (unsigned char)random_number();
    return peer;
}

struct rule {
    struct peer peer;
    unsigned prefix;
    bool denied;
};

static bool matches(const struct rule *rule, const struct peer *peer)
{
    const unsigned char *a = (const unsigned char *)&rule->peer.in6;
    const unsigned char *b = (const unsigned char *)&peer->in6;

    if (rule->peer.family != peer->family)
        return false;
    for (unsigned i = 0; i < rule->prefix; i++)
        if (((a[i / 8] ^ b[i / 8]) >> (7 - i % 8)) & 1)
            return false;
    return true;
}

static bool scan(const struct rule *rules, size_t n, const struct peer *peer)
{
    const struct rule *best = NULL;

    for (size_t i = 0; i < n; i++)
        if (matches(&rules[i], peer) && (!best || rules[i].prefix > best->prefix ||
                                         (rules[i].prefix == best->prefix && rules[i].denied)))
            best = &rules[i];
    return best ? !best->denied : allow.n == 0;
}

static void add_random_rule(struct rule *rule, bool may_allow)
{
    char host[ADDRESS_TEXT_MAX], text[ADDRESS_TEXT_MAX + sizeof("/128")];

    rule->peer = random_peer();
    rule->prefix = (unsigned)(random_number() % (rule->peer.family == AF_INET ? 33 : 129));
    rule->denied = !may_allow || random_number() % 2;
    snprintf(text, sizeof(text), "%s/%u", peer_format_host(&rule->peer, host), rule->prefix);
    append(rule->denied ? &deny : &allow, text);
}

/* The first or last address of a random rule, or one beside it: where a mistake shows. */
static struct peer edge_of(const struct rule *rule)
{
    struct peer peer = rule->peer;
    unsigned char *bytes = (unsigned char *)&peer.in6;
    unsigned n_bits = peer.family == AF_INET ? 32 : 128;
    bool ones = random_number() % 2;

    for (unsigned i = rule->prefix; i < n_bits; i++)
        if (ones)
            bytes[i / 8] |= (unsigned char)(0x80 >> i % 8);
        else
            bytes[i / 8] &= (unsigned char)~(0x80 >> i % 8);
    if (random_number() % 2)
        for (unsigned i = n_bits / 8, carry = 1; i-- > 0 && carry;) {
            bytes[i] = (unsigned char)(bytes[i] + (ones ? 1 : 0xff));
            carry = bytes[i] == (ones ? 0 : 0xff);
        }
    return peer;
}

struct seed {
    uint64_t seed;
    size_t n_rules;
    bool may_allow;
};

ParameterizedTestParameters(networks, decide_as_a_scan_for_the_longest_prefix)
{
    static struct seed seeds[] = {
        {1, N_NETWORKS, true}, {2, N_NETWORKS, true}, {3, N_NETWORKS, false}, {4, 1, true},
        {5, 2, true},          {6, 3, true},          {7, 10, false},         {8, 40, true},
    };
    return cr_make_param_array(struct seed, seeds, ELEMENTSOF(seeds));
}

ParameterizedTest(struct seed *seed, networks, decide_as_a_scan_for_the_longest_prefix,
                  .init = set_up, .fini = tear_down)
{
    static struct rule rules[N_NETWORKS];
    char host[ADDRESS_TEXT_MAX];

    random_state = seed->seed;
    for (size_t i = 0; i < seed->n_rules; i++)
        add_random_rule(&rules[i], seed->may_allow);
    struct networks *networks = compile();
    for (size_t i = 0; i < N_ADDRESSES; i++) {
        struct peer peer = i % 2 ? random_peer() : edge_of(&rules[random_number() % seed->n_rules]);
        cr_assert_eq(networks_allow(networks, &peer), scan(rules, seed->n_rules, &peer), "%s",
                     peer_format_host(&peer, host));
    }
    networks_unref(networks);
}
