/* SPDX-License-Identifier: MIT */
#include "greetd/cli/terminal.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "greetd/base/cleanup.h"

#define RED   "\033[1;31m"
#define PLAIN "\033[0m"

static FILE *terminal;
static int controller;

static void open_terminal(void)
{
    int fd;

    cr_assert_eq(openpty(&controller, &fd, NULL, NULL, NULL), 0);
    terminal = fdopen(fd, "w");
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
}

static void close_terminal(void)
{
    fclose(terminal);
    close(controller);
}

TestSuite(terminal, .init = open_terminal, .fini = close_terminal);

static void expect_colour(bool colour)
{
    cr_expect_str_eq(terminal_style(terminal, TERMINAL_ERROR), colour ? RED : "");
    cr_expect_str_eq(terminal_style(terminal, TERMINAL_PLAIN), colour ? PLAIN : "");
}

Test(terminal, has_colours)
{
    expect_colour(true);
    cr_expect_str_eq(terminal_style(terminal, TERMINAL_WARNING), "\033[1;33m");
    cr_expect_str_eq(terminal_style(terminal, TERMINAL_GOOD), "\033[32m");
    cr_expect_str_eq(terminal_style(terminal, TERMINAL_STRONG), "\033[1m");
}

Test(terminal, has_no_colours_with_no_color)
{
    setenv("NO_COLOR", "1", 1);
    expect_colour(false);
    cr_expect(terminal_has_controls(terminal));
    setenv("NO_COLOR", "", 1);
    expect_colour(true);
}

Test(terminal, has_no_colours_if_it_is_dumb_or_unknown)
{
    setenv("TERM", "dumb", 1);
    expect_colour(false);
    cr_expect_not(terminal_has_controls(terminal));
    setenv("TERM", "", 1);
    expect_colour(false);
    unsetenv("TERM");
    expect_colour(false);
}

Test(terminal, is_no_file_and_no_memory)
{
    _cleanup_free_ char *text = NULL;
    size_t size;
    FILE *memory = open_memstream(&text, &size), *null = fopen("/dev/null", "w");

    cr_expect_str_eq(terminal_style(memory, TERMINAL_ERROR), "");
    cr_expect_eq(terminal_columns(memory), 0);
    cr_expect_str_eq(terminal_style(null, TERMINAL_ERROR), "");
    cr_expect_eq(terminal_columns(null), 0);
    fclose(memory);
    fclose(null);
}

Test(terminal, has_columns_or_80)
{
    cr_expect_eq(terminal_columns(terminal), 80);
    cr_assert_eq(ioctl(controller, TIOCSWINSZ, &(struct winsize){.ws_col = 132}), 0);
    cr_expect_eq(terminal_columns(terminal), 132);
}

Test(terminal, has_the_character_set_of_the_locale)
{
    setenv("LC_ALL", "C.UTF-8", 1);
    cr_expect(terminal_has_utf8());
    setenv("LC_ALL", "C", 1);
    cr_expect_not(terminal_has_utf8());
    setenv("LC_ALL", "none_NONE.UTF-8", 1);
    cr_expect_not(terminal_has_utf8());
}

/* What is printed to stderr by PRINT, on a terminal. */
static void expect_printed(void (*print)(void), const char *expected)
{
    char text[256] = "";
    size_t length = 0, most = strlen(expected);
    ssize_t n;
    int before = dup(STDERR_FILENO);

    dup2(fileno(terminal), STDERR_FILENO);
    print();
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    while (length < most && (n = read(controller, text + length, most - length)) > 0)
        length += (size_t)n;
    cr_expect_str_eq(text, expected);
}

static void print_an_error(void)
{
    terminal_print_program("greet");
    fputs("out of memory\n", stderr);
}

static void print_diagnostics(void)
{
    terminal_print_diagnostic(TERMINAL_ERROR, "/etc/a:b.conf:7: Unknown setting: x");
    terminal_print_diagnostic(TERMINAL_ERROR, "Nothing to listen on");
    terminal_print_diagnostic(TERMINAL_PLAIN, "/etc/\033[2J\nb\xff\n: \xc2\x9b");
}

Test(terminal, shows_where_an_error_is)
{
    expect_printed(print_an_error, RED "greet:" PLAIN " out of memory\r\n");
    expect_printed(print_diagnostics,
                   RED "/etc/a:b.conf:7:" PLAIN " Unknown setting: x\r\n" RED PLAIN
                       "Nothing to listen on\r\n" PLAIN "/etc/\\x1b[2J\\x0ab\\xff\\x0a:" PLAIN
                       " \\xc2\\x9b\r\n");
}
