/* SPDX-License-Identifier: MIT */
#include "greetd/metrics/prometheus.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/metrics/result.h"
#include "greetd/net/accept_error.h"

struct text {
    char *buffer;
    size_t size, length; /* of the whole text, which may exceed size */
};

static _printf_(2, 3) void add(struct text *text, const char *format, ...)
{
    size_t room = text->length < text->size ? text->size - text->length : 0;
    va_list arguments;

    va_start(arguments, format);
    int n = vsnprintf(room > 0 ? text->buffer + text->length : NULL, room, format, arguments);
    va_end(arguments);
    text->length += (size_t)n;
}

/* The two comment lines before each metric. */
static void add_head(struct text *text, const char *name, const char *type, const char *help)
{
    add(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_number(struct text *text, const char *name, const char *type, const char *help,
                       uint64_t value)
{
    add_head(text, name, type, help);
    add(text, "%s %" PRIu64 "\n", name, value);
}

/* Seconds, exact and without a decimal point that depends on the locale. */
static void add_seconds(struct text *text, uint64_t usec)
{
    add(text, "%" PRIu64 ".%06" PRIu64, usec / 1000000, usec % 1000000);
}

/* The format escapes backslash, quote and line feed. */
static void add_label_value(struct text *text, const char *value)
{
    for (;;) {
        size_t plain = strcspn(value, "\\\"\n");

        add(text, "%.*s", (int)plain, value);
        value += plain;
        if (*value == '\0')
            return;
        add(text, "\\%c", *value == '\n' ? 'n' : *value);
        value++;
    }
}

static void add_listener_number(struct text *text, const char *name,
                                const struct metrics_listener *listener, const char *label,
                                const char *label_value, uint64_t value)
{
    add(text, "%s{listener=\"", name);
    add_label_value(text, listener->name);
    add(text, "\",%s=\"%s\"} %" PRIu64 "\n", label, label_value, value);
}

static const char *outcome_name(size_t outcome)
{
    return outcome == METRICS_SUCCESS ? "success" : "failure";
}

static void add_connections(struct text *text, const struct metrics *metrics)
{
    static const char name[] = "greetd_connections_total";

    add_head(text, name, "counter", "Connections that have ended, by listener and result.");
    for (const struct metrics_listener *l = metrics_first_listener(metrics); l; l = l->next)
        for (int i = 0; i < RESULT_N; i++)
            add_listener_number(text, name, l, "result", result_name((enum result)i),
                                metrics_results(metrics, l, (enum result)i));
}

static void add_refused(struct text *text, const struct metrics *metrics)
{
    static const char name[] = "greetd_refused_total";

    add_head(text, name, "counter", "Clients that were refused, by listener and reason.");
    for (const struct metrics_listener *l = metrics_first_listener(metrics); l; l = l->next)
        for (int i = REFUSAL_NONE + 1; i < REFUSAL_N; i++)
            add_listener_number(text, name, l, "reason", refusal_name((enum refusal)i),
                                metrics_refusals(metrics, l, (enum refusal)i));
}

static void add_accept_errors(struct text *text, const struct metrics *metrics)
{
    static const char name[] = "greetd_accept_errors_total";

    add_head(text, name, "counter", "Failures of accept4(2), by the name of the errno.");
    for (size_t i = 0; i < ACCEPT_ERRORS_N; i++)
        add(text, "%s{errno=\"%s\"} %" PRIu64 "\n", name, strerrorname_np(accept_error_at(i)),
            metrics_accept_errors(metrics, i));
}

static void add_reloads(struct text *text, const struct metrics *metrics)
{
    static const char name[] = "greetd_reloads_total";

    add_head(text, name, "counter", "Reloads of the configuration, by result.");
    for (size_t i = 0; i < METRICS_OUTCOMES; i++)
        add(text, "%s{result=\"%s\"} %" PRIu64 "\n", name, outcome_name(i),
            atomic_load_explicit(&metrics->reloads[i], memory_order_acquire));
}

static void add_file_loads(struct text *text, const struct metrics *metrics)
{
    static const char name[] = "greetd_message_file_loads_total";

    add_head(text, name, "counter", "Loads of the files of Watch=yes, by listener and result.");
    for (const struct metrics_listener *l = metrics_first_listener(metrics); l; l = l->next)
        for (size_t i = 0; i < METRICS_OUTCOMES && metrics_has_loads(l); i++)
            add_listener_number(text, name, l, "result", outcome_name(i),
                                atomic_load_explicit(&l->file_loads[i], memory_order_acquire));
}

static void add_file_ages(struct text *text, const struct metrics *metrics)
{
    static const char name[] = "greetd_message_file_age_seconds";

    add_head(text, name, "gauge", "Time since the file of Watch=yes was modified, by listener.");
    for (const struct metrics_listener *l = metrics_first_listener(metrics); l; l = l->next) {
        uint64_t age_usec = metrics_file_age_usec(l);
        if (age_usec == USEC_INFINITY)
            continue;
        add(text, "%s{listener=\"", name);
        add_label_value(text, l->name);
        add(text, "\"} ");
        add_seconds(text, age_usec);
        add(text, "\n");
    }
}

/* Each bucket is read once, so that the last sum is the count while others go on counting. SUM_USEC
 * was read before. */
static void add_times(struct text *text, const struct metrics *metrics, uint64_t sum_usec)
{
    static const char name[] = "greetd_greeting_seconds";
    uint64_t n = 0;

    add_head(
        text, name, "histogram",
        "Time from accept, or from the bytes that a client must send, to the end of stream sent.");
    for (size_t i = 0; i + 1 < METRICS_TIMES; i++) {
        n += metrics_times(metrics, i);
        add(text, "%s_bucket{le=\"", name);
        add_seconds(text, metrics_time_bound_usec(i));
        add(text, "\"} %" PRIu64 "\n", n);
    }
    n += metrics_times(metrics, METRICS_TIMES - 1);
    add(text, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum ", name, n, name);
    add_seconds(text, sum_usec);
    add(text, "\n%s_count %" PRIu64 "\n", name, n);
}

static void add_sources(struct text *text, const struct metrics_sources *sources)
{
    add_number(text, "greetd_sources", "gauge", "Sources in the table of the limits per source.",
               atomic_load_explicit(&sources->known, memory_order_relaxed));
    add_number(text, "greetd_sources_max", "gauge", "Sources that the table has room for.",
               atomic_load_explicit(&sources->capacity, memory_order_relaxed));
    add_number(text, "greetd_sources_forgotten_total", "counter",
               "Sources whose rate was forgotten to make room for others.",
               atomic_load_explicit(&sources->forgotten, memory_order_relaxed));
    add_number(text, "greetd_sources_untracked_total", "counter",
               "Clients admitted without a limit, since the table had no room for their source.",
               atomic_load_explicit(&sources->untracked, memory_order_relaxed));
}

static void add_process(struct text *text, const struct metrics *metrics)
{
    add_number(text, "greetd_workers", "gauge", "Threads that serve clients.", metrics->n);
    add_head(text, "greetd_start_time_seconds", "gauge",
             "When the process began to count, in seconds since 1970.");
    add(text, "greetd_start_time_seconds ");
    add_seconds(text, metrics->started_usec);
    add(text, "\n");
    add_head(text, "greetd_build_info", "gauge", "The version, as a label; always 1.");
    add(text, "greetd_build_info{version=\"%s\"} 1\n", GREETD_VERSION);
}

size_t prometheus_format(char *buffer, size_t size, const struct metrics *metrics)
{
    struct text text = {.buffer = buffer, .size = size};

    /* First the connections that have ended, then, in the sums, those accepted and greeted. */
    add_connections(&text, metrics);
    add_refused(&text, metrics);
    struct metrics_sums sums = metrics_sum(metrics);
    add_number(&text, "greetd_connections_active", "gauge", "Clients held now.",
               metrics_active(&sums));
    add_number(&text, "greetd_bytes_sent_total", "counter",
               "Bytes of greetings given to the kernel.", sums.bytes_sent);
    add_times(&text, metrics, sums.greeting_usec);
    add_accept_errors(&text, metrics);
    add_number(&text, "greetd_log_suppressed_total", "counter",
               "Connection entries left out of the log.", metrics_log_dropped(metrics));
    add_number(&text, "greetd_log_silent_total", "counter",
               "Silent connections without an entry in the log.", sums.log_silent);
    add_reloads(&text, metrics);
    add_file_loads(&text, metrics);
    add_file_ages(&text, metrics);
    add_sources(&text, &metrics->sources);
    add_process(&text, metrics);
    return text.length;
}
