/* SPDX-License-Identifier: MIT */
#include "greetd/control/handshake.h"

#include <criterion/criterion.h>
#include <linux/filter.h>
#include <sys/resource.h>

#include "support/net.h"

TestSuite(handshake, .timeout = 60);

static struct endpoints *listen_at(const char *text)
{
    struct address address;
    struct listener *listener;
    struct endpoints *endpoints;
    const char *why;

    cr_assert_eq(address_parse(&address, text, &why), 0);
    cr_assert_eq(listener_open(&listener, &address, 16), 0);
    cr_assert_eq(endpoints_new(&endpoints, NULL, 1), 0);
    endpoints_add(endpoints, listener, NULL);
    listener_unref(listener);
    return endpoints;
}

static struct listener *listener_of(const struct endpoints *endpoints)
{
    return endpoints->at[0].listener;
}

/* A client that does not hear the answer to its SYN. */
static int begin_handshake(const struct endpoints *endpoints)
{
    const struct address *address = &listener_of(endpoints)->address;
    struct sock_filter drop_all = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &drop_all};
    int fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
    cr_assert_eq(connect(fd, &address->sa, address->length), -1);
    cr_assert_eq(errno, EINPROGRESS);
    return fd;
}

/* The client hears the answer when it is repeated. */
static void go_on_with_handshake(int fd)
{
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)), 0);
}

static void expect_pending_until_answered(const char *text)
{
    _cleanup_(endpoints_unrefp) struct endpoints *endpoints = listen_at(text);

    cr_expect_not(handshake_pending(endpoints, NULL));
    int client = begin_handshake(endpoints);
    cr_expect(handshake_pending(endpoints, NULL));
    go_on_with_handshake(client);
    NET_WAIT_UNTIL(!handshake_pending(endpoints, NULL));
    cr_expect_geq(accept(listener_of(endpoints)->fd, NULL, NULL), 0);
}

Test(handshake, is_pending_until_the_client_answers)
{
    expect_pending_until_answered("127.0.0.1:0");
    expect_pending_until_answered("[::1]:0");
}

Test(handshake, is_of_no_interest_where_the_socket_stays)
{
    _cleanup_(endpoints_unrefp) struct endpoints *endpoints = listen_at("127.0.0.1:0");
    _cleanup_(endpoints_unrefp) struct endpoints *others = listen_at("127.0.0.1:0");

    (void)begin_handshake(endpoints);
    cr_expect_not(handshake_pending(others, NULL));
    cr_expect(handshake_pending(endpoints, others));
    cr_expect_not(handshake_pending(endpoints, endpoints));
    listener_of(endpoints)->handed_on = true;
    cr_expect_not(handshake_pending(endpoints, NULL));
}

Test(handshake, is_taken_to_be_pending_if_that_can_not_be_found_out)
{
    _cleanup_(endpoints_unrefp) struct endpoints *tcp = listen_at("127.0.0.1:0");
    _cleanup_(endpoints_unrefp) struct endpoints *local = listen_at("@greetd-test-handshake");
    struct rlimit limit;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_max = limit.rlim_max}), 0);
    bool tcp_pending = handshake_pending(tcp, NULL), local_pending = handshake_pending(local, NULL);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_expect(tcp_pending);
    cr_expect_not(local_pending);
}

struct scene {
    sd_event *event;
    struct handshake handshake;
    struct endpoints *endpoints;
    bool over;
};

static void on_over(void *p)
{
    struct scene *scene = p;

    scene->over = true;
}

static void set_up(struct scene *scene)
{
    *scene = (struct scene){.endpoints = listen_at("127.0.0.1:0")};
    cr_assert_eq(sd_event_new(&scene->event), 0);
    cr_assert_geq(handshake_start(&scene->handshake, scene->event), 0);
}

static void await(struct scene *scene)
{
    handshake_await(&scene->handshake, scene->endpoints, NULL, on_over, scene);
}

static void run_until_over(struct scene *scene)
{
    while (!scene->over)
        cr_assert_gt(sd_event_run(scene->event, UINT64_MAX), 0);
}

static void tear_down(struct scene *scene)
{
    handshake_deinit(&scene->handshake);
    sd_event_unref(scene->event);
    endpoints_unref(scene->endpoints);
}

Test(handshake, is_not_awaited_if_there_is_none)
{
    struct scene scene;

    set_up(&scene);
    await(&scene);
    cr_assert(scene.over);
    tear_down(&scene);
}

Test(handshake, is_awaited)
{
    struct scene scene;

    set_up(&scene);
    int client = begin_handshake(scene.endpoints);
    await(&scene);
    cr_assert_not(scene.over);
    go_on_with_handshake(client);
    run_until_over(&scene);
    tear_down(&scene);
}

Test(handshake, is_not_awaited_for_ever)
{
    struct scene scene;

    set_up(&scene);
    (void)begin_handshake(scene.endpoints);
    await(&scene);
    cr_assert_not(scene.over);
    run_until_over(&scene);
    cr_assert(handshake_pending(scene.endpoints, NULL));
    tear_down(&scene);
}
