/* SPDX-License-Identifier: MIT */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include "greetd/journal/sink.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#include "greetd/base/clock.h"

#define SINK_FIELDS_MAX 16

/* $JOURNAL_STREAM is the "device:inode" of the stream that systemd connected to the journal. A
 * program whose stderr was redirected since inherits it too, so it has to be compared. */
static bool is_journal_stream(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat st;

    if (!stream || sscanf(stream, "%ju:%ju", &device, &inode) != 2)
        return false;
    return fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void sink_init(struct sink *sink, int fd)
{
    sink->fd = fd;
    sink->journal = is_journal_stream(fd);
    sink->time_stamps = !sink->journal && isatty(fd);
    sink->filled = 0;
}

static struct iovec text_vector(const char *text)
{
    return (struct iovec){.iov_base = (char *)text, .iov_len = strlen(text)};
}

/* CLOCK_REALTIME at WHEN, a past time of CLOCK_MONOTONIC. */
static uint64_t realtime_at(uint64_t when_usec)
{
    return clock_now_of(CLOCK_REALTIME) - (clock_now() - when_usec);
}

/* Returns how many entries are lost. */
static size_t write_journal(const struct sink_entry *entry)
{
    char priority[sizeof("PRIORITY=") + 1], id[sizeof("MESSAGE_ID=") + 32];
    char message[sizeof("MESSAGE=") + SINK_MESSAGE_MAX];
    char timestamp[sizeof("GREETD_TIMESTAMP=18446744073709551615")];
    struct iovec vectors[4 + SINK_FIELDS_MAX];
    int n = 0;

    snprintf(priority, sizeof(priority), "PRIORITY=%d", entry->priority & LOG_PRIMASK);
    snprintf(id, sizeof(id), "MESSAGE_ID=%s", entry->id);
    snprintf(message, sizeof(message), "MESSAGE=%s", entry->message);
    snprintf(timestamp, sizeof(timestamp), "GREETD_TIMESTAMP=%" PRIu64,
             realtime_at(entry->when_usec));
    vectors[n++] = text_vector(message);
    vectors[n++] = text_vector(priority);
    vectors[n++] = text_vector(id);
    vectors[n++] = text_vector(timestamp);
    for (size_t i = 0; i < entry->n_fields && i < SINK_FIELDS_MAX; i++)
        vectors[n++] = text_vector(entry->fields[i]);

    return sd_journal_sendv(vectors, n) < 0;
}

/* Returns how many earlier lines are lost. */
static size_t write_line(struct sink *sink, const struct sink_entry *entry)
{
    char line[SINK_MESSAGE_MAX + sizeof("2000-01-01 00:00:00 \n")];
    size_t length = 0, lost = 0;

    if (sink->time_stamps) {
        time_t when = (time_t)(realtime_at(entry->when_usec) / USEC_PER_SEC);
        struct tm local;

        length = strftime(line, sizeof(line), "%F %T ", localtime_r(&when, &local));
    }
    length += (size_t)snprintf(line + length, sizeof(line) - length, "%.*s\n", SINK_MESSAGE_MAX - 1,
                               entry->message);

    if (sink->filled + length > sizeof(sink->buffer))
        lost = sink_flush(sink);
    memcpy(sink->buffer + sink->filled, line, length);
    sink->filled += length;
    return lost;
}

size_t sink_write(struct sink *sink, const struct sink_entry *entry)
{
    return sink->journal ? write_journal(entry) : write_line(sink, entry);
}

void sink_try_write(const struct sink *sink, int priority, const char *message)
{
    char line[SINK_MESSAGE_MAX + sizeof("<0>\n")];
    int length =
        snprintf(line, sizeof(line), "<%d>%.*s\n", priority, SINK_MESSAGE_MAX - 1, message);

    if (sink->journal)
        (void)send(sink->fd, line, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static size_t count_lines(const char *text, size_t length)
{
    size_t n = 0;

    for (size_t i = 0; i < length; i++)
        n += text[i] == '\n';
    return n;
}

size_t sink_flush(struct sink *sink)
{
    size_t written = 0;

    while (written < sink->filled) {
        ssize_t n = write(sink->fd, sink->buffer + written, sink->filled - written);

        if (n > 0) {
            written += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            /* Another process that shares stderr has made it non-blocking. */
            poll(&(struct pollfd){.fd = sink->fd, .events = POLLOUT}, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            break;
        }
    }
    size_t lost = count_lines(sink->buffer + written, sink->filled - written);
    sink->filled = 0;
    return lost;
}
