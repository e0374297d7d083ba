/* SPDX-License-Identifier: MIT */
#include "reconcile/join.h"

#include <criterion/criterion.h>

#include "greetd/base/cleanup.h"
#include "support/pairs.h"

#define A "192.0.2.1"

/* Joins both arrays. OTHERS entries are of no pair. */
#define JOIN(pairs, entries, others)                                                               \
    cr_assert_eq(join(pairs, ELEMENTSOF(pairs), entries, ELEMENTSOF(entries)), others)

Test(join, needs_the_same_address_and_port)
{
    struct pair pairs[] = {
        pair_of(A, 1, 0, 10, OUTCOME_OK),           pair_of(A, 2, 0, 10, OUTCOME_OK),
        pair_of("::1", 1, 0, 10, OUTCOME_OK),       pair_of("unix", 1, 0, 10, OUTCOME_OK),
        pair_of("192.0.2.2", 1, 0, 10, OUTCOME_OK),
    };
    const struct log_entry entries[] = {
        entry_of("unix", 1, 5, RESULT_DELIVERED),      entry_of(A, 2, 5, RESULT_DELIVERED),
        entry_of("::1", 1, 5, RESULT_DELIVERED),       entry_of(A, 3, 5, RESULT_DELIVERED),
        entry_of("192.0.2.2", 1, 5, RESULT_DELIVERED),
    };

    JOIN(pairs, entries, 1);
    cr_expect_null(pairs[0].entry);
    cr_expect_eq(pairs[1].entry, &entries[1]);
    cr_expect_eq(pairs[2].entry, &entries[2]);
    cr_expect_eq(pairs[3].entry, &entries[0]);
    cr_expect_eq(pairs[4].entry, &entries[4]);
}

Test(join, knows_a_client_of_vsock_by_its_port)
{
    struct pair pairs[] = {pair_of("vsock:", 7, 0, 10, OUTCOME_OK)};
    const struct log_entry entries[] = {entry_of("vsock:3", 7, 5, RESULT_DELIVERED)};

    JOIN(pairs, entries, 0);
    cr_expect_eq(pairs[0].entry, &entries[0]);
}

Test(join, finds_the_connection_of_its_time_when_a_port_is_used_again)
{
    struct pair pairs[] = {
        pair_of(A, 1, 20, 30, OUTCOME_OK),
        pair_of(A, 1, 0, 10, OUTCOME_OK),
        pair_of(A, 1, 40, 50, OUTCOME_OK),
    };
    const struct log_entry entries[] = {
        entry_of(A, 1, 45, RESULT_DELIVERED),
        entry_of(A, 1, 25, RESULT_RESET),
    };

    JOIN(pairs, entries, 0);
    cr_expect_eq(pairs[0].entry, &entries[1]);
    cr_expect_null(pairs[1].entry);
    cr_expect_eq(pairs[2].entry, &entries[0]);
}

/* As after the first connection of a run, which has no receipt, or an entry that is there twice. */
Test(join, leaves_a_receipt_to_the_entry_of_its_time_when_an_earlier_one_has_none)
{
    struct pair pairs[] = {pair_of(A, 1, 20, 30, OUTCOME_SHORT)};
    const struct log_entry entries[] = {
        entry_of(A, 1, 10, RESULT_DELIVERED),
        entry_of(A, 1, 25, RESULT_REFUSED),
    };

    JOIN(pairs, entries, 1);
    cr_expect_eq(pairs[0].entry, &entries[1]);
}

/* The time of a round of greetd, at which it accepts both, is before the second one connects. */
Test(join, leaves_a_served_client_to_the_entry_that_says_so)
{
    struct pair pairs[] = {
        pair_of("unix", 1, 0, 10, OUTCOME_OK),
        pair_of("unix", 1, 6, 20, RECEIPT_UNFINISHED),
    };
    struct log_entry entries[] = {
        entry_of("unix", 1, 5, RESULT_RESET),
        entry_of("unix", 1, 5, RESULT_DELIVERED),
    };

    entries[0].bytes = 0;
    JOIN(pairs, entries, 0);
    cr_expect_eq(pairs[0].entry, &entries[1]);
    cr_expect_eq(pairs[1].entry, &entries[0]);
}

/* The entry of the served one was left out. */
Test(join, leaves_a_served_client_without_an_entry_that_it_contradicts)
{
    struct pair pairs[] = {
        pair_of("unix", 1, 0, 10, OUTCOME_OK),
        pair_of("unix", 1, 6, 20, RECEIPT_UNFINISHED),
    };
    struct log_entry entries[] = {entry_of("unix", 1, 5, RESULT_RESET)};

    entries[0].bytes = 0;
    JOIN(pairs, entries, 0);
    cr_expect_null(pairs[0].entry);
    cr_expect_eq(pairs[1].entry, &entries[0]);
}

Test(join, bears_a_second_between_the_clocks)
{
    struct pair early[] = {pair_of(A, 1, 1000, 1010, OUTCOME_OK)};
    struct pair late[] = {pair_of(A, 1, 1000, 1010, OUTCOME_OK)};
    struct pair never[] = {pair_of(A, 1, 1000, 1010, OUTCOME_OK)};
    const struct log_entry before[] = {entry_of(A, 1, 0, RESULT_DELIVERED)};
    const struct log_entry after[] = {entry_of(A, 1, 2010, RESULT_DELIVERED)};
    const struct log_entry other[] = {entry_of(A, 1, -1, RESULT_DELIVERED),
                                      entry_of(A, 1, 2011, RESULT_DELIVERED)};

    JOIN(early, before, 0);
    JOIN(late, after, 0);
    JOIN(never, other, 2);
    cr_expect_null(never[0].entry);
}

Test(join, finds_a_client_that_gave_up_in_the_queue)
{
    struct pair pairs[] = {
        pair_of(A, 1, 0, 10, OUTCOME_TIMEOUT),
        pair_of(A, 2, 0, 10, RECEIPT_UNFINISHED),
        pair_of(A, 3, 0, 10, OUTCOME_RESET),
    };
    const struct log_entry entries[] = {
        entry_of(A, 1, 60000, RESULT_RESET),
        entry_of(A, 2, 60000, RESULT_RESET),
        entry_of(A, 3, 60000, RESULT_RESET),
    };

    JOIN(pairs, entries, 1);
    cr_expect_eq(pairs[0].entry, &entries[0]);
    cr_expect_eq(pairs[1].entry, &entries[1]);
    cr_expect_null(pairs[2].entry);
}

Test(join, passes_over_what_is_over_beside_a_client_that_gave_up)
{
    struct pair pairs[] = {
        pair_of(A, 1, 0, 10, OUTCOME_TIMEOUT),
        pair_of(A, 1, 20, 30, OUTCOME_RESET),
    };
    const struct log_entry entries[] = {entry_of(A, 1, 60000, RESULT_RESET)};

    JOIN(pairs, entries, 0);
    cr_expect_eq(pairs[0].entry, &entries[0]);
    cr_expect_null(pairs[1].entry);
}

Test(join, prefers_the_connection_that_was_there)
{
    struct pair pairs[] = {
        pair_of(A, 1, 0, 10, OUTCOME_TIMEOUT),
        pair_of(A, 1, 20, 30, OUTCOME_OK),
    };
    const struct log_entry entries[] = {entry_of(A, 1, 25, RESULT_RESET)};

    JOIN(pairs, entries, 0);
    cr_expect_null(pairs[0].entry);
    cr_expect_eq(pairs[1].entry, &entries[0]);
}

Test(join, prefers_the_nearest_connection_when_clocks_differ)
{
    struct pair pairs[] = {
        pair_of(A, 1, 0, 10, OUTCOME_OK),
        pair_of(A, 1, 600, 610, OUTCOME_OK),
    };
    const struct log_entry entries[] = {entry_of(A, 1, 550, RESULT_DELIVERED)};

    JOIN(pairs, entries, 0);
    cr_expect_null(pairs[0].entry);
    cr_expect_eq(pairs[1].entry, &entries[0]);
}

Test(join, prefers_a_result_that_is_alike)
{
    struct pair pairs[] = {
        pair_of("unix", 9, 0, 100, OUTCOME_SHORT),
        pair_of("unix", 9, 1, 100, OUTCOME_OK),
        pair_of("unix", 9, 2, 100, OUTCOME_OK),
        pair_of("unix", 9, 3, 100, OUTCOME_RESET),
    };
    const struct log_entry entries[] = {
        entry_of("unix", 9, 10, RESULT_UNCONFIRMED), entry_of("unix", 9, 11, RESULT_PARTIAL),
        entry_of("unix", 9, 12, RESULT_DELIVERED),   entry_of("unix", 9, 13, RESULT_DELIVERED),
        entry_of("unix", 9, 14, RESULT_DELIVERED),
    };

    JOIN(pairs, entries, 1);
    cr_expect_eq(pairs[0].entry, &entries[1]);
    cr_expect_eq(pairs[1].entry, &entries[0]);
    cr_expect_eq(pairs[2].entry, &entries[2]);
    cr_expect_eq(pairs[3].entry, &entries[3]);
}

Test(join, takes_the_first_of_those_whose_results_are_not_alike)
{
    struct pair pairs[] = {
        pair_of("unix", 9, 0, 100, OUTCOME_OK),
        pair_of("unix", 9, 1, 100, OUTCOME_OK),
        pair_of("unix", 9, 11, 100, OUTCOME_RESET),
    };
    const struct log_entry entries[] = {entry_of("unix", 9, 10, RESULT_PARTIAL)};

    JOIN(pairs, entries, 0);
    cr_expect_eq(pairs[0].entry, &entries[0]);
    cr_expect_null(pairs[1].entry);
}

Test(join, takes_a_client_that_was_there_even_if_both_sides_contradict_each_other)
{
    struct pair pairs[] = {
        pair_of("unix", 9, 0, 100, OUTCOME_OK),
        pair_of("unix", 9, 11, 100, OUTCOME_OK),
    };
    struct log_entry entries[] = {entry_of("unix", 9, 10, RESULT_PARTIAL)};

    entries[0].bytes = 9;
    JOIN(pairs, entries, 0);
    cr_expect_eq(pairs[0].entry, &entries[0]);
    cr_expect_null(pairs[1].entry);
}

Test(join, finds_a_client_whose_header_was_not_accepted_by_its_sender)
{
    struct pair pairs[] = {
        pair_of(A, 1, 0, 10, OUTCOME_RESET),
        pair_of(A, 2, 0, 10, OUTCOME_OK),
    };
    const struct log_entry entries[] = {
        entry_of("127.0.0.1", 4000, 5, RESULT_REFUSED),
        entry_of(A, 2, 5, RESULT_DELIVERED),
    };

    pairs[0].receipt.proxy = receipt_peer("127.0.0.1", 4000, 0);
    pairs[1].receipt.proxy = receipt_peer("127.0.0.1", 4000, 0);
    JOIN(pairs, entries, 0);
    cr_expect_eq(pairs[0].entry, &entries[0]);
    cr_expect_eq(pairs[1].entry, &entries[1]);
}

Test(join, finds_a_client_of_a_unix_socket_whose_process_is_not_known)
{
    struct pair pairs[] = {
        pair_of("unix", 7, 0, 10, OUTCOME_OK),
        pair_of("unix", 8, 0, 10, OUTCOME_OK),
        pair_of(A, 9, 0, 10, OUTCOME_OK),
    };
    const struct log_entry entries[] = {
        entry_of("unix", 0, 4, RESULT_DELIVERED),
        entry_of("unix", 7, 5, RESULT_DELIVERED),
        entry_of("unix", 6, 5, RESULT_DELIVERED),
    };

    JOIN(pairs, entries, 1);
    cr_expect_eq(pairs[0].entry, &entries[1]);
    cr_expect_eq(pairs[1].entry, &entries[0]);
    cr_expect_null(pairs[2].entry);
}

Test(join, passes_over_what_has_no_address)
{
    struct pair pairs[] = {pair_of("unknown", 0, 0, 10, OUTCOME_REFUSED)};
    const struct log_entry entries[] = {entry_of("unknown", 0, 5, RESULT_RESET)};

    JOIN(pairs, entries, 1);
    cr_expect_null(pairs[0].entry);
    cr_expect_eq(join(pairs, 1, NULL, 0), 0);
}
