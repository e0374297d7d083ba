/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/render.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct peer peer = {.family = AF_INET, .port = 54321};
static struct greeting *greeting;
static struct rendering rendering;

static void set_up(void)
{
    inet_pton(AF_INET, "192.0.2.1", &peer.in);
}

static void tear_down(void)
{
    greeting_free(greeting);
    rendering_deinit(&rendering);
}

TestSuite(rendering, .init = set_up, .fini = tear_down);

static void compile(const char *text)
{
    struct report report = REPORT_NULL;

    greeting_free(greeting);
    cr_assert_eq(greeting_new_from_template(&greeting, text, "f:1", "Message", &report), 0);
}

static void expect(uint64_t number, const char *text)
{
    cr_assert_eq(rendering_make(&rendering, greeting, &peer, number), 0);
    cr_expect_eq(rendering.size, strlen(text));
    cr_expect_arr_eq(rendering.bytes, text, strlen(text));
}

Test(rendering, fills_in_what_differs_between_clients)
{
    compile("Client $connection from ${remote_addr}:$remote_port; 5$$.\\n");
    expect(1, "Client 1 from 192.0.2.1:54321; 5$.\n");
    expect(100, "Client 100 from 192.0.2.1:54321; 5$.\n");
    compile("$connection");
    expect(2, "2");
}

Test(rendering, may_come_out_empty)
{
    compile("$metrics");
    cr_assert_eq(rendering_make(&rendering, greeting, &peer, 1), 0);
    cr_expect_eq(rendering.size, 0);
}

Test(rendering, is_never_cut_at_whatever_size_the_memory_had)
{
    static char text[3000], expected[3000];

    for (size_t length = 0; length < 2500; length++) {
        memset(text, 'a', length);
        strcpy(text + length, "$connection.");
        memset(expected, 'a', length);
        strcpy(expected + length, "1234567.");
        compile(text);
        rendering_deinit(&rendering);
        expect(1234567, expected);
    }
}

Test(rendering, uses_its_memory_again)
{
    compile("Client $connection from $remote_addr");
    expect(1, "Client 1 from 192.0.2.1");
    const char *bytes = rendering.bytes;
    for (uint64_t i = 0; i < 1000; i++)
        cr_assert_eq(rendering_make(&rendering, greeting, &peer, UINT64_MAX - i), 0);
    cr_expect_eq(rendering.bytes, bytes);
}

/* A text that is longer every time it is asked for, until CALLS calls from now. */
struct growing {
    size_t length, calls;
};

static size_t write_growing(void *context, char *buffer, size_t size)
{
    struct growing *growing = context;

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

Test(rendering, holds_a_text_that_grows_while_there_is_made_room_for_it)
{
    struct growing growing = {.length = 10, .calls = 4};

    rendering.metrics = (struct variable_text){.write = write_growing, .context = &growing};
    compile("<$metrics>");
    cr_assert_eq(rendering_make(&rendering, greeting, &peer, 1), 0);
    cr_expect_eq(growing.calls, 0);
    cr_assert_eq(rendering.size, growing.length + 2);
    cr_expect_eq(rendering.bytes[0], '<');
    for (size_t i = 0; i < growing.length; i++)
        cr_assert_eq(rendering.bytes[1 + i], 'a' + i % 26);
    cr_expect_eq(rendering.bytes[1 + growing.length], '>');
}

static size_t write_endless(void *context, char *buffer, size_t size)
{
    (void)context, (void)buffer, (void)size;
    return UINT32_MAX;
}

Test(rendering, has_an_end_and_can_be_used_after_it)
{
    rendering.metrics.write = write_endless;
    compile("$metrics");
    cr_expect_eq(rendering_make(&rendering, greeting, &peer, 1), -EFBIG);
    compile("$connection");
    expect(7, "7");
}
