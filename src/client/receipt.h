/* SPDX-License-Identifier: MIT */
#pragma once

/* Receipts: what each client saw of its connection. A file of receipts has a JSON object a line,
 * whose members are described in greet(1). Structures and streams are the caller's. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "client/exchange.h"
#include "client/json.h"
#include "greetd/net/peer.h"

/* Instead of an outcome: the connection was in progress when greet ended. */
#define RECEIPT_UNFINISHED EXCHANGE_PENDING

struct receipt {
    struct peer client; /* as the journal has it; AF_UNSPEC: none, as without a local port */
    struct peer proxy;  /* of a client with a PROXY header: the sender of that, else AF_UNSPEC */
    uint64_t number;
    uint64_t bytes;                  /* received */
    uint64_t connect_usec, end_usec; /* CLOCK_REALTIME */
    enum outcome end;                /* or RECEIPT_UNFINISHED */
};

/* Returns the name of receipt->end; static text. */
const char *receipt_end_name(enum outcome end);

/* Returns the peer with the address HOST as peer_format_host() writes it, without the interface of
 * a link-local address, and with PORT. PID is that of a Unix socket, 0 if it is not known. The
 * result has the family AF_UNSPEC if HOST is no address. */
struct peer receipt_peer(const char *host, uint32_t port, uint32_t pid);

/* Returns the port of PEER, 0 if it has none. */
uint32_t receipt_port(const struct peer *peer);

/* Reads MEMBER, a decimal number up to MAX. Returns 0; -EINVAL with the reason in ERROR
 * (JSON_ERROR_MAX bytes) and *RET untouched if there is none. */
int receipt_read_number(uint64_t *ret, const struct json_member *member, uint64_t max, char *error);

/* Reads receipt_peer() from its members; those that are not taken are "" and 0. Returns 0, or
 * -EINVAL with the reason in ERROR (JSON_ERROR_MAX bytes) and RET untouched if one is no number. */
int receipt_read_peer(struct peer *ret, const struct json_member *host,
                      const struct json_member *port, const struct json_member *pid, char *error);

/* Reads a line of SIZE bytes without its newline. Returns 0, or -EINVAL with the reason in ERROR
 * (JSON_ERROR_MAX bytes) and RET untouched. */
int receipt_parse(struct receipt *ret, const char *line, size_t size, char *error);

/* Room for what receipt_format() writes, with its '\0'. */
#define RECEIPT_MAX (512 + 2 * ADDRESS_TEXT_MAX)

/* Writes RECEIPT of a connection to SERVER, an address as address_format() writes it, to BUFFER
 * (RECEIPT_MAX bytes) as a line with its newline. Returns its size. */
size_t receipt_format(char *buffer, const struct receipt *receipt, const char *server);

/* A file of receipts that is being written. */
struct receipts {
    FILE *file; /* owned */
    char server[ADDRESS_TEXT_MAX];
    int error;              /* negative errno of a write that failed, or 0 */
    char buffer[64 * 1024]; /* of the file: one write(2) for some hundred receipts */
};

/* Creates or empties the file at PATH, for connections to SERVER. Returns 0, when *RET stays where
 * it is until receipts_close(); or a negative errno of open(2). */
int receipts_open(struct receipts *ret, const char *path, const struct address *server);

/* Adds the receipt of a connection that began at START_USEC and ends now, at NOW_USEC (both
 * CLOCK_MONOTONIC), unless RECEIPTS is NULL. */
void receipts_add(struct receipts *receipts, const struct exchange_request *request,
                  const struct exchange *exchange, enum outcome end, uint64_t start_usec,
                  uint64_t now_usec);

/* Writes the rest and closes the file. Returns 0, or the negative errno of the last write that
 * failed: receipts are missing then. */
int receipts_close(struct receipts *receipts);
