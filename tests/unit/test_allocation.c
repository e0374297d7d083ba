/* SPDX-License-Identifier: MIT */

/* Memory that is refused at the start is an error like any other and leaves nothing behind; after
 * the start none is asked for. */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>

#include "greetd/base/timeout_queue.h"
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

/* Everything from the configuration to the workers, as main and control have it. */
struct scene {
    struct scratch scratch;
    char path[192];
    struct report report;
    struct config *config;
    struct sockets sockets;
    struct log log;
    struct connlog *connlog;
    struct pool *pool;
};

/* A file and a drop-in with something of everything. */
static void prepare(struct scene *scene)
{
    char text[512];

    *scene = (struct scene){.report = REPORT_NULL};
    scratch_init(&scene->scratch);
    scratch_write_text(&scene->scratch, "message", HELLO);
    snprintf(text, sizeof(text),
             "[Server]\nListenStream=127.0.0.1:0\nListenStream=@greetd-%d-a\nMaxConnections=100\n"
             "[Listener special]\nListenStream=[::1]:0\nMessageFile=%s/message\nExpand=yes\n"
             "[Listener made]\nListenStream=@greetd-%d-b\nMessage=$connection of $hostname\n",
             (int)getpid(), scene->scratch.directory, (int)getpid());
    strcpy(scene->path, scratch_write_text(&scene->scratch, "greetd.conf", text));
    scratch_mkdir(&scene->scratch, "greetd.conf.d");
    scratch_write_text(&scene->scratch, "greetd.conf.d/10-more.conf",
                       "[Greeting]\nMessage=Hello from server!\nLingerSec=3s\n");
    log_init(&scene->log, open("/dev/null", O_WRONLY | O_CLOEXEC));
}

static void clean_up(struct scene *scene)
{
    close(scene->log.fd);
    scratch_deinit(&scene->scratch);
}

static int start(struct scene *scene)
{
    const struct config_options options = {.path = scene->path};
    int r = config_load(&scene->config, &options, &scene->report);

    if (r >= 0)
        r = sockets_open(&scene->sockets, scene->config, &scene->report);
    if (r >= 0)
        r = connlog_start(&scene->connlog, &scene->log, WORKERS, &CONNLOG_EVERYTHING);
    if (r >= 0)
        r = pool_start(&scene->pool, scene->sockets.endpoints, WORKERS, 100, scene->connlog);
    return r;
}

static void stop(struct scene *scene)
{
    if (scene->pool)
        cr_assert_eq(pool_end(scene->pool, DEADLINE_NEVER), 0);
    if (scene->connlog)
        cr_assert_eq(connlog_stop(scene->connlog, DEADLINE_NEVER), 0);
    pool_free(scene->pool);
    sockets_deinit(&scene->sockets);
    config_unref(scene->config);
    report_deinit(&scene->report);
    scene->pool = NULL;
    scene->connlog = NULL;
    scene->config = NULL;
    scene->sockets = (struct sockets){0};
    scene->report = REPORT_NULL;
}

/* What one client of the first socket is told; no memory is asked for. */
static void greet_one(const struct scene *scene)
{
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    char text[64];

    cr_assert_eq(getsockname(scene->sockets.endpoints->at[0].listener->fd,
                             (struct sockaddr *)&address, &length),
                 0);
    int client = net_connect(&address);
    cr_assert_eq(net_read_to_end(client, text, sizeof(text)), (ssize_t)strlen(HELLO));
    cr_assert_arr_eq(text, HELLO, strlen(HELLO));
    close(client);
}

/* Starts, greets and stops with the NTH call for memory refused. Returns what starting returned. */
static int live_once(struct scene *scene, unsigned nth)
{
    size_t descriptors = descriptors_count();
    size_t mistakes;

    count_from_here(nth);
    int r = start(scene);
    if (r >= 0)
        greet_one(scene);
    mistakes = scene->report.n_mistakes;
    stop(scene);
    count_to_here();

    cr_assert(r == 0 || r == -ENOMEM || (r == -EBADMSG && mistakes > 0),
              "refused the %uth: %s, %zu mistakes told", nth, strerrorname_np(r < 0 ? -r : 0),
              mistakes);
    cr_assert_eq(atomic_load(&counted.balance), 0, "refused the %uth: %d pieces are lost", nth,
                 atomic_load(&counted.balance));
    cr_assert_eq(descriptors_count(), descriptors, "refused the %uth", nth);
    return r;
}

/* The C library keeps some memory once it has been used, that of threads for the next ones say. */
static void warm_up(struct scene *scene)
{
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(start(scene), 0);
        greet_one(scene);
        stop(scene);
    }
}

Test(allocation, refused_at_any_call_of_the_start_is_an_error_and_leaves_nothing_behind)
{
    struct scene scene;
    unsigned nth = 0, n_errors = 0;

    if (!CAN_INTERPOSE)
        cr_skip("the sanitizer has an allocator of its own");
    prepare(&scene);
    warm_up(&scene);
    do
        n_errors += live_once(&scene, ++nth) < 0;
    while (atomic_load(&counted.n) >= nth);
    cr_assert_gt(n_errors, 30, "only %u of %u", n_errors, nth);
    cr_assert_eq(live_once(&scene, 0), 0);
    clean_up(&scene);
}

/* All workers serve what is in force, and have let go of what was before. */
static void settle(const struct scene *scene)
{
    unsigned stuck;

    NET_WAIT_UNTIL(pool_settled(scene->pool) && pool_idle_since(scene->pool) != DEADLINE_NEVER);
    pool_prod(scene->pool);
    NET_WAIT_UNTIL(pool_went_round(scene->pool, &stuck));
}

/* Reloads with the NTH call for memory refused. Returns whether it has been done. */
static bool reload_once(struct scene *scene, struct status *status, unsigned nth)
{
    const struct config_options options = {.path = scene->path};
    struct reload reload = {
        .options = &options,
        .started = scene->config,
        .sockets = &scene->sockets,
        .pool = scene->pool,
        .connlog = scene->connlog,
        .status = status,
        .wanted = true,
    };

    settle(scene);
    count_from_here(nth);
    bool changed = reload_go_on(&reload);
    if (changed)
        reload_put_in_force(&reload);
    settle(scene);
    count_to_here();
    return changed;
}

Test(allocation, refused_at_any_call_of_a_reload_leaves_everything_as_it_was)
{
    struct scene scene;
    struct status status;
    unsigned nth = 0, n_errors = 0;

    if (!CAN_INTERPOSE)
        cr_skip("the sanitizer has an allocator of its own");
    prepare(&scene);
    warm_up(&scene);
    cr_assert_eq(start(&scene), 0);
    status = (struct status){.pool = scene.pool};
    /* What the first one keeps for all others. */
    cr_assert(reload_once(&scene, &status, 0));
    size_t descriptors = descriptors_count();
    do {
        const struct endpoints *before = scene.sockets.endpoints;
        bool changed = reload_once(&scene, &status, ++nth);

        n_errors += !changed;
        cr_assert_eq(changed, scene.sockets.endpoints != before, "refused the %uth", nth);
        cr_assert_eq(atomic_load(&counted.balance), 0, "refused the %uth: %d pieces are lost", nth,
                     atomic_load(&counted.balance));
        cr_assert_eq(descriptors_count(), descriptors, "refused the %uth", nth);
        greet_one(&scene);
    } while (atomic_load(&counted.n) >= nth);
    cr_assert_gt(n_errors, 20, "only %u of %u", n_errors, nth);
    cr_assert(reload_once(&scene, &status, 0));
    greet_one(&scene);
    stop(&scene);
    clean_up(&scene);
}

static void *ask_for_memory(void *p)
{
    void *volatile memory = malloc(100);

    free(memory);
    return p;
}

/* As a worker does for a client. */
static void tell_metrics(struct pool *pool)
{
    static char text[64 * 1024];
    const struct exposition what = {.metrics = pool_metrics(pool)};
    unsigned n = atomic_load(&counted.n);

    cr_assert_lt(exposition_format(text, sizeof(text), &what), sizeof(text));
    cr_assert_eq(atomic_load(&counted.n), n);
}

Test(allocation, none_after_the_start)
{
    struct scene scene;
    pthread_t thread;

    if (!CAN_INTERPOSE)
        cr_skip("the sanitizer has an allocator of its own");
    prepare(&scene);
    cr_assert_eq(start(&scene), 0);
    greet_one(&scene);
    count_from_here(0);
    for (int i = 0; i < 1000; i++)
        greet_one(&scene);
    NET_WAIT_UNTIL(pool_sums(scene.pool).ended == 1001);
    cr_assert_eq(atomic_load(&counted.n_others), 0);
    tell_metrics(scene.pool);

    /* It would have been noticed. */
    cr_assert_eq(pthread_create(&thread, NULL, ask_for_memory, NULL), 0);
    pthread_join(thread, NULL);
    cr_assert_eq(atomic_load(&counted.n_others), 1);
    count_to_here();
    stop(&scene);
    clean_up(&scene);
}
