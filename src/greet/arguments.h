/* SPDX-License-Identifier: MIT */
#pragma once

/* The command line. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define ARGUMENTS_ADDRESS_DEFAULT "127.0.0.1:12345"

enum arguments_action {
    ARGUMENTS_PROBE, /* one connection */
    ARGUMENTS_LOAD,
    ARGUMENTS_HELP,
    ARGUMENTS_VERSION,
};

/* All text is argv's. */
struct arguments {
    enum arguments_action action;
    const char *address;
    const char *expect, *expect_file; /* NULL, or one of both */
    uint64_t timeout_usec;

    /* ARGUMENTS_PROBE */
    const char *send; /* NULL or text with the escapes of a greeting */
    bool quiet, explain;

    /* ARGUMENTS_LOAD */
    uint64_t connections;
    uint32_t concurrent;
    uint64_t rate; /* per second; 0: none was given */
    uint64_t send_size;
    uint64_t hold_usec;
    bool json;
    pid_t pid; /* 0: none was given */
};

/* Reads the command line. Returns 0, or -EINVAL after saying on stderr what is wrong. */
int arguments_parse(struct arguments *ret, int argc, char **argv);
