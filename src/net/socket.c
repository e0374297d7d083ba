/* SPDX-License-Identifier: MIT */
#include "greetd/net/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "greetd/base/cleanup.h"
#include "greetd/net/accept_error.h"

/* The most calls of recv(2), however little each of them reads. */
#define SOCKET_DISCARD_READS 64

int socket_set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return -errno;
    if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

static const char *describe_file(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "a regular file";
    case S_IFDIR:
        return "a directory";
    case S_IFIFO:
        return "a pipe";
    case S_IFCHR:
        return "a character device";
    case S_IFBLK:
        return "a block device";
    default:
        return "not a socket";
    }
}

static const char *describe_socket_type(int type)
{
    switch (type) {
    case SOCK_DGRAM:
        return "a datagram socket";
    case SOCK_RAW:
        return "a raw socket";
    default:
        return "a socket of another type";
    }
}

/* Describes a stream socket that does not listen. */
static const char *describe_not_listening(int fd)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);

    return getpeername(fd, (struct sockaddr *)&peer, &length) == 0
               ? "a connected socket, which does not listen (is Accept=yes set in its .socket "
                 "unit?)"
               : "a socket that does not listen";
}

int socket_check_listening(int fd, int *ret_type, const char **ret_what)
{
    struct stat st;
    int type = 0, listening;
    socklen_t length = sizeof(int);

    if (fstat(fd, &st) < 0) {
        if (errno != EBADF)
            return -errno;
        *ret_what = "closed";
        return -EINVAL;
    }
    if (!S_ISSOCK(st.st_mode)) {
        *ret_what = describe_file(st.st_mode);
        return -EINVAL;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0)
        return -errno;
    if (type != SOCK_STREAM && type != SOCK_SEQPACKET) {
        *ret_what = describe_socket_type(type);
        return -EINVAL;
    }
    if (!listening) {
        *ret_what = describe_not_listening(fd);
        return -EINVAL;
    }
    if (socket_has_hung_up(fd)) {
        *ret_what = "a socket that was shut down";
        return -EINVAL;
    }

    *ret_type = type;
    return 0;
}

/* Returns the protocol of a socket, IPPROTO_TCP say, or a negative errno. */
static int protocol_of(int fd)
{
    int protocol = 0;
    socklen_t length = sizeof(protocol);

    if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) < 0)
        return -errno;
    return protocol;
}

int socket_read_address(int fd, struct address *ret)
{
    struct address address = {.length = sizeof(address.storage)};

    if (getsockname(fd, &address.sa, &address.length) < 0)
        return -errno;
    *ret = address;
    return 0;
}

void socket_read_scope(int fd, struct socket_scope *ret)
{
    static const struct {
        int level, name;
    } options[SOCKET_SCOPE_OPTIONS] = {
        {SOL_SOCKET, SO_PROTOCOL},
        {SOL_SOCKET, SO_NETNS_COOKIE},
        {SOL_SOCKET, SO_BINDTOIFINDEX},
        {IPPROTO_IPV6, IPV6_V6ONLY},
    };

    *ret = (struct socket_scope){{0}};
    for (size_t i = 0; i < SOCKET_SCOPE_OPTIONS; i++) {
        socklen_t length = sizeof(ret->options[i]);

        (void)getsockopt(fd, options[i].level, options[i].name, &ret->options[i], &length);
    }
}

bool socket_scope_equal(const struct socket_scope *a, const struct socket_scope *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

int socket_read_peer_address(int fd, struct address *ret)
{
    struct address address = {.length = sizeof(address.storage)};

    if (getpeername(fd, &address.sa, &address.length) < 0)
        return -errno;
    *ret = address;
    return 0;
}

int socket_set_fast_open(int fd, int queue)
{
    int protocol = protocol_of(fd);

    if (protocol != IPPROTO_TCP)
        return protocol < 0 ? protocol : 0;
    if (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue)) < 0)
        return -errno;
    return 0;
}

int socket_drop_syn(int fd)
{
    /* A filter on a TCP socket sees packets from the TCP header on, whose byte 13 has the flags
     * (RFC 9293, 3.1). The first packet of a client has SYN (0x02) and no ACK (0x10). */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),          BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {.len = ELEMENTSOF(code), .filter = code};

    int protocol = protocol_of(fd);

    if (protocol != IPPROTO_TCP)
        return protocol < 0 ? protocol : -EOPNOTSUPP;
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
        return -errno;
    return 0;
}

int socket_share_address(int fd)
{
    return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)) < 0 ? -errno : 0;
}

int socket_steer(int fd, unsigned n)
{
    /* The kernel numbers the sockets of an address from 0 on, in the order in which they began to
     * listen, and gives the number of one that is closed to the last of them. So while only sockets
     * from N on are closed, the first N keep their numbers from 0 to N - 1, and the program needs
     * no other knowledge of them. It is run for each SYN, and chooses by chance. */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM)),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, n),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog program = {.len = ELEMENTSOF(code), .filter = code};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) < 0
               ? -errno
               : 0;
}

/* The kernel drops packets with a lower TTL. Fails for other families, which have none. */
static void set_least_ttl(int fd, int ttl)
{
    (void)setsockopt(fd, IPPROTO_IP, IP_MINTTL, &ttl, sizeof(ttl));
    (void)setsockopt(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &ttl, sizeof(ttl));
}

void socket_hide(int fd)
{
    set_least_ttl(fd, MAXTTL);
}

void socket_accept_syn(int fd)
{
    set_least_ttl(fd, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &(int){0}, sizeof(int));
    (void)setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int));
}

int64_t socket_rtt_usec(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof(info);

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
        return -errno;
    return info.tcpi_rtt;
}

bool socket_is_in_handshake(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof(info);

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
           info.tcpi_state == TCP_SYN_RECV;
}

int64_t socket_unacknowledged(int fd, bool has_fin)
{
    int outstanding;

    if (ioctl(fd, SIOCOUTQ, &outstanding) < 0)
        return -errno;
    return has_fin && outstanding > 0 ? outstanding - 1 : outstanding;
}

uint64_t socket_acknowledged(int fd)
{
    /* struct tcp_info of linux/tcp.h up to its word 15, tcpi_bytes_acked. That of netinet/tcp.h is
     * shorter. */
    uint64_t info[16] = {[15] = UINT64_MAX};

    (void)getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &(socklen_t){sizeof(info)});
    return info[15];
}

void socket_reset_on_close(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

bool socket_has_hung_up(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLRDHUP};

    return poll(&poll_fd, 1, 0) > 0;
}

int socket_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof(error);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? errno : error;
}

bool socket_is_readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, 0) > 0;
}

/* For recv(2) an empty record of SOCK_SEQPACKET looks like the end of stream. */
static bool is_empty_record(int fd, bool records)
{
    return records && !socket_has_hung_up(fd);
}

enum socket_discarded socket_discard(int fd, bool records, uint32_t limit, uint32_t *n)
{
    char buffer[16 * 1024];
    uint32_t end = *n + limit;

    for (unsigned i = 0; i < SOCKET_DISCARD_READS && *n < end; i++) {
        ssize_t r = recv(fd, buffer, sizeof(buffer), 0);

        if (r > 0)
            *n += (uint32_t)r;
        else if (r == 0 && is_empty_record(fd, records))
            ++*n;
        else if (r == 0)
            return SOCKET_DISCARDED_LAST;
        else if (errno == EAGAIN)
            return SOCKET_DISCARDED_ALL;
        else if (errno != EINTR)
            return SOCKET_DISCARD_FAILED;
    }
    return SOCKET_DISCARDED_SOME;
}

/* accept4(2) allocates a descriptor and asks a security module before it looks into the queue, so
 * these errors may occur without a client. */
static int accept_failure(int fd, int error)
{
    enum accept_error_class class = accept_error_class(error);
    bool may_lack_client = class == ACCEPT_NO_RESOURCES || class == ACCEPT_DENIED;

    return may_lack_client && !socket_is_readable(fd) ? -EAGAIN : -error;
}

int socket_accept(int fd, struct peer *ret_peer)
{
    union {
        struct sockaddr sa;
        struct sockaddr_storage storage;
    } address;
    socklen_t length = sizeof(address);
    int client = accept4(fd, &address.sa, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (client < 0)
        return accept_failure(fd, errno);
    *ret_peer = peer_of_socket(client, &address.sa, length);
    return client;
}
