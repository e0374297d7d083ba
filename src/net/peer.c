/* SPDX-License-Identifier: MIT */
#include "greetd/net/peer.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/text.h"

/* The default of /proc/sys/kernel/overflowuid, which can't be read where it matters, under
 * ProcSubset=pid. */
#define OVERFLOW_UID 65534

bool peer_has_uid(const struct peer *peer)
{
    return peer->un.uid != OVERFLOW_UID;
}

static struct peer peer_from_in6(const struct sockaddr_in6 *in6)
{
    struct peer peer = {.family = AF_INET6, .port = ntohs(in6->sin6_port), .in6 = in6->sin6_addr};

    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        peer.family = AF_INET;
        memcpy(&peer.in, &in6->sin6_addr.s6_addr[12], sizeof(peer.in));
    } else if (IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr)) {
        peer.scope = in6->sin6_scope_id;
    }
    return peer;
}

struct peer peer_from_sockaddr(const struct sockaddr *sa, socklen_t length)
{
    /* A copy, because the caller's buffer need not be aligned nor long enough for the family. */
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_vm vm;
        struct sockaddr_storage storage;
    } from = {.storage = {0}};
    memcpy(&from.storage, sa, length < sizeof(from.storage) ? length : sizeof(from.storage));

    sa_family_t family = from.sa.sa_family;
    if (family == AF_INET && length >= sizeof(from.in))
        return (struct peer){
            .family = AF_INET, .port = ntohs(from.in.sin_port), .in = from.in.sin_addr};
    if (family == AF_INET6 && length >= sizeof(from.in6))
        return peer_from_in6(&from.in6);
    if (family == AF_VSOCK && length >= sizeof(from.vm))
        return (struct peer){.family = AF_VSOCK,
                             .vm = {.cid = from.vm.svm_cid, .port = from.vm.svm_port}};
    if (family == AF_UNIX)
        return (struct peer){.family = AF_UNIX, .un.uid = OVERFLOW_UID};
    return (struct peer){.family = AF_UNSPEC};
}

/* As inet_ntop(3), but fast: greetings have it. */
static void format_in_host(const struct peer *peer, char *buffer)
{
    const unsigned char *bytes = (const unsigned char *)&peer->in;

    buffer = text_write_decimal(buffer, bytes[0]);
    for (size_t i = 1; i < sizeof(peer->in); i++) {
        *buffer++ = '.';
        buffer = text_write_decimal(buffer, bytes[i]);
    }
    *buffer = '\0';
}

static void format_in6_host(const struct peer *peer, char *buffer)
{
    char name[IF_NAMESIZE];

    inet_ntop(AF_INET6, &peer->in6, buffer, INET6_ADDRSTRLEN);
    if (peer->scope == 0)
        return;
    if (!if_indextoname(peer->scope, name))
        sprintf(name, "%" PRIu32, peer->scope);
    sprintf(buffer + strlen(buffer), "%%%s", name);
}

static void format_un(const struct peer *peer, char *buffer)
{
    const char *separator = ":";

    buffer += sprintf(buffer, "unix");
    if (peer->un.pid > 0) {
        buffer += sprintf(buffer, ":pid=%" PRIu32, peer->un.pid);
        separator = ",";
    }
    if (peer_has_uid(peer))
        sprintf(buffer, "%suid=%" PRIu32, separator, peer->un.uid);
}

struct peer peer_of_socket(int fd, const struct sockaddr *sa, socklen_t length)
{
    struct peer peer = peer_from_sockaddr(sa, length);
    struct ucred credentials;
    socklen_t size = sizeof(credentials);

    if (peer.family == AF_UNIX &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
        peer.un.pid = (uint32_t)credentials.pid;
        peer.un.uid = credentials.uid;
    }
    return peer;
}

const char *peer_format_host(const struct peer *peer, char *buffer)
{
    switch (peer->family) {
    case AF_INET:
        format_in_host(peer, buffer);
        break;
    case AF_INET6:
        format_in6_host(peer, buffer);
        break;
    case AF_VSOCK:
        if (peer->vm.cid == VMADDR_CID_ANY)
            strcpy(buffer, "vsock:");
        else
            sprintf(buffer, "vsock:%" PRIu32, peer->vm.cid);
        break;
    default:
        strcpy(buffer, peer->family == AF_UNIX ? "unix" : "unknown");
    }
    return buffer;
}

const char *peer_format(const struct peer *peer, char *buffer)
{
    char host[ADDRESS_TEXT_MAX];

    peer_format_host(peer, host);
    switch (peer->family) {
    case AF_INET:
        sprintf(buffer, "%s:%" PRIu16, host, peer->port);
        break;
    case AF_INET6:
        sprintf(buffer, "[%s]:%" PRIu16, host, peer->port);
        break;
    case AF_VSOCK:
        sprintf(buffer, "%s:%" PRIu32, host, peer->vm.port);
        break;
    case AF_UNIX:
        format_un(peer, buffer);
        break;
    default:
        strcpy(buffer, host);
    }
    return buffer;
}
