/* SPDX-License-Identifier: MIT */
#pragma once

/* Which addresses are allowed: the lists of Allow= and Deny=, compiled. Immutable; its memory is
 * counted by references, which any thread may take and drop. Compiling blocks on the disk. */

#include <stdbool.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/file.h"
#include "greetd/guard/network_list.h"
#include "greetd/net/peer.h"

struct networks;

/* Compiles the list ALLOW, which is the value of the setting ALLOW_LABEL, and the list DENY of
 * Deny=. The longest network that has an address decides, a denied one before an allowed one of the
 * same length. An address in none is allowed if ALLOW is empty. If both lists are empty, *RET is
 * NULL: all are allowed. An error in a file, or a file that can't be read, is added to REPORT and
 * is no failure; *RET is NULL then. Else *RET is the caller's reference. Errors: -EMFILE or
 * -ENFILE, which are added, too; -ENOMEM. */
int networks_compile(struct networks **ret, const struct network_list *allow,
                     const char *allow_label, const struct network_list *deny,
                     struct file_report *report);

/* NULL is allowed. */
struct networks *networks_ref(struct networks *networks);
void networks_unref(struct networks *networks);
DEFINE_CLEANUP_FUNCTION(struct networks, networks_unref)

/* Whether PEER is allowed. All are if NETWORKS is NULL, and peers without an IP address always. */
bool networks_allow(const struct networks *networks, const struct peer *peer);
