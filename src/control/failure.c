/* SPDX-License-Identifier: MIT */
#include "greetd/control/failure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>

static void log_line(struct log *log, struct connlog *connlog, const char *id, const char *text)
{
    if (connlog)
        connlog_message(connlog, LOG_ERR, id, "%s", text);
    else if (log->journal)
        log_write_past(log, LOG_ERR, text);
    else
        (void)dprintf(log->fd, "%s\n", text);
}

int failure_report(struct log *log, struct connlog *connlog, const char *what, int error)
{
    const char *reason = strerrordesc_np(-error);
    char text[LOG_MESSAGE_MAX];

    snprintf(text, sizeof(text), "%s: %s", what, reason);
    log_line(log, connlog, LOG_ID_FAILED, text);
    sd_notifyf(false, "STATUS=%s: %s\nERRNO=%d", what, reason, -error);
    return EX_OSERR;
}

int failure_report_lines(struct log *log, struct connlog *connlog, const struct report *report,
                         int error)
{
    bool is_mistake = error == -EBADMSG;

    for (size_t i = 0; i < report->n_lines; i++)
        log_line(log, connlog, is_mistake ? LOG_ID_CONFIG : LOG_ID_FAILED, report->lines[i]);
    sd_notifyf(false, "STATUS=%s%s\nERRNO=%d",
               report->n_lines > 0 ? report->lines[0] : "Out of memory",
               report->n_mistakes > 1 ? ", and more" : "", is_mistake ? EINVAL : -error);
    return is_mistake ? EX_CONFIG : EX_OSERR;
}
