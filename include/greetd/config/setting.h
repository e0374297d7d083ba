/* SPDX-License-Identifier: MIT */
#pragma once

/* The settings of greetd.conf: the value of each, which owns its strings, and the constant row that
 * describes it. A new setting is a member of one of the structs here and a row in setting_table.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/config/section.h"
#include "greetd/config/setting_type.h"
#include "greetd/guard/network_list.h"
#include "greetd/guard/sources.h"

/* setting_table has at most this many rows. */
#define SETTING_N_MAX 64

/* [Server] */
struct server_settings {
    uint64_t backlog;           /* Backlog=, 1 to INT_MAX */
    uint64_t workers;           /* Workers=, 0 for `auto` */
    uint64_t max_connections;   /* MaxConnections=, 1 to 1048576 */
    uint64_t idle_exit_usec;    /* IdleExitSec= */
    uint64_t stop_timeout_usec; /* StopTimeoutSec= */
    uint64_t stop_delay_usec;   /* StopDelaySec= */
    bool fast_open;             /* FastOpen= */
    bool reuse_port;            /* ReusePort= */
};

/* [Limits]; of [Listener NAME] only the lists */
struct limit_settings {
    struct source_limits per_source; /* MaxConnectionsPerSource=, RateLimitPerSource...= */
    struct network_list allow, deny; /* Allow=, Deny= */
};

/* [Log] */
struct log_settings {
    bool connections;                  /* Connections=, the default of LogConnections= */
    bool silent_connections;           /* LogSilentConnections= */
    uint64_t rate_limit_interval_usec; /* RateLimitIntervalSec= */
    uint64_t rate_limit_burst;         /* RateLimitBurst= */
    unsigned level; /* Level=, of syslog(3): less urgent entries are not logged */
};

/* GreetOn=: the event on which a client is greeted */
enum setting_greet_on { GREET_ON_CONNECT, GREET_ON_DATA };

/* Pick=: what of the file of MessageFile= a client receives */
enum setting_pick { PICK_WHOLE, PICK_RANDOM, PICK_DAILY };

/* [Greeting], and the same in [Listener NAME] */
struct greeting_settings {
    char *message;               /* Message= as written, owned; NULL if message_file is in force */
    char *message_file;          /* MessageFile=, owned; NULL if message is in force */
    bool expand;                 /* Expand=, by default only with Message= */
    unsigned pick;               /* Pick=, of enum setting_pick */
    bool watch;                  /* Watch= */
    uint64_t max_age_usec;       /* MaxAgeSec= */
    char *stale_message;         /* StaleMessage= as written, owned; NULL if there is none */
    char *stop_message;          /* StopMessage=, the same */
    unsigned greet_on;           /* GreetOn=, of enum setting_greet_on */
    uint64_t data_timeout_usec;  /* DataTimeoutSec= */
    uint64_t drip_usec;          /* DripSec=, 0 to send the greeting at once; not infinite */
    bool drip_repeat;            /* DripRepeat=, only with drip_usec */
    uint64_t linger_usec;        /* LingerSec= */
    uint64_t write_timeout_usec; /* WriteTimeoutSec= */
    bool log_connections;        /* LogConnections=, by default Connections= of [Log] */
    bool proxy_protocol;         /* ProxyProtocol= */
    struct network_list proxy_trusted_sources; /* ProxyTrustedSources=, only with proxy_protocol */
    char *refuse_message; /* RefuseMessage= as written, owned; NULL if there is none */
};

/* The settings of one section. Only the members that its kind of section has are used. */
struct setting_values {
    struct server_settings server;
    struct limit_settings limits;
    struct log_settings log;
    struct greeting_settings greeting;
    struct address_list listen;
    char *origins[SETTING_N_MAX]; /* owned; one for each row, NULL if it is not set */
};

/* One row of setting_table. */
struct setting {
    const char *name;
    unsigned sections;               /* of enum section_kind, or-ed */
    size_t offset;                   /* of its value in struct setting_values */
    const struct setting_type *type; /* of that value */
    struct setting_rule rule;
    const char *default_text; /* as it would be written; "" for none */
    const char *option;       /* on the command line, which sets it too; NULL for none */
    bool of_file;             /* it is about the file of MessageFile=, and goes with it */
};
