/* SPDX-License-Identifier: MIT */
#include "client/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/base/parse.h"
#include "greetd/base/waker.h"

#define NAME_SIZE (NI_MAXHOST + 1)
#define PORT_SIZE sizeof("65535")

/* One lookup in a thread of its own, because getaddrinfo(3) takes no timeout. After a timeout that
 * thread continues on its own, so the last reference frees the lookup. */
struct lookup {
    atomic_int references;
    atomic_bool done; /* error and result are valid */
    int done_fd;      /* eventfd, readable when done */
    int error;        /* EAI_* */
    struct addrinfo *result;
    char name[NAME_SIZE];
    char port[PORT_SIZE];
};

bool resolve_is_name(const char *text)
{
    const char *colon = strchr(text, ':');

    return colon && !strchr(colon + 1, ':') && !strchr("/@[", text[0]) &&
           strncmp(text, "vsock:", strlen("vsock:")) != 0 &&
           strspn(text, "0123456789.") < (size_t)(colon - text);
}

static int list_new(struct resolve_list *ret, size_t n)
{
    *ret = (struct resolve_list){.addresses = calloc(n, sizeof(*ret->addresses)), .n = n};
    return ret->addresses ? 0 : -ENOMEM;
}

static struct address address_from_sockaddr(const struct sockaddr *sa, socklen_t length)
{
    struct address address = {.length = length};

    memcpy(&address.storage, sa, length);
    return address;
}

static int list_from_addrinfo(struct resolve_list *ret, const struct addrinfo *first)
{
    size_t n = 1;

    for (const struct addrinfo *info = first->ai_next; info; info = info->ai_next)
        n++;
    if (list_new(ret, n) < 0)
        return -ENOMEM;
    n = 0;
    for (const struct addrinfo *info = first; info; info = info->ai_next)
        ret->addresses[n++] = address_from_sockaddr(info->ai_addr, info->ai_addrlen);
    return 0;
}

/* Lists both loopback addresses. The name localhost is not looked up, because /etc/hosts may lack
 * one or both. */
static int list_from_port(struct resolve_list *ret, in_port_t port)
{
    const struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    if (list_new(ret, 2) < 0)
        return -ENOMEM;
    ret->addresses[0] = address_from_sockaddr((const struct sockaddr *)&in6, sizeof(in6));
    ret->addresses[1] = address_from_sockaddr((const struct sockaddr *)&in, sizeof(in));
    return 0;
}

/* Replaces an address of all interfaces, on which only a server can listen, by that of loopback. */
static void use_loopback(struct address *address)
{
    if (!address_is_wildcard(address))
        return;
    if (address->sa.sa_family == AF_VSOCK)
        address->vm.svm_cid = VMADDR_CID_LOCAL;
    else if (address->sa.sa_family == AF_INET6)
        address->in6.sin6_addr = in6addr_loopback;
    else
        address->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

/* Returns why no client can connect to ADDRESS although a server can listen on it, or NULL. */
static const char *check_destination(const struct address *address)
{
    if ((address->sa.sa_family == AF_INET && address->in.sin_port == 0) ||
        (address->sa.sa_family == AF_INET6 && address->in6.sin6_port == 0))
        return "to connect, the port can't be 0";
    return NULL;
}

static void lookup_unref(struct lookup *lookup)
{
    if (atomic_fetch_sub(&lookup->references, 1) > 1)
        return;
    if (lookup->result)
        freeaddrinfo(lookup->result);
    safe_close(lookup->done_fd);
    free(lookup);
}
DEFINE_CLEANUP_FUNCTION(struct lookup, lookup_unref)

static struct lookup *lookup_new(void)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));

    if (!lookup)
        return NULL;
    atomic_init(&lookup->references, 1);
    lookup->done_fd = eventfd(0, EFD_CLOEXEC);
    if (lookup->done_fd >= 0)
        return lookup;
    lookup_unref(lookup);
    return NULL;
}

/* Splits NAME:PORT. Returns 0 or -EINVAL with *RET_WHY. */
static int lookup_set_name(struct lookup *lookup, const char *text, const char **ret_why)
{
    const char *colon = strchr(text, ':');
    size_t length = (size_t)(colon - text);
    uint64_t port;

    if (length >= sizeof(lookup->name)) {
        *ret_why = "the name is too long";
        return -EINVAL;
    }
    if (parse_unsigned(&port, colon + 1, 1, UINT16_MAX) < 0) {
        *ret_why = "a port is a number from 1 to 65535";
        return -EINVAL;
    }
    memcpy(lookup->name, text, length);
    sprintf(lookup->port, "%hu", (unsigned short)port);
    return 0;
}

static void *lookup_main(void *argument)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct lookup *lookup = argument;
    sigset_t signals;

    /* Signals belong to the main thread, even after a timeout. */
    sigfillset(&signals);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    lookup->error = getaddrinfo(lookup->name, lookup->port, &hints, &lookup->result);
    atomic_store(&lookup->done, true);
    (void)eventfd_write(lookup->done_fd, 1);
    lookup_unref(lookup);
    return NULL;
}

/* Starts the thread. Returns 0 or a negative errno of pthread_create(3). */
static int lookup_start(struct lookup *lookup)
{
    pthread_t thread;
    int r;

    atomic_fetch_add(&lookup->references, 1);
    r = pthread_create(&thread, NULL, lookup_main, lookup);
    if (r != 0) {
        lookup_unref(lookup);
        return -r;
    }
    pthread_detach(thread);
    return 0;
}

/* Waits for the answer. Returns whether it arrived in time. */
static bool lookup_wait(const struct lookup *lookup, uint64_t timeout_usec)
{
    (void)waker_wait_readable(lookup->done_fd, usec_add(clock_now(), timeout_usec));
    return atomic_load(&lookup->done);
}

static int resolve_name(struct resolve_list *ret, const char *text, uint64_t timeout_usec,
                        const char **ret_why)
{
    _cleanup_(lookup_unrefp) struct lookup *lookup = lookup_new();
    int r;

    if (!lookup)
        return -ENOMEM;
    r = lookup_set_name(lookup, text, ret_why);
    if (r < 0)
        return r;
    if (lookup_start(lookup) < 0)
        return -ENOMEM;
    if (!lookup_wait(lookup, timeout_usec)) {
        *ret_why = "the name server does not answer in time";
        return -ETIMEDOUT;
    }
    if (lookup->error != 0) {
        *ret_why = gai_strerror(lookup->error);
        return -EHOSTUNREACH;
    }
    return list_from_addrinfo(ret, lookup->result);
}

static int resolve_address(struct resolve_list *ret, const char *text, const char **ret_why)
{
    struct address address;

    int r = address_parse(&address, text, ret_why);
    if (r < 0)
        return r;
    *ret_why = check_destination(&address);
    if (!*ret_why && address_find_interface(&address) < 0)
        *ret_why = "there is no network interface of this name";
    if (*ret_why)
        return -EINVAL;
    if (address.dual_stack)
        return list_from_port(ret, address.in6.sin6_port);
    use_loopback(&address);
    r = list_new(ret, 1);
    if (r >= 0)
        ret->addresses[0] = address;
    return r;
}

int resolve(struct resolve_list *ret, const char *text, uint64_t timeout_usec, const char **ret_why)
{
    struct resolve_list list = {0};
    int r;

    if (resolve_is_name(text))
        r = resolve_name(&list, text, timeout_usec, ret_why);
    else
        r = resolve_address(&list, text, ret_why);
    if (r == -ENOMEM)
        *ret_why = "out of memory";
    if (r >= 0)
        *ret = list;
    return r;
}

void resolve_deinit(struct resolve_list *list)
{
    free(list->addresses);
    *list = (struct resolve_list){0};
}
