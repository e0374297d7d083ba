/* SPDX-License-Identifier: MIT */
#include "greetd/listen/match.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/config_fixture.h"
#include "support/fake.h"
#include "support/seccomp_deny.h"

TestSuite(match, .timeout = 60, .init = set_up, .fini = tear_down);

static unsigned n_socket_calls;

/* Counts the calls, in place of the function of the C library. */
FAKE int socket(int family, int type, int protocol)
{
    n_socket_calls++;
    return (int)syscall(SYS_socket, family, type, protocol);
}

static struct config *config;
static struct match match;
static size_t n_workers = 1;

/* Matches the configuration TEXT with the AVAILABLE sockets. */
static void match_text(const char *text, const struct listener_set *available)
{
    config = load_text(text);
    cr_assert_eq(match_init(&match, config, available, false, n_workers), 0);
}

static void end_match(void)
{
    match_deinit(&match);
    config_unref(config);
}

/* Opens the addresses of the configuration TEXT and adds their listeners to SET. */
static void open_text(struct listener_set *set, const char *text)
{
    match_text(text, set);
    cr_assert_eq(match_open_missing(&match, &diagnostics), 0);
    for (size_t i = 0; i < match.snapshot->n; i++)
        cr_assert_eq(listener_set_add(set, match.snapshot->bindings[i].listener), 0);
    end_match();
}

#define TWO_ADDRESSES                                                                              \
    "[Server]\nListenStream=\nListenStream=127.0.0.1:0\n"                                          \
    "[Listener b]\nListenStream=127.0.0.2:0\n"

Test(match, keeps_open_sockets_and_opens_the_missing_ones)
{
    struct listener_set set = {0};

    open_text(&set, "[Server]\nListenStream=127.0.0.2:0\n");
    match_text(TWO_ADDRESSES, &set);
    cr_assert_eq(match.snapshot->n, 2);
    cr_assert_null(match.snapshot->bindings[0].listener);
    cr_assert_eq(match.snapshot->bindings[1].listener, set.at[0]);
    cr_assert_str_eq(match.snapshot->bindings[1].config->name, "b");

    cr_assert_eq(match_open_missing(&match, &diagnostics), 0);
    cr_assert_not_null(match.snapshot->bindings[0].listener);
    cr_assert_eq(match.snapshot->bindings[1].listener, set.at[0]);
    end_match();
    listener_set_deinit(&set);
}

Test(match, gives_one_socket_to_one_address)
{
    struct listener_set set = {0};

    open_text(&set, "[Server]\nListenStream=\nListenStream=127.0.0.1:0\n");
    match_text("[Server]\nListenStream=\nListenStream=127.0.0.1:0\nListenStream=127.0.0.1:0\n",
               &set);
    cr_assert_eq(match.snapshot->bindings[0].listener, set.at[0]);
    cr_assert_null(match.snapshot->bindings[1].listener);
    end_match();
    listener_set_deinit(&set);
}

Test(match, resolves_a_bare_port_once_however_many_sockets_are_open)
{
    struct listener_set set = {0};

    open_text(&set, "[Server]\nListenStream=\nListenStream=127.0.0.1:0\nListenStream=127.0.0.2:0\n"
                    "ListenStream=127.0.0.3:0\n");
    n_socket_calls = 0;
    match_text("[Server]\nListenStream=\nListenStream=0\n", &set);
    cr_assert_eq(n_socket_calls, 1);
    cr_assert_null(match.snapshot->bindings[0].listener);
    end_match();
    listener_set_deinit(&set);
}

/* Returns a configuration with ReusePort=WORD. No other process uses its abstract socket: Criterion
 * runs several tests at once. Valid until the next call. */
static const char *reuse_port(const char *word)
{
    static char text[128];

    snprintf(text, sizeof(text),
             "[Server]\nListenStream=\nListenStream=127.0.0.1:0\nListenStream=@greetd-match-%d\n"
             "ReusePort=%s\n",
             (int)getpid(), word);
    return text;
}

/* Expects N shards in front, and an abstract socket behind them. */
static void expect_shards(unsigned n, bool spread)
{
    const struct binding *bindings = match.snapshot->bindings;

    cr_assert_eq(match.snapshot->n, n + 1);
    for (unsigned i = 0; i < n; i++) {
        cr_assert_eq(bindings[i].shard, i);
        cr_assert_eq(bindings[i].n_shards, n);
        cr_assert_eq(bindings[i].spread, spread);
        cr_assert(listener_shares_address(bindings[i].listener, bindings[0].listener));
    }
    cr_assert_eq(bindings[n].n_shards, 1);
}

Test(match, opens_a_shard_for_each_worker_at_addresses_of_tcp)
{
    struct listener_set set = {0};

    n_workers = 3;
    match_text(reuse_port("yes"), &set);
    cr_assert_eq(match_open_missing(&match, &diagnostics), 0);
    expect_shards(3, true);
    end_match();
}

Test(match, opens_shards_behind_the_sockets_that_are_open)
{
    struct listener_set set = {0};

    open_text(&set, reuse_port("no"));
    n_workers = 3;
    match_text(reuse_port("yes"), &set);
    cr_assert_eq(match_open_missing(&match, &diagnostics), 0);
    expect_shards(3, true);
    cr_assert_eq(match.snapshot->bindings[0].listener, set.at[0]);
    cr_assert_eq(match.snapshot->bindings[3].listener, set.at[1]);
    end_match();
    listener_set_deinit(&set);
}

Test(match, keeps_all_open_shards_in_their_order)
{
    const char *words[] = {"no", "yes"};
    struct listener_set set = {0};

    n_workers = 4;
    open_text(&set, reuse_port("yes"));
    n_workers = 2;
    for (size_t i = 0; i < 2; i++) {
        match_text(reuse_port(words[i]), &set);
        cr_assert_eq(match_open_missing(&match, &diagnostics), 0);
        expect_shards(4, i == 1);
        for (size_t j = 0; j < 5; j++)
            cr_assert_eq(match.snapshot->bindings[j].listener, set.at[j]);
        end_match();
    }
    listener_set_deinit(&set);
}

Test(match, gives_each_of_two_ports_that_the_kernel_chose_its_own_shards)
{
    const char *text = "[Server]\nListenStream=\nListenStream=127.0.0.1:0\nReusePort=yes\n"
                       "[Listener b]\nListenStream=127.0.0.1:0\n";
    struct listener_set set = {0};

    n_workers = 2;
    open_text(&set, text);
    cr_assert(listener_shares_address(set.at[0], set.at[1]));
    cr_assert(listener_shares_address(set.at[2], set.at[3]));
    cr_assert_not(listener_shares_address(set.at[0], set.at[2]));
    match_text(text, &set);
    cr_assert_eq(match.snapshot->n, 4);
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(match.snapshot->bindings[i].listener, set.at[i]);
    end_match();
    listener_set_deinit(&set);
}

Test(match, reports_an_interface_that_is_missing_where_the_socket_is_opened)
{
    struct listener_set set = {0};

    match_text("[Server]\nListenStream=\nListenStream=[fe80::1]:7%greetd-none\n", &set);
    cr_assert_eq(match_open_missing(&match, &diagnostics), -ENODEV);
    cr_assert_str_eq(diagnostics.lines[0],
                     "Failed to listen on [fe80::1]:7%greetd-none: No such device");
    end_match();
}

Test(match, without_any_address_is_an_error_of_the_configuration)
{
    struct listener_set set = {0};

    match_text("[Server]\nListenStream=\n", &set);
    cr_assert_eq(match_open_missing(&match, &diagnostics), -EBADMSG);
    cr_assert_eq(diagnostics.n_lines, 1);
    end_match();
}

Test(match, leaves_a_stored_shard_of_a_passed_socket_alone)
{
    struct listener_set set = {0};

    n_workers = 2;
    open_text(&set, reuse_port("yes"));
    set.at[0]->inherited = true;
    config = load_text(reuse_port("yes"));
    cr_assert_eq(match_init(&match, config, &set, true, n_workers), 0);
    cr_assert(listener_shares_address(set.at[0], set.at[1]));
    cr_assert_eq(match.snapshot->n, 1);
    cr_assert_eq(match.snapshot->bindings[0].listener, set.at[0]);
    end_match();
    listener_set_deinit(&set);
}

Test(match, reports_a_shard_that_can_not_be_opened)
{
    struct listener_set set = {0};

    open_text(&set, reuse_port("no"));
    n_workers = 2;
    match_text(reuse_port("yes"), &set);
    seccomp_deny(SYS_setsockopt, 2, SO_REUSEPORT, ENOPROTOOPT);
    cr_assert_eq(match_open_missing(&match, &diagnostics), -ENOPROTOOPT);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect(strstr(diagnostics.lines[0], "Protocol not available"), "%s", diagnostics.lines[0]);
    end_match();
    listener_set_deinit(&set);
}
