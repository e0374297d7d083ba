/* SPDX-License-Identifier: MIT */
#pragma once

/* The settings of greetd.conf: one row of a table for each, with the sections it may stand in, the
 * kind of its value and its default. A new setting is a field in one of the structs here and a row
 * in setting.c. Pure: no file is opened. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "greetd/base/diagnostics.h"
#include "greetd/config/section.h"
#include "greetd/config/setting_type.h"

/* No more rows than this. */
#define SETTING_N_MAX 64

/* [Server] */
struct server_settings {
    uint64_t backlog;           /* Backlog=, 1 to INT_MAX */
    uint64_t workers;           /* Workers=, 0 for `auto` */
    uint64_t max_connections;   /* MaxConnections=, 1 to 1048576 */
    uint64_t idle_exit_usec;    /* IdleExitSec= */
    uint64_t stop_timeout_usec; /* StopTimeoutSec= */
    bool fast_open;             /* FastOpen= */
};

/* [Log] */
struct log_settings {
    bool connections;                  /* Connections= */
    uint64_t rate_limit_interval_usec; /* RateLimitIntervalSec= */
    uint64_t rate_limit_burst;         /* RateLimitBurst= */
    unsigned level; /* Level=, as in syslog(3): what is less urgent is not logged */
};

/* GreetOn=: what a client is greeted on */
enum setting_greet_on { GREET_ON_CONNECT, GREET_ON_DATA };

/* [Greeting], and the same in [Listener NAME] */
struct greeting_settings {
    char *message;      /* Message= as written, owned; NULL when message_file is what counts */
    char *message_file; /* MessageFile=, owned; NULL when message is what counts */
    bool expand;        /* Expand=, by default only with Message= */
    unsigned greet_on;  /* GreetOn=, of enum setting_greet_on */
    uint64_t data_timeout_usec;  /* DataTimeoutSec= */
    uint64_t linger_usec;        /* LingerSec= */
    uint64_t write_timeout_usec; /* WriteTimeoutSec= */
};

/* What one section says. Only the members that its kind of section has are used. */
struct setting_values {
    struct server_settings server;
    struct log_settings log;
    struct greeting_settings greeting;
    struct address_list listen;
    char *origins[SETTING_N_MAX]; /* owned; one for each row of the table: NULL if it was not set */
};

/* One row of the table. */
struct setting {
    const char *name;
    unsigned sections;               /* of enum section_kind, or-ed */
    size_t offset;                   /* of its field in struct setting_values */
    const struct setting_type *kind; /* of that field */
    struct setting_rule rule;
    const char *fallback; /* the default as it would be written; "" for none */
    /* A setting that takes this one out of force while it is set; setting this takes it back. */
    const char *yields_to;
};

/* The row at INDEX, or NULL past the last one. */
const struct setting *setting_at(size_t index);

/* The row called NAME in any of SECTIONS, or NULL. Upper and lower case differ. */
const struct setting *setting_find(const char *name, unsigned sections);

/* Adds to DIAGNOSTICS, as `ORIGIN: text`, that the section of KIND and NAME (for [Listener NAME])
 * has no setting KEY: which section has it, or which setting may have been meant. */
void setting_diagnose_unknown(const char *key, enum section_kind kind, const char *name,
                              const char *origin, struct diagnostics *diagnostics);

/* Sets SETTING to TEXT, which ORIGIN says: `PATH:LINE` or `command line`. A list is appended to. An
 * empty TEXT empties a list or a message, and takes any other setting back, as though it had never
 * been set. Errors: -EINVAL with *ret_why (static text), when nothing has changed; -ENOMEM. */
int setting_assign(struct setting_values *values, const struct setting *setting, const char *text,
                   const char *origin, const char **ret_why);

/* Where the value in force came from: `PATH:LINE`, `command line` or `default`; borrowed. */
const char *setting_origin(const struct setting_values *values, const struct setting *setting);

/* Gives every setting of a section of KIND that was not set its value: that of INHERITED, which is
 * complete, if INHERITED is not NULL and has it, else the default. Of Message= and MessageFile=
 * only the one in force is left. Errors: -ENOMEM. */
int setting_values_complete(struct setting_values *values, enum section_kind kind,
                            const struct setting_values *inherited);

/* Prints every setting in force of the complete VALUES of a section of KIND as assignments, each
 * below a comment line with its origin. Errors are those of STREAM, see ferror(3). */
void setting_values_print(const struct setting_values *values, enum section_kind kind,
                          FILE *stream);

/* Frees what VALUES owns and leaves it empty. */
void setting_values_deinit(struct setting_values *values);
