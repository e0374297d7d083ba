/* SPDX-License-Identifier: MIT */
#include "greetd/base/file_watch.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "greetd/base/cleanup.h"

/* As many as the kernel follows (path_resolution(7)). */
#define LINKS_MAX 40

/* IN_MODIFY is not among them: a file is read when its writer has closed it. */
#define EVENTS                                                                                     \
    (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE | IN_ATTRIB |            \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* Of the file itself, which may have another name elsewhere: a hard link, or a bind mount. */
#define FILE_EVENTS (IN_CLOSE_WRITE | IN_ATTRIB | IN_MASK_ADD)

struct file_watch_entry {
    int wd;
    char *path;       /* owned */
    const char *name; /* the last part of path */
    bool last;        /* the file itself, not a directory or link on the way */
};

static void free_entries(struct file_watch_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(entries[i].path);
    free(entries);
}

static int add_entry(struct file_watch *watch, int wd, const char *path, bool last)
{
    struct file_watch_entry *grown =
        reallocarray(watch->entries, watch->n + 1, sizeof(*watch->entries));
    if (!grown)
        return -ENOMEM;
    watch->entries = grown;

    struct file_watch_entry entry = {.wd = wd, .path = strdup(path), .last = last};
    if (!entry.path)
        return -ENOMEM;
    entry.name = strrchr(entry.path, '/') + 1;
    watch->entries[watch->n++] = entry;
    return 0;
}

/* A path that is being resolved as in path_resolution(7). */
struct walk {
    char directory[PATH_MAX]; /* without links; "" for the root */
    char rest[PATH_MAX];      /* what is left, from the directory on */
    char entry[PATH_MAX];     /* the next part, in the directory */
    unsigned n_links;
};

/* Moves the next part of the rest to ENTRY. Returns false at the end. */
static bool take_part(struct walk *walk)
{
    const char *part = walk->rest + strspn(walk->rest, "/");
    size_t length = strcspn(part, "/");

    if (length == 0)
        return false;
    int n =
        snprintf(walk->entry, sizeof(walk->entry), "%s/%.*s", walk->directory, (int)length, part);
    memmove(walk->rest, part + length, strlen(part + length) + 1);
    return n < (int)sizeof(walk->entry);
}

/* Follows `.` or `..`, which are no entries to watch. Returns false for any other part. */
static bool follow_dots(struct walk *walk)
{
    const char *name = strrchr(walk->entry, '/') + 1;

    if (strcmp(name, ".") == 0)
        return true;
    if (strcmp(name, "..") != 0)
        return false;
    char *parent = strrchr(walk->directory, '/');
    if (parent)
        *parent = '\0';
    return true;
}

/* Puts the target of the link at ENTRY before the rest. Returns 0 or a negative errno. */
static int follow_link(struct walk *walk)
{
    char target[PATH_MAX], rest[PATH_MAX];
    ssize_t length = readlink(walk->entry, target, sizeof(target) - 1);

    if (length < 0)
        return -errno;
    target[length] = '\0';
    if (++walk->n_links > LINKS_MAX)
        return -ELOOP;
    strcpy(rest, walk->rest);
    if (snprintf(walk->rest, sizeof(walk->rest), "%s%s", target, rest) >= (int)sizeof(walk->rest))
        return -ENAMETOOLONG;
    if (target[0] == '/')
        walk->directory[0] = '\0';
    return 0;
}

/* Watches the directory before looking into it, so that no later change goes unnoticed. */
static int watch_entry(struct file_watch *watch, const struct walk *walk)
{
    bool last = walk->rest[strspn(walk->rest, "/")] == '\0';
    int wd = inotify_add_watch(watch->fd, walk->directory[0] ? walk->directory : "/", EVENTS);

    if (wd < 0 && (errno == ENOENT || errno == ENOTDIR || (errno == EACCES && !last)))
        return 0;
    return wd < 0 ? -errno : add_entry(watch, wd, walk->entry, last);
}

/* A file that may not be read can't be watched; the permission for that is seen in its directory.
 */
static int watch_file(struct file_watch *watch, const struct walk *walk)
{
    const char *path = walk->directory[0] ? walk->directory : "/";
    int wd = inotify_add_watch(watch->fd, path, FILE_EVENTS);

    return wd < 0 ? 0 : add_entry(watch, wd, path, true);
}

/* Watches each directory on the way to the file, as far as it exists. */
static int watch_all(struct file_watch *watch)
{
    struct walk walk = {.n_links = 0};

    if (strlen(watch->path) >= sizeof(walk.rest))
        return -ENAMETOOLONG;
    strcpy(walk.rest, watch->path);
    while (take_part(&walk)) {
        struct stat status;

        if (follow_dots(&walk))
            continue;
        int r = watch_entry(watch, &walk);
        if (r < 0)
            return r;
        if (lstat(walk.entry, &status) < 0)
            return 0;
        if (!S_ISLNK(status.st_mode)) {
            strcpy(walk.directory, walk.entry);
            continue;
        }
        r = follow_link(&walk);
        if (r < 0)
            return r == -ENOENT ? 0 : r;
    }
    return watch_file(watch, &walk);
}

static bool has_wd(const struct file_watch *watch, int wd)
{
    for (size_t i = 0; i < watch->n; i++)
        if (watch->entries[i].wd == wd)
            return true;
    return false;
}

/* Follows the path anew, and leaves the directories that are not on the way any more. */
static int renew(struct file_watch *watch)
{
    struct file_watch_entry *before = TAKE_PTR(watch->entries);
    size_t n_before = watch->n;

    watch->n = 0;
    int r = watch_all(watch);
    for (size_t i = 0; i < n_before; i++)
        if (!has_wd(watch, before[i].wd))
            (void)inotify_rm_watch(watch->fd, before[i].wd);
    free_entries(before, n_before);
    return r;
}

/* A new file is written next, and changes when its writer closes it. A link to a file, symbolic or
 * hard, is complete. */
static bool is_incomplete(const struct file_watch_entry *entry, uint32_t mask)
{
    struct stat status;

    return entry->last && (mask & IN_CREATE) && lstat(entry->path, &status) == 0 &&
           S_ISREG(status.st_mode) && status.st_nlink == 1;
}

static bool is_relevant(const struct file_watch *watch, const struct inotify_event *event)
{
    if (event->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT))
        return true;
    if (event->len == 0) /* of the file, or of a directory, whose parent has the same event */
        return (event->mask & (IN_CLOSE_WRITE | IN_ATTRIB)) && !(event->mask & IN_ISDIR);
    for (size_t i = 0; i < watch->n; i++) {
        const struct file_watch_entry *entry = &watch->entries[i];

        if (entry->wd == event->wd && strcmp(entry->name, event->name) == 0 &&
            !is_incomplete(entry, event->mask))
            return true;
    }
    return false;
}

int file_watch_init(struct file_watch *watch, const char *path)
{
    *watch = FILE_WATCH_NULL;
    watch->path = strdup(path);
    if (!watch->path)
        return -ENOMEM;
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    return watch->fd < 0 ? -errno : watch_all(watch);
}

void file_watch_deinit(struct file_watch *watch)
{
    safe_close(watch->fd);
    free_entries(watch->entries, watch->n);
    free(watch->path);
    *watch = FILE_WATCH_NULL;
}

int file_watch_read(struct file_watch *watch)
{
    _Alignas(struct inotify_event) char buffer[4096];
    bool changed = false;
    ssize_t n;

    while ((n = read(watch->fd, buffer, sizeof(buffer))) > 0)
        for (const char *p = buffer; p < buffer + n;) {
            const struct inotify_event *event = (const void *)p;

            changed |= is_relevant(watch, event);
            p += sizeof(*event) + event->len;
        }
    if (!changed)
        return 0;
    int r = renew(watch);
    return r < 0 ? r : 1;
}
