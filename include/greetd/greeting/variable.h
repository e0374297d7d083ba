/* SPDX-License-Identifier: MIT */
#pragma once

/* The variables of greetings, each a row of a constant table. Names and values are those of nginx
 * (ngx_stream_core_module), so that a `return` line can be copied from there; `$metrics`,
 * `$time{FORMAT}` and `$unit_state{UNIT}` are greetd's own. */

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "greetd/greeting/wall_clock.h"
#include "greetd/metrics/metrics.h"
#include "greetd/net/address.h"
#include "greetd/net/peer.h"

/* Room for the value of any constant variable, with its '\0'. */
#define VARIABLE_CONSTANT_MAX (HOST_NAME_MAX + 1)

struct fortune_random;

/* What a variable needs besides the client: a system call for it, or the states of units, which
 * the main thread keeps up to date (units.h). */
enum variable_needs {
    VARIABLE_NEEDS_LOCAL = 1 << 0,
    VARIABLE_NEEDS_RTT = 1 << 1,
    VARIABLE_NEEDS_UNITS = 1 << 2,
};

/* What a client that has received a value can know of it: see greeting/match.h. */
enum variable_kind {
    VARIABLE_KNOWN,      /* all of it: write() needs no more than struct match_connection has */
    VARIABLE_NUMBER,     /* a decimal number, or empty */
    VARIABLE_UNIT_STATE, /* the name of a state in base/unit_state.h */
    VARIABLE_TIME,       /* what write() gives for a second around the connection */
    VARIABLE_MSEC,       /* seconds since 1970 around the connection, with three decimals */
    VARIABLE_METRICS,    /* lines of metrics */
};

/* The client for which a greeting is rendered. Borrowed. */
struct variable_client {
    const struct peer *peer;
    const struct address *local;   /* to which it has connected; for VARIABLE_NEEDS_LOCAL */
    const char *listener;          /* $listener */
    uint64_t number;               /* $connection */
    int64_t rtt_usec;              /* for VARIABLE_NEEDS_RTT; negative if not known */
    pid_t pid;                     /* $pid */
    struct wall_clock *clock;      /* that of the worker */
    struct fortune_random *random; /* the same; for a greeting with entries */
    const struct metrics *metrics; /* $metrics */
};

/* The argument of one variable in one greeting. */
struct variable_argument {
    /* enum unit_state of $unit_state: the main thread stores it, and workers load it. Relaxed: a
     * worker needs nothing else that was written before. */
    atomic_uint unit_state;
    size_t size; /* of the text, without its '\0' */
    char text[];
};

/* What variable.write and variable.write_with return without memory for the value. */
#define VARIABLE_FAILED SIZE_MAX

struct variable {
    const char *name;
    /* The value is the same for every client. It is written once, when the greeting is compiled,
     * with CLIENT being NULL. */
    bool constant;
    unsigned needs; /* of enum variable_needs */
    enum variable_kind kind;
    /* Writes the value for CLIENT to BUFFER of SIZE bytes as snprintf(3) does: cut to SIZE, with a
     * '\0' at the end if SIZE is not 0. Returns the length of the whole value. */
    size_t (*write)(const struct variable_client *client, char *buffer, size_t size);

    /* A variable that takes an argument, `$name{ARGUMENT}`, has these instead. */
    const char *argument; /* what the manual calls it; NULL: the variable takes none */
    /* Returns NULL, or the reason why TEXT is wrong (static text) and where. TEXT is not empty. */
    const char *(*check)(const char *text, size_t *ret_offset);
    size_t (*write_with)(const struct variable_client *client,
                         const struct variable_argument *argument, char *buffer, size_t size);
};

/* Returns the variable whose name is the LENGTH bytes at NAME, or NULL. */
const struct variable *variable_find(const char *name, size_t length);

/* Checks the SIZE bytes at TEXT, which a '\0' follows, as an argument of VARIABLE. Returns NULL, or
 * the reason why they are wrong (static text) with *ret_offset, where. */
const char *variable_check_argument(const struct variable *variable, const char *text, size_t size,
                                    size_t *ret_offset);

/* Returns the name of the variable that is nearest to NAME (see text_nearest()), or NULL. */
const char *variable_nearest(const char *name);

/* Returns the length of the longest name at TEXT and before END. A name has letters, digits and
 * `_`, and does not begin with a digit. */
size_t variable_name_length(const char *text, const char *end);
