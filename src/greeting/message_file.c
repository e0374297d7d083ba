/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/message_file.h"

#include <errno.h>

#include "greetd/base/clock.h"
#include "greetd/base/text.h"
#include "greetd/greeting/fortune.h"
#include "greetd/greeting/template.h"

/* Compiles *GREETING, the text of the file. */
static int compile(struct greeting **greeting, const struct message_file_source *source,
                   struct diagnostics *diagnostics, struct diagnostics *remarks)
{
    struct template_errors errors = template_errors_in((*greeting)->bytes, source->path,
                                                       source->origin, "MessageFile", diagnostics);

    if (source->fortunes)
        return template_errors_end(
            &errors, fortune_split(*greeting, source->daily, source->expand, &errors, remarks));
    return source->expand
               ? template_expand(greeting, source->path, source->origin, "MessageFile", diagnostics)
               : 0;
}

int message_file_load(struct greeting **ret, const struct message_file_source *source,
                      struct diagnostics *diagnostics, struct diagnostics *remarks)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;

    int r = greeting_new_from_file(&greeting, source->path);
    if (file_diagnose_shortage(source->path, r, diagnostics) || r == -ENOMEM)
        return r;
    if (r < 0) {
        char excerpt[TEXT_EXCERPT_MAX];
        diagnostics_add(diagnostics, "%s: MessageFile=%s: %s", source->origin,
                        text_excerpt(source->path, excerpt), file_strerror(r));
        return r;
    }
    r = compile(&greeting, source, diagnostics, remarks);
    if (r >= 0)
        *ret = TAKE_PTR(greeting);
    return r;
}

static uint64_t age_of(const struct file_stamp *stamp)
{
    int64_t age_usec = (int64_t)clock_now_of(CLOCK_REALTIME) - stamp->modified_nsec / 1000;

    return age_usec > 0 ? (uint64_t)age_usec : 0;
}

uint64_t message_file_age(const char *path)
{
    struct file_stamp stamp;

    return file_stamp_take(&stamp, path) < 0 ? USEC_INFINITY : age_of(&stamp);
}

int message_file_init(struct message_file *file, const struct message_file_source *source)
{
    *file = (struct message_file){.source = *source,
                                  .modified_usec = (int64_t)clock_now_of(CLOCK_BOOTTIME)};
    return file_watch_init(&file->watch, source->path);
}

void message_file_deinit(struct message_file *file)
{
    file_watch_deinit(&file->watch);
    greeting_unref(TAKE_PTR(file->greeting));
}

/* Whether ERROR of message_file_load() is not in the file, which has no event when that ends. */
static bool is_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

enum message_file_change message_file_update(struct message_file *file,
                                             struct diagnostics *diagnostics)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;
    struct file_stamp before, after;
    int64_t began_usec = (int64_t)clock_now_of(CLOCK_REALTIME_COARSE);

    int missing = file_stamp_take(&before, file->source.path);
    if (missing >= 0 && file_stamp_equal(&before, &file->stamp))
        return MESSAGE_FILE_UNCHANGED;
    int r = message_file_load(&greeting, &file->source, diagnostics, NULL);
    (void)file_stamp_take(&after, file->source.path);
    if (!file_stamp_equal(&before, &after))
        return MESSAGE_FILE_UNCHANGED;
    /* The kernel takes ctime from that clock: a later change in the same tick may have the same
     * stamp, which is no proof then. */
    bool is_proof = after.changed_nsec / 1000 < began_usec && !is_shortage(r);
    file->stamp = is_proof ? after : (struct file_stamp){0};
    if (r < 0)
        return is_shortage(r) ? MESSAGE_FILE_SHORT : MESSAGE_FILE_FAILED;
    greeting_unref(file->greeting);
    file->greeting = TAKE_PTR(greeting);
    file->modified_usec = (int64_t)clock_now_of(CLOCK_BOOTTIME) - (int64_t)age_of(&after);
    return MESSAGE_FILE_LOADED;
}
