/* SPDX-License-Identifier: MIT */
#include "greetd/listen/fdstore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

/* The prefix of a stored socket's name; the kernel's cookie of the socket follows, and behind a dot
 * the number of a further shard. */
#define FDSTORE_PREFIX "opened@"

/* For poll(2), a socket that does not listen yet has hung up, so systemd would drop it without
 * FDPOLL=0. TCP sockets listen: systemd drops one that is shut down, even if FDSTOREREMOVE=1 could
 * not be sent. */
#define FDSTORE_MESSAGE "FDSTORE=1\nFDNAME=%s%s"
#define FDSTORE_NO_POLL "\nFDPOLL=0"

#define FDSTORE_NAME_MAX sizeof(FDSTORE_PREFIX "18446744073709551615.4294967295")

/* Returns FileDescriptorStoreMax= of systemd.service(5), or 0 if $FDSTORE does not tell. systemd
 * sets it from version 254 on; before that the unit has to. */
static size_t announced_max(void)
{
    const char *max = getenv("FDSTORE");
    int n = max ? atoi(max) : 0;

    return n > 0 ? (size_t)n : 0;
}

size_t fdstore_max(void)
{
    size_t announced = announced_max();

    return announced > 0 ? announced : SIZE_MAX;
}

/* Whether systemd keeps the sockets until the next process starts. */
static bool is_kept_on_exit(void)
{
    return announced_max() > 0;
}

bool fdstore_is_name(const char *name)
{
    return strncmp(name, FDSTORE_PREFIX, strlen(FDSTORE_PREFIX)) == 0;
}

unsigned fdstore_shard(const char *name)
{
    unsigned shard;
    int length;

    return sscanf(name, FDSTORE_PREFIX "%*u.%u%n", &shard, &length) == 1 && name[length] == '\0'
               ? shard
               : 0;
}

int fdstore_forget(const char *name)
{
    return sd_notifyf(false, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

int fdstore_adopt(struct listener *listener, const char *name)
{
    listener->stored_as = strdup(name);
    if (!listener->stored_as)
        return -ENOMEM;
    listener->handed_on = is_kept_on_exit();
    listener_own_path(listener);
    return 0;
}

/* Writes the name for the store to BUFFER (FDSTORE_NAME_MAX bytes). The cookie of each socket is
 * unique, also among those of earlier processes. */
static bool format_name(int fd, unsigned shard, char *buffer)
{
    uint64_t cookie;
    socklen_t size = sizeof(cookie);

    if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) < 0)
        return false;
    int length = sprintf(buffer, FDSTORE_PREFIX "%" PRIu64, cookie);
    if (shard > 0)
        sprintf(buffer + length, ".%u", shard);
    return true;
}

void fdstore_add(struct listener *listener, unsigned shard)
{
    char name[FDSTORE_NAME_MAX], text[sizeof(name) + sizeof(FDSTORE_MESSAGE FDSTORE_NO_POLL)];

    if (listener->inherited || listener->stored_as || !format_name(listener->fd, shard, name))
        return;
    _cleanup_free_ char *stored_as = strdup(name);
    sprintf(text, FDSTORE_MESSAGE, name, address_is_tcp(&listener->address) ? "" : FDSTORE_NO_POLL);
    if (!stored_as || sd_pid_notify_with_fds(0, false, text, &listener->fd, 1) <= 0)
        return;
    listener->stored_as = TAKE_PTR(stored_as);
    listener->handed_on = is_kept_on_exit();
}

void fdstore_remove(struct listener *listener)
{
    if (!listener->stored_as || fdstore_forget(listener->stored_as) < 0)
        return;
    free(TAKE_PTR(listener->stored_as));
    listener->handed_on = false;
}
