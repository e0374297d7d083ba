/* SPDX-License-Identifier: MIT */
#include "client/exchange.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "greetd/base/cleanup.h"
#include "greetd/net/socket.h"

#define PORT_RANGE_PATH  "/proc/sys/net/ipv4/ip_local_port_range"
#define PORT_RANGE_FIRST 32768 /* the kernel's default, see ip(7) */
#define PORT_RANGE_LAST  60999
#define SOURCES_MAX      254

static const struct {
    const char *name;
    enum exit_status status;
} outcomes[OUTCOMES] = {
    [OUTCOME_OK] = {"ok", EXIT_STATUS_OK},
    [OUTCOME_REFUSED] = {"refused", EXIT_STATUS_LOST},
    [OUTCOME_RESET] = {"reset", EXIT_STATUS_LOST},
    [OUTCOME_SHORT] = {"short", EXIT_STATUS_WRONG},
    [OUTCOME_WRONG] = {"wrong", EXIT_STATUS_WRONG},
    [OUTCOME_TIMEOUT] = {"timeout", EXIT_STATUS_LOST},
    [OUTCOME_UNREACHABLE] = {"unreachable", EXIT_STATUS_LOST},
    [OUTCOME_NO_PORT] = {"no_port", EXIT_STATUS_LOST},
};

enum outcome outcome_from_error(int error)
{
    switch (error) {
    case -ECONNREFUSED:
        return OUTCOME_REFUSED;
    case -ECONNRESET:
    case -ECONNABORTED:
    case -EPIPE:
        return OUTCOME_RESET;
    case -ETIMEDOUT:
        return OUTCOME_TIMEOUT;
    case -EADDRNOTAVAIL:
        return OUTCOME_NO_PORT;
    default:
        return OUTCOME_UNREACHABLE;
    }
}

const char *outcome_name(enum outcome outcome)
{
    return outcomes[outcome].name;
}

enum exit_status outcome_exit_status(enum outcome outcome)
{
    return outcomes[outcome].status;
}

static int bind_source(int fd, in_addr_t from)
{
    const struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = from};
    const int yes = 1;

    /* Otherwise bind(2) would reserve a port that no other connection may use, whatever its
     * destination; see IP_BIND_ADDRESS_NO_PORT in ip(7). */
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof(yes)) < 0 ||
        bind(fd, (const struct sockaddr *)&in, sizeof(in)) < 0)
        return -errno;
    return 0;
}

int exchange_connect(int *ret_fd, const struct address *to, in_addr_t from)
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

bool exchange_error_is_local(int error)
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

enum exit_status exchange_exit_status(int error)
{
    return exchange_error_is_local(error) ? EXIT_STATUS_UNABLE
                                          : outcome_exit_status(outcome_from_error(error));
}

/* Returns how many local ports connect(2) may choose from. */
static uint64_t count_local_ports(void)
{
    unsigned first = PORT_RANGE_FIRST, last = PORT_RANGE_LAST;
    _cleanup_fclose_ FILE *file = fopen(PORT_RANGE_PATH, "re");

    if (file && fscanf(file, "%u %u", &first, &last) != 2) {
        first = PORT_RANGE_FIRST;
        last = PORT_RANGE_LAST;
    }
    return last - first + 1;
}

unsigned exchange_count_sources(const struct address *to, uint64_t concurrent)
{
    uint64_t per_source, sources;

    if (to->sa.sa_family != AF_INET || ntohl(to->in.sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
        return 1;
    /* A quarter, because the kernel searches long for a free port when few are left. */
    per_source = count_local_ports() / 4 + 1;
    sources = (concurrent + per_source - 1) / per_source;
    return sources < SOURCES_MAX ? (unsigned)sources : SOURCES_MAX;
}

in_addr_t exchange_source(unsigned index)
{
    return htonl(INADDR_LOOPBACK + index);
}

ssize_t exchange_send(int fd, const char *bytes, size_t size, bool more)
{
    static const char zeros[16 * 1024];
    ssize_t n;

    if (!bytes) {
        bytes = zeros;
        size = size < sizeof(zeros) ? size : sizeof(zeros);
    }
    do
        n = send(fd, bytes, size, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static size_t count_equal(const char *a, const char *b, size_t size)
{
    size_t n = 0;

    if (memcmp(a, b, size) == 0)
        return size;
    while (a[n] == b[n])
        n++;
    return n;
}

bool comparison_add(struct comparison *comparison, const char *bytes, size_t size)
{
    const struct greeting *expected = comparison->expected;
    size_t left = expected->size - comparison->matched;
    size_t n;

    if (comparison->differs)
        return false;
    n = count_equal(expected->bytes + comparison->matched, bytes, size < left ? size : left);
    comparison->matched += n;
    if (n == size)
        return true;
    comparison->differs = true;
    comparison->got = (unsigned char)bytes[n];
    return false;
}

bool comparison_explain(const struct comparison *comparison, char *buffer)
{
    const struct greeting *expected = comparison->expected;
    size_t matched = comparison->matched;

    if (!comparison->differs && matched == expected->size)
        return true;
    if (!comparison->differs)
        snprintf(buffer, COMPARISON_TEXT_MAX, "it ends after %zu bytes of %zu", matched,
                 expected->size);
    else if (matched == expected->size)
        snprintf(buffer, COMPARISON_TEXT_MAX, "it goes on after %zu bytes", matched);
    else
        snprintf(buffer, COMPARISON_TEXT_MAX, "it differs at byte %zu: \\x%02x instead of \\x%02x",
                 matched + 1, comparison->got, (unsigned char)expected->bytes[matched]);
    return false;
}

/* Adds NUMBER to the last N_BITS of ADDRESS. */
static uint64_t advance(uint64_t address, unsigned n_bits, uint64_t number)
{
    uint64_t mask = n_bits < 64 ? (UINT64_C(1) << n_bits) - 1 : UINT64_MAX;

    return (address & ~mask) | ((address + number) & mask);
}

static struct peer source_of(const struct exchange_proxy *proxy, uint64_t number)
{
    struct peer source = proxy->source;
    bool in_prefix = proxy->n_variable > 64; /* of the /64 */
    unsigned char *half = &source.in6.s6_addr[in_prefix ? 0 : 8];
    uint64_t bits;

    if (source.family == AF_INET) {
        bits = advance(ntohl(source.in.s_addr), proxy->n_variable, number);
        source.in.s_addr = htonl((uint32_t)bits);
    } else if (source.family == AF_INET6) {
        memcpy(&bits, half, sizeof(bits));
        bits = advance(be64toh(bits), proxy->n_variable - (in_prefix ? 64 : 0), number);
        memcpy(half, &(uint64_t){htobe64(bits)}, sizeof(bits));
    }
    return source;
}

size_t exchange_format_header(const struct exchange_proxy *proxy, uint64_t number,
                              const struct address *to, char *buffer)
{
    const struct peer source = source_of(proxy, number);

    return proxy_format_header(buffer, proxy->version, &source, to);
}

void exchange_note_own(struct exchange *exchange)
{
    struct address address;

    if (socket_read_address(exchange->fd, &address) < 0)
        return;
    exchange->own = peer_from_sockaddr(&address.sa, address.length);
    if (exchange->own.family == AF_UNIX)
        exchange->own.un.pid = (uint32_t)getpid();
}

bool exchange_sends(const struct exchange_request *request)
{
    return request->proxy.version != PROXY_NONE || request->size > 0;
}

bool exchange_has_source(const struct exchange_request *request)
{
    return request->proxy.version != PROXY_NONE && request->proxy.source.family != AF_UNSPEC;
}

struct peer exchange_client(const struct exchange *exchange, const struct exchange_request *request)
{
    return exchange_has_source(request) ? source_of(&request->proxy, exchange->number)
                                        : exchange->own;
}

/* Sends SIZE bytes, zeros if BYTES is NULL, with MORE as exchange_send() does. Returns OUTCOME_OK
 * when all are sent, or when the server has closed without waiting for them: its greeting can still
 * be read. */
static enum outcome send_all(struct exchange *exchange, const char *bytes, size_t size, bool more)
{
    while (exchange->sent < size) {
        size_t left = size - exchange->sent;
        ssize_t n = exchange_send(exchange->fd, bytes ? bytes + exchange->sent : NULL, left, more);

        if (n == -EAGAIN)
            return EXCHANGE_PENDING;
        if (n == -EPIPE)
            n = (ssize_t)left;
        if (n < 0)
            return outcome_from_error((int)n);
        exchange->sent += (size_t)n;
    }
    return OUTCOME_OK;
}

static enum outcome send_header(struct exchange *exchange, const struct exchange_request *request)
{
    char header[PROXY_FORMAT_MAX];
    size_t size = exchange_format_header(&request->proxy, exchange->number, &request->to, header);
    enum outcome outcome = send_all(exchange, header, size, request->size > 0);

    if (outcome == OUTCOME_OK) {
        exchange->header_sent = true;
        exchange->sent = 0;
    }
    return outcome;
}

/* Maps the errno of recv(2). With vsock(7), only SO_ERROR has the reason of a failed connect. */
static enum outcome receive_failed(int fd, int error)
{
    if (error == EAGAIN || error == EINTR)
        return EXCHANGE_PENDING;
    if (error == ENOTCONN)
        error = socket_error(fd);
    return outcome_from_error(-error);
}

static enum outcome receive_all(struct exchange *exchange, char *buffer)
{
    struct comparison *comparison = &exchange->comparison;

    for (;;) {
        ssize_t n = recv(exchange->fd, buffer, EXCHANGE_BUFFER_SIZE, 0);

        if (n < 0)
            return receive_failed(exchange->fd, errno);
        if (n == 0)
            return comparison->matched == comparison->expected->size ? OUTCOME_OK : OUTCOME_SHORT;
        exchange->received += (size_t)n;
        if (!comparison_add(comparison, buffer, (size_t)n))
            return OUTCOME_WRONG;
    }
}

enum outcome exchange_step(struct exchange *exchange, const struct exchange_request *request,
                           char *buffer)
{
    enum outcome outcome = exchange->header_sent ? OUTCOME_OK : send_header(exchange, request);

    if (outcome == OUTCOME_OK)
        outcome = send_all(exchange, NULL, request->size, false);
    return outcome == OUTCOME_OK ? receive_all(exchange, buffer) : outcome;
}
