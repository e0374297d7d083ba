/* SPDX-License-Identifier: MIT */
#include "greetd/control/messages.h"

#include <stdlib.h>
#include <string.h>

#include "greetd/base/clock.h"
#include "greetd/base/parse.h"
#include "greetd/greeting/message_file.h"
#include "greetd/journal/catalog.h"

/* When to try again after a shortage of descriptors or memory. */
#define RETRY_USEC USEC_PER_SEC

/* The greeting of one section. */
struct message {
    struct messages *messages;            /* it belongs to */
    const struct config_listener *config; /* borrowed from the snapshot */
    struct greeting *sent;                /* a reference: the one that the workers have */
    struct message_file file;             /* of Watch=yes; its path is NULL if there is none */
    sd_event_source *events;              /* owned: its events */
    sd_event_source *timer;               /* owned: when it is too old */
    sd_event_source *retry;               /* owned: when to load it again after a shortage */
    bool failed;                          /* the last load */
    bool unwatched;                       /* its path, or a part of it */
    bool stale;
};

/* Whether an earlier binding than that at INDEX has its metrics and its greeting. */
static bool is_counted(const struct snapshot *snapshot, size_t index)
{
    const struct binding *binding = &snapshot->bindings[index];

    for (size_t i = 0; i < index; i++)
        if (snapshot->bindings[i].config == binding->config &&
            strcmp(binding_name(&snapshot->bindings[i]), binding_name(binding)) == 0)
            return true;
    return false;
}

/* Calls ACTION for the metrics of each listener with that greeting. */
static void for_each_listener(const struct message *message,
                              void (*action)(struct metrics_listener *listener, int64_t value),
                              int64_t value)
{
    const struct snapshot *snapshot = message->messages->snapshot;

    for (size_t i = 0; i < snapshot->n; i++) {
        const struct binding *binding = &snapshot->bindings[i];
        struct metrics_listener *listener =
            binding->config == message->config && !is_counted(snapshot, i)
                ? metrics_listener(message->messages->metrics, binding_name(binding))
                : NULL;
        if (listener)
            action(listener, value);
    }
}

static void count_load(struct metrics_listener *listener, int64_t outcome)
{
    metrics_add(&listener->file_loads[outcome], 1);
}

static void set_modified(struct metrics_listener *listener, int64_t modified_usec)
{
    atomic_store_explicit(&listener->file_modified_usec, modified_usec, memory_order_relaxed);
}

/* The greeting that new clients should receive. Before the first load it is that of the snapshot.
 */
static struct greeting *choose(const struct message *message)
{
    const struct config_listener *config = message->config;

    if (message->messages->stopping && config->stop)
        return config->stop;
    if (message->stale)
        return config->stale;
    return message->file.greeting ? message->file.greeting : config->greeting;
}

static uint64_t age_usec(const struct message *message)
{
    return (uint64_t)((int64_t)clock_now_of(CLOCK_BOOTTIME) - message->file.modified_usec);
}

/* Whether there is anything to send but StaleMessage=. */
static bool has_file(const struct message *message)
{
    return message->file.greeting || message->config->greeting != message->config->stale;
}

static void log_age(const struct message *message)
{
    const struct greeting_settings *settings = &message->config->settings;
    struct logger *logger = message->messages->logger;

    if (message->stale) {
        char limit[TIMESPAN_TEXT_MAX];
        logger_log_about(logger, message->config->name, LOG_WARNING, MESSAGE_ID_FILE_STALE,
                         "%s was not renewed for %s: StaleMessage= is sent", settings->message_file,
                         format_timespan(settings->max_age_usec, limit));
        return;
    }
    logger_log_about(logger, message->config->name, LOG_NOTICE, MESSAGE_ID_FILE_RENEWED,
                     "%s is renewed, and sent again", settings->message_file);
}

/* Enables TIMER for TIME of CLOCK_BOOTTIME. */
static void set_timer(sd_event_source *timer, uint64_t time_usec)
{
    (void)sd_event_source_set_time(timer, time_usec);
    (void)sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

/* Finds out whether the file is too old, and sets the timer to the time when it will be. */
static void update_age(struct message *message)
{
    uint64_t max_age_usec = message->config->settings.max_age_usec, age = age_usec(message);
    bool was_stale = message->stale;

    if (!message->config->stale || !has_file(message))
        return;
    message->stale = age > max_age_usec;
    if (message->stale != was_stale)
        log_age(message);
    if (message->stale || max_age_usec == USEC_INFINITY)
        return;
    set_timer(message->timer, usec_add(clock_now_of(CLOCK_BOOTTIME), max_age_usec - age + 1));
}

static void log_failure(struct message *message, const struct diagnostics *diagnostics)
{
    if (message->failed || diagnostics->n_lines == 0)
        return;
    message->failed = true;
    logger_log_about(message->messages->logger, message->config->name, LOG_WARNING,
                     MESSAGE_ID_FILE_FAILED, "%s; %s", diagnostics->lines[0],
                     has_file(message) ? "the last good greeting stays"
                                       : "StaleMessage= is sent until it can be read");
}

static void log_success(struct message *message)
{
    if (message->failed)
        logger_log_about(message->messages->logger, message->config->name, LOG_NOTICE,
                         MESSAGE_ID_FILE_LOADED, "%s is in order again", message->file.source.path);
    message->failed = false;
}

static void load(struct message *message)
{
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    enum message_file_change change = message_file_update(&message->file, &diagnostics);
    bool loaded = change == MESSAGE_FILE_LOADED;

    if (change == MESSAGE_FILE_UNCHANGED)
        return;
    for_each_listener(message, count_load, loaded ? METRICS_SUCCESS : METRICS_FAILURE);
    if (loaded) {
        for_each_listener(message, set_modified, message->file.modified_usec);
        log_success(message);
        unit_states_add(message->messages->unit_states, message->file.greeting);
    } else {
        log_failure(message, &diagnostics);
    }
    if (change == MESSAGE_FILE_SHORT)
        set_timer(message->retry, clock_now_of(CLOCK_BOOTTIME) + RETRY_USEC);
    update_age(message);
}

/* Logs ERROR of file_watch_init() or file_watch_read() once until there is none. */
static void log_watch(struct message *message, int error)
{
    bool was_unwatched = message->unwatched;

    message->unwatched = error < 0;
    if (message->unwatched && !was_unwatched)
        logger_log_about(message->messages->logger, message->config->name, LOG_WARNING,
                         MESSAGE_ID_FILE_UNWATCHED,
                         "Failed to watch %s: %s; changes may go unnoticed until a reload",
                         message->config->settings.message_file, strerrordesc_np(-error));
}

static int on_events(sd_event_source *source, int fd, uint32_t events, void *p)
{
    struct message *message = p;
    int r = file_watch_read(&message->file.watch);

    (void)source;
    (void)fd;
    (void)events;
    if (r == 0)
        return 0;
    log_watch(message, r);
    load(message);
    messages_advance(message->messages);
    return 0;
}

static int on_too_old(sd_event_source *source, uint64_t usec, void *p)
{
    struct message *message = p;

    (void)source;
    (void)usec;
    update_age(message);
    messages_advance(message->messages);
    return 0;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *p)
{
    struct message *message = p;

    (void)source;
    (void)usec;
    load(message);
    messages_advance(message->messages);
    return 0;
}

/* Adds a timer of MESSAGE that is off until set_timer(). */
static int add_timer(sd_event_source **ret, struct message *message,
                     sd_event_time_handler_t handler)
{
    int r =
        sd_event_add_time(message->messages->event, ret, CLOCK_BOOTTIME, 0, 1000, handler, message);

    return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

static int add_sources(struct message *message)
{
    int r = add_timer(&message->timer, message, on_too_old);

    if (r >= 0)
        r = add_timer(&message->retry, message, on_retry);
    if (r >= 0 && message->file.watch.fd >= 0)
        r = sd_event_add_io(message->messages->event, &message->events, message->file.watch.fd,
                            EPOLLIN, on_events, message);
    return r;
}

/* Watches first and loads then, so that no change in between is missed. A path that can't be
 * watched as a whole is watched in part. */
static void watch(struct message *message)
{
    int watched = message_file_init(&message->file, &message->config->file);
    int added = add_sources(message);

    log_watch(message, watched < 0 ? watched : added);
    load(message);
    for_each_listener(message, set_modified, message->file.modified_usec);
    update_age(message);
}

static void end(struct message *message)
{
    message->events = sd_event_source_disable_unref(message->events);
    message->timer = sd_event_source_disable_unref(message->timer);
    message->retry = sd_event_source_disable_unref(message->retry);
    message_file_deinit(&message->file);
    greeting_unref(message->sent);
}

static void end_all(struct messages *messages)
{
    for (size_t i = 0; i < messages->n; i++)
        end(&messages->items[i]);
    free(TAKE_PTR(messages->items));
    messages->n = 0;
    snapshot_unref(TAKE_PTR(messages->snapshot));
}

/* Whether the greeting of the binding at INDEX may change, and no earlier binding has the same. */
static bool is_first_changing(const struct snapshot *snapshot, size_t index)
{
    const struct config_listener *config = snapshot->bindings[index].config;

    for (size_t i = 0; i < index; i++)
        if (snapshot->bindings[i].config == config)
            return false;
    return config->settings.watch || config->stop;
}

static size_t count_changing(const struct snapshot *snapshot)
{
    size_t n = 0;

    for (size_t i = 0; i < snapshot->n; i++)
        n += is_first_changing(snapshot, i);
    return n;
}

static void add(struct messages *messages, const struct config_listener *config)
{
    struct message *message = &messages->items[messages->n++];

    *message = (struct message){.messages = messages,
                                .config = config,
                                .sent = greeting_ref(config->greeting),
                                .file = {.watch = FILE_WATCH_NULL}};
    if (config->settings.watch)
        watch(message);
}

static bool is_watched(const struct snapshot *snapshot, const char *name)
{
    for (size_t i = 0; i < snapshot->n; i++)
        if (snapshot->bindings[i].config->settings.watch &&
            strcmp(binding_name(&snapshot->bindings[i]), name) == 0)
            return true;
    return false;
}

/* A listener whose file is not watched any more has no age, which would grow for ever. */
static void forget_ages(const struct messages *messages)
{
    for (struct metrics_listener *l = metrics_first_listener(messages->metrics); l; l = l->next)
        if (!is_watched(messages->snapshot, l->name))
            set_modified(l, METRICS_NO_FILE);
}

struct messages messages_init(sd_event *event, struct pool *pool, struct logger *logger,
                              struct metrics *metrics, struct unit_states *unit_states)
{
    return (struct messages){.event = event,
                             .pool = pool,
                             .logger = logger,
                             .metrics = metrics,
                             .unit_states = unit_states};
}

void messages_renew(struct messages *messages, struct snapshot *snapshot)
{
    size_t n = count_changing(snapshot);

    end_all(messages);
    messages->held = false;
    messages->snapshot = snapshot_ref(snapshot);
    messages->items = n > 0 ? calloc(n, sizeof(*messages->items)) : NULL;
    if (n > 0 && !messages->items)
        logger_log(messages->logger, LOG_ERR, MESSAGE_ID_FILE_UNWATCHED,
                   "Failed to watch %zu files: Out of memory", n);
    for (size_t i = 0; messages->items && i < snapshot->n; i++)
        if (is_first_changing(snapshot, i))
            add(messages, snapshot->bindings[i].config);
    forget_ages(messages);
    messages_advance(messages);
}

void messages_hold(struct messages *messages)
{
    messages->held = true;
}

void messages_advance(struct messages *messages)
{
    for (size_t i = 0; i < messages->n; i++) {
        struct message *message = &messages->items[i];
        struct greeting *chosen = choose(message);

        if (messages->held || !pool_settled(messages->pool))
            return;
        if (chosen == message->sent ||
            pool_replace_greeting(messages->pool, messages->snapshot, message->config, chosen) < 0)
            continue;
        greeting_unref(message->sent);
        message->sent = greeting_ref(chosen);
    }
}

void messages_stop(struct messages *messages)
{
    messages->stopping = true;
    messages_advance(messages);
}

void messages_deinit(struct messages *messages)
{
    end_all(messages);
}
