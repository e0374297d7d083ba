/* SPDX-License-Identifier: MIT */
#include "greetd/journal/writer.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

#include "greetd/base/timeout_queue.h"
#include "greetd/journal/logger.h"
#include "support/fake_journal.h"
#include "support/logger_options.h"
#include "support/net.h"

TestSuite(connlog_thread, .timeout = 60);

static atomic_bool standing, stands_still;

/* The journal does not take another entry for as long as that. */
static void stand(void)
{
    atomic_store(&standing, true);
    while (atomic_load(&stands_still))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* A reload may have freed the configuration, with the name, before the journal takes the entry. */
Test(connlog_thread, names_a_socket_whose_configuration_is_gone)
{
    struct log log;
    struct connlog *connlog;
    char name[] = "web";
    int fd = memfd_create("log", MFD_CLOEXEC);

    journal_announce(fd, 0);
    log_init(&log, fd);
    journal.hook = stand;
    atomic_store(&stands_still, true);
    cr_assert_eq(connlog_start(&connlog, &log, 1, &CONNLOG_EVERYTHING), 0);
    connlog_message(connlog, LOG_INFO, LOG_ID_RELOADED, "First");
    NET_WAIT_UNTIL(atomic_load(&standing));
    connlog_listening(connlog, name, "127.0.0.1:80");
    memset(name, 'x', sizeof(name) - 1);
    atomic_store(&stands_still, false);
    cr_assert_eq(connlog_stop(connlog, DEADLINE_NEVER), 0);
    cr_assert(journal_has("GREETD_LISTENER=web"), "%s", journal.last);
    close(fd);
}
