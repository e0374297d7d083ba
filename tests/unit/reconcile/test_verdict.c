/* SPDX-License-Identifier: MIT */
#include "reconcile/verdict.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "greetd/base/cleanup.h"
#include "support/pairs.h"

/* A connection with an entry, of which the client has 18 bytes at most. */
struct both {
    enum outcome end;
    uint64_t received;
    enum result result;
    uint64_t sent;
    enum verdict verdict;
};

ParameterizedTestParameters(verdict, with_an_entry)
{
    static struct both rows[] = {
        {OUTCOME_OK, 18, RESULT_DELIVERED, 18, VERDICT_SERVED},
        {OUTCOME_OK, 18, RESULT_UNCONFIRMED, 18, VERDICT_UNCONFIRMED},
        {OUTCOME_OK, 18, RESULT_RESET, 18, VERDICT_UNCONFIRMED},
        {OUTCOME_OK, 18, RESULT_TIMEOUT, 18, VERDICT_UNCONFIRMED},
        {OUTCOME_OK, 18, RESULT_DELIVERED, 17, VERDICT_CONTRADICTED},
        {OUTCOME_OK, 18, RESULT_PARTIAL, 5, VERDICT_CONTRADICTED},
        {OUTCOME_OK, 18, RESULT_REFUSED, 18, VERDICT_CONTRADICTED},

        {RECEIPT_UNFINISHED, 0, RESULT_RESET, 0, VERDICT_UNFINISHED},
        {RECEIPT_UNFINISHED, 5, RESULT_DELIVERED, 18, VERDICT_UNFINISHED},

        {OUTCOME_WRONG, 18, RESULT_DELIVERED, 18, VERDICT_WRONG},
        {OUTCOME_WRONG, 5, RESULT_UNCONFIRMED, 18, VERDICT_WRONG},
        {OUTCOME_WRONG, 5, RESULT_RESET, 18, VERDICT_WRONG},
        {OUTCOME_WRONG, 19, RESULT_DELIVERED, 18, VERDICT_CONTRADICTED},
        {OUTCOME_SHORT, 12, RESULT_DELIVERED, 12, VERDICT_WRONG},
        {OUTCOME_SHORT, 12, RESULT_UNCONFIRMED, 12, VERDICT_WRONG},
        {OUTCOME_SHORT, 5, RESULT_DELIVERED, 18, VERDICT_CONTRADICTED},
        {OUTCOME_SHORT, 12, RESULT_PARTIAL, 12, VERDICT_GREETD},
        {OUTCOME_SHORT, 5, RESULT_UNCONFIRMED, 18, VERDICT_NETWORK},
        {OUTCOME_SHORT, 5, RESULT_RESET, 18, VERDICT_NETWORK},

        {OUTCOME_REFUSED, 0, RESULT_DELIVERED, 18, VERDICT_CONTRADICTED},
        {OUTCOME_RESET, 5, RESULT_DELIVERED, 18, VERDICT_CONTRADICTED},
        {OUTCOME_RESET, 18, RESULT_DELIVERED, 18, VERDICT_NETWORK},
        {OUTCOME_RESET, 19, RESULT_UNCONFIRMED, 18, VERDICT_CONTRADICTED},
        {OUTCOME_RESET, 5, RESULT_UNCONFIRMED, 18, VERDICT_NETWORK},
        {OUTCOME_RESET, 5, RESULT_RESET, 18, VERDICT_NETWORK},
        {OUTCOME_RESET, 5, RESULT_PARTIAL, 12, VERDICT_GREETD},
        {OUTCOME_RESET, 0, RESULT_ERROR, 0, VERDICT_GREETD},
        {OUTCOME_TIMEOUT, 0, RESULT_TIMEOUT, 18, VERDICT_GREETD},
        {OUTCOME_TIMEOUT, 0, RESULT_RESET, 18, VERDICT_CLIENT},
        {OUTCOME_TIMEOUT, 0, RESULT_UNCONFIRMED, 18, VERDICT_NETWORK},
        {OUTCOME_UNREACHABLE, 0, RESULT_UNCONFIRMED, 18, VERDICT_NETWORK},

        {OUTCOME_RESET, 0, RESULT_REFUSED, 0, VERDICT_REFUSED},
        {OUTCOME_SHORT, 0, RESULT_REFUSED, 0, VERDICT_REFUSED},
        {OUTCOME_WRONG, 3, RESULT_REFUSED, 9, VERDICT_REFUSED},
        {OUTCOME_TIMEOUT, 0, RESULT_REFUSED, 0, VERDICT_REFUSED},
    };

    return cr_make_param_array(struct both, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct both *row, verdict, with_an_entry)
{
    const struct log_summary log = {.n_entries = 1, .left_out = 1};
    struct log_entry entry = entry_of("::1", 1, 5, row->result);
    struct pair pair = pair_of("::1", 1, 0, 10, row->end);

    entry.bytes = row->sent;
    pair.receipt.bytes = row->received;
    pair.entry = &entry;
    cr_expect_str_eq(verdict_name(verdict_of(&pair, &log)), verdict_name(row->verdict),
                     "%s, %lu bytes; %s, %lu bytes", receipt_end_name(row->end), row->received,
                     result_name(row->result), row->sent);
}

Test(verdict, of_a_client_that_was_accepted_after_it_gave_up_is_before_greetd)
{
    const struct log_entry late = entry_of("::1", 1, 11, RESULT_UNCONFIRMED);
    struct pair pair = pair_of("::1", 1, 0, 10, OUTCOME_TIMEOUT);

    pair.entry = &late;
    cr_expect_eq(verdict_of(&pair, &(struct log_summary){.n_entries = 1}), VERDICT_UNACCEPTED);
    pair.receipt.end = OUTCOME_RESET;
    cr_expect_eq(verdict_of(&pair, &(struct log_summary){.n_entries = 1}), VERDICT_NETWORK);
}

/* greetd sees only the end of stream of a client that gives up before it has sent its data. */
Test(verdict, of_a_client_that_gave_up_is_not_against_greetd_if_that_ended_later)
{
    struct log_entry entry = entry_of("::1", 1, 5, RESULT_PARTIAL);
    struct pair pair = pair_of("::1", 1, 0, 10, OUTCOME_TIMEOUT);

    pair.entry = &entry;
    entry.ended_usec = noon(9);
    cr_expect_eq(verdict_of(&pair, &(struct log_summary){.n_entries = 1}), VERDICT_GREETD);
    entry.ended_usec = noon(10);
    cr_expect_eq(verdict_of(&pair, &(struct log_summary){.n_entries = 1}), VERDICT_CLIENT);
    entry.result = RESULT_TIMEOUT;
    cr_expect_eq(verdict_of(&pair, &(struct log_summary){.n_entries = 1}), VERDICT_CLIENT);
    pair.receipt.end = OUTCOME_SHORT;
    cr_expect_eq(verdict_of(&pair, &(struct log_summary){.n_entries = 1}), VERDICT_GREETD);
}

/* A connection without an entry: the verdict if all entries are there, and if some or all may be
 * missing. */
struct one {
    enum outcome end;
    uint64_t received;
    enum verdict complete, incomplete;
};

ParameterizedTestParameters(verdict, without_an_entry)
{
    static struct one rows[] = {
        {OUTCOME_OK, 18, VERDICT_UNLOGGED, VERDICT_UNLOGGED},
        {RECEIPT_UNFINISHED, 0, VERDICT_UNFINISHED, VERDICT_UNFINISHED},
        {OUTCOME_REFUSED, 0, VERDICT_UNACCEPTED, VERDICT_UNACCEPTED},
        {OUTCOME_UNREACHABLE, 0, VERDICT_NETWORK, VERDICT_NETWORK},
        {OUTCOME_NO_PORT, 0, VERDICT_CLIENT, VERDICT_CLIENT},
        {OUTCOME_WRONG, 5, VERDICT_WRONG, VERDICT_WRONG},
        {OUTCOME_RESET, 0, VERDICT_UNACCEPTED, VERDICT_UNKNOWN},
        {OUTCOME_RESET, 5, VERDICT_GREETD, VERDICT_UNKNOWN},
        {OUTCOME_SHORT, 0, VERDICT_GREETD, VERDICT_UNKNOWN},
        {OUTCOME_TIMEOUT, 0, VERDICT_UNACCEPTED, VERDICT_UNKNOWN},
    };

    return cr_make_param_array(struct one, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct one *row, verdict, without_an_entry)
{
    const struct log_summary complete = {.n_entries = 5}, empty = {0},
                             limited = {.n_entries = 5, .left_out = 1};
    struct pair pair = pair_of("::1", 1, 0, 10, row->end);

    pair.receipt.bytes = row->received;
    cr_expect_eq(verdict_of(&pair, &complete), row->complete, "%s", receipt_end_name(row->end));
    cr_expect_eq(verdict_of(&pair, &limited), row->incomplete, "%s", receipt_end_name(row->end));
    cr_expect_eq(verdict_of(&pair, &empty), row->incomplete, "%s", receipt_end_name(row->end));
}

/* The exit status if there is one connection with VERDICT, and a served one. */
static enum exit_status status_of(enum verdict verdict, uint64_t left_out)
{
    uint64_t counts[VERDICTS] = {[VERDICT_SERVED] = 1};

    counts[verdict]++;
    return verdict_exit_status(counts, &(struct log_summary){.left_out = left_out});
}

Test(verdict, decides_the_exit_status)
{
    for (enum verdict verdict = 0; verdict < VERDICTS; verdict++) {
        enum exit_status expected = verdict < VERDICT_WRONG    ? EXIT_STATUS_OK
                                    : verdict < VERDICT_CLIENT ? EXIT_STATUS_WRONG
                                                               : EXIT_STATUS_LOST;

        cr_expect_eq(status_of(verdict, 1), expected, "%s", verdict_name(verdict));
        cr_expect_eq(verdict_is_bad(verdict), expected != EXIT_STATUS_OK);
        cr_expect_not_null(verdict_text(verdict));
    }
    const uint64_t worst[VERDICTS] = {
        [VERDICT_WRONG] = 1, [VERDICT_CLIENT] = 1, [VERDICT_UNLOGGED] = 1};
    cr_expect_eq(verdict_exit_status(worst, &(struct log_summary){0}), EXIT_STATUS_LOST);
}

Test(verdict, of_more_unlogged_clients_than_were_left_out_is_a_contradiction)
{
    cr_expect_eq(status_of(VERDICT_UNLOGGED, 0), EXIT_STATUS_WRONG);
}
