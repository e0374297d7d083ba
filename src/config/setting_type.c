/* SPDX-License-Identifier: MIT */
#include "greetd/config/setting_type.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/parse.h"
#include "greetd/base/text.h"
#include "greetd/greeting/template.h"
#include "greetd/guard/network_list.h"

/* A path may have newlines, a comment may not. */
static void print_origin(const char *origin, FILE *stream)
{
    fputs("# ", stream);
    for (; *origin != '\0'; origin++)
        fputc(*origin == '\n' || *origin == '\r' ? '?' : *origin, stream);
    fputc('\n', stream);
}

/* A backslash at the end would join the next line. A blank behind it prevents that. */
static void print_assignment(const char *name, const char *text, const char *origin, FILE *stream)
{
    size_t length = strlen(text);
    bool ends_in_backslash = length > 0 && text[length - 1] == '\\';

    print_origin(origin, stream);
    fprintf(stream, "%s=%s%s\n", name, text, ends_in_backslash ? " " : "");
}

static int read_number(const struct setting_rule *rule, void *value, const char *text,
                       const char *origin, const char **ret_why)
{
    (void)origin;

    if (rule->word && strcmp(text, rule->word) == 0) {
        *(uint64_t *)value = rule->word_value;
        return 0;
    }
    if (parse_unsigned(value, text, rule->min, rule->max) < 0) {
        *ret_why = rule->accepts;
        return -EINVAL;
    }
    return 0;
}

static int read_time(const struct setting_rule *rule, void *value, const char *text,
                     const char *origin, const char **ret_why)
{
    uint64_t usec;
    (void)origin;

    if (parse_timespan(&usec, text) < 0 || usec < rule->min || usec > rule->max) {
        *ret_why = rule->accepts;
        return -EINVAL;
    }
    *(uint64_t *)value = usec;
    return 0;
}

static int read_boolean(const struct setting_rule *rule, void *value, const char *text,
                        const char *origin, const char **ret_why)
{
    (void)origin;

    if (parse_boolean(value, text) < 0) {
        *ret_why = rule->accepts;
        return -EINVAL;
    }
    return 0;
}

static void clear_boolean(void *value)
{
    *(bool *)value = false;
}

static int copy_boolean(void *value, const void *from)
{
    *(bool *)value = *(const bool *)from;
    return 0;
}

static void print_boolean(const struct setting_rule *rule, const void *value, const char *name,
                          const char *origin, FILE *stream)
{
    (void)rule;
    print_assignment(name, *(const bool *)value ? "yes" : "no", origin, stream);
}

static void clear_number(void *value)
{
    *(uint64_t *)value = 0;
}

static int copy_number(void *value, const void *from)
{
    *(uint64_t *)value = *(const uint64_t *)from;
    return 0;
}

static void print_number(const struct setting_rule *rule, const void *value, const char *name,
                         const char *origin, FILE *stream)
{
    uint64_t number = *(const uint64_t *)value;
    char digits[sizeof("18446744073709551615")];

    sprintf(digits, "%" PRIu64, number);
    print_assignment(name, rule->word && number == rule->word_value ? rule->word : digits, origin,
                     stream);
}

static void print_time(const struct setting_rule *rule, const void *value, const char *name,
                       const char *origin, FILE *stream)
{
    char text[TIMESPAN_TEXT_MAX];
    (void)rule;

    print_assignment(name, format_timespan(*(const uint64_t *)value, text), origin, stream);
}

static int read_word(const struct setting_rule *rule, void *value, const char *text,
                     const char *origin, const char **ret_why)
{
    (void)origin;

    for (unsigned i = 0; rule->words[i]; i++)
        if (strcmp(text, rule->words[i]) == 0) {
            *(unsigned *)value = i;
            return 0;
        }
    *ret_why = rule->accepts;
    return -EINVAL;
}

const char *setting_type_nearest_word(const struct setting_rule *rule, const char *text)
{
    size_t n = 0;

    while (rule->words && rule->words[n])
        n++;
    return text_nearest(text, rule->words, n);
}

static void clear_word(void *value)
{
    *(unsigned *)value = 0;
}

static int copy_word(void *value, const void *from)
{
    *(unsigned *)value = *(const unsigned *)from;
    return 0;
}

static void print_word(const struct setting_rule *rule, const void *value, const char *name,
                       const char *origin, FILE *stream)
{
    print_assignment(name, rule->words[*(const unsigned *)value], origin, stream);
}

static int replace_string(char **value, const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    free(*value);
    *value = copy;
    return 0;
}

/* An error in an escape does not keep the variables from being checked. */
static int check_message(const char *text, const char *origin, const char *label,
                         struct diagnostics *diagnostics)
{
    int r = template_check_escapes(text, origin, label, diagnostics);

    return r == -EINVAL ? 0 : r;
}

static int read_message(const struct setting_rule *rule, void *value, const char *text,
                        const char *origin, const char **ret_why)
{
    (void)rule, (void)origin, (void)ret_why;
    return replace_string(value, text);
}

static int read_path(const struct setting_rule *rule, void *value, const char *text,
                     const char *origin, const char **ret_why)
{
    (void)origin;

    if (text[0] != '/') {
        *ret_why = rule->accepts;
        return -EINVAL;
    }
    return replace_string(value, text);
}

static void clear_string(void *value)
{
    free(*(char **)value);
    *(char **)value = NULL;
}

static int copy_string(void *value, const void *from)
{
    const char *text = *(char *const *)from;
    return text ? replace_string(value, text) : 0;
}

/* A message from the command line may have newlines, or blanks at its edges, which the syntax of
 * the file would drop. They are printed as escapes. */
static void print_message(const struct setting_rule *rule, const void *value, const char *name,
                          const char *origin, FILE *stream)
{
    const char *text = *(char *const *)value;
    (void)rule;

    if (!text)
        return;

    print_origin(origin, stream);
    fprintf(stream, "%s=", name);
    for (const char *p = text; *p != '\0'; p++) {
        bool at_edge = p == text || p[1] == '\0';
        if (*p == '\n' || *p == '\r' || (at_edge && (*p == ' ' || *p == '\t')))
            fprintf(stream, "\\x%02x", (unsigned char)*p);
        else
            fputc(*p, stream);
    }
    fputc('\n', stream);
}

static void print_path(const struct setting_rule *rule, const void *value, const char *name,
                       const char *origin, FILE *stream)
{
    const char *path = *(char *const *)value;
    (void)rule;

    if (path)
        print_assignment(name, path, origin, stream);
}

static void clear_addresses(void *value)
{
    struct address_list *list = value;

    for (size_t i = 0; i < list->n; i++) {
        free(list->texts[i]);
        free(list->origins[i]);
    }
    free(list->addresses);
    free(list->texts);
    free(list->origins);
    *list = (struct address_list){0};
}

/* Makes room for one more in each array. On failure some arrays are longer than N, without harm. */
static int grow_addresses(struct address_list *list)
{
    struct address *addresses =
        reallocarray(list->addresses, list->n + 1, sizeof(*list->addresses));
    if (!addresses)
        return -ENOMEM;
    list->addresses = addresses;

    char **texts = reallocarray(list->texts, list->n + 1, sizeof(*list->texts));
    if (!texts)
        return -ENOMEM;
    list->texts = texts;

    char **origins = reallocarray(list->origins, list->n + 1, sizeof(*list->origins));
    if (!origins)
        return -ENOMEM;
    list->origins = origins;
    return 0;
}

/* See systemd.syntax(7): an empty assignment empties a list. */
static int read_address(const struct setting_rule *rule, void *value, const char *text,
                        const char *origin, const char **ret_why)
{
    struct address_list *list = value;
    struct address address;
    (void)rule;

    if (text[0] == '\0') {
        clear_addresses(list);
        return 0;
    }

    int r = address_parse(&address, text, ret_why);
    if (r < 0)
        return r;
    r = grow_addresses(list);
    if (r < 0)
        return r;

    _cleanup_free_ char *text_copy = strdup(text);
    _cleanup_free_ char *origin_copy = origin ? strdup(origin) : NULL;
    if (!text_copy || (origin && !origin_copy))
        return -ENOMEM;
    list->addresses[list->n] = address;
    list->texts[list->n] = TAKE_PTR(text_copy);
    list->origins[list->n] = TAKE_PTR(origin_copy);
    list->n++;
    return 0;
}

static void print_addresses(const struct setting_rule *rule, const void *value, const char *name,
                            const char *origin, FILE *stream)
{
    const struct address_list *list = value;
    (void)rule;

    if (list->n == 0)
        print_assignment(name, "", origin, stream);
    for (size_t i = 0; i < list->n; i++)
        print_assignment(name, list->texts[i],
                         list->origins[i] ? list->origins[i] : SETTING_ORIGIN_DEFAULT, stream);
}

static int read_networks(const struct setting_rule *rule, void *value, const char *text,
                         const char *origin, const char **ret_why)
{
    (void)rule, (void)ret_why;
    return network_list_append(value, text, origin);
}

static void clear_networks(void *value)
{
    network_list_clear(value);
}

static int copy_networks(void *value, const void *from)
{
    return network_list_copy(value, from);
}

static void print_networks(const struct setting_rule *rule, const void *value, const char *name,
                           const char *origin, FILE *stream)
{
    const struct network_list *list = value;
    (void)rule, (void)origin;

    for (size_t i = 0; i < list->n; i++)
        print_assignment(name, list->texts[i], list->origins[i], stream);
}

const struct setting_type setting_type_boolean = {
    .parse = read_boolean, .clear = clear_boolean, .copy = copy_boolean, .print = print_boolean};
const struct setting_type setting_type_number = {
    .parse = read_number, .clear = clear_number, .copy = copy_number, .print = print_number};
const struct setting_type setting_type_time = {
    .parse = read_time, .clear = clear_number, .copy = copy_number, .print = print_time};
const struct setting_type setting_type_word = {
    .parse = read_word, .clear = clear_word, .copy = copy_word, .print = print_word};
const struct setting_type setting_type_message = {.takes_empty = true,
                                                  .check = check_message,
                                                  .parse = read_message,
                                                  .clear = clear_string,
                                                  .copy = copy_string,
                                                  .print = print_message};
const struct setting_type setting_type_optional_message = {.check = check_message,
                                                           .parse = read_message,
                                                           .clear = clear_string,
                                                           .copy = copy_string,
                                                           .print = print_message};
const struct setting_type setting_type_path = {
    .parse = read_path, .clear = clear_string, .copy = copy_string, .print = print_path};
const struct setting_type setting_type_addresses = {
    .takes_empty = true, .parse = read_address, .clear = clear_addresses, .print = print_addresses};
const struct setting_type setting_type_networks = {.check = network_list_check,
                                                   .parse = read_networks,
                                                   .clear = clear_networks,
                                                   .copy = copy_networks,
                                                   .print = print_networks};
