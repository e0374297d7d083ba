/* SPDX-License-Identifier: MIT */
#include "greetd/config/setting_table.h"

#include <assert.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"

#define OFFSET(member) offsetof(struct setting_values, member)

/* The limits are written once, for the parser and for the message. */
#define NUMBER(least, most)                                                                        \
    .type = &setting_type_number,                                                                  \
    .rule = {                                                                                      \
        .min = (least), .max = (most), .accepts = "must be a number from " #least " to " #most}
#define NUMBER_OR_AUTO(least, most)                                                                \
    .type = &setting_type_number,                                                                  \
    .rule = {.min = (least),                                                                       \
             .max = (most),                                                                        \
             .word = "auto",                                                                       \
             .accepts = "must be auto or a number from " #least " to " #most}
#define NUMBER_OR_INFINITY(least, most)                                                            \
    .type = &setting_type_number,                                                                  \
    .rule = {.min = (least),                                                                       \
             .max = (most),                                                                        \
             .word = "infinity",                                                                   \
             .word_value = USEC_INFINITY,                                                          \
             .accepts = "must be infinity or a number from " #least " to " #most}
#define BOOLEAN .type = &setting_type_boolean, .rule = {.accepts = "must be yes or no"}
/* LIST is an array of words that ends with NULL, ALL the same words for the message: `a, b or c`.
 */
#define WORD(list, all)                                                                            \
    .type = &setting_type_word, .rule = {.words = (list), .accepts = "must be one of " all}
#define TIME_FROM(least, words)                                                                    \
    .type = &setting_type_time,                                                                    \
    .rule = {.min = (least),                                                                       \
             .max = USEC_INFINITY,                                                                 \
             .accepts = "must be a time" words " such as 5 (seconds), 500ms, "                     \
                        "1min 30s or infinity"}
#define TIME_TO_YEAR                                                                               \
    .type = &setting_type_time,                                                                    \
    .rule = {.max = 31557600 * USEC_PER_SEC,                                                       \
             .accepts = "must be a time up to 1y, such as 5 (seconds), 500ms or 1min 30s"}
#define TIME_FINITE                                                                                \
    .type = &setting_type_time,                                                                    \
    .rule = {.max = USEC_INFINITY - 1,                                                             \
             .accepts = "must be a time such as 5 (seconds), 500ms or 1min 30s"}
#define TIME         TIME_FROM(0, "")
#define TIME_ABOVE_0 TIME_FROM(1, " above 0")

/* As systemd writes them; each one's index is its number in syslog(3). */
static const char *const levels[] = {"emerg",  "alert", "crit",  "err", "warning",
                                     "notice", "info",  "debug", NULL};

/* In the order of enum setting_greet_on. */
static const char *const greet_on[] = {"connect", "data", NULL};

/* In the order of enum setting_pick. */
static const char *const picks[] = {"whole", "random", "daily", NULL};

/* In the order in which they are printed. */
const struct setting setting_table[] = {
    {.name = "ListenStream",
     .sections = SECTION_SERVER,
     .offset = OFFSET(listen),
     .default_text = "127.0.0.1:12345",
     .type = &setting_type_addresses,
     .option = "--listen"},
    {.name = "ListenStream",
     .sections = SECTION_LISTENER,
     .offset = OFFSET(listen),
     .default_text = "",
     .type = &setting_type_addresses},
    {.name = "Backlog",
     .sections = SECTION_SERVER,
     .offset = OFFSET(server.backlog),
     .default_text = "4096",
     NUMBER(1, 2147483647)},
    {.name = "Workers",
     .sections = SECTION_SERVER,
     .offset = OFFSET(server.workers),
     .default_text = "auto",
     NUMBER_OR_AUTO(1, 1024)},
    {.name = "MaxConnections",
     .sections = SECTION_SERVER,
     .offset = OFFSET(server.max_connections),
     .default_text = "16384",
     NUMBER(1, 1048576)},
    {.name = "IdleExitSec",
     .sections = SECTION_SERVER,
     .offset = OFFSET(server.idle_exit_usec),
     .default_text = "infinity",
     TIME},
    {.name = "StopTimeoutSec",
     .sections = SECTION_SERVER,
     .offset = OFFSET(server.stop_timeout_usec),
     .default_text = "5s",
     TIME},
    {.name = "StopDelaySec",
     .sections = SECTION_SERVER,
     .offset = OFFSET(server.stop_delay_usec),
     .default_text = "0",
     TIME},
    {.name = "FastOpen",
     .sections = SECTION_SERVER,
     .offset = OFFSET(server.fast_open),
     .default_text = "no",
     BOOLEAN},
    {.name = "ReusePort",
     .sections = SECTION_SERVER,
     .offset = OFFSET(server.reuse_port),
     .default_text = "no",
     BOOLEAN},
    {.name = "MaxConnectionsPerSource",
     .sections = SECTION_LIMITS,
     .offset = OFFSET(limits.per_source.max_connections),
     .default_text = "infinity",
     NUMBER_OR_INFINITY(1, 1048576)},
    {.name = "RateLimitPerSourceIntervalSec",
     .sections = SECTION_LIMITS,
     .offset = OFFSET(limits.per_source.interval_usec),
     .default_text = "1s",
     TIME_TO_YEAR},
    {.name = "RateLimitPerSourceBurst",
     .sections = SECTION_LIMITS,
     .offset = OFFSET(limits.per_source.burst),
     .default_text = "infinity",
     NUMBER_OR_INFINITY(1, 4294967295)},
    {.name = "Allow",
     .sections = SECTION_LIMITS | SECTION_LISTENER,
     .offset = OFFSET(limits.allow),
     .default_text = "",
     .type = &setting_type_networks},
    {.name = "Deny",
     .sections = SECTION_LIMITS | SECTION_LISTENER,
     .offset = OFFSET(limits.deny),
     .default_text = "",
     .type = &setting_type_networks},
    {.name = "Connections",
     .sections = SECTION_LOG,
     .offset = OFFSET(log.connections),
     .default_text = "yes",
     BOOLEAN},
    {.name = "LogSilentConnections",
     .sections = SECTION_LOG,
     .offset = OFFSET(log.silent_connections),
     .default_text = "yes",
     BOOLEAN},
    {.name = "RateLimitIntervalSec",
     .sections = SECTION_LOG,
     .offset = OFFSET(log.rate_limit_interval_usec),
     .default_text = "30s",
     TIME},
    {.name = "RateLimitBurst",
     .sections = SECTION_LOG,
     .offset = OFFSET(log.rate_limit_burst),
     .default_text = "5000",
     NUMBER_OR_INFINITY(0, 4294967295)},
    {.name = "Level",
     .sections = SECTION_LOG,
     .offset = OFFSET(log.level),
     .default_text = "info",
     WORD(levels, "emerg, alert, crit, err, warning, notice, info or debug")},
    {.name = "Message",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.message),
     .default_text = "Hello from server!",
     .type = &setting_type_message,
     .option = "--message"},
    {.name = "MessageFile",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.message_file),
     .default_text = "",
     .of_file = true,
     .type = &setting_type_path,
     .rule = {.accepts = "must be an absolute path"}},
    {.name = "Expand",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.expand),
     .default_text = "yes", /* for Message=; see complete_expand() */
     BOOLEAN},
    {.name = "Pick",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.pick),
     .default_text = "whole",
     .of_file = true,
     WORD(picks, "whole, random or daily")},
    {.name = "Watch",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.watch),
     .default_text = "no",
     .of_file = true,
     BOOLEAN},
    {.name = "MaxAgeSec",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.max_age_usec),
     .default_text = "infinity",
     .of_file = true,
     TIME_ABOVE_0},
    {.name = "StaleMessage",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.stale_message),
     .default_text = "",
     .of_file = true,
     .type = &setting_type_optional_message},
    {.name = "StopMessage",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.stop_message),
     .default_text = "",
     .type = &setting_type_optional_message},
    {.name = "ProxyProtocol",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.proxy_protocol),
     .default_text = "no",
     BOOLEAN},
    {.name = "ProxyTrustedSources",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.proxy_trusted_sources),
     .default_text = "",
     .type = &setting_type_networks},
    {.name = "RefuseMessage",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.refuse_message),
     .default_text = "",
     .type = &setting_type_optional_message},
    {.name = "GreetOn",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.greet_on),
     .default_text = "connect",
     WORD(greet_on, "connect or data")},
    {.name = "DataTimeoutSec",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.data_timeout_usec),
     .default_text = "5s",
     TIME_ABOVE_0},
    {.name = "DripSec",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.drip_usec),
     .default_text = "0",
     TIME_FINITE},
    {.name = "DripRepeat",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.drip_repeat),
     .default_text = "no",
     BOOLEAN},
    {.name = "LingerSec",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.linger_usec),
     .default_text = "2s",
     TIME},
    {.name = "WriteTimeoutSec",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.write_timeout_usec),
     .default_text = "30s",
     TIME_ABOVE_0},
    {.name = "LogConnections",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.log_connections),
     .default_text = "yes", /* with Connections=yes; see complete_log_connections() */
     BOOLEAN},
    {0},
};
static_assert(ELEMENTSOF(setting_table) - 1 <= SETTING_N_MAX, "SETTING_N_MAX is too small");

const struct setting *setting_find(const char *name, unsigned sections)
{
    for (const struct setting *setting = setting_table; setting->name; setting++)
        if ((setting->sections & sections) != 0 && strcmp(setting->name, name) == 0)
            return setting;
    return NULL;
}

const char *setting_label(const struct setting *setting, const char *origin)
{
    bool is_option = setting->option && strcmp(origin, SETTING_ORIGIN_COMMAND_LINE) == 0;

    return is_option ? setting->option : setting->name;
}
