/* SPDX-License-Identifier: MIT */
#pragma once

/* Ownership in C: variables that are freed or closed when their scope ends, and macros that move
 * ownership out of a variable. */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))

/* Runs FUNCTION on the variable's address when the variable leaves its scope. */
#define _cleanup_(function) __attribute__((__cleanup__(function)))
#define _cleanup_free_      _cleanup_(freep)
#define _cleanup_close_     _cleanup_(closep)
#define _cleanup_fclose_    _cleanup_(fclosep)

#define _printf_(format, first) __attribute__((__format__(__printf__, format, first)))

/* Defines FUNCTIONp(), the form of a `TYPE *function(TYPE *)` destructor that _cleanup_ needs. */
#define DEFINE_CLEANUP_FUNCTION(type, function)                                                    \
    static inline void function##p(type **p)                                                       \
    {                                                                                              \
        if (*p)                                                                                    \
            function(*p);                                                                          \
    }

/* Moves a pointer or a descriptor out of a variable: returns it and leaves NULL or -1. */
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

static inline void fclosep(FILE **file)
{
    if (*file)
        fclose(*file);
}

/* Closes FD unless it is negative, which means not owned. Returns -1, for `fd = safe_close(fd)`. */
static inline int safe_close(int fd)
{
    closep(&fd);
    return -1;
}
