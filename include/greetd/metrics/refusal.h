/* SPDX-License-Identifier: MIT */
#pragma once

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
