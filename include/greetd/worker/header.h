/* SPDX-License-Identifier: MIT */
#pragma once

/* Reads the PROXY header of one client, in as many parts as it arrives in. A part of conn; only for
 * the thread of the worker. */

#include "greetd/worker/conn_state.h"

/* Continues with a client in CONN_HEADER. Returns 1 once its header is complete: PEER is the source
 * in the header, if that names one, and HAD_INPUT says whether data follow it. Returns 0 if more is
 * needed, or if the client has ended its input without a byte. Errors: -EBADMSG with PROXY_ERROR
 * for a wrong header; -ENOMEM; that of recv(2). */
int header_read(struct conn *conn);

/* Frees the beginning of a header, if there is one. */
void header_free(struct conn *conn);
