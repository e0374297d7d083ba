/* SPDX-License-Identifier: MIT */
#include "greetd/guard/proxy_header.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "greetd/guard/proxy_format.h"
#include "support/net.h"
#include "support/proxy_rows.h"

#define IN        "\xc0\x00\x02\x01\xc0\x00\x02\x02"
#define IN6       IN6_PREFIX "\x01" IN6_PREFIX "\x02"
#define MAPPED    MAPPED_PREFIX "\xc0\x00\x02\x01" MAPPED_PREFIX "\xc0\x00\x02\x02"
#define PORTS     "\xd4\x31\x00\x50"
#define TEN_ZEROS "\0\0\0\0\0\0\0\0\0\0"

#define IN6_PREFIX    "\x20\x01\x0d\xb8" TEN_ZEROS "\0"
#define MAPPED_PREFIX TEN_ZEROS "\xff\xff"
#define HUNDRED_ZEROS                                                                              \
    TEN_ZEROS TEN_ZEROS TEN_ZEROS TEN_ZEROS TEN_ZEROS TEN_ZEROS TEN_ZEROS TEN_ZEROS TEN_ZEROS      \
        TEN_ZEROS
#define UNIX "/client\0" HUNDRED_ZEROS "/server\0" HUNDRED_ZEROS

/* HAProxy 2.6 sent these, from 127.0.0.1: with send-proxy-v2 and proxy-v2-options crc32c,unique-id;
 * and for a client with a certificate, with all options. */
#define HAPROXY_CRC32C                                                                             \
    PROXY_SIGNATURE "\x21\x11\x00\x44\x7f\x00\x00\x01\x7f\x00\x00\x01\x9f\x62\x1c\x3f"             \
                    "\x03\x00\x04\x39\x61\xd4\x70"                                                 \
                    "\x05\x00\x2e"                                                                 \
                    "7F000001:9F62_7F000001:1C3F_6B07BE9B_000A:6C29"
#define HAPROXY_ALL                                                                                \
    PROXY_SIGNATURE "\x21\x11\x00\xb3\x7f\x00\x00\x01\x7f\x00\x00\x01\x98\x9c\x1c\x35"             \
                    "\x03\x00\x04\x2f\x22\xa8\x60"                                                 \
                    "\x02\x00\x15"                                                                 \
                    "authority.example.org"                                                        \
                    "\x05\x00\x2e"                                                                 \
                    "7F000001:989C_7F000001:1C35_6B07BE9B_000B:6C29"                               \
                    "\x20\x00\x54\x07\x00\x00\x00\x00"                                             \
                    "\x21\x00\x07"                                                                 \
                    "TLSv1.3"                                                                      \
                    "\x22\x00\x12"                                                                 \
                    "client.example.org"                                                           \
                    "\x25\x00\x07"                                                                 \
                    "RSA2048"                                                                      \
                    "\x24\x00\x0a"                                                                 \
                    "RSA-SHA256"                                                                   \
                    "\x23\x00\x16"                                                                 \
                    "TLS_AES_256_GCM_SHA384"

#define RIGHT(text, from)                                                                          \
    {                                                                                              \
        PROXY_BYTES(PROXY_SIGNATURE text), .source = from                                          \
    }

ParameterizedTestParameters(proxy_header_v2, accepts_a_header_at_its_last_byte)
{
    static struct proxy_row rows[] = {
        RIGHT("\x21\x11\x00\x0c" IN PORTS, "192.0.2.1:54321"),
        RIGHT("\x21\x12\x00\x0c" IN PORTS, "192.0.2.1:54321"),
        RIGHT("\x21\x21\x00\x24" IN6 PORTS, "[2001:db8::1]:54321"),
        RIGHT("\x21\x22\x00\x24" IN6 PORTS, "[2001:db8::1]:54321"),
        RIGHT("\x21\x21\x00\x24" MAPPED PORTS, "192.0.2.1:54321"),
        RIGHT("\x21\x31\x00\xd8" UNIX, "unix"),
        RIGHT("\x21\x32\x00\xd8" UNIX, "unix"),
        /* The sender's own connections, whatever the contents. */
        RIGHT("\x20\x00\x00\x00", ""),
        RIGHT("\x20\x11\x00\x0c" IN PORTS, ""),
        RIGHT("\x20\xff\x00\x05"
              "\x04\xff\xff\xff\xff",
              ""),
        RIGHT("\x21\x00\x00\x00", ""),
        RIGHT("\x21\x00\x00\x04\x03\xff\xff\xff", ""),
        RIGHT("\x21\x01\x00\x08" IN, ""),
        RIGHT("\x21\x10\x00\x0c" IN PORTS, ""),
        RIGHT("\x21\x20\x00\x00", ""),
        /* TLVs: PP2_TYPE_NOOP without a value, one with zeros, an unknown one. */
        RIGHT("\x21\x11\x00\x15" IN PORTS "\x04\x00\x00"
              "\x04\x00\x00"
              "\xff\x00\x00",
              "192.0.2.1:54321"),
        RIGHT("\x21\x11\x00\x14" IN PORTS "\x04\x00\x05\0\0\0\0\0", "192.0.2.1:54321"),
        RIGHT("\x21\x31\x00\xdc" UNIX "\xea\x00\x01\x07", "unix"),
        {PROXY_BYTES(HAPROXY_CRC32C), "127.0.0.1:40802"},
        {PROXY_BYTES(HAPROXY_ALL), "127.0.0.1:39068"},
    };
    return cr_make_param_array(struct proxy_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct proxy_row *row, proxy_header_v2, accepts_a_header_at_its_last_byte)
{
    proxy_check_right(row);
}

#define WRONG(text, number, kind)                                                                  \
    {                                                                                              \
        PROXY_BYTES(PROXY_SIGNATURE text "more"), .wrong = (number), .error = (kind)               \
    }

ParameterizedTestParameters(proxy_header_v2, refuses_a_header_at_its_first_wrong_byte)
{
    static struct proxy_row rows[] = {
        {PROXY_BYTES("\r\n\r\nGET / HTTP/1.0\r\n"), .wrong = 5, .error = PROXY_NO_HEADER},
        WRONG("\x11\x11\x00\x00", 13, PROXY_BAD_VERSION),
        WRONG("\x31\x11\x00\x00", 13, PROXY_BAD_VERSION),
        WRONG("\x01\x11\x00\x00", 13, PROXY_BAD_VERSION),
        WRONG("\x22\x11\x00\x00", 13, PROXY_BAD_COMMAND),
        WRONG("\x2f\x11\x00\x00", 13, PROXY_BAD_COMMAND),
        WRONG("\x21\x41\x00\x00", 14, PROXY_BAD_FAMILY),
        WRONG("\x21\xf0\x00\x00", 14, PROXY_BAD_FAMILY),
        WRONG("\x21\x13\x00\x0c", 14, PROXY_BAD_FAMILY),
        WRONG("\x21\x0f\x00\x00", 14, PROXY_BAD_FAMILY),
        WRONG("\x21\x11\x10\x00", 15, PROXY_TOO_LONG),
        WRONG("\x21\x11\x0f\xf1", 16, PROXY_TOO_LONG),
        WRONG("\x20\x00\xff\xff", 15, PROXY_TOO_LONG),
        WRONG("\x21\x11\x00\x00", 16, PROXY_BAD_LENGTH),
        WRONG("\x21\x11\x00\x0b", 16, PROXY_BAD_LENGTH),
        WRONG("\x21\x22\x00\x23", 16, PROXY_BAD_LENGTH),
        WRONG("\x21\x31\x00\xd7", 16, PROXY_BAD_LENGTH),
        /* A TLV that has no room for its length, or for its value. */
        WRONG("\x21\x11\x00\x0d" IN PORTS "\x04", 16, PROXY_BAD_TLV),
        WRONG("\x21\x11\x00\x0e" IN PORTS "\x04\x00", 16, PROXY_BAD_TLV),
        WRONG("\x21\x11\x00\x0f" IN PORTS "\x04\x00\x01", 31, PROXY_BAD_TLV),
        WRONG("\x21\x11\x00\x0f" IN PORTS "\x04\x01\x00", 30, PROXY_BAD_TLV),
        WRONG("\x21\x11\x00\x14" IN PORTS "\x04\x00\x03\0\0\0\0\0", 31, PROXY_BAD_TLV),
        WRONG("\x21\x11\x00\x14" IN PORTS "\x04\x00\x02\0\0\x04\x00\x01", 36, PROXY_BAD_TLV),
        /* PP2_TYPE_CRC32C of another size, and with another value. */
        WRONG("\x21\x11\x00\x12" IN PORTS "\x03\x00\x03\0\0\0", 31, PROXY_BAD_TLV),
        WRONG("\x21\x11\x00\x14" IN PORTS "\x03\x00\x05\0\0\0\0\0", 31, PROXY_BAD_TLV),
        WRONG("\x21\x11\x01\x13" IN PORTS "\x03\x01\x04\0\0\0\0\0", 30, PROXY_BAD_TLV),
        WRONG("\x21\x11\x00\x13" IN PORTS "\x03\x00\x04\0\0\0\0", 35, PROXY_BAD_CHECKSUM),
    };
    return cr_make_param_array(struct proxy_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct proxy_row *row, proxy_header_v2, refuses_a_header_at_its_first_wrong_byte)
{
    proxy_check_wrong(row);
}

Test(proxy_header_v2, refuses_each_wrong_byte_of_the_signature)
{
    for (size_t i = 1; i < sizeof(PROXY_SIGNATURE) - 1; i++) {
        struct proxy_row row = {PROXY_BYTES(PROXY_SIGNATURE), .wrong = i + 1,
                                .error = PROXY_NO_HEADER};
        row.bytes[i] ^= 1;
        proxy_check_wrong(&row);
    }
}

/* The bits of the fixed part and of the TLVs' lengths have errors of their own. */
Test(proxy_header_v2, a_checksum_finds_each_bit_that_is_wrong)
{
    for (size_t bit = 0; bit < 8 * (sizeof(HAPROXY_CRC32C) - 1); bit++) {
        char bytes[] = HAPROXY_CRC32C;
        struct proxy_header header;
        enum proxy_error error;

        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        int r = proxy_parse(&header, &error, bytes, sizeof(bytes) - 1);
        bool in_addresses = bit / 8 >= 16 && bit / 8 < 28,
             in_checksum = bit / 8 >= 31 && bit / 8 < 35;
        if (in_addresses || in_checksum || bit / 8 >= 38)
            cr_expect(r < 0 && error == PROXY_BAD_CHECKSUM, "bit %zu: %d", bit, r);
    }
}

Test(proxy_header_v2, accepts_PROXY_HEADER_MAX_bytes)
{
    char bytes[PROXY_HEADER_MAX] = PROXY_SIGNATURE "\x21\x11\x0f\xf0" IN PORTS "\x04\x0f\xe1";
    struct proxy_header header;
    enum proxy_error error;

    cr_expect_eq(proxy_parse(&header, &error, bytes, sizeof(bytes) - 1), 0);
    cr_expect_eq(proxy_parse(&header, &error, bytes, sizeof(bytes)), 1);
    cr_expect_eq(header.size, PROXY_HEADER_MAX);
}

/* A generator of numbers that are the same in each run (Numerical Recipes). */
static uint32_t next_number(uint32_t *state)
{
    return *state = *state * 1664525 + 1013904223;
}

/* Checks that the stream SIZE bytes at BYTES has one result however it is split. */
static void check_any_split(const char *bytes, size_t size)
{
    int found = 0;
    enum proxy_error error, found_error = PROXY_OK;
    struct proxy_header header, found_header = {.size = 0};

    for (size_t n = 0; n <= size; n++) {
        int r = proxy_parse(&header, &error, bytes, n);
        if (found == 0) {
            found = r;
            found_error = error;
            found_header = header;
        }
        cr_assert(r == found && error == found_error && header.size == found_header.size,
                  "%d, then %d after %zu bytes", found, r, n);
        cr_assert(r <= 0 || header.size <= n);
    }
}

Test(proxy_header_v2, has_the_same_result_however_the_stream_is_split)
{
    static const char *const sources[] = {"192.0.2.1:5", "[2001:db8::1]:5", "[::ffff:1.2.3.4]:5"};
    struct address to = net_address("[2001:db8::2]:80");
    uint32_t state = 1;

    for (unsigned i = 0; i < 6000; i++) {
        struct address from = net_address(sources[i % ELEMENTSOF(sources)]);
        struct peer source = peer_from_sockaddr(&from.sa, from.length);
        char bytes[PROXY_FORMAT_MAX + 8] = "";
        size_t size = proxy_format_header(bytes, i & 1 ? PROXY_V1 : PROXY_V2, &source, &to) + 8;

        for (unsigned j = 0; j <= i % 3; j++)
            bytes[next_number(&state) % size] = (char)(next_number(&state) >> 24);
        check_any_split(bytes, size);
    }
    for (unsigned i = 0; i < 6000; i++) {
        char bytes[] = HAPROXY_ALL;
        bytes[next_number(&state) % (sizeof(bytes) - 1)] = (char)(next_number(&state) >> 24);
        check_any_split(bytes, sizeof(bytes));
    }
}
