/* SPDX-License-Identifier: MIT */
#pragma once

/* The options of a command line, as getopt_long(3) reads them, with errors that name the option
 * that was probably meant. All text is borrowed. Only the main thread parses, as the state is
 * getopt_long(3)'s: optind, optarg. */

#include <getopt.h>

/* Reads the next option of ARGV. LETTERS begins with `:`. In TABLE no option has a flag, and none
 * the val of another. Returns what getopt_long(3) returns, or prints an error of PROGRAM and
 * returns '?'. A long option with a single dash, such as `-check`, is also an error. */
int options_next(const char *program, int argc, char **argv, const char *letters,
                 const struct option *table);

/* Prints to stderr how PROGRAM shows its help, which follows an error in the command line. */
void options_suggest_help(const char *program);
