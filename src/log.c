/* SPDX-License-Identifier: MIT */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include "greetd/log.h"

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

#define LOG_FIELDS_MAX 16

/* $JOURNAL_STREAM is "device:inode" of the stream systemd connected to the journal; it is inherited
 * by programs whose stderr was redirected since, so it has to be compared. */
static bool is_journal_stream(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat st;

    if (!stream || sscanf(stream, "%ju:%ju", &device, &inode) != 2)
        return false;
    return fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_init(struct log *log, int fd)
{
    log->fd = fd;
    log->journal = is_journal_stream(fd);
    log->time_stamps = !log->journal && isatty(fd);
    log->abandoned = false;
    log->filled = 0;
}

static struct iovec text_vector(const char *text)
{
    return (struct iovec){.iov_base = (char *)text, .iov_len = strlen(text)};
}

/* Returns how many entries are lost with it. */
static size_t write_journal(int priority, const char *id, const char *message,
                            const struct log_field *fields, size_t n_fields)
{
    char priority_field[sizeof("PRIORITY=") + 1], id_field[sizeof("MESSAGE_ID=") + 32];
    char message_field[sizeof("MESSAGE=") + LOG_MESSAGE_MAX];
    struct iovec vectors[3 + LOG_FIELDS_MAX];
    int n = 0;

    snprintf(priority_field, sizeof(priority_field), "PRIORITY=%d", priority & LOG_PRIMASK);
    snprintf(id_field, sizeof(id_field), "MESSAGE_ID=%s", id);
    snprintf(message_field, sizeof(message_field), "MESSAGE=%s", message);
    vectors[n++] = text_vector(message_field);
    vectors[n++] = text_vector(priority_field);
    vectors[n++] = text_vector(id_field);
    for (size_t i = 0; i < n_fields && i < LOG_FIELDS_MAX; i++)
        vectors[n++] = text_vector(fields[i].text);

    return sd_journal_sendv(vectors, n) < 0;
}

/* Returns how many lines before it are lost. */
static size_t write_line(struct log *log, const char *message)
{
    char line[LOG_MESSAGE_MAX + sizeof("2000-01-01 00:00:00 \n")];
    size_t length = 0, lost = 0;

    if (log->time_stamps) {
        time_t now = time(NULL);
        struct tm local;

        length = strftime(line, sizeof(line), "%F %T ", localtime_r(&now, &local));
    }
    length += (size_t)snprintf(line + length, sizeof(line) - length, "%.*s\n", LOG_MESSAGE_MAX - 1,
                               message);

    if (log->filled + length > sizeof(log->buffer))
        lost = log_flush(log);
    memcpy(log->buffer + log->filled, line, length);
    log->filled += length;
    return lost;
}

size_t log_write(struct log *log, int priority, const char *id, const char *message,
                 const struct log_field *fields, size_t n_fields)
{
    if (log->journal)
        return write_journal(priority, id, message, fields, n_fields);
    return write_line(log, message);
}

void log_write_past(const struct log *log, int priority, const char *message)
{
    char line[LOG_MESSAGE_MAX + sizeof("<0>\n")];
    int length = snprintf(line, sizeof(line), "<%d>%.*s\n", priority, LOG_MESSAGE_MAX - 1, message);

    if (log->journal)
        (void)send(log->fd, line, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static size_t count_lines(const char *text, size_t length)
{
    size_t n = 0;

    for (size_t i = 0; i < length; i++)
        n += text[i] == '\n';
    return n;
}

size_t log_flush(struct log *log)
{
    size_t written = 0;

    while (written < log->filled) {
        ssize_t n = write(log->fd, log->buffer + written, log->filled - written);

        if (n > 0) {
            written += (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            /* Someone we share stderr with has made it non-blocking. */
            poll(&(struct pollfd){.fd = log->fd, .events = POLLOUT}, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            break;
        }
    }
    size_t lost = count_lines(log->buffer + written, log->filled - written);
    log->filled = 0;
    return lost;
}
