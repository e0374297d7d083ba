/* SPDX-License-Identifier: MIT */
#include "greetd/control/idle_exit.h"

#include "greetd/base/clock.h"

/* The least time from the start to the exit. systemd fails a socket that has started its service 20
 * times in 2 s (TriggerLimitIntervalSec=, TriggerLimitBurst= in systemd.socket(5)). From version
 * 255 on it also makes clients wait after 15 times in 2 s (PollLimitBurst=). A process that stays
 * for 200 ms is started at most 10 times in 2 s. */
#define IDLE_EXIT_STAY_USEC 200000

/* Returns when to check again while there are clients. */
static uint64_t next_check_usec(const struct idle_exit *idle_exit, uint64_t now_usec)
{
    return usec_add(now_usec, usec_max(idle_exit->timeout_usec, IDLE_EXIT_STAY_USEC));
}

/* Returns when to exit without a further client, or when to check again while there are clients. */
static uint64_t due_usec(const struct idle_exit *idle_exit, uint64_t now_usec)
{
    uint64_t since_usec = pool_idle_since(idle_exit->pool);
    uint64_t least_usec = idle_exit->started_usec + IDLE_EXIT_STAY_USEC;

    if (since_usec == USEC_INFINITY)
        return next_check_usec(idle_exit, now_usec);
    return usec_max(usec_add(since_usec, idle_exit->timeout_usec), least_usec);
}

static void arm_not_before(struct idle_exit *idle_exit, uint64_t least_usec)
{
    uint64_t due = usec_max(due_usec(idle_exit, clock_now()), least_usec);

    (void)sd_event_source_set_time(idle_exit->timer, due);
    (void)sd_event_source_set_enabled(idle_exit->timer, idle_exit->timeout_usec == USEC_INFINITY
                                                            ? SD_EVENT_OFF
                                                            : SD_EVENT_ONESHOT);
}

static void arm(struct idle_exit *idle_exit)
{
    arm_not_before(idle_exit, 0);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *p)
{
    struct idle_exit *idle_exit = p;
    uint64_t now_usec = clock_now();

    (void)source;
    (void)usec;
    if (idle_exit->holding)
        return 0;
    if (due_usec(idle_exit, now_usec) > now_usec) {
        arm(idle_exit);
        return 0;
    }
    idle_exit->holding = true;
    pool_post(idle_exit->pool, WORKER_HOLD);
    return 0;
}

void idle_exit_pool_changed(struct idle_exit *idle_exit)
{
    uint64_t now_usec = clock_now();

    if (!idle_exit->holding || !pool_settled(idle_exit->pool))
        return;
    idle_exit->holding = false;
    if (due_usec(idle_exit, now_usec) <= now_usec && !sockets_have_clients(idle_exit->sockets)) {
        idle_exit->leave(idle_exit->userdata);
        return;
    }
    pool_post(idle_exit->pool, WORKER_RESUME);
    /* A client may wait in a queue because descriptors are short. */
    arm_not_before(idle_exit, now_usec + IDLE_EXIT_STAY_USEC);
}

int idle_exit_start(struct idle_exit *idle_exit, sd_event *event, struct pool *pool,
                    const struct sockets *sockets, void (*leave)(void *userdata), void *userdata)
{
    *idle_exit = (struct idle_exit){
        .pool = pool,
        .sockets = sockets,
        .started_usec = clock_now(),
        .timeout_usec = USEC_INFINITY,
        .leave = leave,
        .userdata = userdata,
    };
    int r =
        sd_event_add_time(event, &idle_exit->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, idle_exit);

    return r < 0 ? r : sd_event_source_set_enabled(idle_exit->timer, SD_EVENT_OFF);
}

void idle_exit_deinit(struct idle_exit *idle_exit)
{
    idle_exit->timer = sd_event_source_disable_unref(idle_exit->timer);
}

void idle_exit_set_timeout(struct idle_exit *idle_exit, uint64_t timeout_usec)
{
    idle_exit->timeout_usec = timeout_usec;
    arm(idle_exit);
}
