/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/greeting.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

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

TestSuite(greeting, .init = set_up, .fini = tear_down);

Test(greeting, is_sent_byte_for_byte)
{
    static const char bytes[] = "\xef\xbb\xbf$a\\n\0 \r\n";
    _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;
    const char *path = temp_dir_write(&temp_dir, "a", bytes, sizeof(bytes));

    cr_assert_eq(greeting_new_from_file(&greeting, path), 0);
    cr_assert_eq(greeting->size, sizeof(bytes));
    cr_expect_eq(memcmp(greeting->bytes, bytes, sizeof(bytes)), 0);
}

Test(greeting, may_be_16_MiB_long_and_no_longer)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = NULL, *none = NULL;
    const char *path = temp_dir_write_text(&temp_dir, "a", "");

    cr_assert_eq(truncate(path, (off_t)GREETING_SIZE_MAX), 0);
    cr_assert_eq(greeting_new_from_file(&greeting, path), 0);
    cr_expect_eq(greeting->size, GREETING_SIZE_MAX);

    cr_assert_eq(truncate(path, (off_t)GREETING_SIZE_MAX + 1), 0);
    cr_expect_eq(greeting_new_from_file(&none, path), -EFBIG);
    cr_expect_null(none);
}

Test(greeting, must_be_there_and_regular)
{
    struct greeting *none = NULL;

    cr_expect_eq(greeting_new_from_file(&none, temp_dir_path(&temp_dir, "none")), -ENOENT);
    cr_expect_eq(greeting_new_from_file(&none, temp_dir.directory), -EISDIR);
    cr_expect_eq(greeting_new_from_file(&none, "/dev/zero"), -EINVAL);
    cr_expect_null(none);
}

Test(greeting, may_be_freed_where_there_is_none)
{
    greeting_unref(NULL);
}
