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
    RESULT_REFUSED,     /* closed at once, because of a limit or a network list */
    RESULT_ERROR,       /* a system call failed */
    RESULT_N,           /* how many there are */
};

/* GREETD_REASON= in the log, and the label of greetd_refused_total. Reserved: there are no settings
 * yet that refuse clients, so all counts are 0. */
enum refusal {
    REFUSAL_NETWORK,     /* Allow=, Deny= */
    REFUSAL_CONNECTIONS, /* MaxConnectionsPerSource= */
    REFUSAL_RATE,        /* RateLimitPerSourceIntervalSec=, RateLimitPerSourceBurst= */
    REFUSAL_N,           /* how many there are */
};

/* Returns the result's name in the log and in the metrics; static text. */
const char *result_name(enum result result);

/* Returns the reason's name in the log and in the metrics; static text. */
const char *refusal_name(enum refusal refusal);

/* Returns the result of a connection on which send(2), recv(2) or shutdown(2) has failed with ERROR
 * (positive errno). */
enum result result_of_errno(int error);
