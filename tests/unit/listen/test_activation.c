/* SPDX-License-Identifier: MIT */

/* Tests of the sockets that systemd passes, from a socket unit or from its descriptor store. */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "greetd/listen/activation.h"
#include "greetd/listen/fdstore.h"
#include "support/fake_systemd.h"
#include "support/net.h"
#include "support/pass_fds.h"
#include "support/seccomp_deny.h"

TestSuite(activation, .timeout = 60);

struct fixture {
    struct listener_set set;
    struct diagnostics diagnostics;
    int result;
};

static void inherit(struct fixture *fixture, const int *fds, int n, const char *names)
{
    *fixture = (struct fixture){.diagnostics = DIAGNOSTICS_NULL};
    pass_fds_begin(fds, n, names);
    fixture->result = activation_take(&fixture->set, &fixture->diagnostics);
    pass_fds_end(&fixture->set);
}

static void close_fixture(struct fixture *fixture)
{
    listener_set_deinit(&fixture->set);
    diagnostics_deinit(&fixture->diagnostics);
}

Test(activation, inherits_nothing_if_nothing_was_passed)
{
    struct fixture fixture = {.diagnostics = DIAGNOSTICS_NULL};

    unsetenv("LISTEN_FDS");
    cr_assert_eq(activation_take(&fixture.set, &fixture.diagnostics), 0);
    cr_assert_eq(fixture.set.n, 0);
    close_fixture(&fixture);
}

Test(activation, ignores_sockets_for_another_process)
{
    struct fixture fixture = {.diagnostics = DIAGNOSTICS_NULL};

    setenv("LISTEN_FDS", "2", 1);
    setenv("LISTEN_PID", "1", 1);
    cr_assert_eq(activation_take(&fixture.set, &fixture.diagnostics), 0);
    cr_assert_eq(fixture.set.n, 0);
    close_fixture(&fixture);
}

Test(activation, inherits_every_kind_of_listening_socket)
{
    struct fixture fixture;
    struct sockaddr_in address;
    int fds[] = {net_listen(&address), net_listen_local(SOCK_STREAM),
                 net_listen_local(SOCK_SEQPACKET)};

    inherit(&fixture, fds, 3, "web:local:records");
    cr_assert_eq(fixture.result, 3);
    cr_assert_eq(fixture.diagnostics.n_errors, 0);
    cr_assert_eq(fixture.set.n, 3);
    struct listener *const *listeners = fixture.set.at;
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
    close_fixture(&fixture);
}

Test(activation, names_each_unsuitable_descriptor)
{
    struct fixture fixture;
    struct sockaddr_in address;
    int fds[] = {net_listen(&address), open("/proc/self/exe", O_RDONLY),
                 socket(AF_INET, SOCK_DGRAM, 0), net_tcp_pair().server};

    inherit(&fixture, fds, 4, "good:file:datagrams:connection");
    cr_assert_eq(fixture.result, -EBADMSG);
    cr_assert_eq(fixture.diagnostics.n_errors, 3);
    cr_assert(strstr(fixture.diagnostics.lines[0], "Descriptor 4 (file)"));
    cr_assert(strstr(fixture.diagnostics.lines[0], "a regular file"));
    cr_assert(strstr(fixture.diagnostics.lines[1], "Descriptor 5 (datagrams)"));
    cr_assert(strstr(fixture.diagnostics.lines[1], "a datagram socket"));
    cr_assert(strstr(fixture.diagnostics.lines[2], "Descriptor 6 (connection)"));
    cr_assert(strstr(fixture.diagnostics.lines[2], "Accept=yes"));
    close_fixture(&fixture);
}

/* The store is a cache: greetd opens the socket again. */
Test(activation, removes_an_unsuitable_socket_from_the_store)
{
    struct fixture fixture;
    struct sockaddr_in address;
    int fds[] = {socket(AF_UNIX, SOCK_STREAM, 0), net_listen(&address)};

    fake_systemd_open();
    inherit(&fixture, fds, 2, "opened@1:opened@2");
    cr_assert_eq(fixture.result, 2);
    cr_assert_eq(fixture.set.n, 1);
    cr_assert_str_eq(fixture.set.at[0]->stored_as, "opened@2");
    cr_assert_eq(fixture.diagnostics.n_lines, 1);
    cr_assert(strstr(fixture.diagnostics.lines[0], "Descriptor 3 (opened@1)"));
    cr_assert(strstr(fixture.diagnostics.lines[0], "does not listen"));
    cr_assert(fake_systemd_receive());
    cr_assert_str_eq(fake_systemd.last, "FDSTOREREMOVE=1\nFDNAME=opened@1");
    cr_assert_not(fake_systemd_receive());
    close_fixture(&fixture);
}

/* The next process is to open its address anew. */
Test(activation, removes_a_socket_that_was_shut_down_from_the_store)
{
    struct fixture fixture;
    int fds[] = {net_listen_local(SOCK_STREAM)};

    fake_systemd_open();
    cr_assert_eq(shutdown(fds[0], SHUT_RDWR), 0);
    inherit(&fixture, fds, 1, "opened@1");
    cr_assert_eq(fixture.set.n, 0);
    cr_assert_eq(fixture.diagnostics.n_lines, 1);
    cr_assert(strstr(fixture.diagnostics.lines[0], "was shut down"));
    cr_assert(fake_systemd_has_received("FDSTOREREMOVE=1"));
    close_fixture(&fixture);
}

/* An earlier process was killed between FDSTORE=1 and listen(2). */
Test(activation, takes_a_stored_socket_that_does_not_listen_yet)
{
    struct fixture fixture;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fds[] = {socket(AF_UNIX, SOCK_STREAM, 0)}, client = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "greetd-%d", (int)getpid());
    cr_assert_eq(bind(fds[0], (struct sockaddr *)&address, sizeof(address)), 0);
    fake_systemd_open();
    inherit(&fixture, fds, 1, "opened@1");
    cr_assert_eq(fixture.set.n, 1);
    cr_assert_eq(fixture.diagnostics.n_lines, 0);
    cr_assert_not(fake_systemd_receive());
    cr_assert_eq(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
    close_fixture(&fixture);
}

Test(activation, names_a_descriptor_that_is_closed)
{
    struct fixture fixture;
    struct sockaddr_in address;
    int fds[] = {net_listen(&address), -1};

    inherit(&fixture, fds, 2, "good:closed");
    cr_assert_eq(fixture.result, -EBADMSG);
    cr_assert_eq(fixture.diagnostics.n_errors, 1);
    cr_assert(strstr(fixture.diagnostics.lines[0], "Descriptor 4"));
    cr_assert(strstr(fixture.diagnostics.lines[0], "closed"));
    close_fixture(&fixture);
}

Test(activation, names_the_error_of_a_descriptor_that_cant_be_examined)
{
    struct fixture fixture;
    struct sockaddr_in address;
    int fds[] = {net_listen(&address)};

    seccomp_deny(SYS_getsockopt, 2, SO_ACCEPTCONN, EACCES);
    inherit(&fixture, fds, 1, "web");
    cr_assert_eq(fixture.result, -EBADMSG);
    cr_assert_str_eq(fixture.diagnostics.lines[0],
                     "Descriptor 3 (web) passed by systemd can't be used: Permission denied");
    close_fixture(&fixture);
}

Test(activation, does_not_remove_the_file_of_an_inherited_socket)
{
    struct fixture fixture;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/greetd-unit-%d", (int)getpid());
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(listen(fd, 1), 0);
    inherit(&fixture, &fd, 1, "local");
    cr_assert_eq(fixture.result, 1);
    close_fixture(&fixture);
    cr_assert_eq(unlink(address.sun_path), 0);
}

/* An earlier version may have stored the socket under a name of another form. */
Test(activation, removes_a_stored_socket_by_its_earlier_name)
{
    struct fixture fixture;
    struct sockaddr_in address;
    int fds[] = {net_listen(&address)};

    fake_systemd_open();
    inherit(&fixture, fds, 1, "opened@127.0.0.1,80");
    fdstore_remove(fixture.set.at[0]);
    cr_assert(fake_systemd_receive());
    cr_assert_str_eq(fake_systemd.last, "FDSTOREREMOVE=1\nFDNAME=opened@127.0.0.1,80");
    cr_assert_null(fixture.set.at[0]->stored_as);
    close_fixture(&fixture);
}

Test(activation, distinguishes_stored_from_passed_sockets)
{
    struct fixture fixture;
    struct sockaddr_in address;
    int fds[] = {net_listen(&address), net_listen(&address)};

    inherit(&fixture, fds, 2, "web:opened@127.0.0.1,80");
    cr_assert_eq(fixture.result, 2);
    cr_assert(fixture.set.at[0]->inherited);
    cr_assert_null(fixture.set.at[0]->stored_as);
    cr_assert_not(fixture.set.at[1]->inherited);
    cr_assert_str_eq(fixture.set.at[1]->stored_as, "opened@127.0.0.1,80");
    cr_assert_null(fixture.set.at[1]->name);
    close_fixture(&fixture);
}

Test(activation, does_not_count_stored_sockets_as_passed)
{
    struct sockaddr_in address;
    int fds[] = {net_listen(&address)};
    struct listener_set none = {0};

    pass_fds_begin(fds, 1, "opened@127.0.0.1,80");
    bool from_store = activation_any_passed();
    pass_fds_end(&none);
    pass_fds_begin(fds, 1, "web");
    bool from_unit = activation_any_passed();
    pass_fds_end(&none);
    cr_assert_not(from_store);
    cr_assert(from_unit);
}

/* systemd passes the newest first. */
Test(activation, sorts_stored_sockets_by_the_numbers_of_shards)
{
    struct fixture fixture;
    struct sockaddr_in address;
    int fds[] = {net_listen(&address), net_listen(&address), net_listen(&address),
                 net_listen(&address)};

    inherit(&fixture, fds, 4, "opened@9.10:opened@8.2:opened@7:opened@127.0.0.1,80");
    cr_assert_eq(fixture.set.n, 4);
    cr_expect_str_eq(fixture.set.at[0]->stored_as, "opened@7");
    cr_expect_str_eq(fixture.set.at[1]->stored_as, "opened@127.0.0.1,80");
    cr_expect_str_eq(fixture.set.at[2]->stored_as, "opened@8.2");
    cr_expect_str_eq(fixture.set.at[3]->stored_as, "opened@9.10");
    close_fixture(&fixture);
}

Test(activation, fails_if_a_socket_stays_blocking)
{
    struct fixture fixture;
    int fd = net_listen_local(SOCK_STREAM);

    seccomp_deny(SYS_fcntl, 1, F_SETFL, EPERM);
    inherit(&fixture, &fd, 1, "local");
    cr_assert_eq(fixture.result, -EPERM);
    cr_assert_eq(fixture.set.n, 0);
    close_fixture(&fixture);
}

Test(activation, looks_at_the_first_few_of_an_absurd_number)
{
    struct fixture fixture = {.diagnostics = DIAGNOSTICS_NULL};
    struct sockaddr_in address;
    int fd = net_listen(&address);

    pass_fds_begin(&fd, 1, "web");
    setenv("LISTEN_FDS", "1000000", 1);
    fixture.result = activation_take(&fixture.set, &fixture.diagnostics);
    pass_fds_end(&fixture.set);
    cr_assert_eq(fixture.result, -EBADMSG);
    cr_assert_gt(fixture.diagnostics.n_errors, 0);
    cr_assert_leq(fixture.diagnostics.n_errors, 60);
    close_fixture(&fixture);
}
