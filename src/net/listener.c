/* SPDX-License-Identifier: MIT */
#include "greetd/net/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "greetd/net/socket.h"

/* Returns the path of a Unix socket's file, NULL for all other addresses. */
static const char *socket_path(const struct address *address)
{
    if (address->sa.sa_family != AF_UNIX || address->un.sun_path[0] == '\0' ||
        address->length <= offsetof(struct sockaddr_un, sun_path))
        return NULL;
    return address->un.sun_path;
}

void listener_own_path(struct listener *listener)
{
    const char *path = socket_path(&listener->address);
    struct stat st;

    if (path && lstat(path, &st) == 0) {
        listener->path_device = st.st_dev;
        listener->path_inode = st.st_ino;
    }
}

/* Whether the file at the path is the one that bind(2) has made. */
static bool has_own_path(const struct listener *listener)
{
    struct stat st;

    return lstat(socket_path(&listener->address), &st) == 0 && st.st_dev == listener->path_device &&
           st.st_ino == listener->path_inode;
}

/* No client can connect to a Unix socket without its file (unix(7)). */
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

int listener_new(struct listener **ret, int *fd, int type)
{
    _cleanup_(listener_unrefp) struct listener *listener = calloc(1, sizeof(*listener));

    if (!listener)
        return -ENOMEM;
    refcount_init(&listener->references);
    listener->type = type;
    listener->fd = -1;
    int r = socket_read_address(*fd, &listener->address);
    if (r < 0)
        return r;
    socket_read_scope(*fd, &listener->scope);
    listener->fd = TAKE_FD(*fd);
    *ret = TAKE_PTR(listener);
    return 0;
}

struct listener *listener_ref(struct listener *listener)
{
    refcount_take(&listener->references);
    return listener;
}

void listener_unref(struct listener *listener)
{
    if (!listener || !refcount_drop(&listener->references))
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
    /* Release: the thread that sees no user any more may close the socket. */
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

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int make_socket(const struct address *address)
{
    int fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd < 0 ? -errno : fd;
}

/* A bare port means every address, of both families if the kernel has IPv6. */
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

int listener_resolve(struct address *ret, const struct address *address)
{
    struct address resolved = *address;

    choose_family(&resolved);
    int r = address_find_interface(&resolved);
    if (r >= 0)
        *ret = resolved;
    return r;
}

static int set_options(int fd, const struct address *address)
{
    int r = 0;

    if (address_is_tcp(address))
        r = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (r >= 0 && address->sa.sa_family == AF_INET6 && address->dual_stack)
        r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    return r;
}

/* Whether no socket has the socket file of ADDRESS any more: then connect(2) is refused (unix(7)).
 * A stream socket would be refused by one that does not listen yet, too; a datagram socket fails
 * with EPROTOTYPE. */
static bool is_stale(const struct address *address)
{
    struct stat st;

    if (lstat(socket_path(address), &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;

    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
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

/* A client that the kernel connects before listener_renew() would be lost if the process ended
 * before systemd keeps the socket, or if a shard took a client before socket_steer(). So the socket
 * does not listen yet. Only TCP sockets have to: two of them can be bound to an address until one
 * listens (SO_REUSEADDR in socket(7)). They drop each SYN, which the client sends again a second
 * later. */
static int claim_address(int fd, const struct address *address, int backlog)
{
    if (!address_is_tcp(address))
        return 0;
    socket_hide(fd);
    return listen(fd, backlog) < 0 ? -errno : 0;
}

int listener_open(struct listener **ret, const struct address *address, int backlog)
{
    _cleanup_close_ int fd = make_socket(address);

    if (fd < 0)
        return fd;
    int r = set_options(fd, address);
    if (r < 0)
        return r;
    r = bind_socket(fd, address);
    if (r < 0)
        return r;
    r = claim_address(fd, address, backlog);
    if (r < 0)
        return r;

    struct listener *listener;
    r = listener_new(&listener, &fd, SOCK_STREAM);
    if (r < 0) {
        if (socket_path(address))
            (void)unlink(socket_path(address));
        return r;
    }
    listener->chose_port = !address_equal(address, &listener->address);
    listener_own_path(listener);
    *ret = listener;
    return 0;
}

/* Sets ADDRESS to that of FIRST, with what bind(2) does not copy. */
static int read_address(const struct listener *first, struct address *address)
{
    int v6_only = 1;
    socklen_t length = sizeof(v6_only);

    *address = first->address;
    if (address->sa.sa_family == AF_INET6 &&
        getsockopt(first->fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, &length) < 0)
        return -errno;
    address->dual_stack = !v6_only;
    return 0;
}

static int listen_beside(int fd, const struct address *address, int backlog)
{
    int r = set_options(fd, address);

    if (r >= 0)
        r = socket_share_address(fd);
    if (r >= 0)
        r = bind_socket(fd, address);
    return r < 0 ? r : claim_address(fd, address, backlog);
}

int listener_open_shard(struct listener **ret, struct listener *first, int backlog)
{
    struct address address;
    int r = read_address(first, &address);

    /* FIRST was bound alone, so that a second greetd fails instead of taking a part of the clients.
     * From now on sockets of the same user may join it. */
    if (r >= 0)
        r = socket_share_address(first->fd);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = make_socket(&address);
    r = fd < 0 ? fd : listen_beside(fd, &address, backlog);
    if (r >= 0)
        r = listener_new(ret, &fd, SOCK_STREAM);
    if (r >= 0)
        (*ret)->chose_port = first->chose_port;
    return r;
}

bool listener_shares_address(const struct listener *a, const struct listener *b)
{
    return address_is_tcp(&a->address) && address_equal(&a->address, &b->address) &&
           socket_scope_equal(&a->scope, &b->scope);
}

bool listener_serves(const struct listener *listener, const struct address *address)
{
    if (listener->inherited || listener->fd < 0 || !is_reachable(listener))
        return false;
    return address_equal(&listener->address, address) ||
           (listener->chose_port && address_has_dynamic_port(address) &&
            address_equal_host(&listener->address, address));
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
    /* A TCP socket that does not listen does not block another with SO_REUSEADDR, which all sockets
     * of greetd have (socket(7)). */
    (void)shutdown(listener->fd, SHUT_RDWR);
    listener->handed_on = false;
    listener_close(listener);
}

void listener_drop_syn(struct listener *listener)
{
    if (listener->handed_on)
        return;
    /* Without its file a Unix socket can't be found; TCP has a filter. For others (abstract
     * sockets, vsock) the queue is made as short as possible. */
    if (socket_path(&listener->address))
        unlink_path(listener);
    else if (socket_drop_syn(listener->fd) < 0)
        (void)listen(listener->fd, 0);
}
