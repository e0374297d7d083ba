/* SPDX-License-Identifier: MIT */
#pragma once

/* The configuration: /etc/greetd.conf, its drop-ins and the command line, read into a snapshot that
 * never changes afterwards. Whoever keeps a snapshot holds a reference; the last one to let go
 * frees it, from any thread. */

#include <stdio.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/diagnostics.h"
#include "greetd/config/setting.h"
#include "greetd/greeting/greeting.h"

#define CONFIG_PATH_DEFAULT "/etc/greetd.conf"

/* The name in the log of sockets that no [Listener NAME] speaks of. */
#define CONFIG_SERVER_NAME "server"

/* How clients of one kind of socket are greeted. All it points to belongs to the snapshot. */
struct config_listener {
    const char *name;                  /* NAME, or CONFIG_SERVER_NAME for [Server] */
    struct greeting_settings settings; /* those it inherits from [Greeting] included */
    struct address_list addresses;     /* ListenStream= of this section; may be empty */
    const struct greeting *greeting;   /* compiled from settings */
};

struct config; /* opaque but for the functions below: reference count, origins */

/* What the command line says; it wins over every file. Borrowed strings. */
struct config_options {
    const char *path;    /* -c: a file that must exist; NULL for the default, which need not */
    const char **listen; /* -l: n_listen addresses that replace [Server] ListenStream= */
    size_t n_listen;
    const char *message; /* -m: replaces [Greeting] Message=; NULL if not given */
};

/* Checks what needs no file to be checked: that the addresses and the message on the command line
 * can be read, and that no address is there twice. Mistakes are added to DIAGNOSTICS as `command
 * line: text`. Returns 0, -EBADMSG when DIAGNOSTICS has the mistakes, or -ENOMEM. */
int config_check_options(const struct config_options *options, struct diagnostics *diagnostics);

/* Reads the file, PATH.d/<name>.conf in name order, and then the command line. Every mistake is
 * added to DIAGNOSTICS as `PATH:LINE: text` (a mistake on the command line as `command line:
 * text`); any at all makes the whole fail. On success *RET is a snapshot with one reference, the
 * caller's. Errors: -EBADMSG when DIAGNOSTICS has the mistakes, of which it then has at least one;
 * -EMFILE or -ENFILE, of which DIAGNOSTICS has a line too; what open(2) or read(2) returned for a
 * MessageFile= if DIAGNOSTICS has nothing else, so that the same configuration may do later;
 * -ENOMEM. */
int config_load(struct config **ret, const struct config_options *options,
                struct diagnostics *diagnostics);

struct config *config_ref(struct config *config);
void config_unref(struct config *config); /* NULL is allowed */
DEFINE_CLEANUP_FUNCTION(struct config, config_unref)

/* [Server], borrowed from the snapshot. */
const struct server_settings *config_server(const struct config *config);

/* Where the setting NAME of [Server] was set, as `PATH:LINE` or `command line`; NULL if it has its
 * default. Borrowed. */
const char *config_server_origin(const struct config *config, const char *name);

/* [Log], borrowed from the snapshot. */
const struct log_settings *config_log(const struct config *config);

/* How to greet clients of [Server]'s own sockets; borrowed. */
const struct config_listener *config_default_listener(const struct config *config);

/* The sections [Listener NAME] in the order of their first appearance; borrowed. */
size_t config_n_listeners(const struct config *config);
const struct config_listener *config_listener_at(const struct config *config, size_t index);

/* The section [Listener NAME], or NULL if there is none; borrowed. */
const struct config_listener *config_find_listener(const struct config *config, const char *name);

/* Prints every setting in force to STREAM in the syntax of the file, each below a comment line that
 * says where it came from (`# default`, `# /etc/greetd.conf:3`, `# command line`). What it prints,
 * read again, gives the same settings. Returns 0 or what writing failed with. */
int config_show(const struct config *config, FILE *stream);
