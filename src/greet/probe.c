/* SPDX-License-Identifier: MIT */
#include "greet/probe.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/fetch.h"
#include "client/output.h"
#include "greetd/base/buffer.h"
#include "greetd/base/clock.h"
#include "greetd/base/parse.h"
#include "greetd/greeting/fortune.h"
#include "greetd/greeting/match.h"
#include "greetd/net/socket.h"

#define BUFFER_SIZE ((size_t)64 * 1024)

/* How much of a greeting of the configuration is kept: variables make it longer than its text. */
#define RECEIVED_MAX (4 * GREETING_SIZE_MAX)

/* By how much the clock of the server, or an age, may differ. */
#define MARGIN_USEC (2 * USEC_PER_SEC)

/* Sent to a server that greets on the first bytes: it makes every HTTP server answer. */
#define REQUEST "GET / HTTP/1.0\r\n\r\n"

#define DIFFERENCE_TEXT_MAX                                                                        \
    (COMPARISON_TEXT_MAX > MATCH_TEXT_MAX ? COMPARISON_TEXT_MAX : MATCH_TEXT_MAX)

struct probe {
    const struct arguments *arguments;
    struct fetch fetch;
    struct comparison comparison; /* expected is NULL without --expect and --expect-file */
    int write_error;              /* negative errno of stdout */

    /* --expect-config */
    const struct config_listener *listener; /* else NULL */
    struct greeting *message;               /* a reference: of Message= or MessageFile=, or NULL */
    uint64_t age_usec;                      /* of MessageFile=, at start_usec */
    uint64_t start_usec, answer_usec; /* CLOCK_REALTIME: before connect, after the first bytes */
    struct address own, server;       /* the ends of the connection */
    struct buffer received;
};

static void probe_deinit(struct probe *probe)
{
    greeting_unref(probe->message);
    buffer_deinit(&probe->received);
}

/* Compares or keeps, and prints, the bytes received. Returns 1 to read on, 0, or a negative errno.
 */
static int accept_bytes(struct probe *probe, const char *bytes, size_t size)
{
    bool quiet = probe->arguments->quiet;
    bool right = !probe->comparison.expected || comparison_add(&probe->comparison, bytes, size);

    if (!quiet)
        probe->write_error = output_write(STDOUT_FILENO, bytes, size, probe->fetch.due_usec);
    if (probe->listener) {
        int r = buffer_append(&probe->received, bytes, size, RECEIVED_MAX);
        if (r < 0)
            return r;
    }
    return probe->write_error == 0 && (right || !quiet);
}

/* Reads to the end of stream, or as far as needed. Returns 0 or a negative errno. */
static int receive(struct probe *probe)
{
    char buffer[BUFFER_SIZE];
    int r;

    do {
        ssize_t n = fetch_read(&probe->fetch, buffer, sizeof(buffer));
        if (probe->answer_usec == 0)
            probe->answer_usec = clock_now_of(CLOCK_REALTIME);
        r = n > 0 ? accept_bytes(probe, buffer, (size_t)n) : (int)n;
    } while (r > 0);
    return r;
}

/* Lists the greetings that are right: the message, the stale one, or while the file is about as old
 * as MaxAgeSec= both. Returns how many. */
static size_t list_greetings(const struct probe *probe, const struct greeting *ret[2])
{
    const struct config_listener *listener = probe->listener;
    uint64_t max_age = listener->settings.max_age_usec;
    uint64_t waited = probe->answer_usec - probe->start_usec;
    uint64_t latest = usec_add(usec_add(probe->age_usec, waited), MARGIN_USEC);
    size_t n = 0;

    if (probe->message && probe->age_usec <= usec_add(max_age, MARGIN_USEC))
        ret[n++] = probe->message;
    if (n == 0 || (listener->settings.watch && listener->stale && latest > max_age))
        ret[n++] = listener->stale;
    return n;
}

/* Whether the entry at INDEX of GREETING, a fortune file, is one that the server may have picked.
 */
static bool may_be_picked(const struct greeting *greeting, size_t index,
                          const struct match_connection *connection)
{
    struct wall_clock before = {.now_usec = connection->from_usec};
    struct wall_clock after = {.now_usec = connection->to_usec};

    return !greeting->daily ||
           index == fortune_of_day(wall_clock_day(&before), greeting->n_entries) ||
           index == fortune_of_day(wall_clock_day(&after), greeting->n_entries);
}

/* Matches what was received with GREETING. Returns as match_greeting(). *RET is the difference that
 * was found so far, and is replaced by one that comes later in the text. */
static int match_one(const struct probe *probe, const struct greeting *greeting,
                     const struct match_connection *connection, struct match_difference *ret)
{
    struct match_difference difference;
    int r = match_greeting(&difference, greeting, connection, probe->received.bytes,
                           probe->received.size);

    if (r == 0 && (ret->line == 0 || difference.offset > ret->offset))
        *ret = difference;
    return r;
}

static int match_entries(const struct probe *probe, const struct greeting *greeting,
                         const struct match_connection *connection, struct match_difference *ret)
{
    int r = 0;

    for (size_t i = 0; i < greeting->n_entries && r == 0; i++)
        if (may_be_picked(greeting, i, connection))
            r = match_one(probe, &greeting->entries[i], connection, ret);
    return r;
}

/* Matches what was received. Returns 1 if it is right, 0 if not, with the difference from the
 * greeting that is most like it, or -ENOMEM. */
static int match(const struct probe *probe, struct match_difference *ret)
{
    const struct peer own = peer_from_sockaddr(&probe->own.sa, probe->own.length);
    const struct peer *proxied = &probe->arguments->proxy.source;
    const struct match_connection connection = {
        .peer = proxied->family != AF_UNSPEC ? proxied : &own,
        .local = &probe->server,
        .listener = probe->listener->name,
        .has_rtt = peer_is_internet(&own),
        .from_usec = probe->start_usec - MARGIN_USEC,
        .to_usec = probe->answer_usec + MARGIN_USEC,
    };
    const struct greeting *greetings[2];
    size_t n = list_greetings(probe, greetings);
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++)
        r = greetings[i]->entries ? match_entries(probe, greetings[i], &connection, ret)
                                  : match_one(probe, greetings[i], &connection, ret);
    return r;
}

/* Returns 1 if what was received is known not to be the greeting expected, with the reason in
 * BUFFER (DIFFERENCE_TEXT_MAX bytes), 0 if not, or -ENOMEM. ENDED: at the end of stream. */
static int find_difference(const struct probe *probe, bool ended, char *buffer)
{
    const struct buffer *received = &probe->received;
    struct match_difference difference = {0};

    if (probe->comparison.expected)
        return (ended || probe->comparison.differs) &&
               !comparison_explain(&probe->comparison, buffer);
    if (!probe->listener)
        return 0;
    int r = match(probe, &difference);
    if (r != 0 || (!ended && difference.offset == received->size))
        return r < 0 ? r : 0;
    match_explain(&difference, received->bytes, received->size, buffer);
    return 1;
}

static enum exit_status print_write_error(const struct probe *probe)
{
    char span[TIMESPAN_TEXT_MAX];

    format_timespan(probe->arguments->timeout_usec, span);
    if (probe->write_error == -ETIMEDOUT)
        output_error("Failed to write to standard output within %s", span);
    else
        output_error("Failed to write to standard output: %s", strerror(-probe->write_error));
    return EXIT_STATUS_UNABLE;
}

/* Prints the first cause of a failure, if any. ERROR is that of receive(). */
static enum exit_status print_failure(const struct probe *probe, int error)
{
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    char difference[DIFFERENCE_TEXT_MAX];

    if (probe->write_error < 0)
        return print_write_error(probe);
    int r = find_difference(probe, error == 0, difference);
    if (r > 0) {
        char address[ADDRESS_TEXT_MAX];
        output_error("%s: not the greeting expected: %s",
                     address_format(&probe->fetch.address, address), difference);
        return EXIT_STATUS_WRONG;
    }
    if (r < 0)
        error = r;
    if (error == 0)
        return EXIT_STATUS_OK;
    fetch_add_error(&probe->fetch, error, &diagnostics);
    output_errors(&diagnostics);
    return exchange_exit_status(error);
}

static enum exit_status probe_connect(struct probe *probe, const struct fetch_options *options,
                                      const struct resolve_list *list)
{
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    enum exit_status status;

    int r = fetch_open(&probe->fetch, options, list, &diagnostics);
    if (r < 0) {
        output_errors(&diagnostics);
        return exchange_exit_status(r);
    }
    /* They fail if the server has reset the connection; then so does receive(). */
    (void)socket_read_address(probe->fetch.fd, &probe->own);
    (void)socket_read_peer_address(probe->fetch.fd, &probe->server);
    r = receive(probe);
    status = print_failure(probe, r);
    fetch_close(&probe->fetch);
    return status;
}

/* Notes what the greeting depends on besides the connection. */
static void prepare(struct probe *probe, const struct config_listener *listener)
{
    _cleanup_(diagnostics_deinit) struct diagnostics ignored = DIAGNOSTICS_NULL;

    tzset();
    probe->listener = listener;
    probe->start_usec = clock_now_of(CLOCK_REALTIME);
    if (listener->settings.watch)
        probe->age_usec = message_file_age(listener->file.path);
    /* Without the message, because the file was missing or too old, the stale one may be right. */
    if (listener->greeting != listener->stale)
        probe->message = greeting_ref(listener->greeting);
    else
        (void)message_file_load(&probe->message, &listener->file, &ignored, NULL);
}

/* Chooses what to send; a header without a source is that of a health check. *RET, the greeting
 * that OPTIONS borrow from, is the caller's. */
static int choose_request(struct fetch_options *options, struct greeting **ret,
                          const struct probe *probe)
{
    const struct config_listener *listener = probe->listener;

    if (probe->arguments->send) {
        int r = arguments_compile(ret, probe->arguments->send, "--send");
        if (r < 0)
            return r;
        options->send = (*ret)->bytes;
        options->send_size = (*ret)->size;
    } else if (listener && listener->settings.greet_on == GREET_ON_DATA) {
        options->send = REQUEST;
        options->send_size = strlen(REQUEST);
    }
    if (listener && listener->settings.proxy_protocol && options->proxy.version == PROXY_NONE)
        options->proxy.version = PROXY_V2;
    return 0;
}

enum exit_status probe_run(const struct arguments *arguments, const struct resolve_list *list,
                           const struct probe_expected *expected)
{
    _cleanup_(greeting_unrefp) struct greeting *sent = NULL;
    _cleanup_(probe_deinit) struct probe probe = {.arguments = arguments,
                                                  .comparison.expected = expected->greeting};
    struct fetch_options options = {
        .timeout_usec = arguments->timeout_usec,
        .proxy = arguments->proxy,
        .explain = arguments->explain ? stderr : NULL,
    };

    if (expected->listener)
        prepare(&probe, expected->listener);
    if (choose_request(&options, &sent, &probe) < 0)
        return EXIT_STATUS_UNABLE;
    return probe_connect(&probe, &options, list);
}
