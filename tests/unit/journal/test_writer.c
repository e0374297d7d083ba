/* SPDX-License-Identifier: MIT */
#include "greetd/journal/writer.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

#include "greetd/base/clock.h"
#include "greetd/journal/catalog.h"
#include "greetd/journal/logger.h"
#include "support/fake_journal.h"
#include "support/logger_options.h"
#include "support/net.h"

TestSuite(writer, .timeout = 60);

static atomic_bool in_journal, blocked;

/* Keeps the thread in the journal while BLOCKED is set. */
static void block(void)
{
    atomic_store(&in_journal, true);
    while (atomic_load(&blocked))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* A reload may free the configuration, which owns the name, before the journal takes the entry. */
Test(writer, names_a_listener_whose_configuration_has_been_freed)
{
    struct sink sink;
    struct metrics *metrics;
    struct logger *logger;
    char name[] = "web";
    int fd = memfd_create("log", MFD_CLOEXEC);

    fake_journal_announce(fd, 0);
    sink_init(&sink, fd);
    fake_journal.hook = block;
    atomic_store(&blocked, true);
    cr_assert_eq(metrics_new(&metrics, 1), 0);
    cr_assert_eq(logger_start(&logger, &sink, metrics, &LOGGER_EVERYTHING), 0);
    logger_log(logger, LOG_INFO, MESSAGE_ID_RELOADED, "First");
    NET_WAIT_UNTIL(atomic_load(&in_journal));
    logger_log_about(logger, name, LOG_INFO, MESSAGE_ID_LISTENING, "Server is listening on %s",
                     "127.0.0.1:80");
    memset(name, 'x', sizeof(name) - 1);
    atomic_store(&blocked, false);
    cr_assert_eq(logger_stop(logger, USEC_INFINITY), 0);
    metrics_free(metrics);
    cr_assert(fake_journal_has("GREETD_LISTENER=web"), "%s", fake_journal.last);
    close(fd);
}
