/* SPDX-License-Identifier: MIT */
#include "client/resolve.h"
#include "support/descriptors.h"

#include <criterion/criterion.h>
#include <errno.h>

#define TIMEOUT_USEC 5000000

static void check_one(const char *text, const char *expected)
{
    struct resolve_list list = {0};
    const char *why = "nothing";
    char formatted[ADDRESS_TEXT_MAX];

    cr_assert_eq(resolve(&list, text, TIMEOUT_USEC, &why), 0, "%s: %s", text, why);
    cr_assert_eq(list.n, 1, "%s", text);
    cr_expect_str_eq(address_format(&list.addresses[0], formatted), expected);
    resolve_deinit(&list);
    cr_expect_eq(list.addresses, NULL);
}

static void check_refused(const char *text, const char *expected)
{
    struct resolve_list list = {0};
    const char *why = "nothing";

    cr_expect_eq(resolve(&list, text, TIMEOUT_USEC, &why), -EINVAL, "%s", text);
    cr_expect_str_eq(why, expected, "%s", text);
    cr_expect_eq(list.addresses, NULL);
}

Test(resolve, addresses_are_read_as_in_listen_stream)
{
    check_one("127.0.0.1:12345", "127.0.0.1:12345");
    check_one("[::1]:80", "[::1]:80");
    check_one("/run/greetd", "/run/greetd");
    check_one("@greetd", "@greetd");
    check_one("vsock:1:80", "vsock:1:80");
}

Test(resolve, an_address_of_all_interfaces_is_that_of_loopback)
{
    check_one("0.0.0.0:80", "127.0.0.1:80");
    check_one("[::]:80", "[::1]:80");
    check_one("vsock::80", "vsock:1:80");
}

Test(resolve, a_port_is_of_this_machine_by_ipv6_and_then_ipv4)
{
    struct resolve_list list = {0};
    const char *why;
    char formatted[ADDRESS_TEXT_MAX];

    cr_assert_eq(resolve(&list, "80", TIMEOUT_USEC, &why), 0);
    cr_assert_eq(list.n, 2);
    cr_expect_str_eq(address_format(&list.addresses[0], formatted), "[::1]:80");
    cr_expect_str_eq(address_format(&list.addresses[1], formatted), "127.0.0.1:80");
    cr_expect_eq(list.addresses[1].length, sizeof(struct sockaddr_in));
    resolve_deinit(&list);
}

Test(resolve, a_name_is_looked_up)
{
    struct resolve_list list = {0};
    const char *why = "nothing";
    bool found = false;

    cr_assert_eq(resolve(&list, "localhost:4711", TIMEOUT_USEC, &why), 0, "%s", why);
    for (size_t i = 0; i < list.n; i++) {
        char formatted[ADDRESS_TEXT_MAX];
        address_format(&list.addresses[i], formatted);
        found = found || strcmp(formatted, "127.0.0.1:4711") == 0 ||
                strcmp(formatted, "[::1]:4711") == 0;
    }
    cr_expect(found);
    resolve_deinit(&list);
}

Test(resolve, distinguishes_names_from_addresses)
{
    static const char *const names[] = {"localhost:1", "a.example:80", "1.2.3.x:4", "x:", "x:y"};
    static const char *const others[] = {"80",   ":80",  "1.2.3.4:80", "[::1]:80",
                                         "/a:1", "@a:1", "vsock:1:2",  "vsock:80",
                                         "a::1", "",     "name",       "999.1.1.1:80"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        cr_expect(resolve_is_name(names[i]), "%s", names[i]);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        cr_expect_not(resolve_is_name(others[i]), "%s", others[i]);
}

Test(resolve, addresses_without_a_destination_are_refused)
{
    check_refused("0", "to connect, the port can't be 0");
    check_refused("127.0.0.1:0", "to connect, the port can't be 0");
    check_refused("[::1]:0", "to connect, the port can't be 0");
    check_refused("localhost:0", "a port is a number from 1 to 65535");
    check_refused("localhost:65536", "a port is a number from 1 to 65535");
    check_refused("localhost:http", "a port is a number from 1 to 65535");
    check_refused("localhost:", "a port is a number from 1 to 65535");
    check_refused("[fe80::1%greetd-none]:80", "there is no network interface of this name");
}

Test(resolve, a_name_longer_than_the_resolver_accepts_is_refused)
{
    char text[2000];

    memset(text, 'a', sizeof(text));
    strcpy(text + sizeof(text) - sizeof(":80"), ":80");
    check_refused(text, "the name is too long");
}

Test(resolve, the_reasons_of_the_address_parser_are_passed_on)
{
    struct resolve_list list = {0};
    const char *why = NULL;

    cr_expect_eq(resolve(&list, "name", TIMEOUT_USEC, &why), -EINVAL);
    cr_assert_neq(why, NULL);
    cr_expect_neq(strstr(why, "IPv4:PORT"), NULL, "%s", why);
}

Test(resolve, a_name_needs_a_descriptor)
{
    struct resolve_list list = {0};
    const char *why = "nothing";

    struct rlimit limit = descriptors_deny();
    int r = resolve(&list, "localhost:80", TIMEOUT_USEC, &why);
    descriptors_allow(limit);
    cr_expect_eq(r, -ENOMEM);
    cr_expect_str_eq(why, "out of memory");
}
