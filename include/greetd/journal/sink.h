/* SPDX-License-Identifier: MIT */
#pragma once

/* The end of the log: structured entries to the journal if stderr is connected to it, plain lines
 * to stderr otherwise. A write may block for as long as journald or the reader of stderr does, so
 * only the log thread writes here; other threads use logger. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syslog.h>

/* Room for the sentence of an entry, with its '\0'; a longer one is cut. */
#define SINK_MESSAGE_MAX 512

/* Room for the name of a socket, with its '\0': as long as FileDescriptorName= may be. */
#define SINK_NAME_MAX 256

struct sink {
    int fd; /* borrowed: stderr */
    bool journal;
    bool time_stamps;
    size_t filled; /* of buffer: lines that are not written yet */
    char buffer[16 * 1024];
};

/* An entry; everything is borrowed. */
struct sink_entry {
    int priority;              /* a level of syslog(3) */
    const char *id;            /* one of MESSAGE_ID_* */
    const char *message;       /* a sentence without a newline */
    uint64_t when_usec;        /* CLOCK_MONOTONIC; of the event, not of the write */
    const char *const *fields; /* further ones of a journal entry, each `NAME=value` */
    size_t n_fields;
};

/* Chooses where entries go: to the journal if $JOURNAL_STREAM names the device and inode of FD
 * (systemd.exec(5)), else to FD as lines, with a time stamp if FD is a terminal. FD is borrowed. */
void sink_init(struct sink *sink, int fd);

/* Writes one entry: to the journal with its fields and its time in GREETD_TIMESTAMP=, or as a line
 * into a buffer, which is written when it is full or at sink_flush(). Returns how many entries are
 * lost: this one if the journal refused it, or lines of the buffer that could not be written to
 * make room. Without any journal (ENOENT) an entry counts as written: sd_journal_sendv(3) does not
 * tell. */
size_t sink_write(struct sink *sink, const struct sink_entry *entry);

/* Tries to write one entry without waiting, while the log thread is blocked, does not exist, or has
 * its entries refused. The entry goes to stderr, a stream to journald with a buffer of its own, and
 * so has no fields and no MESSAGE_ID=. Without the journal there is no such second way, and nothing
 * is written. */
void sink_try_write(const struct sink *sink, int priority, const char *message);

/* Writes the buffered lines. Returns how many entries were lost because write(2) failed; an entry
 * of which only a part was written is lost. */
size_t sink_flush(struct sink *sink);
