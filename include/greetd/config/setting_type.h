/* SPDX-License-Identifier: MIT */
#pragma once

/* The types of values that a setting can have: how each is parsed, copied, freed, and printed in
 * the syntax of the file. Types are constant; a value belongs to the caller. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "greetd/base/diagnostics.h"
#include "greetd/net/address.h"

/* The origins of values that no line of a file has set. */
#define SETTING_ORIGIN_DEFAULT      "default"
#define SETTING_ORIGIN_COMMAND_LINE "command line"

/* The values of a type that a setting accepts. */
struct setting_rule {
    uint64_t min, max; /* numbers, and times in microseconds */
    const char *word;  /* numbers: a word for word_value, which need not be in range */
    uint64_t word_value;
    const char *const *words; /* words: all that are accepted, up to a NULL */
    const char *accepts;      /* the rule as the end of a sentence: `Backlog=TEXT: ACCEPTS` */
};

struct setting_type {
    /* An empty text is a value; with other types it unsets the setting. */
    bool takes_empty;

    /* Adds each error in TEXT to DIAGNOSTICS, as `ORIGIN: LABEL=...`, for types whose values can
     * have several; else NULL. Returns 0 if TEXT may be parsed, so that what is right in it can be
     * checked further; -EFBIG, which is added, too; -ENOMEM. */
    int (*check)(const char *text, const char *origin, const char *label,
                 struct diagnostics *diagnostics);

    /* Parses TEXT, which check() has seen and which stands at ORIGIN (NULL for the default), to
     * VALUE. A list is appended to, and emptied by an empty TEXT. Returns 0; -EINVAL with *ret_why
     * (static text or the rule's), when VALUE is unchanged; -ENOMEM. */
    int (*parse)(const struct setting_rule *rule, void *value, const char *text, const char *origin,
                 const char **ret_why);

    /* Frees what VALUE owns and leaves it empty. */
    void (*clear)(void *value);

    /* Copies FROM to VALUE, which is empty. Returns 0 or -ENOMEM. NULL if no section inherits it.
     */
    int (*copy)(void *value, const void *from);

    /* Prints VALUE as one or more assignments to NAME, each below a comment with its origin.
     * Nothing if VALUE is empty and an empty text is not a value. Errors are those of STREAM. */
    void (*print)(const struct setting_rule *rule, const void *value, const char *name,
                  const char *origin, FILE *stream);
};

extern const struct setting_type setting_type_number;  /* uint64_t */
extern const struct setting_type setting_type_boolean; /* bool */
extern const struct setting_type setting_type_time;    /* uint64_t, microseconds */
extern const struct setting_type setting_type_word;    /* unsigned: the index in rule.words */
extern const struct setting_type setting_type_message; /* char *, owned: with its escapes */
extern const struct setting_type setting_type_optional_message; /* the same, without an empty one */
extern const struct setting_type setting_type_path;      /* char *, owned: an absolute path */
extern const struct setting_type setting_type_addresses; /* struct address_list */
extern const struct setting_type setting_type_networks;  /* struct network_list */

/* Returns the word of RULE that is nearest to TEXT, which is none of them (see text_nearest()), or
 * NULL if none is near or the rule has no words. */
const char *setting_type_nearest_word(const struct setting_rule *rule, const char *text);

/* ListenStream=: each address, its text, and its origin (NULL for the default). Owns the arrays and
 * the strings. */
struct address_list {
    struct address *addresses;
    char **texts;
    char **origins;
    size_t n;
};
