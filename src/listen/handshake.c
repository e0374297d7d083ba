/* SPDX-License-Identifier: MIT */
#include "greetd/listen/handshake.h"

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>

#include "greetd/base/clock.h"

/* The interval and the limit of the checks. On nearly all paths a handshake is over by then, and a
 * client that never answers must not delay the stop. */
#define HANDSHAKE_CHECK_USEC 20000
#define HANDSHAKE_MAX_USEC   1000000

#define ANY_PORT UINT_MAX

static bool is_leaving(const struct listener *listener, const struct snapshot *after)
{
    return !listener->handed_on && !(after && snapshot_has(after, listener));
}

/* The port is at the same offset in both families. */
static uint16_t port_of(const struct listener *listener)
{
    return ntohs(listener->address.in.sin_port);
}

/* Whether a socket of FAMILY with PORT (ANY_PORT: any) is about to be closed. */
static bool port_leaves(const struct snapshot *before, const struct snapshot *after, int family,
                        unsigned port)
{
    for (size_t i = 0; i < before->n; i++) {
        const struct listener *listener = before->bindings[i].listener;

        if (listener->address.sa.sa_family == family &&
            (port == ANY_PORT || port == port_of(listener)) && is_leaving(listener, after))
            return true;
    }
    return false;
}

/* Whether TABLE has a pending handshake at such a socket (proc_net_tcp.rst of the kernel). */
static bool table_has(const char *table, const struct snapshot *before,
                      const struct snapshot *after, int family)
{
    bool pending = false;
    char line[512];

    if (!port_leaves(before, after, family, ANY_PORT))
        return false;
    _cleanup_fclose_ FILE *stream = fopen(table, "re");
    if (!stream)
        return true;
    while (!pending && fgets(line, sizeof(line), stream)) {
        unsigned port, state;

        pending = sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x", &port, &state) == 2 &&
                  state == TCP_SYN_RECV && port_leaves(before, after, family, port);
    }
    return pending;
}

bool handshake_pending(const struct snapshot *before, const struct snapshot *after)
{
    return table_has("/proc/self/net/tcp", before, after, AF_INET) ||
           table_has("/proc/self/net/tcp6", before, after, AF_INET6);
}

static void check(struct handshake *handshake)
{
    uint64_t now_usec = clock_now();

    if (now_usec >= handshake->deadline_usec ||
        !handshake_pending(handshake->before, handshake->after)) {
        handshake->over(handshake->userdata);
        return;
    }
    (void)sd_event_source_set_time(handshake->timer, now_usec + HANDSHAKE_CHECK_USEC);
    (void)sd_event_source_set_enabled(handshake->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *p)
{
    (void)source;
    (void)usec;
    check(p);
    return 0;
}

int handshake_start(struct handshake *handshake, sd_event *event)
{
    int r =
        sd_event_add_time(event, &handshake->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, handshake);

    return r < 0 ? r : sd_event_source_set_enabled(handshake->timer, SD_EVENT_OFF);
}

void handshake_deinit(struct handshake *handshake)
{
    handshake->timer = sd_event_source_disable_unref(handshake->timer);
}

void handshake_await(struct handshake *handshake, const struct snapshot *before,
                     const struct snapshot *after, void (*over)(void *userdata), void *userdata)
{
    handshake->before = before;
    handshake->after = after;
    handshake->deadline_usec = clock_now() + HANDSHAKE_MAX_USEC;
    handshake->over = over;
    handshake->userdata = userdata;
    check(handshake);
}
