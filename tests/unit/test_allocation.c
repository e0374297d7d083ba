/* SPDX-License-Identifier: MIT */

/* A failed allocation at a start or a reload is an error like any other and leaks nothing. After
 * the start greetd allocates nothing. */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>

#include "greetd/base/clock.h"
#include "greetd/config/config.h"
#include "greetd/control/reload.h"
#include "greetd/journal/logger.h"
#include "greetd/listen/sockets.h"
#include "greetd/metrics/prometheus.h"
#include "greetd/worker/pool.h"
#include "support/descriptors.h"
#include "support/fake_malloc.h"
#include "support/logger_options.h"
#include "support/net.h"
#include "support/temp_dir.h"

#define HELLO   "Hello from server!"
#define WORKERS 2

TestSuite(allocation, .timeout = 300);

/* The configuration, the sockets, the log and the workers, as control has them. */
struct fixture {
    struct temp_dir temp_dir;
    char path[192];
    struct diagnostics diagnostics;
    struct config *config;
    struct sockets sockets;
    struct sink sink;
    struct metrics *metrics;
    struct logger *logger;
    struct pool *pool;
    sd_event *event;
    struct unit_states unit_states;
    struct messages messages;
};

/* Writes a file and a drop-in with settings of each kind; MORE are those of a MessageFile=. */
static void prepare(struct fixture *fixture, const char *more)
{
    char text[1024];

    *fixture = (struct fixture){.diagnostics = DIAGNOSTICS_NULL};
    temp_dir_init(&fixture->temp_dir);
    temp_dir_write_text(&fixture->temp_dir, "message", HELLO);
    snprintf(text, sizeof(text),
             "[Server]\nListenStream=127.0.0.1:0\nListenStream=@greetd-%d-a\nMaxConnections=100\n"
             "[Listener special]\nListenStream=[::1]:0\nMessageFile=%s/message\nExpand=yes\n%s"
             "[Listener made]\nListenStream=@greetd-%d-b\nMessage=$connection of $hostname\n",
             (int)getpid(), fixture->temp_dir.directory, more, (int)getpid());
    strcpy(fixture->path, temp_dir_write_text(&fixture->temp_dir, "greetd.conf", text));
    temp_dir_mkdir(&fixture->temp_dir, "greetd.conf.d");
    temp_dir_write_text(&fixture->temp_dir, "greetd.conf.d/10-more.conf",
                        "[Greeting]\nMessage=Hello from server!\nLingerSec=3s\n");
    temp_dir_write_text(&fixture->temp_dir, "greetd.conf.d/20-again.conf",
                        "[Greeting]\nLingerSec=2s\n");
    sink_init(&fixture->sink, open("/dev/null", O_WRONLY | O_CLOEXEC));
}

static void clean_up(struct fixture *fixture)
{
    close(fixture->sink.fd);
    temp_dir_deinit(&fixture->temp_dir);
}

static int start(struct fixture *fixture)
{
    const struct config_options options = {.path = fixture->path};
    int r = config_load(&fixture->config, &options, &fixture->diagnostics);

    if (r >= 0)
        r = sockets_open(&fixture->sockets, fixture->config, 1, &fixture->diagnostics);
    if (r >= 0)
        r = metrics_new(&fixture->metrics, WORKERS);
    if (r >= 0)
        r = logger_start(&fixture->logger, &fixture->sink, fixture->metrics, &LOGGER_EVERYTHING);
    if (r >= 0)
        r = pool_start(&fixture->pool, fixture->sockets.snapshot, 100, fixture->metrics,
                       fixture->logger);
    if (r >= 0)
        r = sd_event_new(&fixture->event);
    if (r < 0)
        return r;
    r = unit_states_start(&fixture->unit_states, fixture->event, fixture->logger);
    if (r < 0)
        return r;
    fixture->messages = messages_init(fixture->event, fixture->pool, fixture->logger,
                                      fixture->metrics, &fixture->unit_states);
    messages_renew(&fixture->messages, fixture->sockets.snapshot);
    return 0;
}

static void stop(struct fixture *fixture)
{
    messages_deinit(&fixture->messages);
    unit_states_deinit(&fixture->unit_states);
    fixture->event = sd_event_unref(fixture->event);
    if (fixture->pool)
        cr_assert_eq(pool_end(fixture->pool, USEC_INFINITY), 0);
    if (fixture->logger)
        cr_assert_eq(logger_stop(fixture->logger, USEC_INFINITY), 0);
    pool_free(fixture->pool);
    metrics_free(fixture->metrics);
    sockets_deinit(&fixture->sockets);
    config_unref(fixture->config);
    diagnostics_deinit(&fixture->diagnostics);
    fixture->pool = NULL;
    fixture->metrics = NULL;
    fixture->logger = NULL;
    fixture->config = NULL;
    fixture->sockets = (struct sockets){0};
    fixture->diagnostics = DIAGNOSTICS_NULL;
}

/* Greets one client of the first socket. Allocates nothing. */
static void greet_one(const struct fixture *fixture)
{
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    char text[64];

    cr_assert_eq(getsockname(fixture->sockets.snapshot->bindings[0].listener->fd,
                             (struct sockaddr *)&address, &length),
                 0);
    int client = net_connect(&address);
    cr_assert_eq(net_read_to_end(client, text, sizeof(text)), (ssize_t)strlen(HELLO));
    cr_assert_arr_eq(text, HELLO, strlen(HELLO));
    close(client);
}

/* Starts, greets and stops while the NTH allocation fails. Returns the result of the start. */
static int live_once(struct fixture *fixture, unsigned nth)
{
    size_t descriptors = descriptors_count();
    size_t mistakes;

    count_from_here(nth);
    int r = start(fixture);
    if (r >= 0)
        greet_one(fixture);
    mistakes = fixture->diagnostics.n_errors;
    stop(fixture);
    count_to_here();

    cr_assert(r == 0 || r == -ENOMEM || (r == -EBADMSG && mistakes > 0),
              "refused the %uth: %s, %zu mistakes told", nth, strerrorname_np(r < 0 ? -r : 0),
              mistakes);
    cr_assert_eq(atomic_load(&counted.balance), 0, "refused the %uth: %d pieces are lost", nth,
                 atomic_load(&counted.balance));
    cr_assert_eq(descriptors_count(), descriptors, "refused the %uth", nth);
    return r;
}

/* The C library keeps some memory after its first use, such as the stacks of threads. */
static void warm_up(struct fixture *fixture)
{
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(start(fixture), 0);
        greet_one(fixture);
        stop(fixture);
    }
}

Test(allocation, refused_at_any_call_of_the_start_is_an_error_and_leaves_nothing_behind)
{
    struct fixture fixture;
    unsigned nth = 0, n_errors = 0;

    if (!CAN_INTERPOSE)
        cr_skip("the sanitizer has an allocator of its own");
    prepare(&fixture, "Watch=yes\nMaxAgeSec=1h\nStaleMessage=$connection is stale\n");
    warm_up(&fixture);
    do
        n_errors += live_once(&fixture, ++nth) < 0;
    while (atomic_load(&counted.n) >= nth);
    cr_assert_gt(n_errors, 30, "only %u of %u", n_errors, nth);
    cr_assert_eq(live_once(&fixture, 0), 0);
    clean_up(&fixture);
}

/* Waits until all workers serve the snapshot in force and have freed the one before. */
static void settle(const struct fixture *fixture)
{
    unsigned stuck;

    NET_WAIT_UNTIL(pool_settled(fixture->pool) && pool_idle_since(fixture->pool) != USEC_INFINITY);
    pool_ping(fixture->pool);
    NET_WAIT_UNTIL(pool_is_responsive(fixture->pool, &stuck));
}

static void ignore_activation(void *userdata)
{
    (void)userdata;
}

/* Reloads while the NTH allocation fails. Returns whether the new configuration is in force. */
static bool reload_once(struct fixture *fixture, struct status *status, unsigned nth)
{
    const struct config_options options = {.path = fixture->path};
    struct handshake handshake = {.timer = NULL}; /* no handshake is pending, so no timer is set */
    struct unit_states unit_states = {.timer = NULL}; /* no greeting has a unit */
    struct messages messages =
        messages_init(NULL, fixture->pool, fixture->logger, fixture->metrics, &unit_states);
    struct reload reload = {
        .options = &options,
        .started = config_server(fixture->config),
        .sockets = &fixture->sockets,
        .pool = fixture->pool,
        .logger = fixture->logger,
        .metrics = fixture->metrics,
        .status = status,
        .handshake = &handshake,
        .messages = &messages,
        .unit_states = &unit_states,
        .activated = ignore_activation,
        .requested = true,
    };

    settle(fixture);
    count_from_here(nth);
    const struct snapshot *before = fixture->sockets.snapshot;
    reload_advance(&reload);
    bool changed = fixture->sockets.snapshot != before;
    messages_deinit(&messages);
    settle(fixture);
    count_to_here();
    return changed;
}

Test(allocation, refused_at_any_call_of_a_reload_leaves_everything_as_it_was)
{
    struct fixture fixture;
    struct status status;
    unsigned nth = 0, n_errors = 0;

    if (!CAN_INTERPOSE)
        cr_skip("the sanitizer has an allocator of its own");
    prepare(&fixture, "");
    warm_up(&fixture);
    cr_assert_eq(start(&fixture), 0);
    status = (struct status){.pool = fixture.pool, .metrics = fixture.metrics};
    /* The first reload allocates what later ones keep. */
    cr_assert(reload_once(&fixture, &status, 0));
    size_t descriptors = descriptors_count();
    do {
        n_errors += !reload_once(&fixture, &status, ++nth);
        cr_assert_eq(atomic_load(&counted.balance), 0, "refused the %uth: %d pieces are lost", nth,
                     atomic_load(&counted.balance));
        cr_assert_eq(descriptors_count(), descriptors, "refused the %uth", nth);
        greet_one(&fixture);
    } while (atomic_load(&counted.n) >= nth);
    cr_assert_gt(n_errors, 20, "only %u of %u", n_errors, nth);
    cr_assert(reload_once(&fixture, &status, 0));
    greet_one(&fixture);
    stop(&fixture);
    clean_up(&fixture);
}

static void *ask_for_memory(void *p)
{
    void *volatile memory = malloc(100);

    free(memory);
    return p;
}

/* As a worker does for a client. */
static void format_metrics(const struct metrics *metrics)
{
    static char text[64 * 1024];
    unsigned n = atomic_load(&counted.n);

    cr_assert_lt(prometheus_format(text, sizeof(text), metrics), sizeof(text));
    cr_assert_eq(atomic_load(&counted.n), n);
}

Test(allocation, none_after_the_start)
{
    struct fixture fixture;
    pthread_t thread;

    if (!CAN_INTERPOSE)
        cr_skip("the sanitizer has an allocator of its own");
    prepare(&fixture, "");
    cr_assert_eq(start(&fixture), 0);
    greet_one(&fixture);
    count_from_here(0);
    for (int i = 0; i < 1000; i++)
        greet_one(&fixture);
    NET_WAIT_UNTIL(metrics_sum(fixture.metrics).ended == 1001);
    cr_assert_eq(atomic_load(&counted.n_others), 0);
    format_metrics(fixture.metrics);

    /* The counter does count. */
    cr_assert_eq(pthread_create(&thread, NULL, ask_for_memory, NULL), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(atomic_load(&counted.n_others), 1);
    count_to_here();
    stop(&fixture);
    clean_up(&fixture);
}
