/* SPDX-License-Identifier: MIT */
#include "greetd/metrics/result.h"

#include <errno.h>

const char *result_name(enum result result)
{
    static const char *const names[RESULT_N] = {
        [RESULT_DELIVERED] = "delivered", [RESULT_UNCONFIRMED] = "unconfirmed",
        [RESULT_PARTIAL] = "partial",     [RESULT_RESET] = "reset",
        [RESULT_TIMEOUT] = "timeout",     [RESULT_REFUSED] = "refused",
        [RESULT_ERROR] = "error",
    };

    return names[result];
}

enum result result_of_errno(int error)
{
    switch (error) {
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
        return RESULT_RESET;
    case ETIMEDOUT: /* the kernel has given up */
        return RESULT_TIMEOUT;
    default:
        return RESULT_ERROR;
    }
}

const char *refusal_name(enum refusal refusal)
{
    static const char *const names[REFUSAL_N] = {
        [REFUSAL_NETWORK] = "network",
        [REFUSAL_CONNECTIONS] = "connections",
        [REFUSAL_RATE] = "rate",
        [REFUSAL_PROXY] = "proxy",
    };

    return names[refusal];
}
