/* SPDX-License-Identifier: MIT */
#include "greetd/control/announce.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "greetd/base/clock.h"
#include "greetd/journal/catalog.h"
#include "support/fake_journal.h"
#include "support/fake_systemd.h"
#include "support/logger_options.h"

TestSuite(announce, .timeout = 60, .init = fake_systemd_open);

#define DENIED "Failed to listen: Permission denied"

Test(announce, logs_a_failure_and_sends_it_to_systemd)
{
    struct sink sink;
    struct metrics *metrics;
    struct logger *logger;
    int fd = memfd_create("log", MFD_CLOEXEC);

    fake_journal_announce(fd, 0);
    sink_init(&sink, fd);
    cr_assert_eq(metrics_new(&metrics, 0), 0);
    cr_assert_eq(logger_start(&logger, &sink, metrics, &LOGGER_EVERYTHING), 0);
    cr_assert_eq(announce_failure(&sink, logger, "Failed to listen", -EACCES), EX_OSERR);
    cr_assert_eq(logger_stop(logger, USEC_INFINITY), 0);
    metrics_free(metrics);
    cr_assert(fake_journal_has("MESSAGE=" DENIED));
    cr_assert(fake_journal_has("MESSAGE_ID=" MESSAGE_ID_FAILED));
    cr_assert(fake_journal_has("PRIORITY=3"));
    cr_assert(fake_systemd_receive());
    cr_assert_str_eq(fake_systemd.last, "STATUS=" DENIED "\nERRNO=13");
}

Test(announce, bypasses_the_journal_without_a_log_thread)
{
    struct sink sink;
    char text[256] = "";
    int ends[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    fake_journal_announce(ends[1], 0);
    sink_init(&sink, ends[1]);
    cr_assert_eq(announce_failure(&sink, NULL, "Failed to listen", -EACCES), EX_OSERR);
    cr_assert_gt(read(ends[0], text, sizeof(text) - 1), 0);
    cr_assert_str_eq(text, "<3>" DENIED "\n");
    cr_assert_eq(fake_journal.n, 0);
}

Test(announce, writes_a_plain_line_without_the_journal)
{
    struct sink sink;
    char text[256] = "";
    int fds[2];

    cr_assert_eq(pipe(fds), 0);
    unsetenv("JOURNAL_STREAM");
    sink_init(&sink, fds[1]);
    cr_assert_eq(announce_failure(&sink, NULL, "Failed to listen", -EACCES), EX_OSERR);
    cr_assert_gt(read(fds[0], text, sizeof(text) - 1), 0);
    cr_assert_str_eq(text, DENIED "\n");
}

Test(announce, sends_that_memory_is_short_where_there_was_none_for_a_line)
{
    const struct diagnostics diagnostics = {.n_errors = 1};
    struct sink sink;

    sink_init(&sink, memfd_create("log", MFD_CLOEXEC));
    cr_assert_eq(announce_failure_lines(&sink, NULL, &diagnostics, -ENOMEM), EX_OSERR);
    cr_assert(fake_systemd_receive());
    cr_assert_str_eq(fake_systemd.last, "STATUS=Out of memory\nERRNO=12");
}
