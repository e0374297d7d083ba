/* SPDX-License-Identifier: MIT */

/* Lines that write(2) does not take when the log ends. */

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "greetd/journal/writer.h"
#include "support/fake.h"
#include "support/logger_fixture.h"

TestSuite(writer_lost, .timeout = 60);

/* The write(2) of the log thread: the first call blocks, the second one fails. */
static struct {
    int fd;
    unsigned n;
    sem_t blocked, unblocked;
} fake = {.fd = -1};

/* In place of that of the C library. */
FAKE ssize_t write(int fd, const void *buf, size_t n)
{
    if (fd == fake.fd) {
        fake.n++;
        if (fake.n == 1) {
            sem_post(&fake.blocked);
            sem_wait(&fake.unblocked);
        } else if (fake.n == 2) {
            errno = EIO;
            return -1;
        }
    }
    return syscall(SYS_write, fd, buf, n);
}

static void open_pipe(struct logger_fixture *fixture)
{
    sem_init(&fake.blocked, 0, 0);
    sem_init(&fake.unblocked, 0, 0);
    cr_assert_eq(pipe(fixture->pipe), 0);
    fake.fd = fixture->pipe[1];
    sink_init(&fixture->sink, fake.fd);
    cr_assert_eq(metrics_new(&fixture->metrics, 1), 0);
    cr_assert_eq(
        logger_start(&fixture->logger, &fixture->sink, fixture->metrics, &LOGGER_EVERYTHING), 0);
}

Test(writer_lost, the_last_lines_are_announced_if_they_are_lost)
{
    static struct logger_fixture fixture;
    char text[1024] = "";

    open_pipe(&fixture);
    logger_fixture_log(&fixture, 0, 1);
    sem_wait(&fake.blocked);
    /* Taken out of the ring after the stop. */
    logger_fixture_log(&fixture, 0, 2);
    logger_fixture_log(&fixture, 0, 3);
    cr_assert_eq(logger_end(fixture.logger, clock_now()), -ETIMEDOUT);
    sem_post(&fake.unblocked);
    cr_assert_eq(pthread_join(fixture.logger->thread, NULL), 0);
    cr_assert_gt(read(fixture.pipe[0], text, sizeof(text) - 1), 0);
    cr_assert(strstr(text, "2 connection entries left out"), "%s", text);
}
