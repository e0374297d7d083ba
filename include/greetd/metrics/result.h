/* SPDX-License-Identifier: MIT */
#pragma once

/* The ways in which a connection ends, with proof of delivery, and the reasons for refusing a
 * client. Pure. */

/* GREETD_RESULT= in the log, and the label of greetd_connections_total. */
enum result {
    RESULT_DELIVERED,   /* the client's end has acknowledged every byte */
    RESULT_UNCONFIRMED, /* the kernel has every byte; closed before all were acknowledged */
    RESULT_PARTIAL,     /* closed before the kernel had every byte */
    RESULT_RESET,       /* the client broke the connection before it had every byte */
    RESULT_TIMEOUT,     /* no progress for WriteTimeoutSec=, or no data within DataTimeoutSec= */
    RESULT_REFUSED,     /* not greeted, for a reason of enum refusal */
    RESULT_ERROR,       /* a system call failed */
    RESULT_N,           /* how many there are */
};

/* GREETD_REASON= in the log, and the label of greetd_refused_total. */
enum refusal {
    REFUSAL_NONE,        /* the client is not refused */
    REFUSAL_NETWORK,     /* Allow=, Deny= */
    REFUSAL_CONNECTIONS, /* MaxConnectionsPerSource= */
    REFUSAL_RATE,        /* RateLimitPerSourceIntervalSec=, RateLimitPerSourceBurst= */
    REFUSAL_PROXY,       /* ProxyProtocol=: no correct header, or not from ProxyTrustedSources= */
    REFUSAL_N,           /* how many there are */
};

/* Returns the result's name in the log and in the metrics; static text. */
const char *result_name(enum result result);

/* Returns the reason's name in the log and in the metrics, static text; NULL for REFUSAL_NONE. */
const char *refusal_name(enum refusal refusal);

/* Returns the result of a connection on which send(2), recv(2) or shutdown(2) has failed with ERROR
 * (positive errno). */
enum result result_of_errno(int error);
