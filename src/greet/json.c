/* SPDX-License-Identifier: MIT */
#include "greet/json.h"

#include <stddef.h>
#include <stdint.h>

/* The smallest code point that needs so many bytes: one written with more is not UTF-8. */
static const uint32_t smallest[] = {[1] = 0, [2] = 0x80, [3] = 0x800, [4] = 0x10000};

/* How many bytes the first one says there are; 0 if no character begins so. */
static size_t sequence_length(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first < 0xe0)
        return 2;
    if (first >= 0xe0 && first < 0xf0)
        return 3;
    return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

/* The length of the UTF-8 character at TEXT, or 0 if there is none (RFC 3629). */
static size_t character_length(const char *text)
{
    size_t length = sequence_length((unsigned char)text[0]);
    uint32_t code;

    if (length <= 1)
        return length;
    code = (unsigned char)text[0] & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | ((unsigned char)text[i] & 0x3f);
    }
    if (code < smallest[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    return length;
}

void json_string(FILE *stream, const char *text)
{
    putc('"', stream);
    while (*text != '\0') {
        size_t length = character_length(text);

        if (*text == '"' || *text == '\\')
            fprintf(stream, "\\%c", *text);
        else if (length == 0)
            fputs("\\ufffd", stream);
        else if ((unsigned char)*text < ' ')
            fprintf(stream, "\\u%04x", (unsigned char)*text);
        else
            fwrite(text, 1, length, stream);
        text += length > 0 ? length : 1;
    }
    putc('"', stream);
}
