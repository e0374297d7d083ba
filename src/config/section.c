/* SPDX-License-Identifier: MIT */
#include "greetd/config/section.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/text.h"

#define BLANKS " \t"

struct section_row {
    const char *word;
    enum section_kind kind;
    bool has_name;
};

static const struct section_row sections[] = {
    {"Server", SECTION_SERVER, false},
    {"Greeting", SECTION_GREETING, false},
    {"Log", SECTION_LOG, false},
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

static const struct section_row *find_section(const char *word, size_t length)
{
    for (size_t i = 0; i < ELEMENTSOF(sections); i++)
        if (strlen(sections[i].word) == length && memcmp(sections[i].word, word, length) == 0)
            return &sections[i];
    return NULL;
}

/* The section whose word is nearest to the LENGTH bytes at TEXT, or NULL. */
static const struct section_row *find_nearest(const char *text, size_t length)
{
    const char *words[ELEMENTSOF(sections)];
    char word[32];

    if (length >= sizeof(word))
        return NULL;
    memcpy(word, text, length);
    word[length] = '\0';

    for (size_t i = 0; i < ELEMENTSOF(sections); i++)
        words[i] = sections[i].word;
    const char *nearest = text_nearest(word, words, ELEMENTSOF(words));
    return nearest ? find_section(nearest, strlen(nearest)) : NULL;
}

/* What follows the first word is kept in the suggestion if it can stand there. */
static void report_unknown(const char *text, const char *origin, struct diagnostics *diagnostics)
{
    const char *word = text + strspn(text, BLANKS);
    size_t length = strcspn(word, BLANKS);
    const char *name = word + length + strspn(word + length, BLANKS);
    const struct section_row *nearest = find_nearest(word, length);
    char excerpt[TEXT_EXCERPT_MAX];

    text_excerpt(text, excerpt);
    if (nearest) {
        char meant[SECTION_TEXT_MAX];
        section_format(nearest->kind, name_is_valid(name) ? name : NULL, meant);
        diagnostics_add(diagnostics, "%s: Unknown section [%s]; did you mean %s?", origin, excerpt,
                        meant);
    } else {
        diagnostics_add(diagnostics, "%s: Unknown section [%s]", origin, excerpt);
    }
}

int section_parse(enum section_kind *ret, const char **ret_name, const char *text,
                  const char *origin, struct diagnostics *diagnostics)
{
    size_t length = strcspn(text, BLANKS);
    const char *name = text + length + strspn(text + length, BLANKS);
    const struct section_row *section = find_section(text, length);

    if (!section || (!section->has_name && text[length] != '\0')) {
        report_unknown(text, origin, diagnostics);
        return -EINVAL;
    }
    if (section->has_name && !name_is_valid(name)) {
        char excerpt[TEXT_EXCERPT_MAX];
        diagnostics_add(
            diagnostics,
            "%s: [%s] must have a name, as in [Listener NAME]: 1 to 255 ASCII characters, "
            "no control characters, no ':', no space at the end",
            origin, text_excerpt(text, excerpt));
        return -EINVAL;
    }
    *ret = section->kind;
    *ret_name = section->has_name ? name : NULL;
    return 0;
}

const char *section_format(enum section_kind kind, const char *name, char *buffer)
{
    for (size_t i = 0; i < ELEMENTSOF(sections); i++) {
        if (sections[i].kind != kind)
            continue;
        if (sections[i].has_name)
            sprintf(buffer, "[%s %s]", sections[i].word, name ? name : "NAME");
        else
            sprintf(buffer, "[%s]", sections[i].word);
    }
    return buffer;
}
