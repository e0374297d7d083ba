/* SPDX-License-Identifier: MIT */
#include "greetd/net/socket.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "greetd/base/cleanup.h"
#include "support/net.h"
#include "support/seccomp_deny.h"

TestSuite(socket, .timeout = 60);

Test(socket, makes_a_descriptor_non_blocking_and_keeps_its_other_flags)
{
    int fds[2];

    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(fcntl(fds[1], F_SETFL, O_APPEND), 0);
    cr_assert_eq(socket_set_nonblocking(fds[1]), 0);
    cr_assert_eq(socket_set_nonblocking(fds[1]), 0);
    cr_assert_eq(fcntl(fds[1], F_GETFL) & (O_NONBLOCK | O_APPEND), O_NONBLOCK | O_APPEND);
    cr_assert_eq(socket_set_nonblocking(-1), -EBADF);
}

/* Returns the description of FD, or "listening" for a listening socket. */
static const char *describe(int fd)
{
    const char *what = "listening";
    int type = 0;
    int r = socket_check_listening(fd, &type, &what);

    cr_assert_eq(r, strcmp(what, "listening") == 0 ? 0 : -EINVAL);
    return what;
}

Test(socket, describes_a_descriptor_that_is_not_a_socket)
{
    int fds[2];

    cr_assert_eq(pipe(fds), 0);
    cr_assert_str_eq(describe(fds[0]), "a pipe");
    cr_assert_str_eq(describe(open("/proc/self/exe", O_RDONLY)), "a regular file");
    cr_assert_str_eq(describe(open("/", O_RDONLY)), "a directory");
    cr_assert_str_eq(describe(open("/dev/null", O_RDONLY)), "a character device");
    cr_assert_str_eq(describe(epoll_create1(0)), "not a socket");
    cr_assert_str_eq(describe(1000), "closed");
    cr_assert_str_eq(describe(-1), "closed");
}

Test(socket, describes_a_socket_that_does_not_listen)
{
    cr_assert_str_eq(describe(socket(AF_INET, SOCK_DGRAM, 0)), "a datagram socket");
    cr_assert_str_eq(describe(socket(AF_UNIX, SOCK_DGRAM, 0)), "a datagram socket");
    cr_assert_str_eq(describe(socket(AF_INET, SOCK_STREAM, 0)), "a socket that does not listen");
    cr_assert(strstr(describe(net_tcp_pair().server), "Accept=yes"));
    cr_assert(strstr(describe(net_local_pair(SOCK_SEQPACKET).server), "Accept=yes"));
}

ParameterizedTestParameters(socket, returns_the_error_of_a_socket_that_cant_be_examined)
{
    static int options[] = {SO_TYPE, SO_ACCEPTCONN};
    return cr_make_param_array(int, options, ELEMENTSOF(options));
}

ParameterizedTest(int *option, socket, returns_the_error_of_a_socket_that_cant_be_examined)
{
    int fd = net_listen_local(SOCK_STREAM), type = 0;
    const char *what = NULL;

    seccomp_deny(SYS_getsockopt, 2, (uint32_t)*option, EACCES);
    cr_assert_eq(socket_check_listening(fd, &type, &what), -EACCES);
    cr_assert_null(what);
}

ParameterizedTestParameters(socket, recognizes_a_listening_socket_and_its_type)
{
    static int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
    return cr_make_param_array(int, types, ELEMENTSOF(types));
}

ParameterizedTest(int *type, socket, recognizes_a_listening_socket_and_its_type)
{
    int fd = net_listen_local(*type), got = 0;
    const char *what = NULL;

    cr_assert_eq(socket_check_listening(fd, &got, &what), 0);
    cr_assert_eq(got, *type);
    cr_assert_null(what);
}

/* Returns a client whose connect(2) may still be in progress. */
static int start_connect(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    cr_assert_geq(fd, 0);
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
        cr_assert_eq(errno, EINPROGRESS);
    return fd;
}

static bool is_connected(int fd, int timeout_msec)
{
    return poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, timeout_msec) > 0;
}

Test(socket, drop_syn_keeps_the_clients_in_the_queue)
{
    struct sockaddr_in address;
    int listening = net_listen(&address);
    char byte = 0;

    int early = net_connect(&address);
    cr_assert_eq(socket_drop_syn(listening), 0);
    /* On the loopback interface, a handshake that is not dropped ends before connect(2) returns. */
    int late = start_connect(&address);
    cr_assert_not(is_connected(late, 100));

    int served = accept(listening, NULL, NULL);
    cr_assert_geq(served, 0);
    cr_assert_eq(send(served, "x", 1, MSG_NOSIGNAL), 1);
    net_read(early, &byte, 1);
    cr_assert_eq(byte, 'x');
    cr_assert_eq(send(early, "y", 1, MSG_NOSIGNAL), 1);
    net_read(served, &byte, 1);
    cr_assert_eq(byte, 'y');
    cr_assert_eq(accept(listening, NULL, NULL), -1);
    cr_assert_eq(errno, EAGAIN);
}

Test(socket, a_client_whose_syn_was_dropped_reaches_the_next_listener)
{
    struct sockaddr_in address;
    int listening = net_listen(&address), next = socket(AF_INET, SOCK_STREAM, 0);

    cr_assert_eq(socket_drop_syn(listening), 0);
    int late = start_connect(&address);
    cr_assert_not(is_connected(late, 0));
    cr_assert_eq(setsockopt(next, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
    close(listening);
    cr_assert_eq(bind(next, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(next, 1), 0);
    cr_assert(is_connected(late, NET_BOUND_MSEC));
    cr_assert_geq(accept(next, NULL, NULL), 0);
}

Test(socket, drop_syn_is_for_tcp_only)
{
    cr_assert_eq(socket_drop_syn(socket(AF_UNIX, SOCK_STREAM, 0)), -EOPNOTSUPP);
    cr_assert_eq(socket_drop_syn(-1), -EBADF);
}

/* Returns a further socket that listens at ADDRESS. */
static int listen_beside(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    cr_assert_eq(socket_share_address(fd), 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)address, sizeof(*address)), 0);
    cr_assert_eq(listen(fd, 512), 0);
    return fd;
}

/* Makes N sockets that listen at one address, and began to in their order. The first one is shared
 * only after that. */
static void listen_together(struct sockaddr_in *address, int *fds, size_t n)
{
    fds[0] = net_listen(address);
    cr_assert_eq(socket_share_address(fds[0]), 0);
    for (size_t i = 1; i < n; i++)
        fds[i] = listen_beside(address);
}

/* Returns how many clients there are in the queue of FD, and takes them out of it. */
static size_t count_queue(int fd)
{
    size_t n = 0;

    for (int client; (client = accept(fd, NULL, NULL)) >= 0; n++)
        close(client);
    return n;
}

static void connect_many(const struct sockaddr_in *address, size_t n)
{
    while (n-- > 0)
        close(net_connect(address));
}

Test(socket, steer_leaves_new_clients_to_the_oldest_sockets_of_an_address)
{
    struct sockaddr_in address;
    int fds[4];

    listen_together(&address, fds, 4);
    cr_assert_eq(socket_steer(fds[0], 2), 0);
    connect_many(&address, 100);
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(count_queue(fds[i]) > 0, i < 2, "socket %zu", i);

    /* Those that are left keep their numbers, in whichever order the others are closed. */
    close(fds[2]);
    close(fds[3]);
    connect_many(&address, 100);
    cr_assert_gt(count_queue(fds[0]), 0);
    cr_assert_gt(count_queue(fds[1]), 0);
}

Test(socket, steer_holds_for_sockets_that_begin_to_listen_later)
{
    struct sockaddr_in address;
    int fds[2];

    listen_together(&address, fds, 2);
    cr_assert_eq(socket_steer(fds[1], 2), 0);
    int more = listen_beside(&address);
    connect_many(&address, 100);
    cr_assert_eq(count_queue(more), 0);
    cr_assert_eq(count_queue(fds[0]) + count_queue(fds[1]), 100);

    socket_accept_syn(fds[0]);
    connect_many(&address, 100);
    cr_assert_gt(count_queue(more), 0);
}

Test(socket, steer_is_for_sockets_that_share_an_address)
{
    struct sockaddr_in address;

    cr_assert_eq(socket_steer(net_listen(&address), 1), -EINVAL);
    cr_assert_eq(socket_steer(-1, 1), -EBADF);
}

static bool kernel_migrates(void)
{
    FILE *file = fopen("/proc/sys/net/ipv4/tcp_migrate_req", "re");
    bool migrates = file && fgetc(file) == '1';

    if (file)
        (void)fclose(file);
    return migrates;
}

/* The reason for all the care: the clients of a socket that is closed are not moved to the others.
 */
Test(socket, the_kernel_resets_the_queue_of_a_socket_that_is_closed_beside_others)
{
    struct sockaddr_in address;
    int fds[2], clients[64];
    size_t n_reset = 0;

    if (kernel_migrates())
        cr_skip_test("net.ipv4.tcp_migrate_req is 1");
    listen_together(&address, fds, 2);
    for (size_t i = 0; i < ELEMENTSOF(clients); i++)
        clients[i] = net_connect(&address);
    close(fds[1]);
    for (size_t i = 0; i < ELEMENTSOF(clients); i++)
        n_reset += recv(clients[i], &(char){0}, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET;
    cr_assert_gt(n_reset, 0);
    cr_assert_eq(n_reset + count_queue(fds[0]), ELEMENTSOF(clients));
}

Test(socket, set_fast_open_does_nothing_to_sockets_other_than_tcp)
{
    struct sockaddr_in address;
    int listening = net_listen(&address), queue = 0;
    socklen_t length = sizeof(queue);

    cr_assert_eq(socket_set_fast_open(listening, 7), 0);
    cr_assert_eq(getsockopt(listening, IPPROTO_TCP, TCP_FASTOPEN, &queue, &length), 0);
    cr_assert_eq(queue, 7);
    cr_assert_eq(socket_set_fast_open(socket(AF_UNIX, SOCK_STREAM, 0), 7), 0);
    cr_assert_eq(socket_set_fast_open(-1, 7), -EBADF);
}

Test(socket, is_not_in_a_handshake_without_fast_open)
{
    struct net_pair tcp = net_tcp_pair(), local = net_local_pair(SOCK_STREAM);

    cr_assert_not(socket_is_in_handshake(tcp.server));
    cr_assert_not(socket_is_in_handshake(local.server));
    cr_assert_not(socket_is_in_handshake(-1));
}

Test(socket, counts_unacknowledged_bytes_without_the_end_of_stream)
{
    struct net_pair pair = net_tcp_pair_with(4096);
    static char bytes[100 * 1000];

    setsockopt(pair.server, SOL_SOCKET, SO_SNDBUF, &(int){400 * 1000}, sizeof(int));
    cr_assert_eq(socket_unacknowledged(pair.server, false), 0);
    cr_assert_eq(send(pair.server, bytes, sizeof(bytes), MSG_NOSIGNAL), (ssize_t)sizeof(bytes));
    NET_WAIT_UNTIL(net_outstanding(pair.server) < (int)sizeof(bytes));
    cr_assert_gt(socket_unacknowledged(pair.server, false), 0);

    shutdown(pair.server, SHUT_WR);
    int64_t with = net_outstanding(pair.server);
    cr_assert_leq(socket_unacknowledged(pair.server, true), with - 1);

    cr_assert_eq(net_read_to_end(pair.client, bytes, sizeof(bytes)), (ssize_t)sizeof(bytes));
    NET_WAIT_UNTIL(net_outstanding(pair.server) == 0);
    cr_assert_eq(socket_unacknowledged(pair.server, true), 0);
}

Test(socket, a_local_peer_acknowledges_by_reading)
{
    struct net_pair pair = net_local_pair(SOCK_STREAM);
    char bytes[3];

    cr_assert_eq(send(pair.server, "abc", 3, 0), 3);
    shutdown(pair.server, SHUT_WR);
    cr_assert_gt(socket_unacknowledged(pair.server, false), 0);
    net_read(pair.client, bytes, 3);
    cr_assert_eq(socket_unacknowledged(pair.server, false), 0);
}

Test(socket, unacknowledged_fails_for_a_file)
{
    int fd = open("/proc/self/exe", O_RDONLY);

    cr_assert_lt(socket_unacknowledged(fd, false), 0);
    cr_assert_eq(socket_unacknowledged(-1, false), -EBADF);
}

Test(socket, detects_a_hang_up_behind_unread_bytes)
{
    struct net_pair pair = net_tcp_pair();

    cr_expect_not(socket_has_hung_up(pair.server));
    net_send_zeroes(pair.client, 3);
    net_wait(pair.server, POLLIN);
    cr_expect_not(socket_has_hung_up(pair.server));
    shutdown(pair.client, SHUT_WR);
    net_wait(pair.server, POLLRDHUP);
    cr_expect(socket_has_hung_up(pair.server));
}

Test(socket, reads_its_own_address)
{
    struct sockaddr_in listening;
    struct address address = {0};
    int fd = net_listen(&listening);

    cr_assert_eq(socket_read_address(fd, &address), 0);
    cr_expect_eq(address.length, sizeof(listening));
    cr_expect_eq(address.in.sin_port, listening.sin_port);
    cr_expect_eq(socket_read_address(-1, &address), -EBADF);
    cr_expect_eq(address.in.sin_port, listening.sin_port);
}

Test(socket, reads_the_address_of_the_other_end)
{
    struct net_pair pair = net_tcp_pair();
    struct address own = {0}, other = {0};

    cr_assert_eq(socket_read_address(pair.client, &own), 0);
    cr_assert_eq(socket_read_peer_address(pair.server, &other), 0);
    cr_expect(address_equal(&own, &other));
    cr_expect_eq(socket_read_peer_address(-1, &other), -EBADF);
    cr_expect(address_equal(&own, &other));
}

Test(socket, has_a_round_trip_time_only_with_tcp)
{
    cr_expect_gt(socket_rtt_usec(net_tcp_pair().server), 0);
    cr_expect_eq(socket_rtt_usec(net_local_pair(SOCK_STREAM).server), -EOPNOTSUPP);
    cr_expect_eq(socket_rtt_usec(-1), -EBADF);
}

Test(socket, accepts_a_client_with_its_address)
{
    struct sockaddr_in address, own;
    socklen_t length = sizeof(own);
    struct peer peer;
    int fd = net_listen(&address), client = net_connect(&address);

    net_wait(fd, POLLIN);
    int accepted = socket_accept(fd, &peer);
    cr_assert_geq(accepted, 0);
    cr_expect(fcntl(accepted, F_GETFL) & O_NONBLOCK);
    cr_expect(fcntl(accepted, F_GETFD) & FD_CLOEXEC);
    cr_assert_eq(getsockname(client, (struct sockaddr *)&own, &length), 0);
    cr_expect_eq(peer.family, AF_INET);
    cr_expect_eq(peer.port, ntohs(own.sin_port));
    cr_expect_eq(socket_accept(fd, &peer), -EAGAIN);
}
