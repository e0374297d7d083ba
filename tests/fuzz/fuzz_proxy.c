/* SPDX-License-Identifier: MIT */

/* PROXY headers: the verdict is the same however the stream is split, and what is written is read
 * back. */

#include <errno.h>

#include "fuzz.h"
#include "fuzz_peer.h"
#include "greetd/base/cleanup.h"
#include "greetd/guard/proxy_format.h"
#include "greetd/guard/proxy_header.h"

#define FIXED_SIZE 16

struct verdict {
    int r;
    enum proxy_error error;
    struct proxy_header header;
};

/* Parses a copy of SIZE BYTES, behind which no byte can be read without ASan's notice. */
static struct verdict parse(const uint8_t *bytes, size_t size)
{
    struct verdict verdict = {.error = PROXY_OK};
    char *copy = malloc(size);

    PROPERTY(copy || size == 0);
    if (size > 0)
        memcpy(copy, bytes, size);
    verdict.r = proxy_header_parse(&verdict.header, &verdict.error, copy, size);
    free(copy);
    PROPERTY(verdict.r == 0 || verdict.r == 1 || verdict.r == -EBADMSG);
    PROPERTY((verdict.r == -EBADMSG) == (verdict.error != PROXY_OK));
    PROPERTY(verdict.r != 1 ||
             (verdict.header.size <= size && verdict.header.size <= PROXY_HEADER_MAX));
    return verdict;
}

/* Once there is a verdict on a part of the stream, it stays. */
static void check_part(const uint8_t *bytes, size_t size, const struct verdict *whole)
{
    struct verdict part = parse(bytes, size);

    if (part.r == 0) {
        PROPERTY(whole->r != 1 || size < whole->header.size);
        return;
    }
    PROPERTY(part.r == whole->r && part.error == whole->error);
    PROPERTY(part.r != 1 || (part.header.size == whole->header.size &&
                             part.header.has_source == whole->header.has_source));
    if (part.header.has_source)
        PROPERTY(fuzz_same_peer(&part.header.source, &whole->header.source));
}

FUZZ_UNTRACED static uint32_t crc32c_by_bits(const uint8_t *bytes, size_t size)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

/* A header whose only mistake is its checksum is right with the right one. */
static void check_checksum(const uint8_t *bytes)
{
    static const size_t addresses[] = {0, 12, 36, 216};
    size_t size = FIXED_SIZE + ((size_t)bytes[14] << 8 | bytes[15]), crc = 0;
    uint8_t *copy = malloc(size);

    PROPERTY(copy);
    memcpy(copy, bytes, size);
    for (size_t at = FIXED_SIZE + addresses[bytes[13] >> 4]; at < size;
         at += 3 + ((size_t)copy[at + 1] << 8 | copy[at + 2]))
        if (copy[at] == 3)
            crc = at + 3;
    PROPERTY(crc > 0);
    memset(copy + crc, 0, 4);
    uint32_t right = htonl(crc32c_by_bits(copy, size));
    memcpy(copy + crc, &right, sizeof(right));
    PROPERTY(parse(copy, size).r == 1);
    copy[crc] ^= 1;
    PROPERTY(parse(copy, size).error == PROXY_BAD_CHECKSUM);
    free(copy);
}

/* Whether ENDING makes a header of version 1 of the SIZE BYTES. */
static bool is_completed_by(const uint8_t *bytes, size_t size, const char *ending, const char *rest)
{
    char line[PROXY_LINE_MAX + 1];
    int n = snprintf(line, sizeof(line), "%.*s%s%s", (int)size, (const char *)bytes, ending, rest);

    return parse((const uint8_t *)line, (size_t)n).r == 1;
}

/* Whether a header of version 1 can begin with the SIZE BYTES. */
static bool can_begin(const uint8_t *bytes, size_t size)
{
    static const char *const lines[] = {"PROXY UNKNOWN\r\n", "PROXY TCP4 0.0.0.0 :: 0 0\r\n",
                                        "PROXY TCP6 :: :: 0 0\r\n"};
    static const char *const addresses[] = {"",    "0",    "::",    ":",     ".0",
                                            "0.0", ".0.0", "0.0.0", ".0.0.0"};
    static const char *const rests[] = {" :: 0 0\r\n", ":: 0 0\r\n", " 0 0\r\n", "0 0\r\n",
                                        " 0\r\n",      "0\r\n",      "\r\n",     "\n"};

    for (size_t i = 0; i < ELEMENTSOF(lines); i++)
        if (size < strlen(lines[i]) && is_completed_by(bytes, size, lines[i] + size, ""))
            return true;
    for (size_t i = 0; i < ELEMENTSOF(addresses); i++)
        for (size_t j = 0; j < ELEMENTSOF(rests); j++)
            if (is_completed_by(bytes, size, addresses[i], rests[j]))
                return true;
    return false;
}

/* There is a verdict on version 1 as soon as its first wrong byte has arrived. */
static void check_first_wrong_byte(const uint8_t *bytes)
{
    size_t size = 1;

    while (parse(bytes, size).r == 0)
        size++;
    if (bytes[0] == 'P' && size <= PROXY_LINE_MAX / 2 && !memchr(bytes, '\0', size))
        PROPERTY(can_begin(bytes, size - 1));
}

static void check_parse(const uint8_t *bytes, size_t size)
{
    struct verdict whole = parse(bytes, size);

    for (size_t n = 0; n < size; n += n < 32 ? 1 : 1 + n / 16)
        check_part(bytes, n, &whole);
    if (whole.r == 1) {
        check_part(bytes, whole.header.size - 1, &whole);
        check_part(bytes, whole.header.size, &whole);
    }
    if (whole.r < 0)
        check_first_wrong_byte(bytes);
    if (whole.error == PROXY_BAD_CHECKSUM)
        check_checksum(bytes);
}

/* Version 1 has no place for a client of a Unix socket. An IPv4 address in a header of IPv6 is
 * mapped. */
static void check_format(struct fuzz_input *input, enum proxy_version version)
{
    struct peer source = fuzz_take_peer(input);
    struct address destination = fuzz_take_address(input);
    uint8_t buffer[PROXY_FORMAT_MAX];
    size_t size = proxy_format_header((char *)buffer, version, &source, &destination);
    struct verdict verdict = parse(buffer, size);
    bool has_source =
        peer_is_internet(&source) || (version == PROXY_V2 && source.family == AF_UNIX);

    PROPERTY(size > 0 && size <= sizeof(buffer));
    PROPERTY(verdict.r == 1 && verdict.header.size == size);
    PROPERTY(verdict.header.has_source == has_source);
    if (!has_source)
        return;
    source.scope = 0;
    if (source.family == AF_UNIX)
        source.un = verdict.header.source.un;
    PROPERTY(fuzz_same_peer(&verdict.header.source, &source));
}

/* The first byte decides what the rest is. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {bytes, size};
    uint64_t kind = fuzz_take_number(&input, 1);

    if (kind == 1 || kind == 2)
        check_format(&input, kind == 1 ? PROXY_V1 : PROXY_V2);
    else
        check_parse(input.bytes, input.size);
    return 0;
}
