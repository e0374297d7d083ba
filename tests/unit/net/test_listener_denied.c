/* SPDX-License-Identifier: MIT */

/* System calls that the kernel denies while a socket is opened. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "greetd/net/listener.h"
#include "greetd/net/peer.h"
#include "greetd/net/socket.h"
#include "support/descriptors.h"
#include "support/fake.h"
#include "support/net.h"
#include "support/seccomp_deny.h"
#include "support/temp_dir.h"

TestSuite(listener_denied, .timeout = 60);

/* What unlink(2) returns instead, after it has removed the file if REMOVES; 0: nothing. */
static struct {
    int error;
    bool removes;
} fake_unlink;

FAKE int unlink(const char *path)
{
    if (fake_unlink.error == 0 || fake_unlink.removes)
        (void)unlinkat(AT_FDCWD, path, 0);
    if (fake_unlink.error == 0)
        return 0;
    errno = fake_unlink.error;
    return -1;
}

static struct listener *open_listener(const char *text)
{
    const struct address address = net_address(text);
    struct listener *listener;

    cr_assert_eq(listener_open(&listener, &address, 16), 0);
    return listener;
}

/* Returns the error of listener_open() for TEXT. */
static int fail_to_open(const char *text)
{
    const struct address address = net_address(text);
    struct listener *untouched = NULL;
    int r = listener_open(&untouched, &address, 16);

    cr_assert_null(untouched);
    return r;
}

/* Returns the error of a further shard for FIRST. */
static int fail_to_open_shard(struct listener *first)
{
    struct listener *untouched = NULL;
    int r = listener_open_shard(&untouched, first, 16);

    cr_assert_null(untouched);
    return r;
}

/* The number of the next descriptor. */
static int next_fd(void)
{
    int fd = dup(STDERR_FILENO);

    close(fd);
    return fd;
}

Test(listener_denied, is_not_opened_without_a_socket)
{
    struct listener *first = open_listener("127.0.0.1:0");

    seccomp_deny(SYS_socket, 0, AF_INET, EACCES);
    cr_expect_eq(fail_to_open("127.0.0.1:0"), -EACCES);
    cr_expect_eq(fail_to_open_shard(first), -EACCES);
    listener_unref(first);
}

Test(listener_denied, is_not_opened_without_its_options)
{
    struct listener *first = open_listener("127.0.0.1:0");

    seccomp_deny(SYS_setsockopt, 2, SO_REUSEADDR, EPERM);
    cr_expect_eq(fail_to_open("127.0.0.1:0"), -EPERM);
    cr_expect_eq(fail_to_open_shard(first), -EPERM);
    listener_unref(first);
}

Test(listener_denied, has_no_shard_of_an_unknown_family)
{
    struct listener *first = open_listener("[::1]:0");

    seccomp_deny(SYS_getsockopt, 2, IPV6_V6ONLY, EPERM);
    cr_expect_eq(fail_to_open_shard(first), -EPERM);
    listener_unref(first);
}

Test(listener_denied, is_not_opened_if_it_can_not_listen)
{
    struct listener *listener = open_listener("127.0.0.1:0");

    seccomp_deny(SYS_listen, 1, 16, EADDRINUSE);
    cr_expect_eq(fail_to_open("127.0.0.1:0"), -EADDRINUSE);
    cr_expect_eq(listener_renew(listener, 16), -EADDRINUSE);
    listener_unref(listener);
}

Test(listener_denied, leaves_no_file_if_its_address_is_unknown)
{
    struct temp_dir temp_dir;

    temp_dir_init(&temp_dir);
    const char *path = temp_dir_path(&temp_dir, "socket");
    seccomp_deny(SYS_getsockname, 0, (uint32_t)next_fd(), ENOBUFS);
    cr_expect_eq(fail_to_open("127.0.0.1:0"), -ENOBUFS);
    cr_expect_eq(fail_to_open(path), -ENOBUFS);
    cr_expect_eq(access(path, F_OK), -1);
    temp_dir_deinit(&temp_dir);
}

/* Makes a socket file at which no process listens, and returns its path. */
static const char *leave_file(struct temp_dir *temp_dir)
{
    struct address address;

    temp_dir_init(temp_dir);
    address = net_address(temp_dir_path(temp_dir, "socket"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, &address.sa, address.length), 0);
    close(fd);
    return temp_dir->path;
}

Test(listener_denied, does_not_replace_a_file_that_it_may_not_remove)
{
    struct temp_dir temp_dir;
    const char *path = leave_file(&temp_dir);

    fake_unlink.error = EACCES;
    cr_expect_eq(fail_to_open(path), -EACCES);
    fake_unlink.error = 0;
    temp_dir_deinit(&temp_dir);
}

/* Another process removes the file at the same time, and may make its own. */
Test(listener_denied, replaces_a_file_that_another_process_removes)
{
    struct temp_dir temp_dir;
    const char *path = leave_file(&temp_dir);

    fake_unlink.error = ENOENT;
    cr_expect_eq(fail_to_open(path), -EADDRINUSE, "another one was made");
    fake_unlink.removes = true;
    struct listener *listener = open_listener(path);
    fake_unlink.error = 0;
    listener_unref(listener);
    temp_dir_deinit(&temp_dir);
}

Test(listener_denied, does_not_replace_a_file_that_it_can_not_try)
{
    struct temp_dir temp_dir;
    const char *path = leave_file(&temp_dir);
    struct rlimit limit = descriptors_deny_from((rlim_t)next_fd() + 1);
    int r = fail_to_open(path);

    descriptors_allow(limit);
    cr_expect_eq(r, -EADDRINUSE);
    temp_dir_deinit(&temp_dir);
}

Test(listener_denied, reports_an_address_in_use_whose_file_is_gone)
{
    const struct address address = net_address("/nonexistent/greetd.sock");

    seccomp_deny(SYS_bind, 2, address.length, EADDRINUSE);
    cr_expect_eq(fail_to_open("/nonexistent/greetd.sock"), -EADDRINUSE);
}

Test(listener_denied, serves_no_address_without_its_socket_or_file)
{
    struct temp_dir temp_dir;

    temp_dir_init(&temp_dir);
    struct listener *listener = open_listener(temp_dir_path(&temp_dir, "socket"));
    const struct address address = listener->address;

    cr_expect(listener_serves(listener, &address));
    listener->path_device++;
    cr_expect_not(listener_serves(listener, &address), "the file is in another file system");
    listener->path_device--;
    listener->inherited = true;
    cr_expect_not(listener_serves(listener, &address), "systemd passed it");
    listener->inherited = false;
    listener_close(listener);
    cr_expect_not(listener_serves(listener, &address), "it is closed");
    listener_unref(listener);
    temp_dir_deinit(&temp_dir);
}

/* Returns the description of FD, which can't be used. */
static const char *describe(int fd)
{
    const char *what = NULL;

    cr_assert_eq(socket_check_listening(fd, &(int){0}, &what), -EINVAL);
    return what;
}

/* What descriptors are instead; 0: nothing else. */
static mode_t fake_mode;

FAKE int fstat(int fd, struct stat *status)
{
    int r = fstatat(fd, "", status, AT_EMPTY_PATH);

    if (r == 0 && fake_mode != 0)
        status->st_mode = fake_mode;
    return r;
}

/* No test can open a real one. */
Test(listener_denied, describes_a_block_device)
{
    fake_mode = S_IFBLK;
    cr_expect_str_eq(describe(STDERR_FILENO), "a block device");
    fake_mode = 0;
}

Test(listener_denied, describes_a_socket_of_another_type)
{
    cr_expect_str_eq(describe(socket(AF_UNIX, SOCK_DGRAM, 0)), "a datagram socket");
    cr_expect_str_eq(describe(socket(AF_NETLINK, SOCK_RAW, 0)), "a raw socket");
}

Test(listener_denied, reports_what_can_not_be_set)
{
    struct sockaddr_in address;
    int fds[2], fd = net_listen(&address);

    cr_assert_eq(pipe(fds), 0);
    seccomp_deny(SYS_setsockopt, 2, SO_ATTACH_FILTER, ENOMEM);
    cr_expect_eq(socket_drop_syn(fd), -ENOMEM);
    seccomp_deny(SYS_fcntl, 1, F_SETFL, EPERM);
    cr_expect_eq(socket_set_nonblocking(fds[0]), -EPERM);
}

Test(listener_denied, knows_no_credentials_that_the_kernel_denies)
{
    const struct address address = net_address("/run/greetd.sock");
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    seccomp_deny(SYS_getsockopt, 2, SO_PEERCRED, EPERM);
    struct peer peer = peer_of_socket(fds[0], &address.sa, address.length);
    cr_expect_eq(peer.family, AF_UNIX);
    cr_expect_eq(peer.un.pid, 0);
    cr_expect_not(peer_has_uid(&peer));
}
