/* SPDX-License-Identifier: MIT */
#include "greetd/guard/networks.h"

#include <errno.h>
#include <stdlib.h>

#include "greetd/base/refcount.h"
#include "greetd/guard/network_ranges.h"

struct networks {
    struct refcount references;
    struct network_ranges in, in6;
};

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
    const struct network *in6 = n_in < n ? sorted + n_in : sorted; /* which may be NULL */
    int r = network_ranges_init(&networks->in, sorted, n_in, AF_INET, by_default);
    if (r >= 0)
        r = network_ranges_init(&networks->in6, in6, n - n_in, AF_INET6, by_default);
    if (r >= 0)
        *ret = TAKE_PTR(networks);
    return r;
}

int networks_compile(struct networks **ret, const struct network_list *allow,
                     const char *allow_label, const struct network_list *deny,
                     struct file_report *report)
{
    _cleanup_(network_array_deinit) struct network_array array = {.n = 0};
    size_t n_before = report->errors->n_errors;

    *ret = NULL;
    if (allow->n == 0 && deny->n == 0)
        return 0;
    int r = network_list_read(&array, allow, allow_label, false, report);
    if (r >= 0)
        r = network_list_read(&array, deny, "Deny", true, report);
    if (r < 0 || report->errors->n_errors > n_before)
        return r;
    if (array.n > 0)
        qsort(array.networks, array.n, sizeof(*array.networks), network_compare);
    return networks_new(ret, array.networks, array.n, allow->n == 0);
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
    if (!networks || !peer_is_internet(peer))
        return true;
    return network_ranges_allow(peer->family == AF_INET ? &networks->in : &networks->in6,
                                network_address_of_peer(peer));
}
