/* SPDX-License-Identifier: MIT */

/* Tests of several sockets at one address, and of the time before a socket has clients. */

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <sys/socket.h>

#include "greetd/net/listener.h"
#include "greetd/net/socket.h"
#include "support/net.h"
#include "support/seccomp_deny.h"
#include "support/temp_dir.h"

TestSuite(listener_shard, .timeout = 60);

static struct listener *open_listener(const char *text)
{
    const struct address address = net_address(text);
    struct listener *listener;

    cr_assert_eq(listener_open(&listener, &address, 512), 0);
    cr_assert_eq(listener_renew(listener, 512), 0);
    return listener;
}

static struct listener *open_shard(struct listener *first)
{
    struct listener *listener;

    cr_assert_eq(listener_open_shard(&listener, first, 512), 0);
    cr_assert(listener_shares_address(first, listener));
    return listener;
}

/* Connects and closes clients of ADDRESS until LISTENER has one in its queue. */
static void connect_until_readable(const struct address *address, const struct listener *listener)
{
    int left = 1000;

    while (poll(&(struct pollfd){.fd = listener->fd, .events = POLLIN}, 1, 0) == 0) {
        int fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        cr_assert_gt(left--, 0);
        cr_assert_eq(connect(fd, &address->sa, address->length), 0);
        close(fd);
    }
}

Test(listener_shard, gets_a_part_of_the_clients_once_it_is_renewed)
{
    const char *addresses[] = {"127.0.0.1:0", "[::1]:0", "0"};

    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        struct listener *first = open_listener(addresses[i]), *second = open_shard(first);

        cr_assert_eq(socket_steer(second->fd, 1), 0);
        cr_assert_eq(listener_renew(second, 512), 0);
        connect_until_readable(&first->address, first);
        connect_until_readable(&first->address, second);
        listener_unref(first);
        listener_unref(second);
    }
}

/* A client of IPv4 that has connected to a bare port. */
Test(listener_shard, of_a_bare_port_takes_both_families)
{
    struct listener *first = open_listener("0"), *second = open_shard(first);
    struct address address = net_address("127.0.0.1:0");

    address.in.sin_port = first->address.in6.sin6_port;
    cr_assert_eq(listener_renew(second, 512), 0);
    connect_until_readable(&address, second);
    listener_unref(first);
    listener_unref(second);
}

/* A SYN that reaches the new socket is dropped, and so is no client that it could lose. */
Test(listener_shard, has_no_client_before_it_is_renewed)
{
    struct listener *first = open_listener("127.0.0.1:0"), *second = open_shard(first);
    int clients[64];

    for (size_t i = 0; i < 64; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(clients[i], &first->address.sa, first->address.length);
    }
    net_wait(first->fd, POLLIN);
    cr_assert_eq(poll(&(struct pollfd){.fd = second->fd, .events = POLLIN}, 1, 0), 0);
    listener_unref(second);
    for (size_t i = 0; i < 64; i++) {
        net_wait(clients[i], POLLOUT);
        cr_assert_eq(send(clients[i], "x", 1, MSG_NOSIGNAL), 1, "client %zu is connected", i);
    }
    listener_unref(first);
}

/* Loopback delivers a SYN and its answer before connect(2) returns. */
Test(listener_shard, the_first_has_no_client_before_it_is_renewed)
{
    const struct address address = net_address("127.0.0.1:0");
    struct listener *listener;

    /* Some kernels allow a filter only with CAP_NET_ADMIN. */
    seccomp_deny(SYS_setsockopt, 2, SO_ATTACH_FILTER, EPERM);
    cr_assert_eq(listener_open(&listener, &address, 512), 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cr_assert_lt(connect(client, &listener->address.sa, listener->address.length), 0);
    cr_assert_eq(poll(&(struct pollfd){.fd = client, .events = POLLOUT}, 1, 100), 0);
    cr_assert_eq(poll(&(struct pollfd){.fd = listener->fd, .events = POLLIN}, 1, 0), 0);
    cr_assert_eq(listener_renew(listener, 512), 0);
    net_wait(listener->fd, POLLIN);
    net_wait(client, POLLOUT);
    cr_assert_eq(send(client, "x", 1, MSG_NOSIGNAL), 1, "the client is connected");
    close(client);
    listener_unref(listener);
}

static int connect_to(const struct address *address)
{
    int fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return connect(fd, &address->sa, address->length) < 0 ? -errno : fd;
}

Test(listener_shard, a_unix_socket_has_its_path_but_no_client_before_it_is_renewed)
{
    struct temp_dir temp_dir;
    struct listener *listener, *other;

    temp_dir_init(&temp_dir);
    const struct address address = net_address(temp_dir_path(&temp_dir, "socket"));
    cr_assert_eq(listener_open(&listener, &address, 16), 0);
    cr_assert_eq(listener_open(&other, &address, 16), -EADDRINUSE);
    cr_assert_eq(connect_to(&address), -ECONNREFUSED);
    cr_assert_eq(listener_renew(listener, 16), 0);
    cr_assert_geq(connect_to(&address), 0);
    listener_unref(listener);
    temp_dir_deinit(&temp_dir);
}

/* systemd has it if it could not be asked to drop it, while its path may be configured again. */
Test(listener_shard, close_for_all_removes_the_file_of_a_stored_socket)
{
    struct temp_dir temp_dir;
    struct listener *listener;

    temp_dir_init(&temp_dir);
    const struct address address = net_address(temp_dir_path(&temp_dir, "socket"));
    cr_assert_eq(listener_open(&listener, &address, 16), 0);
    listener->handed_on = true;
    cr_assert_geq(dup(listener->fd), 0);
    listener_close_for_all(listener);
    listener_unref(listener);
    cr_assert_eq(listener_open(&listener, &address, 16), 0);
    listener_unref(listener);
    temp_dir_deinit(&temp_dir);
}

Test(listener_shard, a_second_greetd_finds_the_address_in_use)
{
    struct listener *first = open_listener("127.0.0.1:0"), *second = open_shard(first), *other;

    cr_assert_eq(listener_open(&other, &first->address, 512), -EADDRINUSE);
    listener_unref(first);
    listener_unref(second);
}

Test(listener_shard, of_another_user_is_an_error)
{
    struct listener *first = open_listener("127.0.0.1:0"), *second = NULL;

    cr_assert_eq(seteuid(65534), 0);
    cr_assert_eq(listener_open_shard(&second, first, 512), -EADDRINUSE);
    cr_assert_null(second);
    listener_unref(first);
    /* LeakSanitizer can't look into the process of another user. */
    cr_assert_eq(seteuid(0), 0);
}

Test(listener_shard, fails_if_the_kernel_lets_no_sockets_share_an_address)
{
    struct listener *first = open_listener("127.0.0.1:0"), *second = NULL;

    seccomp_deny(SYS_setsockopt, 2, SO_REUSEPORT, ENOPROTOOPT);
    cr_assert_eq(listener_open_shard(&second, first, 512), -ENOPROTOOPT);
    cr_assert_null(second);
    listener_unref(first);
}

Test(listener_shard, is_open_even_if_it_can_not_drop_new_handshakes)
{
    struct listener *first = open_listener("127.0.0.1:0");

    seccomp_deny(SYS_setsockopt, 2, IP_MINTTL, EPERM);
    struct listener *second = open_shard(first);
    cr_assert_eq(listener_renew(second, 512), 0);
    connect_until_readable(&first->address, second);
    listener_unref(first);
    listener_unref(second);
}

Test(listener_shard, only_tcp_sockets_share_an_address)
{
    struct listener *first = open_listener("@greetd-shard"), *other = open_listener("127.0.0.1:0");

    cr_assert_not(listener_shares_address(first, first));
    cr_assert(listener_shares_address(other, other));
    cr_assert_not(listener_shares_address(first, other));
    listener_unref(first);
    listener_unref(other);
}

/* Returns a listener at port 7001 whose socket has the option NAME of LEVEL set to VALUE. */
static struct listener *listen_with(int level, int name, const void *value, socklen_t size)
{
    const struct address address = net_address("[::]:7001");
    struct listener *listener;
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(socket_share_address(fd), 0);
    cr_assert_eq(setsockopt(fd, level, name, value, size), 0);
    cr_assert_eq(bind(fd, &address.sa, address.length), 0);
    cr_assert_eq(listen(fd, 1), 0);
    cr_assert_eq(listener_new(&listener, &fd, SOCK_STREAM), 0);
    return listener;
}

Test(listener_shard, of_another_scope_is_of_another_address)
{
    const int no = 0, yes = 1;

    cr_assert_eq(unshare(CLONE_NEWNET), 0);
    struct listener *first = listen_with(IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)),
                    *same = listen_with(IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)),
                    *v6_only = listen_with(IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)),
                    *bound = listen_with(SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof("lo"));

    cr_assert(listener_shares_address(first, same));
    cr_assert_not(listener_shares_address(first, v6_only));
    cr_assert_not(listener_shares_address(first, bound));
    listener_unref(first);
    listener_unref(same);
    listener_unref(v6_only);
    listener_unref(bound);
}
