/* SPDX-License-Identifier: MIT */
#include "greetd/listen/activation.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "support/fake_malloc.h"
#include "support/net.h"
#include "support/pass_fds.h"

/* Takes sockets over while the NTH allocation fails. Returns the result. */
static int take(const int *fds, int n, const char *names, unsigned nth)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    struct listener_set set = {0};

    pass_fds_begin(fds, n, names);
    count_from_here(nth);
    int r = activation_take(&set, &diagnostics);
    pass_fds_end(&set);
    listener_set_deinit(&set);
    count_to_here();
    cr_assert_eq(diagnostics.n_errors, 0);
    return r;
}

Test(activation_allocation, that_is_refused_is_an_error_that_leaves_nothing_behind)
{
    struct sockaddr_in address;
    int fds[] = {net_listen(&address), net_listen_local(SOCK_STREAM), net_listen(&address)};
    unsigned nth = 0;

    if (!CAN_INTERPOSE)
        cr_skip("the sanitizer has an allocator of its own");
    do {
        int r = take(fds, 3, "web:local:opened@7", ++nth);

        cr_assert_eq(r, counted.n >= nth ? -ENOMEM : 3, "the %uth: %d", nth, r);
        cr_assert_eq(counted.balance, 0, "the %uth", nth);
    } while (counted.n >= nth);
    cr_assert_gt(nth, 9);
}
