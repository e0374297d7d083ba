/* SPDX-License-Identifier: MIT */
#include "greetd/control/idle_exit.h"

#include "greetd/base/timeout_queue.h"

/* Not sooner after the start than this. systemd gives a socket up that has started its service 20
 * times in 2 s (TriggerLimitIntervalSec=, TriggerLimitBurst= in systemd.socket(5)), and from
 * version 255 on makes its clients wait after 15 times in 2 s (PollLimitBurst=). A process that
 * stays for 200 ms is started at most 10 times in 2 s. */
#define IDLE_STAY_USEC 200000

/* When to look again, while there are clients. */
static uint64_t look_again_usec(const struct idle *idle, uint64_t now_usec)
{
    return deadline_after(now_usec, idle->timeout_usec > IDLE_STAY_USEC ? idle->timeout_usec
                                                                        : IDLE_STAY_USEC);
}

/* When it is time to leave, if nobody comes; if there are clients, when to look again. */
static uint64_t due_usec(const struct idle *idle, uint64_t now_usec)
{
    uint64_t since_usec = pool_idle_since(idle->pool);
    uint64_t least_usec = idle->started_usec + IDLE_STAY_USEC;

    if (since_usec == DEADLINE_NEVER)
        return look_again_usec(idle, now_usec);
    uint64_t due = deadline_after(since_usec, idle->timeout_usec);
    return due > least_usec ? due : least_usec;
}

static void arm_not_before(struct idle *idle, uint64_t least_usec)
{
    uint64_t due = due_usec(idle, deadline_now());

    (void)sd_event_source_set_time(idle->timer, due > least_usec ? due : least_usec);
    (void)sd_event_source_set_enabled(
        idle->timer, idle->timeout_usec == DEADLINE_NEVER ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static void arm(struct idle *idle)
{
    arm_not_before(idle, 0);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *p)
{
    struct idle *idle = p;
    uint64_t now_usec = deadline_now();

    (void)source;
    (void)usec;
    if (idle->holding)
        return 0;
    if (due_usec(idle, now_usec) > now_usec) {
        arm(idle);
        return 0;
    }
    idle->holding = true;
    pool_post(idle->pool, WORKER_HOLD);
    return 0;
}

void idle_pool_changed(struct idle *idle)
{
    uint64_t now_usec = deadline_now();

    if (!idle->holding || !pool_settled(idle->pool))
        return;
    idle->holding = false;
    if (due_usec(idle, now_usec) <= now_usec && !sockets_have_clients(idle->sockets)) {
        idle->leave(idle->userdata);
        return;
    }
    pool_post(idle->pool, WORKER_RESUME);
    /* A client may be in a queue that nobody can accept for want of descriptors. */
    arm_not_before(idle, now_usec + IDLE_STAY_USEC);
}

int idle_start(struct idle *idle, sd_event *event, struct pool *pool, const struct sockets *sockets,
               void (*leave)(void *userdata), void *userdata)
{
    *idle = (struct idle){
        .pool = pool,
        .sockets = sockets,
        .started_usec = deadline_now(),
        .timeout_usec = DEADLINE_NEVER,
        .leave = leave,
        .userdata = userdata,
    };
    int r = sd_event_add_time(event, &idle->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, idle);

    return r < 0 ? r : sd_event_source_set_enabled(idle->timer, SD_EVENT_OFF);
}

void idle_deinit(struct idle *idle)
{
    idle->timer = sd_event_source_disable_unref(idle->timer);
}

void idle_set_timeout(struct idle *idle, uint64_t timeout_usec)
{
    idle->timeout_usec = timeout_usec;
    arm(idle);
}
