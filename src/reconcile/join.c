/* SPDX-License-Identifier: MIT */
#include "reconcile/join.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"

/* What both sides know of a connection: family, port or pid, and address. */
struct key {
    uint32_t family, port;
    struct in6_addr address;
};

/* A pair or an entry, in the order of its key, then of its time. */
struct item {
    struct key key;
    uint64_t usec;
    size_t index;
    bool joined;
};

/* The items of one key. */
struct run {
    struct item *items;
    size_t n;
};

struct side {
    struct item *items; /* owned */
    size_t n;
};

static void side_deinit(struct side *side)
{
    free(side->items);
}

/* A client of a link-local address or of vsock(7) may have another name on the other side: there,
 * only the rest counts. */
static struct key key_of(const struct peer *peer)
{
    struct key key = {.family = peer->family, .port = receipt_port(peer)};

    if (peer->family == AF_INET)
        memcpy(&key.address, &peer->in, sizeof(peer->in));
    else if (peer->family == AF_INET6)
        key.address = peer->in6;
    else if (peer->family == AF_UNIX)
        key.port = peer->un.pid;
    return key;
}

static int compare_keys(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(struct key));
}

static int compare(const void *left, const void *right)
{
    const struct item *a = left, *b = right;
    int r = compare_keys(&a->key, &b->key);

    if (r != 0)
        return r;
    return a->usec < b->usec ? -1 : a->usec > b->usec;
}

/* Returns the peer as which greetd has logged the client if it is not receipt->client: the sender
 * of a header that it has not accepted, or a process that it does not know. */
static struct peer other_client(const struct receipt *receipt)
{
    struct peer other = receipt->proxy;

    if (other.family == AF_UNSPEC && receipt->client.family == AF_UNIX) {
        other = receipt->client;
        other.un.pid = 0;
    }
    return other;
}

static void add(struct side *side, const struct peer *peer, uint64_t usec, size_t index)
{
    if (peer->family != AF_UNSPEC)
        side->items[side->n++] = (struct item){key_of(peer), usec, index, false};
}

/* Takes the items of the first key out of SIDE. */
static struct run next_run(struct side *rest)
{
    struct run run = {.items = rest->items};

    while (run.n < rest->n && compare_keys(&run.items[run.n].key, &run.items[0].key) == 0)
        run.n++;
    rest->items += run.n;
    rest->n -= run.n;
    return run;
}

/* Whether greetd may have accepted a connection long after its client has ended: one that gave up
 * stays in the queue. */
static bool may_come_late(const struct receipt *receipt)
{
    return receipt->end == OUTCOME_TIMEOUT || receipt->end == RECEIPT_UNFINISHED;
}

/* Which entries are joined to which receipts. */
struct rule {
    bool loosely; /* also if the client was there only before greetd accepted it, or afterwards */
    bool (*fits)(const struct receipt *receipt, const struct log_entry *entry);
};

static bool is_over(const struct receipt *receipt, uint64_t accepted_usec, bool loosely)
{
    if (!loosely)
        return accepted_usec > receipt->end_usec;
    return accepted_usec > usec_add(receipt->end_usec, JOIN_SKEW_USEC) && !may_come_late(receipt);
}

/* How far an entry that began at ACCEPTED_USEC is outside of the time of RECEIPT. */
static uint64_t distance(const struct receipt *receipt, uint64_t accepted_usec)
{
    if (accepted_usec < receipt->connect_usec)
        return receipt->connect_usec - accepted_usec;
    return accepted_usec > receipt->end_usec ? accepted_usec - receipt->end_usec : 0;
}

/* Whether both sides say that the client was served, or both that it was not. */
static bool is_alike(const struct receipt *receipt, const struct log_entry *entry)
{
    return (receipt->end == OUTCOME_OK) ==
           (entry->result == RESULT_DELIVERED || entry->result == RESULT_UNCONFIRMED);
}

/* Whether both sides can be about the same connection. */
static bool is_possible(const struct receipt *receipt, const struct log_entry *entry)
{
    return receipt->end == OUTCOME_OK ? receipt->bytes == entry->bytes
                                      : receipt->bytes <= entry->bytes;
}

static bool is_any(const struct receipt *receipt, const struct log_entry *entry)
{
    (void)receipt;
    (void)entry;
    return true;
}

/* Each rule joins what the earlier ones have left, so that no entry takes a receipt that fits
 * another entry better. The entry of the connection before a run, which has no receipt, must not
 * take that of the next client with the same port. On a Unix socket, the entry of a client that was
 * in progress when greet ended must not take the receipt of a client that was served. */
static const struct rule rules[] = {
    {false, is_alike},
    {false, is_possible},
    {true, is_alike},
    {true, is_any},
};

/* Returns the item of RUN, from FIRST, that is joined to ENTRY by RULE and nearest in time, or
 * NULL.
 */
static struct item *find(const struct run *run, size_t first, const struct pair *pairs,
                         const struct log_entry *entry, const struct rule *rule)
{
    struct item *best = NULL;
    uint64_t accepted = entry->accepted_usec, least = 0;

    for (size_t i = first; i < run->n; i++) {
        struct item *item = &run->items[i];
        const struct receipt *receipt = &pairs[item->index].receipt;

        if (receipt->connect_usec > usec_add(accepted, rule->loosely ? JOIN_SKEW_USEC : 0))
            break;
        /* None behind it is nearer, of which there may be many. */
        if (best && least == 0)
            break;
        if (item->joined || is_over(receipt, accepted, rule->loosely) ||
            !rule->fits(receipt, entry))
            continue;
        uint64_t far = distance(receipt, accepted);
        if (best && far >= least)
            continue;
        best = item;
        least = far;
    }
    return best;
}

static void join_runs(const struct run *of_pairs, const struct run *of_entries, struct pair *pairs,
                      const struct log_entry *entries, const struct rule *rule)
{
    size_t first = 0;

    for (size_t i = 0; i < of_entries->n; i++) {
        struct item *item = &of_entries->items[i];
        const struct log_entry *entry = &entries[item->index];

        if (item->joined)
            continue;
        /* No later entry can belong to receipts that are joined or over. */
        while (first < of_pairs->n && (of_pairs->items[first].joined ||
                                       is_over(&pairs[of_pairs->items[first].index].receipt,
                                               entry->accepted_usec, rule->loosely)))
            first++;
        struct item *found = find(of_pairs, first, pairs, entry, rule);
        if (!found)
            continue;
        pairs[found->index].entry = entry;
        found->joined = item->joined = true;
    }
}

/* Joins what is in both sides, and leaves in OF_ENTRIES what is in no pair. */
static void join_sides(const struct side *of_pairs, struct side *of_entries, struct pair *pairs,
                       const struct log_entry *entries)
{
    struct side left = *of_pairs, right = *of_entries;
    size_t n = 0;

    qsort(left.items, left.n, sizeof(struct item), compare);
    qsort(right.items, right.n, sizeof(struct item), compare);
    while (left.n > 0 && right.n > 0) {
        int order = compare_keys(&left.items[0].key, &right.items[0].key);
        struct run of_left = {0}, of_right = {0};

        if (order <= 0)
            of_left = next_run(&left);
        if (order >= 0)
            of_right = next_run(&right);
        for (size_t i = 0; i < ELEMENTSOF(rules); i++)
            join_runs(&of_left, &of_right, pairs, entries, &rules[i]);
    }
    for (size_t i = 0; i < of_entries->n; i++)
        if (!of_entries->items[i].joined)
            of_entries->items[n++] = of_entries->items[i];
    of_entries->n = n;
}

int64_t join(struct pair *pairs, size_t n, const struct log_entry *entries, size_t m)
{
    _cleanup_(side_deinit) struct side of_pairs = {.items = calloc(n + 1, sizeof(struct item))};
    _cleanup_(side_deinit) struct side of_entries = {.items = calloc(m + 1, sizeof(struct item))};

    if (!of_pairs.items || !of_entries.items)
        return -ENOMEM;
    for (size_t i = 0; i < m; i++)
        of_entries.items[of_entries.n++] =
            (struct item){key_of(&entries[i].client), entries[i].accepted_usec, i, false};
    for (size_t i = 0; i < n; i++)
        add(&of_pairs, &pairs[i].receipt.client, pairs[i].receipt.connect_usec, i);
    join_sides(&of_pairs, &of_entries, pairs, entries);

    of_pairs.n = 0;
    for (size_t i = 0; i < n; i++) {
        const struct peer other = other_client(&pairs[i].receipt);

        if (!pairs[i].entry)
            add(&of_pairs, &other, pairs[i].receipt.connect_usec, i);
    }
    join_sides(&of_pairs, &of_entries, pairs, entries);
    return (int64_t)of_entries.n;
}
