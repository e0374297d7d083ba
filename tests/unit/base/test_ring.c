/* SPDX-License-Identifier: MIT */
#include "greetd/base/ring.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>

#include "greetd/base/cleanup.h"

TestSuite(ring, .timeout = 120);

ParameterizedTestParameters(ring, refuses_sizes_that_are_not_powers_of_two)
{
    static size_t sizes[] = {0, 3, 6, 7, 100, SIZE_MAX};
    return cr_make_param_array(size_t, sizes, ELEMENTSOF(sizes));
}

ParameterizedTest(size_t *size, ring, refuses_sizes_that_are_not_powers_of_two)
{
    struct ring ring;

    cr_assert_eq(ring_init(&ring, *size, 1), -EINVAL);
}

Test(ring, refuses_elements_without_a_size)
{
    struct ring ring;

    cr_assert_eq(ring_init(&ring, 4, 0), -EINVAL);
}

Test(ring, of_zeroes_can_be_freed)
{
    struct ring ring = {0};

    ring_deinit(&ring);
    cr_assert_null(ring.elements);
}

/* Pushes to and pops from a ring of SIZE, at all its fill levels. */
static void run_once(struct ring *ring, size_t size)
{
    int in = 0, out = 0, got = -1;

    for (size_t level = 1; level <= size; level++)
        for (size_t times = 0; times < 2 * size; times++) {
            for (size_t i = 0; i < level; i++, in++)
                cr_assert(ring_push(ring, &in));
            if (level == size)
                cr_assert_not(ring_push(ring, &in), "it is full");
            for (size_t i = 0; i < level; i++, out++) {
                cr_assert(ring_pop(ring, &got));
                cr_assert_eq(got, out);
            }
            cr_assert_not(ring_pop(ring, &got), "it is empty");
        }
}

ParameterizedTestParameters(ring, keeps_the_order_at_every_fill_level)
{
    static size_t sizes[] = {1, 2, 8};
    return cr_make_param_array(size_t, sizes, ELEMENTSOF(sizes));
}

ParameterizedTest(size_t *size, ring, keeps_the_order_at_every_fill_level)
{
    struct ring ring;

    cr_assert_eq(ring_init(&ring, *size, sizeof(int)), 0);
    run_once(&ring, *size);
    ring_deinit(&ring);
}

Test(ring, keeps_the_order_when_its_positions_wrap_around)
{
    struct ring ring;

    cr_assert_eq(ring_init(&ring, 8, sizeof(int)), 0);
    ring.pushed = ring.popped = ring.pushed_seen = ring.popped_seen = SIZE_MAX - 20;
    run_once(&ring, 8);
    cr_assert_lt(ring.pushed, SIZE_MAX / 2);
    ring_deinit(&ring);
}

Test(ring, is_unchanged_by_a_refused_element)
{
    struct ring ring;
    int got = 0;

    cr_assert_eq(ring_init(&ring, 2, sizeof(int)), 0);
    for (int i = 1; i <= 5; i++)
        cr_assert_eq(ring_push(&ring, &i), i <= 2);
    cr_assert(ring_pop(&ring, &got));
    cr_assert_eq(got, 1);
    cr_assert(ring_pop(&ring, &got));
    cr_assert_eq(got, 2);
    cr_assert_not(ring_pop(&ring, &got));
    cr_assert_eq(got, 2, "nothing is written when nothing is popped");
    ring_deinit(&ring);
}

#define N_NUMBERS 1000000

struct number {
    uint64_t value, complement;
};

static void *push_numbers(void *p)
{
    for (uint64_t i = 0; i < N_NUMBERS; i++)
        while (!ring_push(p, &(struct number){i, ~i}))
            sched_yield();
    return NULL;
}

Test(ring, moves_a_million_numbers_between_two_threads)
{
    struct ring ring;
    struct number number;
    pthread_t thread;

    cr_assert_eq(ring_init(&ring, 64, sizeof(struct number)), 0);
    cr_assert_eq(pthread_create(&thread, NULL, push_numbers, &ring), 0);
    for (uint64_t i = 0; i < N_NUMBERS; i++) {
        while (!ring_pop(&ring, &number))
            sched_yield();
        if (number.value != i || number.complement != ~i)
            cr_assert_fail("popped %ju as %ju", (uintmax_t)i, (uintmax_t)number.value);
    }
    pthread_join(thread, NULL);
    cr_assert_not(ring_pop(&ring, &number));
    ring_deinit(&ring);
}
