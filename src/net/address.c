/* SPDX-License-Identifier: MIT */
#include "greetd/net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define WHY_GRAMMAR   "an address is PORT, IPv4:PORT, [IPv6]:PORT, /path, @abstract or vsock:CID:PORT"
#define WHY_PORT      "a port is a number from 0 to 65535, without leading zeros"
#define WHY_INTERFACE "a network interface has a number from 1 on, or a name of up to 15 characters"

/* Parses the LENGTH characters at DIGITS as a decimal number up to MAX. A leading zero is an error,
 * since in systemd it means an octal number. */
static bool parse_decimal(const char *digits, size_t length, uint32_t max, uint32_t *ret)
{
    uint64_t number = 0;

    if (length == 0 || (length > 1 && digits[0] == '0'))
        return false;
    for (size_t i = 0; i < length; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(digits[i] - '0');
        if (number > max)
            return false;
    }
    *ret = (uint32_t)number;
    return true;
}

static bool parse_port(const char *digits, size_t length, in_port_t *ret)
{
    uint32_t port;

    if (!parse_decimal(digits, length, UINT16_MAX, &port))
        return false;
    *ret = htons((uint16_t)port);
    return true;
}

/* Copies the LENGTH characters at TEXT, for functions that need a '\0' at the end. */
static bool copy_text(char *buffer, size_t size, const char *text, size_t length)
{
    if (length >= size)
        return false;
    memcpy(buffer, text, length);
    buffer[length] = '\0';
    return true;
}

/* The parsers of one form each return NULL, or the reason why the text is wrong. */

static const char *parse_bare_port(struct address *address, const char *text)
{
    address->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
    address->length = sizeof(address->in6);
    address->dual_stack = true;

    if (parse_port(text, strlen(text), &address->in6.sin6_port))
        return NULL;
    if (text[0] != '\0' && strspn(text, "0123456789") == strlen(text))
        return WHY_PORT;
    if (strchr(text, '/'))
        return "the path of a Unix socket must be absolute";
    if (text[0] != '\0' && strspn(text, "0123456789.") == strlen(text))
        return "the port is missing; write IPv4:PORT";
    return WHY_GRAMMAR;
}

static const char *parse_in(struct address *address, const char *text)
{
    const char *colon = strchr(text, ':');
    char host[INET_ADDRSTRLEN];

    address->in.sin_family = AF_INET;
    address->length = sizeof(address->in);

    if (strchr(colon + 1, ':'))
        return "an IPv6 address is written in brackets, as [IPv6]:PORT";
    if (!copy_text(host, sizeof(host), text, (size_t)(colon - text)) ||
        inet_pton(AF_INET, host, &address->in.sin_addr) != 1)
        return "what stands before the port is not an IPv4 address; names are not looked up";
    if (!parse_port(colon + 1, strlen(colon + 1), &address->in.sin_port))
        return WHY_PORT;
    return NULL;
}

/* The rule of the kernel, in which % stands for a number, and no control characters, which a line
 * could not hold. */
static bool is_interface_name(const char *name)
{
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p <= ' ' || strchr("/:%\x7f", *p))
            return false;
    return name[0] != '\0';
}

/* Parses an interface's name or number. */
static const char *parse_scope(struct address *address, const char *text, size_t length)
{
    struct sockaddr_in6 *in6 = &address->in6;

    if (!IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr))
        return "only a link-local IPv6 address has an interface";
    if (parse_decimal(text, length, UINT32_MAX, &in6->sin6_scope_id))
        return in6->sin6_scope_id > 0 ? NULL : WHY_INTERFACE;
    if (!copy_text(address->interface, sizeof(address->interface), text, length) ||
        !is_interface_name(address->interface))
        return WHY_INTERFACE;
    return NULL;
}

/* Parses the text in the brackets: `IPv6` or `IPv6%interface`. */
static const char *parse_in6_host(struct address *address, const char *text, size_t length)
{
    const char *percent = memchr(text, '%', length);
    size_t host_length = percent ? (size_t)(percent - text) : length;
    char host[INET6_ADDRSTRLEN];

    if (!copy_text(host, sizeof(host), text, host_length) ||
        inet_pton(AF_INET6, host, &address->in6.sin6_addr) != 1)
        return "what stands in the brackets is not an IPv6 address";
    if (percent)
        return parse_scope(address, percent + 1, length - host_length - 1);
    return NULL;
}

/* Parses the text after the brackets: `:PORT` or `:PORT%interface`. */
static const char *parse_in6_port(struct address *address, const char *text)
{
    if (text[0] != ':')
        return "the port is missing; write [IPv6]:PORT";

    const char *port = text + 1, *percent = strchrnul(port, '%');
    if (!parse_port(port, (size_t)(percent - port), &address->in6.sin6_port))
        return WHY_PORT;
    if (*percent == '\0')
        return NULL;
    if (address->in6.sin6_scope_id > 0 || address->interface[0] != '\0')
        return "the interface is given twice";
    return parse_scope(address, percent + 1, strlen(percent + 1));
}

static const char *parse_in6(struct address *address, const char *text)
{
    const char *host = text + 1, *bracket = strchr(host, ']');

    address->in6.sin6_family = AF_INET6;
    address->length = sizeof(address->in6);

    if (!bracket)
        return "the closing bracket is missing";

    const char *why = parse_in6_host(address, host, (size_t)(bracket - host));
    return why ? why : parse_in6_port(address, bracket + 1);
}

static const char *parse_vsock(struct address *address, const char *text)
{
    const char *cid = text + strlen("vsock:"), *colon = strchr(cid, ':');

    address->vm.svm_family = AF_VSOCK;
    address->vm.svm_cid = VMADDR_CID_ANY;
    address->length = sizeof(address->vm);

    if (!colon)
        return "a vsock address is vsock:CID:PORT; the CID may be empty";
    if (colon > cid && !parse_decimal(cid, (size_t)(colon - cid), UINT32_MAX, &address->vm.svm_cid))
        return "a vsock CID is a decimal number of 32 bits, or empty for any";
    if (!parse_decimal(colon + 1, strlen(colon + 1), UINT32_MAX, &address->vm.svm_port))
        return "a vsock port is a decimal number of 32 bits";
    return NULL;
}

/* Returns why a line of the configuration can't hold this name, or NULL. */
static const char *check_unix_name(const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
            return "the name of a Unix socket must not hold control characters";
    if (name[length - 1] == ' ' || name[length - 1] == '\\')
        return "the name of a Unix socket must not end in a space or a backslash";
    return NULL;
}

/* `/path` and `@abstract`. A path is bound with its '\0'; an abstract name has a '\0' before it and
 * is as long as the length says, see unix(7). */
static const char *parse_unix(struct address *address, const char *text)
{
    size_t length = strlen(text);
    bool abstract = text[0] == '@';

    if (length == 1)
        return abstract ? "an abstract Unix socket needs a name after the @"
                        : "the root directory is not the path of a Unix socket";
    if (length > sizeof(address->un.sun_path) - (abstract ? 0 : 1))
        return "the name of a Unix socket must not be longer than 107 bytes";

    address->un.sun_family = AF_UNIX;
    memcpy(address->un.sun_path, text, length);
    if (abstract)
        address->un.sun_path[0] = '\0';
    address->length =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (abstract ? 0 : 1));
    return check_unix_name(text);
}

int address_parse(struct address *ret, const char *text, const char **ret_why)
{
    struct address address = {0};
    const char *why;

    if (text[0] == '/' || text[0] == '@')
        why = parse_unix(&address, text);
    else if (text[0] == '[')
        why = parse_in6(&address, text);
    else if (strncmp(text, "vsock:", strlen("vsock:")) == 0)
        why = parse_vsock(&address, text);
    else if (strchr(text, ':'))
        why = parse_in(&address, text);
    else
        why = parse_bare_port(&address, text);

    if (why) {
        *ret_why = why;
        return -EINVAL;
    }
    *ret = address;
    return 0;
}

int address_find_interface(struct address *address)
{
    if (address->interface[0] == '\0')
        return 0;
    unsigned index = if_nametoindex(address->interface);
    if (index == 0)
        return -errno;
    address->in6.sin6_scope_id = index;
    address->interface[0] = '\0';
    return 0;
}

/* Returns the length of a Unix socket's name (unix(7)): 0 without one; that of an abstract name
 * with its '\0' in front; or that of a path, which ends at its '\0' or fills sun_path. */
static size_t unix_name_length(const struct address *address)
{
    size_t offset = offsetof(struct sockaddr_un, sun_path);
    size_t length = address->length > offset ? address->length - offset : 0;

    if (length > sizeof(address->un.sun_path))
        length = sizeof(address->un.sun_path);
    if (length > 0 && address->un.sun_path[0] != '\0')
        length = strnlen(address->un.sun_path, length);
    return length;
}

static const char *format_unix(const struct address *address, char *buffer)
{
    const char *name = address->un.sun_path;
    size_t length = unix_name_length(address);
    char *p = buffer;

    if (length == 0)
        return strcpy(buffer, "unix");
    for (size_t i = 0; i < length; i++) {
        if (i == 0 && name[i] == '\0')
            *p++ = '@';
        else if (name[i] >= ' ' && name[i] <= '~')
            *p++ = name[i];
        else
            p += sprintf(p, "\\x%02x", (unsigned char)name[i]);
    }
    *p = '\0';
    return buffer;
}

const char *address_format(const struct address *address, char *buffer)
{
    if (address->length >= sizeof(sa_family_t) && address->sa.sa_family == AF_UNIX)
        return format_unix(address, buffer);

    struct peer peer = peer_from_sockaddr(&address->sa, address->length);
    return peer_format(&peer, buffer);
}

static bool unix_equal(const struct address *a, const struct address *b)
{
    size_t length = unix_name_length(a);

    return length > 0 && length == unix_name_length(b) &&
           memcmp(a->un.sun_path, b->un.sun_path, length) == 0;
}

static bool leaves_port(const struct peer *peer)
{
    switch (peer->family) {
    case AF_INET:
    case AF_INET6:
        return peer->port == 0;
    case AF_VSOCK:
        return peer->vm.port == VMADDR_PORT_ANY;
    default:
        return false;
    }
}

static bool equal_host(const struct peer *a, const struct peer *b)
{
    if (a->family != b->family)
        return false;
    switch (a->family) {
    case AF_INET:
        return a->in.s_addr == b->in.s_addr;
    case AF_INET6:
        return a->scope == b->scope && IN6_ARE_ADDR_EQUAL(&a->in6, &b->in6);
    case AF_VSOCK:
        return a->vm.cid == b->vm.cid;
    default:
        return false;
    }
}

static bool equal_port(const struct peer *a, const struct peer *b)
{
    return a->family == AF_VSOCK ? a->vm.port == b->vm.port : a->port == b->port;
}

bool address_equal(const struct address *a, const struct address *b)
{
    if (a->sa.sa_family == AF_UNIX && b->sa.sa_family == AF_UNIX)
        return unix_equal(a, b);

    struct peer p = peer_from_sockaddr(&a->sa, a->length);
    struct peer q = peer_from_sockaddr(&b->sa, b->length);
    return strcmp(a->interface, b->interface) == 0 && equal_host(&p, &q) && equal_port(&p, &q) &&
           !leaves_port(&p);
}

bool address_is_wildcard(const struct address *address)
{
    struct peer peer = peer_from_sockaddr(&address->sa, address->length);

    switch (peer.family) {
    case AF_INET:
        return peer.in.s_addr == htonl(INADDR_ANY);
    case AF_INET6:
        return IN6_IS_ADDR_UNSPECIFIED(&peer.in6);
    case AF_VSOCK:
        return peer.vm.cid == VMADDR_CID_ANY;
    default:
        return false;
    }
}

bool address_has_dynamic_port(const struct address *address)
{
    struct peer peer = peer_from_sockaddr(&address->sa, address->length);

    return leaves_port(&peer);
}

bool address_equal_host(const struct address *a, const struct address *b)
{
    struct peer p = peer_from_sockaddr(&a->sa, a->length);
    struct peer q = peer_from_sockaddr(&b->sa, b->length);

    return equal_host(&p, &q);
}
