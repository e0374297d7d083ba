/* SPDX-License-Identifier: MIT */
#pragma once

/* A configuration that is in force, as control has it: its sockets, workers, log and messages, and
 * what a reload needs. Include it in one source of a program only. */

#include <fcntl.h>
#include <sys/mman.h>

#include "greetd/base/clock.h"
#include "greetd/control/reload.h"
#include "support/config_fixture.h"
#include "support/fake_systemd.h"
#include "support/logger_options.h"
#include "support/net.h"

#define LISTEN "[Server]\nListenStream=\nListenStream=127.0.0.1:0\nWorkers=2\n"

struct fixture {
    struct config_options options;
    struct config *config;
    struct sockets sockets;
    struct sink sink;
    struct metrics *metrics;
    struct logger *logger;
    struct pool *pool;
    sd_event *event;
    struct status status;
    struct handshake handshake;
    struct unit_states unit_states;
    struct messages messages;
    struct reload reload;
    unsigned n_activated;
};

static inline void write_conf(const char *text)
{
    temp_dir_write_text(&temp_dir, "greetd.conf", text);
}

static inline void on_activated(void *p)
{
    struct fixture *fixture = p;

    fixture->n_activated++;
}

static inline void open_fixture(struct fixture *fixture, const char *text)
{
    int error;

    *fixture = (struct fixture){.options.path = NULL};
    fake_systemd_open();
    fixture->config = load_text(text);
    fixture->options.path = strdup(temp_dir_write_text(&temp_dir, "greetd.conf", text));
    sink_init(&fixture->sink, memfd_create("log", MFD_CLOEXEC));
    cr_assert_eq(sockets_open(&fixture->sockets, fixture->config, 1, &diagnostics), 0);
    cr_assert_eq(metrics_new(&fixture->metrics, 2), 0);
    cr_assert_eq(
        logger_start(&fixture->logger, &fixture->sink, fixture->metrics, &LOGGER_NO_CONNECTIONS),
        0);
    cr_assert_eq(pool_start(&fixture->pool, fixture->sockets.snapshot, 100, fixture->metrics,
                            fixture->logger),
                 0);
    while (pool_state(fixture->pool, &error) < WORKER_ACCEPTING)
        net_wait(pool_changed_fd(fixture->pool), POLLIN);
    cr_assert_eq(sd_event_new(&fixture->event), 0);
    cr_assert_eq(status_start(&fixture->status, fixture->event, fixture->pool, fixture->metrics),
                 0);
    cr_assert_eq(handshake_start(&fixture->handshake, fixture->event), 0);
    cr_assert_eq(unit_states_start(&fixture->unit_states, fixture->event, fixture->logger), 0);
    fixture->messages = messages_init(fixture->event, fixture->pool, fixture->logger,
                                      fixture->metrics, &fixture->unit_states);
    fixture->reload = (struct reload){
        .options = &fixture->options,
        .started = config_server(fixture->config),
        .sockets = &fixture->sockets,
        .pool = fixture->pool,
        .logger = fixture->logger,
        .metrics = fixture->metrics,
        .status = &fixture->status,
        .handshake = &fixture->handshake,
        .messages = &fixture->messages,
        .unit_states = &fixture->unit_states,
        .activated = on_activated,
        .userdata = fixture,
    };
    while (fake_systemd_receive())
        ;
}

/* Closes everything and returns the log, valid until the next call. */
static inline const char *close_fixture(struct fixture *fixture)
{
    static char text[64 * 1024];

    messages_deinit(&fixture->messages);
    unit_states_deinit(&fixture->unit_states);
    handshake_deinit(&fixture->handshake);
    status_deinit(&fixture->status);
    sd_event_unref(fixture->event);
    cr_assert_eq(pool_end(fixture->pool, USEC_INFINITY), 0);
    cr_assert_eq(logger_stop(fixture->logger, USEC_INFINITY), 0);
    pool_free(fixture->pool);
    metrics_free(fixture->metrics);
    sockets_deinit(&fixture->sockets);
    config_unref(fixture->config);
    free((char *)fixture->options.path);
    ssize_t n = pread(fixture->sink.fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    close(fixture->sink.fd);
    return text;
}

static inline void expect_greeted(const struct fixture *fixture, const char *text)
{
    int client = net_connect(&fixture->sockets.snapshot->bindings[0].listener->address.in);

    net_expect_text(client, text);
    close(client);
}
