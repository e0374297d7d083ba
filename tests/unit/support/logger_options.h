/* SPDX-License-Identifier: MIT */
#pragma once

/* Options of a logger without a rate limit. */

#include "greetd/journal/logger.h"

#define LOGGER_UNLIMITED                                                                           \
    {                                                                                              \
        .interval_usec = 0, .burst = UINT64_MAX                                                    \
    }
#define LOGGER_EVERYTHING                                                                          \
    ((const struct logger_options){.level = LOG_DEBUG, .limit = LOGGER_UNLIMITED})
#define LOGGER_NO_CONNECTIONS                                                                      \
    ((const struct logger_options){.level = LOG_NOTICE, .limit = LOGGER_UNLIMITED})
