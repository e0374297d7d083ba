/* SPDX-License-Identifier: MIT */
#pragma once

/* Socket activation: the listening sockets that systemd passes, those of .socket units and those
 * that it has kept since an earlier process (see fdstore). Only for the main thread. */

#include <stdbool.h>

#include "greetd/base/diagnostics.h"
#include "greetd/net/listener.h"

/* Takes the sockets that systemd passed (sd_listen_fds_with_names(3)), makes them non-blocking and
 * removes the variables that announce them from the environment. Stored sockets are marked as such
 * and not as inherited; one that can't be used is named in DIAGNOSTICS and removed from the store.
 * Returns how many were passed, stored ones included; -EBADMSG if any other can't be used, each of
 * which is named in DIAGNOSTICS; or the negative errno of a failed call. SET must be empty. */
int activation_take(struct listener_set *set, struct diagnostics *diagnostics);

/* Whether systemd passed any descriptor that is not from the store. Call it before
 * activation_take(). */
bool activation_any_passed(void);
