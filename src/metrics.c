/* SPDX-License-Identifier: MIT */
#include "greetd/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int metrics_init(struct metrics *metrics, size_t n)
{
    size_t size = n * sizeof(struct metrics_counters);
    struct metrics_counters *workers = aligned_alloc(_Alignof(struct metrics_counters), size);

    if (!workers)
        return -ENOMEM;
    memset(workers, 0, size);
    *metrics = (struct metrics){.workers = workers, .n = n};
    return 0;
}

void metrics_deinit(struct metrics *metrics)
{
    free(metrics->workers);
    *metrics = (struct metrics){0};
}

static void collect(struct metrics_sums *sums, const struct metrics_counters *counters)
{
#define METRICS_COLLECT(name)                                                                      \
    sums->name += atomic_load_explicit(&counters->name, memory_order_acquire);
    METRICS_COUNTERS(METRICS_COLLECT)
#undef METRICS_COLLECT
}

struct metrics_sums metrics_sum(const struct metrics *metrics)
{
    struct metrics_sums sums = {0};

    for (size_t i = 0; i < metrics->n; i++)
        collect(&sums, &metrics->workers[i]);
    return sums;
}
