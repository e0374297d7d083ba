/* SPDX-License-Identifier: MIT */
#pragma once

/* Addresses and peers of all kinds, and the only network interface there is: number 2. The names of
 * interfaces take the place of those of the machine. */

#include <errno.h>

#include "fuzz.h"
#include "greetd/net/address.h"
#include "greetd/net/peer.h"

#define FUZZ_INTERFACE        "eth0"
#define FUZZ_INTERFACE_NUMBER 2

unsigned int if_nametoindex(const char *name)
{
    if (strcmp(name, FUZZ_INTERFACE) == 0)
        return FUZZ_INTERFACE_NUMBER;
    errno = ENODEV;
    return 0;
}

char *if_indextoname(unsigned int number, char *name)
{
    if (number == FUZZ_INTERFACE_NUMBER)
        return strcpy(name, FUZZ_INTERFACE);
    errno = ENXIO;
    return NULL;
}

/* Takes an address as the kernel gives it to accept4(2) and getsockname(2). */
static inline struct address fuzz_take_address(struct fuzz_input *input)
{
    static const struct {
        sa_family_t family;
        socklen_t length;
    } kinds[] = {
        {AF_INET, sizeof(struct sockaddr_in)},   {AF_INET6, sizeof(struct sockaddr_in6)},
        {AF_UNIX, sizeof(struct sockaddr_un)},   {AF_VSOCK, sizeof(struct sockaddr_vm)},
        {AF_INET6, sizeof(struct sockaddr_in6)}, {AF_NETLINK, sizeof(struct sockaddr_in)},
    };
    size_t kind = fuzz_take_number(input, 1) % (sizeof(kinds) / sizeof(kinds[0]));
    struct address address = {.length = kinds[kind].length};
    unsigned char *p = (unsigned char *)&address.storage;

    for (size_t i = 0; i < address.length && input->size > 0; i++)
        p[i] = (unsigned char)fuzz_take_number(input, 1);
    address.sa.sa_family = kinds[kind].family;
    if (kind == 4)
        memcpy(&address.in6.sin6_addr, "\xfe\x80\0\0\0\0\0", 8);
    return address;
}

static inline struct peer fuzz_take_peer(struct fuzz_input *input)
{
    struct address address = fuzz_take_address(input);
    struct peer peer = peer_from_sockaddr(&address.sa, address.length);

    if (peer.family == AF_UNIX) {
        peer.un.pid = (uint32_t)fuzz_take_number(input, 4);
        peer.un.uid = (uint32_t)fuzz_take_number(input, 4);
    }
    return peer;
}

/* Whether A and B are the same in all that their family has. */
static inline bool fuzz_same_peer(const struct peer *a, const struct peer *b)
{
    if (a->family != b->family || a->port != b->port || a->scope != b->scope)
        return false;
    switch (a->family) {
    case AF_INET:
        return a->in.s_addr == b->in.s_addr;
    case AF_INET6:
        return memcmp(&a->in6, &b->in6, sizeof(a->in6)) == 0;
    case AF_VSOCK:
        return a->vm.cid == b->vm.cid && a->vm.port == b->vm.port;
    case AF_UNIX:
        return a->un.pid == b->un.pid && a->un.uid == b->un.uid;
    default:
        return true;
    }
}
