/* SPDX-License-Identifier: MIT */
#pragma once

/* Finds the entry of greetd for each receipt of a client. Pure but for the memory that it needs
 * meanwhile; the caller owns the arrays. */

#include <stddef.h>
#include <stdint.h>

#include "client/receipt.h"
#include "reconcile/log_entry.h"

/* How much later than a connection's end its entry may have begun, or earlier than its start: the
 * clocks of two machines may differ by that much. */
#define JOIN_SKEW_USEC UINT64_C(1000000)

/* A connection from both sides. */
struct pair {
    struct receipt receipt;
    const struct log_entry *entry; /* borrowed; NULL if greetd has none */
};

/* Gives each of the N PAIRS, which have no entry yet, its own of the M ENTRIES, if there is one. An
 * entry belongs to the connection of the same address and port that was there when greetd accepted
 * it. Of several, as on a Unix socket whose clients have no ports, it is the one whose result is
 * like that of the client, then the one that began first. A client with a PROXY header that has no
 * entry has the one of its sender's address: greetd did not accept the header. One of a Unix socket
 * has one without a process, as of another PID namespace. Returns how many entries are of no pair,
 * or -ENOMEM. */
int64_t join(struct pair *pairs, size_t n, const struct log_entry *entries, size_t m);
