/* SPDX-License-Identifier: MIT */
#pragma once

/* The configuration: /etc/greetd.conf, its drop-ins and the command line, loaded into an immutable
 * object. Its memory is counted by references, which any thread may take and drop. */

#include <stdio.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/diagnostics.h"
#include "greetd/config/setting.h"
#include "greetd/greeting/greeting.h"
#include "greetd/greeting/message_file.h"
#include "greetd/guard/networks.h"

#define CONFIG_PATH_DEFAULT "/etc/greetd.conf"

/* The name in the log of sockets without a [Listener NAME]. */
#define CONFIG_SERVER_NAME "server"

/* How clients of some sockets are greeted. The configuration owns all that it points to. */
struct config_listener {
    const char *name;                   /* NAME, or CONFIG_SERVER_NAME for [Server] */
    struct greeting_settings settings;  /* including those inherited from [Greeting] */
    struct address_list addresses;      /* ListenStream= of this section; may be empty */
    struct greeting *greeting;          /* of the first clients: that of the settings, or stale */
    struct greeting *stale;             /* of StaleMessage=, or NULL */
    struct greeting *stop;              /* of StopMessage=, or NULL */
    struct greeting *refuse;            /* of RefuseMessage=, or NULL */
    struct message_file_source file;    /* path is NULL if Message= is in force */
    bool log_silent;                    /* LogSilentConnections= of [Log] */
    const struct networks *networks;    /* of Allow= and Deny=, here or in [Limits]; NULL: all */
    const struct networks *trusted;     /* of ProxyTrustedSources=; NULL: all */
    const struct source_limits *limits; /* of [Limits] */
};

struct config;

/* The options of the command line, which override every file. Borrowed strings. */
struct config_options {
    const char *path;    /* -c: a file that must exist; NULL for the default, which need not */
    const char **listen; /* -l: n_listen addresses, which replace [Server] ListenStream= */
    size_t n_listen;
    const char *message; /* -m: replaces [Greeting] Message=; NULL if not given */
};

/* Checks the addresses and the message of the command line, without any file. Errors are added to
 * DIAGNOSTICS as `command line: text`. Returns 0, -EBADMSG if one was added, or -ENOMEM. */
int config_check_options(const struct config_options *options, struct diagnostics *diagnostics);

/* Loads the file, PATH.d/<name>.conf in name order, and then the command line. Every error is added
 * to DIAGNOSTICS as `PATH:LINE: text` or `command line: text`, and any error fails the load. On
 * success *RET has one reference, the caller's. Errors: -EBADMSG if the configuration is wrong;
 * -EMFILE or -ENFILE, which are added, too; that of open(2) or read(2) if a file that a
 * setting names can't be read and nothing else is wrong, so that the same configuration may load
 * later; -ENOMEM. */
int config_load(struct config **ret, const struct config_options *options,
                struct diagnostics *diagnostics);

struct config *config_ref(struct config *config);
void config_unref(struct config *config); /* NULL is allowed */
DEFINE_CLEANUP_FUNCTION(struct config, config_unref)

/* [Server]; borrowed. */
const struct server_settings *config_server(const struct config *config);

/* The origin of the setting NAME of [Server], `PATH:LINE` or `command line`; NULL if it has its
 * default. Borrowed. */
const char *config_server_origin(const struct config *config, const char *name);

/* [Limits]; borrowed. */
const struct limit_settings *config_limits(const struct config *config);

/* [Log]; borrowed. */
const struct log_settings *config_log(const struct config *config);

/* How clients of the sockets of [Server] are greeted; borrowed. */
const struct config_listener *config_default_listener(const struct config *config);

/* The sections [Listener NAME] in the order of their first appearance; borrowed. */
size_t config_n_listeners(const struct config *config);
const struct config_listener *config_listener_at(const struct config *config, size_t index);

/* The section [Listener NAME], or NULL if there is none; borrowed. */
const struct config_listener *config_find_listener(const struct config *config, const char *name);

/* What is odd but no error, borrowed: each a line like those of the errors. */
const struct diagnostics *config_remarks(const struct config *config);

/* The paths of the files that were read, in their order; borrowed. */
size_t config_n_files(const struct config *config);
const char *config_file_at(const struct config *config, size_t index);

/* Prints every setting in force to STREAM in the syntax of the file, each below a comment with its
 * origin (`# default`, `# /etc/greetd.conf:3`, `# command line`). Loading the output gives the same
 * settings. Returns 0 or the errno of writing, negative. */
int config_show(const struct config *config, FILE *stream);
