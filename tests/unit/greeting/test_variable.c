/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/variable.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/unit_state.h"
#include "support/fake_prometheus.h"
#include "support/net.h"

static size_t write_variable(const char *name, const struct variable_client *client, char *buffer,
                             size_t size)
{
    const struct variable *variable = variable_find(name, strlen(name));

    cr_assert_not_null(variable, "%s", name);
    return variable->write(variable->constant ? NULL : client, buffer, size);
}

static void expect(const char *name, const struct variable_client *client, const char *value)
{
    char buffer[2048], small[4];
    size_t length = strlen(value), kept = length < sizeof(small) ? length : sizeof(small) - 1;

    cr_expect_eq(write_variable(name, client, buffer, sizeof(buffer)), length, "%s", name);
    cr_expect_str_eq(buffer, value, "%s", name);

    /* Without enough room the value is cut and terminated; the length is still that of the whole.
     */
    cr_expect_eq(write_variable(name, client, small, sizeof(small)), length, "%s", name);
    cr_expect_eq(strlen(small), kept, "%s", name);
    cr_expect_arr_eq(small, value, kept, "%s", name);
    cr_expect_eq(write_variable(name, client, NULL, 0), length, "%s", name);
}

struct peer_row {
    struct peer peer;
    char address[48], port[8];
};

ParameterizedTestParameters(variable, has_the_address_of_the_peer)
{
    static struct peer_row rows[] = {
        {{.family = AF_INET, .port = 54321}, "192.0.2.1", "54321"},
        {{.family = AF_INET6, .port = 7}, "2001:db8::1", "7"},
        {{.family = AF_UNIX, .un = {.pid = 7, .uid = 8}}, "unix:", ""},
        {{.family = AF_VSOCK, .vm = {.cid = 3, .port = 1024}}, "vsock:3", "1024"},
        {{.family = AF_UNSPEC}, "unknown", ""},
    };

    inet_pton(AF_INET, "192.0.2.1", &rows[0].peer.in);
    inet_pton(AF_INET6, "2001:db8::1", &rows[1].peer.in6);
    return cr_make_param_array(struct peer_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct peer_row *row, variable, has_the_address_of_the_peer)
{
    const struct variable_client client = {.peer = &row->peer};

    expect("remote_addr", &client, row->address);
    expect("remote_port", &client, row->port);
}

struct local_row {
    char text[48]; /* as in ListenStream= */
    char address[48], port[8];
};

ParameterizedTestParameters(variable, has_the_address_of_the_server)
{
    static struct local_row rows[] = {
        {"192.0.2.1:80", "192.0.2.1", "80"},
        {"[2001:db8::1]:12345", "2001:db8::1", "12345"},
        {"[::ffff:192.0.2.1]:7", "192.0.2.1", "7"},
        {"/run/greetd.sock", "unix:/run/greetd.sock", ""},
        {"@greetd", "unix:@greetd", ""},
        {"vsock:3:1024", "vsock:3", "1024"},
    };
    return cr_make_param_array(struct local_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct local_row *row, variable, has_the_address_of_the_server)
{
    const struct address local = net_address(row->text);
    const struct variable_client client = {.local = &local};

    expect("server_addr", &client, row->address);
    expect("server_port", &client, row->port);
}

Test(variable, needs_system_calls_only_for_the_socket_and_the_states_of_units)
{
    cr_expect_eq(variable_find("server_addr", 11)->needs, VARIABLE_NEEDS_LOCAL);
    cr_expect_eq(variable_find("server_port", 11)->needs, VARIABLE_NEEDS_LOCAL);
    cr_expect_eq(variable_find("tcpinfo_rtt", 11)->needs, VARIABLE_NEEDS_RTT);
    cr_expect_eq(variable_find("unit_state", 10)->needs, VARIABLE_NEEDS_UNITS);
    cr_expect_eq(variable_find("remote_addr", 11)->needs, 0);
    cr_expect_eq(variable_find("msec", 4)->needs, 0);
}

Test(variable, has_the_round_trip_time_of_tcp)
{
    expect("tcpinfo_rtt", &(struct variable_client){.rtt_usec = 4294967295}, "4294967295");
    expect("tcpinfo_rtt", &(struct variable_client){.rtt_usec = 0}, "0");
    expect("tcpinfo_rtt", &(struct variable_client){.rtt_usec = -EOPNOTSUPP}, "");
}

Test(variable, has_the_names_of_the_process_and_the_listener)
{
    expect("pid", &(struct variable_client){.pid = 4194304}, "4194304");
    expect("listener", &(struct variable_client){.listener = "motd"}, "motd");
}

/* Sets the zone of nginx's example. */
static struct variable_client at_time(struct wall_clock *clock, uint64_t now_msec)
{
    setenv("TZ", "<+06>-6", 1);
    tzset();
    *clock = (struct wall_clock){.now_usec = now_msec * 1000 + 999};
    return (struct variable_client){.clock = clock};
}

Test(variable, has_the_time_as_nginx_writes_it)
{
    struct wall_clock clock;
    struct variable_client client = at_time(&clock, 23349600042);

    expect("time_iso8601", &client, "1970-09-28T12:00:00+06:00");
    expect("msec", &client, "23349600.042");
    wall_clock_deinit(&clock);
    client = at_time(&clock, 7);
    expect("msec", &client, "0.007");
    wall_clock_deinit(&clock);
}

Test(variable, has_the_time_in_a_format)
{
    const struct variable *variable = variable_find("time", 4);
    _cleanup_free_ struct variable_argument *format = malloc(sizeof(*format) + 10);
    struct wall_clock clock;
    const struct variable_client client = at_time(&clock, 23349600042);
    char buffer[16], small[4];

    strcpy(format->text, "%d.%m.");
    cr_assert_eq(variable->write_with(&client, format, buffer, sizeof(buffer)), 6);
    cr_expect_str_eq(buffer, "28.09.");
    cr_assert_eq(variable->write_with(&client, format, small, sizeof(small)), 6);
    cr_expect_str_eq(small, "28.");
    cr_expect_eq(variable->write_with(&client, format, NULL, 0), 6);
    wall_clock_deinit(&clock);
}

Test(variable, has_the_state_of_a_unit)
{
    const struct variable *variable = variable_find("unit_state", 10);
    struct variable_argument unit = {.unit_state = UNIT_STATE_UNKNOWN};
    char buffer[16], small[4];

    cr_assert_eq(variable->write_with(NULL, &unit, buffer, sizeof(buffer)), 7);
    cr_expect_str_eq(buffer, "unknown");
    unit.unit_state = UNIT_STATE_FAILED;
    cr_assert_eq(variable->write_with(NULL, &unit, small, sizeof(small)), 6);
    cr_expect_str_eq(small, "fai");
}

struct argument_row {
    char text[16];
    size_t size, offset;
    char why[48]; /* "" for a good one */
};

ParameterizedTestParameters(variable, has_an_argument_that_is_checked)
{
    static struct argument_row rows[] = {
        {"%F", 2, 0, ""},
        {"", 0, 0, "it must not be empty"},
        {"ab\0%Q", 5, 2, "it must not have a byte of zeroes"},
        {"a%Q", 3, 1, "strftime(3) knows no such conversion"},
    };
    return cr_make_param_array(struct argument_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct argument_row *row, variable, has_an_argument_that_is_checked)
{
    size_t offset = 0;
    const char *why =
        variable_check_argument(variable_find("time", 4), row->text, row->size, &offset);

    cr_expect_str_eq(why ? why : "", row->why);
    if (why)
        cr_expect_eq(offset, row->offset);
}

Test(variable, has_the_number_of_the_connection)
{
    expect("connection", &(struct variable_client){.number = UINT64_MAX}, "18446744073709551615");
}

Test(variable, has_the_name_of_the_host)
{
    char name[256];

    cr_assert_eq(gethostname(name, sizeof(name)), 0);
    cr_assert(variable_find("hostname", 8)->constant);
    expect("hostname", NULL, name);
}

static size_t write_workers(char *buffer, size_t size)
{
    return (size_t)snprintf(buffer, size, "greetd_workers 2");
}

Test(variable, has_the_metrics_as_prometheus_reads_them)
{
    static const struct metrics metrics;

    fake_prometheus = write_workers;
    expect("metrics", &(struct variable_client){.metrics = &metrics}, "greetd_workers 2");
}

Test(variable, is_found_by_its_whole_name)
{
    cr_expect_not_null(variable_find("remote_addr", 11));
    cr_expect_not_null(variable_find("remote_addrs", 11));
    cr_expect_null(variable_find("remote_addr", 10));
    cr_expect_null(variable_find("remote_addrs", 12));
    cr_expect_null(variable_find("Hostname", 8));
    cr_expect_null(variable_find("", 0));
}

Test(variable, is_suggested_if_it_is_near)
{
    cr_expect_str_eq(variable_nearest("remote_adr"), "remote_addr");
    cr_expect_str_eq(variable_nearest("HOSTNAME"), "hostname");
    cr_expect_null(variable_nearest("request_uri"));
}

struct name_row {
    char text[16];
    size_t length;
};

ParameterizedTestParameters(variable, has_a_name_of_letters_and_digits)
{
    static struct name_row rows[] = {
        {"", 0},    {"a", 1},  {"Az_09", 5},     {"_a", 2},       {"0a", 0},  {"a-b", 1},
        {"a b", 1}, {"$a", 0}, {"a\xc3\xa4", 1}, {"\xc3\xa4", 0}, {"{a}", 0},
    };
    return cr_make_param_array(struct name_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct name_row *row, variable, has_a_name_of_letters_and_digits)
{
    cr_expect_eq(variable_name_length(row->text, row->text + strlen(row->text)), row->length);
}

Test(variable, has_a_name_that_ends_where_the_text_does)
{
    static const char text[] = "abcdef";

    cr_expect_eq(variable_name_length(text, text + 3), 3);
}
