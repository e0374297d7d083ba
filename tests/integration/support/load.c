/* SPDX-License-Identifier: MIT */

/* A load client for the integration tests: makes CONNECTIONS, at most AT_ONCE of them at a time,
 * checks every byte of each greeting and its end of stream, and counts the results. It has no code
 * in common with greetd or greet, so that its checks are independent of both.
 *
 *     test-load [-n CONNECTIONS] [-c AT_ONCE] [-a SOURCES] [-s BYTES | -i FILE | -p FIRST] [-b]
 *               [-u] PORT EXPECTED_FILE...
 *
 * It connects to PORT of 127.0.0.1, with -a from SOURCES addresses in turn, beginning with
 * 127.1.0.1. With several files, none of which begins with another, each greeting has to be equal
 * to one of them. Before it reads, each client sends BYTES zeros with -s, the bytes of FILE with
 * -i, and with -p a PROXY header whose source is in an IPv6 /64 of its own, number FIRST for the
 * first client; with -b in packets of one byte. With -u the load continues after CONNECTIONS until
 * standard input ends. Every 500 connections a line has their number, for tests that act meanwhile.
 * The last line has all counts.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load_input.h"

#define EVENTS        256
#define PROGRESS_STEP 500
#define STALL_MSEC    60000 /* after this time without an event, all clients are lost */
#define INPUT_EVENT   UINT32_MAX
#define SOURCES_MAX   1000000

/* The result of a connection: FINE, or why it was lost. */
enum outcome { FINE, REFUSED, RESET, WRONG, SHORT, STALLED, OUTCOMES };

/* A greeting that is right. */
struct version {
    struct bytes bytes;
    bool received; /* by any client */
};

struct client {
    int fd;
    unsigned long number; /* from 0 */
    size_t sent;
    size_t received;
    size_t version; /* the first version that begins with the received bytes */
};

struct load {
    unsigned long connections, started, finished;
    unsigned long outcomes[OUTCOMES];
    unsigned at_once;
    unsigned long n_sources; /* 0: the kernel chooses the address */
    struct input input;
    bool until_end_of_input;
    struct sockaddr_in address;
    struct version *versions;
    size_t n_versions;
    int epoll_fd;
    struct client *clients;
};

static void read_versions(struct load *load, char *const *paths, size_t n)
{
    load->versions = calloc(n, sizeof(struct version));
    if (!load->versions)
        fail("test-load");
    load->n_versions = n;
    for (size_t i = 0; i < n; i++)
        load->versions[i].bytes = read_file(paths[i]);
}

static void watch(struct load *load, int operation, unsigned index, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = index};

    if (epoll_ctl(load->epoll_fd, operation, load->clients[index].fd, &event) < 0)
        fail("epoll_ctl");
}

static void finish(struct load *load, unsigned index, enum outcome outcome)
{
    close(load->clients[index].fd);
    load->clients[index].fd = -1;
    load->outcomes[outcome]++;
    if (++load->finished % PROGRESS_STEP == 0) {
        printf("%lu\n", load->finished);
        fflush(stdout);
    }
}

/* Binds CLIENT to one of the sources. The port is left to connect(2): each source has all ports. */
static void bind_source(const struct load *load, const struct client *client)
{
    static const int on = 1;
    in_addr_t address = 0x7f010001 + (in_addr_t)(client->number % load->n_sources);
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};

    if (setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0 ||
        bind(client->fd, (const struct sockaddr *)&source, sizeof(source)) < 0)
        fail("bind");
}

static void open_socket(const struct load *load, struct client *client)
{
    int at_once = load->input.byte_by_byte;

    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (client->fd < 0 ||
        setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once)) < 0)
        fail("socket");
    if (load->n_sources > 0)
        bind_source(load, client);
}

/* Begins connections in the place INDEX until one is in progress. */
static void start(struct load *load, unsigned index)
{
    struct client *client = &load->clients[index];

    while (load->started < load->connections || load->until_end_of_input) {
        *client = (struct client){.number = load->started++};
        open_socket(load, client);
        if (connect(client->fd, (const struct sockaddr *)&load->address, sizeof(load->address)) ==
                0 ||
            errno == EINPROGRESS) {
            watch(load, EPOLL_CTL_ADD, index, EPOLLOUT);
            return;
        }
        finish(load, index, REFUSED);
    }
}

/* Sends the rest of the bytes, or the next one; false if the client has to wait or has failed. */
static bool send_rest(struct load *load, unsigned index)
{
    struct client *client = &load->clients[index];

    while (client->sent < load->input.bytes.size) {
        ssize_t n = input_send(&load->input, client->fd, client->number, client->sent);

        if (n < 0 && errno == EAGAIN)
            return false;
        if (n < 0) {
            finish(load, index, RESET);
            return false;
        }
        client->sent += (size_t)n;
        if (load->input.byte_by_byte)
            break;
    }
    return client->sent == load->input.bytes.size;
}

/* Whether VERSION begins with the bytes that CLIENT has received, which BEFORE begins with too, and
 * the N bytes of MORE. */
static bool continues(const struct version *version, const struct version *before,
                      const struct client *client, const char *more, size_t n)
{
    const char *text = version->bytes.text;

    return client->received <= version->bytes.size && n <= version->bytes.size - client->received &&
           memcmp(text + client->received, more, n) == 0 &&
           (version == before || memcmp(text, before->bytes.text, client->received) == 0);
}

/* Adds the N bytes of MORE; false if no version continues with them. */
static bool add(struct load *load, struct client *client, const char *more, size_t n)
{
    const struct version *before = &load->versions[client->version];

    while (!continues(&load->versions[client->version], before, client, more, n))
        if (++client->version == load->n_versions)
            return false;
    client->received += n;
    return true;
}

static enum outcome check_end(struct load *load, const struct client *client)
{
    struct version *version = &load->versions[client->version];

    if (client->received != version->bytes.size)
        return SHORT;
    version->received = true;
    return FINE;
}

static void receive(struct load *load, unsigned index)
{
    struct client *client = &load->clients[index];
    char buffer[16 * 1024];

    for (;;) {
        ssize_t n = recv(client->fd, buffer, sizeof(buffer), 0);

        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            finish(load, index, n < 0 ? RESET : check_end(load, client));
            return;
        }
        if (!add(load, client, buffer, (size_t)n)) {
            finish(load, index, WRONG);
            return;
        }
    }
}

/* The result of connect(2): a positive errno, or 0. */
static int connect_error(const struct client *client)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return errno;
    return error;
}

static void step(struct load *load, unsigned index, uint32_t events)
{
    struct client *client = &load->clients[index];
    int error = (events & EPOLLERR) ? connect_error(client) : 0;

    if (error != 0)
        finish(load, index, error == ECONNREFUSED ? REFUSED : RESET);
    else if (!(events & EPOLLOUT))
        receive(load, index);
    else if (send_rest(load, index))
        watch(load, EPOLL_CTL_MOD, index, EPOLLIN);

    if (client->fd < 0)
        start(load, index);
}

static void watch_input(struct load *load)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = INPUT_EVENT};

    if (epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0)
        fail("standard input");
}

static void read_input(struct load *load)
{
    char ignored[64];

    if (read(STDIN_FILENO, ignored, sizeof(ignored)) > 0)
        return;
    load->until_end_of_input = false;
    epoll_ctl(load->epoll_fd, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
}

static bool is_done(const struct load *load)
{
    return !load->until_end_of_input && load->started >= load->connections &&
           load->finished == load->started;
}

static void give_up(struct load *load)
{
    for (unsigned i = 0; i < load->at_once; i++)
        if (load->clients[i].fd >= 0)
            finish(load, i, STALLED);
}

static void run(struct load *load)
{
    struct epoll_event events[EVENTS];

    for (unsigned i = 0; i < load->at_once; i++) {
        load->clients[i].fd = -1;
        start(load, i);
    }
    while (!is_done(load)) {
        int n = epoll_wait(load->epoll_fd, events, EVENTS, STALL_MSEC);

        if (n < 0 && errno != EINTR)
            fail("epoll_wait");
        if (n == 0) {
            give_up(load);
            return;
        }
        for (int i = 0; i < n; i++) {
            if (events[i].data.u32 == INPUT_EVENT)
                read_input(load);
            else
                step(load, events[i].data.u32, events[i].events);
        }
    }
}

static unsigned long number(const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text == '\0' || *end != '\0') {
        fprintf(stderr, "%s: not a number\n", text);
        exit(2);
    }
    return value;
}

static void read_option(struct load *load, int option)
{
    if (option == 'n')
        load->connections = number(optarg);
    else if (option == 'c')
        load->at_once = (unsigned)number(optarg);
    else if (option == 'a')
        load->n_sources = number(optarg);
    else if (option == 's')
        load->input.bytes.size = number(optarg);
    else if (option == 'i')
        load->input.bytes = read_file(optarg);
    else if (option == 'p')
        input_use_header(&load->input, number(optarg));
    else if (option == 'b')
        load->input.byte_by_byte = true;
    else if (option == 'u')
        load->until_end_of_input = true;
    else
        exit(2);
}

static void read_arguments(struct load *load, int argc, char *argv[])
{
    int option;

    while ((option = getopt(argc, argv, "n:c:a:s:i:p:bu")) != -1)
        read_option(load, option);
    if (argc - optind < 2 || load->n_sources > SOURCES_MAX) {
        fprintf(stderr, "test-load [-n CONNECTIONS] [-c AT_ONCE] [-a SOURCES] [-s BYTES | -i FILE "
                        "| -p FIRST] [-b] [-u] PORT FILE...\n");
        exit(2);
    }
    load->address.sin_port = htons((in_port_t)number(argv[optind]));
    read_versions(load, argv + optind + 1, (size_t)(argc - optind - 1));
}

static void print_counts(const struct load *load)
{
    size_t n_received = 0;

    for (size_t i = 0; i < load->n_versions; i++)
        n_received += load->versions[i].received;
    printf("connections=%lu fine=%lu refused=%lu reset=%lu wrong=%lu short=%lu stalled=%lu "
           "versions=%zu\n",
           load->finished, load->outcomes[FINE], load->outcomes[REFUSED], load->outcomes[RESET],
           load->outcomes[WRONG], load->outcomes[SHORT], load->outcomes[STALLED], n_received);
}

int main(int argc, char *argv[])
{
    struct load load = {
        .connections = 1,
        .at_once = 1,
        .address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
    };

    read_arguments(&load, argc, argv);
    load.clients = calloc(load.at_once, sizeof(*load.clients));
    load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!load.clients || load.epoll_fd < 0)
        fail("test-load");
    if (load.until_end_of_input)
        watch_input(&load);
    run(&load);
    print_counts(&load);

    for (size_t i = 0; i < load.n_versions; i++)
        free(load.versions[i].bytes.text);
    free(load.versions);
    free(load.input.bytes.text);
    free(load.clients);
    close(load.epoll_fd);
    return load.outcomes[FINE] == load.finished ? 0 : 1;
}
