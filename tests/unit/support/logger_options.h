/* SPDX-License-Identifier: MIT */
#pragma once

/* What tests want in the log. */

#include "greetd/journal/logger.h"

#define CONNLOG_UNLIMITED                                                                          \
    {                                                                                              \
        .interval_usec = 0, .burst = CONNLOG_BOOKS_NO_LIMIT                                        \
    }
#define CONNLOG_EVERYTHING                                                                         \
    ((const struct connlog_options){                                                               \
        .connections = true, .level = LOG_DEBUG, .limit = CONNLOG_UNLIMITED})
#define CONNLOG_NO_CONNECTIONS                                                                     \
    ((const struct connlog_options){                                                               \
        .connections = false, .level = LOG_DEBUG, .limit = CONNLOG_UNLIMITED})
