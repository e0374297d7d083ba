/* SPDX-License-Identifier: MIT */
#include "client/output.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "greetd/base/clock.h"
#include "greetd/base/text.h"
#include "greetd/cli/terminal.h"

#define TIMEOUT_REPEAT_USEC 100000

#define PROGRESS_PERIOD_USEC  1000000
#define PROGRESS_TIMEOUT_USEC 1000
#define CLEAR_TO_END          "\033[K" /* ECMA-48, Erase in Line */

static const struct {
    const char *name, *key;
    unsigned numerator, denominator;
} quantiles[] = {
    {"p50", "p50", 50, 100},
    {"p99", "p99", 99, 100},
    {"p99.9", "p999", 999, 1000},
    {"max", "max", 1, 1},
};

void output_error(const char *format, ...)
{
    va_list list;

    terminal_print_program("greet");
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputs("\n", stderr);
}

static void print_memory(const struct diagnostics *diagnostics)
{
    if (diagnostics->n_lines < diagnostics->n_errors)
        output_error("out of memory");
}

void output_errors(const struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->n_lines; i++)
        output_error("%s", diagnostics->lines[i]);
    print_memory(diagnostics);
}

void output_config_errors(const struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->n_lines; i++)
        terminal_print_diagnostic(TERMINAL_ERROR, diagnostics->lines[i]);
    print_memory(diagnostics);
}

static void on_alarm(int signal)
{
    (void)signal;
}

/* The timer repeats because its first signal may arrive just before the call that it should
 * interrupt. */
void output_set_timeout(uint64_t timeout_usec)
{
    const struct sigaction action = {.sa_handler = on_alarm}; /* without SA_RESTART */
    struct itimerval timer = {0};

    sigaction(SIGALRM, &action, NULL);
    if (timeout_usec != USEC_INFINITY) {
        timer.it_value.tv_sec = (time_t)(timeout_usec / 1000000);
        timer.it_value.tv_usec = (suseconds_t)(timeout_usec % 1000000);
        timer.it_interval.tv_usec = TIMEOUT_REPEAT_USEC;
    }
    setitimer(ITIMER_REAL, &timer, NULL);
}

int output_write(int fd, const char *bytes, size_t size, uint64_t due_usec)
{
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);

        if (n < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        else if (n < 0 && errno != EINTR)
            return -errno;
        bytes += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
        if (size > 0 && clock_now() >= due_usec)
            return -ETIMEDOUT;
    }
    return 0;
}

bool output_flush(void)
{
    /* fflush(3) may succeed although an earlier write has failed. */
    int error = ferror(stdout) ? EIO : 0;

    if (fflush(stdout) != 0)
        error = errno;
    if (error != 0)
        output_error("Failed to write to standard output: %s", strerror(error));
    return error == 0;
}

struct progress progress_start(FILE *terminal, uint64_t total)
{
    uint64_t now = clock_now();

    return (struct progress){
        .terminal = terminal,
        .start_usec = now,
        .due_usec = terminal ? now + PROGRESS_PERIOD_USEC : USEC_INFINITY,
        .total = total,
    };
}

void progress_print(struct progress *progress, uint64_t finished, uint64_t not_ok, uint32_t open)
{
    uint64_t now;

    if (!progress->terminal)
        return;
    now = clock_now();
    if (now < progress->due_usec)
        return;
    progress->due_usec = now + PROGRESS_PERIOD_USEC;
    /* A terminal that blocks must not delay the run. */
    output_set_timeout(PROGRESS_TIMEOUT_USEC);
    fprintf(progress->terminal,
            "\r%" PRIu64 " of %" PRIu64 " connections, %" PRIu64 " not ok, %" PRIu32
            " open, %.0f per second" CLEAR_TO_END,
            finished, progress->total, not_ok, open,
            (double)finished * 1e6 / (double)(now - progress->start_usec));
    fflush(progress->terminal);
    output_set_timeout(USEC_INFINITY);
}

void progress_clear(struct progress *progress)
{
    if (!progress->terminal)
        return;
    output_set_timeout(PROGRESS_TIMEOUT_USEC);
    fputs("\r" CLEAR_TO_END, progress->terminal);
    output_set_timeout(USEC_INFINITY);
}

static double seconds(const struct load_result *result)
{
    return (double)result->duration_usec / 1e6;
}

static double per_second(const struct load_result *result)
{
    return result->duration_usec > 0 ? (double)result->finished / seconds(result) : 0;
}

static uint64_t per_connection(const struct load_summary *summary, uint64_t nsec)
{
    return summary->result->finished > 0 ? nsec / summary->result->finished : 0;
}

static void print_counts(FILE *stream, const struct load_result *result)
{
    const char *separator = ": ", *plain = terminal_style(stream, TERMINAL_PLAIN);
    uint64_t lost = load_result_count_lost(result);

    if (lost > 0)
        fprintf(stream, "%" PRIu64 " ok, %s%" PRIu64 " lost%s", result->outcomes[OUTCOME_OK],
                terminal_style(stream, TERMINAL_ERROR), lost, plain);
    else
        fprintf(stream, "%s%" PRIu64 " ok%s, 0 lost", terminal_style(stream, TERMINAL_GOOD),
                result->outcomes[OUTCOME_OK], plain);
    for (enum outcome i = OUTCOME_OK + 1; i < OUTCOME_NO_PORT; i++)
        if (result->outcomes[i] > 0) {
            fprintf(stream, "%s%" PRIu64 " %s", separator, result->outcomes[i], outcome_name(i));
            separator = ", ";
        }
    if (result->outcomes[OUTCOME_NO_PORT] > 0)
        fprintf(stream, "; %" PRIu64 " without a local port", result->outcomes[OUTCOME_NO_PORT]);
    if (result->unfinished > 0)
        fprintf(stream, "; %" PRIu64 " unfinished", result->unfinished);
    fputs("\n", stream);
}

static void print_latencies(FILE *stream, const struct histogram *usec)
{
    fputs("connect to end of stream:", stream);
    for (size_t i = 0; i < ELEMENTSOF(quantiles); i++)
        fprintf(stream, "%s %s %s%" PRIu64 " us%s", i > 0 ? "," : "", quantiles[i].name,
                terminal_style(stream, TERMINAL_STRONG),
                histogram_quantile(usec, quantiles[i].numerator, quantiles[i].denominator),
                terminal_style(stream, TERMINAL_PLAIN));
    fputs("\n", stream);
}

static void print_server(FILE *stream, const struct load_summary *summary)
{
    const char *separator = ": ";

    fprintf(stream, "processor time of process %d per connection: %" PRIu64 " ns", summary->pid,
            per_connection(summary, schedstat_sum(summary->server)));
    for (size_t i = 0; i < summary->server->n; i++, separator = ", ")
        fprintf(stream, "%s%s %" PRIu64, separator, summary->server->entries[i].name,
                per_connection(summary, summary->server->entries[i].nsec));
    fputs("\n", stream);
}

void output_text(FILE *stream, const struct load_summary *summary)
{
    const struct load_result *result = summary->result;
    char address[ADDRESS_TEXT_MAX];

    fprintf(stream, "%s: %" PRIu64 " connections in %.3f s, %.0f per second%s\n",
            address_format(summary->address, address), result->finished, seconds(result),
            per_second(result), result->interrupted ? " (interrupted)" : "");
    print_counts(stream, result);
    if (result->latency_usec.n > 0)
        print_latencies(stream, &result->latency_usec);
    if (summary->pid > 0)
        print_server(stream, summary);
}

void output_json_string(FILE *stream, const char *text)
{
    putc('"', stream);
    while (*text != '\0') {
        size_t length = text_utf8_length(text);

        if (*text == '"' || *text == '\\')
            fprintf(stream, "\\%c", *text);
        else if (length == 0)
            fputs("\\ufffd", stream);
        else if ((unsigned char)*text < ' ')
            fprintf(stream, "\\u%04x", (unsigned char)*text);
        else
            fwrite(text, 1, length, stream);
        text += length > 0 ? length : 1;
    }
    putc('"', stream);
}

static void print_server_json(FILE *stream, const struct load_summary *summary)
{
    uint64_t sum = schedstat_sum(summary->server);

    fprintf(stream,
            ",\"server\":{\"pid\":%d,\"nsec\":%" PRIu64 ",\"nsec_per_connection\":%" PRIu64
            ",\"threads\":{",
            summary->pid, sum, per_connection(summary, sum));
    for (size_t i = 0; i < summary->server->n; i++) {
        fputs(i > 0 ? "," : "", stream);
        output_json_string(stream, summary->server->entries[i].name);
        fprintf(stream, ":%" PRIu64, per_connection(summary, summary->server->entries[i].nsec));
    }
    fputs("}}", stream);
}

void output_json(FILE *stream, const struct load_summary *summary)
{
    const struct load_result *result = summary->result;
    char address[ADDRESS_TEXT_MAX];

    fputs("{\"address\":", stream);
    output_json_string(stream, address_format(summary->address, address));
    fprintf(stream,
            ",\"connections\":%" PRIu64 ",\"ok\":%" PRIu64 ",\"lost\":%" PRIu64
            ",\"unfinished\":%" PRIu64 ",\"interrupted\":%s",
            result->finished, result->outcomes[OUTCOME_OK], load_result_count_lost(result),
            result->unfinished, result->interrupted ? "true" : "false");
    for (enum outcome i = OUTCOME_OK + 1; i < OUTCOMES; i++)
        fprintf(stream, ",\"%s\":%" PRIu64, outcome_name(i), result->outcomes[i]);
    fprintf(stream, ",\"seconds\":%.6f,\"per_second\":%.1f,\"usec\":{", seconds(result),
            per_second(result));
    for (size_t i = 0; i < ELEMENTSOF(quantiles); i++)
        fprintf(stream, "%s\"%s\":%" PRIu64, i > 0 ? "," : "", quantiles[i].key,
                histogram_quantile(&result->latency_usec, quantiles[i].numerator,
                                   quantiles[i].denominator));
    fputs("}", stream);
    if (summary->pid > 0)
        print_server_json(stream, summary);
    fputs("}\n", stream);
}
