/* SPDX-License-Identifier: MIT */

/* Taking over what systemd has passed. */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "greetd/listen/activation.h"
#include "support/fake_systemd.h"
#include "support/net.h"
#include "support/pass_fds.h"

TestSuite(handover, .timeout = 60);

struct scene {
    struct listener_set set;
    struct report report;
    int result;
};

static void inherit(struct scene *scene, const int *fds, int n, const char *names)
{
    *scene = (struct scene){.report = REPORT_NULL};
    passed_begin(fds, n, names);
    scene->result = handover_take(&scene->set, &scene->report);
    passed_end(&scene->set);
}

static void finish(struct scene *scene)
{
    listener_set_deinit(&scene->set);
    report_deinit(&scene->report);
}

static int listen_locally(int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);

    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    cr_assert_eq(listen(fd, 1), 0);
    return fd;
}

Test(handover, nothing_passed_is_nothing_inherited)
{
    struct scene scene = {.report = REPORT_NULL};

    unsetenv("LISTEN_FDS");
    cr_assert_eq(handover_take(&scene.set, &scene.report), 0);
    cr_assert_eq(scene.set.n, 0);
    finish(&scene);
}

Test(handover, what_was_passed_to_another_process_is_not_ours)
{
    struct scene scene = {.report = REPORT_NULL};

    setenv("LISTEN_FDS", "2", 1);
    setenv("LISTEN_PID", "1", 1);
    cr_assert_eq(handover_take(&scene.set, &scene.report), 0);
    cr_assert_eq(scene.set.n, 0);
    finish(&scene);
}

Test(handover, takes_every_kind_of_listening_socket)
{
    struct scene scene;
    struct sockaddr_in address;
    int fds[] = {net_listen(&address), listen_locally(SOCK_STREAM), listen_locally(SOCK_SEQPACKET)};

    inherit(&scene, fds, 3, "web:local:records");
    cr_assert_eq(scene.result, 3);
    cr_assert_eq(scene.report.n_mistakes, 0);
    cr_assert_eq(scene.set.n, 3);
    struct listener *const *listeners = scene.set.at;
    cr_assert_str_eq(listeners[0]->name, "web");
    cr_assert_str_eq(listeners[1]->name, "local");
    cr_assert_str_eq(listeners[2]->name, "records");
    cr_assert_eq(listeners[0]->type, SOCK_STREAM);
    cr_assert_eq(listeners[2]->type, SOCK_SEQPACKET);
    cr_assert_eq(listeners[0]->address.in.sin_port, address.sin_port);
    cr_assert_eq(listeners[1]->address.sa.sa_family, AF_UNIX);
    for (size_t i = 0; i < 3; i++) {
        cr_assert(listeners[i]->inherited);
        cr_assert(fcntl(fds[i], F_GETFL) & O_NONBLOCK, "it may have been passed as blocking");
    }
    cr_assert_null(getenv("LISTEN_FDS"));
    cr_assert_null(getenv("LISTEN_PID"));
    cr_assert_null(getenv("LISTEN_FDNAMES"));
    finish(&scene);
}

Test(handover, names_each_descriptor_that_is_of_no_use)
{
    struct scene scene;
    struct sockaddr_in address;
    int fds[] = {net_listen(&address), open("/proc/self/exe", O_RDONLY),
                 socket(AF_INET, SOCK_DGRAM, 0), net_tcp_pair().server};

    inherit(&scene, fds, 4, "good:file:datagrams:connection");
    cr_assert_eq(scene.result, -EBADMSG);
    cr_assert_eq(scene.report.n_mistakes, 3);
    cr_assert(strstr(scene.report.lines[0], "Descriptor 4 (file)"));
    cr_assert(strstr(scene.report.lines[0], "a regular file"));
    cr_assert(strstr(scene.report.lines[1], "Descriptor 5 (datagrams)"));
    cr_assert(strstr(scene.report.lines[1], "a datagram socket"));
    cr_assert(strstr(scene.report.lines[2], "Descriptor 6 (connection)"));
    cr_assert(strstr(scene.report.lines[2], "Accept=yes"));
    finish(&scene);
}

/* The store is a cache: what is in it may be opened anew. */
Test(handover, takes_what_is_of_no_use_out_of_the_store)
{
    struct scene scene;
    struct sockaddr_in address;
    int fds[] = {socket(AF_INET, SOCK_STREAM, 0), net_listen(&address)};

    manager_open();
    inherit(&scene, fds, 2, "opened@1:opened@2");
    cr_assert_eq(scene.result, 2);
    cr_assert_eq(scene.set.n, 1);
    cr_assert_str_eq(scene.set.at[0]->stored_as, "opened@2");
    cr_assert_eq(scene.report.n_lines, 1);
    cr_assert(strstr(scene.report.lines[0], "Descriptor 3 (opened@1)"));
    cr_assert(strstr(scene.report.lines[0], "does not listen"));
    cr_assert(manager_hear());
    cr_assert_str_eq(manager.last, "FDSTOREREMOVE=1\nFDNAME=opened@1");
    cr_assert_not(manager_hear());
    finish(&scene);
}

Test(handover, names_a_descriptor_that_is_not_there)
{
    struct scene scene;
    struct sockaddr_in address;
    int fds[] = {net_listen(&address), -1};

    inherit(&scene, fds, 2, "good:gone");
    cr_assert_eq(scene.result, -EBADMSG);
    cr_assert_eq(scene.report.n_mistakes, 1);
    cr_assert(strstr(scene.report.lines[0], "Descriptor 4"));
    cr_assert(strstr(scene.report.lines[0], "closed"));
    finish(&scene);
}

Test(handover, leaves_the_file_of_a_passed_socket_alone)
{
    struct scene scene;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/greetd-unit-%d", (int)getpid());
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(fd, 1), 0);
    inherit(&scene, &fd, 1, "local");
    cr_assert_eq(scene.result, 1);
    finish(&scene);
    cr_assert_eq(unlink(address.sun_path), 0);
}

static struct listener *open_one(const char *text)
{
    struct listener *listener;
    struct address address;
    const char *why;

    cr_assert_eq(address_parse(&address, text, &why), 0);
    cr_assert_eq(listener_open(&listener, &address, 16), 0);
    return listener;
}

static ino_t inode_of(int fd)
{
    struct stat st;

    cr_assert_eq(fstat(fd, &st), 0);
    return st.st_ino;
}

/* Takes the next message, which is to be BEGIN and a name. Returns that; static. */
static const char *hear_name(const char *begin)
{
    static char name[sizeof(manager.last)];

    cr_assert(manager_hear());
    cr_assert_eq(strncmp(manager.last, begin, strlen(begin)), 0, "%s", manager.last);
    return strcpy(name, manager.last + strlen(begin));
}

Test(handover, has_systemd_keep_a_socket)
{
    struct listener *listener = open_one("127.0.0.1:0");
    char name[256];

    manager_open();
    unsetenv("FDSTORE");
    handover_store(listener);
    strcpy(name, hear_name("FDSTORE=1\nFDNAME="));
    cr_assert_eq(strncmp(name, "opened@", 7), 0, "%s", name);
    cr_assert_str_eq(listener->stored_as, name);
    cr_assert_eq(inode_of(manager.passed_fd), inode_of(listener->fd));
    cr_assert_not(listener->handed_on, "nobody has said that it is kept");
    handover_store(listener);
    cr_assert_not(manager_hear(), "once is enough");

    handover_unstore(listener);
    cr_assert_str_eq(hear_name("FDSTOREREMOVE=1\nFDNAME="), name);
    handover_unstore(listener);
    cr_assert_not(manager_hear());
    listener_unref(listener);
}

/* Else FDSTOREREMOVE=1 would take out more than the one that is meant. */
Test(handover, no_two_sockets_have_the_same_name)
{
    struct listener *listeners[8];
    char names[ELEMENTSOF(listeners)][256];

    manager_open();
    for (size_t i = 0; i < ELEMENTSOF(listeners); i++) {
        listeners[i] = open_one("127.0.0.1:0");
        handover_store(listeners[i]);
        strcpy(names[i], hear_name("FDSTORE=1\nFDNAME="));
        close(manager.passed_fd);
        for (size_t j = 0; j < i; j++)
            cr_assert_str_neq(names[i], names[j]);
    }
    for (size_t i = 0; i < ELEMENTSOF(listeners); i++)
        listener_unref(listeners[i]);
}

/* It may be one that an earlier version has given it. */
Test(handover, lets_go_of_a_stored_socket_by_the_name_that_it_came_with)
{
    struct scene scene;
    struct sockaddr_in address;
    int fds[] = {net_listen(&address)};

    manager_open();
    inherit(&scene, fds, 1, "opened@127.0.0.1,80");
    handover_unstore(scene.set.at[0]);
    cr_assert(manager_hear());
    cr_assert_str_eq(manager.last, "FDSTOREREMOVE=1\nFDNAME=opened@127.0.0.1,80");
    cr_assert_null(scene.set.at[0]->stored_as);
    finish(&scene);
}

Test(handover, a_socket_that_is_kept_is_for_the_next_process)
{
    struct listener *listener = open_one("127.0.0.1:0");

    manager_open();
    setenv("FDSTORE", "16", 1);
    handover_store(listener);
    cr_assert(listener->handed_on);
    handover_unstore(listener);
    cr_assert_not(listener->handed_on);
    listener_unref(listener);
}

Test(handover, does_not_store_what_a_socket_unit_keeps)
{
    struct listener listener = {.inherited = true, .handed_on = true};

    manager_open();
    handover_store(&listener);
    cr_assert_not(manager_hear());
    cr_assert(listener.handed_on);
}

Test(handover, tells_a_stored_socket_from_one_that_was_passed)
{
    struct scene scene;
    struct sockaddr_in address;
    int fds[] = {net_listen(&address), net_listen(&address)};

    inherit(&scene, fds, 2, "web:opened@127.0.0.1,80");
    cr_assert_eq(scene.result, 2);
    cr_assert(scene.set.at[0]->inherited);
    cr_assert_null(scene.set.at[0]->stored_as);
    cr_assert_not(scene.set.at[1]->inherited);
    cr_assert_str_eq(scene.set.at[1]->stored_as, "opened@127.0.0.1,80");
    cr_assert_null(scene.set.at[1]->name);
    finish(&scene);
}

Test(handover, a_stored_socket_is_nothing_that_was_passed)
{
    struct sockaddr_in address;
    int fds[] = {net_listen(&address)};
    struct listener_set none = {0};

    passed_begin(fds, 1, "opened@127.0.0.1,80");
    bool stored = handover_any_passed();
    passed_end(&none);
    passed_begin(fds, 1, "web");
    bool passed_too = handover_any_passed();
    passed_end(&none);
    cr_assert_not(stored);
    cr_assert(passed_too);
}
