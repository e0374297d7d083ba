/* SPDX-License-Identifier: MIT */
#include "client/json.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/text.h"

/* Of arrays and objects in each other, with the outermost object. */
#define DEPTH_MAX 32

#define DIGITS "0123456789"

struct reader {
    const char *at;  /* the next byte; the text ends with '\0' */
    const char *why; /* NULL, or why it can't be read on */
};

/* A value or a name while it is read. */
struct value {
    char text[JSON_VALUE_MAX];
    size_t size;
    bool known; /* a string or a number that has fitted up to now */
};

static bool fail(struct reader *reader, const char *why)
{
    reader->why = why;
    return false;
}

static void skip_space(struct reader *reader)
{
    reader->at += strspn(reader->at, " \t\r\n");
}

/* Reads CHARACTER and the space around it. Returns whether it is there. */
static bool take(struct reader *reader, char character)
{
    skip_space(reader);
    if (*reader->at != character)
        return false;
    reader->at++;
    skip_space(reader);
    return true;
}

static void append(struct value *value, const char *bytes, size_t size)
{
    value->known = value->known && size < sizeof(value->text) - value->size;
    if (!value->known)
        return;
    memcpy(value->text + value->size, bytes, size);
    value->size += size;
    value->text[value->size] = '\0';
}

/* Reads the four digits of \u. A character that is not of ASCII, or '\0', makes VALUE unknown. */
static bool read_unicode(struct reader *reader, struct value *value)
{
    char digits[5] = "";

    for (size_t i = 0; i < 4; i++, reader->at++) {
        if (!isxdigit((unsigned char)*reader->at))
            return fail(reader, "\\u needs four hexadecimal digits");
        digits[i] = *reader->at;
    }
    unsigned long number = strtoul(digits, NULL, 16);
    value->known = value->known && number > 0 && number < 0x80;
    append(value, &(char){(char)number}, 1);
    return true;
}

static bool read_escape(struct reader *reader, struct value *value)
{
    static const char names[] = "\"\\/bfnrt", characters[] = "\"\\/\b\f\n\r\t";
    char name = *++reader->at;
    const char *found = name != '\0' ? strchr(names, name) : NULL;

    if (name != 'u' && !found)
        return fail(reader, "unknown escape");
    reader->at++;
    if (!found)
        return read_unicode(reader, value);
    append(value, &characters[found - names], 1);
    return true;
}

static bool read_string(struct reader *reader, struct value *value)
{
    *value = (struct value){.known = true};
    reader->at++;
    while (*reader->at != '"') {
        if (*reader->at == '\\') {
            if (!read_escape(reader, value))
                return false;
            continue;
        }
        if ((unsigned char)*reader->at < ' ')
            return fail(reader, "a string ends without a quote, or has a control character");
        size_t length = text_utf8_length(reader->at);
        if (length == 0)
            return fail(reader, "not UTF-8");
        append(value, reader->at, length);
        reader->at += length;
    }
    reader->at++;
    return true;
}

/* Skips digits, of which there must be one. */
static bool skip_digits(struct reader *reader)
{
    size_t n = strspn(reader->at, DIGITS);

    reader->at += n;
    return n > 0 ? true : fail(reader, "a digit is missing");
}

static bool read_number(struct reader *reader, struct value *value)
{
    const char *start = reader->at;

    reader->at += *reader->at == '-' ? 1 : 0;
    if (reader->at[0] == '0' && isdigit((unsigned char)reader->at[1]))
        return fail(reader, "a number begins with 0");
    if (!skip_digits(reader))
        return false;
    if (*reader->at == '.') {
        reader->at++;
        if (!skip_digits(reader))
            return false;
    }
    if (*reader->at == 'e' || *reader->at == 'E') {
        reader->at++;
        reader->at += *reader->at == '+' || *reader->at == '-' ? 1 : 0;
        if (!skip_digits(reader))
            return false;
    }
    *value = (struct value){.known = true};
    append(value, start, (size_t)(reader->at - start));
    return true;
}

static bool read_word(struct reader *reader)
{
    static const char *const words[] = {"null", "true", "false"};

    for (size_t i = 0; i < ELEMENTSOF(words); i++)
        if (strncmp(reader->at, words[i], strlen(words[i])) == 0) {
            reader->at += strlen(words[i]);
            return true;
        }
    return fail(reader, "a value is missing");
}

/* Reads a value that is no array and no object. */
static bool read_scalar(struct reader *reader, struct value *value)
{
    *value = (struct value){.known = false};
    if (*reader->at == '"')
        return read_string(reader, value);
    if (*reader->at == '-' || isdigit((unsigned char)*reader->at))
        return read_number(reader, value);
    return read_word(reader);
}

/* Returns the member of NAME, or NULL. */
static struct json_member *find(struct json_member *members, size_t n, const struct value *name)
{
    for (size_t i = 0; i < n; i++)
        if (name->known && strcmp(members[i].name, name->text) == 0)
            return &members[i];
    return NULL;
}

/* Takes VALUE for MEMBER, which may be NULL. */
static bool take_value(struct reader *reader, struct json_member *member, const struct value *value)
{
    if (!member || !value->known)
        return true;
    if (member->taken)
        return fail(reader, "a member is there twice");
    member->taken = true;
    memcpy(member->text, value->text, sizeof(member->text));
    return true;
}

/* Reads what is in front of a value in an object: its name and the colon. */
static bool read_name(struct reader *reader, struct value *name)
{
    if (*reader->at != '"')
        return fail(reader, "the name of a member is missing");
    if (!read_string(reader, name))
        return false;
    return take(reader, ':') ? true : fail(reader, "a colon is missing");
}

/* The arrays and objects that are open. */
struct nesting {
    char brackets[DEPTH_MAX]; /* the closing one of each */
    size_t depth;
};

/* Opens an array or object. */
static bool open_nested(struct reader *reader, struct nesting *nesting)
{
    if (nesting->depth == DEPTH_MAX)
        return fail(reader, "too many arrays and objects in each other");
    nesting->brackets[nesting->depth++] = *reader->at == '{' ? '}' : ']';
    reader->at++;
    skip_space(reader);
    return true;
}

static bool in_object(const struct nesting *nesting)
{
    return nesting->brackets[nesting->depth - 1] == '}';
}

/* Closes what ends here, up to a comma. */
static bool close_nested(struct reader *reader, struct nesting *nesting)
{
    while (nesting->depth > 0 && !take(reader, ',')) {
        if (!take(reader, nesting->brackets[nesting->depth - 1]))
            return fail(reader,
                        in_object(nesting) ? "a comma or } is missing" : "a comma or ] is missing");
        nesting->depth--;
    }
    return true;
}

/* Reads a value, from its name if it has one, and what closes behind it; of an array or object that
 * is not empty only the beginning. */
static bool read_value(struct reader *reader, struct nesting *nesting, struct json_member *members,
                       size_t n)
{
    struct json_member *member = NULL;
    struct value name, value;

    if (in_object(nesting)) {
        if (!read_name(reader, &name))
            return false;
        member = nesting->depth == 1 ? find(members, n, &name) : NULL;
    }
    if (*reader->at == '{' || *reader->at == '[') {
        if (!open_nested(reader, nesting))
            return false;
        if (*reader->at != nesting->brackets[nesting->depth - 1])
            return true;
        return close_nested(reader, nesting);
    }
    return read_scalar(reader, &value) && take_value(reader, member, &value) &&
           close_nested(reader, nesting);
}

static bool read_object(struct reader *reader, struct json_member *members, size_t n)
{
    struct nesting nesting = {.depth = 0};

    skip_space(reader);
    if (*reader->at != '{')
        return fail(reader, "not an object");
    (void)open_nested(reader, &nesting);
    if (*reader->at == '}')
        return close_nested(reader, &nesting);
    while (nesting.depth > 0)
        if (!read_value(reader, &nesting, members, n))
            return false;
    return true;
}

int json_read_object(struct json_member *members, size_t n, const char *text, size_t size,
                     char *error)
{
    struct reader reader = {.at = text};

    for (size_t i = 0; i < n; i++)
        members[i].taken = false;
    if (read_object(&reader, members, n) && reader.at == text + size)
        return 0;
    snprintf(error, JSON_ERROR_MAX, "byte %zu: %s", (size_t)(reader.at - text) + 1,
             reader.why ? reader.why : "the object ends before the line");
    return -EINVAL;
}
