/* SPDX-License-Identifier: MIT */
#include "greetd/base/text.h"

#include <ctype.h>
#include <string.h>

/* Longer names are no typing mistakes, and the row of distances fits the stack. */
#define NAME_MAX_LENGTH 64

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int same_letter(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Wagner and Fischer's algorithm with one row of its table: row[j] is the distance between as much
 * of A as was seen and the first j letters of B. */
static size_t distance(const char *a, const char *b, size_t b_length)
{
    size_t row[NAME_MAX_LENGTH + 1];

    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;

    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= b_length; j++) {
            size_t replaced = diagonal + !same_letter(a[i], b[j - 1]);
            diagonal = row[j];
            row[j] = min(replaced, min(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_length];
}

const char *suggest_nearest(const char *name, const char *const *candidates, size_t n)
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
