/* SPDX-License-Identifier: MIT */

/* worker/pool and worker/worker: each message is handled, and the main thread learns of each change
 * without asking again. Accepting is replaced by counting.
 *
 * sources: worker/pool worker/worker base/ring base/waker metrics/metrics */

#include "greetd/worker/pool.h"

#include <stdlib.h>
#include <sys/eventfd.h>

#include "../checker/scenario.h"
#include "greetd/base/clock.h"
#include "greetd/base/waker.h"

/* What the acceptor does instead. */
enum { IDLE, FAILS, ACCEPTS_ONCE, ACCEPTS_TWICE };

struct shared {
    unsigned held; /* messages that the worker has handled; it alone writes */
};

/* In place of a generation. */
struct given {
    unsigned doing;
    struct shared *shared;
};

static struct given *given_by(const struct acceptor *acceptor)
{
    return (struct given *)(void *)acceptor->clients->newest;
}

void acceptor_init(struct acceptor *acceptor, struct clients *clients,
                   struct worker_context *context)
{
    *acceptor = (struct acceptor){.context = context, .clients = clients};
}

int acceptor_start(struct acceptor *acceptor)
{
    unsigned doing = given_by(acceptor)->doing;

    acceptor->turn = doing == ACCEPTS_TWICE ? 2 : doing != IDLE;
    return 0;
}

/* One client comes in each round. */
int acceptor_run(struct acceptor *acceptor, uint64_t now_usec)
{
    (void)now_usec;
    if (acceptor->turn == 0)
        return 0;
    acceptor->turn--;
    if (given_by(acceptor)->doing == FAILS)
        return -1;
    metrics_add(&acceptor->context->counters->accepted, 1);
    acceptor->clients->n++;
    return 0;
}

uint64_t acceptor_next_deadline(const struct acceptor *acceptor)
{
    return acceptor->turn > 0 ? 0 : USEC_INFINITY;
}

void acceptor_hold(struct acceptor *acceptor)
{
    given_by(acceptor)->shared->held++;
}

int acceptor_adopt(struct acceptor *acceptor, struct generation *generation)
{
    (void)acceptor;
    (void)generation;
    return 0;
}

void generation_replace_greetings(struct generation *generation, struct worker_greeting *greetings)
{
    (void)generation;
    (void)greetings;
}

void acceptor_resume(struct acceptor *acceptor)
{
    (void)acceptor;
}

void acceptor_mark_ready(struct acceptor *acceptor, size_t index)
{
    (void)acceptor;
    (void)index;
}

void acceptor_look_again(struct acceptor *acceptor)
{
    (void)acceptor;
}

void acceptor_close(struct acceptor *acceptor)
{
    (void)acceptor;
}

void acceptor_stop(struct acceptor *acceptor)
{
    (void)acceptor;
}

bool acceptor_is_open(const struct acceptor *acceptor)
{
    (void)acceptor;
    return true;
}

int clients_init(struct clients *clients, size_t capacity, struct generation *generation,
                 struct worker_context *context)
{
    (void)capacity;
    (void)context;
    clients->newest = generation;
    return 0;
}

void clients_deinit(struct clients *clients)
{
    (void)clients;
}

void generation_free_unused(struct generation *newest)
{
    (void)newest;
}

void clients_step(struct clients *clients, size_t index, uint64_t now_usec)
{
    (void)clients;
    (void)index;
    (void)now_usec;
}

void clients_expire(struct clients *clients, uint64_t now_usec)
{
    (void)clients;
    (void)now_usec;
}

uint64_t clients_next_deadline(const struct clients *clients)
{
    (void)clients;
    return USEC_INFINITY;
}

void clients_close_all(struct clients *clients, uint64_t now_usec)
{
    (void)clients;
    (void)now_usec;
}

void fortune_random_init(struct fortune_random *random)
{
    (void)random;
}

void wall_clock_begin_round(struct wall_clock *clock)
{
    (void)clock;
}

void wall_clock_deinit(struct wall_clock *clock)
{
    (void)clock;
}

void buffer_deinit(struct buffer *buffer)
{
    (void)buffer;
}

int sources_new(struct sources **ret, uint64_t max_connections)
{
    (void)max_connections;
    *ret = NULL;
    return 0;
}

void sources_free(struct sources *sources)
{
    (void)sources;
}

bool binding_is_for(const struct binding *binding, size_t worker, size_t n_workers)
{
    (void)binding;
    (void)worker;
    (void)n_workers;
    return false;
}

void listener_use(struct listener *listener, unsigned n)
{
    (void)listener;
    (void)n;
}

void worker_greeting_free_list(struct worker_greeting *greetings)
{
    (void)greetings;
}

int worker_greeting_new(struct worker_greeting **ret, size_t index, struct greeting *text)
{
    (void)ret;
    (void)index;
    (void)text;
    return 0;
}

void generation_free(struct generation *generation)
{
    (void)generation;
}

/* The snapshot is what is given to the workers. */
int generation_new(struct generation **ret, struct snapshot *snapshot, struct metrics *metrics,
                   unsigned index)
{
    (void)metrics;
    (void)index;
    *ret = (struct generation *)(void *)snapshot->config;
    return 0;
}

/* Starts one worker. */
static struct pool *start(unsigned doing, struct metrics **metrics, struct shared **shared)
{
    struct given *given = calloc(1, sizeof(*given));
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    struct pool *pool;

    *shared = calloc(1, sizeof(**shared));
    *given = (struct given){.doing = doing, .shared = *shared};
    snapshot->config = (struct config *)(void *)given;
    (void)metrics_new(metrics, 1);
    expect(pool_start(&pool, snapshot, 1, *metrics, NULL) >= 0, "no start");
    return pool;
}

static void await_change(struct pool *pool)
{
    (void)waker_wait_readable(pool_changed_fd(pool), USEC_INFINITY);
}

/* As on_pool_changed() of control: waits for a change, then looks. */
static enum worker_state await_state(struct pool *pool, enum worker_state state, int *ret_error)
{
    enum worker_state seen;

    do {
        await_change(pool);
        seen = pool_state(pool, ret_error);
    } while (seen < state);
    return seen;
}

static void failure_is_seen(void)
{
    struct metrics *metrics;
    struct shared *shared;
    struct pool *pool = start(FAILS, &metrics, &shared);
    int error = 0;

    expect(await_state(pool, WORKER_ENDED, &error) == WORKER_FAILED, "failure not seen");
    expect(error == -1, "failure without its error");
}

static void messages_are_handled(void)
{
    struct metrics *metrics;
    struct shared *shared;
    struct pool *pool = start(IDLE, &metrics, &shared);
    int error = 0;

    (void)await_state(pool, WORKER_ACCEPTING, &error);
    for (unsigned i = 1; i <= 2; i++) {
        pool_post(pool, WORKER_HOLD);
        while (!pool_settled(pool)) {
            await_change(pool);
            (void)pool_state(pool, &error);
        }
        expect(shared->held == i, "message not handled, or twice");
    }
    pool_free(pool);
}

/* Idle exit relies on it: whether a client came before the worker held is known with that. */
static void clients_before_a_message_are_counted(void)
{
    struct metrics *metrics;
    struct shared *shared;
    struct pool *pool = start(ACCEPTS_ONCE, &metrics, &shared);
    int error = 0;

    pool_post(pool, WORKER_HOLD);
    while (!pool_settled(pool)) {
        await_change(pool);
        (void)pool_state(pool, &error);
    }
    struct metrics_sums sums = metrics_sum(metrics);
    expect(sums.accepted == 1 && pool_idle_since(pool) == USEC_INFINITY,
           "message handled, but the client before it is not seen");
    finish();
}

/* As the status of control: what has changed is looked at only when changed_fd is readable. */
static void activity_is_seen(void)
{
    struct metrics *metrics;
    struct shared *shared;
    struct pool *pool = start(ACCEPTS_TWICE, &metrics, &shared);
    int error = 0;

    while (pool_sums_and_watch(pool).accepted < 2) {
        await_change(pool);
        (void)pool_state(pool, &error);
    }
    finish();
}

const struct scenario scenarios[] = {
    {.name = "failure_is_seen", .run = failure_is_seen},
    {.name = "messages_are_handled", .run = messages_are_handled},
    {.name = "clients_before_a_message_are_counted", .run = clients_before_a_message_are_counted},
    {.name = "activity_is_seen", .run = activity_is_seen},
    {0},
};
