/* SPDX-License-Identifier: MIT */
#include "greetd/base/refcount.h"

#include <criterion/criterion.h>
#include <pthread.h>

#include "greetd/base/cleanup.h"

TestSuite(refcount, .timeout = 60);

Test(refcount, counts_down_to_the_last_reference)
{
    struct refcount refcount;

    refcount_init(&refcount);
    refcount_take(&refcount);
    refcount_take(&refcount);
    cr_expect_not(refcount_drop(&refcount));
    cr_expect_not(refcount_drop(&refcount));
    cr_expect(refcount_drop(&refcount));
}

struct shared {
    struct refcount references;
    atomic_uint n_last; /* the number of times that a reference was the last one */
};

static void drop(struct shared *shared)
{
    if (refcount_drop(&shared->references))
        atomic_fetch_add(&shared->n_last, 1);
}

/* Owns one reference; takes and drops others. */
static void *use(void *p)
{
    struct shared *shared = p;

    for (int i = 0; i < 10000; i++) {
        refcount_take(&shared->references);
        drop(shared);
    }
    drop(shared);
    return NULL;
}

Test(refcount, has_one_last_reference_among_many_threads)
{
    struct shared shared = {.n_last = 0};
    pthread_t threads[4];

    refcount_init(&shared.references);
    for (size_t i = 0; i < ELEMENTSOF(threads); i++) {
        refcount_take(&shared.references);
        cr_assert_eq(pthread_create(&threads[i], NULL, use, &shared), 0);
    }
    drop(&shared);
    for (size_t i = 0; i < ELEMENTSOF(threads); i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_expect_eq(atomic_load(&shared.n_last), 1);
}
