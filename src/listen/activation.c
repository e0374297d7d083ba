/* SPDX-License-Identifier: MIT */
#include "greetd/listen/activation.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "greetd/net/socket.h"

/* What the name of a stored socket begins with; the kernel's number for the socket follows. */
#define HANDOVER_PREFIX "opened@"

#define HANDOVER_NAME_MAX sizeof(HANDOVER_PREFIX "18446744073709551615")

/* The names of passed descriptors, a list that ends in NULL. */
static void free_names(char ***names)
{
    for (char **name = *names; name && *name; name++)
        free(*name);
    free(*names);
}

/* How many descriptors systemd says that it keeps for the next process, 0 if it does not say. It
 * does from version 254 on (FileDescriptorStoreMax= in systemd.service(5)); before that the unit
 * has to. */
static size_t announced_room(void)
{
    const char *max = getenv("FDSTORE");
    int n = max ? atoi(max) : 0;

    return n > 0 ? (size_t)n : 0;
}

size_t handover_room(void)
{
    size_t announced = announced_room();

    return announced > 0 ? announced : SIZE_MAX;
}

/* Whether what systemd was asked to keep is really there for the next process. */
static bool outlives_us(void)
{
    return announced_room() > 0;
}

static bool is_stored_name(const char *name)
{
    return strncmp(name, HANDOVER_PREFIX, strlen(HANDOVER_PREFIX)) == 0;
}

/* Whether clients can be accepted from a passed descriptor; what else it is goes to the report. */
static bool is_usable(int fd, const char *name, int *ret_type, struct report *report)
{
    const char *what;

    if (sockutil_check_listening(fd, ret_type, &what) >= 0)
        return true;
    report_add(report, "Descriptor %d (%s) %s by systemd can't be used: it is %s", fd, name,
               is_stored_name(name) ? "kept" : "passed", what);
    return false;
}

static void unstore(const char *name)
{
    sd_notifyf(false, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

/* What an earlier process has opened is ours like any that we open. */
static int adopt_stored(struct listener *listener, const char *name)
{
    listener->stored_as = strdup(name);
    if (!listener->stored_as)
        return -ENOMEM;
    listener->handed_on = outlives_us();
    listener_own_path(listener);
    return 0;
}

static int adopt_passed(struct listener *listener, const char *name)
{
    listener->inherited = listener->handed_on = true;
    listener->name = strdup(name);
    return listener->name ? 0 : -ENOMEM;
}

/* The store is only a cache: what is in it can be opened anew. */
static int reject(int fd, const char *name)
{
    if (!is_stored_name(name))
        return -EBADMSG;
    unstore(name);
    close(fd);
    return 0;
}

static int inherit_one(struct listener_set *set, int fd, const char *name, struct report *report)
{
    _cleanup_(listener_unrefp) struct listener *listener = NULL;
    int type, r;

    if (!is_usable(fd, name, &type, report))
        return reject(fd, name);
    r = sockutil_set_nonblocking(fd);
    if (r >= 0)
        r = listener_new(&listener, &fd, type);
    if (r >= 0 && is_stored_name(name))
        r = adopt_stored(listener, name);
    else if (r >= 0)
        r = adopt_passed(listener, name);
    return r < 0 ? r : listener_set_add(set, listener);
}

bool handover_any_passed(void)
{
    _cleanup_(free_names) char **names = NULL;
    int n = sd_listen_fds_with_names(false, &names);

    for (int i = 0; i < n; i++)
        if (!is_stored_name(names[i]))
            return true;
    return n < 0;
}

/* sd_listen_fds(3) only says that some are closed, not which. */
static void report_unusable(struct report *report)
{
    const char *announced = getenv("LISTEN_FDS");
    int n = announced ? atoi(announced) : 0;

    /* Of a number that makes no sense, the first few will do. */
    for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n && fd < 64; fd++)
        (void)is_usable(fd, "unknown", &(int){0}, report);
}

int handover_take(struct listener_set *set, struct report *report)
{
    _cleanup_(free_names) char **names = NULL;
    int n = sd_listen_fds_with_names(false, &names), result = n;

    if (n == -EBADF) {
        report_unusable(report);
        return -EBADMSG;
    }
    for (int i = 0; i < n; i++) {
        int r = inherit_one(set, SD_LISTEN_FDS_START + i, names[i], report);
        if (r < 0 && r != -EBADMSG)
            return r;
        if (r < 0)
            result = r;
    }
    (void)sd_listen_fds(true);
    return result;
}

/* Writes the name to store a socket under to BUFFER (HANDOVER_NAME_MAX bytes). The kernel gives
 * each socket a cookie of its own, so no two names are alike, those of earlier processes included.
 */
static bool store_name(int fd, char *buffer)
{
    uint64_t cookie;
    socklen_t length = sizeof(cookie);

    if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) < 0)
        return false;
    sprintf(buffer, HANDOVER_PREFIX "%" PRIu64, cookie);
    return true;
}

void handover_store(struct listener *listener)
{
    char name[HANDOVER_NAME_MAX], text[sizeof(name) + sizeof("FDSTORE=1\nFDNAME=")];

    if (listener->inherited || listener->stored_as || !store_name(listener->fd, name))
        return;
    _cleanup_free_ char *stored_as = strdup(name);
    sprintf(text, "FDSTORE=1\nFDNAME=%s", name);
    if (!stored_as || sd_pid_notify_with_fds(0, false, text, &listener->fd, 1) <= 0)
        return;
    listener->stored_as = TAKE_PTR(stored_as);
    listener->handed_on = outlives_us();
}

void handover_unstore(struct listener *listener)
{
    if (!listener->stored_as)
        return;
    unstore(listener->stored_as);
    free(TAKE_PTR(listener->stored_as));
    listener->handed_on = false;
}
