/* SPDX-License-Identifier: MIT */
#pragma once

/* The file of MessageFile=: its greeting, and with Watch=yes the last good one while the file
 * changes. A struct message_file belongs to one thread, which may block on the disk: not a worker.
 */

#include <stdbool.h>
#include <stdint.h>

#include "greetd/base/diagnostics.h"
#include "greetd/base/file.h"
#include "greetd/base/file_watch.h"
#include "greetd/greeting/greeting.h"

/* How a file becomes a greeting. Borrowed strings. */
struct message_file_source {
    const char *path;
    const char
        *origin;   /* where MessageFile= was set, for errors: `ORIGIN: MessageFile=PATH: ...` */
    bool expand;   /* its variables are replaced */
    bool fortunes; /* it is a fortune file, of which each client receives an entry */
    bool daily;    /* the same for all clients of a day */
};

/* Reads and compiles the file. Each error is added to DIAGNOSTICS and returned: those of
 * greeting_new_from_file(), template_expand_part() and fortune_split(). What is no error is added
 * to REMARKS, unless that is NULL. On success *RET is the caller's reference. */
int message_file_load(struct greeting **ret, const struct message_file_source *source,
                      struct diagnostics *diagnostics, struct diagnostics *remarks);

/* Returns the age of the file at PATH in microseconds, by its modification time and CLOCK_REALTIME;
 * 0 if that is in the future; USEC_INFINITY if there is no such file. */
uint64_t message_file_age(const char *path);

/* A watched file. */
struct message_file {
    struct message_file_source source;
    struct file_watch watch;
    struct file_stamp stamp;   /* when the file was last read, well or not; zeroes if unsure */
    struct greeting *greeting; /* a reference: the last good one; NULL if there was none yet */
    /* CLOCK_BOOTTIME when the last good one was modified; negative if that was before the boot. A
     * step of CLOCK_REALTIME makes no file older or newer. */
    int64_t modified_usec;
};

enum message_file_change {
    MESSAGE_FILE_UNCHANGED,
    MESSAGE_FILE_LOADED, /* there is a new greeting, perhaps with the same text */
    MESSAGE_FILE_FAILED, /* the last good one stays; see the diagnostics */
    MESSAGE_FILE_SHORT,  /* the same, for want of descriptors or memory: to be tried again */
};

/* Watches the file of SOURCE, which counts as modified now until it is loaded. Nothing is loaded
 * yet. message_file_deinit() is due in any case. Errors are those of file_watch_init(). */
int message_file_init(struct message_file *file, const struct message_file_source *source);
void message_file_deinit(struct message_file *file);

/* Loads the file if it has changed since it was last read. DIAGNOSTICS has the reasons if that
 * failed. A file that changes while it is read is left for the event of that change. */
enum message_file_change message_file_update(struct message_file *file,
                                             struct diagnostics *diagnostics);
