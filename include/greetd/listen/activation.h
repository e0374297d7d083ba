/* SPDX-License-Identifier: MIT */
#pragma once

/* What systemd hands over from process to process: the sockets of .socket units, and those that an
 * earlier greetd has opened itself and given into its keeping (the file descriptor store; see
 * FileDescriptorStoreMax= in systemd.service(5)). */

#include <stdbool.h>
#include <stddef.h>

#include "greetd/base/diagnostics.h"
#include "greetd/net/listener.h"

/* Takes the sockets that systemd passed (sd_listen_fds_with_names(3)), makes them non-blocking and
 * removes the variables that announce them from the environment. Those that an earlier process had
 * stored are marked as such and not as inherited; one that can't be used is named in REPORT and
 * taken out of the store. Returns how many were passed, those included; -EBADMSG if another can't
 * be used, each of which is then named in REPORT; or what failed. SET must be empty. */
int handover_take(struct listener_set *set, struct report *report);

/* Whether systemd passed anything else than what an earlier process had stored. To be asked before
 * handover_take(). */
bool handover_any_passed(void);

/* How many sockets may be stored: systemd closes what is beyond that. SIZE_MAX if it does not say,
 * and then it may as well keep none, so that nothing is counted on. */
size_t handover_room(void);

/* Asks systemd to keep a socket that greetd has opened for the next process, under a name that no
 * other socket has (FDSTORE=1 in sd_notify(3)). Without a service manager nothing happens. */
void handover_store(struct listener *listener);

/* Asks systemd to let go of it again, by the name under which this process or an earlier one had it
 * stored (FDSTOREREMOVE=1); it is ours alone then. */
void handover_unstore(struct listener *listener);
