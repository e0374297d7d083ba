/* SPDX-License-Identifier: MIT */
#include "greetd/control/failure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>

#include "greetd/journal/catalog.h"

static void log_line(struct sink *sink, struct logger *logger, const char *id, const char *text)
{
    if (logger)
        logger_log(logger, LOG_ERR, id, "%s", text);
    else if (sink->journal)
        sink_try_write(sink, LOG_ERR, text);
    else
        (void)dprintf(sink->fd, "%s\n", text);
}

int failure_log(struct sink *sink, struct logger *logger, const char *what, int error)
{
    const char *reason = strerrordesc_np(-error);
    char text[SINK_MESSAGE_MAX];

    snprintf(text, sizeof(text), "%s: %s", what, reason);
    log_line(sink, logger, MESSAGE_ID_FAILED, text);
    sd_notifyf(false, "STATUS=%s: %s\nERRNO=%d", what, reason, -error);
    return EX_OSERR;
}

int failure_log_lines(struct sink *sink, struct logger *logger,
                      const struct diagnostics *diagnostics, int error)
{
    bool is_mistake = error == -EBADMSG;

    for (size_t i = 0; i < diagnostics->n_lines; i++)
        log_line(sink, logger, is_mistake ? MESSAGE_ID_CONFIG_ERROR : MESSAGE_ID_FAILED,
                 diagnostics->lines[i]);
    sd_notifyf(false, "STATUS=%s%s\nERRNO=%d",
               diagnostics->n_lines > 0 ? diagnostics->lines[0] : "Out of memory",
               diagnostics->n_errors > 1 ? ", and more" : "", is_mistake ? EINVAL : -error);
    return is_mistake ? EX_CONFIG : EX_OSERR;
}
