/* SPDX-License-Identifier: MIT */
#pragma once

/* What every line that people read must be: UTF-8 without control characters. It does not use the
 * functions of base/text.h, so that it can check them. */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "fuzz.h"
#include "greetd/base/diagnostics.h"

/* Decodes the character at *TEXT and moves *TEXT behind it. Returns 0 if it is not UTF-8. */
FUZZ_UNTRACED static inline uint32_t fuzz_decode(const unsigned char **text)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *p = *text;
    unsigned n = p[0] < 0x80       ? 0
                 : p[0] >> 5 == 6  ? 1
                 : p[0] >> 4 == 14 ? 2
                 : p[0] >> 3 == 30 ? 3
                                   : 4;
    if (n == 4)
        return 0;

    uint32_t character = n == 0 ? p[0] : p[0] & (0x3fU >> n);
    for (unsigned i = 1; i <= n; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        character = character << 6 | (p[i] & 0x3f);
    }
    *text += n + 1;
    return character < least[n] || character > 0x10ffff || character >> 11 == 0x1b ? 0 : character;
}

/* Whether TEXT has only characters that may be shown: no control characters of ASCII, and none of
 * U+0080 to U+009F, which some terminals obey as well. */
FUZZ_UNTRACED static inline bool fuzz_is_printable(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;

    while (*p) {
        uint32_t character = fuzz_decode(&p);
        if (character < ' ' || (character >= 0x7f && character < 0xa0))
            return false;
    }
    return true;
}

/* Checks the lines of DIAGNOSTICS, of which each begins with PREFIX. */
static inline void fuzz_check_lines(const struct diagnostics *diagnostics, const char *prefix)
{
    PROPERTY(diagnostics->n_lines == diagnostics->n_errors);
    for (size_t i = 0; i < diagnostics->n_lines; i++) {
        const char *line = diagnostics->lines[i];
        if (!fuzz_is_printable(line))
            fprintf(stderr, "%s\n", line);
        PROPERTY(fuzz_is_printable(line));
        PROPERTY(strncmp(line, prefix, strlen(prefix)) == 0 && strlen(line) > strlen(prefix));
    }
}
