/* SPDX-License-Identifier: MIT */
#include "greetd/config/files.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "greetd/base/cleanup.h"
#include "support/temp_dir.h"

static struct scratch scratch;
static struct config_files files;
static struct report report;

static void set_up(void)
{
    scratch_init(&scratch);
    files = CONFIG_FILES_NULL;
    report = REPORT_NULL;
}

static void tear_down(void)
{
    config_files_deinit(&files);
    report_deinit(&report);
    scratch_deinit(&scratch);
}

TestSuite(config_files, .init = set_up, .fini = tear_down);

static void read_main(bool required)
{
    cr_assert_eq(config_files_read(&files, scratch_path(&scratch, "main"), required, &report), 0);
}

static void expect_file(size_t index, const char *name, const char *text)
{
    cr_assert_lt(index, files.n);
    cr_expect_str_eq(files.files[index].path, scratch_path(&scratch, name));
    cr_expect_eq(files.files[index].size, strlen(text));
    cr_expect_str_eq(files.files[index].bytes, text);
}

static void expect_mistake(size_t index, const char *name, const char *text)
{
    char expected[PATH_MAX + 64];

    cr_assert_lt(index, report.n_lines);
    snprintf(expected, sizeof(expected), "%s: %s", scratch_path(&scratch, name), text);
    cr_expect_str_eq(report.lines[index], expected);
}

Test(config_files, are_the_main_one_and_drop_ins_in_the_order_of_bytes)
{
    scratch_write_text(&scratch, "main", "m");
    scratch_mkdir(&scratch, "main.d");
    scratch_write_text(&scratch, "main.d/b.conf", "b");
    scratch_write_text(&scratch, "main.d/10-x.conf", "10");
    scratch_write_text(&scratch, "main.d/9.conf", "9");
    scratch_write_text(&scratch, "main.d/a.conf", "a");
    scratch_write_text(&scratch, "main.d/B.conf", "B");
    scratch_write_text(&scratch, "main.d/_.conf", "_");
    read_main(true);

    static const char *const names[] = {"main",          "main.d/10-x.conf", "main.d/9.conf",
                                        "main.d/B.conf", "main.d/_.conf",    "main.d/a.conf",
                                        "main.d/b.conf"};
    static const char *const texts[] = {"m", "10", "9", "B", "_", "a", "b"};
    cr_assert_eq(files.n, ELEMENTSOF(names));
    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        expect_file(i, names[i], texts[i]);
    cr_expect_eq(report.n_mistakes, 0);
}

Test(config_files, are_no_hidden_ones_nor_those_of_another_suffix)
{
    static const char *const names[] = {"main.d/.a.conf",    "main.d/.conf", "main.d/a.conf~",
                                        "main.d/a.conf.bak", "main.d/a",     "main.d/aconf",
                                        "main.d/README",     "main.d/a.CONF"};

    scratch_write_text(&scratch, "main", "m");
    scratch_mkdir(&scratch, "main.d");
    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        scratch_write_text(&scratch, names[i], "no");
    read_main(true);
    cr_expect_eq(files.n, 1);
    cr_expect_eq(report.n_mistakes, 0);
}

Test(config_files, may_be_missing_unless_required)
{
    read_main(false);
    cr_expect_eq(files.n, 0);
    cr_expect_eq(report.n_mistakes, 0);

    read_main(true);
    cr_expect_eq(files.n, 0);
    expect_mistake(0, "main", "No such file or directory");
}

Test(config_files, may_be_drop_ins_alone)
{
    scratch_mkdir(&scratch, "main.d");
    scratch_write_text(&scratch, "main.d/a.conf", "a");
    read_main(false);
    cr_assert_eq(files.n, 1);
    expect_file(0, "main.d/a.conf", "a");
}

Test(config_files, may_be_symbolic_links)
{
    scratch_write_text(&scratch, "elsewhere", "e");
    scratch_write_text(&scratch, "main", "m");
    scratch_mkdir(&scratch, "main.d");
    scratch_symlink(&scratch, "../elsewhere", "main.d/a.conf");
    scratch_symlink(&scratch, "/dev/null", "main.d/b.conf");
    read_main(true);
    cr_assert_eq(files.n, 3);
    expect_file(1, "main.d/a.conf", "e");
    expect_file(2, "main.d/b.conf", "");
    cr_expect_eq(report.n_mistakes, 0);
}

Test(config_files, that_cant_be_read_are_all_reported)
{
    scratch_mkdir(&scratch, "main");
    scratch_mkdir(&scratch, "main.d");
    scratch_mkdir(&scratch, "main.d/a.conf");
    scratch_symlink(&scratch, "nowhere", "main.d/b.conf");
    scratch_symlink(&scratch, "/dev/zero", "main.d/c.conf");
    scratch_write_text(&scratch, "main.d/d.conf", "");
    cr_assert_eq(truncate(scratch.path, (off_t)CONFIG_FILES_SIZE_MAX + 1), 0);
    scratch_write_text(&scratch, "main.d/e.conf", "e");
    read_main(false);

    cr_expect_eq(report.n_mistakes, 5);
    expect_mistake(0, "main", "Is a directory");
    expect_mistake(1, "main.d/a.conf", "Is a directory");
    expect_mistake(2, "main.d/b.conf", "No such file or directory");
    expect_mistake(3, "main.d/c.conf", "Not a regular file");
    expect_mistake(4, "main.d/d.conf", "File too large");
    cr_expect_eq(files.n, 1);
    expect_file(0, "main.d/e.conf", "e");
}

Test(config_files, are_reported_if_the_directory_is_none)
{
    scratch_write_text(&scratch, "main", "m");
    scratch_write_text(&scratch, "main.d", "");
    read_main(true);
    cr_expect_eq(files.n, 1);
    cr_expect_eq(report.n_mistakes, 1);
    expect_mistake(0, "main.d", "Not a directory");
}
