/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/greeting.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/buffer.h"
#include "greetd/base/file.h"
#include "greetd/base/text.h"
#include "greetd/greeting/escape.h"

/* So many mistakes of one text are told, and the others counted: a file that was never meant to be
 * expanded may have millions. */
#define MISTAKES_MAX ((size_t)100)

/* A variable as it is written: `$name` or `${name}`. */
struct reference {
    const char *name;
    size_t length;
    const char *end; /* behind it, or behind as much of it as there is */
};

/* Reads what begins with the `$` at TEXT. Returns whether it has a name, or else *ret_why. */
static bool read_reference(struct reference *ret, const char *text, const char *end,
                           const char **ret_why)
{
    bool in_braces = text + 1 < end && text[1] == '{';
    const char *name = text + 1 + in_braces;
    size_t length = variable_name_length(name, end);

    *ret = (struct reference){.name = name, .length = length, .end = name + length};
    if (in_braces) {
        *ret_why = "${ must be followed by the name of a variable and }";
        if (length == 0 || ret->end == end || *ret->end != '}')
            return false;
        ret->end++;
        return true;
    }
    *ret_why = "a $ that no name follows is written as $$";
    return length > 0;
}

/* Where a text is from, for what is wrong in it. */
struct provenance {
    const char *origin, *label;
    const char *path; /* of the file that LABEL names, or NULL */
    struct diagnostics *diagnostics;
};

/* A text in the course of compilation. */
struct compiler {
    bool escapes, variables;       /* whether they are replaced */
    const char *begin, *end;       /* of the text */
    const struct provenance *from; /* NULL: no mistake is reported */
    struct buffer text;            /* of all pieces */
    struct greeting_piece *pieces; /* owned */
    size_t n_pieces, pieces_capacity;
    size_t piece; /* where in bytes the piece begins that is not complete yet */
    size_t n_errors;
    const char *line; /* the one with the last mistake that was reported, and its number from 1 */
    size_t line_number;
    /* The first bad escape. */
    const char *why;
    size_t offset;
};

static struct compiler compiler_of_text(const char *text)
{
    return (struct compiler){.escapes = true, .begin = text, .end = text + strlen(text)};
}

static void compiler_deinit(struct compiler *compiler)
{
    buffer_deinit(&compiler->text);
    free(compiler->pieces);
}

static int append(struct compiler *compiler, const char *bytes, size_t n)
{
    return buffer_append(&compiler->text, bytes, n, GREETING_SIZE_MAX);
}

static int end_piece(struct compiler *compiler, const struct variable *variable)
{
    if (compiler->n_pieces == compiler->pieces_capacity) {
        size_t capacity = 2 * compiler->n_pieces + 4;
        struct greeting_piece *grown =
            reallocarray(compiler->pieces, capacity, sizeof(*compiler->pieces));
        if (!grown)
            return -ENOMEM;
        compiler->pieces = grown;
        compiler->pieces_capacity = capacity;
    }
    compiler->pieces[compiler->n_pieces++] = (struct greeting_piece){
        .size = compiler->text.size - compiler->piece, .variable = variable};
    compiler->piece = compiler->text.size;
    return 0;
}

/* Asked for once: the value may be another one the next time. */
static int append_constant(struct compiler *compiler, const struct variable *variable)
{
    char value[VARIABLE_CONSTANT_MAX];
    size_t length = variable->write(NULL, value, sizeof(value));

    return append(compiler, value, length < sizeof(value) ? length : sizeof(value) - 1);
}

/* A file's path for a message; nothing for a text that is from none. */
static const char *excerpt_path(const struct provenance *from, char *buffer)
{
    return text_excerpt(from->path ? from->path : "", buffer);
}

/* Goes on to the line of a file that AT is in, and writes its number as `:LINE`; a text that is
 * from none is one line without a number. */
static void enter_line(struct compiler *compiler, const char *at, char *buffer)
{
    const char *end;

    buffer[0] = '\0';
    if (!compiler->line) {
        compiler->line = compiler->begin;
        compiler->line_number = 1;
    }
    if (!compiler->from->path)
        return;
    while ((end = memchr(compiler->line, '\n', (size_t)(at - compiler->line)))) {
        compiler->line = end + 1;
        compiler->line_number++;
    }
    sprintf(buffer, ":%zu", compiler->line_number);
}

/* Reports that WHAT is at AT; HINT may be NULL. */
static void report_mistake(struct compiler *compiler, const char *at, const char *what,
                           const char *hint)
{
    const struct provenance *from = compiler->from;
    char path[TEXT_EXCERPT_MAX], number[sizeof(":18446744073709551615")];

    if (++compiler->n_errors > MISTAKES_MAX || !from)
        return;
    enter_line(compiler, at, number);
    diagnostics_add(from->diagnostics, "%s: %s=%s%s: %s at byte %zu%s%s", from->origin, from->label,
                    excerpt_path(from, path), number, what, (size_t)(at - compiler->line) + 1,
                    hint ? "; " : "", hint ? hint : "");
}

/* Reports the escape at fault: \xHH as far as it goes, or else a backslash and one character, which
 * in UTF-8 may be several bytes. */
static void report_escape(struct compiler *compiler, const char *escape, const char *why)
{
    size_t length = strnlen(escape, 2), longest = escape[1] == 'x' ? 4 : 5;
    char copy[5 + 1] = "", excerpt[TEXT_EXCERPT_MAX], what[TEXT_EXCERPT_MAX + 16];

    while (length < longest && escape[length] != '\0' &&
           (escape[1] == 'x' || (escape[length] & 0xc0) == 0x80))
        length++;
    memcpy(copy, escape, length);
    snprintf(what, sizeof(what), "bad escape %s", text_excerpt(copy, excerpt));
    report_mistake(compiler, escape, what, why);
}

static void report_unknown(struct compiler *compiler, const char *at,
                           const struct reference *reference)
{
    char name[TEXT_EXCERPT_MAX], what[TEXT_EXCERPT_MAX + 32], hint[64];

    /* To look for the nearest names of millions would take seconds. */
    if (compiler->n_errors >= MISTAKES_MAX) {
        compiler->n_errors++;
        return;
    }
    snprintf(name, sizeof(name), "%.*s", (int)reference->length, reference->name);
    snprintf(what, sizeof(what), "unknown variable $%s", name);
    const char *nearest = variable_suggest(name);
    if (nearest)
        snprintf(hint, sizeof(hint), "did you mean $%s?", nearest);
    report_mistake(compiler, at, what, nearest ? hint : NULL);
}

/* What is wrong is no error yet: it is reported, and left out. */
static int compile_escape(struct compiler *compiler, const char **p)
{
    const char *escape = *p, *why;
    char byte;

    size_t n = escape_decode(&byte, escape, &why);
    *p += n > 0 ? n : strnlen(escape, 2);
    if (n > 0)
        return append(compiler, &byte, 1);
    if (!compiler->why) {
        compiler->why = why;
        compiler->offset = (size_t)(escape - compiler->begin);
    }
    /* With variables, greeting_check_text() has told of it before. */
    if (!compiler->variables)
        report_escape(compiler, escape, why);
    return 0;
}

/* The same. */
static int compile_variable(struct compiler *compiler, const char **p)
{
    struct reference reference;
    const char *at = *p, *why;

    if (at + 1 < compiler->end && at[1] == '$') {
        *p += 2;
        return append(compiler, "$", 1);
    }
    bool is_reference = read_reference(&reference, at, compiler->end, &why);
    *p = reference.end;
    if (!is_reference) {
        report_mistake(compiler, at, "bad variable", why);
        return 0;
    }

    const struct variable *variable = variable_find(reference.name, reference.length);
    if (!variable) {
        report_unknown(compiler, at, &reference);
        return 0;
    }
    return variable->constant ? append_constant(compiler, variable) : end_piece(compiler, variable);
}

/* The first character from P on that does not stand for itself, or the end. */
static const char *skip_literal(const struct compiler *compiler, const char *p)
{
    while (p < compiler->end &&
           !((*p == '\\' && compiler->escapes) || (*p == '$' && compiler->variables)))
        p++;
    return p;
}

/* Compiles what begins at *P and does not stand for itself, and moves *P behind it. */
static int compile_special(struct compiler *compiler, const char **p)
{
    return **p == '$' ? compile_variable(compiler, p) : compile_escape(compiler, p);
}

static int compile(struct compiler *compiler)
{
    /* Nothing stands for more than it is written with but the constants among the variables. */
    int r =
        buffer_reserve(&compiler->text, (size_t)(compiler->end - compiler->begin) + 1, SIZE_MAX);

    for (const char *p = compiler->begin; p < compiler->end && r >= 0;) {
        const char *literal = p;

        p = skip_literal(compiler, p);
        r = append(compiler, literal, (size_t)(p - literal));
        if (r >= 0 && p < compiler->end)
            r = compile_special(compiler, &p);
    }
    if (r >= 0 && (compiler->why || compiler->n_errors > 0))
        return -EINVAL;
    if (r >= 0 && compiler->n_pieces > 0 && compiler->piece < compiler->text.size)
        r = end_piece(compiler, NULL);
    return r >= 0 && compiler->text.size > GREETING_SIZE_MAX ? -EFBIG : r;
}

/* Compiles, and takes over what has come out. */
static int greeting_new(struct greeting **ret, struct compiler *compiler)
{
    int r = compile(compiler);
    if (r < 0)
        return r;

    struct greeting *greeting = malloc(sizeof(*greeting));
    if (!greeting)
        return -ENOMEM;
    *greeting = (struct greeting){.size = compiler->text.size, .n_pieces = compiler->n_pieces};
    greeting->bytes = TAKE_PTR(compiler->text.bytes);
    greeting->pieces = TAKE_PTR(compiler->pieces);
    *ret = greeting;
    return 0;
}

int greeting_new_from_text(struct greeting **ret, const char *text, const char **ret_why,
                           size_t *ret_offset)
{
    _cleanup_(compiler_deinit) struct compiler compiler = compiler_of_text(text);

    int r = greeting_new(ret, &compiler);
    if (r == -EINVAL) {
        *ret_why = compiler.why;
        *ret_offset = compiler.offset;
    }
    return r;
}

/* Compiles, and reports what is wrong. */
static int greeting_new_from(struct greeting **ret, struct compiler *compiler,
                             const struct provenance *from)
{
    char path[TEXT_EXCERPT_MAX];

    compiler->from = from;
    int r = greeting_new(ret, compiler);

    if (compiler->n_errors > MISTAKES_MAX)
        diagnostics_add(from->diagnostics, "%s: %s=%s: %zu more mistakes of this kind",
                        from->origin, from->label, excerpt_path(from, path),
                        compiler->n_errors - MISTAKES_MAX);
    if (r == -EFBIG)
        diagnostics_add(from->diagnostics, "%s: %s=%s: must not be longer than %zu bytes",
                        from->origin, from->label, excerpt_path(from, path), GREETING_SIZE_MAX);
    return r;
}

int greeting_check_text(const char *text, const char *origin, const char *label,
                        struct diagnostics *diagnostics)
{
    _cleanup_(greeting_freep) struct greeting *greeting = NULL;
    _cleanup_(compiler_deinit) struct compiler compiler = compiler_of_text(text);

    return greeting_new_from(&greeting, &compiler,
                             &(struct provenance){origin, label, NULL, diagnostics});
}

int greeting_new_from_template(struct greeting **ret, const char *text, const char *origin,
                               const char *label, struct diagnostics *diagnostics)
{
    _cleanup_(compiler_deinit) struct compiler compiler = compiler_of_text(text);

    compiler.variables = true;
    return greeting_new_from(ret, &compiler,
                             &(struct provenance){origin, label, NULL, diagnostics});
}

int greeting_expand(struct greeting **greeting, const char *path, const char *origin,
                    const char *label, struct diagnostics *diagnostics)
{
    struct greeting *plain = *greeting;
    _cleanup_(compiler_deinit) struct compiler compiler = {
        .variables = true, .begin = plain->bytes, .end = plain->bytes + plain->size};

    int r = greeting_new_from(greeting, &compiler,
                              &(struct provenance){origin, label, path, diagnostics});
    if (r >= 0)
        greeting_free(plain);
    return r;
}

int greeting_new_from_file(struct greeting **ret, const char *path)
{
    _cleanup_free_ char *bytes = NULL;
    size_t size;

    int r = file_read(&bytes, &size, path, GREETING_SIZE_MAX);
    if (r < 0)
        return r;

    struct greeting *greeting = malloc(sizeof(*greeting));
    if (!greeting)
        return -ENOMEM;
    *greeting = (struct greeting){.bytes = TAKE_PTR(bytes), .size = size};
    *ret = greeting;
    return 0;
}

void greeting_free(struct greeting *greeting)
{
    if (!greeting)
        return;
    free(greeting->bytes);
    free(greeting->pieces);
    free(greeting);
}
