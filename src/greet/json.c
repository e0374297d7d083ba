/* SPDX-License-Identifier: MIT */
#include "greet/json.h"

#include "greetd/base/text.h"

void json_string(FILE *stream, const char *text)
{
    putc('"', stream);
    while (*text != '\0') {
        size_t length = text_utf8_length(text);

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
