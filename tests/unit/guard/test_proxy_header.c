/* SPDX-License-Identifier: MIT */
#include "greetd/guard/proxy_header.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "support/proxy_rows.h"

#define IN6_MAX     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
#define IN6_LONGEST "0000:0000:0000:0000:0000:ffff:255.255.255.255"
#define HUNDRED                                                                                    \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
    "xxxxxxxx"

ParameterizedTestParameters(proxy_header, accepts_a_line_at_its_last_byte)
{
    static struct proxy_row rows[] = {
        {PROXY_BYTES("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"), "192.168.0.1:56324"},
        {PROXY_BYTES("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0:0"},
        {PROXY_BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
         "255.255.255.255:65535"},
        {PROXY_BYTES("PROXY TCP6 " IN6_MAX " " IN6_MAX " 65535 65535\r\n"), "[" IN6_MAX "]:65535"},
        {PROXY_BYTES("PROXY TCP6 :: :: 1 2\r\n"), "[::]:1"},
        {PROXY_BYTES("PROXY TCP6 2001:DB8::a ::1 1 2\r\n"), "[2001:db8::a]:1"},
        {PROXY_BYTES("PROXY TCP6 1:2:3:4:5:6:7:: ::2:3:4:5:6:7:8 1 2\r\n"), "[1:2:3:4:5:6:7:0]:1"},
        {PROXY_BYTES("PROXY TCP6 1::3:4:5:6:7:8 1:2:3:4:5:6:7:8 1 2\r\n"), "[1:0:3:4:5:6:7:8]:1"},
        {PROXY_BYTES("PROXY TCP6 1::192.0.2.1 1:2:3:4:5:6:192.0.2.1 1 2\r\n"), "[1::c000:201]:1"},
        {PROXY_BYTES("PROXY TCP6 fe80::1 fe80::2 1 2\r\n"), "[fe80::1]:1"},
        {PROXY_BYTES("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n"), "192.0.2.1:1"},
        {PROXY_BYTES("PROXY TCP6 " IN6_LONGEST " ::1 1 2\r\n"), "255.255.255.255:1"},
        {PROXY_BYTES("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n"), "192.0.2.1:1"},
        {PROXY_BYTES("PROXY TCP6 2001:db8::1 127.0.0.1 1 2\r\n"), "[2001:db8::1]:1"},
        {PROXY_BYTES("PROXY TCP4 192.0.2.1 ::1 1 2\r\n"), "192.0.2.1:1"},
        {PROXY_BYTES("PROXY UNKNOWN\r\n"), ""},
        {PROXY_BYTES("PROXY UNKNOWN " IN6_MAX " " IN6_MAX " 65535 65535\r\n"), ""},
        {PROXY_BYTES("PROXY UNKNOWN \r TCP4 \n \n\r\0 \xff\r\n"), ""},
    };
    return cr_make_param_array(struct proxy_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct proxy_row *row, proxy_header, accepts_a_line_at_its_last_byte)
{
    proxy_check_right(row);
}

#define LINE(text, number, kind)                                                                   \
    {                                                                                              \
        PROXY_BYTES(text " more"), .wrong = (number), .error = (kind)                              \
    }

ParameterizedTestParameters(proxy_header, refuses_a_line_at_its_first_wrong_byte)
{
    static struct proxy_row rows[] = {
        LINE("GET / HTTP/1.0\r\n\r\n", 1, PROXY_NO_HEADER),
        LINE("\0", 1, PROXY_NO_HEADER),
        LINE("proxy", 1, PROXY_NO_HEADER),
        LINE("PROXX", 5, PROXY_NO_HEADER),
        LINE("PROXY\t", 6, PROXY_NO_HEADER),
        LINE("PROXY\r\n", 6, PROXY_NO_HEADER),
        LINE("PROXY  TCP4", 7, PROXY_BAD_PROTOCOL),
        LINE("PROXY tcp4", 7, PROXY_BAD_PROTOCOL),
        LINE("PROXY UDP4", 8, PROXY_BAD_PROTOCOL),
        LINE("PROXY TCP5", 10, PROXY_BAD_PROTOCOL),
        LINE("PROXY TCP ", 10, PROXY_BAD_PROTOCOL),
        LINE("PROXY TCP4\t", 11, PROXY_BAD_PROTOCOL),
        LINE("PROXY TCP44", 11, PROXY_BAD_PROTOCOL),
        LINE("PROXY UNKNOWS", 13, PROXY_BAD_PROTOCOL),
        LINE("PROXY TCP4  ", 12, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP4 -1", 12, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP4 ::1", 12, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP4 a", 12, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP4 256", 14, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP4 01", 13, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP4 00", 13, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP4 1..", 14, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP4 1.2.3 ", 17, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP4 1.2.3.4.", 19, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n", 19, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP4 1.2.3.4\r\n", 19, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP4 1.2.3.4  ", 20, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.999", 28, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP6 g", 12, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP6 [", 12, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP6 :1", 13, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP6 1::2::", 17, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP6 1:::", 15, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP6 12345", 16, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP6 00001", 16, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP6 1:2:3:4:5:6:7 ", 25, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP6 1:2:3:4:5:6:7:8:", 27, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP6 1:2:3:4:5:6:7:1.", 27, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP6 ::1.2.3.256", 22, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP6 ::1.2.3.4:", 21, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP6 fe80::1%", 19, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP6 192.0.2.1.", 21, PROXY_BAD_ADDRESS),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4  ", 28, PROXY_BAD_PORT),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 -1", 28, PROXY_BAD_PORT),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 00", 29, PROXY_BAD_PORT),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 080", 29, PROXY_BAD_PORT),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 65536", 32, PROXY_BAD_PORT),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 655350", 33, PROXY_BAD_PORT),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 1x", 29, PROXY_BAD_PORT),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", 29, PROXY_BAD_PORT),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n", 30, PROXY_BAD_PORT),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 1 99999", 34, PROXY_BAD_PORT),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 ", 31, PROXY_BAD_LINE_END),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", 31, PROXY_BAD_LINE_END),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n", 32, PROXY_BAD_LINE_END),
        LINE("PROXY UNKNOWN " HUNDRED "\r\n", 107, PROXY_TOO_LONG),
        LINE("PROXY TCP6 " IN6_LONGEST " " IN6_LONGEST " 1 2\r\n", 107, PROXY_TOO_LONG),
    };
    return cr_make_param_array(struct proxy_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct proxy_row *row, proxy_header, refuses_a_line_at_its_first_wrong_byte)
{
    proxy_check_wrong(row);
}

Test(proxy_header, has_a_text_for_each_error)
{
    for (enum proxy_error i = 0; i < PROXY_ERROR_N; i++) {
        cr_assert_neq(proxy_error_text(i), NULL, "%d", i);
        for (enum proxy_error j = 0; j < i; j++)
            cr_expect_str_neq(proxy_error_text(i), proxy_error_text(j));
    }
    cr_expect_leq((int)PROXY_ERROR_N, 16);
}
