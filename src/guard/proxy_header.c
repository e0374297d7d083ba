/* SPDX-License-Identifier: MIT */
#include "greetd/guard/proxy_header.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/guard/crc32c.h"
#include "greetd/net/address.h"

/* Version 2 (2.2): its signature, then a byte each for version and command, and for family and
 * transport protocol, then the length of the rest in two bytes. */
#define SIGNATURE_SIZE (sizeof(PROXY_SIGNATURE) - 1)
#define FIXED_SIZE     (SIGNATURE_SIZE + 4)

#define COMMAND_LOCAL 0
#define COMMAND_PROXY 1

#define FAMILY_UNSPEC    0
#define TRANSPORT_UNSPEC 0
#define TRANSPORT_DGRAM  2

#define TLV_FIXED_SIZE 3
#define TLV_CRC32C     3
#define CRC32C_SIZE    4

/* By the number of the family in version 2. The addresses of source and destination precede their
 * ports. */
static const struct {
    sa_family_t family;
    size_t address_size, port_size;
} families[] = {
    {AF_UNSPEC, 0, 0},
    {AF_INET, sizeof(struct in_addr), sizeof(in_port_t)},
    {AF_INET6, sizeof(struct in6_addr), sizeof(in_port_t)},
    {AF_UNIX, sizeof(((struct sockaddr_un *)0)->sun_path), 0},
};

static const char *const error_texts[PROXY_ERROR_N] = {
    [PROXY_OK] = "its PROXY header is right",
    [PROXY_NO_HEADER] = "it does not begin with a PROXY header",
    [PROXY_CUT] = "it ended within its PROXY header",
    [PROXY_LATE] = "its PROXY header was not complete in time",
    [PROXY_UNTRUSTED] = "it does not come from ProxyTrustedSources=",
    [PROXY_TOO_LONG] = "its PROXY header is too long",
    [PROXY_BAD_PROTOCOL] = "the protocol in its PROXY header is not TCP4, TCP6 or UNKNOWN",
    [PROXY_BAD_ADDRESS] = "an address in its PROXY header is not one of its protocol",
    [PROXY_BAD_PORT] = "a port in its PROXY header is not a number from 0 to 65535",
    [PROXY_BAD_LINE_END] = "its PROXY header does not end with CR and LF",
    [PROXY_BAD_VERSION] = "its PROXY header is of an unknown version",
    [PROXY_BAD_COMMAND] = "its PROXY header has an unknown command",
    [PROXY_BAD_FAMILY] = "its PROXY header has an unknown address family or transport protocol",
    [PROXY_BAD_LENGTH] = "its PROXY header is too short for its addresses",
    [PROXY_BAD_TLV] = "its PROXY header has a TLV of a wrong length",
    [PROXY_BAD_CHECKSUM] = "the checksum of its PROXY header is wrong",
};

const char *proxy_error_text(enum proxy_error error)
{
    return error_texts[error];
}

static struct peer make_peer(sa_family_t family, const void *address, uint16_t port)
{
    struct address from = {.sa.sa_family = family};

    if (family == AF_INET) {
        from.in.sin_port = htons(port);
        memcpy(&from.in.sin_addr, address, sizeof(from.in.sin_addr));
    } else if (family == AF_INET6) {
        from.in6.sin6_port = htons(port);
        memcpy(&from.in6.sin6_addr, address, sizeof(from.in6.sin6_addr));
    }
    return peer_from_sockaddr(&from.sa, sizeof(from.storage));
}

/* The functions below that read return 1 if what they read is complete, 0 if more is needed, or the
 * negative of an enum proxy_error. Each looks at bytes in their order, so the first wrong one
 * decides. */

/* A line of version 1: what is not read yet of what has arrived. */
struct line {
    const char *next, *end;
};

static size_t line_left(const struct line *line)
{
    return (size_t)(line->end - line->next);
}

/* Reads WORD, or anything else with ERROR. */
static int read_word(struct line *line, const char *word, enum proxy_error error)
{
    size_t length = strlen(word), left = line_left(line);

    if (memcmp(line->next, word, left < length ? left : length) != 0)
        return -(int)error;
    if (left < length)
        return 0;
    line->next += length;
    return 1;
}

/* Whether the LENGTH bytes at TEXT are an address of FAMILY, or if not COMPLETE, its beginning: one
 * of the ends makes an address of every beginning. */
static bool is_address(sa_family_t family, void *ret, const char *text, size_t length,
                       bool complete)
{
    static const char *const ends[] = {"",    "::",   ":",     "0",      ".0",
                                       "0.0", ".0.0", "0.0.0", ".0.0.0", "0.0.0.0"};
    char buffer[INET6_ADDRSTRLEN + sizeof("0.0.0.0")];

    if (length >= INET6_ADDRSTRLEN || memchr(text, '\0', length))
        return false;
    for (size_t i = 0; i < (complete ? 1 : ELEMENTSOF(ends)); i++) {
        strcpy(mempcpy(buffer, text, length), ends[i]);
        if (inet_pton(family, buffer, ret) == 1)
            return true;
    }
    return false;
}

/* Reads an IPv4 address, or if IN6 also an IPv6 address, with the space behind it. */
static int read_address(struct line *line, bool in6, struct peer *ret)
{
    const char *text = line->next, *space = memchr(text, ' ', line_left(line));
    size_t length = space ? (size_t)(space - text) : line_left(line);
    struct in6_addr address;

    if (is_address(AF_INET, &address, text, length, space))
        *ret = make_peer(AF_INET, &address, 0);
    else if (in6 && is_address(AF_INET6, &address, text, length, space))
        *ret = make_peer(AF_INET6, &address, 0);
    else
        return -PROXY_BAD_ADDRESS;
    if (!space)
        return 0;
    line->next = space + 1;
    return 1;
}

/* Reads a port without leading zeros, up to the first byte that is no digit. */
static int read_port(struct line *line, uint16_t *ret)
{
    const char *first = line->next;
    uint32_t port = 0;

    while (line->next < line->end && *line->next >= '0' && *line->next <= '9') {
        if (line->next > first && *first == '0')
            return -PROXY_BAD_PORT;
        port = port * 10 + (uint32_t)(*line->next++ - '0');
        if (port > UINT16_MAX)
            return -PROXY_BAD_PORT;
    }
    if (line->next == line->end)
        return 0;
    if (line->next == first)
        return -PROXY_BAD_PORT;
    *ret = (uint16_t)port;
    return 1;
}

/* Reads addresses and ports. nginx chooses TCP4 or TCP6 by the source alone, so the destination,
 * which has no use here, may be of the other family. TCP6 also allows an IPv4 source. */
static int read_endpoints(struct line *line, bool in6, struct peer *ret)
{
    struct peer source, destination;
    uint16_t port = 0, destination_port;

    int r = read_address(line, in6, &source);
    if (r > 0)
        r = read_address(line, true, &destination);
    if (r > 0)
        r = read_port(line, &port);
    if (r > 0)
        r = read_word(line, " ", PROXY_BAD_PORT);
    if (r > 0)
        r = read_port(line, &destination_port);
    if (r > 0)
        r = read_word(line, "\r\n", PROXY_BAD_LINE_END);
    if (r <= 0)
        return r;
    *ret = source;
    ret->port = port;
    return 1;
}

/* Reads all up to CRLF: a receiver must ignore what follows UNKNOWN (2.1). */
static int skip_line(struct line *line)
{
    const char *crlf = memmem(line->next, line_left(line), "\r\n", 2);

    if (!crlf)
        return 0;
    line->next = crlf + 2;
    return 1;
}

static int read_line(struct line *line, struct proxy_header *header)
{
    int r = read_word(line, "PROXY ", PROXY_NO_HEADER);
    if (r <= 0)
        return r;
    r = read_word(line, "UNKNOWN", PROXY_BAD_PROTOCOL);
    if (r >= 0)
        return r > 0 ? skip_line(line) : 0;

    r = read_word(line, "TCP6 ", PROXY_BAD_PROTOCOL);
    bool in6 = r > 0;
    if (r < 0)
        r = read_word(line, "TCP4 ", PROXY_BAD_PROTOCOL);
    if (r <= 0)
        return r;
    header->has_source = true;
    return read_endpoints(line, in6, &header->source);
}

static int parse_v1(struct proxy_header *header, const char *bytes, size_t size)
{
    struct line line = {.next = bytes,
                        .end = bytes + (size < PROXY_LINE_MAX ? size : PROXY_LINE_MAX)};

    int r = read_line(&line, header);
    if (r == 0 && size >= PROXY_LINE_MAX)
        return -PROXY_TOO_LONG;
    header->size = (size_t)(line.next - bytes);
    return r;
}

/* Returns the 16 bits at OFFSET, of SIZE bytes that have arrived. Missing bytes count as zeros, so
 * the number is never too great. */
static size_t read_16(const unsigned char *bytes, size_t size, size_t offset)
{
    return (size > offset ? (size_t)bytes[offset] << 8 : 0) |
           (size > offset + 1 ? bytes[offset + 1] : 0);
}

/* Checks the two bytes behind the signature, as far as they have arrived. */
static int check_kind(const unsigned char *bytes, size_t size)
{
    const unsigned char *kind = bytes + SIGNATURE_SIZE;

    if (size <= SIGNATURE_SIZE)
        return 0;
    if (kind[0] >> 4 != 2)
        return -PROXY_BAD_VERSION;
    if ((kind[0] & 0xf) > COMMAND_PROXY)
        return -PROXY_BAD_COMMAND;
    if (size == SIGNATURE_SIZE + 1)
        return 0;
    if ((kind[0] & 0xf) == COMMAND_PROXY &&
        (kind[1] >> 4 >= (int)ELEMENTSOF(families) || (kind[1] & 0xf) > TRANSPORT_DGRAM))
        return -PROXY_BAD_FAMILY;
    return 1;
}

/* Compares the checksum at OFFSET with that of the header in which it is zero (2.2.3). */
static int check_crc(const unsigned char *bytes, size_t total, size_t offset)
{
    static const char zeros[CRC32C_SIZE];
    size_t end = offset + CRC32C_SIZE;
    uint32_t expected;

    uint32_t crc = crc32c(0, bytes, offset);
    crc = crc32c(crc, zeros, sizeof(zeros));
    crc = crc32c(crc, bytes + end, total - end);
    memcpy(&expected, bytes + offset, sizeof(expected));
    return crc == ntohl(expected) ? 1 : -PROXY_BAD_CHECKSUM;
}

/* Reads the TLVs from OFFSET to the end of the header at TOTAL. */
static int read_tlvs(const unsigned char *bytes, size_t size, size_t offset, size_t total)
{
    size_t crc = 0;

    while (offset < total) {
        size_t value = offset + TLV_FIXED_SIZE, length = read_16(bytes, size, offset + 1);
        bool is_crc = size > offset && bytes[offset] == TLV_CRC32C;

        if (length > (is_crc ? CRC32C_SIZE : total) || value + length > total)
            return -PROXY_BAD_TLV;
        if (size < value)
            return 0;
        if (is_crc && length < CRC32C_SIZE)
            return -PROXY_BAD_TLV;
        if (is_crc)
            crc = value;
        offset = value + length;
    }
    if (size < total)
        return 0;
    return crc > 0 ? check_crc(bytes, total, crc) : 1;
}

/* Reads what follows the length. Without a family, nothing in it is known but its size. */
static int read_contents(struct proxy_header *header, const unsigned char *bytes, size_t size)
{
    unsigned command = bytes[SIGNATURE_SIZE] & 0xf, transport = bytes[SIGNATURE_SIZE + 1] & 0xf;
    unsigned family = bytes[SIGNATURE_SIZE + 1] >> 4;

    if (command == COMMAND_LOCAL || family == FAMILY_UNSPEC || transport == TRANSPORT_UNSPEC)
        return size >= header->size;

    size_t ports = FIXED_SIZE + 2 * families[family].address_size;
    size_t tlvs = ports + 2 * families[family].port_size;
    if (header->size < tlvs)
        return -PROXY_BAD_LENGTH;
    int r = read_tlvs(bytes, size, tlvs, header->size);
    if (r > 0) {
        header->has_source = true;
        header->source = make_peer(families[family].family, bytes + FIXED_SIZE,
                                   (uint16_t)read_16(bytes, tlvs, ports));
    }
    return r;
}

static int parse_v2(struct proxy_header *header, const unsigned char *bytes, size_t size)
{
    int r;

    if (memcmp(bytes, PROXY_SIGNATURE, size < SIGNATURE_SIZE ? size : SIGNATURE_SIZE) != 0)
        return -PROXY_NO_HEADER;
    r = check_kind(bytes, size);
    if (r <= 0)
        return r;
    header->size = FIXED_SIZE + read_16(bytes, size, FIXED_SIZE - 2);
    if (header->size > PROXY_HEADER_MAX)
        return -PROXY_TOO_LONG;
    return size < FIXED_SIZE ? 0 : read_contents(header, bytes, size);
}

int proxy_header_parse(struct proxy_header *ret, enum proxy_error *ret_error, const char *bytes,
                       size_t size)
{
    struct proxy_header header = {.size = 0};
    int r;

    if (size == 0)
        return 0;
    r = bytes[0] == PROXY_SIGNATURE[0] ? parse_v2(&header, (const unsigned char *)bytes, size)
                                       : parse_v1(&header, bytes, size);
    if (r < 0) {
        *ret_error = (enum proxy_error)(-r);
        return -EBADMSG;
    }
    if (r > 0)
        *ret = header;
    return r;
}
