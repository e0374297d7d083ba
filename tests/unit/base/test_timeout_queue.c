/* SPDX-License-Identifier: MIT */
#include "greetd/base/timeout_queue.h"

#include <criterion/criterion.h>

TestSuite(timeout_queue, .timeout = 60);

Test(timeout_queue, has_no_deadline_when_it_is_empty)
{
    struct timeout_queue queue;

    timeout_queue_init(&queue);
    cr_assert_null(timeout_queue_oldest(&queue));
    cr_assert_eq(timeout_queue_deadline(&queue, 5), USEC_INFINITY);
    cr_assert_eq(timeout_queue_deadline(&queue, 0), USEC_INFINITY);
}

Test(timeout_queue, has_its_oldest_entry_first)
{
    struct timeout_entry entries[3] = {0};
    struct timeout_queue queue;

    timeout_queue_init(&queue);
    for (size_t i = 0; i < 3; i++)
        timeout_queue_push(&queue, &entries[i], 100 + i);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(timeout_queue_oldest(&queue), &entries[i]);
        cr_assert_eq(timeout_queue_deadline(&queue, 10), 110 + i);
        timeout_queue_remove(&entries[i]);
        cr_assert_not(timeout_is_queued(&entries[i]));
    }
    cr_assert_null(timeout_queue_oldest(&queue));
}

Test(timeout_queue, removes_any_entry)
{
    struct timeout_entry entries[4] = {0};
    struct timeout_queue queue;

    timeout_queue_init(&queue);
    for (size_t i = 0; i < 4; i++)
        timeout_queue_push(&queue, &entries[i], i);
    timeout_queue_remove(&entries[1]);
    timeout_queue_remove(&entries[3]);
    timeout_queue_remove(&entries[3]);
    cr_assert_eq(timeout_queue_oldest(&queue), &entries[0]);
    timeout_queue_remove(&entries[0]);
    cr_assert_eq(timeout_queue_oldest(&queue), &entries[2]);
    timeout_queue_push(&queue, &entries[0], 9);
    timeout_queue_remove(&entries[2]);
    cr_assert_eq(timeout_queue_oldest(&queue), &entries[0]);
}

Test(timeout_queue, moves_an_entry_that_is_pushed_again_to_its_end)
{
    struct timeout_entry entries[2] = {0};
    struct timeout_queue queue, other;

    timeout_queue_init(&queue);
    timeout_queue_init(&other);
    timeout_queue_push(&queue, &entries[0], 1);
    timeout_queue_push(&queue, &entries[1], 2);
    timeout_queue_push(&queue, &entries[0], 3);
    cr_assert_eq(timeout_queue_oldest(&queue), &entries[1]);
    timeout_queue_push(&other, &entries[1], 4);
    cr_assert_eq(timeout_queue_oldest(&queue), &entries[0]);
    cr_assert_eq(timeout_queue_oldest(&other), &entries[1]);
    cr_assert_eq(timeout_queue_deadline(&queue, 10), 13);
}

Test(timeout_queue, has_no_deadline_with_an_infinite_timeout)
{
    struct timeout_entry entry = {0};
    struct timeout_queue queue;

    timeout_queue_init(&queue);
    timeout_queue_push(&queue, &entry, 100);
    cr_assert_eq(timeout_queue_deadline(&queue, USEC_INFINITY), USEC_INFINITY);
    cr_assert_eq(timeout_queue_deadline(&queue, USEC_INFINITY - 50), USEC_INFINITY);
}
