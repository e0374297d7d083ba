/* SPDX-License-Identifier: MIT */
#include "greetd/journal/sink.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "greetd/base/clock.h"
#include "greetd/journal/catalog.h"
#include "support/fake.h"
#include "support/fake_journal.h"

TestSuite(sink, .timeout = 60);

#define ID MESSAGE_ID_CONNECTION

static size_t lost;

static void write_entry(struct sink *sink, const char *message)
{
    const char *const field = "GREETD_WORKER=1";
    const struct sink_entry entry = {LOG_INFO, ID, message, clock_now(), &field, 1};

    lost += sink_write(sink, &entry);
}

/* Reads everything that FD has now, as text. */
static size_t read_available(int fd, char *text, size_t size)
{
    size_t n = 0;

    while (n < size - 1 && poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) > 0) {
        ssize_t r = read(fd, text + n, size - 1 - n);
        if (r <= 0)
            break;
        n += (size_t)r;
    }
    text[n] = '\0';
    return n;
}

Test(sink, writes_plain_lines_on_flush)
{
    static struct sink sink;
    char text[256];
    int fds[2];

    cr_assert_eq(pipe(fds), 0);
    unsetenv("JOURNAL_STREAM");
    sink_init(&sink, fds[1]);
    write_entry(&sink, "Server is listening");
    write_entry(&sink, "Connection from 127.0.0.1:1");
    cr_assert_eq(read_available(fds[0], text, sizeof(text)), 0, "it is buffered first");
    sink_flush(&sink);
    read_available(fds[0], text, sizeof(text));
    cr_assert_str_eq(text, "Server is listening\nConnection from 127.0.0.1:1\n");
    sink_flush(&sink);
    cr_assert_eq(read_available(fds[0], text, sizeof(text)), 0);
}

Test(sink, adds_time_stamps_on_a_terminal_only)
{
    static struct sink sink;
    char text[256];
    int terminal, program;
    regex_t regex;

    cr_assert_eq(openpty(&terminal, &program, NULL, NULL, NULL), 0);
    sink_init(&sink, program);
    cr_assert(sink.time_stamps);
    write_entry(&sink, "Hello");
    sink_flush(&sink);
    read_available(terminal, text, sizeof(text));
    cr_assert_eq(regcomp(&regex, "^20[0-9]{2}-[01][0-9]-[0-3][0-9] [0-9:]{8} Hello\r\n$",
                         REG_EXTENDED | REG_NOSUB),
                 0);
    cr_assert_eq(regexec(&regex, text, 0, NULL, 0), 0, "%s", text);
    regfree(&regex);
}

#define HOUR UINT64_C(3600000000)

/* An entry may have waited for a journal that was blocked. */
Test(sink, logs_the_time_of_the_event_and_not_of_writing)
{
    const struct sink_entry entry = {LOG_INFO, ID, "Hello", .when_usec = clock_now() - HOUR};
    static struct sink sink;
    struct timespec now;
    struct tm stamp = {0};
    char text[256];
    int terminal, program, fds[2];

    cr_assert_eq(pipe(fds), 0);
    fake_journal_announce(fds[1], 0);
    sink_init(&sink, fds[1]);
    cr_assert_eq(sink_write(&sink, &entry), 0);
    clock_gettime(CLOCK_REALTIME, &now);
    const char *timestamp = strstr(fake_journal.last, "\nGREETD_TIMESTAMP=");
    cr_assert_not_null(timestamp);
    uint64_t when = strtoull(strchr(timestamp, '=') + 1, NULL, 10);
    int64_t ago = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 - (int64_t)when;
    cr_assert_geq(ago, (int64_t)HOUR);
    cr_assert_lt(ago, (int64_t)HOUR + 60000000);

    cr_assert_eq(openpty(&terminal, &program, NULL, NULL, NULL), 0);
    sink_init(&sink, program);
    cr_assert_eq(sink_write(&sink, &entry) + sink_flush(&sink), 0);
    read_available(terminal, text, sizeof(text));
    cr_assert_not_null(strptime(text, "%F %T", &stamp));
    stamp.tm_isdst = -1;
    cr_assert_leq(mktime(&stamp), now.tv_sec - 3600);
}

Test(sink, uses_the_journal_only_if_stderr_is_connected_to_it)
{
    static struct sink sink;
    int fds[2];

    cr_assert_eq(pipe(fds), 0);
    fake_journal_announce(fds[1], 0);
    sink_init(&sink, fds[1]);
    cr_assert(sink.journal);
    cr_assert_not(sink.time_stamps);

    fake_journal_announce(fds[1], 1);
    sink_init(&sink, fds[1]);
    cr_assert_not(sink.journal, "stderr was redirected");

    setenv("JOURNAL_STREAM", "nonsense", 1);
    sink_init(&sink, fds[1]);
    cr_assert_not(sink.journal);
    fake_journal_announce(fds[1], 0);
    sink_init(&sink, -1);
    cr_assert_not(sink.journal);
}

Test(sink, sends_all_fields_to_the_journal_and_nothing_to_stderr)
{
    static struct sink sink;
    char text[256];
    int fds[2];

    cr_assert_eq(pipe(fds), 0);
    fake_journal_announce(fds[1], 0);
    sink_init(&sink, fds[1]);
    write_entry(&sink, "Connection from 127.0.0.1:1");
    cr_assert_eq(fake_journal.n, 1);
    cr_assert(fake_journal_has("MESSAGE=Connection from 127.0.0.1:1"));
    cr_assert(fake_journal_has("PRIORITY=6"));
    cr_assert(fake_journal_has("MESSAGE_ID=" ID));
    cr_assert(fake_journal_has("GREETD_WORKER=1"));
    sink_flush(&sink);
    cr_assert_eq(read_available(fds[0], text, sizeof(text)), 0);
}

Test(sink, reports_an_entry_that_the_journal_refuses)
{
    static struct sink sink;
    int fds[2];

    cr_assert_eq(pipe(fds), 0);
    fake_journal_announce(fds[1], 0);
    sink_init(&sink, fds[1]);
    write_entry(&sink, "Taken");
    cr_assert_eq(lost, 0);
    fake_journal.error = -ECONNREFUSED;
    write_entry(&sink, "Not taken");
    cr_assert_eq(lost, 1);
    cr_assert_eq(sink_flush(&sink), 0);
}

Test(sink, flushes_a_full_buffer_without_loss)
{
    static struct sink sink;
    static char text[64 * 1024];
    char line[64];
    int fds[2];
    size_t lines = 0;

    cr_assert_eq(pipe(fds), 0);
    cr_assert_geq(fcntl(fds[1], F_SETPIPE_SZ, 64 * 1024), 64 * 1024);
    sink_init(&sink, fds[1]);
    for (int i = 0; i < 1000; i++) {
        snprintf(line, sizeof(line), "entry number %d of a thousand", i);
        write_entry(&sink, line);
        cr_assert_leq(sink.filled, sizeof(sink.buffer));
    }
    cr_assert_gt(read_available(fds[0], text, sizeof(text)), sizeof(sink.buffer) / 2);
    sink_flush(&sink);
    size_t n = strlen(text);
    read_available(fds[0], text + n, sizeof(text) - n);
    for (char *p = text; *p; p = strchr(p, '\n') + 1, lines++) {
        int length = snprintf(line, sizeof(line), "entry number %zu of a thousand\n", lines);
        cr_assert_eq(strncmp(p, line, (size_t)length), 0);
    }
    cr_assert_eq(lines, 1000);
}

Test(sink, truncates_a_long_message)
{
    static struct sink sink;
    char text[2048], message[1024];
    int terminal, program, fds[2];

    memset(message, 'x', sizeof(message) - 1);
    message[sizeof(message) - 1] = '\0';
    cr_assert_eq(pipe(fds), 0);
    sink_init(&sink, fds[1]);
    write_entry(&sink, message);
    sink_flush(&sink);
    cr_assert_eq(read_available(fds[0], text, sizeof(text)), SINK_MESSAGE_MAX);
    cr_assert_eq(text[SINK_MESSAGE_MAX - 1], '\n');
    cr_assert_eq(text[SINK_MESSAGE_MAX - 2], 'x');

    cr_assert_eq(openpty(&terminal, &program, NULL, NULL, NULL), 0);
    sink_init(&sink, program);
    write_entry(&sink, message);
    sink_flush(&sink);
    cr_assert_eq(read_available(terminal, text, sizeof(text)),
                 strlen("2000-01-01 00:00:00 ") + SINK_MESSAGE_MAX + 1);
}

static void *read_all(void *p)
{
    static char bytes[4096];
    const int *fd = p;
    size_t n = 0;
    ssize_t r;

    while ((r = read(*fd, bytes, sizeof(bytes))) > 0)
        n += (size_t)r;
    return (void *)n;
}

Test(sink, waits_for_a_non_blocking_stderr)
{
    static struct sink sink;
    pthread_t reader;
    void *n;
    int fds[2];

    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    cr_assert_geq(fcntl(fds[1], F_SETPIPE_SZ, 4096), 4096);
    sink_init(&sink, fds[1]);
    cr_assert_eq(pthread_create(&reader, NULL, read_all, &fds[0]), 0);
    for (int i = 0; i < 10000; i++)
        write_entry(&sink, "0123456789012345678");
    sink_flush(&sink);
    close(fds[1]);
    pthread_join(reader, &n);
    cr_assert_eq((size_t)n, 200000);
}

/* The stream of stderr has no fields. */
Test(sink, try_write_sends_the_message_to_stderr_if_the_journal_blocks)
{
    static struct sink sink;
    char text[256], bytes[4096] = "";
    int ends[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    fake_journal_announce(ends[1], 0);
    sink_init(&sink, ends[1]);
    sink_try_write(&sink, LOG_NOTICE, "7 are lost");
    read_available(ends[0], text, sizeof(text));
    cr_assert_str_eq(text, "<5>7 are lost\n");

    while (send(ends[1], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        ;
    sink_try_write(&sink, LOG_NOTICE, "Not sent");
}

Test(sink, try_write_writes_nothing_without_the_journal)
{
    static struct sink sink;
    char text[256];
    int ends[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    unsetenv("JOURNAL_STREAM");
    sink_init(&sink, ends[1]);
    sink_try_write(&sink, LOG_NOTICE, "7 are lost");
    cr_assert_eq(read_available(ends[0], text, sizeof(text)), 0);
}

Test(sink, counts_lost_lines)
{
    static struct sink sink;

    unsetenv("JOURNAL_STREAM");
    sink_init(&sink, open("/dev/full", O_WRONLY | O_CLOEXEC));
    for (int i = 0; i < 10000; i++)
        write_entry(&sink, "0123456789012345678");
    cr_assert_gt(lost, 0);
    cr_assert_eq(lost + sink_flush(&sink), 10000);
    cr_assert_eq(sink_flush(&sink), 0);
}

/* A file may take only the beginning of a buffer. */
Test(sink, does_not_count_the_written_lines_of_a_buffer_as_lost)
{
    static struct sink sink;
    char path[] = "/tmp/greetd-test-XXXXXX";

    signal(SIGXFSZ, SIG_IGN);
    unsetenv("JOURNAL_STREAM");
    sink_init(&sink, mkstemp(path));
    unlink(path);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){.rlim_cur = 50, .rlim_max = 50}), 0);
    for (int i = 0; i < 5; i++)
        write_entry(&sink, "0123456789012345678");
    cr_assert_eq(sink_flush(&sink), 3, "there is room for two and a half");
}

Test(sink, continues_after_the_reader_has_closed)
{
    static struct sink sink;
    int fds[2];

    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(pipe(fds), 0);
    close(fds[0]);
    sink_init(&sink, fds[1]);
    for (int i = 0; i < 10000; i++)
        write_entry(&sink, "0123456789012345678");
    sink_flush(&sink);
    cr_assert_eq(sink.filled, 0);
    sink_init(&sink, -1);
    write_entry(&sink, "Lost");
    sink_flush(&sink);
    cr_assert_eq(sink.filled, 0);
}

/* How many of the next calls a signal interrupts. */
static unsigned n_interrupted;

FAKE ssize_t write(int fd, const void *bytes, size_t size)
{
    if (n_interrupted > 0) {
        n_interrupted--;
        errno = EINTR;
        return -1;
    }
    return syscall(SYS_write, fd, bytes, size);
}

Test(sink, goes_on_after_a_signal)
{
    static struct sink sink;
    char text[256];
    int fds[2];

    cr_assert_eq(pipe(fds), 0);
    unsetenv("JOURNAL_STREAM");
    sink_init(&sink, fds[1]);
    write_entry(&sink, "Server is listening");
    n_interrupted = 3;
    size_t n_lost = sink_flush(&sink);
    cr_assert_eq(n_interrupted, 0);
    cr_assert_eq(n_lost, 0);
    read_available(fds[0], text, sizeof(text));
    cr_assert_str_eq(text, "Server is listening\n");
}
