/* SPDX-License-Identifier: MIT */
#pragma once

/* The argument of --proxy. Pure. */

#include "client/exchange.h"

/* Parses `[v1:]SOURCE`: `IPv4`, `IPv4:PORT`, `IPv6`, `[IPv6]:PORT`, a network such as
 * `192.0.2.0/24`, `unix` or `local`. Returns 0, or -EINVAL with RET untouched. */
int proxy_argument_parse(struct exchange_proxy *ret, const char *text);
