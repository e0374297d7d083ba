/* SPDX-License-Identifier: MIT */
#include "greet/dial.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "greetd/base/cleanup.h"

#define PORT_RANGE_PATH  "/proc/sys/net/ipv4/ip_local_port_range"
#define PORT_RANGE_FIRST 32768 /* the kernel's default, see ip(7) */
#define PORT_RANGE_LAST  60999
#define SOURCES_MAX      254

static int bind_source(int fd, in_addr_t from)
{
    const struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = from};
    const int yes = 1;

    /* Without this bind(2) would reserve a port that no other connection may use, to whatever
     * place; see IP_BIND_ADDRESS_NO_PORT in ip(7). */
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof(yes)) < 0 ||
        bind(fd, (const struct sockaddr *)&in, sizeof(in)) < 0)
        return -errno;
    return 0;
}

int dial(int *ret_fd, const struct address *to, in_addr_t from)
{
    _cleanup_close_ int fd =
        socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;

    if (from != htonl(INADDR_ANY)) {
        int r = bind_source(fd, from);
        if (r < 0)
            return r;
    }
    if (connect(fd, &to->sa, to->length) < 0 && errno != EINPROGRESS)
        return -errno;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

bool dial_error_is_local(int error)
{
    switch (error) {
    case -EMFILE:
    case -ENFILE:
    case -ENOBUFS:
    case -ENOMEM:
    case -EAFNOSUPPORT:
        return true;
    default:
        return false;
    }
}

enum exit_status dial_exit_status(int error)
{
    return dial_error_is_local(error) ? EXIT_STATUS_UNABLE
                                      : outcome_exit_status(outcome_from_errno(-error));
}

/* How many ports connect(2) may choose from. */
static uint64_t count_local_ports(void)
{
    unsigned first = PORT_RANGE_FIRST, last = PORT_RANGE_LAST;
    FILE *file = fopen(PORT_RANGE_PATH, "re");

    if (file && fscanf(file, "%u %u", &first, &last) != 2) {
        first = PORT_RANGE_FIRST;
        last = PORT_RANGE_LAST;
    }
    if (file)
        fclose(file);
    return last >= first ? last - first + 1 : 1;
}

unsigned dial_sources(const struct address *to, uint64_t concurrent)
{
    uint64_t per_source, sources;

    if (to->sa.sa_family != AF_INET || ntohl(to->in.sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
        return 1;
    /* A quarter, because the kernel looks long for a free port when few are left. */
    per_source = count_local_ports() / 4 + 1;
    sources = (concurrent + per_source - 1) / per_source;
    return sources < SOURCES_MAX ? (unsigned)sources : SOURCES_MAX;
}

in_addr_t dial_source(unsigned index)
{
    return htonl(INADDR_LOOPBACK + index);
}

ssize_t dial_send(int fd, const char *bytes, size_t size)
{
    static const char zeros[16 * 1024];
    ssize_t n;

    if (!bytes) {
        bytes = zeros;
        size = size < sizeof(zeros) ? size : sizeof(zeros);
    }
    do
        n = send(fd, bytes, size, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}
