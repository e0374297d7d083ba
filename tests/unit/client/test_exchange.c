/* SPDX-License-Identifier: MIT */
#include "client/exchange.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <netinet/in.h>

#include "greetd/base/cleanup.h"
#include "greetd/guard/proxy_header.h"
#include "support/net.h"
#include "support/seccomp_deny.h"

static char expected[] = "Hello\nthere";
static const struct greeting greeting = {.bytes = expected, .size = sizeof(expected) - 1};

/* Compares TEXT in pieces of every size. EXPECTED_DIFFERENCE is NULL if it should be right. */
static void check(const char *text, const char *expected_difference)
{
    for (size_t piece = 1; piece <= strlen(text) + 1; piece++) {
        struct comparison comparison = {.expected = &greeting};
        char difference[COMPARISON_TEXT_MAX] = "";
        bool right;

        for (size_t i = 0; i < strlen(text); i += piece)
            comparison_add(&comparison, text + i, strnlen(text + i, piece));
        right = comparison_explain(&comparison, difference);
        cr_expect(right == !expected_difference, "'%s' by %zu", text, piece);
        cr_expect_str_eq(difference, (expected_difference ? expected_difference : ""),
                         "'%s' by %zu", text, piece);
    }
}

Test(comparison, the_same_bytes_are_right)
{
    check("Hello\nthere", NULL);
}

Test(comparison, names_the_first_byte_that_differs)
{
    check("hello\nthere", "it differs at byte 1: \\x68 instead of \\x48");
    check("Hello there", "it differs at byte 6: \\x20 instead of \\x0a");
    check("Hello\ntherE and more", "it differs at byte 11: \\x45 instead of \\x65");
}

Test(comparison, names_the_byte_after_which_it_ends_too_early)
{
    check("", "it ends after 0 bytes of 11");
    check("Hello", "it ends after 5 bytes of 11");
}

Test(comparison, names_the_byte_after_which_it_goes_on)
{
    check("Hello\nthere!", "it goes on after 11 bytes");
}

Test(comparison, an_empty_greeting_can_be_expected)
{
    const struct greeting nothing = {.bytes = expected, .size = 0};
    struct comparison comparison = {.expected = &nothing};
    char difference[COMPARISON_TEXT_MAX];

    cr_expect(comparison_explain(&comparison, difference));
    cr_expect_not(comparison_add(&comparison, "x", 1));
    cr_expect_not(comparison_explain(&comparison, difference));
    cr_expect_str_eq(difference, "it goes on after 0 bytes");
}

/* Criterion copies a row into the process of its test, but not the memory a pointer points to. */
struct source_row {
    char first[40];
    unsigned n_variable;
    uint64_t number;
    char expected[40];
};

ParameterizedTestParameters(exchange, each_connection_has_the_next_source_of_a_network)
{
    static struct source_row rows[] = {
        {"192.0.2.7:5", 0, 3, "192.0.2.7:5"},
        {"192.0.2.0:5", 8, 0, "192.0.2.0:5"},
        {"192.0.2.0:5", 8, 1, "192.0.2.1:5"},
        {"192.0.2.0:5", 8, 255, "192.0.2.255:5"},
        {"192.0.2.0:5", 8, 256, "192.0.2.0:5"},
        {"192.0.2.250:5", 8, 7, "192.0.2.1:5"},
        {"10.0.0.0:5", 24, 1000000, "10.15.66.64:5"},
        {"255.255.255.255:5", 32, 2, "0.0.0.1:5"},
        {"[2001:db8::7]:5", 0, 3, "[2001:db8::7]:5"},
        {"[2001:db8::]:5", 96, 1, "[2001:db8:0:1::]:5"},
        {"[2001:db8::7]:5", 96, 1000000, "[2001:db8:f:4240::7]:5"},
        {"[2001:db8:ffff:ffff::]:5", 96, 2, "[2001:db8:0:1::]:5"},
        {"[2001:db8::]:5", 65, 3, "[2001:db8:0:1::]:5"},
        {"[ffff:ffff:ffff:ffff::1]:5", 128, 2, "[::1:0:0:0:1]:5"},
        {"[2001:db8::]:5", 64, 1, "[2001:db8::1]:5"},
        {"[2001:db8::fffe]:5", 16, 3, "[2001:db8::1]:5"},
    };
    return cr_make_param_array(struct source_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct source_row *row, exchange,
                  each_connection_has_the_next_source_of_a_network)
{
    const struct address first = net_address(row->first), to = net_address("[::1]:80");
    const struct exchange_proxy proxy = {.version = PROXY_V2,
                                         .source = peer_from_sockaddr(&first.sa, first.length),
                                         .n_variable = row->n_variable};
    char buffer[PROXY_FORMAT_MAX], source[ADDRESS_TEXT_MAX];
    struct proxy_header header;
    enum proxy_error error;

    size_t size = exchange_format_header(&proxy, row->number, &to, buffer);
    cr_assert_eq(proxy_header_parse(&header, &error, buffer, size), 1);
    cr_expect_str_eq(peer_format(&header.source, source), row->expected);
}

Test(exchange, there_is_no_header_without_proxy)
{
    const struct exchange_proxy none = {0};
    const struct address to = net_address("[::1]:80");
    char buffer[PROXY_FORMAT_MAX];

    cr_expect_eq(exchange_format_header(&none, 1, &to, buffer), 0);
}

Test(exchange, each_error_has_an_outcome)
{
    static const struct {
        int error;
        enum outcome outcome;
        bool local;
    } rows[] = {
        {-ECONNREFUSED, OUTCOME_REFUSED, false},    {-ECONNRESET, OUTCOME_RESET, false},
        {-ECONNABORTED, OUTCOME_RESET, false},      {-EPIPE, OUTCOME_RESET, false},
        {-ETIMEDOUT, OUTCOME_TIMEOUT, false},       {-EADDRNOTAVAIL, OUTCOME_NO_PORT, false},
        {-ENETUNREACH, OUTCOME_UNREACHABLE, false}, {-EMFILE, OUTCOME_UNREACHABLE, true},
        {-ENFILE, OUTCOME_UNREACHABLE, true},       {-ENOBUFS, OUTCOME_UNREACHABLE, true},
        {-ENOMEM, OUTCOME_UNREACHABLE, true},       {-EAFNOSUPPORT, OUTCOME_UNREACHABLE, true},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        cr_expect_eq(outcome_from_error(rows[i].error), rows[i].outcome, "%d", rows[i].error);
        cr_expect_eq(exchange_error_is_local(rows[i].error), rows[i].local, "%d", rows[i].error);
    }
}

Test(exchange, comes_from_an_address_of_this_machine)
{
    struct sockaddr_in in;
    struct address to = {.length = sizeof(in)};
    int fd = -1;

    (void)net_listen(&in);
    to.in = in;
    cr_assert_eq(exchange_connect(&fd, &to, exchange_source(1)), 0);
    close(fd);
    cr_expect_eq(exchange_connect(&fd, &to, htonl(0xc0000201)), -EADDRNOTAVAIL);
    seccomp_deny(SYS_setsockopt, 2, IP_BIND_ADDRESS_NO_PORT, ENOPROTOOPT);
    cr_expect_eq(exchange_connect(&fd, &to, exchange_source(1)), -ENOPROTOOPT);
}

Test(exchange, of_many_connections_has_no_more_sources_than_a_network_of_24_bits)
{
    const struct address loopback = net_address("127.0.0.1:80"),
                         other = net_address("192.0.2.1:80");

    cr_expect_eq(exchange_count_sources(&loopback, 1), 1);
    cr_expect_eq(exchange_count_sources(&loopback, 100000000), 254);
    cr_expect_eq(exchange_count_sources(&other, 100000000), 1);
}

/* Notes the own address of FD as that of an exchange. */
static const char *own_address(int fd, char *buffer)
{
    struct exchange exchange = {.fd = fd};

    exchange_note_own(&exchange);
    return peer_format(&exchange.own, buffer);
}

Test(own_address, is_that_of_the_connection)
{
    struct net_pair tcp = net_tcp_pair(), local = net_local_pair(SOCK_STREAM);
    char buffer[ADDRESS_TEXT_MAX], own[ADDRESS_TEXT_MAX];
    struct sockaddr_in address;
    socklen_t length = sizeof(address);

    cr_assert_eq(getsockname(tcp.client, (struct sockaddr *)&address, &length), 0);
    sprintf(own, "127.0.0.1:%u", ntohs(address.sin_port));
    cr_expect_str_eq(own_address(tcp.client, buffer), own);
    sprintf(own, "unix:pid=%d", getpid());
    cr_expect_str_eq(own_address(local.client, buffer), own);
    cr_expect_str_eq(own_address(-1, buffer), "unknown");
}

Test(client_address, is_the_source_in_the_header_if_there_is_one)
{
    const struct exchange exchange = {.number = 3, .own = {.family = AF_UNIX, .un.pid = 5}};
    struct exchange_request request = {.to.in.sin_family = AF_INET};
    char buffer[ADDRESS_TEXT_MAX];

    for (int i = 0; i < 2; i++) {
        struct peer client = exchange_client(&exchange, &request);

        cr_expect(!exchange_has_source(&request));
        cr_expect_eq(client.family, AF_UNIX);
        request.proxy.version = PROXY_V2; /* a header without a source: `local` */
    }
    request.proxy.n_variable = 8;
    request.proxy.source = (struct peer){.family = AF_INET, .port = 79};
    struct peer client = exchange_client(&exchange, &request);
    cr_expect(exchange_has_source(&request));
    cr_expect_str_eq(peer_format(&client, buffer), "0.0.0.3:79");
}

Test(request, sends_a_header_or_bytes_or_nothing)
{
    cr_expect(!exchange_sends(&(struct exchange_request){0}));
    cr_expect(exchange_sends(&(struct exchange_request){.proxy.version = PROXY_V1}));
    cr_expect(exchange_sends(&(struct exchange_request){.size = 1}));
}
