/* SPDX-License-Identifier: MIT */

/* Tests of sockets that an earlier process or a socket unit hands on, and of those for the next
 * process. */

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "support/fake_systemd.h"
#include "support/net.h"
#include "support/pass_fds.h"
#include "support/seccomp_deny.h"
#include "support/sockets_fixture.h"
#include "support/temp_dir.h"

TestSuite(sockets_handed_on, .timeout = 60);

Test(sockets_handed_on, keeps_configured_sockets_of_the_store_and_removes_the_others)
{
    struct sockets_fixture fixture;
    struct sockaddr_in configured, other;
    int fds[] = {net_listen(&configured), net_listen(&other)};
    char text[128];

    snprintf(text, sizeof(text), "[Server]\nListenStream=127.0.0.1:%u\nListenStream=@a\n",
             ntohs(configured.sin_port));
    sockets_fixture_load(&fixture, text);
    fake_systemd_open();
    cr_assert_eq(sockets_fixture_open_passed(&fixture, fds, 2, "opened@x:opened@y"), 0);
    cr_assert_not(fixture.sockets.inherited);
    cr_assert_eq(fixture.sockets.snapshot->n, 2);
    cr_assert_eq(sockets_fixture_listener(&fixture, 0)->address.in.sin_port, configured.sin_port);
    cr_assert(sockets_fixture_listener(&fixture, 0)->stored_as);

    cr_assert(fake_systemd_receive());
    cr_assert(strstr(fake_systemd.last, "FDSTOREREMOVE=1\nFDNAME=opened@y"));
    cr_assert(fake_systemd_receive());
    cr_assert(strstr(fake_systemd.last, "FDSTORE=1\nFDNAME=opened@"));
    cr_assert_not(fake_systemd_receive());
    sockets_fixture_close(&fixture);
}

/* systemd still has its descriptor of the stored socket open. */
Test(sockets_handed_on, a_stored_socket_does_not_block_a_configured_address)
{
    struct sockets_fixture fixture;
    struct sockaddr_in address;
    int fds[] = {net_listen(&address)};
    char text[128];

    cr_assert_eq(setsockopt(fds[0], SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
    snprintf(text, sizeof(text), "[Server]\nListenStream=0.0.0.0:%u\n", ntohs(address.sin_port));
    sockets_fixture_load(&fixture, text);
    fake_systemd_open();
    cr_assert_eq(sockets_fixture_open_passed(&fixture, fds, 1, "opened@x"), 0);
    cr_assert_eq(fixture.sockets.snapshot->n, 1);
    cr_assert_eq(sockets_fixture_listener(&fixture, 0)->address.in.sin_addr.s_addr,
                 htonl(INADDR_ANY));
    sockets_fixture_close(&fixture);
}

static int listen_at(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)unlink(address->sun_path);
    cr_assert_eq(bind(fd, (const struct sockaddr *)address, sizeof(*address)), 0);
    cr_assert_eq(listen(fd, 4), 0);
    return fd;
}

/* The file at the path belongs to the second one. */
Test(sockets_handed_on, of_two_stored_sockets_with_one_path_clients_can_reach_the_open_one)
{
    struct sockets_fixture fixture;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct temp_dir temp_dir;
    char text[256];

    temp_dir_init(&temp_dir);
    strcpy(address.sun_path, temp_dir_path(&temp_dir, "socket"));
    int fds[] = {listen_at(&address), listen_at(&address)};
    snprintf(text, sizeof(text), "[Server]\nListenStream=%s\n", address.sun_path);
    sockets_fixture_load(&fixture, text);
    fake_systemd_open();
    cr_assert_eq(sockets_fixture_open_passed(&fixture, fds, 2, "opened@x:opened@y"), 0);
    cr_assert_eq(fixture.sockets.snapshot->n, 1);
    cr_assert(fake_systemd_has_received("FDNAME=opened@x"));
    cr_assert(fake_systemd_has_received("FDSTORE=1"));

    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(client, (const struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_geq(accept(sockets_fixture_listener(&fixture, 0)->fd, NULL, NULL), 0);
    sockets_fixture_close(&fixture);
    temp_dir_deinit(&temp_dir);
}

Test(sockets_handed_on, sockets_of_a_socket_unit_win_over_stored_ones)
{
    struct sockets_fixture fixture;
    struct sockaddr_in address;
    int fds[] = {net_listen(&address), net_listen(&address)};

    sockets_fixture_load(&fixture, "");
    fake_systemd_open();
    cr_assert_eq(sockets_fixture_open_passed(&fixture, fds, 2, "opened@x:web"), 0);
    cr_assert(fixture.sockets.inherited);
    cr_assert_eq(fixture.sockets.snapshot->n, 1);
    cr_assert_str_eq(binding_name(&fixture.sockets.snapshot->bindings[0]), "web");
    cr_assert(fake_systemd_has_received("FDSTOREREMOVE=1"));
    sockets_fixture_close(&fixture);
}

static int fast_open_of(int fd)
{
    int queue = -1;
    socklen_t length = sizeof(queue);

    cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, &length), 0);
    return queue;
}

/* An earlier process may have had FastOpen=yes. */
Test(sockets_handed_on, an_inherited_socket_has_fast_open_as_configured)
{
    const char *names[] = {"opened@x", "web"};

    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        struct sockets_fixture fixture;
        struct sockaddr_in address;
        int fds[] = {net_listen(&address)};
        char text[64];

        cr_assert_eq(setsockopt(fds[0], IPPROTO_TCP, TCP_FASTOPEN, &(int){7}, sizeof(int)), 0);
        snprintf(text, sizeof(text), "[Server]\nListenStream=127.0.0.1:%u\n",
                 ntohs(address.sin_port));
        sockets_fixture_load(&fixture, text);
        cr_assert_eq(sockets_fixture_open_passed(&fixture, fds, 1, names[i]), 0);
        cr_assert_eq(fast_open_of(fds[0]), 0);
        sockets_fixture_close(&fixture);
    }
}

#define FAST_OPEN "[Server]\nListenStream=\nListenStream=127.0.0.1:0\nFastOpen="

Test(sockets_handed_on, fast_open_changes_on_activation)
{
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = NULL;
    struct sockets_fixture fixture;

    sockets_fixture_open(&fixture, FAST_OPEN "no\n");
    int fd = sockets_fixture_listener(&fixture, 0)->fd;
    cr_assert_eq(sockets_fixture_prepare(&fixture, FAST_OPEN "yes\n", &snapshot), 0);
    cr_assert_eq(fast_open_of(fd), 0, "the snapshot is not in force yet");
    cr_assert_eq(sockets_activate(&fixture.sockets, snapshot, &fixture.diagnostics), 0);
    cr_assert_gt(fast_open_of(fd), 0);
    sockets_fixture_change(&fixture, FAST_OPEN "no\n");
    cr_assert_eq(fast_open_of(fd), 0);
    sockets_fixture_close(&fixture);
}

Test(sockets_handed_on, reports_that_fast_open_can_not_be_set)
{
    struct sockets_fixture fixture;

    seccomp_deny(SYS_setsockopt, 2, TCP_FASTOPEN, EPERM);
    sockets_fixture_load(&fixture, FAST_OPEN "yes\n");
    cr_assert_eq(sockets_open(&fixture.sockets, fixture.config, 1, &fixture.diagnostics), -EPERM);
    cr_assert_eq(fixture.diagnostics.n_errors, 1);
    cr_assert(strstr(fixture.diagnostics.lines[0], "Failed to set FastOpen=: "));
    sockets_fixture_close(&fixture);
}

Test(sockets_handed_on, fast_open_fails_only_if_configured)
{
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = NULL;
    struct sockets_fixture fixture;

    seccomp_deny(SYS_setsockopt, 2, TCP_FASTOPEN, EPERM);
    sockets_fixture_open(&fixture, FAST_OPEN "no\n");
    cr_assert_eq(sockets_fixture_prepare(&fixture, FAST_OPEN "yes\n", &snapshot), 0);
    cr_assert_eq(sockets_activate(&fixture.sockets, snapshot, &fixture.diagnostics), -EPERM);
    cr_assert_eq(fixture.sockets.snapshot, snapshot);
    sockets_fixture_close(&fixture);
}

/* A client that connects is not lost if the process ends. */
Test(sockets_handed_on, a_unix_socket_listens_only_once_systemd_has_it)
{
    struct sockets_fixture fixture;

    fake_systemd_open();
    seccomp_deny(SYS_listen, 1, 3, EACCES);
    sockets_fixture_load(&fixture, "[Server]\nListenStream=@a\nBacklog=3\n");
    cr_assert_eq(sockets_open(&fixture.sockets, fixture.config, 1, &fixture.diagnostics), -EACCES);
    cr_assert(fake_systemd_has_received("FDSTORE=1"));
    cr_assert_eq(fixture.diagnostics.n_errors, 1);
    cr_assert(strstr(fixture.diagnostics.lines[0], "Failed to listen on @greetd-"));
    cr_assert(strstr(fixture.diagnostics.lines[0], ": Permission denied"));
    sockets_fixture_close(&fixture);
}

static int connect_to(const struct listener *listener)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return connect(fd, &listener->address.sa, listener->address.length) < 0 ? -errno : 0;
}

Test(sockets_handed_on, a_unix_socket_listens_only_once_it_is_in_force)
{
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = NULL;
    struct sockets_fixture fixture;

    sockets_fixture_open(&fixture, "[Server]\nListenStream=@a\n");
    cr_assert_eq(sockets_fixture_prepare(&fixture, "[Server]\nListenStream=@b\n", &snapshot), 0);
    cr_assert_eq(connect_to(snapshot->bindings[0].listener), -ECONNREFUSED);
    cr_assert_eq(sockets_activate(&fixture.sockets, snapshot, &fixture.diagnostics), 0);
    cr_assert_eq(connect_to(snapshot->bindings[0].listener), 0);
    sockets_fixture_close(&fixture);
}

Test(sockets_handed_on, hands_on_as_many_sockets_as_the_store_holds)
{
    struct sockets_fixture fixture;

    setenv("FDSTORE", "2", 1);
    fake_systemd_open();
    sockets_fixture_open(&fixture, "[Server]\nListenStream=@a\nListenStream=@b\nListenStream=@c\n");
    cr_assert_eq(fixture.sockets.n_not_kept, 1);
    cr_assert(sockets_fixture_listener(&fixture, 0)->handed_on);
    cr_assert(sockets_fixture_listener(&fixture, 1)->handed_on);
    cr_assert_not(sockets_fixture_listener(&fixture, 2)->handed_on);
    cr_assert(fake_systemd_receive());
    cr_assert(fake_systemd_receive());
    cr_assert_not(fake_systemd_receive());

    sockets_fixture_change(&fixture, "[Server]\nListenStream=@b\nListenStream=@c\n");
    cr_assert_eq(fixture.sockets.n_not_kept, 0);
    cr_assert(sockets_fixture_listener(&fixture, 1)->handed_on, "there is room now");
    cr_assert(fake_systemd_receive());
    cr_assert(strstr(fake_systemd.last, "FDSTOREREMOVE=1"));
    cr_assert(fake_systemd_receive());
    cr_assert(strstr(fake_systemd.last, "FDSTORE=1"));
    sockets_fixture_close(&fixture);
}

/* systemd may keep the sockets then, but greetd does not rely on it. */
Test(sockets_handed_on, stores_all_but_hands_on_none_if_the_store_size_is_unknown)
{
    struct sockets_fixture fixture;

    unsetenv("FDSTORE");
    fake_systemd_open();
    sockets_fixture_open(&fixture, "[Server]\nListenStream=@a\n");
    cr_assert_eq(fixture.sockets.n_not_kept, 0);
    cr_assert(fake_systemd_has_received("FDSTORE=1"));
    cr_assert_not(sockets_fixture_listener(&fixture, 0)->handed_on);
    sockets_fixture_close(&fixture);
}

/* The copy in the store would go on listening. */
Test(sockets_handed_on, a_socket_that_can_not_be_removed_from_the_store_is_closed_for_all)
{
    struct sockets_fixture fixture;
    char text[ADDRESS_TEXT_MAX];

    fake_systemd_open();
    sockets_fixture_open(&fixture, "[Server]\nListenStream=127.0.0.1:0\n");
    cr_assert(fake_systemd_has_received("FDSTORE=1"));
    const struct address address = sockets_fixture_listener(&fixture, 0)->address;
    setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
    sockets_fixture_change(&fixture, "[Server]\nListenStream=127.0.0.2:0\n");
    cr_assert(sockets_close_leaving(&fixture.sockets, text));
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(client, &address.sa, address.length), -1);
    cr_assert_eq(errno, ECONNREFUSED);
    close(client);
    sockets_fixture_close(&fixture);
}
