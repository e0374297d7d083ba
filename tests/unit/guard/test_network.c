/* SPDX-License-Identifier: MIT */
#include "greetd/guard/network.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <string.h>

#include "greetd/base/cleanup.h"

static int parse(struct network ret[NETWORKS_OF_WORD], const char *text)
{
    return network_parse(ret, text, strlen(text));
}

/* Criterion copies a row into the process of its test, and nothing that the row would point to. */
struct row {
    char text[64], networks[NETWORKS_OF_WORD][64];
    bool had_low_bits;
};

ParameterizedTestParameters(network, is_parsed_and_formatted)
{
    static struct row rows[] = {
        {"192.0.2.0/24", {"192.0.2.0/24"}, false},
        {"192.0.2.1", {"192.0.2.1/32"}, false},
        {"0.0.0.0/0", {"0.0.0.0/0"}, false},
        {"255.255.255.255/32", {"255.255.255.255/32"}, false},
        {"2001:db8::/32", {"2001:db8::/32"}, false},
        {"2001:DB8::1", {"2001:db8::1/128"}, false},
        {"::", {"::/128"}, false},
        {"::/0", {"::/0"}, false},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
         {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
         false},
        {"192.0.2.255/24", {"192.0.2.0/24"}, true},
        {"1.0.0.0/0", {"0.0.0.0/0"}, true},
        {"2001:db8::1/127", {"2001:db8::/127"}, true},
        {"2001:db8:0:0:8000::/64", {"2001:db8::/64"}, true},
        {"::ffff:192.0.2.1", {"192.0.2.1/32"}, false},
        {"::ffff:192.0.2.0/120", {"192.0.2.0/24"}, false},
        {"::ffff:192.0.2.7/120", {"192.0.2.0/24"}, true},
        {"::ffff:0:0/96", {"0.0.0.0/0"}, false},
        {"::ffff:0:0/95", {"::fffe:0:0/95"}, true},
        {"::192.0.2.1", {"::192.0.2.1/128"}, false},
        {"any", {"0.0.0.0/0", "::/0"}, false},
        {"localhost", {"127.0.0.0/8", "::1/128"}, false},
        {"link-local", {"169.254.0.0/16", "fe80::/64"}, false},
        {"multicast", {"224.0.0.0/4", "ff00::/8"}, false},
    };
    return cr_make_param_array(struct row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct row *row, network, is_parsed_and_formatted)
{
    struct network networks[NETWORKS_OF_WORD];
    char text[NETWORK_TEXT_MAX];

    int n = parse(networks, row->text);
    cr_assert_eq(n, row->networks[1][0] != '\0' ? 2 : 1);
    for (int i = 0; i < n; i++) {
        cr_expect_str_eq(network_format(&networks[i], text), row->networks[i]);
        cr_expect_eq(networks[i].had_low_bits, row->had_low_bits);
        cr_expect_not(networks[i].denied);
    }
}

struct error_row {
    char text[96];
    int error;
};

ParameterizedTestParameters(network, is_nothing_else)
{
    static struct error_row rows[] = {
        {"", -EINVAL},
        {"/", -EINVAL},
        {"/24", -EINVAL},
        {"192.0.2", -EINVAL},
        {"192.0.2.256", -EINVAL},
        {"192.0.2.01", -EINVAL},
        {"192.0.2.0.1", -EINVAL},
        {"3221225985", -EINVAL},
        {"0xc0.0.2.1", -EINVAL},
        {"192.0.2.1:80", -EINVAL},
        {"[2001:db8::1]", -EINVAL},
        {"2001:db8", -EINVAL},
        {"2001:db8::1::", -EINVAL},
        {"fe80::1%lo", -EINVAL},
        {"fe80::1%1/64", -EINVAL},
        {"Any", -EINVAL},
        {"localhost/8", -EINVAL},
        {"host.example.org", -EINVAL},
        {"192.0.2.0-192.0.2.9", -EINVAL},
        {"192.0.2.0/", -ERANGE},
        {"192.0.2.0/33", -ERANGE},
        {"192.0.2.0/-1", -ERANGE},
        {"192.0.2.0/+8", -ERANGE},
        {"192.0.2.0/ 8", -ERANGE},
        {"192.0.2.0/08", -ERANGE},
        {"192.0.2.0/010", -ERANGE},
        {"192.0.2.0/00", -ERANGE},
        {"192.0.2.0/8/8", -ERANGE},
        {"192.0.2.0/255.255.255.0", -ERANGE},
        {"192.0.2.0/18446744073709551624", -ERANGE},
        {"2001:db8::/129", -ERANGE},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/1281", -EINVAL},
        {"0000000000000000000000000000000000000000000000000000000000000000000000000000", -EINVAL},
    };
    return cr_make_param_array(struct error_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct error_row *row, network, is_nothing_else)
{
    struct network networks[NETWORKS_OF_WORD] = {{.prefix = 7}}, before = networks[0];

    cr_expect_eq(parse(networks, row->text), row->error, "%s", row->text);
    cr_expect_eq(memcmp(&networks[0], &before, sizeof(before)), 0);
}

Test(network, is_parsed_up_to_its_length)
{
    struct network networks[NETWORKS_OF_WORD];
    char text[NETWORK_TEXT_MAX];

    cr_assert_eq(network_parse(networks, "192.0.2.0/241", strlen("192.0.2.0/24")), 1);
    cr_expect_str_eq(network_format(&networks[0], text), "192.0.2.0/24");
}

Test(network, has_a_nearest_word)
{
    cr_expect_str_eq(network_nearest_word("locahost,", 8), "localhost");
    cr_expect_str_eq(network_nearest_word("linklocal", 9), "link-local");
    cr_expect_null(network_nearest_word("10.0.0.0.1", 10));
    cr_expect_null(network_nearest_word("a very long text that is not any word at all", 44));
}

Test(network, has_a_last_address)
{
    static const char *const rows[][2] = {
        {"192.0.2.0/24", "192.0.2.255"},
        {"0.0.0.0/0", "255.255.255.255"},
        {"192.0.2.1", "192.0.2.1"},
        {"2001:db8::/127", "2001:db8::1"},
        {"::1", "::1"},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        struct network network[NETWORKS_OF_WORD], last[NETWORKS_OF_WORD];
        cr_assert_eq(parse(network, rows[i][0]), 1);
        cr_assert_eq(parse(last, rows[i][1]), 1);
        cr_expect(network_last(&network[0]) == network_last(&last[0]), "%s", rows[i][0]);
    }
}

Test(network, has_the_address_of_a_peer)
{
    struct peer in = {.family = AF_INET}, in6 = {.family = AF_INET6};
    struct network network[NETWORKS_OF_WORD];

    /* The rest of the union does not count. */
    memset(&in.in6, 0xff, sizeof(in.in6));
    cr_assert_eq(inet_pton(AF_INET, "192.0.2.1", &in.in), 1);
    cr_assert_eq(inet_pton(AF_INET6, "2001:db8::7", &in6.in6), 1);
    cr_assert_eq(parse(network, "192.0.2.1"), 1);
    cr_expect(network_address_of_peer(&in) == network[0].first);
    cr_assert_eq(parse(network, "2001:db8::7"), 1);
    cr_expect(network_address_of_peer(&in6) == network[0].first);
}

Test(network, is_ordered_by_family_address_and_prefix)
{
    static const char *const texts[] = {"0.0.0.0/0",   "10.0.0.0/8", "10.0.0.0/9", "10.0.0.1",
                                        "255.0.0.0/8", "::/0",       "::/128",     "2001:db8::/32"};
    struct network networks[ELEMENTSOF(texts) + 1];

    for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
        cr_assert_eq(parse(&networks[i], texts[i]), 1);
        for (size_t j = 0; j < i; j++) {
            cr_expect_lt(network_compare(&networks[j], &networks[i]), 0, "%s", texts[i]);
            cr_expect_gt(network_compare(&networks[i], &networks[j]), 0, "%s", texts[i]);
        }
        struct network denied = networks[i];
        cr_expect_eq(network_compare(&networks[i], &denied), 0);
        denied.denied = true;
        cr_expect_lt(network_compare(&networks[i], &denied), 0);
    }
}
