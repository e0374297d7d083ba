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

/* The 128-bit identity of each kind of entry, MESSAGE_ID= in systemd.journal-fields(7). */
#define LOG_ID_LISTENING     "16c4335721e74b3f955a581d1c94fff7"
#define LOG_ID_CONNECTION    "f15e246255404ce3a2d6ef608bb4a673"
#define LOG_ID_STOP_FORCED   "a0af3d9b2d224b5db1cbb43a5bb7db05"
#define LOG_ID_CONFIG        "434670233e5b4c02acdc0c2fc9912602"
#define LOG_ID_FAILED        "24e7acf4e3a044569f07659530bb33ef"
#define LOG_ID_UNUSED        "9f5d913f6a92418c8977c3d21174b2b0"
#define LOG_ID_UNKEPT        "8587dd01dfb24c7c916d40432ab5d695"
#define LOG_ID_UNUSABLE      "26442902938c470388fe24ddd1b8c15b"
#define LOG_ID_EXHAUSTED     "c42cbc78a48d4c7c92e5d33703c1c255"
#define LOG_ID_LEFT_OUT      "b78902e66ba04e5ebd1abf03b5d9e725"
#define LOG_ID_UNSAID        "24b80305043f43dbba369f161fa3b30d"
#define LOG_ID_RELOADED      "4837c3211e474a3aad4235b158662584"
#define LOG_ID_RELOAD_FAILED "a8d08d52124644e7bf6410fb5e1acc66"
#define LOG_ID_NEEDS_RESTART "0fe412e729cc4bcdbb15643909b7438b"
#define LOG_ID_NO_LONGER     "6e6754c42c8849e19e73c64bc72259a4"
#define LOG_ID_STUCK         "b00b8079bf6b48658b98f135979e42ab"
#define LOG_ID_IDLE          "91020ad27b0944f1a226fe8f189d93e0"

/* Room for one entry's sentence, with its '\0'; a longer one is cut. */
#define LOG_MESSAGE_MAX 512

/* Room for the name of a socket, with its '\0': as long as FileDescriptorName= may be. */
#define LOG_NAME_MAX 256

struct log {
    int fd; /* borrowed: stderr */
    bool journal;
    bool time_stamps;
    bool abandoned; /* a thread that may write to it is stuck: nothing may be torn down any more */
    size_t filled;  /* of buffer */
    char buffer[16 * 1024];
};

/* A further field of a journal entry, `NAME=value` as text. */
struct log_field {
    const char *text;
};

/* An entry; everything is borrowed. */
struct log_entry {
    int priority;        /* a level of syslog(3) */
    const char *id;      /* one of LOG_ID_* */
    const char *message; /* a sentence without a newline */
    uint64_t
        when_usec; /* CLOCK_MONOTONIC: when it happened, which may be long before it is written */
    const struct log_field *fields;
    size_t n_fields;
};

/* Finds out where entries go: to the journal if $JOURNAL_STREAM names the device and inode of FD
 * (systemd.exec(5)), else to FD as lines, which get a time stamp if FD is a terminal. FD is
 * borrowed. */
void log_init(struct log *log, int fd);

/* Writes one entry: to the journal with its fields and the time in GREETD_TIMESTAMP=, or as a line,
 * which is gathered in a buffer until that is full or log_flush() is called. Returns how many
 * entries are lost: this one if the journal did not take it, or those gathered before it if there
 * was no room left and they could not be written. An entry that finds no journal at all (ENOENT)
 * counts as taken: sd_journal_sendv(3) does not say. */
size_t log_write(struct log *log, const struct log_entry *entry);

/* Tries to write one entry while another thread is stuck in writing to LOG, the journal refuses
 * entries, or no thread could be started that may wait for it; never waits. It goes by stderr,
 * which is a stream to journald with a buffer of its own, so it has no fields, and not even a
 * MESSAGE_ID=. Without the journal there is no second way, and nothing is written. */
void log_write_past(const struct log *log, int priority, const char *message);

/* Writes what has been gathered. Returns how many entries were lost since write(2) failed; one of
 * which a part was written counts as lost. */
size_t log_flush(struct log *log);
