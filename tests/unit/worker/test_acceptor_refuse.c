/* SPDX-License-Identifier: MIT */

/* Tests of clients that a network list or a limit refuses. */

#include <criterion/criterion.h>
#include <string.h>

#include "greetd/guard/sources.h"
#include "support/acceptor_fixture.h"
#include "support/fake_logger.h"
#include "support/networks.h"

TestSuite(acceptor_refuse, .timeout = 60);

static const struct source_limits two_at_once = {.max_connections = 2, .burst = UINT64_MAX};

struct fixture {
    struct acceptor_fixture worker;
    struct networks *networks;
    struct greeting message;
};

static void open_fixture(struct fixture *fixture, size_t capacity)
{
    *fixture = (struct fixture){.message = {.bytes = (char *)"Not today", .size = 9}};
    acceptor_fixture_open(&fixture->worker, 1, capacity);
    cr_assert_eq(sources_new(&fixture->worker.shared.sources, capacity), 0);
}

static void close_fixture(struct fixture *fixture)
{
    acceptor_fixture_close(&fixture->worker);
    sources_free(fixture->worker.shared.sources);
    networks_unref(fixture->networks);
}

/* From now on clients of the loopback interface are refused. */
static void deny(struct fixture *fixture)
{
    fixture->networks = networks_of(NULL, "127.0.0.0/8");
    fixture->worker.net.configs[0].networks = fixture->networks;
}

/* From now on refused clients receive a message. */
static void give_message(struct fixture *fixture)
{
    fixture->worker.net.configs[0].refuse = &fixture->message;
    fixture->worker.clients.newest->listeners[0].refusal.text = &fixture->message;
}

static void run(struct fixture *fixture)
{
    cr_assert_eq(acceptor_fixture_run_once(&fixture->worker, ACCEPTOR_FIXTURE_START), 0);
}

static int connect_one(struct fixture *fixture)
{
    int client = snapshot_fixture_connect(&fixture->worker.net, 0);

    run(fixture);
    return client;
}

static uint64_t n_results(const struct fixture *fixture, enum result result)
{
    const struct metrics *metrics = fixture->worker.shared.metrics;

    return metrics_results(metrics, metrics_first_listener(metrics), result);
}

static uint64_t n_refusals(const struct fixture *fixture, enum refusal refusal)
{
    const struct metrics *metrics = fixture->worker.shared.metrics;

    return metrics_refusals(metrics, metrics_first_listener(metrics), refusal);
}

Test(acceptor_refuse, closes_a_client_of_a_denied_network_at_once)
{
    struct fixture fixture;

    open_fixture(&fixture, 4);
    deny(&fixture);
    int client = connect_one(&fixture);
    net_expect_text(client, "");
    cr_expect_eq(fixture.worker.clients.n, 0);
    cr_expect_eq(fake_logger.n, 1);
    cr_expect_eq(fake_logger.records[0].result, RESULT_REFUSED);
    cr_expect_eq(fake_logger.records[0].refusal, REFUSAL_NETWORK);
    cr_expect_eq(n_results(&fixture, RESULT_REFUSED), 1);
    cr_expect_eq(n_refusals(&fixture, REFUSAL_NETWORK), 1);
    struct metrics_sums sums = metrics_sum(fixture.worker.shared.metrics);
    cr_expect_eq(sums.accepted, 1);
    cr_expect_eq(sums.ended, 1);
    cr_expect_eq(sums.greeted, 0);
    close_fixture(&fixture);
}

Test(acceptor_refuse, sends_its_message_and_lingers)
{
    struct fixture fixture;

    open_fixture(&fixture, 4);
    deny(&fixture);
    give_message(&fixture);
    /* The message is not a greeting, and not sent as one. */
    fixture.worker.net.configs[0].settings.drip_usec = 10 * SNAPSHOT_FIXTURE_SECOND;
    int client = connect_one(&fixture);
    net_expect_text(client, "Not today");
    cr_expect_eq(fixture.worker.clients.n, 1);
    close(client);
    clients_close_all(&fixture.worker.clients, ACCEPTOR_FIXTURE_START);
    cr_expect_eq(fake_logger.records[0].result, RESULT_REFUSED);
    cr_expect_eq(fake_logger.records[0].bytes, 9);
    struct metrics_sums sums = metrics_sum(fixture.worker.shared.metrics);
    cr_expect_eq(sums.greeted, 0);
    cr_expect_eq(sums.greeting_usec, 0);
    close_fixture(&fixture);
}

Test(acceptor_refuse, evicts_no_client_for_one_that_is_closed_at_once)
{
    struct fixture fixture;

    open_fixture(&fixture, 1);
    int greeted = connect_one(&fixture);
    cr_assert_eq(fixture.worker.clients.n, 1);
    deny(&fixture);
    int refused = connect_one(&fixture);
    net_expect_text(refused, "");
    cr_expect_eq(fixture.worker.clients.n, 1);
    cr_expect_eq(n_refusals(&fixture, REFUSAL_NETWORK), 1);
    snapshot_fixture_read_hello(greeted);
    close_fixture(&fixture);
}

Test(acceptor_refuse, a_source_over_its_limit_until_a_client_of_it_ends)
{
    struct fixture fixture;

    open_fixture(&fixture, 8);
    fixture.worker.net.configs[0].limits = &two_at_once;
    int clients[] = {connect_one(&fixture), connect_one(&fixture), connect_one(&fixture)};
    cr_expect_eq(fixture.worker.clients.n, 2);
    cr_expect_eq(n_refusals(&fixture, REFUSAL_CONNECTIONS), 1);
    net_expect_text(clients[2], "");
    clients_close_all(&fixture.worker.clients, ACCEPTOR_FIXTURE_START);
    cr_expect_eq(sources_known(fixture.worker.shared.sources, ACCEPTOR_FIXTURE_START), 0);
    (void)connect_one(&fixture);
    cr_expect_eq(fixture.worker.clients.n, 1);
    cr_expect_eq(n_refusals(&fixture, REFUSAL_CONNECTIONS), 1);
    close_fixture(&fixture);
}

/* A client that is refused with a message is held, but not counted for its source. */
Test(acceptor_refuse, counts_only_admitted_clients)
{
    struct fixture fixture;

    open_fixture(&fixture, 8);
    fixture.worker.net.configs[0].limits = &two_at_once;
    give_message(&fixture);
    for (int i = 0; i < 4; i++)
        (void)connect_one(&fixture);
    cr_expect_eq(fixture.worker.clients.n, 4);
    cr_expect_eq(n_refusals(&fixture, REFUSAL_CONNECTIONS), 0);
    clients_close_all(&fixture.worker.clients, ACCEPTOR_FIXTURE_START);
    cr_expect_eq(n_refusals(&fixture, REFUSAL_CONNECTIONS), 2);
    cr_expect_eq(sources_known(fixture.worker.shared.sources, ACCEPTOR_FIXTURE_START), 0);
    close_fixture(&fixture);
}

/* With ProxyProtocol=yes the limits are those of the source in the header. */
Test(acceptor_refuse, the_source_in_the_header)
{
    static const char first[] = "PROXY TCP4 192.0.2.1 203.0.113.9 4000 12345\r\n";
    static const char other[] = "PROXY TCP4 192.0.2.2 203.0.113.9 4000 12345\r\n";
    static const char *const headers[] = {first, first, first, other};
    struct fixture fixture;

    open_fixture(&fixture, 8);
    fixture.worker.net.configs[0].limits = &two_at_once;
    fixture.worker.net.configs[0].settings.proxy_protocol = true;
    fixture.worker.net.configs[0].settings.data_timeout_usec = SNAPSHOT_FIXTURE_SECOND;
    for (size_t i = 0; i < ELEMENTSOF(headers); i++) {
        int client = snapshot_fixture_connect(&fixture.worker.net, 0);
        cr_assert_eq(send(client, headers[i], strlen(headers[i]), 0), (ssize_t)strlen(headers[i]));
        run(&fixture);
    }
    cr_expect_eq(fixture.worker.clients.n, 3);
    cr_expect_eq(n_refusals(&fixture, REFUSAL_CONNECTIONS), 1);
    cr_expect_eq(fake_logger.records[0].peer.in.s_addr, htonl(0xc0000201));
    cr_expect_eq(fake_logger.records[0].proxy.in.s_addr, htonl(INADDR_LOOPBACK));
    cr_expect_eq(sources_known(fixture.worker.shared.sources, ACCEPTOR_FIXTURE_START), 2);
    close_fixture(&fixture);
}
