/* SPDX-License-Identifier: MIT */
#include "greetd/metrics/prometheus.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "greetd/base/clock.h"
#include "greetd/metrics/result.h"

TestSuite(prometheus, .timeout = 60);

#define TEXT_MAX (64 * 1024)

/* Metrics of two workers and two listeners; the name of one needs escapes. */
struct fixture {
    struct metrics *metrics;
    struct metrics_listener *server, *odd;
    char text[TEXT_MAX];
};

static void open_fixture(struct fixture *fixture)
{
    cr_assert_eq(metrics_new(&fixture->metrics, 2), 0);
    fixture->server = metrics_listener(fixture->metrics, "server");
    fixture->odd = metrics_listener(fixture->metrics, "a\\b\"c{d=e}\n,f");
    cr_assert(fixture->server && fixture->odd);
}

static const char *format(struct fixture *fixture)
{
    size_t length = prometheus_format(fixture->text, sizeof(fixture->text), fixture->metrics);

    cr_assert_lt(length, sizeof(fixture->text));
    cr_assert_eq(strlen(fixture->text), length);
    return fixture->text;
}

/* Returns the value of the sample NAME (with its labels), which must occur exactly once. */
static const char *value_of(const struct fixture *fixture, const char *name)
{
    char line[512];
    snprintf(line, sizeof(line), "\n%s ", name);
    const char *found = strstr(fixture->text, line);

    cr_assert(found, "%s is missing in:\n%s", name, fixture->text);
    cr_assert_null(strstr(found + 1, line), "%s occurs twice", name);
    return found + strlen(line);
}

static uint64_t number_of(const struct fixture *fixture, const char *name)
{
    return strtoull(value_of(fixture, name), NULL, 10);
}

#define ASSERT_NUMBER(fixture, name, number)                                                       \
    cr_assert_eq(number_of(fixture, name), (uint64_t)(number))
#define ASSERT_VALUE(fixture, name, value)                                                         \
    cr_assert(strncmp(value_of(fixture, name), value "\n", strlen(value) + 1) == 0, "%s",          \
              value_of(fixture, name))

/* Counts a little of everything. */
static void count_all(struct fixture *fixture)
{
    struct metrics_counters *a = &fixture->metrics->workers[0], *b = &fixture->metrics->workers[1];

    metrics_add(&a->accepted, 5);
    metrics_add(&a->log_dropped, 6);
    metrics_add(&fixture->metrics->log_dropped, 7);
    metrics_add(&b->accepted, 6);
    metrics_add(&b->ended, 8);
    metrics_add(&a->log_silent, 2);
    metrics_add(&b->log_silent, 9);
    metrics_add(&a->bytes_sent, 100);
    metrics_add(&b->bytes_sent, (uint64_t)1 << 40);
    metrics_add(&fixture->server->workers[0].results[RESULT_DELIVERED], 3);
    metrics_add(&fixture->server->workers[1].results[RESULT_DELIVERED], 4);
    metrics_add(&fixture->odd->workers[1].results[RESULT_REFUSED], 1);
    metrics_add(&fixture->odd->workers[1].refused[REFUSAL_NETWORK], 1);
    metrics_add_accept_error(a, EMFILE);
    metrics_add_accept_error(b, EMFILE);
    metrics_add_time(a, 15);
    metrics_add_time(b, 16);
    metrics_add_time(b, 2000000);
    metrics_add_time(b, 20000000);
    metrics_add(&fixture->metrics->reloads[METRICS_FAILURE], 2);
    fixture->metrics->started_usec = 1700000000000042;
    fixture->metrics->sources.known = 21;
    fixture->metrics->sources.capacity = 22;
    fixture->metrics->sources.forgotten = 23;
    fixture->metrics->sources.untracked = 24;
}

Test(prometheus, has_every_counter)
{
    static struct fixture fixture;

    open_fixture(&fixture);
    count_all(&fixture);
    format(&fixture);
    ASSERT_NUMBER(&fixture, "greetd_connections_total{listener=\"server\",result=\"delivered\"}",
                  7);
    ASSERT_NUMBER(&fixture, "greetd_connections_total{listener=\"server\",result=\"reset\"}", 0);
    ASSERT_NUMBER(&fixture, "greetd_refused_total{listener=\"server\",reason=\"network\"}", 0);
    ASSERT_NUMBER(&fixture, "greetd_connections_active", 3);
    ASSERT_NUMBER(&fixture, "greetd_bytes_sent_total", ((uint64_t)1 << 40) + 100);
    ASSERT_NUMBER(&fixture, "greetd_accept_errors_total{errno=\"EMFILE\"}", 2);
    ASSERT_NUMBER(&fixture, "greetd_accept_errors_total{errno=\"ECONNABORTED\"}", 0);
    ASSERT_NUMBER(&fixture, "greetd_log_suppressed_total", 13);
    ASSERT_NUMBER(&fixture, "greetd_log_silent_total", 11);
    ASSERT_NUMBER(&fixture, "greetd_reloads_total{result=\"success\"}", 0);
    ASSERT_NUMBER(&fixture, "greetd_reloads_total{result=\"failure\"}", 2);
    ASSERT_NUMBER(&fixture, "greetd_sources", 21);
    ASSERT_NUMBER(&fixture, "greetd_sources_max", 22);
    ASSERT_NUMBER(&fixture, "greetd_sources_forgotten_total", 23);
    ASSERT_NUMBER(&fixture, "greetd_sources_untracked_total", 24);
    ASSERT_NUMBER(&fixture, "greetd_workers", 2);
    ASSERT_VALUE(&fixture, "greetd_start_time_seconds", "1700000000.000042");
    ASSERT_NUMBER(&fixture, "greetd_build_info{version=\"" GREETD_VERSION "\"}", 1);
    metrics_free(fixture.metrics);
}

Test(prometheus, has_greeting_times_in_cumulative_buckets)
{
    static struct fixture fixture;

    open_fixture(&fixture);
    count_all(&fixture);
    format(&fixture);
    ASSERT_NUMBER(&fixture, "greetd_greeting_seconds_bucket{le=\"0.000016\"}", 1);
    ASSERT_NUMBER(&fixture, "greetd_greeting_seconds_bucket{le=\"0.000032\"}", 2);
    ASSERT_NUMBER(&fixture, "greetd_greeting_seconds_bucket{le=\"1.048576\"}", 2);
    ASSERT_NUMBER(&fixture, "greetd_greeting_seconds_bucket{le=\"2.097152\"}", 3);
    ASSERT_NUMBER(&fixture, "greetd_greeting_seconds_bucket{le=\"16.777216\"}", 3);
    ASSERT_NUMBER(&fixture, "greetd_greeting_seconds_bucket{le=\"+Inf\"}", 4);
    ASSERT_NUMBER(&fixture, "greetd_greeting_seconds_count", 4);
    ASSERT_VALUE(&fixture, "greetd_greeting_seconds_sum", "22.000031");
    metrics_free(fixture.metrics);
}

Test(prometheus, escapes_the_name_of_a_listener)
{
    static struct fixture fixture;

    open_fixture(&fixture);
    count_all(&fixture);
    format(&fixture);
    ASSERT_NUMBER(&fixture,
                  "greetd_refused_total{listener=\"a\\\\b\\\"c{d=e}\\n,f\",reason=\"network\"}", 1);
    metrics_free(fixture.metrics);
}

Test(prometheus, has_the_loads_and_the_age_of_watched_files)
{
    static struct fixture fixture;
    const int64_t hour_usec = INT64_C(3600000000);

    open_fixture(&fixture);
    format(&fixture);
    cr_expect_null(strstr(fixture.text, "greetd_message_file_loads_total{"));
    cr_expect_null(strstr(fixture.text, "greetd_message_file_age_seconds{"));
    metrics_add(&fixture.server->file_loads[METRICS_SUCCESS], 3);
    atomic_store(&fixture.server->file_modified_usec,
                 (int64_t)clock_now_of(CLOCK_BOOTTIME) - hour_usec);
    metrics_add(&fixture.odd->file_loads[METRICS_FAILURE], 1);
    format(&fixture);
    ASSERT_NUMBER(&fixture,
                  "greetd_message_file_loads_total{listener=\"server\",result=\"success\"}", 3);
    ASSERT_NUMBER(&fixture,
                  "greetd_message_file_loads_total{listener=\"server\",result=\"failure\"}", 0);
    uint64_t age = number_of(&fixture, "greetd_message_file_age_seconds{listener=\"server\"}");
    cr_expect(age >= 3600 && age < 3660, "%" PRIu64, age);
    cr_expect_null(strstr(fixture.text, "greetd_message_file_age_seconds{listener=\"a"),
                   "its file is not watched any more, but its loads stay counted");
    ASSERT_NUMBER(
        &fixture,
        "greetd_message_file_loads_total{listener=\"a\\\\b\\\"c{d=e}\\n,f\",result=\"failure\"}",
        1);
    metrics_free(fixture.metrics);
}

/* Like snprintf(3). */
Test(prometheus, truncates_its_text_and_returns_the_full_length)
{
    static struct fixture fixture;
    static char cut[TEXT_MAX];

    open_fixture(&fixture);
    count_all(&fixture);
    size_t length = strlen(format(&fixture));
    cr_assert_eq(prometheus_format(NULL, 0, fixture.metrics), length);
    for (size_t size = 1; size <= length + 2; size++) {
        memset(cut, 'x', size + 1);
        cr_assert_eq(prometheus_format(cut, size, fixture.metrics), length);
        size_t expected = size <= length ? size - 1 : length;
        cr_assert_eq(strlen(cut), expected);
        cr_assert_arr_eq(cut, fixture.text, expected);
        cr_assert_eq(cut[size], 'x');
    }
    metrics_free(fixture.metrics);
}

/* promtool(1) parses the text as Prometheus does, and checks names, helps and types. */
Test(prometheus, passes_promtool)
{
    static struct fixture fixture;

    open_fixture(&fixture);
    count_all(&fixture);
    FILE *promtool = popen("promtool check metrics >&2", "w");
    cr_assert(promtool);
    cr_assert_geq(fputs(format(&fixture), promtool), 0);
    int status = pclose(promtool);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "promtool: %#x for\n%s",
              (unsigned)status, fixture.text);
    metrics_free(fixture.metrics);
}

struct counting {
    struct fixture *fixture;
    size_t worker;
    atomic_bool over;
};

/* Counts clients that are accepted, greeted and closed. */
static void *count(void *p)
{
    struct counting *counting = p;
    struct metrics_counters *counters = &counting->fixture->metrics->workers[counting->worker];
    struct metrics_listener_counters *listener =
        &counting->fixture->server->workers[counting->worker];

    for (uint64_t usec = 1; !atomic_load_explicit(&counting->over, memory_order_relaxed);
         usec = usec * 5 % 1000003) {
        metrics_add(&counters->accepted, 1);
        metrics_add_time(counters, usec);
        metrics_add(&listener->results[RESULT_DELIVERED], 1);
        metrics_add(&counters->ended, 1);
    }
    return NULL;
}

/* The buckets never decrease, the last bucket is the count, and it includes every delivered client.
 */
static void assert_is_consistent(const struct fixture *fixture)
{
    const char *line = fixture->text;
    uint64_t previous = 0;

    while ((line = strstr(line, "\ngreetd_greeting_seconds_bucket{"))) {
        uint64_t n = strtoull(strstr(line, "} ") + 2, NULL, 10);
        cr_assert_geq(n, previous);
        previous = n;
        line++;
    }
    ASSERT_NUMBER(fixture, "greetd_greeting_seconds_count", previous);
    cr_assert_leq(
        number_of(fixture, "greetd_connections_total{listener=\"server\",result=\"delivered\"}"),
        previous);
}

Test(prometheus, stays_consistent_while_workers_count)
{
    static struct fixture fixture;
    struct counting countings[2];
    pthread_t threads[2];

    open_fixture(&fixture);
    for (size_t i = 0; i < 2; i++) {
        countings[i] = (struct counting){.fixture = &fixture, .worker = i};
        cr_assert_eq(pthread_create(&threads[i], NULL, count, &countings[i]), 0);
    }
    for (int i = 0; i < 5000; i++) {
        format(&fixture);
        assert_is_consistent(&fixture);
        /* A negative number would be huge. */
        cr_assert_lt(number_of(&fixture, "greetd_connections_active"), (uint64_t)1 << 60);
    }
    for (size_t i = 0; i < 2; i++) {
        atomic_store(&countings[i].over, true);
        pthread_join(threads[i], NULL);
    }
    metrics_free(fixture.metrics);
}
