/* SPDX-License-Identifier: MIT */

/* greet: a client of greetd, a probe for monitoring, and a load generator. Read probe and fetch
 * next for one connection; load, generator and exchange for many; reconcile for both sides of many.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "client/output.h"
#include "client/resolve.h"
#include "greet/arguments.h"
#include "greet/load.h"
#include "greet/probe.h"
#include "greetd/base/clock.h"
#include "greetd/base/file.h"
#include "greetd/config/config.h"
#include "greetd/greeting/greeting.h"
#include "reconcile/reconcile.h"

static const char help[] =
    "Usage: greet [OPTION...] [ADDRESS]\n"
    "       greet --load [OPTION...] [ADDRESS]\n"
    "       journalctl -u greetd -o json | greet --reconcile FILE [--json]\n"
    "Connect to a server that greets, and print its greeting.\n"
    "\n"
    "ADDRESS (default " ARGUMENTS_ADDRESS_DEFAULT "):\n"
    "  PORT                       a port of this machine, by IPv6 or IPv4\n"
    "  IPv4:PORT, [IPv6]:PORT\n"
    "  NAME:PORT                  every address of the name is tried in turn\n"
    "  /path, @abstract           a Unix socket\n"
    "  vsock:CID:PORT             a virtual machine or its host\n"
    "\n"
    "Options:\n"
    "  -e, --expect=TEXT          expect the greeting TEXT, with the escapes\n"
    "                             \\n \\r \\t \\\\ \\xHH as in Message= of greetd.conf\n"
    "      --expect-file=FILE     expect the content of FILE\n"
    "      --expect-config[=PATH] expect the greeting that the configuration describes\n"
    "                             (default " CONFIG_PATH_DEFAULT "), variables included;\n"
    "                             without ADDRESS, connect to its first ListenStream=\n"
    "      --listener=NAME        with --expect-config, that of the socket NAME\n"
    "  -t, --timeout=TIME         time limit for each address, from connect to end of\n"
    "                             stream, such as 500ms (default 10s)\n"
    "  -s, --send=TEXT            send TEXT, with the same escapes\n"
    "      --proxy=[v1:]SOURCE    first send a PROXY header, as a load balancer does,\n"
    "                             for the client SOURCE: IPv4, IPv4:PORT, IPv6,\n"
    "                             [IPv6]:PORT, unix, or local for a health check;\n"
    "                             v1: is for the header of version 1\n"
    "  -q, --quiet                don't print the greeting\n"
    "      --explain              print each step to standard error as it happens\n"
    "  -h, --help                 show this help\n"
    "      --version              show the version\n"
    "\n"
    "With --load, make many connections and check every byte and the end of stream\n"
    "of each. Without --expect or --expect-file, the expected greeting is that of a\n"
    "first connection before the run. At the end, print how many connections were\n"
    "right and how many were lost, and their latency from connect to end of stream.\n"
    "A terminal also shows a chart of the latencies. Ctrl-C ends the run and prints\n"
    "the results so far.\n"
    "  -n, --connections=N        number of connections (default 1000)\n"
    "  -c, --concurrent=N         connections at the same time (default 10)\n"
    "      --rate=N               start N connections per second, and measure\n"
    "                             latency from when each should have started\n"
    "  -s, --send=BYTES           each connection sends so many bytes before it reads\n"
    "      --proxy=[v1:]NETWORK   give each connection the next source in NETWORK,\n"
    "                             such as 192.0.2.0/24; in IPv6, the next /64\n"
    "      --hold=TIME            hold each connection open after its end of stream\n"
    "      --pid=PID              print the processor time per connection of PID, the\n"
    "                             server\n"
    "      --receipts=FILE        write what each client saw of its connection to FILE\n"
    "      --json                 print one JSON object instead of text\n"
    "\n"
    "With --reconcile, compare such a FILE with the journal of greetd on standard\n"
    "input: who was served, who was not, and on which side it broke.\n"
    "\n"
    "Exit status: 0 all is well, 1 not the greeting expected, 2 refused, unreachable,\n"
    "timed out or reset, 3 bad command line, bad configuration or trouble on this\n"
    "machine. With --load, the worst status of all connections; with --reconcile, 1\n"
    "too if the two sides contradict each other.\n"
    "\n"
    "Errors and results have colors on a terminal, unless NO_COLOR is set.\n"
    "\n"
    "Examples:\n"
    "  greet example.org:12345\n"
    "  greet --quiet --expect 'Hello from server!' --timeout 2s [::1]:12345\n"
    "  greet --quiet --expect-config\n"
    "  greet --send 'GET / HTTP/1.0\\r\\n\\r\\n' 8080\n"
    "  greet --load -n 100000 -c 128 --pid $(pidof greetd)\n"
    "  greet --load --receipts /tmp/receipts\n"
    "  journalctl -u greetd -o json | greet --reconcile /tmp/receipts\n";

static enum exit_status print(const char *text)
{
    fputs(text, stdout);
    return output_flush() ? EXIT_STATUS_OK : EXIT_STATUS_UNABLE;
}

/* Compiles or reads the expected greeting, if any. *RET is the caller's. Prints each error. */
static int load_expected(struct greeting **ret, const struct arguments *arguments)
{
    int r = 0;

    if (arguments->expect)
        return arguments_compile(ret, arguments->expect, "--expect");
    if (arguments->expect_file) {
        r = greeting_new_from_file(ret, arguments->expect_file);
        if (r < 0)
            output_error("%s: %s", arguments->expect_file, file_strerror(r));
    }
    return r;
}

static enum exit_status connect_to(const char *address, const struct arguments *arguments,
                                   const struct probe_expected *expected)
{
    _cleanup_(resolve_deinit) struct resolve_list list = {0};
    const char *why;
    int r;

    output_set_timeout(arguments->timeout_usec);
    if (arguments->explain && resolve_is_name(address))
        fprintf(stderr, "looking up %s\n", address);
    r = resolve(&list, address, arguments->timeout_usec, &why);
    if (r < 0) {
        output_error("%s: %s", address, why);
        return r == -EINVAL || r == -ENOMEM ? EXIT_STATUS_UNABLE : EXIT_STATUS_LOST;
    }
    output_set_timeout(USEC_INFINITY);
    return arguments->action == ARGUMENTS_LOAD ? load_run(arguments, &list, expected->greeting)
                                               : probe_run(arguments, &list, expected);
}

static enum exit_status expect_greeting(const struct arguments *arguments)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;

    if (load_expected(&greeting, arguments) < 0)
        return EXIT_STATUS_UNABLE;
    return connect_to(arguments->address, arguments,
                      &(struct probe_expected){.greeting = greeting});
}

/* Returns how clients of the socket NAME (NULL: of [Server]) are greeted, as greetd finds it: a
 * socket that systemd passes needs no section. Borrowed from both. */
static struct config_listener find_listener(const struct config *config, const char *name)
{
    struct config_listener listener = *config_default_listener(config);
    const struct config_listener *named = name ? config_find_listener(config, name) : NULL;

    if (named)
        return *named;
    if (name && strcmp(name, listener.name) != 0) {
        listener.name = name;
        listener.addresses = (struct address_list){0};
    }
    return listener;
}

static enum exit_status expect_config(const struct arguments *arguments)
{
    _cleanup_(config_unrefp) struct config *config = NULL;
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    const struct config_options options = {.path = arguments->config_path};

    int r = config_load(&config, &options, &diagnostics);
    if (r < 0) {
        output_config_errors(&diagnostics);
        if (r == -ENOMEM)
            output_error("out of memory");
        return EXIT_STATUS_UNABLE;
    }

    const struct config_listener listener = find_listener(config, arguments->listener);
    if (!arguments->address && listener.addresses.n == 0) {
        output_error("[Listener %s] has no ListenStream=, so an ADDRESS is needed", listener.name);
        return EXIT_STATUS_UNABLE;
    }
    return connect_to(arguments->address ? arguments->address : listener.addresses.texts[0],
                      arguments, &(struct probe_expected){.listener = &listener});
}

int main(int argc, char **argv)
{
    struct arguments arguments;

    /* A write to a closed pipe must return EPIPE, and one beyond RLIMIT_FSIZE must return EFBIG, so
     * that the error is printed. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);

    if (arguments_parse(&arguments, argc, argv) < 0)
        return EXIT_STATUS_UNABLE;
    switch (arguments.action) {
    case ARGUMENTS_HELP:
        return (int)print(help);
    case ARGUMENTS_RECONCILE:
        return (int)reconcile_run(arguments.receipts, arguments.json);
    case ARGUMENTS_VERSION:
        return (int)print("greet " GREETD_VERSION "\n");
    default:
        return (int)(arguments.expect_config ? expect_config(&arguments)
                                             : expect_greeting(&arguments));
    }
}
