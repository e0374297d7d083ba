/* SPDX-License-Identifier: MIT */
#include "greetd/journal/logger.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/timeout_queue.h"
#include "support/logger_fixture.h"

#define SECOND ((uint64_t)1000000)

TestSuite(connlog, .timeout = 60);

static void start(struct scene *scene, unsigned n_workers)
{
    cr_assert_eq(pipe(scene->pipe), 0);
    log_init(&scene->log, scene->pipe[1]);
    cr_assert_eq(connlog_start(&scene->connlog, &scene->log, n_workers, &CONNLOG_EVERYTHING), 0);
}

/* Ends the log and returns all it has written, to be freed. */
static char *stop(struct scene *scene)
{
    char *text = calloc(1, 4 * 1024 * 1024);
    size_t n = 0;
    ssize_t r;

    cr_assert_eq(connlog_stop(scene->connlog, DEADLINE_NEVER), 0);
    close(scene->pipe[1]);
    while ((r = read(scene->pipe[0], text + n, 64 * 1024)) > 0)
        n += (size_t)r;
    return text;
}

/* Reads from the pipe until it has had TEXT. */
static void await(struct scene *scene, const char *text)
{
    char bytes[4096] = "";
    size_t n = 0;

    while (!strstr(bytes, text)) {
        struct pollfd pollfd = {.fd = scene->pipe[0], .events = POLLIN};
        cr_assert_eq(poll(&pollfd, 1, 20000), 1, "never written: %s", text);
        ssize_t r = read(scene->pipe[0], bytes + n, sizeof(bytes) - 1 - n);
        cr_assert_gt(r, 0);
        n += (size_t)r;
    }
}

Test(connlog, writes_what_a_worker_says_in_order)
{
    struct scene scene;

    start(&scene, 2);
    for (uint16_t port = 1; port <= 1000; port++)
        log_connection(&scene, 1, port);
    char *text = stop(&scene);
    uint16_t port = 1;
    for (char *p = text; *p; p = strchr(p, '\n') + 1, port++) {
        char line[64];
        int length = snprintf(line, sizeof(line), "Connection from 127.0.0.1:%u\n", port);
        cr_assert_eq(strncmp(p, line, (size_t)length), 0);
    }
    cr_assert_eq(port, 1001);
    free(text);
}

Test(connlog, writes_without_being_stopped_and_wakes_up_again)
{
    struct scene scene;

    start(&scene, 1);
    for (uint16_t port = 1; port <= 20; port++) {
        char line[64];

        log_connection(&scene, 0, port);
        snprintf(line, sizeof(line), "Connection from 127.0.0.1:%u\n", port);
        await(&scene, line);
        connlog_message(scene.connlog, LOG_INFO, LOG_ID_FAILED, "Message %u", port);
        snprintf(line, sizeof(line), "Message %u\n", port);
        await(&scene, line);
    }
    free(stop(&scene));
}

Test(connlog, messages_come_before_connections)
{
    static struct scene scene;

    start_stuck(&scene, 2);
    log_connection(&scene, 0, 1);
    log_connection(&scene, 1, 2);
    connlog_message(scene.connlog, LOG_INFO, LOG_ID_FAILED, "Failed");
    go_on_and_stop(&scene);
    cr_assert_eq(stuck.n, 4);
    cr_assert_str_eq(stuck.messages[1], "Failed");
    cr_assert_str_eq(stuck.messages[2], "Connection from 127.0.0.1:1");
    cr_assert_str_eq(stuck.messages[3], "Connection from 127.0.0.1:2");
}

Test(connlog, tells_a_connection_with_all_its_fields)
{
    static struct scene scene;

    start_stuck(&scene, 2);
    log_connection(&scene, 1, 54321);
    go_on_and_stop(&scene);
    cr_assert(journal_has("MESSAGE=Connection from 127.0.0.1:54321"));
    cr_assert(journal_has("MESSAGE_ID=" LOG_ID_CONNECTION));
    cr_assert(journal_has("PRIORITY=6"));
    cr_assert(journal_has("GREETD_LISTENER=server"));
    cr_assert(journal_has("GREETD_REMOTE_ADDR=127.0.0.1"));
    cr_assert(journal_has("GREETD_REMOTE_PORT=54321"));
    cr_assert(journal_has("GREETD_CONNECTION=7"));
    cr_assert(journal_has("GREETD_RESULT=partial"));
    cr_assert(journal_has("GREETD_BYTES=18"));
    cr_assert(journal_has("GREETD_BYTES_ACKED=11"));
    cr_assert(journal_has("GREETD_DURATION_USEC=123"));
    cr_assert(journal_has("GREETD_WORKER=1"));
}

ParameterizedTestParameters(connlog, has_a_word_for_each_result)
{
    static enum result results[] = {
        RESULT_DELIVERED, RESULT_UNCONFIRMED, RESULT_PARTIAL,
        RESULT_RESET,     RESULT_TIMEOUT,     RESULT_ERROR,
    };
    return cr_make_param_array(enum result, results, ELEMENTSOF(results));
}

ParameterizedTest(enum result *result, connlog, has_a_word_for_each_result)
{
    static const char *const words[] = {
        [RESULT_DELIVERED] = "GREETD_RESULT=delivered",
        [RESULT_UNCONFIRMED] = "GREETD_RESULT=unconfirmed",
        [RESULT_PARTIAL] = "GREETD_RESULT=partial",
        [RESULT_RESET] = "GREETD_RESULT=reset",
        [RESULT_TIMEOUT] = "GREETD_RESULT=timeout",
        [RESULT_ERROR] = "GREETD_RESULT=error",
    };
    static struct scene scene;
    struct connlog_connection connection = {.listener = "server", .result = *result};

    start_stuck(&scene, 1);
    connlog_connection(scene.connlog, 0, &connection);
    go_on_and_stop(&scene);
    cr_assert(journal_has(words[*result]));
}

Test(connlog, tells_why_accepting_is_paused)
{
    static struct scene scene;

    start_stuck(&scene, 2);
    connlog_exhausted(scene.connlog, 1, EMFILE);
    go_on_and_stop(&scene);
    cr_assert(journal_has("MESSAGE_ID=" LOG_ID_EXHAUSTED));
    cr_assert(journal_has("PRIORITY=4"));
    cr_assert(journal_has("GREETD_WORKER=1"));
    cr_assert(strstr(journal.last, strerrordesc_np(EMFILE)));
}

Test(connlog, stop_gives_up_on_a_log_that_stands_still)
{
    static struct scene scene;
    static char bytes[1024 * 1024];

    start(&scene, 1);
    fcntl(scene.pipe[1], F_SETFL, O_NONBLOCK);
    while (write(scene.pipe[1], bytes, sizeof(bytes)) > 0)
        ;
    fcntl(scene.pipe[1], F_SETFL, 0);
    for (uint16_t port = 1; port <= 1000; port++)
        log_connection(&scene, 0, port);
    uint64_t deadline = deadline_now() + SECOND / 10;
    cr_assert_eq(connlog_stop(scene.connlog, deadline), -ETIMEDOUT);
    cr_assert_geq(deadline_now(), deadline);
}

Test(connlog, stop_with_nothing_to_say_ends_at_once)
{
    struct scene scene;

    start(&scene, 3);
    char *text = stop(&scene);
    cr_assert_str_eq(text, "");
    free(text);
}
