/* SPDX-License-Identifier: MIT */
#include "greetd/metrics/refusal.h"

const char *refusal_name(enum refusal refusal)
{
    static const char *const names[REFUSAL_N] = {
        [REFUSAL_NETWORK] = "network",
        [REFUSAL_CONNECTIONS] = "connections",
        [REFUSAL_RATE] = "rate",
    };

    return names[refusal];
}
