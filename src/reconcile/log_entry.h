/* SPDX-License-Identifier: MIT */
#pragma once

/* Entries of greetd in the journal, as `journalctl -o json` writes them: an object a line, see
 * journalctl(1). Pure; the caller owns the structure. */

#include <stddef.h>
#include <stdint.h>

#include "greetd/metrics/result.h"
#include "greetd/net/peer.h"

enum log_entry_kind {
    LOG_ENTRY_OTHER,      /* not about connections */
    LOG_ENTRY_CONNECTION, /* of a connection that has ended */
    LOG_ENTRY_LEFT_OUT,   /* of connections without entries */
};

/* What an entry says; fields that its kind does not have are 0. */
struct log_entry {
    enum log_entry_kind kind;
    uint64_t left_out; /* how many connections */
    struct peer client;
    enum result result;
    enum refusal reason;
    uint64_t bytes, bytes_acked;
    uint64_t accepted_usec, ended_usec; /* CLOCK_REALTIME */
};

/* Reads a line of SIZE bytes without its newline. A field that journalctl writes as an array,
 * because it is not printable or there twice, counts as missing, and so does one of 64 bytes or
 * more; greetd writes no such field of those that are read. Returns 0; -EINVAL if the line is no
 * JSON object, or an entry about connections lacks a field, with the reason in ERROR
 * (JSON_ERROR_MAX bytes of client/json.h) and RET untouched. */
int log_entry_parse(struct log_entry *ret, const char *line, size_t size, char *error);
