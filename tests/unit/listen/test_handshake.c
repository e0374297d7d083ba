/* SPDX-License-Identifier: MIT */
#include "greetd/listen/handshake.h"

#include <criterion/criterion.h>
#include <linux/filter.h>

#include "support/descriptors.h"
#include "support/net.h"

TestSuite(handshake, .timeout = 60);

static struct snapshot *listen_at(const char *text)
{
    const struct address address = net_address(text);
    struct listener *listener;
    struct snapshot *snapshot;

    cr_assert_eq(listener_open(&listener, &address, 16), 0);
    cr_assert_eq(listener_renew(listener, 16), 0);
    cr_assert_eq(snapshot_new(&snapshot, NULL, 1), 0);
    snapshot_add(snapshot, listener, NULL);
    listener_unref(listener);
    return snapshot;
}

static struct listener *listener_of(const struct snapshot *snapshot)
{
    return snapshot->bindings[0].listener;
}

/* Returns a client that drops the answer to its SYN. */
static int start_handshake(const struct snapshot *snapshot)
{
    const struct address *address = &listener_of(snapshot)->address;
    struct sock_filter drop_all = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &drop_all};
    int fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
    cr_assert_eq(connect(fd, &address->sa, address->length), -1);
    cr_assert_eq(errno, EINPROGRESS);
    return fd;
}

/* Has the client accept the answer when the kernel repeats it. */
static void finish_handshake(int fd)
{
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)), 0);
}

static void expect_pending_until_answered(const char *text)
{
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = listen_at(text);

    cr_expect_not(handshake_pending(snapshot, NULL));
    int client = start_handshake(snapshot);
    cr_expect(handshake_pending(snapshot, NULL));
    finish_handshake(client);
    NET_WAIT_UNTIL(!handshake_pending(snapshot, NULL));
    cr_expect_geq(accept(listener_of(snapshot)->fd, NULL, NULL), 0);
}

Test(handshake, is_pending_until_the_client_answers)
{
    expect_pending_until_answered("127.0.0.1:0");
    expect_pending_until_answered("[::1]:0");
}

Test(handshake, is_ignored_on_a_socket_that_stays_open)
{
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = listen_at("127.0.0.1:0");
    _cleanup_(snapshot_unrefp) struct snapshot *others = listen_at("127.0.0.1:0");

    (void)start_handshake(snapshot);
    cr_expect_not(handshake_pending(others, NULL));
    cr_expect(handshake_pending(snapshot, others));
    cr_expect_not(handshake_pending(snapshot, snapshot));
    listener_of(snapshot)->handed_on = true;
    cr_expect_not(handshake_pending(snapshot, NULL));
}

Test(handshake, counts_as_pending_if_the_query_fails)
{
    _cleanup_(snapshot_unrefp) struct snapshot *tcp = listen_at("127.0.0.1:0");
    _cleanup_(snapshot_unrefp) struct snapshot *local = listen_at("@greetd-test-handshake");
    struct rlimit limit = descriptors_deny();
    bool tcp_pending = handshake_pending(tcp, NULL), local_pending = handshake_pending(local, NULL);

    descriptors_allow(limit);
    cr_expect(tcp_pending);
    cr_expect_not(local_pending);
}

struct fixture {
    sd_event *event;
    struct handshake handshake;
    struct snapshot *snapshot;
    bool over;
};

static void on_over(void *p)
{
    struct fixture *fixture = p;

    fixture->over = true;
}

static void open_fixture(struct fixture *fixture)
{
    *fixture = (struct fixture){.snapshot = listen_at("127.0.0.1:0")};
    cr_assert_eq(sd_event_new(&fixture->event), 0);
    cr_assert_geq(handshake_start(&fixture->handshake, fixture->event), 0);
}

static void await(struct fixture *fixture)
{
    handshake_await(&fixture->handshake, fixture->snapshot, NULL, on_over, fixture);
}

static void run_until_over(struct fixture *fixture)
{
    while (!fixture->over)
        cr_assert_gt(sd_event_run(fixture->event, UINT64_MAX), 0);
}

static void close_fixture(struct fixture *fixture)
{
    handshake_deinit(&fixture->handshake);
    sd_event_unref(fixture->event);
    snapshot_unref(fixture->snapshot);
}

Test(handshake, is_not_awaited_if_none_is_pending)
{
    struct fixture fixture;

    open_fixture(&fixture);
    await(&fixture);
    cr_assert(fixture.over);
    close_fixture(&fixture);
}

Test(handshake, is_awaited)
{
    struct fixture fixture;

    open_fixture(&fixture);
    int client = start_handshake(fixture.snapshot);
    await(&fixture);
    cr_assert_not(fixture.over);
    finish_handshake(client);
    run_until_over(&fixture);
    close_fixture(&fixture);
}

Test(handshake, is_awaited_for_a_limited_time)
{
    struct fixture fixture;

    open_fixture(&fixture);
    (void)start_handshake(fixture.snapshot);
    await(&fixture);
    cr_assert_not(fixture.over);
    run_until_over(&fixture);
    cr_assert(handshake_pending(fixture.snapshot, NULL));
    close_fixture(&fixture);
}
