/* SPDX-License-Identifier: MIT */
#pragma once

/* Helpers for owning things in C: what a scope cleans up when it is left, and how it gives
 * something away. */

#include <stdlib.h>
#include <unistd.h>

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))

/* Runs FUNCTION on the variable's address when the variable leaves its scope. */
#define _cleanup_(function) __attribute__((__cleanup__(function)))
#define _cleanup_free_      _cleanup_(freep)
#define _cleanup_close_     _cleanup_(closep)

#define _printf_(format, first) __attribute__((__format__(__printf__, format, first)))

/* Defines FUNCTIONp(), the form of a `TYPE *function(TYPE *)` destructor that _cleanup_ needs. */
#define DEFINE_CLEANUP_FUNCTION(type, function)                                                    \
    static inline void function##p(type **p)                                                       \
    {                                                                                              \
        if (*p)                                                                                    \
            function(*p);                                                                          \
    }

/* Hands a pointer or a descriptor over: its value is returned, the variable no longer owns it. */
#define TAKE_PTR(pointer)                                                                          \
    __extension__({                                                                                \
        __typeof__(pointer) *_pp = &(pointer);                                                     \
        __typeof__(pointer) _p = *_pp;                                                             \
        *_pp = NULL;                                                                               \
        _p;                                                                                        \
    })
#define TAKE_FD(fd)                                                                                \
    __extension__({                                                                                \
        int *_fdp = &(fd);                                                                         \
        int _fd = *_fdp;                                                                           \
        *_fdp = -1;                                                                                \
        _fd;                                                                                       \
    })

static inline void freep(void *p)
{
    free(*(void **)p);
}

static inline void closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* Closes FD if it is owned (not negative) and returns -1, for `fd = safe_close(fd)`. */
static inline int safe_close(int fd)
{
    closep(&fd);
    return -1;
}
