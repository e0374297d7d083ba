/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/template.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "greetd/base/buffer.h"
#include "greetd/base/unit_state.h"
#include "greetd/greeting/template_errors.h"
#include "greetd/greeting/variable.h"

/* The most units of a greeting. systemd is asked for all of them each second, and a program that
 * writes a watched file should not be able to keep systemd busy. */
#define UNITS_MAX ((size_t)256)

/* The value of a hexadecimal digit, or -1. Unlike isxdigit(3), independent of the locale. */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes the escape at ESCAPE, which begins with a backslash, to *RET. Returns the number of
 * characters that it is written with, or 0 with *ret_why (static text) if it is not an escape. */
static size_t decode_escape(char *ret, const char *escape, const char **ret_why)
{
    static const char letters[] = "nrt\\", bytes[] = "\n\r\t\\";
    const char *letter = escape[1] != '\0' ? strchr(letters, escape[1]) : NULL;

    if (letter) {
        *ret = bytes[letter - letters];
        return 2;
    }
    if (escape[1] != 'x') {
        *ret_why = "the escapes are \\n, \\r, \\t, \\\\ and \\xHH";
        return 0;
    }

    int high = hex_digit(escape[2]), low = high < 0 ? -1 : hex_digit(escape[3]);
    if (low < 0) {
        *ret_why = "\\x must be followed by two hexadecimal digits";
        return 0;
    }
    *ret = (char)(unsigned char)(high * 16 + low);
    return 4;
}

int template_check_escapes(const char *text, const char *origin, const char *label,
                           struct diagnostics *diagnostics)
{
    struct template_errors errors = template_errors_in(text, NULL, origin, label, diagnostics);
    size_t size = 0;

    for (const char *p = text, *why; *p != '\0'; size++) {
        char byte;
        size_t n = *p == '\\' ? decode_escape(&byte, p, &why) : 1;
        if (n == 0)
            template_errors_add_escape(&errors, p, why);
        p += n > 0 ? n : strnlen(p, 2);
    }
    if (errors.n > 0)
        return template_errors_end(&errors, -EINVAL);
    return template_errors_end(&errors, size > GREETING_SIZE_MAX ? -EFBIG : 0);
}

/* A text that is being compiled. */
struct compiler {
    bool escapes, variables;       /* whether they are replaced */
    const char *begin, *end;       /* of the source text */
    struct buffer text;            /* of all pieces */
    struct greeting_piece *pieces; /* owned */
    size_t n_pieces, pieces_capacity;
    size_t piece;                  /* offset in the text of the piece that is not complete yet */
    struct template_errors errors; /* of variables */
    size_t n_bad_escapes;
    const char *why; /* of the first of them, or NULL */
    size_t offset;   /* of that escape in the source text */
    unsigned needs;  /* of the variables */
};

static void compiler_deinit(struct compiler *compiler)
{
    buffer_deinit(&compiler->text);
    greeting_free_pieces(compiler->pieces, compiler->n_pieces);
}

static int append(struct compiler *compiler, const char *bytes, size_t n)
{
    return buffer_append(&compiler->text, bytes, n, GREETING_SIZE_MAX);
}

/* Ends a piece with VARIABLE and its ARGUMENT, which is taken over in any case. */
static int end_piece(struct compiler *compiler, const struct variable *variable,
                     struct variable_argument *argument)
{
    _cleanup_free_ struct variable_argument *owned = argument;

    if (compiler->n_pieces == compiler->pieces_capacity) {
        size_t capacity = 2 * compiler->n_pieces + 4;
        struct greeting_piece *grown =
            reallocarray(compiler->pieces, capacity, sizeof(*compiler->pieces));
        if (!grown)
            return -ENOMEM;
        compiler->pieces = grown;
        compiler->pieces_capacity = capacity;
    }
    compiler->pieces[compiler->n_pieces++] =
        (struct greeting_piece){.size = compiler->text.size - compiler->piece,
                                .variable = variable,
                                .argument = TAKE_PTR(owned)};
    compiler->piece = compiler->text.size;
    compiler->needs |= variable ? variable->needs : 0;
    return 0;
}

/* The value is written only once: a second one may have another length. */
static int append_constant(struct compiler *compiler, const struct variable *variable)
{
    char value[VARIABLE_CONSTANT_MAX];
    size_t length = variable->write(NULL, value, sizeof(value));

    return append(compiler, value, length < sizeof(value) ? length : sizeof(value) - 1);
}

/* A bad escape is skipped, so that the errors behind it are found as well. */
static int compile_escape(struct compiler *compiler, const char **p)
{
    const char *escape = *p, *why;
    char byte;

    size_t n = decode_escape(&byte, escape, &why);
    *p += n > 0 ? n : strnlen(escape, 2);
    if (n > 0)
        return append(compiler, &byte, 1);
    if (compiler->n_bad_escapes++ == 0) {
        compiler->why = why;
        compiler->offset = (size_t)(escape - compiler->begin);
    }
    return 0;
}

/* Reads `name` or `{name}` at *P, behind the `$`, and moves *P past it, or past as much of it as
 * there is. Returns the length of the name at *RET_NAME, or 0 with *ret_why. */
static size_t read_reference(const char **p, const char *end, const char **ret_name,
                             const char **ret_why)
{
    bool in_braces = *p < end && **p == '{';
    const char *name = *p + in_braces;
    size_t length = variable_name_length(name, end);

    *ret_name = name;
    *p = name + length;
    if (!in_braces) {
        *ret_why = "a $ that no name follows is written as $$";
        return length;
    }
    *ret_why = "${ must be followed by the name of a variable and }";
    if (length == 0 || *p == end || **p != '}')
        return 0;
    ++*p;
    return length;
}

/* Decodes the text from *P up to a `}` and appends it. Moves *P past the `}`, or to the end.
 * Returns whether there is a `}`, or a negative errno. */
static int append_argument(struct compiler *compiler, const char **p)
{
    int r = 0;

    while (*p < compiler->end && **p != '}' && r >= 0)
        r = **p == '\\' && compiler->escapes ? compile_escape(compiler, p)
                                             : append(compiler, (*p)++, 1);
    if (r < 0 || *p == compiler->end)
        return r;
    ++*p;
    return 1;
}

/* Returns the character of the source text, from P on, from which the byte at OFFSET was decoded.
 */
static const char *find_source(const struct compiler *compiler, const char *p, size_t offset)
{
    const char *why;
    char byte;

    while (offset-- > 0)
        p += *p == '\\' && compiler->escapes ? decode_escape(&byte, p, &why) : 1;
    return p;
}

/* Ends the piece with VARIABLE and its argument, which begins at SOURCE and was decoded to the text
 * from OFFSET on. The text loses it. */
static int end_argument(struct compiler *compiler, const struct variable *variable,
                        const char *source, size_t offset)
{
    size_t size = compiler->text.size - offset;
    _cleanup_free_ struct variable_argument *argument = malloc(sizeof(*argument) + size + 1);

    if (!argument)
        return -ENOMEM;
    atomic_init(&argument->unit_state, UNIT_STATE_UNKNOWN);
    argument->size = size;
    memcpy(argument->text, compiler->text.bytes + offset, size);
    argument->text[size] = '\0';
    compiler->text.size = offset;

    size_t wrong = 0; /* the offset in the argument of what WHY is about */
    const char *why = variable_check_argument(variable, argument->text, size, &wrong);
    if (!why && variable->needs & VARIABLE_NEEDS_UNITS && ++compiler->errors.n_units > UNITS_MAX)
        why = "a greeting must not have more than 256 units";
    if (!why)
        return end_piece(compiler, variable, TAKE_PTR(argument));
    template_errors_add_argument(&compiler->errors, find_source(compiler, source, wrong), "bad",
                                 variable, why);
    return 0;
}

/* Compiles VARIABLE, whose `$` is at AT, with its argument at *P. */
static int compile_argument(struct compiler *compiler, const struct variable *variable,
                            const char *at, const char **p)
{
    size_t offset = compiler->text.size, n_bad_escapes = compiler->n_bad_escapes;
    const char *brace = *p;

    if (brace == compiler->end || *brace != '{') {
        template_errors_add_argument(&compiler->errors, at, "missing", variable, NULL);
        return 0;
    }
    ++*p;
    int r = append_argument(compiler, p);
    if (r == 0)
        template_errors_add_argument(&compiler->errors, brace, "unclosed", variable, NULL);
    /* With a bad escape the text is not the one that was meant. */
    if (r <= 0 || compiler->n_bad_escapes > n_bad_escapes)
        return r < 0 ? r : 0;
    return end_argument(compiler, variable, brace + 1, offset);
}

/* A bad variable is skipped like a bad escape. */
static int compile_variable(struct compiler *compiler, const char **p)
{
    const char *at = (*p)++, *name, *why;

    if (*p < compiler->end && **p == '$') {
        ++*p;
        return append(compiler, "$", 1);
    }
    size_t length = read_reference(p, compiler->end, &name, &why);
    if (length == 0) {
        template_errors_add(&compiler->errors, at, "bad variable", why);
        return 0;
    }

    const struct variable *variable = variable_find(name, length);
    if (!variable) {
        template_errors_add_unknown(&compiler->errors, at, name, length);
        return 0;
    }
    if (variable->constant)
        return append_constant(compiler, variable);
    return variable->argument ? compile_argument(compiler, variable, at, p)
                              : end_piece(compiler, variable, NULL);
}

/* Returns the first character from P on that does not stand for itself, or the end. */
static const char *skip_literal(const struct compiler *compiler, const char *p)
{
    while (p < compiler->end &&
           !((*p == '\\' && compiler->escapes) || (*p == '$' && compiler->variables)))
        p++;
    return p;
}

static int compile(struct compiler *compiler)
{
    /* The compiled text is longer than the source only by its constant variables. */
    int r =
        buffer_reserve(&compiler->text, (size_t)(compiler->end - compiler->begin) + 1, SIZE_MAX);

    for (const char *p = compiler->begin; p < compiler->end && r >= 0;) {
        const char *literal = p;

        p = skip_literal(compiler, p);
        r = append(compiler, literal, (size_t)(p - literal));
        if (r >= 0 && p < compiler->end)
            r = *p == '$' ? compile_variable(compiler, &p) : compile_escape(compiler, &p);
    }
    if (r >= 0 && (compiler->n_bad_escapes > 0 || compiler->errors.n > 0))
        return -EINVAL;
    if (r >= 0 && compiler->n_pieces > 0 && compiler->piece < compiler->text.size)
        r = end_piece(compiler, NULL, NULL);
    return r >= 0 && compiler->text.size > GREETING_SIZE_MAX ? -EFBIG : r;
}

/* Compiles the text and moves the result to *RET. */
static int compile_greeting(struct greeting **ret, struct compiler *compiler)
{
    int r = compile(compiler);
    if (r < 0)
        return r;

    struct greeting *greeting = greeting_new();
    if (!greeting)
        return -ENOMEM;
    greeting->size = compiler->text.size;
    greeting->n_pieces = compiler->n_pieces;
    greeting->bytes = TAKE_PTR(compiler->text.bytes);
    greeting->pieces = TAKE_PTR(compiler->pieces);
    compiler->n_pieces = 0;
    greeting->needs = compiler->needs;
    *ret = greeting;
    return 0;
}

int template_compile_escapes(struct greeting **ret, const char *text, const char **ret_why,
                             size_t *ret_offset)
{
    _cleanup_(compiler_deinit) struct compiler compiler = {
        .escapes = true, .begin = text, .end = text + strlen(text)};

    int r = compile_greeting(ret, &compiler);
    if (r == -EINVAL) {
        *ret_why = compiler.why;
        *ret_offset = compiler.offset;
    }
    return r;
}

/* Compiles the SIZE bytes at TEXT with their variables, and with escapes unless they are a file. */
static int compile_variables(struct greeting **ret, const char *text, size_t size,
                             struct template_errors *errors)
{
    _cleanup_(compiler_deinit) struct compiler compiler = {
        .escapes = !errors->path,
        .variables = true,
        .begin = text,
        .end = text + size,
        .errors = *errors,
    };

    int r = compile_greeting(ret, &compiler);
    *errors = compiler.errors;
    return r;
}

int template_compile(struct greeting **ret, const char *text, const char *origin, const char *label,
                     struct diagnostics *diagnostics)
{
    struct template_errors errors = template_errors_in(text, NULL, origin, label, diagnostics);

    return template_errors_end(&errors, compile_variables(ret, text, strlen(text), &errors));
}

int template_expand_part(struct greeting **ret, const char *text, size_t size,
                         struct template_errors *errors)
{
    return compile_variables(ret, text, size, errors);
}

int template_expand(struct greeting **greeting, const char *path, const char *origin,
                    const char *label, struct diagnostics *diagnostics)
{
    struct greeting *plain = *greeting;
    struct template_errors errors =
        template_errors_in(plain->bytes, path, origin, label, diagnostics);

    int r = compile_variables(greeting, plain->bytes, plain->size, &errors);
    if (r >= 0)
        greeting_unref(plain);
    return template_errors_end(&errors, r);
}
