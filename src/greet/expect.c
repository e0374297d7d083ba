/* SPDX-License-Identifier: MIT */
#include "greet/expect.h"

#include <stdio.h>
#include <string.h>

static size_t count_equal(const char *a, const char *b, size_t size)
{
    size_t n = 0;

    if (memcmp(a, b, size) == 0)
        return size;
    while (a[n] == b[n])
        n++;
    return n;
}

bool expect_bytes(struct expect *expect, const char *bytes, size_t size)
{
    size_t left = expect->greeting->size - expect->matched;
    size_t n;

    if (expect->wrong)
        return false;
    n = count_equal(expect->greeting->bytes + expect->matched, bytes, size < left ? size : left);
    expect->matched += n;
    if (n == size)
        return true;
    expect->wrong = true;
    expect->got = (unsigned char)bytes[n];
    return false;
}

bool expect_explain(const struct expect *expect, char *buffer)
{
    const struct greeting *greeting = expect->greeting;

    if (!expect->wrong && expect->matched == greeting->size)
        return true;
    if (!expect->wrong)
        snprintf(buffer, EXPECT_TEXT_MAX, "it ends after %zu bytes of %zu", expect->matched,
                 greeting->size);
    else if (expect->matched == greeting->size)
        snprintf(buffer, EXPECT_TEXT_MAX, "it goes on after %zu bytes", expect->matched);
    else
        snprintf(buffer, EXPECT_TEXT_MAX, "it differs at byte %zu: \\x%02x instead of \\x%02x",
                 expect->matched + 1, expect->got, (unsigned char)greeting->bytes[expect->matched]);
    return false;
}
