/* SPDX-License-Identifier: MIT */
#include "greetd/guard/network_list.h"

#include <errno.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/guard/network_reader.h"

#define BLANKS " \t"

bool network_list_is_path(const char *text)
{
    return text[0] == '/';
}

/* Finds the next item. Returns its length, 0 at the end, and moves *TEXT to it. */
static size_t next_item(const char **text)
{
    *text += strspn(*text, BLANKS);
    return strcspn(*text, BLANKS);
}

int network_list_check(const char *text, const char *origin, const char *label,
                       struct diagnostics *diagnostics)
{
    _cleanup_(network_reader_deinit) struct network_reader reader = {
        .origin = origin, .label = label, .errors = diagnostics};
    int r = 0;

    for (size_t n; (n = next_item(&text)) > 0 && r >= 0; text += n)
        if (!network_list_is_path(text))
            r = network_reader_read(&reader, text, n);
    network_reader_end_place(&reader);
    return r;
}

/* Makes room for one more in each array. Their sizes are powers of two. On failure one may be
 * larger than the other, without harm. */
static int grow(struct network_list *list)
{
    size_t n = list->n;

    if ((n & (n - 1)) != 0 && n > 0)
        return 0;
    n = n > 0 ? 2 * n : 1;
    char **texts = reallocarray(list->texts, n, sizeof(*list->texts));
    if (!texts)
        return -ENOMEM;
    list->texts = texts;

    char **origins = reallocarray(list->origins, n, sizeof(*list->origins));
    if (!origins)
        return -ENOMEM;
    list->origins = origins;
    return 0;
}

static int append_item(struct network_list *list, const char *text, size_t length,
                       const char *origin)
{
    _cleanup_free_ char *text_copy = strndup(text, length);
    _cleanup_free_ char *origin_copy = strdup(origin);

    if (!text_copy || !origin_copy || grow(list) < 0)
        return -ENOMEM;
    list->texts[list->n] = TAKE_PTR(text_copy);
    list->origins[list->n] = TAKE_PTR(origin_copy);
    list->n++;
    return 0;
}

static bool is_right(const char *text, size_t length)
{
    struct network networks[NETWORKS_OF_WORD];

    return network_list_is_path(text) || network_parse(networks, text, length) > 0;
}

int network_list_append(struct network_list *list, const char *text, const char *origin)
{
    int r = 0;

    for (size_t n; (n = next_item(&text)) > 0 && r >= 0; text += n)
        if (is_right(text, n))
            r = append_item(list, text, n, origin);
    return r;
}

int network_list_copy(struct network_list *list, const struct network_list *from)
{
    int r = 0;

    for (size_t i = 0; i < from->n && r >= 0; i++)
        r = append_item(list, from->texts[i], strlen(from->texts[i]), from->origins[i]);
    return r;
}

void network_list_clear(struct network_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->texts[i]);
        free(list->origins[i]);
    }
    free(list->texts);
    free(list->origins);
    *list = (struct network_list){0};
}
