/* SPDX-License-Identifier: MIT */
#include "greetd/cli/options.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/text.h"
#include "greetd/cli/terminal.h"

/* Where getopt_long(3) has met an error. */
struct place {
    const struct option *table;
    const char *word;            /* of argv */
    char name[TEXT_EXCERPT_MAX]; /* of a long option, without dashes and argument */
};

static struct place place_of(const struct option *table, const char *word)
{
    struct place place = {.table = table, .word = word};
    const char *name = word + (word[1] == '-' ? 2 : 1);

    snprintf(place.name, sizeof(place.name), "%.*s", (int)strcspn(name, "="), name);
    return place;
}

static bool is_long(const struct place *place)
{
    return place->word[1] == '-';
}

static bool begins(const struct place *place, const struct option *option)
{
    return place->name[0] != '\0' && strncmp(option->name, place->name, strlen(place->name)) == 0;
}

static bool names_an_option(const struct place *place)
{
    for (const struct option *option = place->table; option->name; option++)
        if (strcmp(option->name, place->name) == 0)
            return true;
    return false;
}

static const char *find_nearest(const struct place *place)
{
    const char *pair[] = {NULL, NULL}; /* the nearest so far, and the next */

    for (const struct option *option = place->table; option->name; option++) {
        pair[1] = option->name;
        pair[0] =
            pair[0] ? text_nearest(place->name, pair, 2) : text_nearest(place->name, &pair[1], 1);
    }
    return pair[0];
}

static void print_unknown(const struct place *place)
{
    const char *dashes = is_long(place) ? "--" : "-", *nearest = NULL;
    char excerpt[TEXT_EXCERPT_MAX];

    /* A letter alone is near to nothing. */
    if (is_long(place) || strlen(place->name) > 1)
        nearest = find_nearest(place);
    if (nearest || is_long(place))
        fprintf(stderr, "unknown option '%s%s'", dashes, text_excerpt(place->name, excerpt));
    else
        fprintf(stderr, "unknown option '-%s'",
                text_excerpt((const char[]){(char)optopt, '\0'}, excerpt));
    if (nearest)
        fprintf(stderr, "; did you mean '--%s'?", nearest);
}

/* Prints the options that the abbreviation at PLACE may be, if any. */
static bool print_ambiguous(const struct place *place)
{
    const char *separator = " is ambiguous: ";
    bool found = false;

    for (const struct option *option = place->table; option->name; option++) {
        if (!begins(place, option))
            continue;
        if (!found)
            fprintf(stderr, "option '--%s'", place->name);
        fprintf(stderr, "%s--%s", separator, option->name);
        separator = ", ";
        found = true;
    }
    return found;
}

/* Prints that the option with the value of optopt WANTS something. */
static void print_wants(const struct place *place, const char *wants)
{
    if (!is_long(place)) {
        fprintf(stderr, "option '-%c' %s", optopt, wants);
        return;
    }
    for (const struct option *option = place->table; option->name; option++)
        if (option->val == optopt)
            fprintf(stderr, "option '--%s' %s", option->name, wants);
}

static void print_error(const struct place *place, int result)
{
    if (result == ':')
        print_wants(place, "needs an argument");
    else if (is_long(place) && optopt != 0)
        print_wants(place, "takes no argument");
    else if (!is_long(place) || !print_ambiguous(place))
        print_unknown(place);
}

/* Returns the word of an error, which getopt_long(3) has left unless it is within a group of
 * letters. BEFORE is optind before the call, which passes over words that are no options. */
static const char *wrong_word(char **argv, int before)
{
    const char *last = argv[optind - 1];

    return optind > before && last[0] == '-' && last[1] != '\0' ? last : argv[optind];
}

/* Whether the letter that was read has the rest of its word as argument, and both look like a long
 * option: `-check` is --check and not the file `heck`. */
static bool lacks_a_dash(const struct option *table, const char *word)
{
    struct place place;

    if (optarg != word + 2)
        return false;
    place = place_of(table, word);
    return names_an_option(&place);
}

int options_next(const char *program, int argc, char **argv, const char *letters,
                 const struct option *table)
{
    int before = optind > 0 ? optind : 1, index = -1;

    opterr = 0;
    int option = getopt_long(argc, argv, letters, table, &index);
    if (option == -1 || index >= 0)
        return option;

    bool refused = option == '?' || option == ':';
    const char *word = refused ? wrong_word(argv, before) : argv[optind - 1];
    if (!refused && !lacks_a_dash(table, word))
        return option;
    struct place place = place_of(table, word);
    terminal_print_program(program);
    print_error(&place, option);
    fputs("\n", stderr);
    options_suggest_help(program);
    return '?';
}

void options_suggest_help(const char *program)
{
    fprintf(stderr, "Try '%s --help'.\n", program);
}
