/* SPDX-License-Identifier: MIT */
#include "greetd/base/timeout_queue.h"

#include <criterion/criterion.h>

TestSuite(timeout_queue, .timeout = 60);

Test(timeout_queue, an_empty_queue_is_never_due)
{
    struct timeout_queue fifo;

    timeout_queue_init(&fifo);
    cr_assert_null(timeout_queue_oldest(&fifo));
    cr_assert_eq(timeout_queue_deadline(&fifo, 5), USEC_INFINITY);
    cr_assert_eq(timeout_queue_deadline(&fifo, 0), USEC_INFINITY);
}

Test(timeout_queue, the_first_in_is_the_first_due)
{
    struct timeout_entry entries[3] = {0};
    struct timeout_queue fifo;

    timeout_queue_init(&fifo);
    for (size_t i = 0; i < 3; i++)
        timeout_queue_push(&fifo, &entries[i], 100 + i);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(timeout_queue_oldest(&fifo), &entries[i]);
        cr_assert_eq(timeout_queue_deadline(&fifo, 10), 110 + i);
        timeout_queue_remove(&entries[i]);
        cr_assert_not(timeout_is_queued(&entries[i]));
    }
    cr_assert_null(timeout_queue_oldest(&fifo));
}

Test(timeout_queue, any_may_leave_from_anywhere)
{
    struct timeout_entry entries[4] = {0};
    struct timeout_queue fifo;

    timeout_queue_init(&fifo);
    for (size_t i = 0; i < 4; i++)
        timeout_queue_push(&fifo, &entries[i], i);
    timeout_queue_remove(&entries[1]);
    timeout_queue_remove(&entries[3]);
    timeout_queue_remove(&entries[3]);
    cr_assert_eq(timeout_queue_oldest(&fifo), &entries[0]);
    timeout_queue_remove(&entries[0]);
    cr_assert_eq(timeout_queue_oldest(&fifo), &entries[2]);
    timeout_queue_push(&fifo, &entries[0], 9);
    timeout_queue_remove(&entries[2]);
    cr_assert_eq(timeout_queue_oldest(&fifo), &entries[0]);
}

Test(timeout_queue, who_is_put_in_again_goes_to_the_end)
{
    struct timeout_entry entries[2] = {0};
    struct timeout_queue fifo, other;

    timeout_queue_init(&fifo);
    timeout_queue_init(&other);
    timeout_queue_push(&fifo, &entries[0], 1);
    timeout_queue_push(&fifo, &entries[1], 2);
    timeout_queue_push(&fifo, &entries[0], 3);
    cr_assert_eq(timeout_queue_oldest(&fifo), &entries[1]);
    timeout_queue_push(&other, &entries[1], 4);
    cr_assert_eq(timeout_queue_oldest(&fifo), &entries[0]);
    cr_assert_eq(timeout_queue_oldest(&other), &entries[1]);
    cr_assert_eq(timeout_queue_deadline(&fifo, 10), 13);
}

Test(timeout_queue, infinity_is_never_reached_nor_passed)
{
    struct timeout_entry entry = {0};
    struct timeout_queue fifo;

    timeout_queue_init(&fifo);
    timeout_queue_push(&fifo, &entry, 100);
    cr_assert_eq(timeout_queue_deadline(&fifo, USEC_INFINITY), USEC_INFINITY);
    cr_assert_eq(timeout_queue_deadline(&fifo, USEC_INFINITY - 50), USEC_INFINITY);
}
