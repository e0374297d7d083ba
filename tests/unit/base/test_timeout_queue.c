/* SPDX-License-Identifier: MIT */
#include "greetd/base/timeout_queue.h"

#include <criterion/criterion.h>

TestSuite(deadline, .timeout = 60);

Test(deadline, an_empty_queue_is_never_due)
{
    struct deadline_fifo fifo;

    deadline_fifo_init(&fifo);
    cr_assert_null(deadline_oldest(&fifo));
    cr_assert_eq(deadline_next(&fifo, 5), DEADLINE_NEVER);
    cr_assert_eq(deadline_next(&fifo, 0), DEADLINE_NEVER);
}

Test(deadline, the_first_in_is_the_first_due)
{
    struct deadline_entry entries[3] = {0};
    struct deadline_fifo fifo;

    deadline_fifo_init(&fifo);
    for (size_t i = 0; i < 3; i++)
        deadline_push(&fifo, &entries[i], 100 + i);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(deadline_oldest(&fifo), &entries[i]);
        cr_assert_eq(deadline_next(&fifo, 10), 110 + i);
        deadline_remove(&entries[i]);
        cr_assert_not(deadline_queued(&entries[i]));
    }
    cr_assert_null(deadline_oldest(&fifo));
}

Test(deadline, any_may_leave_from_anywhere)
{
    struct deadline_entry entries[4] = {0};
    struct deadline_fifo fifo;

    deadline_fifo_init(&fifo);
    for (size_t i = 0; i < 4; i++)
        deadline_push(&fifo, &entries[i], i);
    deadline_remove(&entries[1]);
    deadline_remove(&entries[3]);
    deadline_remove(&entries[3]);
    cr_assert_eq(deadline_oldest(&fifo), &entries[0]);
    deadline_remove(&entries[0]);
    cr_assert_eq(deadline_oldest(&fifo), &entries[2]);
    deadline_push(&fifo, &entries[0], 9);
    deadline_remove(&entries[2]);
    cr_assert_eq(deadline_oldest(&fifo), &entries[0]);
}

Test(deadline, who_is_put_in_again_goes_to_the_end)
{
    struct deadline_entry entries[2] = {0};
    struct deadline_fifo fifo, other;

    deadline_fifo_init(&fifo);
    deadline_fifo_init(&other);
    deadline_push(&fifo, &entries[0], 1);
    deadline_push(&fifo, &entries[1], 2);
    deadline_push(&fifo, &entries[0], 3);
    cr_assert_eq(deadline_oldest(&fifo), &entries[1]);
    deadline_push(&other, &entries[1], 4);
    cr_assert_eq(deadline_oldest(&fifo), &entries[0]);
    cr_assert_eq(deadline_oldest(&other), &entries[1]);
    cr_assert_eq(deadline_next(&fifo, 10), 13);
}

Test(deadline, infinity_is_never_reached_nor_passed)
{
    struct deadline_entry entry = {0};
    struct deadline_fifo fifo;

    deadline_fifo_init(&fifo);
    deadline_push(&fifo, &entry, 100);
    cr_assert_eq(deadline_next(&fifo, DEADLINE_NEVER), DEADLINE_NEVER);
    cr_assert_eq(deadline_next(&fifo, DEADLINE_NEVER - 50), DEADLINE_NEVER);
    cr_assert_eq(deadline_after(DEADLINE_NEVER, 0), DEADLINE_NEVER);
    cr_assert_eq(deadline_after(DEADLINE_NEVER, 5), DEADLINE_NEVER);
    cr_assert_eq(deadline_after(5, 6), 11);
    cr_assert_eq(deadline_earlier(5, DEADLINE_NEVER), 5);
    cr_assert_eq(deadline_earlier(DEADLINE_NEVER, 5), 5);
}

Test(deadline, the_clock_is_the_monotonic_one_in_microseconds)
{
    struct timespec before;

    clock_gettime(CLOCK_MONOTONIC, &before);
    uint64_t now = deadline_now();
    cr_assert_geq(now, (uint64_t)before.tv_sec * 1000000 + (uint64_t)before.tv_nsec / 1000);
    cr_assert_lt(now, ((uint64_t)before.tv_sec + 60) * 1000000);
}
