/* SPDX-License-Identifier: MIT */

/* The clients of the soak: AT_ONCE at a time, of all kinds in turn, each with an address of its
 * own.
 *
 *     soak-clients AT_ONCE FIRST_PORT PATH ABSTRACT_NAME
 *
 * The listeners are at FIRST_PORT and the ports behind it, in the order of enum listener. For each
 * line on standard input, a number, it makes so many connections, waits until all have ended, and
 * writes its counts since the beginning: a line "LISTENER KIND OUTCOME right|wrong N" for each, and
 * "done N". In between, "at N" is a connection of each 1,000. At the end of standard input it
 * exits.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "kinds.h"
#include "sockets.h"

#define EVENTS        256
#define TICK_MSEC     5
#define LATE_MSEC     60000
#define VANISHED_MSEC 3000 /* more than WriteTimeoutSec= of that listener */
#define LINGER_MSEC   50
#define UPLOAD_MAX    65536
#define SLOW_PIECE    32768
#define PROGRESS_STEP 1000
#define STARVED_MSEC  1500 /* less than LingerSec=, the shortest of the timeouts, less its deeds */

enum state { IDLE, RETRYING, CONNECTING, SENDING, READING, HOLDING };

struct client {
    struct identity identity;
    int fd;
    enum state state;
    int64_t due_msec; /* of its next deed; 0: none */
    int64_t late_msec;
    int64_t starved_msec; /* that of the soak when it began */
    char input[INPUT_MAX];
    size_t input_size, upload, sent; /* UPLOAD bytes follow the input */
    char *answer;
    size_t received;
    enum outcome outcome; /* while HOLDING */
};

struct soak {
    unsigned at_once;
    struct addresses addresses;
    int epoll_fd;
    struct client *clients;
    uint64_t started, finished, goal;
    uint64_t seed;
    int64_t pass_msec;    /* when the pass of run() began */
    int64_t starved_msec; /* how long the passes before took, beyond a tick each */
    uint64_t counts[64][OUTCOMES];
};

static int64_t now_msec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A kind, as often as its share says. */
static const struct kind *draw_kind(struct soak *soak)
{
    size_t i = 0;

    soak->seed = soak->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    for (unsigned left = (unsigned)(soak->seed >> 33) % 1000; left >= kinds[i].share; i++)
        left -= kinds[i].share;
    return &kinds[i];
}

static void close_client(struct client *client, bool reset)
{
    static const struct linger discard = {.l_onoff = 1};

    if (reset)
        setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &discard, sizeof(discard));
    close(client->fd);
    client->fd = -1;
    client->state = IDLE;
    client->due_msec = 0;
}

/* How long this process had no processor, or other clients to serve. */
static int64_t starved_until(const struct soak *soak, int64_t now)
{
    int64_t beyond_msec = now - soak->pass_msec - TICK_MSEC;

    return soak->starved_msec + (beyond_msec > 0 ? beyond_msec : 0);
}

static int64_t starved(const struct soak *soak, const struct client *client)
{
    return starved_until(soak, now_msec()) - client->starved_msec;
}

/* Prints a connection that is not right, with what it has received. */
static void complain(const struct soak *soak, const struct client *client, enum outcome outcome)
{
    int64_t age_msec = now_msec() + LATE_MSEC - client->late_msec;

    fprintf(stderr,
            "%s client %lu of %s: %s after %ld ms, starved for %ld, %zu of %zu bytes sent, "
            "%zu received: %.200s\n",
            client->identity.kind->name, (unsigned long)client->identity.number,
            listener_names[client->identity.kind->listener], outcome_names[outcome], (long)age_msec,
            (long)starved(soak, client), client->sent, client->input_size + client->upload,
            client->received, client->received > 0 ? client->answer : "");
}

/* A client that sends has a time for it. If the processor was kept from it for so long, greetd may
 * have closed the connection before. */
static enum outcome judge(const struct soak *soak, const struct client *client,
                          enum outcome outcome)
{
    bool sends = client->input_size + client->upload > 0;

    if (kinds_allow(client->identity.kind, outcome))
        return outcome;
    complain(soak, client, outcome);
    if (sends && (outcome == EMPTY || outcome == BROKEN) && starved(soak, client) >= STARVED_MSEC)
        return STARVED;
    return outcome;
}

static void finish(struct soak *soak, struct client *client, enum outcome outcome, bool reset)
{
    outcome = judge(soak, client, outcome);
    close_client(client, reset);
    soak->counts[client->identity.kind - kinds][outcome]++;
    if (++soak->finished % PROGRESS_STEP == 0)
        printf("at %lu\n", (unsigned long)soak->finished), fflush(stdout);
}

static void hold(struct client *client, enum outcome outcome, int64_t msec)
{
    client->state = HOLDING;
    client->outcome = outcome;
    client->due_msec = now_msec() + msec;
}

static void try_connect(struct soak *soak, struct client *client)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.u32 = (uint32_t)(client - soak->clients)};
    int r = sockets_connect(&soak->addresses, &client->identity, client->fd);

    client->due_msec = 0;
    client->state = CONNECTING;
    if (r == -EAGAIN) {
        client->state = RETRYING;
        client->due_msec = now_msec() + TICK_MSEC;
    } else if (r < 0) {
        finish(soak, client, UNCONNECTED, false);
    } else if (epoll_ctl(soak->epoll_fd, EPOLL_CTL_ADD, client->fd, &event) < 0) {
        fail("epoll_ctl");
    }
}

static void start(struct soak *soak, struct client *client)
{
    const struct kind *kind = draw_kind(soak);

    client->identity = (struct identity){.kind = kind, .number = soak->started++};
    client->received = client->sent = 0;
    client->input_size = client->upload = 0;
    client->late_msec = now_msec() + LATE_MSEC;
    client->starved_msec = starved_until(soak, now_msec());
    client->fd = sockets_open(&soak->addresses, &client->identity);
    try_connect(soak, client);
}

/* Returns whether the client goes on. */
static bool become_connected(struct soak *soak, struct client *client)
{
    const struct kind *kind = client->identity.kind;
    socklen_t size = sizeof(client->identity.address);

    if (getsockname(client->fd, (struct sockaddr *)&client->identity.address, &size) < 0)
        fail("getsockname");
    client->state = SENDING;
    client->input_size = kinds_input(&client->identity, client->input);
    client->upload = kind->deeds & UPLOADS ? client->identity.number * 7919 % UPLOAD_MAX : 0;
    if (kind->deeds & (RESETS | LEAVES))
        finish(soak, client, ABANDONED, kind->deeds & RESETS);
    else if (kind->deeds & VANISHES)
        hold(client, ABANDONED, VANISHED_MSEC);
    return client->state == SENDING;
}

static ssize_t send_some(struct client *client)
{
    static const char zeros[UPLOAD_MAX];
    bool drips = client->identity.kind->deeds & DRIPS;

    if (client->sent >= client->input_size)
        return send(client->fd, zeros, client->input_size + client->upload - client->sent,
                    MSG_NOSIGNAL);
    return send(client->fd, client->input + client->sent,
                drips ? 1 : client->input_size - client->sent, MSG_NOSIGNAL);
}

/* Sends what is left, a byte at a time if it drips; then reads. */
static void send_rest(struct soak *soak, struct client *client)
{
    while (client->sent < client->input_size + client->upload) {
        ssize_t n = send_some(client);

        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            finish(soak, client, BROKEN, false);
            return;
        }
        client->sent += (size_t)n;
        if (client->identity.kind->deeds & DRIPS && client->sent < client->input_size) {
            client->due_msec = now_msec() + TICK_MSEC;
            return;
        }
    }
    if (client->identity.kind->deeds & HALF_CLOSES)
        shutdown(client->fd, SHUT_WR);
    client->state = READING;
}

static void end_of_stream(struct soak *soak, struct client *client)
{
    enum outcome outcome = kinds_check(&client->identity, client->answer, client->received);

    if (client->identity.kind->deeds & LINGERS)
        hold(client, outcome, LINGER_MSEC);
    else
        finish(soak, client, outcome, false);
}

static void receive(struct soak *soak, struct client *client)
{
    bool is_slow = client->identity.kind->deeds & IS_SLOW;

    while (client->state == READING) {
        size_t room = ANSWER_MAX - client->received;
        ssize_t n = recv(client->fd, client->answer + client->received,
                         is_slow && room > SLOW_PIECE ? SLOW_PIECE : room, 0);

        if (n < 0 && errno == EAGAIN)
            return;
        if (n == 0) {
            end_of_stream(soak, client);
        } else if (n < 0 || (size_t)n == room) {
            finish(soak, client, n < 0 ? BROKEN : WRONG, false);
        } else {
            client->received += (size_t)n;
            if (client->identity.kind->deeds & RESETS_LATE)
                finish(soak, client, ABANDONED, true);
            else if (is_slow) {
                client->due_msec = now_msec() + TICK_MSEC;
                return;
            }
        }
    }
}

/* Does what is possible now. */
static void step(struct soak *soak, struct client *client, uint32_t events)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (client->state == CONNECTING) {
        if (events & EPOLLERR)
            getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0)
            finish(soak, client, UNCONNECTED, false);
        else if (!(events & EPOLLOUT) || !become_connected(soak, client))
            return;
    }
    if (client->state == SENDING && client->due_msec == 0)
        send_rest(soak, client);
    if (client->state == READING && client->due_msec == 0)
        receive(soak, client);
}

static void act_if_due(struct soak *soak, struct client *client, int64_t now)
{
    if (client->state != IDLE && now >= client->late_msec) {
        finish(soak, client, LATE, true);
        return;
    }
    if (client->due_msec == 0 || now < client->due_msec)
        return;
    client->due_msec = 0;
    if (client->state == HOLDING)
        finish(soak, client, client->outcome, client->identity.kind->deeds & VANISHES);
    else if (client->state == RETRYING)
        try_connect(soak, client);
    else
        step(soak, client, 0);
}

static void tick(struct soak *soak)
{
    int64_t now = now_msec();

    for (unsigned i = 0; i < soak->at_once; i++)
        act_if_due(soak, &soak->clients[i], now);
}

static void start_idle(struct soak *soak)
{
    for (unsigned i = 0; i < soak->at_once && soak->started < soak->goal; i++)
        while (soak->clients[i].state == IDLE && soak->started < soak->goal)
            start(soak, &soak->clients[i]);
}

/* Makes connections until as many as the goal have ended. */
static void run(struct soak *soak)
{
    struct epoll_event events[EVENTS];
    int64_t ticked = now_msec();

    soak->pass_msec = ticked;
    while (soak->finished < soak->goal) {
        start_idle(soak);
        int n = epoll_wait(soak->epoll_fd, events, EVENTS, TICK_MSEC);
        int64_t now = now_msec();

        soak->starved_msec = starved_until(soak, now);
        soak->pass_msec = now;
        for (int i = 0; i < n; i++)
            step(soak, &soak->clients[events[i].data.u32], events[i].events);
        if (now_msec() - ticked >= TICK_MSEC) {
            tick(soak);
            ticked = now_msec();
        }
    }
}

static void print_counts(const struct soak *soak)
{
    for (size_t k = 0; k < n_kinds; k++)
        for (enum outcome o = 0; o < OUTCOMES; o++)
            if (soak->counts[k][o] > 0)
                printf("%s %s %s %s %lu\n", listener_names[kinds[k].listener], kinds[k].name,
                       outcome_names[o], kinds_allow(&kinds[k], o) ? "right" : "wrong",
                       (unsigned long)soak->counts[k][o]);
    printf("done %lu\n", (unsigned long)soak->finished);
    fflush(stdout);
}

static void allocate(struct soak *soak)
{
    soak->clients = calloc(soak->at_once, sizeof(*soak->clients));
    soak->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!soak->clients || soak->epoll_fd < 0)
        fail("soak-clients");
    for (unsigned i = 0; i < soak->at_once; i++) {
        soak->clients[i].fd = -1;
        soak->clients[i].answer = malloc(ANSWER_MAX + 1);
        if (!soak->clients[i].answer)
            fail("soak-clients");
    }
}

int main(int argc, char *argv[])
{
    char line[32];

    if (argc != 5) {
        fprintf(stderr, "soak-clients AT_ONCE FIRST_PORT PATH ABSTRACT_NAME\n");
        return 2;
    }
    struct soak soak = {.at_once = (unsigned)strtoul(argv[1], NULL, 10),
                        .addresses = {.first_port = (unsigned short)strtoul(argv[2], NULL, 10),
                                      .path = argv[3],
                                      .name = argv[4]}};
    allocate(&soak);
    while (fgets(line, sizeof(line), stdin)) {
        soak.goal += strtoull(line, NULL, 10);
        run(&soak);
        print_counts(&soak);
    }
    for (unsigned i = 0; i < soak.at_once; i++)
        free(soak.clients[i].answer);
    free(soak.clients);
    close(soak.epoll_fd);
    return 0;
}
