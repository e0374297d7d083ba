/* SPDX-License-Identifier: MIT */
#pragma once

/* PROXY headers, versions 1 and 2: with them a load balancer begins a connection and names the
 * client that it stands for. The rules are those of proxy-protocol.txt of HAProxy, whose sections
 * are cited here. Pure. */

#include <stdbool.h>
#include <stddef.h>

#include "greetd/net/peer.h"

/* The first bytes of version 2 (2.2). */
#define PROXY_SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* Bytes of the longest line of version 1, with its CRLF (2.1). */
#define PROXY_LINE_MAX ((size_t)107)

/* Bytes of the longest header that is accepted. The length field of version 2 allows 65551, and
 * section 2 lets a receiver expect no more than the 536 of the smallest TCP segment. But the TLVs
 * that section 2.2 has gained since then need more: two Unix addresses take 216 bytes, the name of
 * a host up to 258, a unique id 131, and those of TLS about 150. Newer versions of nginx also
 * accept 4096. */
#define PROXY_HEADER_MAX ((size_t)4096)

/* What is wrong with a header. */
enum proxy_error {
    PROXY_OK,
    PROXY_NO_HEADER, /* the client began with something else */
    PROXY_CUT,       /* the stream ended within the header; set by callers */
    PROXY_LATE,      /* DataTimeoutSec= is over; set by callers */
    PROXY_UNTRUSTED, /* the sender is none of ProxyTrustedSources=; set by callers */
    PROXY_TOO_LONG,
    PROXY_BAD_PROTOCOL, /* version 1: not TCP4, TCP6 or UNKNOWN */
    PROXY_BAD_ADDRESS,  /* version 1 */
    PROXY_BAD_PORT,     /* version 1 */
    PROXY_BAD_LINE_END, /* version 1: not CRLF */
    PROXY_BAD_VERSION,
    PROXY_BAD_COMMAND,
    PROXY_BAD_FAMILY, /* version 2: or a bad transport protocol */
    PROXY_BAD_LENGTH, /* version 2: too short for the addresses of its family */
    PROXY_BAD_TLV,    /* version 2 */
    PROXY_BAD_CHECKSUM,
    PROXY_ERROR_N,
};

/* Returns the end of a sentence `Connection from ADDRESS refused: ...`. Static text. */
const char *proxy_error_text(enum proxy_error error);

struct proxy_header {
    size_t size;        /* of the header; what follows is from the client */
    bool has_source;    /* else the connection is the sender's own: a health check */
    struct peer source; /* the client; one of a Unix socket has neither pid nor uid */
};

/* Parses the header at the beginning of a stream of which SIZE bytes at BYTES have arrived. Returns
 * 1 if it is complete, with *RET; 0 if more is needed; or -EBADMSG with *RET_ERROR once its first
 * wrong byte has arrived. RET and RET_ERROR are untouched otherwise. The result does not depend on
 * how the stream is split: once it is not 0, more bytes do not change it. IPv4 mapped to IPv6
 * becomes IPv4. */
int proxy_header_parse(struct proxy_header *ret, enum proxy_error *ret_error, const char *bytes,
                       size_t size);
