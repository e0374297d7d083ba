/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/match.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/clock.h"
#include "greetd/base/text.h"
#include "greetd/base/unit_state.h"
#include "greetd/greeting/render.h"

#define NUMBER_MAX (TEXT_DECIMAL_MAX - 1)

/* Digits of the seconds in $msec: with its three decimals they fit into 64 bits. */
#define SECONDS_MAX 16

/* Offsets in the text, in ascending order, each once. */
struct offsets {
    size_t *at; /* owned */
    size_t n, capacity;
};

/* The greeting is followed piece by piece, with all offsets at once at which one may end. So a
 * number that is followed by digits costs no backtracking. */
struct matcher {
    const char *bytes;
    size_t size;
    uint64_t from_usec, to_usec;
    struct offsets from, to; /* where a literal or a value begins, and where it may end */
    struct match_difference *difference; /* see note() */
    struct wall_clock clock;
    struct variable_client client;
    struct buffer value; /* of a variable */
};

static void matcher_deinit(struct matcher *matcher)
{
    free(matcher->from.at);
    free(matcher->to.at);
    wall_clock_deinit(&matcher->clock);
    buffer_deinit(&matcher->value);
}

static int offsets_add(struct offsets *offsets, size_t at)
{
    size_t i = offsets->n;

    while (i > 0 && offsets->at[i - 1] > at)
        i--;
    if (i > 0 && offsets->at[i - 1] == at)
        return 0;
    if (offsets->n == offsets->capacity) {
        size_t capacity = 2 * offsets->n + 16;
        size_t *grown = reallocarray(offsets->at, capacity, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        offsets->at = grown;
        offsets->capacity = capacity;
    }
    memmove(offsets->at + i + 1, offsets->at + i, (offsets->n - i) * sizeof(*offsets->at));
    offsets->at[i] = at;
    offsets->n++;
    return 0;
}

/* Notes that the byte at OFFSET should be BYTE, or part of the value of VARIABLE. Of several notes
 * the one with the greatest offset counts, and of those the last. */
static void note(struct matcher *matcher, size_t offset, const struct variable *variable, int byte)
{
    struct match_difference *difference = matcher->difference;

    if (offset >= difference->offset)
        *difference = (struct match_difference){
            .offset = offset, .line = 1, .variable = variable, .byte = byte};
}

/* Follows the SIZE bytes at TEXT: a literal, or a value of VARIABLE. */
static int match_text(struct matcher *matcher, const char *text, size_t size,
                      const struct variable *variable)
{
    int r = 0;

    for (size_t i = 0; i < matcher->from.n && r >= 0; i++) {
        size_t at = matcher->from.at[i], left = matcher->size - at, n = 0;

        while (n < size && n < left && text[n] == matcher->bytes[at + n])
            n++;
        if (n == size)
            r = offsets_add(&matcher->to, at + n);
        else
            note(matcher, at + n, variable, (unsigned char)text[n]);
    }
    return r;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Returns how many digits there are from offset AT on, at most MAX. */
static size_t count_digits(const struct matcher *matcher, size_t at, size_t max)
{
    size_t n = 0;

    while (n < max && at + n < matcher->size && is_digit(matcher->bytes[at + n]))
        n++;
    return n;
}

/* Returns the greatest of the offsets, or 0. */
static size_t offsets_last(const struct offsets *offsets)
{
    return offsets->n > 0 ? offsets->at[offsets->n - 1] : 0;
}

/* Follows a number. Its ends up to the last one that was added were added, too: they are ends of
 * that number. */
static int match_digits(struct matcher *matcher, const struct variable *variable)
{
    int r = 0;

    for (size_t i = 0; i < matcher->from.n && r >= 0; i++) {
        size_t at = matcher->from.at[i], n = count_digits(matcher, at, NUMBER_MAX);
        size_t last = offsets_last(&matcher->to);

        if (n == 0)
            note(matcher, at, variable, 0);
        for (size_t end = (last > at ? last : at) + 1; end <= at + n && r >= 0; end++)
            r = offsets_add(&matcher->to, end);
    }
    return r;
}

/* Writes the value of the variable of PIECE. */
static int render_value(struct matcher *matcher, const struct greeting_piece *piece)
{
    struct greeting_piece value = {.variable = piece->variable, .argument = piece->argument};
    const struct greeting greeting = {.bytes = (char *)"", .pieces = &value, .n_pieces = 1};

    return render_greeting(&matcher->value, &greeting, &matcher->client);
}

static int match_value(struct matcher *matcher, const struct greeting_piece *piece)
{
    int r = render_value(matcher, piece);

    return r < 0 ? r
                 : match_text(matcher, matcher->value.bytes, matcher->value.size, piece->variable);
}

/* A number that is not known to the server has no digits. */
static int match_number(struct matcher *matcher, const struct greeting_piece *piece)
{
    int r = render_value(matcher, piece);

    if (r < 0 || matcher->value.size == 0)
        return r < 0 ? r : match_text(matcher, "", 0, piece->variable);
    return match_digits(matcher, piece->variable);
}

static int match_unit_state(struct matcher *matcher, const struct variable *variable)
{
    int r = 0;

    for (enum unit_state state = 0; state < UNIT_STATE_N && r >= 0; state++) {
        const char *name = unit_state_name(state);
        r = match_text(matcher, name, strlen(name), variable);
    }
    return r;
}

static int match_time(struct matcher *matcher, const struct greeting_piece *piece)
{
    uint64_t second = matcher->from_usec / USEC_PER_SEC;
    int r = 0;

    for (; second <= matcher->to_usec / USEC_PER_SEC && r >= 0; second++) {
        matcher->clock.now_usec = second * USEC_PER_SEC + 1; /* 0 is a clock that was not read */
        r = match_value(matcher, piece);
    }
    return r;
}

/* Returns the length of a time as `1764124968.123` at offset AT, if it is right, or 0. */
static size_t measure_msec(const struct matcher *matcher, size_t at)
{
    size_t whole = count_digits(matcher, at, SECONDS_MAX), point = at + whole;
    uint64_t msec = 0;

    if (point == matcher->size || matcher->bytes[point] != '.' ||
        count_digits(matcher, point + 1, 3) < 3)
        return 0;
    for (const char *p = matcher->bytes + at; p <= matcher->bytes + point + 3; p++)
        msec = *p == '.' ? msec : msec * 10 + (uint64_t)(*p - '0');
    return msec >= matcher->from_usec / 1000 && msec <= matcher->to_usec / 1000 ? whole + 4 : 0;
}

static int match_msec(struct matcher *matcher, const struct variable *variable)
{
    int r = 0;

    for (size_t i = 0; i < matcher->from.n && r >= 0; i++) {
        size_t at = matcher->from.at[i], length = measure_msec(matcher, at);

        if (length > 0)
            r = offsets_add(&matcher->to, at + length);
        else
            note(matcher, at, variable, 0);
    }
    return r;
}

static bool begins_with(const struct matcher *matcher, size_t at, const char *text)
{
    size_t length = strlen(text);

    return matcher->size - at >= length && memcmp(matcher->bytes + at, text, length) == 0;
}

/* Returns the offset behind the line of metrics at offset AT, or AT if there is none. */
static size_t skip_metric(struct matcher *matcher, size_t at, const struct variable *variable)
{
    const char *line = matcher->bytes + at, *newline;

    if (!begins_with(matcher, at, "# HELP greetd_") &&
        !begins_with(matcher, at, "# TYPE greetd_") && !begins_with(matcher, at, "greetd_"))
        return at;
    newline = memchr(line, '\n', matcher->size - at);
    if (newline)
        return at + (size_t)(newline - line) + 1;
    note(matcher, matcher->size, variable, 0);
    return at;
}

/* Follows lines of metrics. The greeting may continue behind any of them. */
static int match_metrics_at(struct matcher *matcher, size_t at, const struct variable *variable)
{
    int r = 0;

    if (!begins_with(matcher, at, "# HELP greetd_"))
        note(matcher, at, variable, 0);
    else
        for (size_t end; r >= 0 && (end = skip_metric(matcher, at, variable)) > at; at = end)
            r = offsets_add(&matcher->to, end);
    return r;
}

static int match_metrics(struct matcher *matcher, const struct variable *variable)
{
    int r = 0;

    for (size_t i = 0; i < matcher->from.n && r >= 0; i++)
        r = match_metrics_at(matcher, matcher->from.at[i], variable);
    return r;
}

static int match_variable(struct matcher *matcher, const struct greeting_piece *piece)
{
    switch (piece->variable->kind) {
    case VARIABLE_NUMBER:
        return match_number(matcher, piece);
    case VARIABLE_UNIT_STATE:
        return match_unit_state(matcher, piece->variable);
    case VARIABLE_TIME:
        return match_time(matcher, piece);
    case VARIABLE_MSEC:
        return match_msec(matcher, piece->variable);
    case VARIABLE_METRICS:
        return match_metrics(matcher, piece->variable);
    case VARIABLE_KNOWN:
        break;
    }
    return match_value(matcher, piece);
}

/* Begins the next literal or value where the last one may have ended. */
static void advance(struct matcher *matcher)
{
    struct offsets from = matcher->from;

    matcher->from = matcher->to;
    matcher->to = from;
    matcher->to.n = 0;
}

static int match_pieces(struct matcher *matcher, const struct greeting *greeting)
{
    const char *literal = greeting->bytes;
    int r = 0;

    for (size_t i = 0; i < greeting->n_pieces && matcher->from.n > 0 && r >= 0; i++) {
        const struct greeting_piece *piece = &greeting->pieces[i];

        r = match_text(matcher, literal, piece->size, NULL);
        advance(matcher);
        if (r >= 0 && piece->variable) {
            r = match_variable(matcher, piece);
            advance(matcher);
        }
        literal += piece->size;
    }
    return r;
}

/* Returns whether the greeting may end at the end of the text. */
static bool match_end(struct matcher *matcher)
{
    size_t last = offsets_last(&matcher->from);

    if (matcher->from.n > 0 && last < matcher->size)
        note(matcher, last, NULL, -1);
    return matcher->from.n > 0 && last == matcher->size;
}

static size_t count_newlines(const char *bytes, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < size; i++)
        n += bytes[i] == '\n';
    return n;
}

static int match(struct matcher *matcher, const struct greeting *greeting)
{
    struct greeting_piece all = {.size = greeting->size};
    const struct greeting plain = {.bytes = greeting->bytes, .pieces = &all, .n_pieces = 1};

    int r = offsets_add(&matcher->from, 0);
    if (r >= 0)
        r = match_pieces(matcher, greeting->pieces ? greeting : &plain);
    return r < 0 ? r : match_end(matcher);
}

int match_greeting(struct match_difference *ret, const struct greeting *greeting,
                   const struct match_connection *connection, const char *bytes, size_t size)
{
    struct match_difference difference = {0};
    _cleanup_(matcher_deinit) struct matcher matcher = {
        .bytes = bytes,
        .size = size,
        .from_usec = connection->from_usec,
        .to_usec = connection->to_usec,
        .difference = &difference,
        .client = {.peer = connection->peer,
                   .local = connection->local,
                   .listener = connection->listener,
                   .rtt_usec = connection->has_rtt ? 0 : -1},
    };
    matcher.client.clock = &matcher.clock;

    int r = match(&matcher, greeting);
    if (r != 0)
        return r;
    difference.line += count_newlines(bytes, difference.offset);
    *ret = difference;
    return 0;
}

const char *match_explain(const struct match_difference *difference, const char *bytes, size_t size,
                          char *buffer)
{
    size_t offset = difference->offset, line = difference->line;
    char right[64];

    if (difference->variable)
        snprintf(right, sizeof(right), "$%s", difference->variable->name);
    else
        snprintf(right, sizeof(right), "\\x%02x", (unsigned)difference->byte);

    if (!difference->variable && difference->byte < 0)
        snprintf(buffer, MATCH_TEXT_MAX, "it goes on after %zu bytes, in line %zu", offset, line);
    else if (offset == size)
        snprintf(buffer, MATCH_TEXT_MAX, "it ends after %zu bytes, in line %zu, instead of %s",
                 offset, line, right);
    else
        snprintf(buffer, MATCH_TEXT_MAX,
                 "it differs at byte %zu, in line %zu: \\x%02x instead of %s", offset + 1, line,
                 (unsigned char)bytes[offset], right);
    return buffer;
}
