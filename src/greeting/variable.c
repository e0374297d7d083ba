/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/variable.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/text.h"
#include "greetd/base/unit_state.h"
#include "greetd/metrics/prometheus.h"

static size_t print_bytes(char *buffer, size_t size, const char *bytes, size_t length)
{
    size_t kept = length < size ? length : size - 1;

    if (size > 0) {
        memcpy(buffer, bytes, kept);
        buffer[kept] = '\0';
    }
    return length;
}

static size_t print(char *buffer, size_t size, const char *text)
{
    return print_bytes(buffer, size, text, strlen(text));
}

static size_t print_number(char *buffer, size_t size, uint64_t number)
{
    char digits[TEXT_DECIMAL_MAX];
    const char *end = text_write_decimal(digits, number);

    return print_bytes(buffer, size, digits, (size_t)(end - digits));
}

static size_t write_connection(const struct variable_client *client, char *buffer, size_t size)
{
    return print_number(buffer, size, client->number);
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

static size_t print_host(char *buffer, size_t size, const struct peer *peer)
{
    char host[ADDRESS_TEXT_MAX];

    return print(buffer, size, peer_format_host(peer, host));
}

static size_t print_port(char *buffer, size_t size, const struct peer *peer)
{
    switch (peer->family) {
    case AF_INET:
    case AF_INET6:
        return print_number(buffer, size, peer->port);
    case AF_VSOCK:
        return print_number(buffer, size, peer->vm.port);
    default:
        return print(buffer, size, "");
    }
}

/* `unix:` has a colon as in nginx. */
static size_t write_remote_addr(const struct variable_client *client, char *buffer, size_t size)
{
    return client->peer->family == AF_UNIX ? print(buffer, size, "unix:")
                                           : print_host(buffer, size, client->peer);
}

static size_t write_remote_port(const struct variable_client *client, char *buffer, size_t size)
{
    return print_port(buffer, size, client->peer);
}

static struct peer local_of(const struct variable_client *client)
{
    return peer_from_sockaddr(&client->local->sa, client->local->length);
}

static size_t write_server_addr(const struct variable_client *client, char *buffer, size_t size)
{
    struct peer local = local_of(client);
    char path[ADDRESS_TEXT_MAX];

    if (local.family != AF_UNIX)
        return print_host(buffer, size, &local);
    return (size_t)snprintf(buffer, size, "unix:%s", address_format(client->local, path));
}

static size_t write_server_port(const struct variable_client *client, char *buffer, size_t size)
{
    struct peer local = local_of(client);

    return print_port(buffer, size, &local);
}

static size_t write_listener(const struct variable_client *client, char *buffer, size_t size)
{
    return print(buffer, size, client->listener);
}

static size_t write_pid(const struct variable_client *client, char *buffer, size_t size)
{
    return print_number(buffer, size, (uint64_t)client->pid);
}

static size_t write_tcpinfo_rtt(const struct variable_client *client, char *buffer, size_t size)
{
    return client->rtt_usec < 0 ? print(buffer, size, "")
                                : print_number(buffer, size, (uint64_t)client->rtt_usec);
}

static size_t write_msec(const struct variable_client *client, char *buffer, size_t size)
{
    uint64_t now_msec = wall_clock_usec(client->clock) / 1000;
    char value[TEXT_DECIMAL_MAX + 4];
    char *end = text_write_decimal(value, now_msec / 1000);

    *end++ = '.';
    for (uint64_t unit = 100; unit > 0; unit /= 10)
        *end++ = (char)('0' + now_msec / unit % 10);
    return print_bytes(buffer, size, value, (size_t)(end - value));
}

/* Unlike ISO 8601, strftime(3) has no colon in the offset from UTC. */
static size_t write_time_iso8601(const struct variable_client *client, char *buffer, size_t size)
{
    char value[64];
    size_t length;
    const char *time = wall_clock_format(client->clock, "%FT%T%z", &length);

    if (!time)
        return VARIABLE_FAILED;
    memcpy(value, time, length - 2);
    value[length - 2] = ':';
    memcpy(value + length - 1, time + length - 2, 2);
    return print_bytes(buffer, size, value, length + 1);
}

static size_t write_time(const struct variable_client *client,
                         const struct variable_argument *format, char *buffer, size_t size)
{
    size_t length;
    const char *time = wall_clock_format(client->clock, format->text, &length);

    return time ? print_bytes(buffer, size, time, length) : VARIABLE_FAILED;
}

static size_t write_unit_state(const struct variable_client *client,
                               const struct variable_argument *unit, char *buffer, size_t size)
{
    (void)client;
    return print(buffer, size,
                 unit_state_name(atomic_load_explicit(&unit->unit_state, memory_order_relaxed)));
}

static const struct variable variables[] = {
    {.name = "connection", .write = write_connection, .kind = VARIABLE_NUMBER},
    {.name = "hostname", .write = write_hostname, .constant = true},
    {.name = "listener", .write = write_listener},
    {.name = "metrics", .write = write_metrics, .kind = VARIABLE_METRICS},
    {.name = "msec", .write = write_msec, .kind = VARIABLE_MSEC},
    {.name = "pid", .write = write_pid, .kind = VARIABLE_NUMBER},
    {.name = "remote_addr", .write = write_remote_addr},
    {.name = "remote_port", .write = write_remote_port},
    {.name = "server_addr", .write = write_server_addr, .needs = VARIABLE_NEEDS_LOCAL},
    {.name = "server_port", .write = write_server_port, .needs = VARIABLE_NEEDS_LOCAL},
    {.name = "tcpinfo_rtt",
     .write = write_tcpinfo_rtt,
     .needs = VARIABLE_NEEDS_RTT,
     .kind = VARIABLE_NUMBER},
    {.name = "time",
     .kind = VARIABLE_TIME,
     .argument = "FORMAT",
     .check = wall_clock_check_format,
     .write_with = write_time},
    {.name = "time_iso8601", .write = write_time_iso8601, .kind = VARIABLE_TIME},
    {.name = "unit_state",
     .argument = "UNIT",
     .needs = VARIABLE_NEEDS_UNITS,
     .kind = VARIABLE_UNIT_STATE,
     .check = unit_state_check_name,
     .write_with = write_unit_state},
};

const struct variable *variable_find(const char *name, size_t length)
{
    for (size_t i = 0; i < ELEMENTSOF(variables); i++)
        if (strlen(variables[i].name) == length && memcmp(variables[i].name, name, length) == 0)
            return &variables[i];
    return NULL;
}

const char *variable_check_argument(const struct variable *variable, const char *text, size_t size,
                                    size_t *ret_offset)
{
    *ret_offset = strlen(text);
    if (size == 0)
        return "it must not be empty";
    if (*ret_offset < size)
        return "it must not have a byte of zeroes";
    return variable->check(text, ret_offset);
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
