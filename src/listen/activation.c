/* SPDX-License-Identifier: MIT */
#include "greetd/listen/activation.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "greetd/listen/fdstore.h"
#include "greetd/net/socket.h"

/* The names of passed descriptors, a list that ends in NULL. */
static void free_names(char ***names)
{
    for (char **name = *names; name && *name; name++)
        free(*name);
    free(*names);
}

/* Whether clients can be accepted from a passed descriptor. If not, DIAGNOSTICS says what it is. */
static bool is_usable(int fd, const char *name, int *ret_type, struct diagnostics *diagnostics)
{
    const char *what = NULL;
    int r = socket_check_listening(fd, ret_type, &what);

    if (r >= 0)
        return true;
    diagnostics_add(diagnostics, "Descriptor %d (%s) %s by systemd can't be used: %s%s", fd, name,
                    fdstore_is_name(name) ? "kept" : "passed", what ? "it is " : "",
                    what ? what : strerror(-r));
    return false;
}

static int adopt_passed(struct listener *listener, const char *name)
{
    listener->inherited = listener->handed_on = true;
    listener->name = strdup(name);
    return listener->name ? 0 : -ENOMEM;
}

/* A socket of the store can be opened again; any other can't be replaced. */
static int reject(int fd, const char *name)
{
    if (!fdstore_is_name(name))
        return -EBADMSG;
    (void)fdstore_forget(name);
    close(fd);
    return 0;
}

/* An earlier process may have ended after FDSTORE=1 and before listen(2). The queue is as long as
 * Backlog= says from listener_renew() on. */
static void listen_if_stored(int fd, const char *name)
{
    if (fdstore_is_name(name))
        (void)listen(fd, SOMAXCONN);
}

static int take_one(struct listener_set *set, int fd, const char *name,
                    struct diagnostics *diagnostics)
{
    _cleanup_(listener_unrefp) struct listener *listener = NULL;
    int type, r;

    listen_if_stored(fd, name);
    if (!is_usable(fd, name, &type, diagnostics))
        return reject(fd, name);
    r = socket_set_nonblocking(fd);
    if (r >= 0)
        r = listener_new(&listener, &fd, type);
    if (r >= 0 && fdstore_is_name(name))
        r = fdstore_adopt(listener, name);
    else if (r >= 0)
        r = adopt_passed(listener, name);
    return r < 0 ? r : listener_set_add(set, listener);
}

bool activation_any_passed(void)
{
    _cleanup_(free_names) char **names = NULL;
    int n = sd_listen_fds_with_names(false, &names);

    for (int i = 0; i < n; i++)
        if (!fdstore_is_name(names[i]))
            return true;
    return n < 0;
}

/* Finds the closed descriptors, which sd_listen_fds(3) does not name. */
static void diagnose_closed(struct diagnostics *diagnostics)
{
    const char *announced = getenv("LISTEN_FDS");
    int n = announced ? atoi(announced) : 0;

    /* The first few are enough if the number makes no sense. */
    for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n && fd < 64; fd++)
        (void)is_usable(fd, "unknown", &(int){0}, diagnostics);
}

static unsigned shard_of(const struct listener *listener)
{
    return listener->stored_as ? fdstore_shard(listener->stored_as) : 0;
}

/* Sorts the sockets by their numbers among the shards of their address. systemd passes stored ones
 * in the opposite order (service_add_fd_store() in service.c). */
static void sort_shards(struct listener_set *set)
{
    for (size_t i = 1; i < set->n; i++) {
        struct listener *listener = set->at[i];
        size_t j = i;

        for (; j > 0 && shard_of(set->at[j - 1]) > shard_of(listener); j--)
            set->at[j] = set->at[j - 1];
        set->at[j] = listener;
    }
}

int activation_take(struct listener_set *set, struct diagnostics *diagnostics)
{
    _cleanup_(free_names) char **names = NULL;
    int n = sd_listen_fds_with_names(false, &names), result = n;

    if (n == -EBADF) {
        diagnose_closed(diagnostics);
        return -EBADMSG;
    }
    for (int i = 0; i < n; i++) {
        int r = take_one(set, SD_LISTEN_FDS_START + i, names[i], diagnostics);
        if (r < 0 && r != -EBADMSG)
            return r;
        if (r < 0)
            result = r;
    }
    sort_shards(set);
    (void)sd_listen_fds(true);
    return result;
}
