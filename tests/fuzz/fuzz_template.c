/* SPDX-License-Identifier: MIT */

/* Greetings with variables and escapes: compile, render for odd peers, match. What was rendered is
 * accepted, and not with one more byte; any other text is compared without harm. */

#include <errno.h>

#include "fuzz.h"
#include "fuzz_greeting.h"
#include "fuzz_peer.h"
#include "fuzz_text.h"
#include "greetd/base/clock.h"
#include "greetd/greeting/match.h"
#include "greetd/greeting/render.h"
#include "greetd/greeting/template.h"

/* Stands between the text and the client that it is rendered for, and cannot be part of UTF-8. */
#define DELIMITER 0xff

/* No literal, argument or value of a text that is UTF-8 and printable has this byte. */
#define UNEXPECTED '\1'

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    fuzz_set_time_zone();
    return 0;
}

/* Every text can be written so that it is sent as it is. */
static void check_quoting(const uint8_t *bytes, size_t size)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    _cleanup_free_ char *text = malloc(4 * size + 1);
    char *p = text;

    PROPERTY(text);
    for (size_t i = 0; i < size; i++)
        if (bytes[i] == '$' || (bytes[i] == '\\' && i % 2 == 0))
            p += sprintf(p, "%c%c", bytes[i], bytes[i]);
        else if (bytes[i] == '\\' || bytes[i] == '\0')
            p += sprintf(p, "\\x%02x", bytes[i]);
        else
            *p++ = (char)bytes[i];
    *p = '\0';
    PROPERTY(template_compile(&greeting, text, "f:1", "Message", &diagnostics) == 0);
    PROPERTY(greeting_is_plain(greeting) && greeting->size == size);
    PROPERTY(size == 0 || memcmp(greeting->bytes, bytes, size) == 0);
}

/* Compiles SIZE BYTES as the text of a file or of a setting. Returns NULL if they are wrong. */
static struct greeting *compile(bool is_file, const uint8_t *bytes, size_t size)
{
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    _cleanup_free_ char *text = fuzz_text(bytes, size);
    struct greeting *greeting = is_file ? fuzz_file_greeting(bytes, size) : NULL;
    int r;

    if (is_file) {
        r = template_expand(&greeting, "/file", "f:1", "MessageFile", &diagnostics);
    } else {
        int q = template_check_escapes(text, "f:1", "Message", &diagnostics);
        r = template_compile(&greeting, text, "f:1", "Message", &diagnostics);
        PROPERTY(r < 0 || q == 0);
    }
    PROPERTY(r == 0 || r == -EINVAL);
    PROPERTY((r == 0) == (diagnostics.n_errors == 0));
    fuzz_check_lines(&diagnostics, is_file ? "f:1: MessageFile=/file:" : "f:1: Message=");
    if (r == 0)
        return greeting;
    greeting_unref(greeting);
    return NULL;
}

static struct variable_client take_client(struct fuzz_input *input, struct wall_clock *clock)
{
    *clock = (struct wall_clock){.now_usec = 1 + fuzz_take_number(input, 7)};
    return (struct variable_client){
        .number = fuzz_take_number(input, 8),
        .rtt_usec = fuzz_take_number(input, 1) % 2 ? (int64_t)fuzz_take_number(input, 4) : -1,
        .pid = (pid_t)(1 + fuzz_take_number(input, 3)),
        .listener = "motd",
        .clock = clock,
    };
}

static void check_difference(const struct match_difference *difference, const char *bytes,
                             size_t size)
{
    char text[MATCH_TEXT_MAX];

    PROPERTY(difference->offset <= size);
    PROPERTY(difference->line >= 1 && difference->line <= difference->offset + 1);
    match_explain(difference, bytes, size, text);
    PROPERTY(strlen(text) < MATCH_TEXT_MAX - 1 && fuzz_is_printable(text));
}

static void check_match(const struct greeting *greeting, const struct variable_client *client,
                        struct buffer *rendered, const struct fuzz_input *other)
{
    struct match_connection connection = {
        .peer = client->peer,
        .local = client->local,
        .listener = client->listener,
        .has_rtt = client->rtt_usec >= 0,
        .from_usec = client->clock->now_usec,
        .to_usec = client->clock->now_usec,
    };
    struct match_difference difference;

    PROPERTY(match_greeting(&difference, greeting, &connection, rendered->bytes, rendered->size) ==
             1);
    PROPERTY(buffer_append(rendered, (char[]){UNEXPECTED}, 1, SIZE_MAX) == 0);
    PROPERTY(match_greeting(&difference, greeting, &connection, rendered->bytes, rendered->size) ==
             0);
    check_difference(&difference, rendered->bytes, rendered->size);
    if (other->size > 0 && match_greeting(&difference, greeting, &connection,
                                          (const char *)other->bytes, other->size) == 0)
        check_difference(&difference, (const char *)other->bytes, other->size);
}

static void check_rendering(const struct greeting *greeting, struct fuzz_input *input,
                            const struct metrics *metrics)
{
    _cleanup_(buffer_deinit) struct buffer first = BUFFER_NULL, second = BUFFER_NULL;
    _cleanup_(wall_clock_deinit) struct wall_clock clock;
    struct variable_client client = take_client(input, &clock);
    struct peer peer = fuzz_take_peer(input);
    struct address local = fuzz_take_address(input);

    client.peer = &peer;
    client.local = &local;
    client.metrics = metrics;
    PROPERTY(render_greeting(&first, greeting, &client) == 0);
    PROPERTY(render_greeting(&second, greeting, &client) == 0);
    PROPERTY(first.size == second.size && memcmp(first.bytes, second.bytes, first.size) == 0);
    PROPERTY(first.size >= greeting->size);
    check_match(greeting, &client, &first, input);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const uint8_t *end = size > 0 ? memchr(bytes, DELIMITER, size) : NULL;
    size_t length = end ? (size_t)(end - bytes) : size;
    struct fuzz_input input = {bytes + length, size - length};
    bool is_file = fuzz_take_number(&input, 2) >> 8 & 1;
    _cleanup_(metrics_freep) struct metrics *metrics = NULL;

    check_quoting(bytes, length);
    _cleanup_(greeting_unrefp) struct greeting *greeting = compile(is_file, bytes, length);
    if (!greeting)
        return 0;
    PROPERTY(metrics_new(&metrics, 1) == 0);
    check_rendering(greeting, &input, metrics);
    return 0;
}
