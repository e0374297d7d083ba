/* SPDX-License-Identifier: MIT */
#include "greetd/worker/drip.h"

#include <string.h>

#include "greetd/worker/writing.h"

/* A wake-up costs more than a line. So a line may be late by a hundredth of its pause, and by this
 * time at most, to be sent together with others. */
#define DRIP_SLACK_USEC 100000

/* The greeting as one client receives it. */
struct text {
    const char *bytes;
    size_t size;
};

static struct text text_of(const struct conn *conn)
{
    const struct greeting *greeting = conn->greeting->text;

    if (conn->has_unsent)
        return (struct text){.bytes = conn->unsent->bytes, .size = conn->unsent->end};
    return (struct text){.bytes = greeting->bytes, .size = greeting->size};
}

/* Returns the size of the first line of BYTES, with its '\n'. */
static size_t line_size(const char *bytes, size_t size)
{
    const char *newline = memchr(bytes, '\n', size);

    return newline ? (size_t)(newline - bytes) + 1 : size;
}

enum conn_next drip_begin(struct conn *conn, uint64_t now_usec, struct worker_context *context)
{
    int r = greeting_is_plain(conn->greeting->text) ? 0 : writing_render(conn, context);

    if (r < 0)
        return conn_break(conn, -r);
    if (text_of(conn).size == 0)
        return writing_step(conn, now_usec, context);
    return context->stopping ? drip_step(conn, now_usec, context) : CONN_WAIT_DRIP;
}

/* Returns how many bytes to send from OFFSET of a pass on. A worker that stops makes no pause, and
 * begins no other pass. */
static size_t part_size(const struct conn *conn, const struct text *text, size_t offset,
                        bool stopping)
{
    if (!stopping)
        return line_size(text->bytes + offset, text->size - offset);
    return offset == 0 && conn->sent > 0 ? 0 : text->size - offset;
}

enum conn_next drip_step(struct conn *conn, uint64_t now_usec, struct worker_context *context)
{
    const struct text text = text_of(conn);
    size_t offset = conn->sent % text.size;
    size_t end = conn->sent + part_size(conn, &text, offset, context->stopping);
    bool repeats = conn_settings(conn)->drip_repeat && text.size <= UINT32_MAX - end;
    bool is_last = context->stopping || (end % text.size == 0 && !repeats);
    enum conn_next next =
        writing_part(conn, text.bytes, conn->sent - offset, end, is_last, now_usec, context);

    if (conn->all_sent)
        writing_free_unsent(conn);
    return next;
}

uint64_t drip_deadline(const struct worker_listener *wl, const struct worker_context *context)
{
    return timeout_queue_deadline(&wl->dripping,
                                  context->stopping ? 0 : wl->config->settings.drip_usec);
}

uint64_t drip_wake_up(const struct worker_listener *wl, const struct worker_context *context)
{
    uint64_t slack_usec = usec_min(wl->config->settings.drip_usec / 100, DRIP_SLACK_USEC);

    return usec_add(drip_deadline(wl, context), context->stopping ? 0 : slack_usec);
}
