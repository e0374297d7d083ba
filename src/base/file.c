/* SPDX-License-Identifier: MIT */
#include "greetd/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/types.h>

#include "greetd/base/cleanup.h"

#define READ_SIZE_MIN ((size_t)4096)

static int check_type(const struct stat *status)
{
    if (S_ISREG(status->st_mode))
        return 0;
    if (S_ISDIR(status->st_mode))
        return -EISDIR;
    /* /dev/null is known by its fixed numbers (null(4)): it may have any name. */
    if (S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3))
        return 0;
    return -EINVAL;
}

/* Reads until the end of the file or until BYTES is full. */
static ssize_t read_full(int fd, char *bytes, size_t size)
{
    size_t filled = 0;

    while (filled < size) {
        ssize_t n = read(fd, bytes + filled, size - filled);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        filled += (size_t)n;
    }
    return (ssize_t)filled;
}

/* The size of stat(2) is only a hint: the file may be growing, and files in /proc have the size 0.
 * The end of the file is where a read does not fill its room. */
static int read_to_end(int fd, size_t size_hint, size_t limit, char **ret_bytes, size_t *ret_size)
{
    _cleanup_free_ char *bytes = NULL;
    size_t size = 0, room = size_hint < READ_SIZE_MIN ? READ_SIZE_MIN : size_hint + 1;

    for (;;) {
        char *grown = realloc(bytes, room + 1);
        if (!grown)
            return -ENOMEM;
        bytes = grown;

        ssize_t n = read_full(fd, bytes + size, room - size);
        if (n < 0)
            return (int)n;
        size += (size_t)n;
        if (size > limit)
            return -EFBIG;
        if (size < room)
            break;
        room *= 2;
    }

    bytes[size] = '\0';
    *ret_bytes = TAKE_PTR(bytes);
    *ret_size = size;
    return 0;
}

int file_read(char **ret_bytes, size_t *ret_size, const char *path, size_t limit)
{
    /* Opening a FIFO would wait for its writer. */
    _cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return -errno;

    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;

    int r = check_type(&status);
    if (r < 0)
        return r;
    if ((uint64_t)status.st_size > limit)
        return -EFBIG;
    return read_to_end(fd, (size_t)status.st_size, limit, ret_bytes, ret_size);
}

/* A file may have any time, but 64 bits of nanoseconds end in 2262. */
static int64_t nsec_of(const struct timespec *time)
{
    int64_t nsec;

    if (__builtin_mul_overflow((int64_t)time->tv_sec, 1000000000, &nsec) ||
        __builtin_add_overflow(nsec, time->tv_nsec, &nsec))
        return time->tv_sec < 0 ? INT64_MIN : INT64_MAX;
    return nsec;
}

int file_stamp_take(struct file_stamp *ret, const char *path)
{
    struct stat status;

    *ret = (struct file_stamp){0};
    if (stat(path, &status) < 0)
        return -errno;
    *ret = (struct file_stamp){
        .device = status.st_dev,
        .inode = status.st_ino,
        .size = (uint64_t)status.st_size,
        .modified_nsec = nsec_of(&status.st_mtim),
        .changed_nsec = nsec_of(&status.st_ctim),
    };
    return 0;
}

bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->modified_nsec == b->modified_nsec && a->changed_nsec == b->changed_nsec;
}

bool file_diagnose_shortage(const char *path, int error, struct diagnostics *diagnostics)
{
    if (error != -EMFILE && error != -ENFILE)
        return false;
    diagnostics_add(diagnostics, "Failed to read %s: %s (no mistake in the file)", path,
                    strerror(-error));
    return true;
}

bool file_is_bad(int error)
{
    return error == -EINVAL || error == -EISDIR || error == -EFBIG;
}

const char *file_strerror(int error)
{
    return error == -EINVAL ? "Not a regular file" : strerror(-error);
}
