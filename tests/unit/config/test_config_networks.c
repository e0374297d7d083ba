/* SPDX-License-Identifier: MIT */
#include "greetd/config/config.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "support/config_fixture.h"

TestSuite(config_networks, .init = set_up, .fini = tear_down);

static bool allows(const struct networks *networks, const char *address)
{
    struct peer peer = {.family = strchr(address, ':') ? AF_INET6 : AF_INET};

    cr_assert_eq(inet_pton(peer.family, address, &peer.in6), 1);
    return networks_allow(networks, &peer);
}

/* Loads TEXT, in which %s is the path of a file that holds CONTENT. */
static struct config *load_with_file(const char *text, const char *content)
{
    char copy[1024];

    snprintf(copy, sizeof(copy), text, temp_dir_write_text(&temp_dir, "list", content));
    return load(temp_dir_write_text(&temp_dir, "greetd.conf", copy));
}

static void expect_line(size_t index, const char *text)
{
    cr_assert_lt(index, diagnostics.n_lines);
    cr_expect(strstr(diagnostics.lines[index], text), "%s", diagnostics.lines[index]);
}

Test(config_networks, are_none_by_default)
{
    struct config *config = load_text("[Listener x]\n");
    const struct config_listener *x = config_listener_at(config, 0);

    cr_expect_null(x->networks);
    cr_expect_null(x->trusted);
    cr_expect_null(x->refuse);
    cr_expect_not(x->settings.proxy_protocol);
    cr_expect_eq(x->limits, &config_limits(config)->per_source);
    cr_expect_not(source_limits_any(x->limits));
    cr_expect_eq(x->limits->interval_usec, 1000000);
    config_unref(config);
}

Test(config_networks, of_limits_are_those_of_listeners_without_lists)
{
    struct config *config = load_text("[Limits]\nDeny=192.0.2.0/24\nMaxConnectionsPerSource=5\n"
                                      "[Listener same]\n"
                                      "[Listener own]\nAllow=192.0.2.1\n"
                                      "[Listener again]\nAllow=192.0.2.1\nAllow=\n");
    const struct config_listener *base = config_default_listener(config);
    const struct config_listener *own = config_find_listener(config, "own");

    cr_expect_not(allows(base->networks, "192.0.2.1"));
    cr_expect(allows(base->networks, "198.51.100.1"));
    cr_expect_eq(config_find_listener(config, "same")->networks, base->networks);
    cr_expect_eq(config_find_listener(config, "again")->networks, base->networks);
    cr_expect(allows(own->networks, "192.0.2.1"));
    cr_expect_not(allows(own->networks, "198.51.100.1"));
    cr_expect_eq(own->limits->max_connections, 5);
    config_unref(config);
}

/* The example of greetd.conf(5). */
Test(config_networks, have_exceptions_within_exceptions)
{
    struct config *config = load_text("[Limits]\nAllow=198.51.100.0/24 198.51.100.7\n"
                                      "Deny=198.51.100.0/28\n");
    const struct networks *networks = config_default_listener(config)->networks;

    cr_expect(allows(networks, "198.51.100.16"));
    cr_expect_not(allows(networks, "198.51.100.8"));
    cr_expect(allows(networks, "198.51.100.7"));
    cr_expect_not(allows(networks, "198.51.101.7"));
    config_unref(config);
}

Test(config_networks, are_cleared_by_an_empty_assignment)
{
    struct config *config = load_text("[Limits]\nAllow=192.0.2.0/24\nAllow=\nDeny=any\nDeny=\n");

    cr_expect_null(config_default_listener(config)->networks);
    config_unref(config);
}

Test(config_networks, that_are_trusted_are_inherited)
{
    struct config *config =
        load_text("[Greeting]\nProxyProtocol=yes\nProxyTrustedSources=10.0.0.0/8\n"
                  "[Listener same]\n"
                  "[Listener own]\nProxyTrustedSources=localhost\n"
                  "[Listener none]\nProxyProtocol=no\n");
    const struct config_listener *base = config_default_listener(config);

    cr_expect(allows(base->trusted, "10.1.2.3"));
    cr_expect_not(allows(base->trusted, "127.0.0.1"));
    cr_expect_eq(config_find_listener(config, "same")->trusted, base->trusted);
    cr_expect(allows(config_find_listener(config, "own")->trusted, "::1"));
    cr_expect_null(config_find_listener(config, "none")->trusted);
    config_unref(config);
}

Test(config_networks, are_read_from_a_file)
{
    struct config *config =
        load_with_file("[Limits]\nAllow=%s 2001:db8::1\n", "10.0.0.0/8 # ten\n");
    cr_assert_not_null(config);
    const struct networks *networks = config_default_listener(config)->networks;

    cr_expect(allows(networks, "10.1.2.3"));
    cr_expect(allows(networks, "2001:db8::1"));
    cr_expect_not(allows(networks, "11.0.0.0"));
    config_unref(config);
}

Test(config_networks, are_read_behind_a_byte_order_mark)
{
    struct config *config =
        load_with_file("[Limits]\nAllow=%s\n", "\xef\xbb\xbf# ten\n10.0.0.0/8\n");

    cr_assert_not_null(config);
    cr_expect(allows(config_default_listener(config)->networks, "10.1.2.3"));
    config_unref(config);
}

/* A file that has become empty must not open what it closed. */
Test(config_networks, of_an_empty_file_in_allow_allow_nobody)
{
    struct config *config = load_with_file("[Limits]\nAllow=%s\n", "");
    cr_assert_not_null(config);

    cr_expect_not(allows(config_default_listener(config)->networks, "192.0.2.1"));
    config_unref(config);
}

Test(config_networks, are_reported_with_all_their_errors)
{
    cr_assert_null(load_with_file("[Limits]\nAllow=10.0.0.0/33 locahost lists/ten\n"
                                  "Deny=1.2.3\nDeny=\nDeny=%s\n",
                                  "10.0.0.0/8\n\n1.2.3.4 5.6.7.8\n"));
    cr_assert_eq(diagnostics.n_lines, 5);
    expect_line(0, ":2: Allow=10.0.0.0/33: the length of the prefix must be");
    expect_line(1, ":2: Allow=locahost: must be a network such as");
    expect_line(1, "; did you mean localhost?");
    expect_line(2, ":2: Allow=lists/ten: must be a network such as");
    expect_line(2, ", or the absolute path of a file");
    expect_line(3, ":3: Deny=1.2.3: must be");
    expect_line(4, "/list:3: 1.2.3.4 5.6.7.8: a line must have one network");
}

Test(config_networks, of_an_unreadable_file_may_be_readable_later)
{
    static const struct {
        const char *text;
        int error;
    } rows[] = {
        {"[Limits]\nDeny=/nonexistent\n", -ENOENT},
        {"[Listener x]\nAllow=/nonexistent /nonexistent\n", -ENOENT},
        {"[Limits]\nDeny=/nonexistent\n[Greeting]\nMessageFile=/nonexistent\n", -ENOENT},
        {"[Limits]\nDeny=/nonexistent /\n", -EBADMSG},
        {"[Limits]\nDeny=/dev/zero\n", -EBADMSG},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        struct config_options options = {
            .path = temp_dir_write_text(&temp_dir, "greetd.conf", rows[i].text)};
        struct config *config = NULL;

        cr_expect_eq(config_load(&config, &options, &diagnostics), rows[i].error, "%s",
                     rows[i].text);
    }
    expect_line(0, ":2: Deny=/nonexistent: No such file or directory");
}

Test(config_networks, with_low_bits_are_remarked)
{
    struct config *config = load_text("[Limits]\nDeny=192.0.2.1/24\n[Listener x]\n");
    const struct diagnostics *remarks = config_remarks(config);

    cr_assert_eq(remarks->n_lines, 1);
    cr_expect(strstr(remarks->lines[0], ":2: Deny=192.0.2.1/24: remark: "), "%s",
              remarks->lines[0]);
    cr_expect(strstr(remarks->lines[0], ": 192.0.2.0/24"), "%s", remarks->lines[0]);
    config_unref(config);
}
