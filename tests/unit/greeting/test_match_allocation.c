/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/match.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "greetd/base/clock.h"
#include "greetd/greeting/render.h"
#include "greetd/greeting/template.h"
#include "support/fake_malloc.h"

/* Five lines: an answer may end behind each of them. */
#define METRICS                                                                                    \
    "# HELP greetd_a\n# HELP greetd_b\n# HELP greetd_c\n# HELP greetd_d\n# HELP greetd_e\n"

static struct greeting *compile(const char *text)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    struct greeting *greeting = NULL;

    cr_assert_eq(template_compile(&greeting, text, "f:1", "Message", &diagnostics), 0);
    return greeting;
}

/* Matches TEXT with MESSAGE while each allocation fails in turn. Returns how many there are. */
static unsigned refuse_each(const char *message, const char *text)
{
    static const struct peer peer = {.family = AF_INET};
    static const struct address local = {.length = sizeof(struct sockaddr_in)};
    const struct match_connection connection = {
        .peer = &peer, .local = &local, .listener = "greetd", .to_usec = 2 * USEC_PER_SEC};
    struct match_difference difference;
    struct greeting *greeting = compile(message);
    unsigned nth = 0;
    int r;

    do {
        count_from_here(++nth);
        r = match_greeting(&difference, greeting, &connection, text, strlen(text));
        count_to_here();
        cr_assert_eq(r, counted.n >= nth ? -ENOMEM : 1, "the %uth of %s", nth, message);
        cr_assert_eq(counted.balance, 0);
    } while (counted.n >= nth);
    greeting_unref(greeting);
    return nth - 1;
}

Test(match_allocation, that_is_refused_is_an_error_for_each_kind_of_variable)
{
    if (!CAN_INTERPOSE)
        cr_skip("the sanitizer has an allocator of its own");
    setenv("TZ", "UTC0", 1);
    tzset();
    cr_expect_gt(refuse_each("Hello", "Hello"), 0);
    cr_expect_gt(refuse_each("$pid.", "1."), 0);
    cr_expect_gt(refuse_each("$msec", "1.000"), 0);
    cr_expect_gt(refuse_each("$metrics", "# HELP greetd_x\n"), 0);
    cr_expect_gt(refuse_each("$unit_state{a.path}", "active"), 0);
    cr_expect_gt(refuse_each("$time_iso8601", "1970-01-01T00:00:01+00:00"), 0);
    cr_expect_gt(refuse_each("$metrics$metrics", METRICS METRICS METRICS METRICS), 3);
    /* The offsets of seventeen ends are more than there is room for at first. */
    cr_expect_gt(refuse_each("$pid$pid", "12345678901234567890"), 1);
}

/* Renders MESSAGE while each allocation fails in turn. Returns how many there are. */
static unsigned refuse_each_of_rendering(const char *message)
{
    struct greeting *greeting = compile(message);
    const struct variable_client client = {.listener = "greetd"};
    unsigned nth = 0;
    int r;

    do {
        struct buffer buffer = BUFFER_NULL;

        count_from_here(++nth);
        r = render_greeting(&buffer, greeting, &client);
        buffer_deinit(&buffer);
        count_to_here();
        cr_assert_eq(r, counted.n >= nth ? -ENOMEM : 0, "the %uth", nth);
        cr_assert_eq(counted.balance, 0);
    } while (counted.n >= nth);
    greeting_unref(greeting);
    return nth - 1;
}

Test(match_allocation, that_is_refused_is_an_error_of_rendering)
{
    char message[3000] = "";

    if (!CAN_INTERPOSE)
        cr_skip("the sanitizer has an allocator of its own");
    cr_expect_eq(refuse_each_of_rendering("Hello"), 1);
    cr_expect_eq(refuse_each_of_rendering("$listener"), 1);
    memset(message, 'x', 2000);
    strcat(message, "$listener");
    cr_expect_eq(refuse_each_of_rendering(message), 2);
}
