/* SPDX-License-Identifier: MIT */

/* Lists of Allow= and Deny=: the compiled ranges decide as one looks through the networks that were
 * written; network -> text -> the same network. */

#include <arpa/inet.h>

#include "fuzz.h"
#include "fuzz_file.h"
#include "fuzz_nearest.h"
#include "fuzz_text.h"
#include "greetd/guard/networks.h"

static void check_text(const struct network *network)
{
    struct network again[NETWORKS_OF_WORD];
    char text[NETWORK_TEXT_MAX];

    network_format(network, text);
    PROPERTY(strlen(text) < sizeof(text));
    PROPERTY(network_parse(again, text, strlen(text)) == 1);
    PROPERTY(again->first == network->first && again->prefix == network->prefix);
    PROPERTY(again->family == network->family && !again->had_low_bits);
}

static struct peer make_peer(sa_family_t family, network_address address)
{
    struct peer peer = {.family = family};

    for (int i = 0; i < (family == AF_INET ? 4 : 16); i++)
        peer.in6.s6_addr[i] = (unsigned char)(address >> (120 - 8 * i));
    return peer;
}

FUZZ_UNTRACED static bool has(const struct network *network, const struct peer *peer)
{
    if (network->family != peer->family)
        return false;
    for (int bit = 0; bit < network->prefix; bit++)
        if ((peer->in6.s6_addr[bit / 8] >> (7 - bit % 8) & 1) !=
            (int)(network->first >> (127 - bit) & 1))
            return false;
    return true;
}

/* Whether PEER may come, by the first lines of networks_compile(). */
FUZZ_UNTRACED static bool allow_by_scan(const struct network_array *array, bool by_default,
                                        const struct peer *peer)
{
    const struct network *best = NULL;

    for (size_t i = 0; i < array->n; i++) {
        const struct network *network = &array->networks[i];
        if (has(network, peer) && (!best || network->prefix > best->prefix ||
                                   (network->prefix == best->prefix && network->denied)))
            best = network;
    }
    return best ? !best->denied : by_default;
}

struct lists {
    struct network_list allow, deny;
    struct network_array array; /* of both */
    struct networks *networks;
};

static void check_peer(const struct lists *lists, sa_family_t family, network_address address)
{
    struct peer peer = make_peer(family, address);

    PROPERTY(networks_allow(lists->networks, &peer) ==
             allow_by_scan(&lists->array, lists->allow.n == 0, &peer));
}

/* Checks the addresses at both ends of each network, and those beside them. */
static void check_networks(const struct lists *lists)
{
    for (size_t i = 0; i < lists->array.n; i++) {
        const struct network *network = &lists->array.networks[i];
        network_address one = (network_address)1 << (network->family == AF_INET ? 96 : 0);

        check_text(network);
        check_peer(lists, network->family, network->first);
        check_peer(lists, network->family, network->first - one);
        check_peer(lists, network->family, network_last(network));
        check_peer(lists, network->family, network_last(network) + one);
    }
}

/* Reads a line of one of the lists. */
static void read_list(struct network_list *list, struct fuzz_input *input, const char *label)
{
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    _cleanup_free_ char *text = fuzz_take_text(input, '\n');

    PROPERTY(network_list_check(text, "f:1", label, &diagnostics) == 0);
    fuzz_check_lines(&diagnostics, label[0] == 'A' ? "f:1: Allow=" : "f:1: Deny=");
    PROPERTY(network_list_append(list, text, "f:1") == 0);
}

static void compile(struct lists *lists)
{
    _cleanup_(diagnostics_deinit) struct diagnostics errors = DIAGNOSTICS_NULL,
                                                     remarks = DIAGNOSTICS_NULL;
    struct file_report report = {.errors = &errors, .remarks = &remarks};

    PROPERTY(networks_compile(&lists->networks, &lists->allow, "Allow", &lists->deny, &report) ==
             0);
    fuzz_check_lines(&errors, "f:1: ");
    fuzz_check_lines(&remarks, "f:1: ");
    PROPERTY(!lists->networks == (errors.n_errors > 0 || lists->allow.n + lists->deny.n == 0));
    PROPERTY(network_list_read(&lists->array, &lists->allow, "Allow", false, &report) == 0);
    PROPERTY(network_list_read(&lists->array, &lists->deny, "Deny", true, &report) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {bytes, size};
    struct lists lists = {.networks = NULL};

    read_list(&lists.allow, &input, "Allow");
    read_list(&lists.deny, &input, "Deny");
    compile(&lists);
    if (lists.networks) {
        check_networks(&lists);
        while (input.size > 0) {
            network_address high = fuzz_take_number(&input, 8);
            check_peer(&lists, AF_INET, high << 64);
            check_peer(&lists, AF_INET6, high << 64 | fuzz_take_number(&input, 8));
        }
    }
    networks_unref(lists.networks);
    network_array_deinit(&lists.array);
    network_list_clear(&lists.allow);
    network_list_clear(&lists.deny);
    return 0;
}
