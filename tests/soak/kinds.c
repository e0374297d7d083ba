/* SPDX-License-Identifier: MIT */
#include "kinds.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define FORTUNES 1000

const char *const listener_names[LISTENERS] = {
    "watched", "variable", "fortune", "big",      "data", "silent", "proxied",
    "dripped", "denied",   "aborted", "vanished", "ipv6", "local",  "abstract",
};

const char *const outcome_names[OUTCOMES] = {
    "greeted", "empty", "refused", "abandoned", "starved", "unconnected", "broken", "wrong", "late",
};

const struct kind kinds[] = {
    {"plain", WATCHED, 240, 0},
    {"half-closing", WATCHED, 60, HALF_CLOSES},
    {"lingering", WATCHED, 10, LINGERS},
    {"speaking", WATCHED, 100, UPLOADS},
    {"limited", WATCHED, 60, SHARES_SOURCE},
    {"variable", VARIABLE, 120, 0},
    {"half-closing", VARIABLE, 30, HALF_CLOSES},
    {"fortune", FORTUNE, 60, 0},
    {"slow", BIG, 6, IS_SLOW},
    {"big", BIG, 6, 0},
    {"asking", DATA, 60, 0},
    {"dripping", DATA, 20, DRIPS},
    {"silent", SILENT, 3, IS_SILENT},
    {"proxy", PROXIED, 60, 0},
    {"proxy-dripping", PROXIED, 20, DRIPS},
    {"proxy-wrong", PROXIED, 10, BAD_HEADER},
    {"dripped", DRIPPED, 20, 0},
    {"denied", DENIED, 30, 0},
    {"resetting", ABORTED, 20, RESETS},
    {"resetting-late", ABORTED, 10, RESETS_LATE},
    {"leaving", ABORTED, 20, LEAVES},
    {"vanishing", VANISHED, 3, VANISHES},
    {"ipv6", IPV6, 16, 0},
    {"local", LOCAL, 10, 0},
    {"abstract", ABSTRACT, 6, HALF_CLOSES},
};

const size_t n_kinds = sizeof(kinds) / sizeof(kinds[0]);

/* The address that the PROXY header of this client names: each has one of its own. */
static void proxied_address(const struct identity *identity, char *ret, size_t size)
{
    unsigned n = (unsigned)identity->number;

    if (identity->number % 3 == 0)
        snprintf(ret, size, "2001:db8:%x:%x::1", 0x1000 | (n >> 12 & 0xfff), 0x1000 | (n & 0xfff));
    else
        snprintf(ret, size, "10.%u.%u.%u", n >> 16 & 0xff, n >> 8 & 0xff, n & 0xff);
}

static unsigned proxied_port(const struct identity *identity)
{
    return 1024 + (unsigned)(identity->number % 60000);
}

/* Version 2 for an IPv4 address (proxy-protocol.txt, 2.2). */
static size_t write_binary(const char *address, unsigned port, char *ret)
{
    static const char head[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c";
    struct in_addr source;
    uint16_t ports[2] = {htons((uint16_t)port), htons(12345)};

    inet_pton(AF_INET, address, &source);
    memcpy(ret, head, 16);
    memcpy(ret + 16, &source, 4);
    memcpy(ret + 20, "\x7f\0\0\x01", 4);
    memcpy(ret + 24, ports, 4);
    return 28;
}

static size_t write_header(const struct identity *identity, char *ret)
{
    char address[INET6_ADDRSTRLEN];
    bool is_v6 = identity->number % 3 == 0;

    proxied_address(identity, address, sizeof(address));
    if (identity->number % 3 == 1)
        return write_binary(address, proxied_port(identity), ret);
    return (size_t)snprintf(ret, INPUT_MAX, "PROXY TCP%c %s %s %u 12345\r\n", is_v6 ? '6' : '4',
                            address, is_v6 ? "::1" : "127.0.0.1", proxied_port(identity));
}

size_t kinds_input(const struct identity *identity, char *ret)
{
    if (identity->kind->deeds & (IS_SILENT | VANISHES))
        return 0;
    if (identity->kind->deeds & BAD_HEADER)
        return (size_t)snprintf(ret, INPUT_MAX, "PROXY TCP4 127.0.0.1 nonsense\r\n");
    if (identity->kind->listener == PROXIED)
        return write_header(identity, ret);
    if (identity->kind->listener == DATA)
        return (size_t)snprintf(ret, INPUT_MAX, "GET / HTTP/1.0\r\n\r\n");
    return 0;
}

/* "VERSION SIZE\n", then SIZE bytes of "VERSION " again and again, then "end\n". A mixture of two
 * versions is wrong wherever it changes. */
static bool is_version(const char *answer, size_t size)
{
    unsigned version, length;
    char pattern[32];

    if (size < 18 || sscanf(answer, "%8u %8u\n", &version, &length) != 2 || size != 22 + length)
        return false;
    snprintf(pattern, sizeof(pattern), "%08u %08u\n", version, length);
    if (memcmp(answer, pattern, 18) != 0 || memcmp(answer + size - 4, "end\n", 4) != 0)
        return false;
    for (size_t i = 0; i < length; i++)
        if (answer[18 + i] != pattern[i % 9])
            return false;
    return true;
}

/* The client's address and port as greetd writes them: $remote_addr and $remote_port. */
static void describe(const struct identity *identity, char *ret, size_t size)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&identity->address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&identity->address;
    char address[INET6_ADDRSTRLEN] = "";

    if (identity->kind->listener == PROXIED && !(identity->kind->deeds & BAD_HEADER)) {
        proxied_address(identity, address, sizeof(address));
        snprintf(ret, size, "%s %u", address, proxied_port(identity));
    } else if (in->sin_family == AF_INET) {
        inet_ntop(AF_INET, &in->sin_addr, address, sizeof(address));
        snprintf(ret, size, "%s %u", address, ntohs(in->sin_port));
    } else if (in->sin_family == AF_INET6) {
        inet_ntop(AF_INET6, &in6->sin6_addr, address, sizeof(address));
        snprintf(ret, size, "%s %u", address, ntohs(in6->sin6_port));
    } else {
        snprintf(ret, size, "unix: ");
    }
}

/* "reload N: ADDRESS PORT LISTENER CONNECTION.\n" with LINES "reload N\n" before it. */
static bool is_rendered(const struct identity *identity, const char *answer, unsigned lines)
{
    char who[INET6_ADDRSTRLEN + 16], expected[512];
    unsigned reload;
    unsigned long connection;
    size_t used = 0;

    describe(identity, who, sizeof(who));
    const char *dot = strrchr(answer, '.'),
               *blank = dot ? memrchr(answer, ' ', (size_t)(dot - answer)) : NULL;
    if (sscanf(answer, "reload %u", &reload) != 1 || !blank ||
        sscanf(blank, "%lu", &connection) != 1)
        return false;
    for (unsigned i = 0; i < lines; i++)
        used += (size_t)snprintf(expected + used, sizeof(expected) - used, "reload %u\n", reload);
    snprintf(expected + used, sizeof(expected) - used, "reload %u: %s %s %lu.\n", reload, who,
             listener_names[identity->kind->listener], connection);
    return connection > 0 && strcmp(answer, expected) == 0;
}

/* "fortune N\n", with as many dots as N % 50. */
static bool is_fortune(const char *answer)
{
    char expected[128];
    unsigned n;

    if (sscanf(answer, "fortune %u", &n) != 1 || n >= FORTUNES)
        return false;
    snprintf(expected, sizeof(expected), "fortune %u%.*s\n", n, (int)(n % 50),
             "..................................................");
    return strcmp(answer, expected) == 0;
}

static bool is_refusal(const struct identity *identity, const char *answer)
{
    char who[INET6_ADDRSTRLEN + 16], expected[128];

    describe(identity, who, sizeof(who));
    snprintf(expected, sizeof(expected), "Not you, %s.\n", who);
    return strcmp(answer, expected) == 0;
}

static bool is_greeting(const struct identity *identity, const char *answer, size_t size)
{
    switch (identity->kind->listener) {
    case WATCHED:
    case BIG:
        return is_version(answer, size);
    case FORTUNE:
        return is_fortune(answer);
    case DRIPPED:
        return is_rendered(identity, answer, 3);
    default:
        return is_rendered(identity, answer, 0);
    }
}

enum outcome kinds_check(const struct identity *identity, char *answer, size_t size)
{
    answer[size] = '\0';
    if (size == 0)
        return EMPTY;
    if (is_refusal(identity, answer))
        return TURNED_AWAY;
    return strlen(answer) == size && is_greeting(identity, answer, size) ? GREETED : WRONG;
}

bool kinds_allow(const struct kind *kind, enum outcome outcome)
{
    bool may_be_refused =
        kind->deeds & SHARES_SOURCE || kind->listener == LOCAL || kind->listener == ABSTRACT;

    if (outcome == STARVED)
        return true;
    if (kind->deeds & (RESETS | RESETS_LATE | LEAVES | VANISHES))
        return outcome == ABANDONED;
    if (kind->deeds & IS_SILENT)
        return outcome == EMPTY;
    if (kind->listener == DENIED || kind->deeds & BAD_HEADER)
        return outcome == TURNED_AWAY;
    return outcome == GREETED || (may_be_refused && outcome == TURNED_AWAY);
}
