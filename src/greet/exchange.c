/* SPDX-License-Identifier: MIT */
#include "greet/exchange.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "greet/dial.h"

/* Returns OUTCOME_OK when all is sent. A server need not have been waiting for it: if it has closed
 * already, what it said before is read as ever. */
static enum outcome send_all(struct exchange *exchange, const struct exchange_plan *plan)
{
    while (exchange->sent < plan->send_size) {
        ssize_t n = dial_send(exchange->fd, NULL, plan->send_size - exchange->sent);

        if (n == -EAGAIN)
            return EXCHANGE_PENDING;
        if (n == -EPIPE)
            n = (ssize_t)(plan->send_size - exchange->sent);
        if (n < 0)
            return outcome_from_errno(-(int)n);
        exchange->sent += (size_t)n;
    }
    return OUTCOME_OK;
}

/* Sorts the errno of recv(2). Of vsock(7) only SO_ERROR tells why it is not connected. */
static enum outcome receive_failed(int fd, int error)
{
    socklen_t size = sizeof(error);

    if (error == EAGAIN || error == EINTR)
        return EXCHANGE_PENDING;
    if (error == ENOTCONN)
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return outcome_from_errno(error);
}

static enum outcome receive_all(struct exchange *exchange, const struct exchange_plan *plan,
                                char *buffer)
{
    const struct greeting *greeting = plan->greeting;

    for (;;) {
        ssize_t n = recv(exchange->fd, buffer, EXCHANGE_BUFFER_SIZE, 0);

        if (n < 0)
            return receive_failed(exchange->fd, errno);
        if (n == 0)
            return exchange->received == greeting->size ? OUTCOME_OK : OUTCOME_SHORT;
        if ((size_t)n > greeting->size - exchange->received ||
            memcmp(buffer, greeting->bytes + exchange->received, (size_t)n) != 0)
            return OUTCOME_WRONG;
        exchange->received += (size_t)n;
    }
}

enum outcome exchange_step(struct exchange *exchange, const struct exchange_plan *plan,
                           char *buffer)
{
    enum outcome outcome = send_all(exchange, plan);

    return outcome == OUTCOME_OK ? receive_all(exchange, plan, buffer) : outcome;
}
