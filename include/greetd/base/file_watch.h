/* SPDX-License-Identifier: MIT */
#pragma once

/* Watches the file at a path by inotify(7), and with it every directory and symbolic link that
 * leads there: a link that is swapped changes the file too, as in a ConfigMap of Kubernetes. A
 * write under another name of the file counts as well. The watch owns its memory and belongs to one
 * thread. */

#include <stddef.h>

struct file_watch_entry;

struct file_watch {
    int fd;     /* owned: of inotify(7); readable when something has happened on the way */
    char *path; /* owned */
    struct file_watch_entry *entries; /* owned: each directory with the name to look for there */
    size_t n;
};

#define FILE_WATCH_NULL ((struct file_watch){.fd = -1})

/* Watches the absolute PATH, which need not exist. file_watch_deinit() is due in any case. Errors:
 * those of inotify_init1(2) or inotify_add_watch(2) for the directory of the file, -ELOOP, -ENOMEM.
 * A directory on the way that may not be read is passed over. */
int file_watch_init(struct file_watch *watch, const char *path);
void file_watch_deinit(struct file_watch *watch);

/* Reads all events. Returns 1 if the file may be another or may have other content, 0 if not, or an
 * error as above, when some changes may go unnoticed. A file that is being written has changed once
 * its writer closes it. */
int file_watch_read(struct file_watch *watch);
