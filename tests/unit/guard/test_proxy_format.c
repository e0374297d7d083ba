/* SPDX-License-Identifier: MIT */
#include "greetd/guard/proxy_format.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "greetd/base/cleanup.h"
#include "greetd/guard/proxy_header.h"
#include "support/net.h"

struct row {
    char source[32], destination[32];
    char line[80];     /* version 1 */
    char bytes[56];    /* version 2, from its 13th byte; the rest of its size is zeros */
    size_t size;       /* of version 2 */
    char received[32]; /* the source that a receiver of version 2 sees, "" for none */
};

#define HAS_UNIX "\x21\x31\x00\xd8"

ParameterizedTestParameters(proxy_format, writes_what_the_specification_says)
{
    static struct row rows[] = {
        {"192.0.2.1:54321", "192.0.2.2:80", "PROXY TCP4 192.0.2.1 192.0.2.2 54321 80\r\n",
         "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\xd4\x31\x00\x50", 28, "192.0.2.1:54321"},
        {"[2001:db8::1]:54321", "[2001:db8::2]:80",
         "PROXY TCP6 2001:db8::1 2001:db8::2 54321 80\r\n",
         "\x21\x21\x00\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
         "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\xd4\x31\x00\x50",
         52, "[2001:db8::1]:54321"},
        {"192.0.2.1:54321", "[::1]:80", "PROXY TCP6 ::ffff:192.0.2.1 ::1 54321 80\r\n",
         "\x21\x21\x00\x24\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01"
         "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\xd4\x31\x00\x50",
         52, "192.0.2.1:54321"},
        {"[2001:db8::1]:54321", "127.0.0.1:80",
         "PROXY TCP6 2001:db8::1 ::ffff:127.0.0.1 54321 80\r\n",
         "\x21\x21\x00\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
         "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\x00\x00\x01\xd4\x31\x00\x50",
         52, "[2001:db8::1]:54321"},
        {"192.0.2.1:54321", "/run/s", "PROXY TCP4 192.0.2.1 0.0.0.0 54321 0\r\n",
         "\x21\x11\x00\x0c\xc0\x00\x02\x01\0\0\0\0\xd4\x31\0\0", 28, "192.0.2.1:54321"},
        {"[2001:db8::1]:54321", "vsock:3:80", "PROXY TCP6 2001:db8::1 :: 54321 0\r\n",
         "\x21\x21\x00\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
         "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xd4\x31\0\0",
         52, "[2001:db8::1]:54321"},
        {"[2001:db8::1]:54321", "[fe80::2%1]:80", "PROXY TCP6 2001:db8::1 fe80::2 54321 80\r\n",
         "\x21\x21\x00\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
         "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\xd4\x31\x00\x50",
         52, "[2001:db8::1]:54321"},
        {"/client", "192.0.2.2:80", "PROXY UNKNOWN\r\n", HAS_UNIX, 232, "unix"},
        {"vsock:3:80", "192.0.2.2:80", "PROXY UNKNOWN\r\n", "\x20\0\0\0", 16, ""},
    };
    return cr_make_param_array(struct row, rows, ELEMENTSOF(rows));
}

/* Checks that proxy_header_parse() finds the source of ROW in the header at BYTES. */
static void check_received(const struct row *row, const char *bytes)
{
    struct proxy_header header;
    enum proxy_error error;
    char source[ADDRESS_TEXT_MAX];

    cr_assert_eq(proxy_header_parse(&header, &error, bytes, row->size), 1);
    cr_expect_eq(header.has_source, row->received[0] != '\0');
    if (header.has_source)
        cr_expect_str_eq(peer_format(&header.source, source), row->received);
}

ParameterizedTest(struct row *row, proxy_format, writes_what_the_specification_says)
{
    struct address from = net_address(row->source), to = net_address(row->destination);
    struct peer source = peer_from_sockaddr(&from.sa, from.length);
    char buffer[PROXY_FORMAT_MAX], expected[PROXY_FORMAT_MAX] = PROXY_SIGNATURE;

    cr_expect_eq(proxy_format_header(buffer, PROXY_NONE, &source, &to), 0);
    size_t size = proxy_format_header(buffer, PROXY_V1, &source, &to);
    cr_expect_eq(size, strlen(row->line));
    cr_expect_arr_eq(buffer, row->line, strlen(row->line));

    memcpy(expected + 12, row->bytes, sizeof(row->bytes));
    cr_assert_eq(proxy_format_header(buffer, PROXY_V2, &source, &to), row->size);
    cr_expect_arr_eq(buffer, expected, row->size);
    check_received(row, buffer);
}

Test(proxy_format, names_the_unix_socket_that_a_client_connected_to)
{
    struct peer source = {.family = AF_UNIX};
    struct address to = net_address("/run/greetd.sock");
    char buffer[PROXY_FORMAT_MAX];

    cr_assert_eq(proxy_format_header(buffer, PROXY_V2, &source, &to), PROXY_FORMAT_MAX);
    cr_expect_str_eq(buffer + 16, "");
    cr_expect_str_eq(buffer + 16 + 108, "/run/greetd.sock");
}
