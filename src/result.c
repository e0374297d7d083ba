/* SPDX-License-Identifier: MIT */
#include "greetd/result.h"

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
