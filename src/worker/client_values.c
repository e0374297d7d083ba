/* SPDX-License-Identifier: MIT */
#include "greetd/worker/client_values.h"

#include "greetd/net/socket.h"

/* The local end of a socket that was accepted from a bound address has this address. */
static const struct address *local_address(const struct worker_listener *wl, int fd,
                                           struct address *buffer)
{
    return wl->wildcard && socket_read_address(fd, buffer) >= 0 ? buffer : &wl->listener->address;
}

struct variable_client client_values(const struct worker_greeting *greeting, int fd,
                                     const struct peer *peer, uint64_t number,
                                     struct worker_context *context)
{
    const struct worker_listener *wl = greeting->listener;
    unsigned needs = greeting->text->needs;

    return (struct variable_client){
        .peer = peer,
        .local = needs & VARIABLE_NEEDS_LOCAL ? local_address(wl, fd, &context->local) : NULL,
        .listener = wl->name,
        .number = number,
        .rtt_usec = needs & VARIABLE_NEEDS_RTT ? socket_rtt_usec(fd) : -1,
        .pid = context->shared->pid,
        .clock = &context->clock,
        .random = &context->random,
        .metrics = context->shared->metrics,
    };
}

uint32_t client_values_logged_rtt_usec(const struct worker_greeting *greeting, int fd)
{
    if (!greeting->listener->fast_open && !(greeting->text->needs & VARIABLE_NEEDS_RTT))
        return 0;
    int64_t rtt_usec = socket_rtt_usec(fd);
    return rtt_usec > 0 ? (uint32_t)rtt_usec : 0;
}
