/* SPDX-License-Identifier: MIT */
#include "greetd/base/text.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A longer name is no misspelled one, and a row of distances fits the stack. */
#define NAME_MAX_LENGTH 64

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Wagner and Fischer's algorithm, with a swap of neighbours as one edit (the optimal string
 * alignment), and with three rows of its table: row[j] is the distance between the first i letters
 * of A and the first j letters of B. */
static size_t distance(const char *a, const char *b, size_t b_length)
{
    size_t rows[3][NAME_MAX_LENGTH + 1], i;

    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = j;

    for (i = 1; a[i - 1] != '\0'; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i - 1) % 3], *before_swap = rows[(i + 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t replaced = above[j - 1] + !same_letter(a[i - 1], b[j - 1]);
            row[j] = min(replaced, min(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                same_letter(a[i - 2], b[j - 1]))
                row[j] = min(row[j], before_swap[j - 2] + 1);
        }
    }
    return rows[(i - 1) % 3][b_length];
}

const char *text_nearest(const char *name, const char *const *candidates, size_t n)
{
    const char *nearest = NULL;
    size_t least = 0;

    if (strlen(name) > NAME_MAX_LENGTH)
        return NULL;

    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(candidates[i]);
        if (length > NAME_MAX_LENGTH)
            continue;
        size_t d = distance(name, candidates[i], length);
        if (d <= length / 3 && (!nearest || d < least)) {
            nearest = candidates[i];
            least = d;
        }
    }
    return nearest;
}

size_t text_utf8_length(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;
    size_t length = c[0] < 0x80 ? 1 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;

    if ((c[0] >= 0x80 && c[0] < 0xc2) || c[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    /* An overlong form, a surrogate, or beyond U+10FFFF. */
    if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
        (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f))
        return 0;
    return length;
}

/* Whether the UTF-8 character at TEXT is a control character of ASCII, or one of U+0080 to U+009F:
 * U+009B begins a control sequence of a terminal as ESC and `[` do (ECMA-48). */
static bool is_control(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;

    return c[0] < ' ' || c[0] == 0x7f || (c[0] == 0xc2 && c[1] < 0xa0);
}

size_t text_printable_length(const char *text)
{
    return is_control(text) ? 0 : text_utf8_length(text);
}

const char *text_excerpt(const char *text, char *buffer)
{
    const char *end = buffer + (TEXT_EXCERPT_MAX - sizeof("\\xHH..."));
    char *p = buffer;

    while (*text != '\0' && p < end) {
        size_t length = text_printable_length(text);

        if (length > 0) {
            p = mempcpy(p, text, length);
            text += length;
        } else {
            p += sprintf(p, "\\x%02x", (unsigned char)*text++);
        }
    }
    strcpy(p, *text != '\0' ? "..." : "");
    return buffer;
}

char *text_write_decimal(char *buffer, uint64_t number)
{
    char digits[TEXT_DECIMAL_MAX], *p = digits + sizeof(digits);

    do
        *--p = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    return mempcpy(buffer, p, (size_t)(digits + sizeof(digits) - p));
}

size_t text_byte_order_mark(const char *text, size_t size)
{
    size_t length = strlen(BYTE_ORDER_MARK);

    return size >= length && memcmp(text, BYTE_ORDER_MARK, length) == 0 ? length : 0;
}
