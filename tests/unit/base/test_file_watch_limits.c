/* SPDX-License-Identifier: MIT */

/* What the system does not allow, and events that were lost. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "greetd/base/file_watch.h"
#include "support/temp_dir.h"

TestSuite(file_watch_limits, .timeout = 120);

#define NOBODY 65534

static long read_number(const char *path)
{
    FILE *stream = fopen(path, "re");
    long number = 0;

    cr_assert_not_null(stream);
    cr_assert_eq(fscanf(stream, "%ld", &number), 1);
    fclose(stream);
    return number;
}

/* Events of the same kind for the same name in turn are two; equal neighbours would be merged. */
Test(file_watch_limits, take_lost_events_for_a_change)
{
    long n_max = read_number("/proc/sys/fs/inotify/max_queued_events");
    struct temp_dir temp_dir;
    struct file_watch watch;

    temp_dir_init(&temp_dir);
    temp_dir_write_text(&temp_dir, "file", "");
    cr_assert_eq(file_watch_init(&watch, temp_dir_path(&temp_dir, "file")), 0);
    for (long i = 0; i <= n_max; i++) {
        temp_dir_write_text(&temp_dir, "other", "");
        unlink(temp_dir_path(&temp_dir, "other"));
    }
    cr_expect_eq(file_watch_read(&watch), 1);
    cr_expect_eq(file_watch_read(&watch), 0);
    temp_dir_write_text(&temp_dir, "file", "");
    cr_expect_eq(file_watch_read(&watch), 1);
    file_watch_deinit(&watch);
    temp_dir_deinit(&temp_dir);
}

/* Runs TEST in a child without privileges, whose exit status is that of TEST. */
static int as_nobody(int (*test)(struct temp_dir *), struct temp_dir *temp_dir)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(setuid(NOBODY) == 0 ? test(temp_dir) : 99);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

/* The directory of the file must be readable. */
static int init_below_unreadable(struct temp_dir *temp_dir)
{
    struct file_watch watch;

    return file_watch_init(&watch, temp_dir_path(temp_dir, "a/file")) == -EACCES ? 0 : 1;
}

/* One on the way need not be. */
static int watch_through_unreadable(struct temp_dir *temp_dir)
{
    struct file_watch watch;

    if (file_watch_init(&watch, temp_dir_path(temp_dir, "a/b/file")) < 0)
        return 1;
    temp_dir_write_text(temp_dir, "a/b/file", "");
    return file_watch_read(&watch) == 1 ? 0 : 2;
}

Test(file_watch_limits, are_the_permissions_of_directories)
{
    struct temp_dir temp_dir;

    if (getuid() != 0)
        cr_skip("only root can become another user");
    temp_dir_init(&temp_dir);
    cr_assert_eq(chmod(temp_dir.directory, 0755), 0);
    temp_dir_mkdir(&temp_dir, "a");
    temp_dir_mkdir(&temp_dir, "a/b");
    cr_assert_eq(chmod(temp_dir_path(&temp_dir, "a/b"), 0777), 0);
    cr_assert_eq(chmod(temp_dir_path(&temp_dir, "a"), 0711), 0);
    cr_expect_eq(as_nobody(init_below_unreadable, &temp_dir), 0);
    cr_expect_eq(as_nobody(watch_through_unreadable, &temp_dir), 0);
    temp_dir_deinit(&temp_dir);
}
