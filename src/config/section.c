/* SPDX-License-Identifier: MIT */
#include "greetd/config/section.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/text.h"

#define BLANKS " \t"

struct header {
    const char *word;
    enum section_kind kind;
    bool has_name;
};

static const struct header headers[] = {
    {"Server", SECTION_SERVER, false},    {"Greeting", SECTION_GREETING, false},
    {"Log", SECTION_LOG, false},          {"Limits", SECTION_LIMITS, false},
    {"Listener", SECTION_LISTENER, true},
};

static bool name_is_valid(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length > SECTION_NAME_MAX || name[length - 1] == ' ')
        return false;
    for (size_t i = 0; i < length; i++)
        if (name[i] < ' ' || name[i] > '~' || name[i] == ':')
            return false;
    return true;
}

static const struct header *find_header(const char *word, size_t length)
{
    for (size_t i = 0; i < ELEMENTSOF(headers); i++)
        if (strlen(headers[i].word) == length && memcmp(headers[i].word, word, length) == 0)
            return &headers[i];
    return NULL;
}

/* Returns the row whose word is nearest to the LENGTH bytes at TEXT, or NULL. */
static const struct header *find_nearest(const char *text, size_t length)
{
    const char *words[ELEMENTSOF(headers)];
    char word[32];

    if (length >= sizeof(word))
        return NULL;
    memcpy(word, text, length);
    word[length] = '\0';

    for (size_t i = 0; i < ELEMENTSOF(headers); i++)
        words[i] = headers[i].word;
    const char *nearest = text_nearest(word, words, ELEMENTSOF(words));
    return nearest ? find_header(nearest, strlen(nearest)) : NULL;
}

/* The suggestion keeps the rest of the header if that is a valid name. */
static void diagnose_unknown(const char *text, const char *origin, struct diagnostics *diagnostics)
{
    const char *word = text + strspn(text, BLANKS);
    size_t length = strcspn(word, BLANKS);
    const char *name = word + length + strspn(word + length, BLANKS);
    const struct header *nearest = find_nearest(word, length);
    char excerpt[TEXT_EXCERPT_MAX];

    text_excerpt(text, excerpt);
    if (nearest) {
        char suggestion[SECTION_TEXT_MAX];
        section_format(nearest->kind, name_is_valid(name) ? name : NULL, suggestion);
        diagnostics_add(diagnostics, "%s: Unknown section [%s]; did you mean %s?", origin, excerpt,
                        suggestion);
    } else {
        diagnostics_add(diagnostics, "%s: Unknown section [%s]", origin, excerpt);
    }
}

int section_parse(enum section_kind *ret, const char **ret_name, const char *text,
                  const char *origin, struct diagnostics *diagnostics)
{
    size_t length = strcspn(text, BLANKS);
    const char *name = text + length + strspn(text + length, BLANKS);
    const struct header *header = find_header(text, length);

    if (!header || (!header->has_name && text[length] != '\0')) {
        diagnose_unknown(text, origin, diagnostics);
        return -EINVAL;
    }
    if (header->has_name && !name_is_valid(name)) {
        char excerpt[TEXT_EXCERPT_MAX];
        diagnostics_add(
            diagnostics,
            "%s: [%s] must have a name, as in [Listener NAME]: 1 to 255 ASCII characters, "
            "no control characters, no ':', no space at the end",
            origin, text_excerpt(text, excerpt));
        return -EINVAL;
    }
    *ret = header->kind;
    *ret_name = header->has_name ? name : NULL;
    return 0;
}

const char *section_format(enum section_kind kind, const char *name, char *buffer)
{
    for (size_t i = 0; i < ELEMENTSOF(headers); i++) {
        if (headers[i].kind != kind)
            continue;
        if (headers[i].has_name)
            sprintf(buffer, "[%s %s]", headers[i].word, name ? name : "NAME");
        else
            sprintf(buffer, "[%s]", headers[i].word);
    }
    return buffer;
}
