/* SPDX-License-Identifier: MIT */
#include "greetd/base/file_watch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/descriptors.h"
#include "support/temp_dir.h"

/* The kernel queues an event before the system call that causes it returns, so no test waits. */

static struct temp_dir temp_dir;
static struct file_watch watch;

static void set_up(void)
{
    temp_dir_init(&temp_dir);
    watch = FILE_WATCH_NULL;
}

static void tear_down(void)
{
    file_watch_deinit(&watch);
    temp_dir_deinit(&temp_dir);
}

TestSuite(file_watch, .init = set_up, .fini = tear_down, .timeout = 60);

static void begin(const char *name)
{
    cr_assert_eq(file_watch_init(&watch, temp_dir_path(&temp_dir, name)), 0, "%s", name);
}

/* What file_watch_read() returns, after which nothing must be left to read. */
static int changed(void)
{
    int r = file_watch_read(&watch);

    cr_expect_eq(file_watch_read(&watch), 0);
    return r;
}

static void write_file(const char *name)
{
    temp_dir_write_text(&temp_dir, name, "text");
}

static void rename_to(const char *from, const char *to)
{
    char source[sizeof(temp_dir.path)];

    strcpy(source, temp_dir_path(&temp_dir, from));
    cr_assert_eq(rename(source, temp_dir_path(&temp_dir, to)), 0, "%s to %s", from, to);
}

static void link_to(const char *from, const char *to)
{
    char source[sizeof(temp_dir.path)];

    strcpy(source, temp_dir_path(&temp_dir, from));
    cr_assert_eq(link(source, temp_dir_path(&temp_dir, to)), 0);
}

static void remove_file(const char *name)
{
    cr_assert_eq(unlink(temp_dir_path(&temp_dir, name)), 0, "%s", name);
}

static int open_file(const char *name, int flags)
{
    int fd = open(temp_dir_path(&temp_dir, name), flags | O_WRONLY | O_CLOEXEC, 0600);

    cr_assert_geq(fd, 0);
    return fd;
}

/* Swaps the link NAME to TARGET by rename(2), as `ln -sfT` does and Kubernetes with `..data`. */
static void swap_link(const char *target, const char *name)
{
    temp_dir_symlink(&temp_dir, target, "link.new");
    rename_to("link.new", name);
}

/* The number of watches that the kernel has for the descriptor (proc_pid_fdinfo(5)). */
static size_t count_watches(void)
{
    char path[64], line[512];
    size_t n = 0;

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", watch.fd);
    FILE *stream = fopen(path, "re");
    cr_assert_not_null(stream);
    while (fgets(line, sizeof(line), stream))
        n += strncmp(line, "inotify ", 8) == 0;
    fclose(stream);
    return n;
}

Test(file_watch, sees_no_change_where_nothing_happens)
{
    write_file("file");
    begin("file");
    cr_expect_eq(changed(), 0);
}

Test(file_watch, sees_a_file_that_is_renamed_over_it)
{
    write_file("file");
    begin("file");
    write_file("other");
    cr_expect_eq(changed(), 0, "the other file is not renamed yet");
    rename_to("other", "file");
    cr_expect_eq(changed(), 1);
    write_file("other");
    rename_to("other", "file");
    cr_expect_eq(changed(), 1, "nor does it look at the first file for ever");
}

Test(file_watch, sees_a_write_when_its_writer_closes_the_file)
{
    write_file("file");
    begin("file");
    int fd = open_file("file", O_TRUNC);
    cr_assert_eq(write(fd, "a", 1), 1);
    cr_expect_eq(changed(), 0);
    close(fd);
    cr_expect_eq(changed(), 1);
}

Test(file_watch, sees_a_new_file_when_its_writer_closes_it)
{
    begin("file");
    int fd = open_file("file", O_CREAT | O_EXCL);
    cr_expect_eq(changed(), 0);
    cr_assert_eq(write(fd, "a", 1), 1);
    cr_expect_eq(changed(), 0);
    close(fd);
    cr_expect_eq(changed(), 1);
}

Test(file_watch, sees_a_link_to_a_complete_file_at_once)
{
    write_file("other");
    begin("file");
    link_to("other", "file");
    cr_expect_eq(changed(), 1, "a hard link");
    remove_file("file");
    cr_expect_eq(changed(), 1);
    temp_dir_symlink(&temp_dir, "other", "file");
    cr_expect_eq(changed(), 1, "a symbolic link");
}

Test(file_watch, sees_a_removal_and_a_return)
{
    write_file("file");
    begin("file");
    remove_file("file");
    cr_expect_eq(changed(), 1);
    write_file("file");
    cr_expect_eq(changed(), 1);
    rename_to("file", "away");
    cr_expect_eq(changed(), 1);
    rename_to("away", "file");
    cr_expect_eq(changed(), 1);
    remove_file("file");
    cr_expect_eq(changed(), 1);
    write_file("file");
    remove_file("file");
    cr_expect_eq(changed(), 1);
}

Test(file_watch, sees_new_times_and_permissions)
{
    write_file("file");
    begin("file");
    cr_assert_eq(utimensat(AT_FDCWD, temp_dir_path(&temp_dir, "file"), NULL, 0), 0);
    cr_expect_eq(changed(), 1);
    cr_assert_eq(chmod(temp_dir_path(&temp_dir, "file"), 0), 0);
    cr_expect_eq(changed(), 1);
    cr_assert_eq(chmod(temp_dir.directory, 0711), 0);
    cr_expect_eq(changed(), 1);
}

Test(file_watch, sees_a_write_under_another_name_of_the_file)
{
    write_file("other");
    link_to("other", "file");
    begin("file");
    write_file("other");
    cr_expect_eq(changed(), 1);
    write_file("new");
    rename_to("new", "file");
    cr_expect_eq(changed(), 1);
    write_file("other");
    cr_expect_eq(changed(), 0, "the two are different files now");
}

Test(file_watch, ignores_other_files_of_its_directories)
{
    temp_dir_mkdir(&temp_dir, "a");
    write_file("a/file");
    begin("a/file");
    write_file("a/file2");
    write_file("file");
    temp_dir_mkdir(&temp_dir, "b");
    write_file("b/file");
    cr_expect_eq(changed(), 0);
}

Test(file_watch, follows_a_symbolic_link_that_is_swapped)
{
    write_file("one");
    write_file("two");
    temp_dir_symlink(&temp_dir, "one", "file");
    begin("file");
    write_file("one");
    cr_expect_eq(changed(), 1, "the target is watched");
    swap_link("two", "file");
    cr_expect_eq(changed(), 1);
    write_file("two");
    cr_expect_eq(changed(), 1);
    write_file("one");
    cr_expect_eq(changed(), 0, "the old target is not watched any more");
}

/* file -> ..data/file, ..data -> ..2 */
Test(file_watch, follows_a_link_to_a_directory_in_the_middle_as_in_a_config_map)
{
    temp_dir_mkdir(&temp_dir, "..1");
    write_file("..1/file");
    temp_dir_symlink(&temp_dir, "..1", "..data");
    temp_dir_symlink(&temp_dir, "..data/file", "file");
    begin("file");
    temp_dir_mkdir(&temp_dir, "..2");
    write_file("..2/file");
    cr_expect_eq(changed(), 0);
    swap_link("..2", "..data");
    cr_expect_eq(changed(), 1);
    remove_file("..1/file");
    cr_assert_eq(rmdir(temp_dir_path(&temp_dir, "..1")), 0);
    cr_expect_eq(changed(), 0, "the old version is not watched any more");
    write_file("..2/file");
    cr_expect_eq(changed(), 1);
}

Test(file_watch, sees_a_directory_of_its_path_that_is_replaced)
{
    temp_dir_mkdir(&temp_dir, "a");
    temp_dir_mkdir(&temp_dir, "a/b");
    write_file("a/b/file");
    begin("a/b/file");
    temp_dir_mkdir(&temp_dir, "new");
    temp_dir_mkdir(&temp_dir, "new/b");
    write_file("new/b/file");
    rename_to("a", "old");
    rename_to("new", "a");
    cr_expect_eq(changed(), 1);
    write_file("old/b/file");
    cr_expect_eq(changed(), 0);
    write_file("a/b/file");
    cr_expect_eq(changed(), 1);
}

Test(file_watch, waits_for_directories_that_do_not_exist_yet)
{
    begin("a/b/file");
    temp_dir_mkdir(&temp_dir, "a");
    cr_expect_eq(changed(), 1);
    temp_dir_mkdir(&temp_dir, "a/b");
    cr_expect_eq(changed(), 1);
    write_file("a/b/file");
    cr_expect_eq(changed(), 1);
}

Test(file_watch, sees_directories_and_a_file_that_appear_at_once)
{
    begin("a/b/file");
    temp_dir_mkdir(&temp_dir, "a");
    temp_dir_mkdir(&temp_dir, "a/b");
    write_file("a/b/file");
    cr_expect_eq(changed(), 1);
    write_file("a/b/file");
    cr_expect_eq(changed(), 1);
}

Test(file_watch, sees_a_directory_that_is_removed_and_returns)
{
    temp_dir_mkdir(&temp_dir, "a");
    write_file("a/file");
    begin("a/file");
    remove_file("a/file");
    cr_assert_eq(rmdir(temp_dir_path(&temp_dir, "a")), 0);
    cr_expect_eq(changed(), 1);
    temp_dir_mkdir(&temp_dir, "a");
    cr_expect_eq(changed(), 1);
    write_file("a/file");
    cr_expect_eq(changed(), 1);
}

Test(file_watch, follows_relative_links_and_dots)
{
    char absolute[sizeof(temp_dir.path)];

    temp_dir_mkdir(&temp_dir, "a");
    temp_dir_mkdir(&temp_dir, "b");
    write_file("b/target");
    temp_dir_symlink(&temp_dir, ".././b/../b//target", "a/relative");
    strcpy(absolute, temp_dir_path(&temp_dir, "a/relative"));
    temp_dir_symlink(&temp_dir, absolute, "b/absolute");
    begin("a/./../b/absolute");
    write_file("b/target");
    cr_expect_eq(changed(), 1);
    rename_to("a/relative", "a/away");
    cr_expect_eq(changed(), 1);
    rename_to("a/away", "a/relative");
    cr_expect_eq(changed(), 1);
}

Test(file_watch, goes_up_from_the_target_of_a_link_not_from_the_link)
{
    temp_dir_mkdir(&temp_dir, "a");
    temp_dir_mkdir(&temp_dir, "a/deep");
    write_file("a/file");
    temp_dir_symlink(&temp_dir, "a/deep", "link");
    begin("link/../file");
    write_file("file");
    cr_expect_eq(changed(), 0);
    write_file("a/file");
    cr_expect_eq(changed(), 1);
}

Test(file_watch, does_not_go_above_the_root)
{
    char path[PATH_MAX];

    write_file("file");
    snprintf(path, sizeof(path), "/../..%s", temp_dir_path(&temp_dir, "file"));
    cr_assert_eq(file_watch_init(&watch, path), 0);
    write_file("file");
    cr_expect_eq(changed(), 1);
}

Test(file_watch, fails_for_a_loop_and_sees_its_end)
{
    temp_dir_symlink(&temp_dir, "b", "a");
    temp_dir_symlink(&temp_dir, "a", "b");
    cr_assert_eq(file_watch_init(&watch, temp_dir_path(&temp_dir, "a")), -ELOOP);
    write_file("c");
    swap_link("c", "b");
    cr_expect_eq(changed(), 1);
    write_file("c");
    cr_expect_eq(changed(), 1);
}

Test(file_watch, fails_for_a_path_that_is_too_long)
{
    static char path[2 * PATH_MAX] = "/";

    memset(path + 1, 'a', PATH_MAX);
    cr_expect_eq(file_watch_init(&watch, path), -ENAMETOOLONG);
}

Test(file_watch, takes_a_file_in_the_place_of_a_directory_for_a_missing_one)
{
    write_file("a");
    begin("a/file");
    remove_file("a");
    temp_dir_mkdir(&temp_dir, "a");
    cr_expect_eq(changed(), 1);
    write_file("a/file");
    cr_expect_eq(changed(), 1);
}

Test(file_watch, leaves_no_watch_or_descriptor_behind)
{
    size_t descriptors = descriptors_count();

    temp_dir_mkdir(&temp_dir, "one");
    temp_dir_mkdir(&temp_dir, "two");
    write_file("one/file");
    write_file("two/file");
    temp_dir_symlink(&temp_dir, "one", "link");
    begin("link/file");
    size_t watches = count_watches();
    for (int i = 0; i < 1000; i++) {
        swap_link(i % 2 == 0 ? "two" : "one", "link");
        cr_assert_eq(file_watch_read(&watch), 1);
        cr_assert_eq(count_watches(), watches, "after %d changes", i);
    }
    file_watch_deinit(&watch);
    cr_expect_eq(descriptors_count(), descriptors);
}
