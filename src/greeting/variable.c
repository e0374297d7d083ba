/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/variable.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/text.h"
#include "greetd/metrics/prometheus.h"

static size_t print(char *buffer, size_t size, const char *text)
{
    return (size_t)snprintf(buffer, size, "%s", text);
}

static size_t write_connection(const struct variable_client *client, char *buffer, size_t size)
{
    return (size_t)snprintf(buffer, size, "%" PRIu64, client->number);
}

static size_t write_hostname(const struct variable_client *client, char *buffer, size_t size)
{
    char name[HOST_NAME_MAX + 1] = "";
    (void)client;

    (void)gethostname(name, sizeof(name) - 1);
    return print(buffer, size, name);
}

static size_t write_metrics(const struct variable_client *client, char *buffer, size_t size)
{
    return prometheus_format(buffer, size, client->metrics);
}

/* `unix:` has a colon as in nginx. */
static size_t write_remote_addr(const struct variable_client *client, char *buffer, size_t size)
{
    char host[ADDRESS_TEXT_MAX];

    return print(buffer, size,
                 client->peer->family == AF_UNIX ? "unix:" : peer_format_host(client->peer, host));
}

static size_t write_remote_port(const struct variable_client *client, char *buffer, size_t size)
{
    const struct peer *peer = client->peer;

    switch (peer->family) {
    case AF_INET:
    case AF_INET6:
        return (size_t)snprintf(buffer, size, "%" PRIu16, peer->port);
    case AF_VSOCK:
        return (size_t)snprintf(buffer, size, "%" PRIu32, peer->vm.port);
    default:
        return print(buffer, size, "");
    }
}

static const struct variable variables[] = {
    {.name = "connection", .write = write_connection},
    {.name = "hostname", .write = write_hostname, .constant = true},
    {.name = "metrics", .write = write_metrics},
    {.name = "remote_addr", .write = write_remote_addr},
    {.name = "remote_port", .write = write_remote_port},
};

const struct variable *variable_find(const char *name, size_t length)
{
    for (size_t i = 0; i < ELEMENTSOF(variables); i++)
        if (strlen(variables[i].name) == length && memcmp(variables[i].name, name, length) == 0)
            return &variables[i];
    return NULL;
}

const char *variable_nearest(const char *name)
{
    const char *names[ELEMENTSOF(variables)];

    for (size_t i = 0; i < ELEMENTSOF(variables); i++)
        names[i] = variables[i].name;
    return text_nearest(name, names, ELEMENTSOF(names));
}

/* Unlike isalpha(3), independent of the locale. */
static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

size_t variable_name_length(const char *text, const char *end)
{
    const char *p = text;

    while (p < end && (is_name_start(*p) || (p > text && *p >= '0' && *p <= '9')))
        p++;
    return (size_t)(p - text);
}
