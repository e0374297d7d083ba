/* SPDX-License-Identifier: MIT */
#include "greetd/config/files.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "greetd/base/cleanup.h"
#include "support/temp_dir.h"

static struct temp_dir temp_dir;
static struct config_files files;
static struct diagnostics diagnostics;

static void set_up(void)
{
    temp_dir_init(&temp_dir);
    files = CONFIG_FILES_NULL;
    diagnostics = DIAGNOSTICS_NULL;
}

static void tear_down(void)
{
    config_files_deinit(&files);
    diagnostics_deinit(&diagnostics);
    temp_dir_deinit(&temp_dir);
}

TestSuite(files, .init = set_up, .fini = tear_down);

static void read_main(bool required)
{
    cr_assert_eq(
        config_files_read(&files, temp_dir_path(&temp_dir, "main"), required, &diagnostics), 0);
}

static void expect_file(size_t index, const char *name, const char *text)
{
    cr_assert_lt(index, files.n);
    cr_expect_str_eq(files.files[index].path, temp_dir_path(&temp_dir, name));
    cr_expect_eq(files.files[index].size, strlen(text));
    cr_expect_str_eq(files.files[index].bytes, text);
}

static void expect_error(size_t index, const char *name, const char *text)
{
    char expected[PATH_MAX + 64];

    cr_assert_lt(index, diagnostics.n_lines);
    snprintf(expected, sizeof(expected), "%s: %s", temp_dir_path(&temp_dir, name), text);
    cr_expect_str_eq(diagnostics.lines[index], expected);
}

Test(files, are_the_main_file_and_drop_ins_in_byte_order)
{
    temp_dir_write_text(&temp_dir, "main", "m");
    temp_dir_mkdir(&temp_dir, "main.d");
    temp_dir_write_text(&temp_dir, "main.d/b.conf", "b");
    temp_dir_write_text(&temp_dir, "main.d/10-x.conf", "10");
    temp_dir_write_text(&temp_dir, "main.d/9.conf", "9");
    temp_dir_write_text(&temp_dir, "main.d/a.conf", "a");
    temp_dir_write_text(&temp_dir, "main.d/B.conf", "B");
    temp_dir_write_text(&temp_dir, "main.d/_.conf", "_");
    read_main(true);

    static const char *const names[] = {"main",          "main.d/10-x.conf", "main.d/9.conf",
                                        "main.d/B.conf", "main.d/_.conf",    "main.d/a.conf",
                                        "main.d/b.conf"};
    static const char *const texts[] = {"m", "10", "9", "B", "_", "a", "b"};
    cr_assert_eq(files.n, ELEMENTSOF(names));
    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        expect_file(i, names[i], texts[i]);
    cr_expect_eq(diagnostics.n_errors, 0);
}

Test(files, exclude_hidden_files_and_other_suffixes)
{
    static const char *const names[] = {"main.d/.a.conf",    "main.d/.conf", "main.d/a.conf~",
                                        "main.d/a.conf.bak", "main.d/a",     "main.d/aconf",
                                        "main.d/README",     "main.d/a.CONF"};

    temp_dir_write_text(&temp_dir, "main", "m");
    temp_dir_mkdir(&temp_dir, "main.d");
    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        temp_dir_write_text(&temp_dir, names[i], "no");
    read_main(true);
    cr_expect_eq(files.n, 1);
    cr_expect_eq(diagnostics.n_errors, 0);
}

Test(files, may_be_missing_unless_required)
{
    read_main(false);
    cr_expect_eq(files.n, 0);
    cr_expect_eq(diagnostics.n_errors, 0);

    read_main(true);
    cr_expect_eq(files.n, 0);
    expect_error(0, "main", "No such file or directory");
}

Test(files, may_be_drop_ins_only)
{
    temp_dir_mkdir(&temp_dir, "main.d");
    temp_dir_write_text(&temp_dir, "main.d/a.conf", "a");
    read_main(false);
    cr_assert_eq(files.n, 1);
    expect_file(0, "main.d/a.conf", "a");
}

Test(files, may_be_symbolic_links)
{
    temp_dir_write_text(&temp_dir, "elsewhere", "e");
    temp_dir_write_text(&temp_dir, "main", "m");
    temp_dir_mkdir(&temp_dir, "main.d");
    temp_dir_symlink(&temp_dir, "../elsewhere", "main.d/a.conf");
    temp_dir_symlink(&temp_dir, "/dev/null", "main.d/b.conf");
    read_main(true);
    cr_assert_eq(files.n, 3);
    expect_file(1, "main.d/a.conf", "e");
    expect_file(2, "main.d/b.conf", "");
    cr_expect_eq(diagnostics.n_errors, 0);
}

Test(files, that_cant_be_read_are_all_reported)
{
    temp_dir_mkdir(&temp_dir, "main");
    temp_dir_mkdir(&temp_dir, "main.d");
    temp_dir_mkdir(&temp_dir, "main.d/a.conf");
    temp_dir_symlink(&temp_dir, "nowhere", "main.d/b.conf");
    temp_dir_symlink(&temp_dir, "/dev/zero", "main.d/c.conf");
    temp_dir_write_text(&temp_dir, "main.d/d.conf", "");
    cr_assert_eq(truncate(temp_dir.path, (off_t)CONFIG_FILES_SIZE_MAX + 1), 0);
    temp_dir_write_text(&temp_dir, "main.d/e.conf", "e");
    read_main(false);

    cr_expect_eq(diagnostics.n_errors, 5);
    expect_error(0, "main", "Is a directory");
    expect_error(1, "main.d/a.conf", "Is a directory");
    expect_error(2, "main.d/b.conf", "No such file or directory");
    expect_error(3, "main.d/c.conf", "Not a regular file");
    expect_error(4, "main.d/d.conf", "File too large");
    cr_expect_eq(files.n, 1);
    expect_file(0, "main.d/e.conf", "e");
}

Test(files, are_reported_if_the_directory_is_a_file)
{
    temp_dir_write_text(&temp_dir, "main", "m");
    temp_dir_write_text(&temp_dir, "main.d", "");
    read_main(true);
    cr_expect_eq(files.n, 1);
    cr_expect_eq(diagnostics.n_errors, 1);
    expect_error(0, "main.d", "Not a directory");
}
