/* SPDX-License-Identifier: MIT */
#include "greetd/worker/clients.h"

#include <criterion/criterion.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "greetd/base/cleanup.h"
#include "support/fake_logger.h"
#include "support/net.h"
#include "support/snapshot_fixture.h"

#define START ((uint64_t)1000000000)

TestSuite(clients, .timeout = 60);

/* What every send(2) is to fail with; 0 for the kernel's own answer. */
static int send_error;

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    if (send_error) {
        errno = send_error;
        return -1;
    }
    return syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
}

struct scene {
    struct place place;
    struct metrics metrics;
    struct clients clients;
};

static void init_clients(struct scene *scene, size_t capacity, int epoll_fd)
{
    const struct clients_worker worker = {
        .n_workers = 1, .epoll_fd = epoll_fd, .counters = scene->metrics.workers};

    cr_assert_eq(clients_init(&scene->clients, capacity,
                              place_generation(&scene->place, &scene->metrics), &worker),
                 0);
}

static void open_scene(struct scene *scene, size_t n_endpoints, size_t capacity)
{
    place_open(&scene->place, n_endpoints);
    cr_assert_eq(metrics_init(&scene->metrics, 1), 0);
    init_clients(scene, capacity, epoll_create1(EPOLL_CLOEXEC));
}

static void close_scene(struct scene *scene)
{
    clients_abandon(&scene->clients, START + 3600 * PLACE_SECOND);
    clients_deinit(&scene->clients);
    metrics_deinit(&scene->metrics);
    place_close(&scene->place);
}

/* Whether the greeting is with the client: time passes here by the number given, not by the clock.
 */
static bool is_settled(int client, int server)
{
    char bytes[1];

    return recv(client, bytes, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 && net_outstanding(server) == 0;
}

/* Has a new client admitted and returns its end. */
static int admit(struct scene *scene, size_t lane, uint64_t now_usec)
{
    struct net_pair pair = net_tcp_pair();

    clients_admit(&scene->clients, &scene->clients.newest->lanes[lane], pair.server, pair.peer,
                  now_usec);
    if (scene->clients.newest->lanes[lane].terms.greeting->size < 1024 && !send_error)
        NET_WAIT_UNTIL(is_settled(pair.client, pair.server));
    return pair.client;
}

/* Steps the clients that epoll reports within TIMEOUT. Returns how many there were. */
static int step_reported(struct scene *scene, uint64_t now_usec, int timeout_msec)
{
    struct epoll_event events[16];
    int n = epoll_wait(scene->clients.epoll_fd, events, 16, timeout_msec);

    for (int i = 0; i < n; i++) {
        cr_assert_eq(source_kind(events[i].data.u64), SOURCE_CLIENT);
        clients_step(&scene->clients, source_index(events[i].data.u64), now_usec);
    }
    return n;
}

/* Steps the clients that epoll reports, at least one. */
static void step_ready(struct scene *scene, uint64_t now_usec)
{
    cr_assert_gt(step_reported(scene, now_usec, NET_BOUND_MSEC), 0);
}

static bool epoll_is_quiet(const struct scene *scene)
{
    struct epoll_event event;

    return epoll_wait(scene->clients.epoll_fd, &event, 1, 0) == 0;
}

Test(clients, looks_again_soon_before_epoll_is_told)
{
    struct scene scene;

    open_scene(&scene, 1, 4);
    cr_assert_eq(clients_next_deadline(&scene.clients), DEADLINE_NEVER);
    int client = admit(&scene, 0, START);
    cr_assert_eq(scene.clients.n, 1);
    cr_assert_eq(clients_next_deadline(&scene.clients), START + CONN_SOON_USEC);
    place_read_hello(client);
    cr_assert(epoll_is_quiet(&scene));

    clients_expire(&scene.clients, START + CONN_SOON_USEC - 1);
    cr_assert_eq(scene.clients.n, 1);
    NET_WAIT_UNTIL((clients_expire(&scene.clients, START + CONN_SOON_USEC),
                    scene.clients.n == 0 || told.n > 0));
    cr_assert_eq(told.n, 1);
    cr_assert_eq(told.stories[0].result, RESULT_DELIVERED);
    cr_assert_eq(told.stories[0].duration_usec, CONN_SOON_USEC);
    cr_assert_eq(clients_next_deadline(&scene.clients), DEADLINE_NEVER);
    close_scene(&scene);
}

Test(clients, ends_who_closes_while_lingering)
{
    struct scene scene;

    open_scene(&scene, 1, 4);
    int client = admit(&scene, 0, START);
    clients_expire(&scene.clients, START + CONN_SOON_USEC);
    cr_assert_eq(clients_next_deadline(&scene.clients), START + CONN_SOON_USEC + 2 * PLACE_SECOND);
    close(client);
    step_ready(&scene, START + PLACE_SECOND);
    cr_assert_eq(scene.clients.n, 0);
    cr_assert_eq(told.stories[0].duration_usec, PLACE_SECOND);
    close_scene(&scene);
}

Test(clients, ends_who_lingers_for_too_long)
{
    struct scene scene;

    open_scene(&scene, 1, 4);
    admit(&scene, 0, START);
    clients_expire(&scene.clients, START + CONN_SOON_USEC);
    uint64_t end = clients_next_deadline(&scene.clients);
    clients_expire(&scene.clients, end - 1);
    cr_assert_eq(scene.clients.n, 1);
    clients_expire(&scene.clients, end);
    cr_assert_eq(scene.clients.n, 0);
    close_scene(&scene);
}

/* As long as it sends, up to a bound, a client may not have looked for its greeting yet. */
Test(clients, input_prolongs_the_linger_up_to_a_bound)
{
    struct scene scene;
    uint64_t now = START + CONN_SOON_USEC;

    open_scene(&scene, 1, 4);
    int client = admit(&scene, 0, START);
    clients_expire(&scene.clients, now);
    while (scene.clients.n > 0) {
        cr_assert_lt(now, START + 100 * PLACE_SECOND);
        cr_assert_eq(clients_next_deadline(&scene.clients), now + 2 * PLACE_SECOND);
        now += PLACE_SECOND;
        net_chatter(client, 1000);
        step_ready(&scene, now);
    }
    cr_assert_geq(now, START + CONN_LINGER_MAX_USEC);
    cr_assert_lt(now, START + CONN_LINGER_MAX_USEC + 2 * PLACE_SECOND);
    cr_assert_eq(told.stories[0].result, RESULT_DELIVERED);
    close_scene(&scene);
}

Test(clients, times_out_who_takes_nothing)
{
    struct scene scene;

    open_scene(&scene, 1, 4);
    place_make_huge(&scene.place, 0);
    admit(&scene, 0, START);
    cr_assert_eq(clients_next_deadline(&scene.clients), START + 30 * PLACE_SECOND);

    /* The kernel may have moved some of it to the client's side: that is progress, once. */
    uint64_t now = START + 30 * PLACE_SECOND;
    clients_expire(&scene.clients, now);
    if (scene.clients.n > 0) {
        cr_assert_eq(clients_next_deadline(&scene.clients), now + 30 * PLACE_SECOND);
        clients_expire(&scene.clients, now + 30 * PLACE_SECOND);
    }
    cr_assert_eq(scene.clients.n, 0);
    cr_assert_eq(told.stories[0].result, RESULT_TIMEOUT);
    close_scene(&scene);
}

Test(clients, gives_who_reads_another_writing_time)
{
    struct scene scene;
    static char bytes[64 * 1024];
    uint64_t now = START;

    open_scene(&scene, 1, 4);
    place_make_huge(&scene.place, 0);
    int client = admit(&scene, 0, now);
    for (int i = 0; i < 5; i++) {
        int before = net_outstanding(scene.clients.table[0].fd);
        while (net_outstanding(scene.clients.table[0].fd) >= before)
            net_read(client, bytes, sizeof(bytes));
        now = clients_next_deadline(&scene.clients);
        clients_expire(&scene.clients, now);
        cr_assert_eq(scene.clients.n, 1);
        cr_assert_eq(clients_next_deadline(&scene.clients), now + 30 * PLACE_SECOND);
    }
    close_scene(&scene);
}

Test(clients, writes_on_when_epoll_says_so_until_all_is_sent)
{
    struct scene scene;
    char *bytes = malloc(PLACE_HUGE);

    open_scene(&scene, 1, 4);
    place_make_huge(&scene.place, 0);
    int client = admit(&scene, 0, START);
    for (size_t n = 0; n < PLACE_HUGE;) {
        net_wait(client, POLLIN);
        ssize_t r = recv(client, bytes + n, PLACE_HUGE - n, 0);
        cr_assert_gt(r, 0);
        n += (size_t)r;
        while (!epoll_is_quiet(&scene))
            step_ready(&scene, START);
    }
    cr_assert_eq(net_read_to_end(client, bytes, 1), 0);
    cr_assert_eq(clients_next_deadline(&scene.clients), START + CONN_SOON_USEC);
    free(bytes);
    close_scene(&scene);
}

Test(clients, gives_up_when_the_kernel_stays_out_of_memory)
{
    struct scene scene;
    uint64_t now = START;

    open_scene(&scene, 1, 4);
    send_error = ENOBUFS;
    admit(&scene, 0, now);
    while (scene.clients.n > 0 && now < START + 40 * PLACE_SECOND)
        clients_expire(&scene.clients, now = clients_next_deadline(&scene.clients));
    cr_assert_eq(scene.clients.n, 0);
    cr_assert_eq(told.stories[0].result, RESULT_TIMEOUT);
    close_scene(&scene);
}

Test(clients, each_lane_has_timeouts_of_its_own)
{
    struct scene scene;

    open_scene(&scene, 2, 4);
    clients_deinit(&scene.clients);
    scene.place.configs[0].settings.linger_usec = 9 * PLACE_SECOND;
    scene.place.configs[1].settings.linger_usec = DEADLINE_NEVER;
    init_clients(&scene, 4, scene.clients.epoll_fd);
    admit(&scene, 1, START);
    clients_expire(&scene.clients, START + CONN_SOON_USEC);
    cr_assert_eq(clients_next_deadline(&scene.clients), DEADLINE_NEVER);

    admit(&scene, 0, START + PLACE_SECOND);
    clients_expire(&scene.clients, START + PLACE_SECOND + CONN_SOON_USEC);
    cr_assert_eq(clients_next_deadline(&scene.clients),
                 START + PLACE_SECOND + CONN_SOON_USEC + 9 * PLACE_SECOND);
    clients_expire(&scene.clients, START + 3600 * PLACE_SECOND);
    cr_assert_eq(scene.clients.n, 1);
    cr_assert_eq(told.stories[0].number, 2);
    close_scene(&scene);
}

Test(clients, holds_as_many_as_there_is_room_for_and_uses_places_again)
{
    struct scene scene;

    open_scene(&scene, 1, 3);
    for (uint64_t round = 0; round < 10; round++) {
        uint64_t now = START + round * 100 * PLACE_SECOND;
        int held[3];

        for (size_t i = 0; i < 3; i++) {
            cr_assert(clients_have_room(&scene.clients));
            held[i] = admit(&scene, 0, now);
        }
        cr_assert_not(clients_have_room(&scene.clients));
        clients_expire(&scene.clients, now + CONN_SOON_USEC);
        for (size_t i = 0; i < 3; i++)
            close(held[(i + round) % 3]);
        while (scene.clients.n > 0)
            step_ready(&scene, now + PLACE_SECOND);
    }
    cr_assert_eq(scene.clients.touched, 3);
    cr_assert_eq(scene.clients.n_ended, 30);
    cr_assert_eq(told.n, 30);
    close_scene(&scene);
}

Test(clients, numbers_are_unique_over_all_workers)
{
    struct scene scenes[3];
    bool seen[3 * 5 + 1] = {false};

    for (unsigned worker = 0; worker < 3; worker++) {
        open_scene(&scenes[worker], 1, 8);
        scenes[worker].clients.worker = worker;
        scenes[worker].clients.n_workers = 3;
        for (int i = 0; i < 5; i++)
            admit(&scenes[worker], 0, START);
        close_scene(&scenes[worker]);
    }
    cr_assert_eq(told.n, 15);
    for (size_t i = 0; i < told.n; i++) {
        cr_assert(told.stories[i].number >= 1 && told.stories[i].number <= 15);
        cr_assert_not(seen[told.stories[i].number]);
        seen[told.stories[i].number] = true;
        cr_assert_eq(told.workers[i], (told.stories[i].number - 1) % 3);
    }
}

Test(clients, lets_go_who_was_greeted_longest_ago)
{
    struct scene scene;

    open_scene(&scene, 2, 8);
    cr_assert_not(clients_can_evict(&scene.clients, START));
    for (uint64_t i = 0; i < 4; i++) {
        admit(&scene, i % 2, START + i * 10 * CONN_SOON_USEC);
        clients_expire(&scene.clients, START + (i * 10 + 1) * CONN_SOON_USEC);
    }
    admit(&scene, 0, START + 40 * CONN_SOON_USEC); /* greeted just now */

    for (uint64_t number = 1; number <= 5; number++) {
        cr_assert(clients_can_evict(&scene.clients, START + 50 * CONN_SOON_USEC));
        cr_assert(clients_evict_oldest(&scene.clients, START + 50 * CONN_SOON_USEC));
        cr_assert_eq(told.stories[told.n - 1].number, number);
    }
    cr_assert_not(clients_evict_oldest(&scene.clients, START + 50 * CONN_SOON_USEC));
    close_scene(&scene);
}

Test(clients, lets_nobody_go_who_is_still_being_greeted)
{
    struct scene scene;

    open_scene(&scene, 1, 4);
    place_make_huge(&scene.place, 0);
    admit(&scene, 0, START);
    cr_assert_not(clients_can_evict(&scene.clients, START + 20 * PLACE_SECOND));
    cr_assert_not(clients_evict_oldest(&scene.clients, START));
    cr_assert_eq(scene.clients.n, 1);
    close_scene(&scene);
}

Test(clients, abandons_all_wherever_they_are)
{
    struct scene scene;

    open_scene(&scene, 2, 8);
    place_make_huge(&scene.place, 1);
    admit(&scene, 0, START);
    clients_expire(&scene.clients, START + CONN_SOON_USEC);
    int writing = admit(&scene, 1, START + CONN_SOON_USEC);
    admit(&scene, 0, START + CONN_SOON_USEC);
    clients_abandon(&scene.clients, START + PLACE_SECOND);
    cr_assert_eq(scene.clients.n, 0);
    cr_assert_eq(told.n, 3);
    cr_assert_eq(told.stories[0].number, 1);
    cr_assert_eq(told.stories[1].result, RESULT_PARTIAL);
    cr_assert_eq(scene.metrics.workers->accepted, 3);
    cr_assert_eq(scene.metrics.workers->ended, 3);
    cr_assert_eq(scene.metrics.workers->greeted, 2);
    cr_assert_eq(clients_next_deadline(&scene.clients), DEADLINE_NEVER);
    close(writing);
    close_scene(&scene);
}
