/* SPDX-License-Identifier: MIT */
#include "greetd/metrics.h"

void metrics_collect(struct metrics_sums *sums, const struct metrics_counters *counters)
{
#define METRICS_COLLECT(name)                                                                      \
    sums->name += atomic_load_explicit(&counters->name, memory_order_acquire);
    METRICS_COUNTERS(METRICS_COLLECT)
#undef METRICS_COLLECT
}
