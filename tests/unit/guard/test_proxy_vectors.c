/* SPDX-License-Identifier: MIT */

/* tests/vectors/proxy.tsv: PROXY headers of the specification and of the tests of go-proxyproto.
 * tests/integration/test_proxy_vectors.py sends the same to nginx and HAProxy. */

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdlib.h>

#include "support/proxy_rows.h"
#include "support/vectors.h"

#define SIZE_MAX_OF_ROW 66000
#define SIGNATURE_WORD  "sig"

enum { NAME, BYTES, SOURCE, GREETD, NGINX, HAPROXY, WHY };

static const char *const errors[PROXY_ERROR_N] = {
    [PROXY_NO_HEADER] = "NO_HEADER",       [PROXY_TOO_LONG] = "TOO_LONG",
    [PROXY_BAD_PROTOCOL] = "BAD_PROTOCOL", [PROXY_BAD_ADDRESS] = "BAD_ADDRESS",
    [PROXY_BAD_PORT] = "BAD_PORT",         [PROXY_BAD_LINE_END] = "BAD_LINE_END",
    [PROXY_BAD_VERSION] = "BAD_VERSION",   [PROXY_BAD_COMMAND] = "BAD_COMMAND",
    [PROXY_BAD_FAMILY] = "BAD_FAMILY",     [PROXY_BAD_LENGTH] = "BAD_LENGTH",
    [PROXY_BAD_TLV] = "BAD_TLV",           [PROXY_BAD_CHECKSUM] = "BAD_CHECKSUM",
};

/* Reads pairs of hexadecimal digits, or HH*N, to BYTES (SIZE bytes); returns their number. */
static size_t read_hex(const char *text, char *bytes, size_t size, const char **ret_end)
{
    size_t n = 0, times = 1;

    while (isxdigit((unsigned char)text[0])) {
        char digits[] = {text[0], text[1], '\0'};
        cr_assert(isxdigit((unsigned char)text[1]) && n < size, "%s", text);
        bytes[n++] = (char)strtoul(digits, NULL, 16);
        text += 2;
    }
    if (*text == '*') {
        times = strtoul(text + 1, (char **)&text, 10);
        cr_assert(n == 1 && times <= size);
        memset(bytes, bytes[0], times);
    }
    *ret_end = text;
    return n * times;
}

/* Reads the bytes of a row, as the head of the table explains. */
static size_t read_bytes(const char *text, char *bytes, size_t size)
{
    size_t n = 0;

    while (*text != '\0') {
        size_t signature = sizeof(PROXY_SIGNATURE) - 1;

        if (*text == '"') {
            n += vectors_unquote(text, bytes + n, size - n, &text);
        } else if (strncmp(text, SIGNATURE_WORD, strlen(SIGNATURE_WORD)) == 0) {
            memcpy(bytes + n, PROXY_SIGNATURE, signature);
            n += signature;
            text += strlen(SIGNATURE_WORD);
        } else {
            n += read_hex(text, bytes + n, size - n, &text);
        }
        cr_assert(*text == ' ' || *text == '\0', "%s", text);
        text += *text == ' ';
    }
    return n;
}

/* Returns what becomes of the client that sends SIZE bytes, in BUFFER or as static text. */
static const char *verdict(const char *bytes, size_t size, char *buffer)
{
    struct proxy_header header;
    enum proxy_error error;
    int r = proxy_parse(&header, &error, bytes, size);

    if (r == 0)
        return "more";
    if (r < 0)
        return errors[error];
    cr_expect_eq(header.size, size);
    return header.has_source ? peer_format(&header.source, buffer) : "local";
}

static bool is_refusal(const char *text)
{
    return isupper((unsigned char)text[0]) || strcmp(text, "more") == 0 ||
           strcmp(text, "invalid") == 0 || strcmp(text, "refused") == 0;
}

static bool is_same(const char *a, const char *b)
{
    return is_refusal(a) ? is_refusal(b) : strcmp(a, b) == 0;
}

Test(proxy_vectors, have_the_verdict_of_the_table)
{
    const char *columns[VECTOR_COLUMNS];
    char line[1024], bytes[SIZE_MAX_OF_ROW], buffer[ADDRESS_TEXT_MAX];
    size_t n_rows = 0;

    FILE *file = vectors_open("proxy");
    for (; vectors_next(file, line, sizeof(line), columns); n_rows++) {
        size_t n = read_bytes(columns[BYTES], bytes, sizeof(bytes));
        const char *greetd = verdict(bytes, n, buffer);

        cr_expect_str_eq(greetd, columns[GREETD], "%s: %s", columns[NAME], greetd);
    }
    fclose(file);
    cr_expect_gt(n_rows, 100u);
}

Test(proxy_vectors, differ_from_their_source_or_from_both_programs_for_a_reason)
{
    const char *columns[VECTOR_COLUMNS];
    char line[1024];

    FILE *file = vectors_open("proxy");
    while (vectors_next(file, line, sizeof(line), columns)) {
        const char *greetd = columns[GREETD];
        bool is_usual = is_same(greetd, columns[SOURCE]) &&
                        (is_same(greetd, columns[NGINX]) || is_same(greetd, columns[HAPROXY]));

        cr_expect_eq(is_usual, columns[WHY][0] == '\0', "%s", columns[NAME]);
    }
    fclose(file);
}
