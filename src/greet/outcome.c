/* SPDX-License-Identifier: MIT */
#include "greet/outcome.h"

#include <errno.h>

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

enum outcome outcome_from_errno(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return OUTCOME_REFUSED;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
        return OUTCOME_RESET;
    case ETIMEDOUT:
        return OUTCOME_TIMEOUT;
    case EADDRNOTAVAIL:
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
