/* SPDX-License-Identifier: MIT */

#include "greetd/listen/fdstore.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support/descriptors.h"
#include "support/fake_systemd.h"
#include "support/net.h"
#include "support/seccomp_deny.h"

TestSuite(fdstore, .timeout = 60);

static struct listener *open_listener(const char *text)
{
    const struct address address = net_address(text);
    struct listener *listener;

    cr_assert_eq(listener_open(&listener, &address, 16), 0);
    return listener;
}

static ino_t inode_of(int fd)
{
    struct stat st;

    cr_assert_eq(fstat(fd, &st), 0);
    return st.st_ino;
}

/* Receives a message that begins with BEGIN. Returns the name after it, valid until the next call.
 */
static const char *receive_name(const char *begin)
{
    static char name[sizeof(fake_systemd.last)];

    cr_assert(fake_systemd_receive());
    cr_assert_eq(strncmp(fake_systemd.last, begin, strlen(begin)), 0, "%s", fake_systemd.last);
    return strcpy(name, fake_systemd.last + strlen(begin));
}

Test(fdstore, stores_a_socket_and_removes_it)
{
    struct listener *listener = open_listener("127.0.0.1:0");
    char name[256];

    fake_systemd_open();
    unsetenv("FDSTORE");
    fdstore_add(listener, 0);
    strcpy(name, receive_name("FDSTORE=1\nFDNAME="));
    cr_assert_eq(strncmp(name, "opened@", 7), 0, "%s", name);
    cr_assert_str_eq(listener->stored_as, name);
    cr_assert_eq(inode_of(fake_systemd.passed_fd), inode_of(listener->fd));
    cr_assert_not(listener->handed_on, "systemd may not keep it");
    fdstore_add(listener, 0);
    cr_assert_not(fake_systemd_receive(), "once is enough");

    fdstore_remove(listener);
    cr_assert_str_eq(receive_name("FDSTOREREMOVE=1\nFDNAME="), name);
    fdstore_remove(listener);
    cr_assert_not(fake_systemd_receive());
    listener_unref(listener);
}

/* systemd removes a socket that seems to have hung up; a TCP socket listens by then. */
Test(fdstore, has_systemd_keep_a_socket_that_does_not_listen_yet)
{
    struct listener *local = open_listener("@greetd-unit"), *tcp = open_listener("127.0.0.1:0");

    fake_systemd_open();
    fdstore_add(local, 0);
    cr_assert(strstr(receive_name("FDSTORE=1\nFDNAME="), "\nFDPOLL=0"));
    fdstore_add(tcp, 0);
    cr_assert_null(strstr(receive_name("FDSTORE=1\nFDNAME="), "FDPOLL"));
    listener_unref(local);
    listener_unref(tcp);
}

/* Otherwise the copy in the store would listen on, and its clients would wait for nobody. */
Test(fdstore, removes_a_socket_later_if_there_is_no_descriptor_to_ask_with)
{
    struct listener *listener = open_listener("127.0.0.1:0");

    fake_systemd_open();
    fdstore_add(listener, 0);
    cr_assert(fake_systemd_receive());
    struct rlimit limit = descriptors_deny();
    fdstore_remove(listener);
    descriptors_allow(limit);
    cr_assert_not_null(listener->stored_as);
    fdstore_remove(listener);
    cr_assert_null(listener->stored_as);
    cr_assert(fake_systemd_receive());
    cr_assert_eq(strncmp(fake_systemd.last, "FDSTOREREMOVE=1\n", 16), 0);
    listener_unref(listener);
}

/* FDSTOREREMOVE=1 removes every descriptor of a name. */
Test(fdstore, gives_each_stored_socket_its_own_name)
{
    struct listener *listeners[8];
    char names[ELEMENTSOF(listeners)][256];

    fake_systemd_open();
    for (size_t i = 0; i < ELEMENTSOF(listeners); i++) {
        listeners[i] = open_listener("127.0.0.1:0");
        fdstore_add(listeners[i], 0);
        strcpy(names[i], receive_name("FDSTORE=1\nFDNAME="));
        close(fake_systemd.passed_fd);
        for (size_t j = 0; j < i; j++)
            cr_assert_str_neq(names[i], names[j]);
    }
    for (size_t i = 0; i < ELEMENTSOF(listeners); i++)
        listener_unref(listeners[i]);
}

Test(fdstore, hands_on_a_socket_that_systemd_keeps)
{
    struct listener *listener = open_listener("127.0.0.1:0");

    fake_systemd_open();
    setenv("FDSTORE", "16", 1);
    fdstore_add(listener, 0);
    cr_assert(listener->handed_on);
    fdstore_remove(listener);
    cr_assert_not(listener->handed_on);
    listener_unref(listener);
}

Test(fdstore, does_not_store_the_socket_of_a_socket_unit)
{
    struct listener listener = {.inherited = true, .handed_on = true};

    fake_systemd_open();
    fdstore_add(&listener, 0);
    cr_assert_not(fake_systemd_receive());
    cr_assert(listener.handed_on);
}

Test(fdstore, names_the_number_of_a_shard)
{
    struct listener *listener = open_listener("127.0.0.1:0");

    fake_systemd_open();
    fdstore_add(listener, 12);
    cr_expect_eq(fdstore_shard(listener->stored_as), 12);
    cr_expect(fdstore_is_name(listener->stored_as));
    listener_unref(listener);
}

Test(fdstore, does_not_store_a_socket_that_has_no_cookie)
{
    struct listener *listener = open_listener("127.0.0.1:0");

    fake_systemd_open();
    seccomp_deny(SYS_getsockopt, 2, SO_COOKIE, ENOPROTOOPT);
    fdstore_add(listener, 0);
    cr_assert_not(fake_systemd_receive());
    cr_assert_null(listener->stored_as);
    listener_unref(listener);
}
