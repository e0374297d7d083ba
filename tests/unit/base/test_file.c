/* SPDX-License-Identifier: MIT */
#include "greetd/base/file.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "greetd/base/cleanup.h"
#include "support/temp_dir.h"

static struct temp_dir temp_dir;

static void set_up(void)
{
    temp_dir_init(&temp_dir);
}

static void tear_down(void)
{
    temp_dir_deinit(&temp_dir);
}

TestSuite(file, .init = set_up, .fini = tear_down);
TestSuite(file_stamp, .init = set_up, .fini = tear_down);

static void expect_bytes(const char *path, const char *expected, size_t expected_size)
{
    _cleanup_free_ char *bytes = NULL;
    size_t size = 0;

    cr_assert_eq(file_read(&bytes, &size, path, SIZE_MAX / 2), 0, "%s", path);
    cr_assert_eq(size, expected_size);
    cr_expect_eq(memcmp(bytes, expected, size), 0);
    cr_expect_eq(bytes[size], '\0');
}

static void expect_error(const char *path, size_t limit, int error)
{
    char untouched[] = "", *bytes = untouched;
    size_t size = 7;

    cr_expect_eq(file_read(&bytes, &size, path, limit), error, "%s", path);
    cr_expect_eq(bytes, untouched);
    cr_expect_eq(size, 7);
}

Test(file, is_read_byte_for_byte)
{
    expect_bytes(temp_dir_write(&temp_dir, "a", "a\0\xff\r\n", 5), "a\0\xff\r\n", 5);
    expect_bytes(temp_dir_write_text(&temp_dir, "b", ""), "", 0);
}

Test(file, is_read_whole_whatever_its_size)
{
    static const size_t sizes[] = {4095, 4096, 4097, 65536, 1000001};

    for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
        _cleanup_free_ char *bytes = malloc(sizes[i]);
        for (size_t j = 0; j < sizes[i]; j++)
            bytes[j] = (char)(j * 31);
        expect_bytes(temp_dir_write(&temp_dir, "a", bytes, sizes[i]), bytes, sizes[i]);
    }
}

/* For stat(2) every file in /proc has the size 0. */
Test(file, is_read_to_its_end_even_if_its_size_is_unknown)
{
    _cleanup_free_ char *bytes = NULL;
    size_t size = 0;

    cr_assert_eq(file_read(&bytes, &size, "/proc/self/maps", SIZE_MAX / 2), 0);
    cr_expect_gt(size, 0);
    cr_expect_eq(size, strlen(bytes));
    cr_expect_eq(bytes[size - 1], '\n');
    expect_error("/proc/self/maps", 10, -EFBIG);
}

Test(file, is_refused_beyond_the_limit)
{
    const char *path = temp_dir_write_text(&temp_dir, "a", "12345");
    _cleanup_free_ char *bytes = NULL;
    size_t size;

    cr_expect_eq(file_read(&bytes, &size, path, 5), 0);
    expect_error(path, 4, -EFBIG);
    expect_error(path, 0, -EFBIG);
}

Test(file, is_found_through_a_symbolic_link)
{
    temp_dir_write_text(&temp_dir, "a", "text");
    expect_bytes(temp_dir_symlink(&temp_dir, "a", "link"), "text", 4);
    expect_error(temp_dir_symlink(&temp_dir, "nowhere", "broken"), 10, -ENOENT);
    expect_error(temp_dir_symlink(&temp_dir, "loop", "loop"), 10, -ELOOP);
}

Test(file, is_empty_if_it_is_dev_null)
{
    expect_bytes("/dev/null", "", 0);
    expect_bytes(temp_dir_symlink(&temp_dir, "/dev/null", "link"), "", 0);
}

Test(file, is_refused_if_it_is_not_regular)
{
    expect_error(temp_dir.directory, 10, -EISDIR);
    expect_error("/dev/zero", 10, -EINVAL);
    expect_error(temp_dir_path(&temp_dir, "none"), 10, -ENOENT);
    expect_error("", 10, -ENOENT);
}

/* Opening a FIFO for reading waits for a writer by default. */
Test(file, does_not_wait_for_a_fifo, .timeout = 10)
{
    const char *path = temp_dir_path(&temp_dir, "fifo");

    cr_assert_eq(mkfifo(path, 0600), 0);
    expect_error(path, 10, -EINVAL);
}

Test(file, has_a_text_for_every_error)
{
    cr_expect_str_eq(file_strerror(-ENOENT), "No such file or directory");
    cr_expect_str_eq(file_strerror(-EISDIR), "Is a directory");
    cr_expect_str_eq(file_strerror(-EINVAL), "Not a regular file");
    cr_expect_str_eq(file_strerror(-EFBIG), "File too large");
}

static struct file_stamp stamp_of(const char *path)
{
    struct file_stamp stamp;

    cr_assert_eq(file_stamp_take(&stamp, path), 0, "%s", path);
    return stamp;
}

static bool has_changed(const struct file_stamp *before, const char *path)
{
    const struct file_stamp now = stamp_of(path);

    return !file_stamp_equal(before, &now);
}

Test(file_stamp, is_equal_while_the_file_stays)
{
    const char *path = temp_dir_write_text(&temp_dir, "file", "a");
    const struct file_stamp before = stamp_of(path);

    cr_expect_not(has_changed(&before, path));
}

Test(file_stamp, differs_after_each_kind_of_change)
{
    char path[sizeof(temp_dir.path)], other[sizeof(temp_dir.path)];
    const struct timespec times[] = {{.tv_sec = 1}, {.tv_sec = 1}};

    strcpy(other, temp_dir_write_text(&temp_dir, "other", "a"));
    strcpy(path, temp_dir_write_text(&temp_dir, "file", "a"));
    struct file_stamp before = stamp_of(path);
    temp_dir_write_text(&temp_dir, "file", "ab");
    cr_expect(has_changed(&before, path), "its size");
    before = stamp_of(path);
    cr_assert_eq(utimensat(AT_FDCWD, path, times, 0), 0);
    cr_expect(has_changed(&before, path), "its modification time");
    cr_expect_eq(stamp_of(path).modified_nsec, 1000000000);
    before = stamp_of(path);
    cr_assert_eq(rename(other, path), 0);
    cr_expect(has_changed(&before, path), "another file");
}

Test(file_stamp, has_the_nearest_time_if_the_year_is_too_far_away)
{
    const struct timespec future[] = {{.tv_sec = 10413792000}, {.tv_sec = 10413792000}};
    const char *path = temp_dir_write_text(&temp_dir, "file", "a");

    cr_assert_eq(utimensat(AT_FDCWD, path, future, 0), 0);
    cr_expect_eq(stamp_of(path).modified_nsec, INT64_MAX);
}

/* Returns the stamp of a file that was modified at SEC and NSEC, in a file system with any time. */
static struct file_stamp stamp_at(time_t sec, long nsec)
{
    const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = sec, .tv_nsec = nsec}};
    _cleanup_close_ int fd = memfd_create("file", MFD_CLOEXEC);
    char path[64];

    cr_assert_eq(futimens(fd, times), 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return stamp_of(path);
}

Test(file_stamp, has_any_time_of_64_bits_of_nanoseconds)
{
    cr_expect_eq(stamp_at(-1, 5).modified_nsec, -999999995);
    cr_expect_eq(stamp_at(9223372036, 854775807).modified_nsec, INT64_MAX);
    cr_expect_eq(stamp_at(9223372036, 854775808).modified_nsec, INT64_MAX);
    cr_expect_eq(stamp_at(-9223372037, 0).modified_nsec, INT64_MIN);
}

Test(file_stamp, differs_in_any_part)
{
    const struct file_stamp stamp = {0};
    const struct file_stamp others[] = {
        {.device = 1}, {.inode = 1}, {.size = 1}, {.modified_nsec = 1}, {.changed_nsec = 1}};

    for (size_t i = 0; i < ELEMENTSOF(others); i++)
        cr_expect_not(file_stamp_equal(&stamp, &others[i]), "%zu", i);
}

Test(file_stamp, is_that_of_the_target_of_a_link)
{
    const struct file_stamp target = stamp_of(temp_dir_write_text(&temp_dir, "file", "a"));

    cr_expect_not(has_changed(&target, temp_dir_symlink(&temp_dir, "file", "link")));
}

Test(file_stamp, of_a_missing_file_is_all_zeroes)
{
    const struct file_stamp zeroes = {0};
    struct file_stamp stamp = {.size = 1};

    cr_expect_eq(file_stamp_take(&stamp, temp_dir_path(&temp_dir, "none")), -ENOENT);
    cr_expect(file_stamp_equal(&stamp, &zeroes));
}
