/* SPDX-License-Identifier: MIT */

/* The whole program, started without free descriptors. That can't be done from outside: without
 * descriptors the program could not be loaded. */

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#include "greetd/base/cleanup.h"
#include "support/fake.h"
#include "support/temp_dir.h"

#define main greetd_main
#include "../../src/main.c"
#undef main

/* Opening a path with this suffix fails. */
static struct fault {
    char suffix[16];
    int error;
} fault;

static bool is_at_fault(const char *path)
{
    size_t length = strlen(path), suffix = strlen(fault.suffix);

    return suffix > 0 && length >= suffix && strcmp(path + length - suffix, fault.suffix) == 0;
}

FAKE int open(const char *path, int flags, ...)
{
    va_list list;

    if (is_at_fault(path)) {
        errno = fault.error;
        return -1;
    }
    va_start(list, flags);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, va_arg(list, int));
    va_end(list);
    return fd;
}

FAKE int scandir(const char *path, struct dirent ***entries, int (*filter)(const struct dirent *),
                 int (*compare)(const struct dirent **, const struct dirent **))
{
    if (is_at_fault(path)) {
        errno = fault.error;
        return -1;
    }
    return scandirat(AT_FDCWD, path, entries, filter, compare);
}

static struct temp_dir temp_dir;

static void set_up(void)
{
    char text[256];

    temp_dir_init(&temp_dir);
    snprintf(text, sizeof(text), "[Greeting]\nMessageFile=%s\n",
             temp_dir_write_text(&temp_dir, "text", "Hello"));
    temp_dir_write_text(&temp_dir, "conf", text);
    temp_dir_mkdir(&temp_dir, "conf.d");
    temp_dir_write_text(&temp_dir, "conf.d/a.conf", "[Server]\nListenStream=127.0.0.1:0\n");
}

static void tear_down(void)
{
    temp_dir_deinit(&temp_dir);
}

TestSuite(main, .init = set_up, .fini = tear_down, .timeout = 60);

/* Runs greetd with an option, and checks its exit status and the beginning of its output. */
static void expect_end(const char *option, int status, const char *said)
{
    char config[256], name[] = "greetd", text[1024] = "";
    char *argv[] = {name, config, option ? strdupa(option) : NULL, NULL};
    int stderr_before = dup(STDERR_FILENO);

    snprintf(config, sizeof(config), "-c%s", temp_dir_path(&temp_dir, "conf"));
    cr_assert(freopen(temp_dir_path(&temp_dir, "stderr"), "w", stderr));
    int r = greetd_main(option ? 3 : 2, argv);
    fflush(stderr);
    dup2(stderr_before, STDERR_FILENO);

    FILE *file = fopen(temp_dir_path(&temp_dir, "stderr"), "r");
    cr_assert(file);
    (void)!fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    cr_expect_eq(r, status, "%d: %s", r, text);
    cr_expect_eq(strncmp(text, said, strlen(said)), 0, "%s", text);
}

ParameterizedTestParameters(main, that_lacks_descriptors_does_not_blame_a_file)
{
    static struct fault faults[] = {
        {"/conf", EMFILE}, {"/conf.d", EMFILE}, {"/a.conf", EMFILE}, {"/text", EMFILE},
        {"/conf", ENFILE}, {"/conf.d", ENFILE}, {"/a.conf", ENFILE}, {"/text", ENFILE},
    };
    return cr_make_param_array(struct fault, faults, ELEMENTSOF(faults));
}

ParameterizedTest(struct fault *row, main, that_lacks_descriptors_does_not_blame_a_file)
{
    static const char *const options[] = {NULL, "--check", "--show-config"};

    for (size_t i = 0; i < ELEMENTSOF(options); i++) {
        fault = *row;
        expect_end(options[i], EX_OSERR, "Failed to read ");
        optind = 0;
    }
}

Test(main, that_may_not_read_a_file_blames_it)
{
    char said[256];

    fault = (struct fault){"/conf", EACCES};
    snprintf(said, sizeof(said), "%s: Permission denied", temp_dir_path(&temp_dir, "conf"));
    expect_end("--check", EX_CONFIG, said);
}
