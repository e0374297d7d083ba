/* SPDX-License-Identifier: MIT */
#pragma once

/* An sd_journal_sendv(3) that keeps the entries, in place of that of libsystemd. Include it in one
 * source of a program only. */

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

int sd_journal_sendv(const struct iovec *fields, int n);

static struct {
    char last[4096]; /* the last entry: its fields, each with a newline before and after it */
    size_t n;
    void (*hook)(void); /* called with each entry; NULL for none */
    atomic_int error;   /* the negative errno that it returns; 0: it takes the entries */
} fake_journal;

int sd_journal_sendv(const struct iovec *fields, int n)
{
    size_t filled = 0;

    if (atomic_load(&fake_journal.error) < 0)
        return atomic_load(&fake_journal.error);
    for (int i = 0; i < n; i++)
        filled +=
            (size_t)snprintf(fake_journal.last + filled, sizeof(fake_journal.last) - filled,
                             "\n%.*s\n", (int)fields[i].iov_len, (const char *)fields[i].iov_base);
    cr_assert_lt(filled, sizeof(fake_journal.last));
    fake_journal.n++;
    if (fake_journal.hook)
        fake_journal.hook();
    return 0;
}

/* Whether the last entry has FIELD, `NAME=value`. */
static inline bool fake_journal_has(const char *field)
{
    char line[1024];

    snprintf(line, sizeof(line), "\n%s\n", field);
    return strstr(fake_journal.last, line);
}

/* Whether the last entry has a field named NAME. */
static inline bool fake_journal_has_any(const char *name)
{
    char begin[256];

    snprintf(begin, sizeof(begin), "\n%s=", name);
    return strstr(fake_journal.last, begin);
}

/* Sets $JOURNAL_STREAM to FD, with OFF added to the inode. */
static inline void fake_journal_announce(int fd, uintmax_t off)
{
    char stream[64];
    struct stat st;

    cr_assert_eq(fstat(fd, &st), 0);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + off);
    cr_assert_eq(setenv("JOURNAL_STREAM", stream, 1), 0);
}
