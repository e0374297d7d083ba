/* SPDX-License-Identifier: MIT */
#pragma once

/* How a connection ended, with proof of delivery: what is logged as GREETD_RESULT= and counted by
 * that name. */

enum result {
    RESULT_DELIVERED,   /* the client's end has acknowledged every byte */
    RESULT_UNCONFIRMED, /* all given to the kernel, let go before all was acknowledged */
    RESULT_PARTIAL,     /* let go before all was given to the kernel */
    RESULT_RESET,       /* the client broke the connection before it had everything */
    RESULT_TIMEOUT,     /* no progress for WriteTimeoutSec=, or not a word in DataTimeoutSec= */
    RESULT_REFUSED,     /* closed at once, by a limit or a network list */
    RESULT_ERROR,       /* the system refused to go on */
    RESULT_N,           /* how many there are */
};

/* The result's name in the log and in metrics. */
const char *result_name(enum result result);

/* How a connection ends whose send(2), recv(2) or shutdown(2) has failed with ERROR (positive
 * errno). */
enum result result_of_errno(int error);

/* Why a client was refused, closed at once without a greeting: what is counted as
 * greetd_refused_total{reason} and logged as GREETD_REASON= by the same name. */

enum refusal {
    REFUSAL_NETWORK,     /* Allow=, Deny= */
    REFUSAL_CONNECTIONS, /* MaxConnectionsPerSource= */
    REFUSAL_RATE,        /* RateLimitPerSourceIntervalSec=, RateLimitPerSourceBurst= */
    REFUSAL_N,           /* how many there are */
};

/* The reason's name in the log and in metrics; static text. */
const char *refusal_name(enum refusal refusal);
