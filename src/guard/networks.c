/* SPDX-License-Identifier: MIT */
#include "greetd/guard/networks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "greetd/base/refcount.h"
#include "greetd/base/text.h"
#include "greetd/guard/network_ranges.h"
#include "greetd/guard/network_reader.h"

struct networks {
    struct refcount references;
    struct network_ranges in, in6;
};

static int read_file(struct network_reader *reader, const char *path, struct file_report *report)
{
    char excerpt[TEXT_EXCERPT_MAX];

    int r = network_reader_read_file(reader, path);
    if (r >= 0 || r == -ENOMEM || file_diagnose_shortage(path, r, reader->errors))
        return r;
    diagnostics_add(reader->errors, "%s: %s=%s: %s", reader->origin, reader->label,
                    text_excerpt(path, excerpt), file_strerror(r));
    if (!file_is_bad(r)) {
        report->n_unreadable++;
        report->read_error = r;
    }
    return 0;
}

static int read_list(struct network_reader *reader, const struct network_list *list,
                     struct file_report *report)
{
    int r = 0;

    for (size_t i = 0; i < list->n && r >= 0; i++) {
        const char *text = list->texts[i];
        reader->origin = list->origins[i];
        r = network_list_is_path(text) ? read_file(reader, text, report)
                                       : network_reader_read(reader, text, strlen(text));
        network_reader_end_place(reader);
    }
    return r;
}

/* Reads both lists, and sorts their networks. */
static int read_lists(struct network_reader *reader, const struct network_list *allow,
                      const char *allow_label, const struct network_list *deny,
                      struct file_report *report)
{
    reader->label = allow_label;
    int r = read_list(reader, allow, report);
    if (r < 0)
        return r;

    reader->label = "Deny";
    reader->denies = true;
    r = read_list(reader, deny, report);
    if (r >= 0 && reader->n > 0)
        qsort(reader->networks, reader->n, sizeof(*reader->networks), network_compare);
    return r;
}

/* Compiles the N sorted networks. */
static int networks_new(struct networks **ret, const struct network *sorted, size_t n,
                        bool by_default)
{
    _cleanup_(networks_unrefp) struct networks *networks = calloc(1, sizeof(*networks));
    size_t n_in = 0;

    if (!networks)
        return -ENOMEM;
    refcount_init(&networks->references);
    while (n_in < n && sorted[n_in].family == AF_INET)
        n_in++;
    int r = network_ranges_init(&networks->in, sorted, n_in, AF_INET, by_default);
    if (r >= 0)
        r = network_ranges_init(&networks->in6, sorted + n_in, n - n_in, AF_INET6, by_default);
    if (r >= 0)
        *ret = TAKE_PTR(networks);
    return r;
}

int networks_compile(struct networks **ret, const struct network_list *allow,
                     const char *allow_label, const struct network_list *deny,
                     struct file_report *report)
{
    _cleanup_(network_reader_deinit) struct network_reader reader = {.errors = report->errors,
                                                                     .remarks = report->remarks};
    size_t n_before = report->errors->n_errors;

    *ret = NULL;
    if (allow->n == 0 && deny->n == 0)
        return 0;
    int r = read_lists(&reader, allow, allow_label, deny, report);
    if (r < 0 || report->errors->n_errors > n_before)
        return r;
    return networks_new(ret, reader.networks, reader.n, allow->n == 0);
}

struct networks *networks_ref(struct networks *networks)
{
    if (networks)
        refcount_take(&networks->references);
    return networks;
}

void networks_unref(struct networks *networks)
{
    if (!networks || !refcount_drop(&networks->references))
        return;
    network_ranges_deinit(&networks->in);
    network_ranges_deinit(&networks->in6);
    free(networks);
}

bool networks_allow(const struct networks *networks, const struct peer *peer)
{
    if (!networks || (peer->family != AF_INET && peer->family != AF_INET6))
        return true;
    return network_ranges_allow(peer->family == AF_INET ? &networks->in : &networks->in6,
                                network_address_of_peer(peer));
}
