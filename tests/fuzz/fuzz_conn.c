/* SPDX-License-Identifier: MIT */

/* The life of clients: a worker, all of it, over a kernel in small. The input is a program: what
 * clients do, which calls fail, how time goes on, and what the main thread asks for. It runs while
 * the worker waits in epoll_wait(2), and when it ends, the worker is stopped: then every client
 * must end, without an event, by its timeouts. */

/* Its worker_main() runs here, without a thread. */
#include "worker/worker.c"

/* The engine is to look for paths through greetd, not through what follows. */
#ifdef __clang__
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)
#endif

#include "support/kernel_calls.h"
#include "support/life_checks.h"
#include "support/life_messages.h"

/* Only where the newest generation listens. */
static void do_connect(void)
{
    static const size_t rooms[] = {1000000, 300000, 80000, 65536, 5000, 1500, 64, 1};
    unsigned listener = take() % KERNEL_LISTENERS, peer = take();
    size_t room = rooms[peer / 32];
    enum kernel_kind kind = life_listeners[listener].kind;

    if (kernel.n_clients == KERNEL_CLIENTS || life.stops || !(last_mask() & 1U << listener))
        return;
    struct kernel_client *client = kernel_connect(listener, kind, peer % 4, room);
    client->handshake = kind == KERNEL_TCP && (peer & 4) && (take() & 1);
}

/* Sends a further part of a PROXY header; LENGTH may be that of all of it, or more. */
static void send_header(struct kernel_client *client, unsigned length)
{
    const struct peer source = {
        .family = AF_INET, .port = 1000, .in.s_addr = htonl(0xc6336400 + client->peer + 1)};
    const struct address to = {.in = {.sin_family = AF_INET, .sin_port = htons(79)}};
    enum proxy_version version = client->peer & 1 ? PROXY_V1 : PROXY_V2;
    char header[PROXY_FORMAT_MAX];
    size_t size = proxy_format_header(header, version, &source, &to);
    size_t at = client->n_bytes < size ? client->n_bytes : size;

    kernel_input(client, header + at, length < size - at ? length : size - at);
    if (length > size)
        kernel_input(client, "GET / HTTP/1.0\r\n", length % 17);
}

/* What the server has read of a header must be known to life_header(). */
static void send_flood(struct kernel_client *client, unsigned length)
{
    if (!life_listener(client)->proxied)
        kernel_input(client, NULL, (size_t)length << 10);
}

static void do_input(struct kernel_client *client)
{
    unsigned kind = take(), length = kind >> 2;
    char bytes[64];

    switch (kind & 3) {
    case 0:
        memset(bytes, 'x', sizeof(bytes));
        kernel_input(client, bytes, length);
        break;
    case 1:
        for (unsigned i = 0; i < length; i++)
            bytes[i] = (char)take();
        kernel_input(client, bytes, length);
        break;
    case 2:
        send_header(client, length);
        break;
    default:
        send_flood(client, length);
    }
}

static void do_break(struct kernel_client *client)
{
    static const int errors[] = {ECONNRESET, ETIMEDOUT, EHOSTUNREACH, ECONNRESET};
    int error = errors[take() % ELEMENTSOF(errors)];

    life_client(client)->timed_out |= error == ETIMEDOUT;
    life_client(client)->faulty |= error == EHOSTUNREACH;
    if (client->kind == KERNEL_TCP)
        kernel_break(client, error);
    else
        kernel_leave(client);
}

/* A call fails without an end of the connection, or the client ends that meanwhile. */
static void do_fail(struct kernel_client *client)
{
    static const int errors[KERNEL_CALLS][4] = {
        [KERNEL_SEND] = {EINTR, EAGAIN, ENOBUFS, ECONNRESET},
        [KERNEL_RECV] = {EINTR, EAGAIN, ENOMEM, ECONNRESET},
        [KERNEL_SHUTDOWN] = {EPIPE, ECONNRESET, EPIPE, ECONNRESET},
        [KERNEL_IOCTL] = {EINVAL, ENOTTY, EPIPE, ECONNRESET},
    };
    unsigned call = take(), kind = call % KERNEL_CALLS, n = call >> 4;

    client->faults[kind] = (struct kernel_fault){errors[kind][call >> 2 & 3], n * n};
    life_client(client)->faulty |= kind == KERNEL_IOCTL || client->faults[kind].error == ENOMEM;
}

static void do_fail_accept(void)
{
    unsigned listener = take() % KERNEL_LISTENERS, n = take();
    int error = accept_error_at(n % ACCEPT_ERRORS_N);

    kernel.accept_faults[listener] = (struct kernel_fault){n == 255 ? EINTR : error, n >> 4};
    life.may_evict |= accept_error_class(error) == ACCEPT_NO_RESOURCES;
}

static void do_fail_epoll(void)
{
    unsigned n = take();

    kernel.epoll_fault = (struct kernel_fault){n & 1 ? ENOMEM : ENOSPC, n >> 1};
    kernel.poll_fault = (struct kernel_fault){ENOMEM, n >> 6};
    life.may_fail |= n > 1;
}

static void do_ack(struct kernel_client *client)
{
    unsigned n = take();

    client->handshake = false;
    kernel_acknowledge(client, n < 128 ? n : (size_t)1 << (n & 31));
}

/* From a microsecond up to 101 days. */
static void do_advance(void)
{
    kernel.now_usec += UINT64_C(1) << take() % 44;
}

static void do_client(unsigned operation)
{
    unsigned number = take();

    if (kernel.n_clients == 0)
        return;
    struct kernel_client *client =
        &kernel.clients[kernel.n_clients - 1 - number % kernel.n_clients];
    static void (*const operations[])(struct kernel_client *) = {
        do_ack, do_input, do_break, do_fail, kernel_end_input, kernel_leave, do_ack, do_input};

    if (client->state != KERNEL_CLOSED)
        operations[operation % ELEMENTSOF(operations)](client);
}

static void do_verdict(void)
{
    static const enum source_verdict verdicts[] = {SOURCE_ADMITTED, SOURCE_UNTRACKED,
                                                   SOURCE_TOO_MANY, SOURCE_TOO_FAST};

    life_sources.verdict = verdicts[take() % ELEMENTSOF(verdicts)];
}

static void do_other(unsigned operation)
{
    switch (operation) {
    case 0:
        do_fail_accept();
        break;
    case 1:
        do_fail_epoll();
        break;
    case 2:
        do_verdict();
        break;
    case 3:
        do_replace();
        break;
    case 4:
        do_adopt();
        break;
    case 5:
        do_message(take() & 1 ? WORKER_HOLD : WORKER_RESUME);
        break;
    case 6:
        (void)eventfd_write(life.shared.look_fd, 1);
        break;
    default:
        do_message(take() & 1 ? WORKER_STOP : WORKER_QUIT);
    }
}

/* Returns whether the worker is to wait now. */
static bool operate(void)
{
    unsigned operation = take();

    if (operation < 64)
        return true;
    if (operation < 112)
        do_connect();
    else if (operation < 136)
        do_advance();
    else if (operation < 232)
        do_client(operation & 7);
    else
        do_other(operation & 7);
    return false;
}

/* Ends the wait: with events, or when the time is over. Returns how many events there are, or -1
 * for a wait without an end. */
static int wait(struct epoll_event *events, int max, int timeout_msec, unsigned first)
{
    int n = kernel_report(events, max, first);

    if (n == 0 && timeout_msec < 0)
        return -1;
    if (n == 0)
        kernel.now_usec += (uint64_t)timeout_msec * 1000;
    life_check_idle(n == 0 && timeout_msec > 0);
    life.round_usec = kernel.now_usec + 1; /* what the next call of clock_now() returns */
    return n;
}

/* The input is over: the worker must end. */
static int wait_for_end(struct epoll_event *events, int max, int timeout_msec)
{
    if (!life.stops)
        do_message(WORKER_STOP);
    int n = wait(events, max, timeout_msec, 0);

    PROPERTY(n >= 0);
    return n;
}

static int on_wait(struct epoll_event *events, int max, int timeout_msec)
{
    int n = -1;

    apply_messages();
    life_check_books();
    life_check_table();
    life_check_waits(timeout_msec);
    while (life.input.size > 0 && n < 0)
        if (operate())
            n = wait(events, max, timeout_msec, kernel.n_clients);
    return n < 0 ? wait_for_end(events, max, timeout_msec) : n;
}

static void begin(void)
{
    unsigned capacity = take() % KERNEL_CLIENTS + 1, listeners = take() | 1, handed_on = take();

    for (unsigned i = 0; i < KERNEL_LISTENERS; i++)
        life.sockets[i] = (struct listener){
            .references = {1},
            .fd = KERNEL_LISTENER + (int)i,
            .type = life_listeners[i].kind == KERNEL_RECORDS ? SOCK_SEQPACKET : SOCK_STREAM,
            .handed_on = (handed_on & 1U << i) != 0};
    PROPERTY(metrics_new(&life.metrics, 1) == 0);
    life.shared = (struct worker_shared){.metrics = life.metrics,
                                         .max_connections = capacity,
                                         .changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                                         .look_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    life.masks[0] = listeners;
    PROPERTY(worker_init(&life.worker, 0, capacity, make_generation(0, listeners, 0, handed_on & 1),
                         &life.shared) == 0);
    life.round_usec = kernel.now_usec;
}

/* Nothing may be left. */
static void end(void)
{
    PROPERTY(worker_state(&life.worker) == WORKER_ENDED);
    life_check_books();
    PROPERTY(life.n_closed == life.n_accepted && life_sources.n_all == 0);
    worker_deinit(&life.worker);
    close(life.shared.changed_fd);
    close(life.shared.look_fd);
    metrics_free(life.metrics);
    for (unsigned i = 0; i < ELEMENTSOF(kernel.open); i++)
        PROPERTY(!kernel.open[i] && !kernel.interests[i].is_in);
    for (unsigned i = 0; i < KERNEL_LISTENERS; i++) {
        PROPERTY(refcount_is_one(&life.sockets[i].references));
        PROPERTY(!listener_in_use(&life.sockets[i]));
        PROPERTY(kernel.n_queued[i] == 0 || life.sockets[i].handed_on || life.quits);
        for (unsigned v = 0; v < LIFE_VERSIONS; v++)
            PROPERTY(refcount_is_one(&life.texts[i][v]->references));
    }
}

/* Sets all but the texts to zeroes. */
static void reset(void)
{
    memset(&kernel, 0, sizeof(kernel));
    memset(&mail, 0, sizeof(mail));
    memset(&life_sources, 0, sizeof(life_sources));
    memset((char *)&life + offsetof(struct life, configs), 0,
           sizeof(life) - offsetof(struct life, configs));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (!life.texts[0][0])
        life_make_texts();
    reset();
    life.input = (struct fuzz_input){bytes, size};
    kernel.active = true;
    kernel.now_usec = LIFE_START;
    begin();
    worker_main(&life.worker);
    end();
    kernel.active = false;
    return 0;
}

#ifdef __clang__
#pragma clang attribute pop
#endif
