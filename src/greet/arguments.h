/* SPDX-License-Identifier: MIT */
#pragma once

/* The command line of greet. All text is borrowed from argv; only the main thread parses it. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/exchange.h"
#include "greetd/greeting/greeting.h"

#define ARGUMENTS_ADDRESS_DEFAULT "127.0.0.1:12345"

enum arguments_action {
    ARGUMENTS_PROBE, /* one connection */
    ARGUMENTS_LOAD,
    ARGUMENTS_RECONCILE,
    ARGUMENTS_HELP,
    ARGUMENTS_VERSION,
};

struct arguments {
    enum arguments_action action;
    const char *address;              /* NULL only with expect_config or ARGUMENTS_RECONCILE */
    const char *expect, *expect_file; /* NULL, or one of both; not with expect_config */
    uint64_t timeout_usec;
    struct exchange_proxy proxy; /* a network only with ARGUMENTS_LOAD */

    /* ARGUMENTS_PROBE */
    const char *send; /* NULL, or text with the escapes of a greeting */
    bool quiet, explain;
    bool expect_config;
    const char *config_path; /* of --expect-config=PATH, or NULL */
    const char *listener;    /* of --listener, or NULL; only with expect_config */

    /* ARGUMENTS_LOAD */
    uint64_t connections;
    uint32_t concurrent;
    uint64_t rate; /* per second; 0: no --rate */
    uint64_t send_size;
    uint64_t hold_usec;
    pid_t pid; /* 0: no --pid */

    /* ARGUMENTS_LOAD, ARGUMENTS_RECONCILE */
    const char *receipts; /* of --receipts, or NULL, or of --reconcile */
    bool json;
};

/* Parses the command line. Returns 0, or prints an error and returns -EINVAL with RET untouched. */
int arguments_parse(struct arguments *ret, int argc, char **argv);

/* Compiles TEXT, the argument of OPTION, as template_compile_escapes() does, and prints any error.
 * Returns 0 with *RET the caller's, or a negative errno. */
int arguments_compile(struct greeting **ret, const char *text, const char *option);
