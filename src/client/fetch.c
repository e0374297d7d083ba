/* SPDX-License-Identifier: MIT */
#include "client/fetch.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include "client/output.h"
#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/base/parse.h"
#include "greetd/cli/terminal.h"
#include "greetd/net/socket.h"

/* The pause before another connect(2) when the queue of a Unix socket is full. */
#define RETRY_MSEC 1

/* Prints a step, and the time since this address was first tried. */
static _printf_(2, 3) void explain(const struct fetch *fetch, const char *format, ...)
{
    FILE *stream = fetch->options->explain;
    va_list list;

    if (!stream)
        return;
    va_start(list, format);
    vfprintf(stream, format, list);
    va_end(list);
    fprintf(stream, " after %s%.1f ms%s\n", terminal_style(stream, TERMINAL_STRONG),
            (double)(clock_now() - fetch->start_usec) / 1000,
            terminal_style(stream, TERMINAL_PLAIN));
    fflush(stream);
}

static void explain_address(const struct fetch *fetch)
{
    FILE *stream = fetch->options->explain;

    if (stream) {
        char text[ADDRESS_TEXT_MAX];
        fprintf(stream, "connecting to %s\n", address_format(&fetch->address, text));
    }
}

static bool is_overdue(const struct fetch *fetch)
{
    return fetch->due_usec <= clock_now();
}

/* Waits for one of EVENTS, or for RETRY_MSEC without any, until the timeout at most. Returns the
 * events, or a negative errno: -ETIMEDOUT, ... */
static int wait_for(const struct fetch *fetch, short events)
{
    struct pollfd poll_fd = {.fd = events ? fetch->fd : -1, .events = events};

    for (;;) {
        uint64_t now = clock_now();
        int n;

        if (now >= fetch->due_usec)
            return -ETIMEDOUT;
        n = poll(&poll_fd, 1, events ? usec_wait_msec(fetch->due_usec, now) : RETRY_MSEC);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0 || !events)
            return poll_fd.revents;
    }
}

/* Returns how many bytes there are to send: the rest of the header, then of what options say. *RET
 * is NULL if they are zeros. */
static size_t next_bytes(const struct fetch *fetch, const char **ret)
{
    const struct fetch_options *options = fetch->options;
    size_t sent = fetch->sent;

    if (sent < fetch->header_size) {
        *ret = fetch->header + sent;
        return fetch->header_size - sent;
    }
    sent -= fetch->header_size;
    *ret = options->send ? options->send + sent : NULL;
    return options->send_size - sent;
}

/* Sends until it would block. After an error the bytes that the server sent before it can still be
 * received. */
static void send_more(struct fetch *fetch)
{
    const char *bytes;
    size_t left;

    while ((left = next_bytes(fetch, &bytes)) > 0 && !is_overdue(fetch)) {
        bool header = fetch->sent < fetch->header_size;
        ssize_t n = exchange_send(fetch->fd, bytes, left, header && fetch->options->send_size > 0);

        if (n == -EAGAIN)
            return;
        if (n < 0) {
            fetch->send_error = (int)n;
            explain(fetch, "sending failed: %s", strerror(-(int)n));
            return;
        }
        fetch->sent += (size_t)n;
        explain(fetch, header ? "sent %zd bytes of PROXY header" : "sent %zd bytes", n);
    }
}

static int start_connect(struct fetch *fetch)
{
    int r;

    while ((r = exchange_connect(&fetch->fd, &fetch->address, htonl(INADDR_ANY))) == -EAGAIN) {
        r = wait_for(fetch, 0);
        if (r < 0)
            return r;
    }
    return r;
}

static int finish_connect(struct fetch *fetch)
{
    int r = wait_for(fetch, POLLOUT);

    return r < 0 ? r : -socket_error(fetch->fd);
}

static int try_address(struct fetch *fetch)
{
    int r;

    fetch->start_usec = clock_now();
    fetch->due_usec = usec_add(fetch->start_usec, fetch->options->timeout_usec);
    output_set_timeout(fetch->options->timeout_usec);
    explain_address(fetch);
    r = start_connect(fetch);
    if (r >= 0)
        r = finish_connect(fetch);
    if (r < 0) {
        explain(fetch, "failed to connect: %s", strerror(-r));
        fetch->fd = safe_close(fetch->fd);
        return r;
    }
    explain(fetch, "connected");
    fetch->header_size =
        exchange_format_header(&fetch->options->proxy, 0, &fetch->address, fetch->header);
    send_more(fetch);
    return 0;
}

int fetch_open(struct fetch *fetch, const struct fetch_options *options,
               const struct resolve_list *list, struct diagnostics *diagnostics)
{
    int r = -EADDRNOTAVAIL;

    *fetch = (struct fetch){.options = options, .fd = -1};
    for (size_t i = 0; i < list->n; i++) {
        fetch->address = list->addresses[i];
        r = try_address(fetch);
        if (r >= 0)
            return 0;
        fetch_add_error(fetch, r, diagnostics);
    }
    return r;
}

/* Waits until there may be bytes to receive, and sends meanwhile. */
static int wait_and_send(struct fetch *fetch)
{
    const char *bytes;
    bool sending = !fetch->send_error && next_bytes(fetch, &bytes) > 0;
    int events = wait_for(fetch, sending ? POLLIN | POLLOUT : POLLIN);

    if (events >= 0 && sending && (events & POLLOUT))
        send_more(fetch);
    return events;
}

ssize_t fetch_read(struct fetch *fetch, char *buffer, size_t size)
{
    int r = 0;

    /* The caller may have used up the time, for example by writing the last bytes. */
    while (r >= 0 && !is_overdue(fetch)) {
        ssize_t n = recv(fetch->fd, buffer, size, 0);

        if (n == 0 && fetch->send_error == -ECONNRESET)
            return -ECONNRESET;
        if (n >= 0) {
            fetch->received += (uint64_t)n;
            explain(fetch, n > 0 ? "received %zd bytes" : "end of stream", n);
            return n;
        }
        if (errno != EAGAIN && errno != EINTR) {
            n = -errno;
            explain(fetch, "receiving failed: %s", strerror(errno));
            return n;
        }
        r = wait_and_send(fetch);
    }
    explain(fetch, "giving up");
    return r < 0 ? r : -ETIMEDOUT;
}

void fetch_add_error(const struct fetch *fetch, int error, struct diagnostics *diagnostics)
{
    char address[ADDRESS_TEXT_MAX], span[TIMESPAN_TEXT_MAX], after[48] = "";
    const char *missing = fetch->fd >= 0 ? "end of stream" : "connection";

    address_format(&fetch->address, address);
    format_timespan(fetch->options->timeout_usec, span);
    if (fetch->received > 0)
        snprintf(after, sizeof(after), ", after %" PRIu64 " bytes", fetch->received);
    /* Before the timeout, -ETIMEDOUT is the kernel's: the server answers no packet. */
    if (error == -ETIMEDOUT && is_overdue(fetch))
        diagnostics_add(diagnostics, "%s: no %s within %s%s", address, missing, span, after);
    else
        diagnostics_add(diagnostics, "%s: %s%s", address, strerror(-error), after);
}

void fetch_close(struct fetch *fetch)
{
    fetch->fd = safe_close(fetch->fd);
    output_set_timeout(USEC_INFINITY);
}
