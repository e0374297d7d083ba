/* SPDX-License-Identifier: MIT */
#include "client/receipt.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "support/fake_malloc.h"
#include "support/net.h"

Test(receipt_allocation, that_is_refused_is_an_error)
{
    const struct address server = net_address("127.0.0.1:79");
    static struct receipts receipts;
    unsigned nth = 0, n_errors = 0;

    if (!CAN_INTERPOSE)
        cr_skip("the sanitizer has an allocator of its own");
    do {
        count_from_here(++nth);
        int r = receipts_open(&receipts, "/dev/null", &server);
        count_to_here();
        cr_assert(r == 0 || r == -ENOMEM, "the %uth: %d", nth, r);
        n_errors += r < 0;
        if (r == 0)
            cr_assert_eq(receipts_close(&receipts), 0);
        else
            cr_assert_eq(counted.balance, 0, "the %uth", nth);
    } while (counted.n >= nth);
    /* The stream in memory and its buffers, and the file. */
    cr_expect_geq(n_errors, 3);
}
