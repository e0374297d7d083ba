/* SPDX-License-Identifier: MIT */
#include "greetd/net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "greetd/net/socket.h"

/* Where the socket file of a Unix address is, NULL for all others. */
static const char *socket_path(const struct address *address)
{
    if (address->sa.sa_family != AF_UNIX || address->un.sun_path[0] == '\0' ||
        address->length <= offsetof(struct sockaddr_un, sun_path))
        return NULL;
    return address->un.sun_path;
}

/* Remembers which file bind(2) made, so that another's is never unlinked in its place. */
void listener_own_path(struct listener *listener)
{
    const char *path = socket_path(&listener->address);
    struct stat st;

    if (path && lstat(path, &st) == 0) {
        listener->path_device = st.st_dev;
        listener->path_inode = st.st_ino;
    }
}

/* Whether the file that ADDRESS speaks of is the one that we made. */
static bool has_own_path(const struct listener *listener)
{
    struct stat st;

    return lstat(socket_path(&listener->address), &st) == 0 && st.st_dev == listener->path_device &&
           st.st_ino == listener->path_inode;
}

/* A Unix socket without its file can't be connected to any more (unix(7)). */
static bool is_reachable(const struct listener *listener)
{
    return !socket_path(&listener->address) || has_own_path(listener);
}

static void unlink_path(struct listener *listener)
{
    if (!listener->handed_on && socket_path(&listener->address) && has_own_path(listener))
        (void)unlink(socket_path(&listener->address));
    listener->path_inode = 0;
}

static int read_bound_address(int fd, struct address *ret)
{
    struct address address = {.length = sizeof(address.storage)};

    if (getsockname(fd, &address.sa, &address.length) < 0)
        return -errno;
    *ret = address;
    return 0;
}

int listener_new(struct listener **ret, int *fd, int type)
{
    _cleanup_(listener_unrefp) struct listener *listener = calloc(1, sizeof(*listener));

    if (!listener)
        return -ENOMEM;
    atomic_init(&listener->references, 1);
    listener->type = type;
    listener->fd = -1;
    int r = read_bound_address(*fd, &listener->address);
    if (r < 0)
        return r;
    listener->fd = TAKE_FD(*fd);
    *ret = TAKE_PTR(listener);
    return 0;
}

struct listener *listener_ref(struct listener *listener)
{
    /* Relaxed: who takes a reference has one already. */
    atomic_fetch_add_explicit(&listener->references, 1, memory_order_relaxed);
    return listener;
}

void listener_unref(struct listener *listener)
{
    /* Release and acquire, so that it is freed only after all others are done with it. */
    if (!listener || atomic_fetch_sub_explicit(&listener->references, 1, memory_order_acq_rel) != 1)
        return;
    listener_close(listener);
    free(listener->name);
    free(listener->stored_as);
    free(listener);
}

void listener_use(struct listener *listener, unsigned n)
{
    atomic_fetch_add_explicit(&listener->users, n, memory_order_relaxed);
}

bool listener_release(struct listener *listener)
{
    /* Release: whoever sees the last one go may close the socket. */
    return atomic_fetch_sub_explicit(&listener->users, 1, memory_order_release) == 1;
}

bool listener_in_use(const struct listener *listener)
{
    return atomic_load_explicit(&listener->users, memory_order_acquire) > 0;
}

int listener_set_add(struct listener_set *set, struct listener *listener)
{
    struct listener **at = reallocarray(set->at, set->n + 1, sizeof(struct listener *));

    if (!at)
        return -ENOMEM;
    set->at = at;
    set->at[set->n++] = listener_ref(listener);
    return 0;
}

struct listener *listener_set_take(struct listener_set *set, size_t index)
{
    struct listener *listener = set->at[index];

    set->n--;
    memmove(&set->at[index], &set->at[index + 1], (set->n - index) * sizeof(struct listener *));
    return listener;
}

void listener_set_deinit(struct listener_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        listener_unref(set->at[i]);
    free(set->at);
    *set = (struct listener_set){0};
}

static int set_option(int fd, int level, int option)
{
    return setsockopt(fd, level, option, &(int){1}, sizeof(int)) < 0 ? -errno : 0;
}

static int make_socket(const struct address *address)
{
    int fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd < 0 ? -errno : fd;
}

/* A bare port means every address, of both families if the machine has both. */
static void choose_family(struct address *address)
{
    if (!address->dual_stack)
        return;
    _cleanup_close_ int fd = make_socket(address);
    if (fd != -EAFNOSUPPORT)
        return;
    address->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = address->in6.sin6_port};
    address->length = sizeof(address->in);
}

/* What bind(2) has to be given for ADDRESS on this machine, as it is now. */
static int resolve(struct address *ret, const struct address *address)
{
    *ret = *address;
    choose_family(ret);
    return address_find_interface(ret);
}

static int set_options(int fd, const struct address *address)
{
    int family = address->sa.sa_family, r = 0;

    if (family == AF_INET || family == AF_INET6)
        r = set_option(fd, SOL_SOCKET, SO_REUSEADDR);
    if (r >= 0 && family == AF_INET6 && address->dual_stack &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int)) < 0)
        r = -errno;
    return r;
}

/* Whether nobody listens at the socket file ADDRESS, as after the end of a process that left it
 * behind: then a connection is refused (unix(7)). */
static bool is_stale(const struct address *address)
{
    struct stat st;

    if (lstat(socket_path(address), &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;

    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 && connect(fd, &address->sa, address->length) < 0 && errno == ECONNREFUSED;
}

static int bind_socket(int fd, const struct address *address)
{
    if (bind(fd, &address->sa, address->length) >= 0)
        return 0;
    if (errno != EADDRINUSE)
        return -errno;
    if (!socket_path(address) || !is_stale(address))
        return -EADDRINUSE;

    if (unlink(socket_path(address)) < 0 && errno != ENOENT)
        return -errno;
    return bind(fd, &address->sa, address->length) < 0 ? -errno : 0;
}

int listener_open(struct listener **ret, const struct address *address, int backlog)
{
    struct address wanted;
    int r = resolve(&wanted, address);

    if (r < 0)
        return r;
    _cleanup_close_ int fd = make_socket(&wanted);
    if (fd < 0)
        return fd;
    r = set_options(fd, &wanted);
    if (r < 0)
        return r;
    r = bind_socket(fd, &wanted);
    if (r < 0)
        return r;
    if (listen(fd, backlog) < 0)
        return -errno;

    struct listener *listener;
    r = listener_new(&listener, &fd, SOCK_STREAM);
    if (r < 0) {
        if (socket_path(&wanted))
            (void)unlink(socket_path(&wanted));
        return r;
    }
    listener->chose_port = !address_equal(&wanted, &listener->address);
    listener_own_path(listener);
    *ret = listener;
    return 0;
}

bool listener_serves(const struct listener *listener, const struct address *address)
{
    struct address wanted;

    if (listener->inherited || listener->fd < 0 || !is_reachable(listener) ||
        resolve(&wanted, address) < 0)
        return false;
    return address_equal(&listener->address, &wanted) ||
           (listener->chose_port && address_leaves_port(&wanted) &&
            address_equal_host(&listener->address, &wanted));
}

int listener_renew(struct listener *listener, int backlog)
{
    socket_accept_syn(listener->fd);
    return listen(listener->fd, backlog) < 0 ? -errno : 0;
}

void listener_close(struct listener *listener)
{
    if (listener->fd < 0)
        return;
    unlink_path(listener);
    listener->fd = safe_close(listener->fd);
}

void listener_close_for_all(struct listener *listener)
{
    /* A TCP socket that does not listen is not in the way of one with SO_REUSEADDR, as all of ours
     * have it (socket(7)). */
    (void)shutdown(listener->fd, SHUT_RDWR);
    listener_close(listener);
}

void listener_drop_syn(struct listener *listener)
{
    if (listener->handed_on)
        return;
    /* A Unix socket without its file can't be found any more; TCP has a filter. Where neither helps
     * (abstract sockets, vsock) the queue is at least made as short as it can be. */
    if (socket_path(&listener->address))
        unlink_path(listener);
    else if (socket_drop_syn(listener->fd) < 0)
        (void)listen(listener->fd, 0);
}
