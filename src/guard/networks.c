/* SPDX-License-Identifier: MIT */
#include "greetd/guard/networks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "greetd/base/refcount.h"
#include "greetd/base/text.h"
#include "greetd/guard/network_reader.h"

struct networks {
    struct refcount references;
    struct network_reader allow, deny;
    bool by_default;
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

int networks_compile(struct networks **ret, const struct network_list *allow,
                     const char *allow_label, const struct network_list *deny,
                     struct file_report *report)
{
    size_t n_before = report->errors->n_errors;

    *ret = NULL;
    if (allow->n == 0 && deny->n == 0)
        return 0;
    _cleanup_(networks_unrefp) struct networks *networks = calloc(1, sizeof(*networks));
    if (!networks)
        return -ENOMEM;
    refcount_init(&networks->references);
    networks->allow = (struct network_reader){
        .label = allow_label, .errors = report->errors, .remarks = report->remarks};
    networks->deny = networks->allow;
    networks->deny.label = "Deny";
    networks->by_default = allow->n == 0;

    int r = read_list(&networks->allow, allow, report);
    if (r >= 0)
        r = read_list(&networks->deny, deny, report);
    if (r >= 0 && report->errors->n_errors == n_before)
        *ret = TAKE_PTR(networks);
    return r;
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
    network_reader_deinit(&networks->allow);
    network_reader_deinit(&networks->deny);
    free(networks);
}

/* Returns the length of the longest prefix that has the address, or -1. */
static int longest_prefix(const struct network_reader *reader, sa_family_t family,
                          network_address address)
{
    int longest = -1;

    for (size_t i = 0; i < reader->n; i++) {
        const struct network *network = &reader->networks[i];
        if (network->family == family && network->prefix > longest && network->first <= address &&
            address <= network_last(network))
            longest = network->prefix;
    }
    return longest;
}

bool networks_allow(const struct networks *networks, const struct peer *peer)
{
    if (!networks || (peer->family != AF_INET && peer->family != AF_INET6))
        return true;

    network_address address = network_address_of_peer(peer);
    int allowed = longest_prefix(&networks->allow, peer->family, address);
    int denied = longest_prefix(&networks->deny, peer->family, address);
    return allowed > denied || (allowed < 0 && denied < 0 && networks->by_default);
}
