/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/escape.h"

/* The value of a hexadecimal digit, or -1. Not isxdigit(3): that one depends on the locale. */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes `HH` of \xHH. Returns the number of characters read, or 0 with *ret_why. */
static size_t decode_hex(char *ret, const char *digits, const char **ret_why)
{
    int high = hex_digit(digits[0]);
    int low = high < 0 ? -1 : hex_digit(digits[1]);

    if (low < 0) {
        *ret_why = "\\x must be followed by two hexadecimal digits";
        return 0;
    }
    *ret = (char)(unsigned char)(high * 16 + low);
    return 2;
}

size_t escape_decode(char *ret, const char *escape, const char **ret_why)
{
    size_t n;

    switch (escape[1]) {
    case 'n':
        *ret = '\n';
        return 2;
    case 'r':
        *ret = '\r';
        return 2;
    case 't':
        *ret = '\t';
        return 2;
    case '\\':
        *ret = '\\';
        return 2;
    case 'x':
        n = decode_hex(ret, escape + 2, ret_why);
        return n > 0 ? n + 2 : 0;
    default:
        *ret_why = "the escapes are \\n, \\r, \\t, \\\\ and \\xHH";
        return 0;
    }
}
