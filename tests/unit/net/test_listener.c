/* SPDX-License-Identifier: MIT */
#include "greetd/net/listener.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "support/net.h"
#include "support/pass_fds.h"
#include "support/seccomp_deny.h"
#include "support/temp_dir.h"

TestSuite(listener, .timeout = 60);

/* Opens ADDRESS and adds its listener to SET. Returns 0 or a negative errno. */
static int open_address(struct listener_set *set, const struct address *address)
{
    struct listener *listener;
    struct address resolved;
    int r = listener_resolve(&resolved, address);

    if (r >= 0)
        r = listener_open(&listener, &resolved, 16);
    if (r < 0)
        return r;
    cr_assert_eq(listener_renew(listener, 16), 0);
    cr_assert_eq(listener_set_add(set, listener), 0);
    listener_unref(listener);
    return 0;
}

static bool serves(const struct listener *listener, const struct address *address)
{
    struct address resolved;

    cr_assert_eq(listener_resolve(&resolved, address), 0);
    return listener_serves(listener, &resolved);
}

static int open_text(struct listener_set *set, const char *text)
{
    const struct address address = net_address(text);

    return open_address(set, &address);
}

/* Connects a client to ADDRESS. Returns its socket, or a negative errno. */
static int connect_to(const struct address *address)
{
    int fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_geq(fd, 0);
    if (connect(fd, &address->sa, address->length) == 0)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

static void expect_to_serve(const struct listener *listener, const struct address *address)
{
    int client = connect_to(address);

    cr_assert_geq(client, 0, "%s", strerror(-client));
    net_wait(listener->fd, POLLIN);
    int served = accept(listener->fd, NULL, NULL);
    cr_assert_geq(served, 0);
    close(served);
    close(client);
}

static void expect_to_open(const char *text)
{
    struct listener_set set = {0};

    cr_assert_eq(open_text(&set, text), 0);
    cr_assert_eq(set.n, 1);
    const struct listener *listener = set.at[0];
    cr_assert_null(listener->name);
    cr_assert_eq(listener->type, SOCK_STREAM);
    cr_assert_not(listener->inherited);
    cr_assert(fcntl(listener->fd, F_GETFL) & O_NONBLOCK);
    cr_assert(fcntl(listener->fd, F_GETFD) & FD_CLOEXEC);
    expect_to_serve(listener, &listener->address);
    listener_set_deinit(&set);
    cr_assert_eq(set.n, 0);
}

Test(listener, opens_ipv4)
{
    expect_to_open("127.0.0.1:0");
}

Test(listener, opens_an_abstract_socket)
{
    char text[64];

    snprintf(text, sizeof(text), "@greetd-unit-%d", (int)getpid());
    expect_to_open(text);
}

Test(listener, opens_ipv6_where_there_is_ipv6)
{
    struct listener_set set = {0};
    int probe = socket(AF_INET6, SOCK_STREAM, 0);
    int expected = probe < 0 ? -errno : 0;

    cr_assert_eq(open_text(&set, "[::]:0"), expected);
    if (expected == 0)
        cr_assert_neq(set.at[0]->address.in6.sin6_port, 0);
    listener_set_deinit(&set);
}

Test(listener, opens_vsock_where_there_is_vsock)
{
    struct listener_set set = {0};
    char text[64];
    int probe = socket(AF_VSOCK, SOCK_STREAM, 0);
    int expected = probe < 0 ? -errno : 0;

    snprintf(text, sizeof(text), "vsock::%d", 100000 + (int)getpid());
    cr_assert_eq(open_text(&set, text), expected);
    if (expected == 0)
        cr_assert_eq(set.at[0]->address.vm.svm_port, 100000 + (unsigned)getpid());
    listener_set_deinit(&set);
}

Test(listener, a_bare_port_accepts_clients_of_both_families)
{
    struct listener_set set = {0};
    struct address v4 = {.length = sizeof(struct sockaddr_in)};

    cr_assert_eq(open_text(&set, "0"), 0);
    const struct listener *listener = set.at[0];
    bool has_v6 = listener->address.sa.sa_family == AF_INET6;
    v4.in = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = has_v6 ? listener->address.in6.sin6_port : listener->address.in.sin_port,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    cr_assert_neq(v4.in.sin_port, 0);
    expect_to_serve(listener, &v4);
    if (has_v6) {
        struct address v6 = listener->address;
        v6.in6.sin6_addr = in6addr_loopback;
        expect_to_serve(listener, &v6);
    }
    listener_set_deinit(&set);
}

Test(listener, a_bare_port_is_ipv4_without_ipv6)
{
    struct listener_set set = {0};
    struct address any = net_address("0"), other = net_address("127.0.0.1:0"), again;
    char port[sizeof("65535")];

    seccomp_deny(SYS_socket, 0, AF_INET6, EAFNOSUPPORT);
    cr_assert_eq(open_address(&set, &any), 0);
    const struct listener *listener = set.at[0];
    cr_assert_eq(listener->address.sa.sa_family, AF_INET);
    cr_assert(serves(listener, &any), "the kernel chose the port");
    snprintf(port, sizeof(port), "%u", ntohs(listener->address.in.sin_port));
    again = net_address(port);
    cr_assert(serves(listener, &again));
    cr_assert_not(serves(listener, &other));
    listener_set_deinit(&set);
}

/* IPv6 clients would be refused. */
Test(listener, a_bare_port_does_not_match_an_ipv4_socket)
{
    struct listener_set set = {0};
    char port[sizeof("65535")];

    if (socket(AF_INET6, SOCK_STREAM, 0) < 0)
        cr_skip_test("there is no IPv6 here");
    cr_assert_eq(open_text(&set, "0.0.0.0:0"), 0);
    snprintf(port, sizeof(port), "%u", ntohs(set.at[0]->address.in.sin_port));
    const struct address bare = net_address(port);
    cr_assert_not(serves(set.at[0], &bare));
    listener_set_deinit(&set);
}

Test(listener, returns_the_error_of_a_failed_open)
{
    struct listener_set set = {0};
    char text[ADDRESS_TEXT_MAX];

    cr_assert_eq(open_text(&set, "127.0.0.1:0"), 0);
    address_format(&set.at[0]->address, text);
    cr_assert_eq(open_text(&set, text), -EADDRINUSE);
    cr_assert_eq(open_text(&set, "192.0.2.1:0"), -EADDRNOTAVAIL);
    cr_assert_eq(open_text(&set, "/nonexistent/socket"), -ENOENT);
    cr_assert_eq(set.n, 1);
    listener_set_deinit(&set);
}

Test(listener, an_address_can_be_reused_at_once)
{
    struct listener_set set = {0};
    char text[ADDRESS_TEXT_MAX];

    cr_assert_eq(open_text(&set, "127.0.0.1:0"), 0);
    struct address address = set.at[0]->address;
    address_format(&address, text);
    int client = connect_to(&address);
    int served = accept(set.at[0]->fd, NULL, NULL);
    close(served); /* before the client, so that its port stays in TIME_WAIT */
    close(client);
    listener_set_deinit(&set);
    cr_assert_eq(open_text(&set, text), 0);
    listener_set_deinit(&set);
}

Test(listener, creates_and_removes_the_file_of_a_unix_socket)
{
    struct temp_dir temp_dir;
    struct listener_set set = {0};
    struct stat st;

    temp_dir_init(&temp_dir);
    const char *path = temp_dir_path(&temp_dir, "socket");
    cr_assert_eq(open_text(&set, path), 0);
    cr_assert_eq(lstat(path, &st), 0);
    cr_assert(S_ISSOCK(st.st_mode));
    expect_to_serve(set.at[0], &set.at[0]->address);
    listener_close(set.at[0]);
    cr_assert_eq(set.at[0]->fd, -1);
    cr_assert_eq(lstat(path, &st), -1);
    listener_close(set.at[0]);
    listener_set_deinit(&set);
    temp_dir_deinit(&temp_dir);
}

/* Leaves the file of a closed socket at PATH. */
static void leave_stale(const char *path, int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);

    strcpy(address.sun_path, path);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
}

Test(listener, replaces_a_stale_socket_file)
{
    struct temp_dir temp_dir;
    struct listener_set set = {0};

    temp_dir_init(&temp_dir);
    const char *path = temp_dir_path(&temp_dir, "socket");
    leave_stale(path, SOCK_STREAM);
    cr_assert_eq(open_text(&set, path), 0);
    expect_to_serve(set.at[0], &set.at[0]->address);
    listener_set_deinit(&set);
    temp_dir_deinit(&temp_dir);
}

Test(listener, does_not_replace_a_socket_in_use)
{
    struct temp_dir temp_dir;
    struct listener_set set = {0};

    temp_dir_init(&temp_dir);
    const char *path = temp_dir_path(&temp_dir, "socket");
    cr_assert_eq(open_text(&set, path), 0);
    cr_assert_eq(open_text(&set, path), -EADDRINUSE);
    cr_assert_eq(set.n, 1);
    cr_assert_geq(connect_to(&set.at[0]->address), 0);
    listener_set_deinit(&set);
    temp_dir_deinit(&temp_dir);
}

Test(listener, does_not_replace_a_socket_whose_queue_is_full)
{
    struct temp_dir temp_dir;
    struct listener_set set = {0};

    temp_dir_init(&temp_dir);
    const char *path = temp_dir_path(&temp_dir, "socket");
    cr_assert_eq(open_text(&set, path), 0);
    cr_assert_eq(listen(set.at[0]->fd, 0), 0);
    cr_assert_geq(connect_to(&set.at[0]->address), 0);
    cr_assert_eq(open_text(&set, path), -EADDRINUSE);
    listener_set_deinit(&set);
    temp_dir_deinit(&temp_dir);
}

Test(listener, does_not_replace_a_socket_of_another_type)
{
    struct temp_dir temp_dir;
    struct listener_set set = {0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    temp_dir_init(&temp_dir);
    const char *path = temp_dir_path(&temp_dir, "socket");
    strcpy(address.sun_path, path);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(open_text(&set, path), -EADDRINUSE);
    close(fd);
    cr_assert_eq(open_text(&set, path), 0);
    listener_set_deinit(&set);
    temp_dir_deinit(&temp_dir);
}

Test(listener, does_not_replace_a_file_that_is_not_a_socket)
{
    struct temp_dir temp_dir;
    struct listener_set set = {0};
    struct stat st;

    temp_dir_init(&temp_dir);
    const char *path = temp_dir_write_text(&temp_dir, "precious", "data");
    cr_assert_eq(open_text(&set, path), -EADDRINUSE);
    cr_assert_eq(lstat(path, &st), 0);
    cr_assert_eq(st.st_size, 4);
    path = temp_dir_symlink(&temp_dir, "precious", "link");
    cr_assert_eq(open_text(&set, path), -EADDRINUSE);
    cr_assert_eq(lstat(path, &st), 0);
    cr_assert(S_ISLNK(st.st_mode));
    temp_dir_deinit(&temp_dir);
}

Test(listener, does_not_remove_the_file_of_its_successor)
{
    struct temp_dir temp_dir;
    struct listener_set first = {0}, second = {0};
    struct stat st;

    temp_dir_init(&temp_dir);
    const char *path = temp_dir_path(&temp_dir, "socket");
    cr_assert_eq(open_text(&first, path), 0);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(open_text(&second, path), 0);
    listener_set_deinit(&first);
    cr_assert_eq(lstat(path, &st), 0);
    listener_set_deinit(&second);
    cr_assert_eq(lstat(path, &st), -1);
    temp_dir_deinit(&temp_dir);
}

Test(listener, drop_syn_of_a_unix_socket_keeps_its_queue)
{
    struct temp_dir temp_dir;
    struct listener_set set = {0};

    temp_dir_init(&temp_dir);
    cr_assert_eq(open_text(&set, temp_dir_path(&temp_dir, "socket")), 0);
    cr_assert_geq(connect_to(&set.at[0]->address), 0);
    listener_drop_syn(set.at[0]);
    cr_assert_eq(connect_to(&set.at[0]->address), -ENOENT);
    cr_assert_geq(accept(set.at[0]->fd, NULL, NULL), 0);
    listener_set_deinit(&set);
    temp_dir_deinit(&temp_dir);
}

Test(listener, close_for_all_frees_the_address_despite_other_descriptors)
{
    struct listener_set set = {0};
    char text[ADDRESS_TEXT_MAX];

    cr_assert_eq(open_text(&set, "127.0.0.1:0"), 0);
    address_format(&set.at[0]->address, text);
    cr_assert_geq(dup(set.at[0]->fd), 0);
    listener_close_for_all(set.at[0]);
    cr_assert_eq(set.at[0]->fd, -1);
    cr_assert_eq(open_text(&set, text), 0);
    expect_to_serve(set.at[1], &set.at[1]->address);
    listener_set_deinit(&set);
}

Test(listener, drop_syn_does_nothing_to_a_socket_that_is_handed_on)
{
    struct sockaddr_in address;
    struct listener listener = {.fd = net_listen(&address), .handed_on = true};

    listener.address.in = address;
    listener.address.length = sizeof(address);
    listener_drop_syn(&listener);
    expect_to_serve(&listener, &listener.address);
}
