/* SPDX-License-Identifier: MIT */
#include "greetd/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "greetd/sockutil.h"

/* The names of passed descriptors, a list that ends in NULL. */
static void free_names(char ***names)
{
    for (char **name = *names; name && *name; name++)
        free(*name);
    free(*names);
}

/* Where the socket file of a Unix address is, NULL for all others. */
static const char *socket_path(const struct address *address)
{
    if (address->sa.sa_family != AF_UNIX || address->un.sun_path[0] == '\0' ||
        address->length <= offsetof(struct sockaddr_un, sun_path))
        return NULL;
    return address->un.sun_path;
}

static int read_bound_address(int fd, struct address *ret)
{
    struct address address = {.length = sizeof(address.storage)};

    if (getsockname(fd, &address.sa, &address.length) < 0)
        return -errno;
    *ret = address;
    return 0;
}

static int set_add(struct listener_set *set, const char *name, struct listener listener)
{
    struct listener *listeners = reallocarray(set->listeners, set->n + 1, sizeof(*listeners));

    if (!listeners)
        return -ENOMEM;
    set->listeners = listeners;
    listener.name = strdup(name);
    if (!listener.name)
        return -ENOMEM;
    set->listeners[set->n++] = listener;
    return 0;
}

/* Whether clients can be accepted from a passed descriptor; what else it is goes to the report. */
static bool is_usable(int fd, const char *name, int *ret_type, struct report *report)
{
    const char *what;

    if (sockutil_check_listening(fd, ret_type, &what) >= 0)
        return true;
    report_add(report, "Descriptor %d (%s) passed by systemd can't be used: it is %s", fd, name,
               what);
    return false;
}

static int inherit_one(struct listener_set *set, int fd, const char *name, struct report *report)
{
    struct listener listener = {.fd = fd, .inherited = true};
    int r;

    if (!is_usable(fd, name, &listener.type, report))
        return 0;
    r = sockutil_set_nonblocking(fd);
    if (r < 0)
        return r;
    r = read_bound_address(fd, &listener.address);
    if (r < 0)
        return r;
    return set_add(set, name, listener);
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

int listener_inherit(struct listener_set *set, struct report *report)
{
    _cleanup_(free_names) char **names = NULL;
    int n = sd_listen_fds_with_names(false, &names);

    if (n == -EBADF)
        report_unusable(report);
    for (int i = 0; i < n; i++) {
        int r = inherit_one(set, SD_LISTEN_FDS_START + i, names[i], report);
        if (r < 0)
            return r;
    }
    (void)sd_listen_fds(true);
    return report->n_mistakes > 0 ? -EBADMSG : n;
}

static int set_option(int fd, int level, int option)
{
    return setsockopt(fd, level, option, &(int){1}, sizeof(int)) < 0 ? -errno : 0;
}

/* A bare port means every address, of both families if the machine has both. */
static int open_socket(struct address *address)
{
    int fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 && errno == EAFNOSUPPORT && address->dual_stack) {
        in_port_t port = address->in6.sin6_port;

        address->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
        address->length = sizeof(address->in);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    return fd < 0 ? -errno : fd;
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

/* Remembers which file bind(2) made, so that another's is never unlinked in its place. */
static void remember_path(struct listener *listener)
{
    const char *path = socket_path(&listener->address);
    struct stat st;

    if (path && lstat(path, &st) == 0) {
        listener->path_device = st.st_dev;
        listener->path_inode = st.st_ino;
    }
}

static void unlink_path(struct listener *listener)
{
    const char *path = socket_path(&listener->address);
    struct stat st;

    if (!listener->inherited && path && lstat(path, &st) == 0 &&
        st.st_dev == listener->path_device && st.st_ino == listener->path_inode)
        (void)unlink(path);
    listener->path_inode = 0;
}

int listener_open(struct listener_set *set, const char *name, const struct address *address,
                  int backlog)
{
    struct listener listener = {.type = SOCK_STREAM};
    struct address wanted = *address;
    _cleanup_close_ int fd = open_socket(&wanted);
    int r;

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
    r = read_bound_address(fd, &listener.address);
    if (r < 0)
        return r;

    remember_path(&listener);
    listener.fd = fd;
    r = set_add(set, name, listener);
    if (r < 0)
        unlink_path(&listener);
    else
        (void)TAKE_FD(fd);
    return r;
}

void listener_close(struct listener *listener)
{
    if (listener->fd < 0)
        return;
    unlink_path(listener);
    listener->fd = util_close(listener->fd);
}

void listener_set_deinit(struct listener_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        listener_close(&set->listeners[i]);
        free(set->listeners[i].name);
    }
    free(set->listeners);
    *set = (struct listener_set){0};
}

void listener_drop_newcomers(struct listener *listener)
{
    if (listener->inherited)
        return;
    /* A Unix socket without its file can't be found any more; TCP has a filter. Where neither helps
     * (abstract sockets, vsock) the queue is at least made as short as it can be. */
    if (socket_path(&listener->address))
        unlink_path(listener);
    else if (sockutil_drop_newcomers(listener->fd) < 0)
        (void)listen(listener->fd, 0);
}
