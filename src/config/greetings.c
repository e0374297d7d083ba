/* SPDX-License-Identifier: MIT */
#include "greetd/config/greetings.h"

#include <errno.h>
#include <string.h>

#include "greetd/base/clock.h"
#include "greetd/config/setting_table.h"
#include "greetd/greeting/template.h"

static const struct setting *row(const char *name)
{
    return setting_find(name, SECTION_GREETING);
}

/* Message= or MessageFile=, whichever is in force. */
static const struct setting *message_row(const struct setting_values *values)
{
    return row(values->greeting.message_file ? "MessageFile" : "Message");
}

/* Whether both have SETTING from the same line. */
static bool same_line(const struct setting_values *a, const struct setting_values *b,
                      const struct setting *setting)
{
    return strcmp(setting_values_origin(a, setting), setting_values_origin(b, setting)) == 0;
}

/* Whether VALUES have the message of BASE, or both none. A missing file is a mistake for VALUES
 * without a StaleMessage=. */
static bool same_message(const struct setting_values *values, const struct setting_values *base)
{
    const struct setting *message = message_row(values);

    return message == message_row(base) && same_line(values, base, message) &&
           values->greeting.expand == base->greeting.expand &&
           values->greeting.pick == base->greeting.pick &&
           (values->greeting.stale_message || !base->greeting.stale_message);
}

static struct greeting *share(struct greeting *greeting)
{
    return greeting ? greeting_ref(greeting) : NULL;
}

/* Compiles TEXT, whose escapes the loader has checked, of SETTING. */
static int compile_text(struct greeting **ret, const struct setting_values *values,
                        const struct setting *setting, const char *text, bool expand,
                        struct diagnostics *diagnostics)
{
    const char *origin = setting_values_origin(values, setting), *why;
    size_t offset;

    if (!expand)
        return template_compile_escapes(ret, text, &why, &offset);
    return template_compile(ret, text, origin, setting_label(setting, origin), diagnostics);
}

struct message_file_source greetings_source(const struct setting_values *values)
{
    return (struct message_file_source){
        .path = values->greeting.message_file,
        .origin = setting_values_origin(values, row("MessageFile")),
        .expand = values->greeting.expand,
        .fortunes = values->greeting.pick != PICK_WHOLE,
        .daily = values->greeting.pick == PICK_DAILY,
    };
}

static int compile_file(struct greeting **ret, const struct setting_values *values,
                        struct file_report *report)
{
    const struct message_file_source source = greetings_source(values);

    if (values->greeting.stale_message && message_file_age(source.path) == USEC_INFINITY)
        return 0;
    int r = message_file_load(ret, &source, report->errors, report->remarks);
    if (r >= 0 || file_is_bad(r) || r == -ENOMEM || r == -EMFILE || r == -ENFILE)
        return r;
    report->n_unreadable++;
    report->read_error = r;
    return -EINVAL;
}

/* An error in the text or file belongs to the line that set it, and is no failure. Both have the
 * same errnos. */
static int unless_bad(int r)
{
    return file_is_bad(r) ? 0 : r;
}

static int compile_message(struct greeting **ret, const struct setting_values *values,
                           struct file_report *report)
{
    return unless_bad(values->greeting.message_file
                          ? compile_file(ret, values, report)
                          : compile_text(ret, values, row("Message"), values->greeting.message,
                                         values->greeting.expand, report->errors));
}

/* Compiles the TEXT (NULL: none) of the setting NAME, which is always expanded. */
static int compile_other(struct greeting **ret, const struct setting_values *values,
                         const char *name, const char *text, const struct setting_values *base,
                         struct greeting *shared, struct diagnostics *diagnostics)
{
    if (text && base && same_line(values, base, row(name)))
        *ret = share(shared);
    else if (text)
        return unless_bad(compile_text(ret, values, row(name), text, true, diagnostics));
    return 0;
}

int greetings_compile(struct greetings *ret, const struct setting_values *values,
                      const struct setting_values *base, const struct greetings *base_greetings,
                      struct file_report *report)
{
    int r = 0;

    *ret = (struct greetings){.message = NULL};
    if (base && same_message(values, base))
        ret->message = share(base_greetings->message);
    else
        r = compile_message(&ret->message, values, report);
    if (r >= 0)
        r = compile_other(&ret->stale, values, "StaleMessage", values->greeting.stale_message, base,
                          base ? base_greetings->stale : NULL, report->errors);
    if (r >= 0)
        r = compile_other(&ret->stop, values, "StopMessage", values->greeting.stop_message, base,
                          base ? base_greetings->stop : NULL, report->errors);
    if (r >= 0)
        r = compile_other(&ret->refuse, values, "RefuseMessage", values->greeting.refuse_message,
                          base, base ? base_greetings->refuse : NULL, report->errors);
    return r;
}

struct greeting *greetings_first(const struct greetings *greetings,
                                 const struct setting_values *values)
{
    const struct greeting_settings *settings = &values->greeting;

    if (settings->watch && settings->message_file && greetings->stale &&
        (!greetings->message || message_file_age(settings->message_file) > settings->max_age_usec))
        return greetings->stale;
    return greetings->message;
}

void greetings_deinit(struct greetings *greetings)
{
    greeting_unref(greetings->message);
    greeting_unref(greetings->stale);
    greeting_unref(greetings->stop);
    greeting_unref(greetings->refuse);
    *greetings = (struct greetings){.message = NULL};
}
