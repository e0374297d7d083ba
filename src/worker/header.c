/* SPDX-License-Identifier: MIT */
#include "greetd/worker/header.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "greetd/net/socket.h"

/* Nearly every header arrives as a whole; a part is kept until the rest is there. */
static int keep(struct conn *conn, const char *bytes, size_t size)
{
    struct conn_header *header =
        realloc(conn->has_header ? conn->header : NULL, sizeof(*header) + size);

    if (!header)
        return -ENOMEM;
    if (!conn->has_header)
        header->number = conn->number;
    header->size = size;
    memcpy(header->bytes, bytes, size);
    conn->header = header;
    conn->has_header = conn->had_input = true;
    return 0;
}

void header_free(struct conn *conn)
{
    struct conn_header *header = conn->header;

    if (!conn->has_header)
        return;
    conn->number = header->number;
    conn->has_header = false;
    free(header);
}

/* Acts on the SIZE bytes that have arrived so far. */
static int parse(struct conn *conn, const char *bytes, size_t size)
{
    struct proxy_header header;
    enum proxy_error error;
    int r = proxy_header_parse(&header, &error, bytes, size);

    if (r == 0)
        return keep(conn, bytes, size);
    header_free(conn);
    if (r < 0) {
        conn->proxy_error = error & 15;
        return r;
    }
    conn->had_input = size > header.size;
    conn->proxied = header.has_source;
    if (header.has_source)
        conn->peer = header.source;
    return 1;
}

/* The end of stream is a mistake within a header. An empty record is nothing of a header. */
static int end_input(struct conn *conn)
{
    if (conn_listener(conn)->listener->type == SOCK_SEQPACKET && !socket_has_hung_up(conn->fd))
        return 0;
    conn->input_ended = true;
    conn->proxy_error = PROXY_CUT;
    return conn->has_header ? -EBADMSG : 0;
}

int header_read(struct conn *conn)
{
    /* One byte more, because what follows the longest header in its record is seen only here. */
    char bytes[PROXY_HEADER_MAX + 1];
    size_t kept = conn->has_header ? conn->header->size : 0;
    ssize_t n;

    do
        n = recv(conn->fd, bytes + kept, sizeof(bytes) - kept, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    if (n == 0)
        return end_input(conn);
    if (kept > 0)
        memcpy(bytes, conn->header->bytes, kept);
    return parse(conn, bytes, kept + (size_t)n);
}
