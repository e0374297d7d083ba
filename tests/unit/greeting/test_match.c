/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/match.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "greetd/base/clock.h"
#include "greetd/greeting/render.h"
#include "greetd/greeting/template.h"

/* 1970-01-01 12:34:56.789 UTC; times may be two seconds older or newer. */
#define NOW_USEC    ((UINT64_C(12) * 3600 + 34 * 60 + 56) * USEC_PER_SEC + 789000)
#define MARGIN_USEC (2 * USEC_PER_SEC)

static struct peer peer = {.family = AF_INET, .port = 54321};
static struct address local = {.length = sizeof(struct sockaddr_in)};
static struct match_connection connection = {
    .peer = &peer,
    .local = &local,
    .listener = "motd",
    .has_rtt = true,
    .from_usec = NOW_USEC - MARGIN_USEC,
    .to_usec = NOW_USEC + MARGIN_USEC,
};
static struct greeting *greeting;

static void set_up(void)
{
    setenv("TZ", "UTC0", 1);
    tzset();
    inet_pton(AF_INET, "192.0.2.1", &peer.in);
    local.in = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void tear_down(void)
{
    greeting_unref(greeting);
}

TestSuite(match, .init = set_up, .fini = tear_down);

static void compile(const char *text)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    greeting_unref(greeting);
    cr_assert_eq(template_compile(&greeting, text, "f:1", "Message", &diagnostics), 0, "%s", text);
}

/* Expects that the SIZE bytes at BYTES are the greeting; or if not, why. */
static void expect_bytes(const char *bytes, size_t size, const char *why)
{
    struct match_difference difference;
    char buffer[MATCH_TEXT_MAX];

    int r = match_greeting(&difference, greeting, &connection, bytes, size);
    cr_assert_eq(r, why == NULL, "%.*s", (int)size, bytes);
    if (why)
        cr_expect_str_eq(match_explain(&difference, bytes, size, buffer), why);
}

static void expect_right(const char *message, const char *text)
{
    compile(message);
    expect_bytes(text, strlen(text), NULL);
}

static void expect_wrong(const char *message, const char *text, const char *why)
{
    compile(message);
    expect_bytes(text, strlen(text), why);
}

Test(match, a_text_without_variables_is_compared)
{
    expect_right("Hello", "Hello");
    expect_wrong("Hello", "Hallo", "it differs at byte 2, in line 1: \\x61 instead of \\x65");
    expect_wrong("Hello", "Hell", "it ends after 4 bytes, in line 1, instead of \\x6f");
    expect_wrong("Hello", "Hello!", "it goes on after 5 bytes, in line 1");
}

Test(match, an_empty_greeting_is_an_empty_text)
{
    expect_right("", "");
    expect_wrong("", "x", "it goes on after 0 bytes, in line 1");
    compile("");
    expect_bytes(NULL, 0, NULL);
    expect_wrong("x", "", "it ends after 0 bytes, in line 1, instead of \\x78");
}

Test(match, differences_have_the_line_of_their_byte)
{
    expect_wrong("a\\nb\\nc", "a\nb\nd", "it differs at byte 5, in line 3: \\x64 instead of \\x63");
    expect_wrong("a\\nb", "a\n\n", "it differs at byte 3, in line 2: \\x0a instead of \\x62");
    expect_wrong("a\\nb", "ab", "it differs at byte 2, in line 1: \\x62 instead of \\x0a");
    expect_wrong("a\\n", "a\nb", "it goes on after 2 bytes, in line 2");
}

Test(match, any_byte_is_compared)
{
    compile("\\x00\\xff$pid\\x00");
    expect_bytes("\0\xff"
                 "7\0",
                 4, NULL);
    expect_bytes("\0\xff"
                 "7\xff",
                 4, "it differs at byte 4, in line 1: \\xff instead of \\x00");
}

Test(match, the_ends_of_a_connection_are_known)
{
    const char *message = "$remote_addr:$remote_port to $server_addr:$server_port";

    expect_right(message, "192.0.2.1:54321 to 127.0.0.1:80");
    expect_wrong(message, "192.0.2.1:54320 to 127.0.0.1:80",
                 "it differs at byte 15, in line 1: \\x30 instead of $remote_port");
    expect_wrong(message, "192.0.2.1:54321 to 127.0.0.1:8",
                 "it ends after 30 bytes, in line 1, instead of $server_port");
    expect_wrong(message, "192.0.2.1:54321 to 127.0.0.1:800",
                 "it goes on after 31 bytes, in line 1");
}

Test(match, the_ends_of_a_unix_connection_have_no_port)
{
    peer = (struct peer){.family = AF_UNIX};
    local.un = (struct sockaddr_un){.sun_family = AF_UNIX, .sun_path = "/run/motd"};
    local.length = sizeof(local.un);
    connection.has_rtt = false;
    expect_right("$remote_addr|$remote_port|$server_addr|$server_port|$tcpinfo_rtt|",
                 "unix:||unix:/run/motd|||");
    expect_wrong("$tcpinfo_rtt|", "7|", "it differs at byte 1, in line 1: \\x37 instead of \\x7c");
}

Test(match, the_names_of_the_listener_and_the_host_are_known)
{
    char text[VARIABLE_CONSTANT_MAX + 8] = "motd@";

    cr_assert_eq(gethostname(text + 5, VARIABLE_CONSTANT_MAX), 0);
    expect_right("$listener@$hostname", text);
    expect_wrong("$listener", "mold",
                 "it differs at byte 3, in line 1: \\x6c instead of $listener");
}

Test(match, numbers_may_have_any_value)
{
    expect_right("$connection $pid $tcpinfo_rtt", "1 18446744073709551615 0");
    expect_wrong("<$connection>", "<>",
                 "it differs at byte 2, in line 1: \\x3e instead of $connection");
    expect_wrong("$pid", "", "it ends after 0 bytes, in line 1, instead of $pid");
    expect_wrong("$pid", "-7", "it differs at byte 1, in line 1: \\x2d instead of $pid");
    expect_wrong("$pid.", "7,", "it differs at byte 2, in line 1: \\x2c instead of \\x2e");
}

Test(match, a_number_may_be_followed_by_digits)
{
    expect_right("${pid}0", "700");
    expect_right("${pid}1234", "123412341234");
    expect_right("$pid$connection$server_port", "1280");
    expect_wrong("${pid}0", "700x", "it goes on after 3 bytes, in line 1");
    expect_wrong("$pid$connection.", "7.",
                 "it differs at byte 2, in line 1: \\x2e instead of $connection");
}

Test(match, numbers_in_a_row_take_no_exponential_time)
{
    enum { N = 1000 };
    static char message[N * 4 + 2], text[N * 5 + 1];

    for (size_t i = 0; i < N; i++)
        memcpy(message + 4 * i, "$pid", 4);
    memset(text, '7', sizeof(text) - 1);
    expect_right(message, text);
    strcat(message, ".");
    expect_wrong(message, text, "it ends after 5000 bytes, in line 1, instead of \\x2e");
}

Test(match, thousands_of_variables_are_matched)
{
    enum { N = 100000 };
    char *message = calloc(N, strlen("$connection,") + 1), *text = calloc(N, strlen("123,") + 1);

    cr_assert(message && text);
    for (size_t i = 0; i < N; i++) {
        strcpy(message + i * strlen("$connection,"), "$connection,");
        strcpy(text + i * strlen("123,"), "123,");
    }
    expect_right(message, text);
    free(message);
    free(text);
}

Test(match, times_may_be_two_seconds_older_or_newer)
{
    const char *why = "it differs at byte 8, in line 1: \\x33 instead of $time";

    expect_right("$time{%T}", "12:34:54");
    expect_right("$time{%T}", "12:34:58");
    expect_wrong("$time{%T}", "12:34:53", why);
    expect_wrong("$time{%T}", "12:35:56",
                 "it differs at byte 5, in line 1: \\x35 instead of $time");
    expect_right("at $time_iso8601\\n", "at 1970-01-01T12:34:57+00:00\n");
    expect_wrong("$time_iso8601", "1971-01-01T12:34:57+00:00",
                 "it differs at byte 4, in line 1: \\x31 instead of $time_iso8601");
}

Test(match, times_may_be_of_the_first_second_of_1970)
{
    connection.from_usec = connection.to_usec = 0;
    expect_right("$time{%s} $time_iso8601", "0 1970-01-01T00:00:00+00:00");
}

Test(match, times_may_differ_in_length)
{
    connection.from_usec = 9 * USEC_PER_SEC;
    connection.to_usec = 11 * USEC_PER_SEC;
    expect_right("$time{%-S}0", "90");
    expect_right("$time{%-S}0", "100");
    expect_right("$time{%-S}.", "11.");
    expect_wrong("$time{%-S}.", "8.", "it differs at byte 1, in line 1: \\x38 instead of $time");
}

Test(match, milliseconds_may_be_two_seconds_older_or_newer)
{
    expect_right("$msec", "45294.789");
    expect_right("$msec", "45298.789");
    expect_right("$pid$msec", "745296.000");
    expect_right("${msec}7", "45296.0007");
    const char *why = "it differs at byte 1, in line 1: \\x34 instead of $msec";
    expect_wrong("$msec", "45294.788", why);
    expect_wrong("$msec", "45298.790", why);
    expect_wrong("$msec", "45296.78", why);
    expect_wrong("$msec", "45296", why);
    /* 2^64 more. */
    expect_wrong("$msec", "18446744073754848.405",
                 "it differs at byte 1, in line 1: \\x31 instead of $msec");
}

#define METRICS                                                                                    \
    "# HELP greetd_workers Threads.\n# TYPE greetd_workers gauge\ngreetd_workers 2\n"              \
    "greetd_x{a=\"b\"} 1\n"

Test(match, metrics_are_lines)
{
    expect_right("$metrics", METRICS);
    expect_right("a\\n$metrics\\nz", "a\n" METRICS "\nz");
    expect_right("${metrics}greetd_end", METRICS "greetd_end");
    expect_right("$metrics$metrics", METRICS METRICS);
    expect_wrong("$metrics", "greetd_workers 2\n",
                 "it differs at byte 1, in line 1: \\x67 instead of $metrics");
    expect_wrong("$metrics", METRICS "greetd_y",
                 "it ends after 102 bytes, in line 5, instead of $metrics");
    expect_wrong("${metrics}z", METRICS "y",
                 "it differs at byte 95, in line 5: \\x79 instead of \\x7a");
}

Test(match, the_state_of_a_unit_is_one_of_its_states)
{
    expect_right("<$unit_state{a.service}>", "<active>");
    expect_right("<$unit_state{a.service}>", "<unknown>");
    expect_right("<$unit_state{a.service}>", "<refreshing>");
    expect_right("$unit_state{a.service}$unit_state{b.service}ness", "failedactiveness");
    expect_wrong("<$unit_state{a.service}>", "<>",
                 "it differs at byte 2, in line 1: \\x3e instead of $unit_state");
    expect_wrong("<$unit_state{a.service}>", "<actixe>",
                 "it differs at byte 6, in line 1: \\x78 instead of $unit_state");
    expect_wrong("$unit_state{a.service}-down", "active-up",
                 "it differs at byte 8, in line 1: \\x75 instead of \\x64");
}

Test(match, what_is_rendered_is_matched)
{
    const char *message = "$connection $hostname $listener $msec $pid $remote_addr $remote_port "
                          "$server_addr $server_port $tcpinfo_rtt $time{%c} $time_iso8601";
    struct wall_clock clock = {.now_usec = NOW_USEC};
    const struct variable_client client = {.peer = &peer,
                                           .local = &local,
                                           .listener = "motd",
                                           .number = 8,
                                           .rtt_usec = 9,
                                           .pid = 10,
                                           .clock = &clock};
    struct buffer rendered = BUFFER_NULL;

    compile(message);
    cr_assert_eq(render_greeting(&rendered, greeting, &client), 0);
    expect_bytes(rendered.bytes, rendered.size, NULL);
    buffer_deinit(&rendered);
    wall_clock_deinit(&clock);
}
