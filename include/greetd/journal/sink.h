/* SPDX-License-Identifier: MIT */
#pragma once

/* Where log entries go: to the journal as structured entries if that is what stderr is connected
 * to, as plain lines to stderr otherwise. Writing may block for as long as journald or the reader
 * of stderr stands still, so a thread that serves clients never writes here: it hands its entries
 * to connlog. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syslog.h>

/* Room for one entry's sentence, with its '\0'; a longer one is cut. */
#define SINK_MESSAGE_MAX 512

/* Room for the name of a socket, with its '\0': as long as FileDescriptorName= may be. */
#define SINK_NAME_MAX 256

struct sink {
    int fd; /* borrowed: stderr */
    bool journal;
    bool time_stamps;
    bool abandoned; /* a thread that may write to it is stuck: nothing may be torn down any more */
    size_t filled;  /* of buffer */
    char buffer[16 * 1024];
};

/* A further field of a journal entry, `NAME=value` as text. */
struct sink_field {
    const char *text;
};

/* An entry; everything is borrowed. */
struct sink_entry {
    int priority;        /* a level of syslog(3) */
    const char *id;      /* one of LOG_ID_* */
    const char *message; /* a sentence without a newline */
    uint64_t
        when_usec; /* CLOCK_MONOTONIC: when it happened, which may be long before it is written */
    const struct sink_field *fields;
    size_t n_fields;
};

/* Finds out where entries go: to the journal if $JOURNAL_STREAM names the device and inode of FD
 * (systemd.exec(5)), else to FD as lines, which get a time stamp if FD is a terminal. FD is
 * borrowed. */
void sink_init(struct sink *sink, int fd);

/* Writes one entry: to the journal with its fields and the time in GREETD_TIMESTAMP=, or as a line,
 * which is gathered in a buffer until that is full or sink_flush() is called. Returns how many
 * entries are lost: this one if the journal did not take it, or those gathered before it if there
 * was no room left and they could not be written. An entry that finds no journal at all (ENOENT)
 * counts as taken: sd_journal_sendv(3) does not say. */
size_t sink_write(struct sink *sink, const struct sink_entry *entry);

/* Tries to write one entry while another thread is stuck in writing to LOG, the journal refuses
 * entries, or no thread could be started that may wait for it; never waits. It goes by stderr,
 * which is a stream to journald with a buffer of its own, so it has no fields, and not even a
 * MESSAGE_ID=. Without the journal there is no second way, and nothing is written. */
void sink_try_write(const struct sink *sink, int priority, const char *message);

/* Writes what has been gathered. Returns how many entries were lost since write(2) failed; one of
 * which a part was written counts as lost. */
size_t sink_flush(struct sink *sink);
