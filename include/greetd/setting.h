/* SPDX-License-Identifier: MIT */
#pragma once

/* The settings of greetd.conf: one row of a table for each, with how its value is read, kept and
 * printed. A new setting is a field in one of the structs here and a row in setting.c. Pure: no
 * file is opened. */

#include <stddef.h>
#include <stdint.h>

#include "greetd/address.h"

/* `infinity`, for times in microseconds and for numbers. */
#define SETTING_INFINITY UINT64_MAX

/* ListenStream=: the addresses and the text each was written as. Owns both arrays and the strings.
 */
struct setting_addresses {
    struct address *addresses;
    char **texts;
    size_t n;
};

/* [Server] */
struct server_settings {
    uint64_t backlog;           /* Backlog=, 1 to INT_MAX */
    uint64_t workers;           /* Workers=, 0 for `auto` */
    uint64_t max_connections;   /* MaxConnections=, 1 to 1048576 */
    uint64_t stop_timeout_usec; /* StopTimeoutSec= */
};

/* [Greeting], and the same in [Listener NAME] */
struct greeting_settings {
    char *message;        /* Message= as written, owned; NULL when message_file is what counts */
    char *message_file;   /* MessageFile=, owned; NULL when message is what counts */
    uint64_t linger_usec; /* LingerSec= */
    uint64_t write_timeout_usec; /* WriteTimeoutSec= */
};
