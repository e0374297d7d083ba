/* SPDX-License-Identifier: MIT */
#include "reconcile/join.h"

#include <errno.h>

#include "support/fake_malloc.h"
#include "support/pairs.h"

Test(join_allocation, that_is_refused_is_an_error)
{
    struct pair pair = pair_of("::1", 1, 0, 10, OUTCOME_OK);
    const struct log_entry entry = entry_of("::1", 1, 5, RESULT_DELIVERED);
    unsigned nth = 0, n_errors = 0;

    if (!CAN_INTERPOSE)
        cr_skip("the sanitizer has an allocator of its own");
    do {
        count_from_here(++nth);
        int64_t r = join(&pair, 1, &entry, 1);
        count_to_here();
        cr_assert(r == 0 || r == -ENOMEM);
        cr_assert_eq(counted.balance, 0);
        n_errors += r < 0;
    } while (counted.n >= nth);
    cr_expect_eq(n_errors, 2);
}
