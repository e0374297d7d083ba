/* SPDX-License-Identifier: MIT */
#pragma once

/* Reads the text of networks, of a line of the configuration or of a file, into an array that the
 * reader owns. Errors and remarks are added to the caller's diagnostics. Beyond 100 of a place they
 * are only counted: a file that has no networks at all may have millions of lines. Pure but for
 * network_reader_read_file(), which blocks on the disk. */

#include <stddef.h>

#include "greetd/base/diagnostics.h"
#include "greetd/guard/network.h"

struct network_reader {
    const char *origin, *label;           /* where the text was set: `ORIGIN: LABEL=`; borrowed */
    struct diagnostics *errors, *remarks; /* borrowed; REMARKS may be NULL */
    const char *path;                     /* of the file that is read, else NULL; borrowed */
    size_t line;                          /* in that file, from 1 */
    size_t n_errors, n_remarks;           /* of this place, including those only counted */
    bool denies;                          /* the networks that are read are denied */
    struct network *networks;             /* owned */
    size_t n, capacity;
};

void network_reader_deinit(struct network_reader *reader);

/* Reads the LENGTH bytes at TEXT, none of them '\0': a network or word of network_parse(). Returns
 * 0 or -ENOMEM; an error in the text is added and is no failure. */
int network_reader_read(struct network_reader *reader, const char *text, size_t length);

/* Reads the file at PATH, with a network or word in each line. A comment begins with a `#` or `;`
 * at the beginning of a line or after white space; empty lines are skipped. An error in the text is
 * added and is no failure. Errors are those of file_read(), which are not added; -ENOMEM. */
int network_reader_read_file(struct network_reader *reader, const char *path);

/* Adds the numbers of the errors and remarks of this place that were only counted. */
void network_reader_end_place(struct network_reader *reader);
