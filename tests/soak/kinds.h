/* SPDX-License-Identifier: MIT */
#pragma once

/* The kinds of clients of the soak: what each sends, what it does after its greeting, and what it
 * must have received. It has no code in common with greetd, so that its checks are independent. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ANSWER_MAX (512 * 1024)
#define INPUT_MAX  512

/* The listeners of connections.py, in its order. */
enum listener {
    WATCHED,  /* a watched file with a version and a pattern */
    VARIABLE, /* a message with variables */
    FORTUNE,
    BIG,
    DATA,   /* GreetOn=data */
    SILENT, /* the same, and DataTimeoutSec=1s */
    PROXIED,
    DRIPPED,
    DENIED,
    ABORTED,  /* clients that do not wait for their greeting */
    VANISHED, /* WriteTimeoutSec=1s */
    IPV6,
    LOCAL,    /* a path */
    ABSTRACT, /* an abstract name */
    LISTENERS,
};

extern const char *const listener_names[LISTENERS];

/* What a client of a kind does. */
enum deed {
    HALF_CLOSES = 1 << 0, /* before it reads */
    IS_SLOW = 1 << 1,     /* small buffer, and pauses between reads */
    LINGERS = 1 << 2,     /* closes some time after the end of stream */
    RESETS = 1 << 3,      /* at once */
    RESETS_LATE = 1 << 4, /* after its first bytes */
    LEAVES = 1 << 5,      /* closes at once */
    VANISHES = 1 << 6,    /* its end receives no packet any more */
    IS_SILENT = 1 << 7,   /* sends nothing where something is expected */
    DRIPS = 1 << 8,       /* sends its input byte by byte */
    UPLOADS = 1 << 9,     /* sends much after its input */
    SHARES_SOURCE = 1 << 10,
    BAD_HEADER = 1 << 11,
};

/* The number of connections of a kind among every 1000. */
struct kind {
    const char *name;
    enum listener listener;
    unsigned share;
    unsigned deeds; /* of enum deed */
};

extern const struct kind kinds[];
extern const size_t n_kinds;

/* How a connection ended: GREETED, EMPTY (an end of stream alone) and TURNED_AWAY (with the message
 * for clients that are refused) may be right; ABANDONED is, for a client that does not wait. A
 * client that did not send in time, because it had no processor, is STARVED; connections.py says
 * how many may be. The others are never right. */
enum outcome {
    GREETED,
    EMPTY,
    TURNED_AWAY,
    ABANDONED,
    STARVED,
    UNCONNECTED,
    BROKEN,
    WRONG,
    LATE,
    OUTCOMES,
};

extern const char *const outcome_names[OUTCOMES];

/* One client, as far as its input and its greeting depend on it. */
struct identity {
    const struct kind *kind;
    uint64_t number;
    struct sockaddr_storage address; /* its own */
};

/* Writes what the client sends first; returns its size, at most INPUT_MAX. */
size_t kinds_input(const struct identity *identity, char *ret);

/* Finds out what the SIZE bytes of ANSWER, up to the end of stream, are for this client. */
enum outcome kinds_check(const struct identity *identity, char *answer, size_t size);

/* Whether a connection of this kind may end like this. */
bool kinds_allow(const struct kind *kind, enum outcome outcome);
