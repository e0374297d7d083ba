/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/render.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "greetd/greeting/template.h"
#include "support/fake_prometheus.h"

static struct peer peer = {.family = AF_INET, .port = 54321};
static struct greeting *greeting;
static struct buffer rendered;

static void set_up(void)
{
    inet_pton(AF_INET, "192.0.2.1", &peer.in);
}

static void tear_down(void)
{
    greeting_unref(greeting);
    buffer_deinit(&rendered);
}

TestSuite(render, .init = set_up, .fini = tear_down);

static void compile(const char *text)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    greeting_unref(greeting);
    cr_assert_eq(template_compile(&greeting, text, "f:1", "Message", &diagnostics), 0);
}

static int render_for(uint64_t number)
{
    static const struct metrics metrics;
    static struct wall_clock clock = {.now_usec = (12 * 3600 + 34 * 60 + 56) * 1000000ull};
    const struct variable_client client = {
        .peer = &peer, .number = number, .metrics = &metrics, .clock = &clock};

    return render_greeting(&rendered, greeting, &client);
}

static void expect(uint64_t number, const char *text)
{
    cr_assert_eq(render_for(number), 0);
    cr_expect_eq(rendered.size, strlen(text));
    cr_expect_arr_eq(rendered.bytes, text, strlen(text));
}

Test(render, fills_in_variables_for_each_client)
{
    compile("Client $connection from ${remote_addr}:$remote_port; 5$$.\\n");
    expect(1, "Client 1 from 192.0.2.1:54321; 5$.\n");
    expect(100, "Client 100 from 192.0.2.1:54321; 5$.\n");
    compile("$connection");
    expect(2, "2");
}

Test(render, fills_in_variables_with_arguments)
{
    setenv("TZ", "UTC0", 1);
    compile("$time{%T}|$time{%%}");
    expect(1, "12:34:56|%");
}

static size_t write_nothing(const struct variable_client *client, char *buffer, size_t size)
{
    (void)client;
    (void)buffer;
    (void)size;
    return VARIABLE_FAILED;
}

Test(render, fails_without_memory_for_a_value)
{
    static const struct variable failing = {.name = "failing", .write = write_nothing};

    compile("$connection");
    greeting->pieces[0].variable = &failing;
    cr_expect_eq(render_for(1), -ENOMEM);
}

Test(render, may_be_empty)
{
    compile("$metrics");
    cr_assert_eq(render_for(1), 0);
    cr_expect_eq(rendered.size, 0);
}

Test(render, is_whole_at_any_size)
{
    static char text[3000], expected[3000];

    for (size_t length = 0; length < 2500; length++) {
        memset(text, 'a', length);
        strcpy(text + length, "$connection.");
        memset(expected, 'a', length);
        strcpy(expected + length, "1234567.");
        compile(text);
        buffer_deinit(&rendered);
        expect(1234567, expected);
    }
}

Test(render, uses_its_buffer_again)
{
    compile("Client $connection from $remote_addr");
    expect(1, "Client 1 from 192.0.2.1");
    const char *bytes = rendered.bytes;
    for (uint64_t i = 0; i < 1000; i++)
        cr_assert_eq(render_for(UINT64_MAX - i), 0);
    cr_expect_eq(rendered.bytes, bytes);
}

/* A text that is longer every time it is asked for, until CALLS calls from now. */
struct growing {
    size_t length, calls;
};

static struct growing *growing;

static size_t write_growing(char *buffer, size_t size)
{
    if (growing->calls > 0) {
        growing->calls--;
        growing->length = 2 * growing->length + 4000;
    }
    for (size_t i = 0; i < growing->length && i + 1 < size; i++)
        buffer[i] = (char)('a' + i % 26);
    if (size > 0)
        buffer[growing->length < size ? growing->length : size - 1] = '\0';
    return growing->length;
}

Test(render, holds_a_text_that_grows_while_there_is_made_room_for_it)
{
    growing = &(struct growing){.length = 10, .calls = 4};
    fake_prometheus = write_growing;
    compile("<$metrics>");
    cr_assert_eq(render_for(1), 0);
    cr_expect_eq(growing->calls, 0);
    cr_assert_eq(rendered.size, growing->length + 2);
    cr_expect_eq(rendered.bytes[0], '<');
    for (size_t i = 0; i < growing->length; i++)
        cr_assert_eq(rendered.bytes[1 + i], 'a' + i % 26);
    cr_expect_eq(rendered.bytes[1 + growing->length], '>');
}

Test(render, has_an_end_and_can_be_used_after_it)
{
    fake_prometheus = fake_prometheus_endless;
    compile("$metrics");
    cr_expect_eq(render_for(1), -EFBIG);
    compile("$connection");
    expect(7, "7");
}
