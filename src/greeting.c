/* SPDX-License-Identifier: MIT */
#include "greetd/greeting.h"

#include <errno.h>
#include <string.h>

#include "greetd/file.h"
#include "greetd/value.h"

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

/* Decodes the escape at ESCAPE, which begins with a backslash. Returns the number of characters
 * read, or 0 with *ret_why. */
static size_t decode_escape(char *ret, const char *escape, const char **ret_why)
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

/* Takes *BYTES over, unless it fails. */
static int greeting_new(struct greeting **ret, char **bytes, size_t size)
{
    struct greeting *greeting = malloc(sizeof(*greeting));
    if (!greeting)
        return -ENOMEM;
    *greeting = (struct greeting){.bytes = TAKE_PTR(*bytes), .size = size};
    *ret = greeting;
    return 0;
}

int greeting_new_from_text(struct greeting **ret, const char *text, const char **ret_why,
                           size_t *ret_offset)
{
    /* No escape stands for more bytes than it is written with. */
    _cleanup_free_ char *bytes = malloc(strlen(text) + 1);
    if (!bytes)
        return -ENOMEM;

    size_t size = 0;
    for (const char *p = text; *p;) {
        size_t n = 1;
        if (*p == '\\') {
            n = decode_escape(&bytes[size], p, ret_why);
            if (n == 0) {
                *ret_offset = (size_t)(p - text);
                return -EINVAL;
            }
        } else {
            bytes[size] = *p;
        }
        size++;
        p += n;
    }
    if (size > GREETING_SIZE_MAX)
        return -EFBIG;
    return greeting_new(ret, &bytes, size);
}

/* Adds the mistake, with the escape at fault: \xHH as far as it goes, or else a backslash and one
 * character, which in UTF-8 may be several bytes. */
static void report_escape(const char *escape, size_t position, const char *why, const char *origin,
                          const char *label, struct report *report)
{
    size_t length = strnlen(escape, 2), longest = escape[1] == 'x' ? 4 : 5;
    char copy[5 + 1] = "", excerpt[VALUE_EXCERPT_MAX];

    while (length < longest && escape[length] != '\0' &&
           (escape[1] == 'x' || (escape[length] & 0xc0) == 0x80))
        length++;
    memcpy(copy, escape, length);
    report_add(report, "%s: %s=: bad escape %s at byte %zu; %s", origin, label,
               value_excerpt(copy, excerpt), position, why);
}

int greeting_check_text(const char *text, const char *origin, const char *label,
                        struct report *report)
{
    _cleanup_(greeting_freep) struct greeting *greeting = NULL;
    const char *why;
    size_t offset;

    int r = greeting_new_from_text(&greeting, text, &why, &offset);
    if (r == -EINVAL)
        report_escape(text + offset, offset + 1, why, origin, label, report);
    if (r == -EFBIG)
        report_add(report, "%s: %s=: must not be longer than %zu bytes", origin, label,
                   GREETING_SIZE_MAX);
    return r == -EFBIG ? -EINVAL : r;
}

int greeting_new_from_file(struct greeting **ret, const char *path)
{
    _cleanup_free_ char *bytes = NULL;
    size_t size;

    int r = file_read(&bytes, &size, path, GREETING_SIZE_MAX);
    if (r < 0)
        return r;
    return greeting_new(ret, &bytes, size);
}

void greeting_free(struct greeting *greeting)
{
    if (!greeting)
        return;
    free(greeting->bytes);
    free(greeting);
}
