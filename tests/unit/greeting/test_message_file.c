/* SPDX-License-Identifier: MIT */

/* With it read(2) is an inline function, which a definition here could not replace. */
#undef _FORTIFY_SOURCE

#include "greetd/greeting/message_file.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "greetd/base/clock.h"
#include "support/descriptors.h"
#include "support/fake.h"
#include "support/fake_clock.h"
#include "support/temp_dir.h"

#define ORIGIN "greetd.conf:3"
#define SEC    INT64_C(1000000)
#define HOUR   (3600 * SEC)

static struct temp_dir temp_dir;
static char path[sizeof(temp_dir.path)];
static struct diagnostics diagnostics;
static struct message_file file;

static void set_up(void)
{
    temp_dir_init(&temp_dir);
    strcpy(path, temp_dir_path(&temp_dir, "message"));
    diagnostics = DIAGNOSTICS_NULL;
    file = (struct message_file){.watch = FILE_WATCH_NULL};
}

static void tear_down(void)
{
    message_file_deinit(&file);
    diagnostics_deinit(&diagnostics);
    temp_dir_deinit(&temp_dir);
}

/* Called at the next read(2) of a regular file. */
static void (*on_read)(void);

/* In place of that of the C library. */
FAKE ssize_t read(int fd, void *bytes, size_t size)
{
    struct stat status;
    void (*hook)(void) = on_read;

    if (hook && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        on_read = NULL;
        hook();
    }
    return syscall(SYS_read, fd, bytes, size);
}

TestSuite(message_file, .init = set_up, .fini = tear_down, .timeout = 60);

static void begin(bool expand)
{
    const struct message_file_source source = {.path = path, .origin = ORIGIN, .expand = expand};

    cr_assert_eq(message_file_init(&file, &source), 0);
}

static void write_message(const char *text)
{
    temp_dir_write_text(&temp_dir, "message", text);
}

/* Sets the modification time to AGO before now. */
static void set_modified(int64_t ago_usec)
{
    int64_t usec = (int64_t)clock_now_of(CLOCK_REALTIME) - ago_usec;
    const struct timespec time = {.tv_sec = usec / SEC, .tv_nsec = usec % SEC * 1000};

    cr_assert_eq(utimensat(AT_FDCWD, path, (struct timespec[]){time, time}, 0), 0);
}

static void expect_loaded(const char *text)
{
    cr_assert_eq(message_file_update(&file, &diagnostics), MESSAGE_FILE_LOADED, "%s",
                 diagnostics.n_lines > 0 ? diagnostics.lines[0] : "");
    cr_assert_eq(file.greeting->size, strlen(text));
    cr_expect_arr_eq(file.greeting->bytes, text, strlen(text));
}

/* Expects that TEXT stays, and that REASON is added. */
static void expect_failed(const char *text, const char *reason)
{
    size_t n = diagnostics.n_lines;

    cr_assert_eq(message_file_update(&file, &diagnostics), MESSAGE_FILE_FAILED);
    cr_expect_arr_eq(file.greeting->bytes, text, strlen(text));
    cr_assert_eq(diagnostics.n_lines, n + 1);
    cr_expect(strstr(diagnostics.lines[n], reason), "%s", diagnostics.lines[n]);
}

/* The age of the last good one; the test itself takes less than a minute. */
static void expect_age(int64_t usec)
{
    int64_t age = (int64_t)clock_now_of(CLOCK_BOOTTIME) - file.modified_usec;

    cr_expect_geq(age, usec);
    cr_expect_lt(age, usec + 60 * SEC);
}

/* Waits until the clock of time stamps has passed that of the file, so that its next change is
 * another time. */
static void await_tick(void)
{
    struct file_stamp stamp;

    cr_assert_eq(file_stamp_take(&stamp, path), 0);
    while ((int64_t)clock_now_of(CLOCK_REALTIME_COARSE) <= stamp.changed_nsec / 1000)
        ;
}

Test(message_file, is_loaded_when_it_has_changed)
{
    write_message("one");
    await_tick();
    begin(false);
    expect_loaded("one");
    cr_expect_eq(message_file_update(&file, &diagnostics), MESSAGE_FILE_UNCHANGED);
    write_message("two");
    expect_loaded("two");
}

static void replace_message(void)
{
    temp_dir_write_text(&temp_dir, "new", "two");
    cr_assert_eq(rename(temp_dir_path(&temp_dir, "new"), path), 0);
}

static void rewrite_message(void)
{
    write_message("longer");
}

Test(message_file, is_left_as_it_was_if_it_changes_while_it_is_read)
{
    write_message("one");
    begin(false);
    expect_loaded("one");
    write_message("half");
    on_read = rewrite_message;
    cr_expect_eq(message_file_update(&file, &diagnostics), MESSAGE_FILE_UNCHANGED);
    cr_expect_arr_eq(file.greeting->bytes, "one", 3);
    on_read = replace_message;
    cr_expect_eq(message_file_update(&file, &diagnostics), MESSAGE_FILE_UNCHANGED);
    expect_loaded("two");
}

/* A kernel before 6.13 gives both changes the same time. */
Test(message_file, is_loaded_again_after_a_change_in_the_same_tick)
{
    begin(false);
    write_message("one");
    fake_clock.realtime = -1;
    expect_loaded("one");
    expect_loaded("one");
}

Test(message_file, stays_as_it_was_while_it_is_missing_or_wrong)
{
    write_message("$connection one");
    begin(true);
    cr_assert_eq(message_file_update(&file, &diagnostics), MESSAGE_FILE_LOADED);
    struct greeting *good = file.greeting;

    write_message("$nonsense");
    cr_expect_eq(message_file_update(&file, &diagnostics), MESSAGE_FILE_FAILED);
    cr_expect(strstr(diagnostics.lines[0], "nonsense"), "%s", diagnostics.lines[0]);
    cr_assert_eq(unlink(path), 0);
    cr_expect_eq(message_file_update(&file, &diagnostics), MESSAGE_FILE_FAILED);
    cr_expect_eq(file.greeting, good);
    write_message("fine");
    expect_loaded("fine");
}

Test(message_file, fails_with_its_reason_and_origin)
{
    write_message("one");
    begin(false);
    expect_loaded("one");
    cr_assert_eq(unlink(path), 0);
    expect_failed("one", ORIGIN ": MessageFile=");
    expect_failed("one", "No such file or directory");
    cr_assert_eq(mkdir(path, 0700), 0);
    expect_failed("one", "Is a directory");
    cr_assert_eq(rmdir(path), 0);
    cr_assert_eq(mkfifo(path, 0600), 0);
    expect_failed("one", "Not a regular file");
    cr_assert_eq(unlink(path), 0);
    write_message("");
    cr_assert_eq(truncate(path, GREETING_SIZE_MAX + 1), 0);
    expect_failed("one", "File too large");
}

Test(message_file, is_tried_again_after_a_shortage_of_descriptors)
{
    write_message("one");
    await_tick();
    begin(false);
    expect_loaded("one");
    write_message("two");
    struct rlimit limit = descriptors_deny();
    cr_expect_eq(message_file_update(&file, &diagnostics), MESSAGE_FILE_SHORT);
    cr_expect_eq(message_file_update(&file, &diagnostics), MESSAGE_FILE_SHORT);
    descriptors_allow(limit);
    cr_expect_arr_eq(file.greeting->bytes, "one", 3);
    expect_loaded("two");
}

Test(message_file, may_be_the_same_after_a_failure)
{
    write_message("one");
    begin(false);
    expect_loaded("one");
    cr_assert_eq(rename(path, temp_dir_path(&temp_dir, "away")), 0);
    expect_failed("one", "No such file");
    cr_assert_eq(rename(temp_dir_path(&temp_dir, "away"), path), 0);
    expect_loaded("one");
}

Test(message_file, has_no_greeting_before_it_exists)
{
    begin(false);
    cr_expect_eq(message_file_update(&file, &diagnostics), MESSAGE_FILE_FAILED);
    cr_expect_null(file.greeting);
    expect_age(0);
    write_message("one");
    expect_loaded("one");
}

Test(message_file, counts_its_age_from_its_modification)
{
    write_message("one");
    set_modified(2 * HOUR);
    begin(false);
    expect_age(0);
    expect_loaded("one");
    expect_age(2 * HOUR);
    cr_expect_geq(message_file_age(path), (uint64_t)(2 * HOUR));
    cr_expect_lt(message_file_age(path), (uint64_t)(2 * HOUR + 60 * SEC));
    set_modified(0);
    expect_loaded("one");
    expect_age(0);
}

Test(message_file, keeps_its_age_while_it_is_missing_or_wrong)
{
    write_message("one");
    set_modified(HOUR);
    begin(true);
    expect_loaded("one");
    write_message("$nonsense");
    cr_expect_eq(message_file_update(&file, &diagnostics), MESSAGE_FILE_FAILED);
    expect_age(HOUR);
    cr_assert_eq(unlink(path), 0);
    cr_expect_eq(message_file_update(&file, &diagnostics), MESSAGE_FILE_FAILED);
    expect_age(HOUR);
    cr_expect_eq(message_file_age(path), USEC_INFINITY);
}

Test(message_file, is_modified_now_if_its_time_is_in_the_future)
{
    write_message("one");
    set_modified(-HOUR);
    begin(false);
    expect_loaded("one");
    expect_age(0);
    cr_expect_eq(message_file_age(path), 0);
    fake_clock.boottime += 60;
    expect_age(60 * SEC);
}

Test(message_file, may_be_older_than_the_boot)
{
    write_message("one");
    set_modified((int64_t)clock_now_of(CLOCK_BOOTTIME) + HOUR);
    begin(false);
    expect_loaded("one");
    cr_expect_lt(file.modified_usec, 0);
    expect_age((int64_t)clock_now_of(CLOCK_BOOTTIME) - file.modified_usec);
}

Test(message_file, is_no_older_or_newer_after_a_step_of_the_clock)
{
    write_message("one");
    set_modified(HOUR);
    await_tick();
    begin(false);
    expect_loaded("one");
    fake_clock.realtime = 100 * 3600;
    cr_expect_eq(message_file_update(&file, &diagnostics), MESSAGE_FILE_UNCHANGED);
    expect_age(HOUR);
    fake_clock.realtime = -fake_clock.realtime;
    expect_age(HOUR);
    fake_clock.boottime = 7200;
    expect_age(3 * HOUR);
}
