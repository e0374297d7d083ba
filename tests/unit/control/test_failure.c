/* SPDX-License-Identifier: MIT */
#include "greetd/control/failure.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "greetd/base/timeout_queue.h"
#include "support/fake_journal.h"
#include "support/fake_systemd.h"
#include "support/logger_options.h"

TestSuite(failure, .timeout = 60, .init = manager_open);

#define DENIED "Failed to listen: Permission denied"

Test(failure, goes_to_the_log_and_to_systemd)
{
    struct log log;
    struct connlog *connlog;
    int fd = memfd_create("log", MFD_CLOEXEC);

    journal_announce(fd, 0);
    log_init(&log, fd);
    cr_assert_eq(connlog_start(&connlog, &log, 0, &CONNLOG_EVERYTHING), 0);
    cr_assert_eq(failure_report(&log, connlog, "Failed to listen", -EACCES), EX_OSERR);
    cr_assert_eq(connlog_stop(connlog, DEADLINE_NEVER), 0);
    cr_assert(journal_has("MESSAGE=" DENIED));
    cr_assert(journal_has("MESSAGE_ID=" LOG_ID_FAILED));
    cr_assert(journal_has("PRIORITY=3"));
    cr_assert(manager_hear());
    cr_assert_str_eq(manager.last, "STATUS=" DENIED "\nERRNO=13");
}

Test(failure, goes_past_the_journal_if_no_thread_may_wait_for_it)
{
    struct log log;
    char text[256] = "";
    int ends[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    journal_announce(ends[1], 0);
    log_init(&log, ends[1]);
    cr_assert_eq(failure_report(&log, NULL, "Failed to listen", -EACCES), EX_OSERR);
    cr_assert_gt(read(ends[0], text, sizeof(text) - 1), 0);
    cr_assert_str_eq(text, "<3>" DENIED "\n");
    cr_assert_eq(journal.n, 0);
}

Test(failure, is_a_line_without_the_journal)
{
    struct log log;
    char text[256] = "";
    int fds[2];

    cr_assert_eq(pipe(fds), 0);
    unsetenv("JOURNAL_STREAM");
    log_init(&log, fds[1]);
    cr_assert_eq(failure_report(&log, NULL, "Failed to listen", -EACCES), EX_OSERR);
    cr_assert_gt(read(fds[0], text, sizeof(text) - 1), 0);
    cr_assert_str_eq(text, DENIED "\n");
}
