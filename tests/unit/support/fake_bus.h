/* SPDX-License-Identifier: MIT */
#pragma once

/* A system bus with a systemd for ListUnitsByNames, in a thread of its own, since the code under
 * test waits for it. It serves one client at a time. */

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define FAKE_BUS_NAMES_MAX 8

struct fake_bus {
    int fd; /* listening */
    pthread_t thread;
    const char *_Atomic state; /* of every unit; NULL: an error in its place */
    atomic_bool is_terse;      /* the error has no text */
    atomic_uint n_listed;      /* units in an answer; more than were asked for: all of those */
    atomic_uint n_requests, n_clients;
    char names[256]; /* of the last request, separated by spaces */
};

static inline int fake_bus_list(struct fake_bus *bus, sd_bus_message *request)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const char *state = bus->state, *name;
    unsigned left = bus->n_listed;

    cr_assert_geq(sd_bus_message_new_method_return(request, &reply), 0);
    cr_assert_geq(sd_bus_message_enter_container(request, 'a', "s"), 0);
    cr_assert_geq(sd_bus_message_open_container(reply, 'a', "(ssssssouso)"), 0);
    bus->names[0] = '\0';
    while (sd_bus_message_read_basic(request, 's', &name) > 0) {
        snprintf(bus->names + strlen(bus->names), sizeof(bus->names) - strlen(bus->names), "%s ",
                 name);
        if (left > 0 && left-- > 0)
            cr_assert_geq(sd_bus_message_append(reply, "(ssssssouso)", "x", "", "loaded",
                                                state ? state : "", "", "", "/", 0, "", "/"),
                          0);
    }
    atomic_fetch_add(&bus->n_requests, 1);
    if (!state && bus->is_terse)
        return sd_bus_reply_method_error(
            request, &SD_BUS_ERROR_MAKE_CONST(SD_BUS_ERROR_ACCESS_DENIED, NULL));
    if (!state)
        return sd_bus_reply_method_errorf(request, SD_BUS_ERROR_ACCESS_DENIED, "Not today");
    cr_assert_geq(sd_bus_message_close_container(reply), 0);
    return sd_bus_send(NULL, reply, NULL);
}

static inline int fake_bus_answer(sd_bus_message *message, void *p, sd_bus_error *error)
{
    (void)error;
    if (sd_bus_message_is_method_call(message, "org.freedesktop.DBus", "Hello"))
        return sd_bus_reply_method_return(message, "s", ":1.7");
    if (sd_bus_message_is_method_call(message, "org.freedesktop.systemd1.Manager",
                                      "ListUnitsByNames"))
        return fake_bus_list(p, message) < 0 ? -1 : 1;
    return 0;
}

static inline void fake_bus_serve(struct fake_bus *fake, int fd)
{
    sd_bus *bus;
    int r;

    cr_assert_geq(sd_bus_new(&bus), 0);
    cr_assert_geq(sd_bus_set_fd(bus, fd, fd), 0);
    cr_assert_geq(sd_bus_set_server(bus, true,
                                    SD_ID128_MAKE(07, 07, 07, 07, 07, 07, 07, 07, 07, 07, 07, 07,
                                                  07, 07, 07, 07)),
                  0);
    cr_assert_geq(sd_bus_set_trusted(bus, true), 0);
    cr_assert_geq(sd_bus_add_filter(bus, NULL, fake_bus_answer, fake), 0);
    cr_assert_geq(sd_bus_start(bus), 0);
    do
        r = sd_bus_process(bus, NULL);
    while (r > 0 || (r == 0 && sd_bus_wait(bus, UINT64_MAX) >= 0));
    sd_bus_unref(bus);
}

static inline void *fake_bus_run(void *p)
{
    struct fake_bus *bus = p;

    for (int fd; (fd = accept4(bus->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
        atomic_fetch_add(&bus->n_clients, 1);
        fake_bus_serve(bus, fd);
        atomic_fetch_sub(&bus->n_clients, 1);
    }
    return NULL;
}

/* Listens at PATH, and makes that the system bus of the process. */
static inline void fake_bus_open(struct fake_bus *bus, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char text[sizeof(address.sun_path) + 16];

    *bus = (struct fake_bus){.state = "active", .n_listed = FAKE_BUS_NAMES_MAX};
    strcpy(address.sun_path, path);
    snprintf(text, sizeof(text), "unix:path=%s", address.sun_path);
    setenv("DBUS_SYSTEM_BUS_ADDRESS", text, 1);
    bus->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(bus->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(bus->fd, 8), 0);
    cr_assert_eq(pthread_create(&bus->thread, NULL, fake_bus_run, bus), 0);
}

/* Ends once the last client has left. */
static inline void fake_bus_close(struct fake_bus *bus)
{
    shutdown(bus->fd, SHUT_RDWR);
    pthread_join(bus->thread, NULL);
    close(bus->fd);
}
