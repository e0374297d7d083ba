/* SPDX-License-Identifier: MIT */
#include "greet/output.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "greet/json.h"
#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"

#define LIMIT_AGAIN_USEC 100000

static const struct {
    const char *name, *key;
    unsigned numerator, denominator;
} quantiles[] = {
    {"p50", "p50", 50, 100},
    {"p99", "p99", 99, 100},
    {"p99.9", "p999", 999, 1000},
    {"max", "max", 1, 1},
};

static void on_alarm(int signal)
{
    (void)signal;
}

/* The signal comes again and again: the first one may come just before the wait that it should
 * interrupt. */
void output_limit(uint64_t after_usec)
{
    const struct sigaction action = {.sa_handler = on_alarm}; /* without SA_RESTART */
    struct itimerval timer = {0};

    sigaction(SIGALRM, &action, NULL);
    if (after_usec != USEC_INFINITY) {
        timer.it_value.tv_sec = (time_t)(after_usec / 1000000);
        timer.it_value.tv_usec = (suseconds_t)(after_usec % 1000000);
        timer.it_interval.tv_usec = LIMIT_AGAIN_USEC;
    }
    setitimer(ITIMER_REAL, &timer, NULL);
}

int output_bytes(int fd, const char *bytes, size_t size, uint64_t due_usec)
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

uint64_t output_count_lost(const struct generator_result *result)
{
    return result->finished - result->outcomes[OUTCOME_OK] - result->outcomes[OUTCOME_NO_PORT];
}

static double seconds(const struct generator_result *result)
{
    return (double)result->spent_usec / 1e6;
}

static double per_second(const struct generator_result *result)
{
    return result->spent_usec > 0 ? (double)result->finished / seconds(result) : 0;
}

static uint64_t per_connection(const struct output_load *load, uint64_t nsec)
{
    return load->result->finished > 0 ? nsec / load->result->finished : 0;
}

static void print_counts(FILE *stream, const struct generator_result *result)
{
    const char *separator = ": ";

    fprintf(stream, "%" PRIu64 " ok, %" PRIu64 " lost", result->outcomes[OUTCOME_OK],
            output_count_lost(result));
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
        fprintf(stream, "%s %s %" PRIu64 " us", i > 0 ? "," : "", quantiles[i].name,
                histogram_quantile(usec, quantiles[i].numerator, quantiles[i].denominator));
    fputs("\n", stream);
}

static void print_server(FILE *stream, const struct output_load *load)
{
    const char *separator = ": ";

    fprintf(stream, "processor time of process %d per connection: %" PRIu64 " ns", load->pid,
            per_connection(load, schedstat_sum(load->server)));
    for (size_t i = 0; i < load->server->n; i++, separator = ", ")
        fprintf(stream, "%s%s %" PRIu64, separator, load->server->entries[i].name,
                per_connection(load, load->server->entries[i].nsec));
    fputs("\n", stream);
}

void output_text(FILE *stream, const struct output_load *load)
{
    const struct generator_result *result = load->result;
    char address[ADDRESS_TEXT_MAX];

    fprintf(stream, "%s: %" PRIu64 " connections in %.3f s, %.0f per second%s\n",
            address_format(&load->options->address, address), result->finished, seconds(result),
            per_second(result), result->interrupted ? " (interrupted)" : "");
    print_counts(stream, result);
    if (result->usec.n > 0)
        print_latencies(stream, &result->usec);
    if (load->pid > 0)
        print_server(stream, load);
}

static void print_server_json(FILE *stream, const struct output_load *load)
{
    uint64_t sum = schedstat_sum(load->server);

    fprintf(stream,
            ",\"server\":{\"pid\":%d,\"nsec\":%" PRIu64 ",\"nsec_per_connection\":%" PRIu64
            ",\"threads\":{",
            load->pid, sum, per_connection(load, sum));
    for (size_t i = 0; i < load->server->n; i++) {
        fputs(i > 0 ? "," : "", stream);
        json_string(stream, load->server->entries[i].name);
        fprintf(stream, ":%" PRIu64, per_connection(load, load->server->entries[i].nsec));
    }
    fputs("}}", stream);
}

void output_json(FILE *stream, const struct output_load *load)
{
    const struct generator_result *result = load->result;
    char address[ADDRESS_TEXT_MAX];

    fputs("{\"address\":", stream);
    json_string(stream, address_format(&load->options->address, address));
    fprintf(stream,
            ",\"connections\":%" PRIu64 ",\"ok\":%" PRIu64 ",\"lost\":%" PRIu64
            ",\"unfinished\":%" PRIu64 ",\"interrupted\":%s",
            result->finished, result->outcomes[OUTCOME_OK], output_count_lost(result),
            result->unfinished, result->interrupted ? "true" : "false");
    for (enum outcome i = OUTCOME_OK + 1; i < OUTCOMES; i++)
        fprintf(stream, ",\"%s\":%" PRIu64, outcome_name(i), result->outcomes[i]);
    fprintf(stream, ",\"seconds\":%.6f,\"per_second\":%.1f,\"usec\":{", seconds(result),
            per_second(result));
    for (size_t i = 0; i < ELEMENTSOF(quantiles); i++)
        fprintf(
            stream, "%s\"%s\":%" PRIu64, i > 0 ? "," : "", quantiles[i].key,
            histogram_quantile(&result->usec, quantiles[i].numerator, quantiles[i].denominator));
    fputs("}", stream);
    if (load->pid > 0)
        print_server_json(stream, load);
    fputs("}\n", stream);
}

int output_flush(FILE *stream)
{
    int failed = ferror(stream);

    if (fflush(stream) != 0)
        return errno > 0 ? -errno : -EIO;
    return failed ? -EIO : 0;
}
