/* SPDX-License-Identifier: MIT */
#include "greetd/guard/admission.h"

struct admission admission_check(const struct networks *networks,
                                 const struct source_limits *limits, struct sources *sources,
                                 const struct peer *peer, uint64_t now_usec)
{
    if (!networks_allow(networks, peer))
        return (struct admission){.refusal = REFUSAL_NETWORK};
    if (!limits || !source_limits_any(limits))
        return (struct admission){.refusal = REFUSAL_NONE};

    switch (sources_admit(sources, peer, limits, now_usec)) {
    case SOURCE_ADMITTED:
        return (struct admission){.counted = true};
    case SOURCE_TOO_MANY:
        return (struct admission){.refusal = REFUSAL_CONNECTIONS};
    case SOURCE_TOO_FAST:
        return (struct admission){.refusal = REFUSAL_RATE};
    case SOURCE_UNTRACKED:
        break;
    }
    return (struct admission){.refusal = REFUSAL_NONE};
}
