/* SPDX-License-Identifier: MIT */

/* What the system does not allow, and events that were lost. */

/* With it readlink(2) is an inline function, which this test could not replace. */
#undef _FORTIFY_SOURCE

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "greetd/base/file_watch.h"
#include "support/descriptors.h"
#include "support/fake.h"
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

/* What the kernel returns instead, for the call with that number from 1 on; 0: nothing. */
static struct {
    int watch_error, watch_number, link_error;
} kernel;

FAKE int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
    if (kernel.watch_number > 0 && --kernel.watch_number == 0) {
        errno = kernel.watch_error;
        return -1;
    }
    return (int)syscall(SYS_inotify_add_watch, fd, path, mask);
}

FAKE ssize_t readlink(const char *path, char *buffer, size_t size)
{
    if (kernel.link_error != 0) {
        errno = kernel.link_error;
        return -1;
    }
    return syscall(SYS_readlinkat, AT_FDCWD, path, buffer, size);
}

/* Returns the result of file_watch_init() for PATH when the watch with that number fails. */
static int init_with_error(const char *path, int number, int error)
{
    struct file_watch watch;

    kernel.watch_number = number;
    kernel.watch_error = error;
    int r = file_watch_init(&watch, path);
    file_watch_deinit(&watch);
    return r;
}

Test(file_watch_limits, are_the_number_of_watches_and_of_descriptors)
{

    cr_expect_eq(init_with_error("/etc/passwd", 1, ENOSPC), -ENOSPC);
    cr_expect_eq(init_with_error("/etc/passwd", 2, ENOSPC), -ENOSPC);
    struct rlimit limit = descriptors_deny();
    int r = init_with_error("/etc/passwd", 0, 0);
    descriptors_allow(limit);
    cr_expect_eq(r, -EMFILE);
}

/* What vanishes on the way is like what is missing; the file itself may not be readable. */
Test(file_watch_limits, are_not_what_vanishes_on_the_way)
{
    struct temp_dir temp_dir;

    cr_expect_eq(init_with_error("/etc/passwd", 2, ENOENT), 0);
    cr_expect_eq(init_with_error("/etc/passwd", 3, EACCES), 0);
    temp_dir_init(&temp_dir);
    const char *path = temp_dir_symlink(&temp_dir, "nowhere", "link");
    kernel.link_error = ENOENT;
    cr_expect_eq(init_with_error(path, 0, 0), 0);
    kernel.link_error = EACCES;
    cr_expect_eq(init_with_error(path, 0, 0), -EACCES);
    temp_dir_deinit(&temp_dir);
}

Test(file_watch_limits, are_the_length_of_a_path_with_its_links)
{
    struct temp_dir temp_dir;
    char target[PATH_MAX], path[PATH_MAX];

    temp_dir_init(&temp_dir);
    memset(target, '/', sizeof(target) - 2);
    target[sizeof(target) - 2] = '\0';
    temp_dir_symlink(&temp_dir, target, "link");
    snprintf(path, sizeof(path), "%s/file", temp_dir.path);
    cr_expect_eq(init_with_error(path, 0, 0), -ENAMETOOLONG);
    cr_expect_eq(init_with_error(temp_dir.path, 0, 0), 0, "the root");
    temp_dir_deinit(&temp_dir);
}
