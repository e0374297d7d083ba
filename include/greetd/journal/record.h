/* SPDX-License-Identifier: MIT */
#pragma once

/* The record of one finished connection: what the log says of it. Workers make records, the log
 * thread writes them. */

#include <stdint.h>

#include "greetd/guard/proxy_header.h"
#include "greetd/metrics/result.h"
#include "greetd/net/peer.h"

struct connection_record {
    const char *listener; /* borrowed until logger_stop() */
    struct peer peer;
    uint64_t number;             /* GREETD_CONNECTION= */
    uint64_t ended_usec;         /* CLOCK_MONOTONIC */
    uint64_t duration_usec;      /* since accept(2) */
    uint64_t bytes, bytes_acked; /* given to the kernel, acknowledged by the client's end */
    uint32_t rtt_usec;           /* smoothed round-trip time; 0 if not known */
    struct peer proxy; /* GREETD_PROXY_ADDR=: that sent the PROXY header; AF_UNSPEC if none did */
    enum result result;
    enum refusal refusal;
    enum proxy_error proxy_error; /* of REFUSAL_PROXY */
};
