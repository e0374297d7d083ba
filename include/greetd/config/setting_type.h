/* SPDX-License-Identifier: MIT */
#pragma once

/* The kinds of fields that a setting can fill: how each is read from text, kept, copied and printed
 * in the syntax of the file. Which settings there are is the business of setting.h. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "greetd/net/address.h"

/* The origin of what nobody has set. */
#define SETTING_ORIGIN_DEFAULT "default"

/* Of the values of a kind, those that a setting accepts. */
struct setting_rule {
    uint64_t min, max; /* numbers, and times in microseconds */
    const char *word;  /* numbers: a word that stands for word_value, which need not be in range */
    uint64_t word_value;
    const char *const *words; /* words: what may be written, up to a NULL */
    const char *accepts;      /* all this in words, for a sentence like "Backlog=TEXT: ACCEPTS" */
};

struct setting_type {
    /* An empty text is a value; for other kinds it means that the setting is not set. */
    bool takes_empty;

    /* Reads TEXT, which ORIGIN says (`PATH:LINE` or the like; NULL for the default), into FIELD; a
     * list is appended to, and emptied by an empty TEXT. Returns 0; -EINVAL with *ret_why (static
     * text or the rule's) when FIELD is untouched; -ENOMEM. */
    int (*parse)(const struct setting_rule *rule, void *field, const char *text, const char *origin,
                 const char **ret_why);

    /* Frees what FIELD owns and leaves it empty. */
    void (*clear)(void *field);

    /* Copies FROM to FIELD, which is empty. Returns 0 or -ENOMEM. NULL for a list. */
    int (*copy)(void *field, const void *from);

    /* Prints FIELD as one or more assignments to NAME, each below a comment line with its origin;
     * nothing if FIELD is empty and an empty text would not be a value. Errors are those of
     * STREAM. */
    void (*print)(const struct setting_rule *rule, const void *field, const char *name,
                  const char *origin, FILE *stream);
};

extern const struct setting_type setting_type_number;  /* uint64_t */
extern const struct setting_type setting_type_boolean; /* bool */
extern const struct setting_type setting_type_time;    /* uint64_t, microseconds */
extern const struct setting_type setting_type_word; /* unsigned: which of the rule's words it is */
extern const struct setting_type
    setting_type_message;                           /* char *, owned: as written, escapes and all */
extern const struct setting_type setting_type_path; /* char *, owned: an absolute path */
extern const struct setting_type setting_type_addresses; /* struct address_list */

/* The one of RULE's words that TEXT, which is none of them, is nearest to (see suggest.h), or NULL
 * if none is near or the rule has no words. */
const char *setting_type_nearest_word(const struct setting_rule *rule, const char *text);

/* ListenStream=: the addresses, the text each was written as, and who said so (NULL for the
 * default). Owns the arrays and the strings. */
struct address_list {
    struct address *addresses;
    char **texts;
    char **origins;
    size_t n;
};
