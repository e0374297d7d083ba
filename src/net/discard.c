/* SPDX-License-Identifier: MIT */
#include "greetd/net/discard.h"

#include <errno.h>
#include <sys/socket.h>

#include "greetd/net/socket.h"

/* How often recv(2) is called, however little there is to read each time. */
#define DISCARD_READS 64

/* A record of SOCK_SEQPACKET may be empty, which recv(2) tells no differently from the end of
 * stream. */
static bool is_empty_record(int fd, bool records)
{
    return records && !sockutil_has_hung_up(fd);
}

enum discarded discard(int fd, bool records, uint32_t limit, uint32_t *n)
{
    char buffer[16 * 1024];
    uint32_t end = *n + limit;

    for (unsigned i = 0; i < DISCARD_READS && *n < end; i++) {
        ssize_t r = recv(fd, buffer, sizeof(buffer), 0);

        if (r > 0)
            *n += (uint32_t)r;
        else if (r == 0 && is_empty_record(fd, records))
            ++*n;
        else if (r == 0)
            return DISCARDED_LAST;
        else if (errno == EAGAIN)
            return DISCARDED_ALL;
        else if (errno != EINTR)
            return DISCARDED_FAILED;
    }
    return DISCARDED_SOME;
}
