/* SPDX-License-Identifier: MIT */
#pragma once

/* Whether a client was served, and if not, on which side its connection broke. Pure. */

#include <stdbool.h>
#include <stdint.h>

#include "client/exchange.h"
#include "reconcile/join.h"

enum verdict {
    /* The client has the whole greeting. */
    VERDICT_SERVED,
    VERDICT_UNCONFIRMED, /* greetd has sent it, but does not know that it arrived */
    VERDICT_UNLOGGED,    /* greetd has no entry */
    /* greet ended first. */
    VERDICT_UNFINISHED,
    /* Not what was expected. */
    VERDICT_WRONG,        /* another greeting, on which both sides agree */
    VERDICT_CONTRADICTED, /* what the sides say can't both be true */
    /* The client does not have the whole greeting. */
    VERDICT_CLIENT,     /* it gave up */
    VERDICT_NETWORK,    /* neither side ended the connection */
    VERDICT_GREETD,     /* greetd ended it, or ended itself */
    VERDICT_REFUSED,    /* greetd refused it */
    VERDICT_UNACCEPTED, /* greetd did not accept it, or too late */
    VERDICT_UNKNOWN,    /* the entry may have been left out */
    VERDICTS,
};

/* What the journal has. */
struct log_summary {
    uint64_t n_entries; /* of connections */
    uint64_t n_others;  /* of them, of no receipt */
    uint64_t left_out;  /* connections without entries */
};

/* Returns the verdict's name in JSON, such as `served`, and the sentence for people. Static text.
 */
const char *verdict_name(enum verdict verdict);
const char *verdict_text(enum verdict verdict);

/* Whether the client should have been served and was not, or the sides contradict each other. */
bool verdict_is_bad(enum verdict verdict);

/* Returns the verdict on a connection. */
enum verdict verdict_of(const struct pair *pair, const struct log_summary *log);

/* Returns the exit status for COUNTS, the number of connections with each verdict. More unlogged
 * ones than entries that were left out are a contradiction. */
enum exit_status verdict_exit_status(const uint64_t counts[VERDICTS],
                                     const struct log_summary *log);
