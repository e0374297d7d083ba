/* SPDX-License-Identifier: MIT */
#include "greetd/guard/network_ranges.h"

#include <criterion/criterion.h>
#include <string.h>

#include "greetd/base/cleanup.h"

/* A list as text: networks divided by blanks, denied ones with a `-` before them. */
struct compiled {
    struct network networks[64];
    size_t n;
    struct network_ranges in, in6;
};

static network_address address(const char *text)
{
    struct network network[NETWORKS_OF_WORD];

    cr_assert_eq(network_parse(network, text, strlen(text)), 1, "%s", text);
    return network[0].first;
}

static void parse_list(struct compiled *compiled, const char *text)
{
    for (size_t length; *text != '\0'; text += length + (text[length] == ' ')) {
        bool denied = *text == '-';
        text += denied;
        length = strcspn(text, " ");
        int n = network_parse(&compiled->networks[compiled->n], text, length);
        cr_assert_gt(n, 0, "%s", text);
        for (; n > 0; n--)
            compiled->networks[compiled->n++].denied = denied;
    }
    qsort(compiled->networks, compiled->n, sizeof(compiled->networks[0]), network_compare);
}

static struct compiled compile(const char *text, bool by_default)
{
    struct compiled compiled = {.n = 0};
    size_t n_in = 0;

    parse_list(&compiled, text);
    while (n_in < compiled.n && compiled.networks[n_in].family == AF_INET)
        n_in++;
    cr_assert_eq(network_ranges_init(&compiled.in, compiled.networks, n_in, AF_INET, by_default),
                 0);
    cr_assert_eq(network_ranges_init(&compiled.in6, compiled.networks + n_in, compiled.n - n_in,
                                     AF_INET6, by_default),
                 0);
    return compiled;
}

static void compiled_deinit(struct compiled *compiled)
{
    network_ranges_deinit(&compiled->in);
    network_ranges_deinit(&compiled->in6);
}

static bool allows(const struct compiled *compiled, const char *text)
{
    return network_ranges_allow(strchr(text, ':') ? &compiled->in6 : &compiled->in, address(text));
}

Test(network_ranges, follow_the_longest_prefix)
{
    static const struct {
        const char *list;
        bool by_default;
        const char *address;
        bool allowed;
    } rows[] = {
        /* No network at all. */
        {"", true, "0.0.0.0", true},
        {"", true, "255.255.255.255", true},
        {"", false, "0.0.0.0", false},
        {"", false, "255.255.255.255", false},
        {"", false, "::", false},
        {"", true, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},

        /* One network, and the addresses beside it. */
        {"-192.0.2.0/24", true, "192.0.1.255", true},
        {"-192.0.2.0/24", true, "192.0.2.0", false},
        {"-192.0.2.0/24", true, "192.0.2.255", false},
        {"-192.0.2.0/24", true, "192.0.3.0", true},
        {"2001:db8::/32", false, "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", false},
        {"2001:db8::/32", false, "2001:db8::", true},
        {"2001:db8::/32", false, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true},
        {"2001:db8::/32", false, "2001:db9::", false},

        /* A single address. */
        {"-192.0.2.7", true, "192.0.2.6", true},
        {"-192.0.2.7", true, "192.0.2.7", false},
        {"-192.0.2.7", true, "192.0.2.8", true},
        {"-2001:db8::7", true, "2001:db8::6", true},
        {"-2001:db8::7", true, "2001:db8::7", false},
        {"-2001:db8::7", true, "2001:db8::8", true},

        /* The ends of the address space. */
        {"-0.0.0.0", true, "0.0.0.0", false},
        {"-0.0.0.0", true, "0.0.0.1", true},
        {"-255.255.255.255", true, "255.255.255.254", true},
        {"-255.255.255.255", true, "255.255.255.255", false},
        {"-::", true, "::", false},
        {"-::", true, "::1", true},
        {"-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true,
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
        {"-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true,
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", true},
        {"-128.0.0.0/1", true, "255.255.255.255", false},
        {"-128.0.0.0/1", true, "127.255.255.255", true},

        /* The whole address space, of one family only. */
        {"-0.0.0.0/0", true, "192.0.2.1", false},
        {"-0.0.0.0/0", true, "2001:db8::1", true},
        {"-::/0", true, "2001:db8::1", false},
        {"-::/0", true, "192.0.2.1", true},
        {"-0.0.0.0/0 192.0.2.1", true, "192.0.2.1", true},
        {"-0.0.0.0/0 192.0.2.1", true, "192.0.2.2", false},
        {"0.0.0.0/0", false, "255.255.255.255", true},

        /* One within the other, also with the same first or last address. */
        {"10.0.0.0/8 -10.0.0.0/16 10.0.0.0/24 -10.0.0.0", false, "10.0.0.0", false},
        {"10.0.0.0/8 -10.0.0.0/16 10.0.0.0/24 -10.0.0.0", false, "10.0.0.1", true},
        {"10.0.0.0/8 -10.0.0.0/16 10.0.0.0/24 -10.0.0.0", false, "10.0.1.0", false},
        {"10.0.0.0/8 -10.0.0.0/16 10.0.0.0/24 -10.0.0.0", false, "10.1.0.0", true},
        {"10.0.0.0/8 -10.0.0.0/16 10.0.0.0/24 -10.0.0.0", false, "11.0.0.0", false},
        {"10.0.0.0/8 -10.255.0.0/16 10.255.255.255", false, "10.254.255.255", true},
        {"10.0.0.0/8 -10.255.0.0/16 10.255.255.255", false, "10.255.255.254", false},
        {"10.0.0.0/8 -10.255.0.0/16 10.255.255.255", false, "10.255.255.255", true},
        {"10.0.0.0/8 -10.255.0.0/16 10.255.255.255", false, "11.0.0.0", false},

        /* Side by side. */
        {"192.0.2.0/25 192.0.2.128/25", false, "192.0.2.127", true},
        {"192.0.2.0/25 192.0.2.128/25", false, "192.0.2.128", true},
        {"192.0.2.0/25 192.0.2.128/25", false, "192.0.3.0", false},
        {"192.0.2.0/25 -192.0.2.128/25", true, "192.0.2.128", false},

        /* The same network twice: denied, whatever the order. */
        {"192.0.2.0/24 -192.0.2.0/24", true, "192.0.2.1", false},
        {"-192.0.2.0/24 192.0.2.0/24", true, "192.0.2.1", false},
        {"-192.0.2.0/24 192.0.2.0/24", true, "192.0.3.0", true},
        {"-0.0.0.0/0 0.0.0.0/0 192.0.2.1 192.0.2.1", false, "192.0.2.1", true},
        {"-0.0.0.0/0 0.0.0.0/0 192.0.2.1 192.0.2.1", false, "192.0.2.2", false},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        struct compiled compiled = compile(rows[i].list, rows[i].by_default);
        cr_expect_eq(allows(&compiled, rows[i].address), rows[i].allowed, "%s in %s",
                     rows[i].address, rows[i].list);
        compiled_deinit(&compiled);
    }
}

Test(network_ranges, are_merged_where_nothing_changes)
{
    static const struct {
        const char *list;
        bool by_default;
        size_t n;
    } rows[] = {
        {"", true, 1},
        {"192.0.2.0/24", true, 1},
        {"-0.0.0.0/0", true, 1},
        {"-192.0.2.0/24", true, 3},
        {"-192.0.2.0/25 -192.0.2.128/25", true, 3},
        {"-192.0.2.0/24 -192.0.2.9 -192.0.2.0/30", true, 3},
        {"-0.0.0.0/8", true, 2},
        {"-255.0.0.0/8", true, 2},
        {"-0.0.0.0/1 128.0.0.0/1 -224.0.0.0/4", true, 4},
        {"-192.0.2.0/24 192.0.2.0/25 192.0.2.128/25", true, 1},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        struct compiled compiled = compile(rows[i].list, rows[i].by_default);
        cr_expect_eq(compiled.in.n, rows[i].n, "%s: %zu", rows[i].list, compiled.in.n);
        compiled_deinit(&compiled);
    }
}

/* Every length of prefix around one address: the deepest that networks can be. */
Test(network_ranges, hold_networks_of_every_length_one_within_the_other)
{
    struct network networks[129];
    struct network_ranges ranges;

    for (unsigned i = 0; i < ELEMENTSOF(networks); i++) {
        network_address low = i < 128 ? ~(network_address)0 >> i : 0;
        networks[i] = (struct network){.first = ~low, .family = AF_INET6, .prefix = (uint8_t)i};
        networks[i].denied = i % 2;
    }
    cr_assert_eq(network_ranges_init(&ranges, networks, ELEMENTSOF(networks), AF_INET6, false), 0);
    cr_expect_eq(ranges.n, 129);
    for (unsigned i = 0; i < ELEMENTSOF(networks); i++)
        cr_expect_eq(network_ranges_allow(&ranges, networks[i].first), i % 2 == 0, "%u", i);
    network_ranges_deinit(&ranges);
}

Test(network_ranges, hold_any_number_of_equal_networks)
{
    struct network networks[1000];
    struct network_ranges ranges;

    for (size_t i = 0; i < ELEMENTSOF(networks); i++)
        networks[i] = (struct network){.first = (network_address)10 << 120,
                                       .family = AF_INET,
                                       .prefix = 8,
                                       .denied = i >= ELEMENTSOF(networks) / 2};
    cr_assert_eq(network_ranges_init(&ranges, networks, ELEMENTSOF(networks), AF_INET, true), 0);
    cr_expect_eq(ranges.n, 3);
    cr_expect_not(network_ranges_allow(&ranges, address("10.1.2.3")));
    cr_expect(network_ranges_allow(&ranges, address("11.0.0.0")));
    network_ranges_deinit(&ranges);
}

/* The numbers at which a level more is needed, and those beside them. */
Test(network_ranges, are_found_on_any_number_of_levels)
{
    static const size_t numbers[] = {1, 7, 8, 9, 127, 128, 129, 2047, 2048, 2049, 40000};

    for (size_t k = 0; k < ELEMENTSOF(numbers); k++) {
        size_t n = numbers[k];
        struct network *networks = calloc(n, sizeof(*networks));
        struct network_ranges ranges;

        for (size_t i = 0; i < n; i++)
            networks[i] = (struct network){.first = (network_address)(2 * i) << 96,
                                           .family = AF_INET,
                                           .prefix = 32,
                                           .denied = true};
        cr_assert_eq(network_ranges_init(&ranges, networks, n, AF_INET, true), 0);
        cr_expect_eq(ranges.n, 2 * n);
        for (size_t i = 0; i < 2 * n + 2; i++)
            cr_assert_eq(network_ranges_allow(&ranges, (network_address)i << 96),
                         i % 2 == 1 || i >= 2 * n, "%zu of %zu", i, n);
        cr_expect(network_ranges_allow(&ranges, ~(network_address)0));
        network_ranges_deinit(&ranges);
        free(networks);
    }
}
