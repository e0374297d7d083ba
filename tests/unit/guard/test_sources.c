/* SPDX-License-Identifier: MIT */
#include "greetd/guard/sources.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>

#include "support/seccomp_deny.h"
#include "support/source_peers.h"

#define NOW  (1000 * USEC_PER_SEC)
#define HOUR (3600 * USEC_PER_SEC)

static const struct source_limits one = {.max_connections = 1, NO_RATE};
static const struct source_limits three = {.max_connections = 3, NO_RATE};
static const struct source_limits ten_a_second = {ANY_COUNT, .interval_usec = USEC_PER_SEC,
                                                  .burst = 10};

static struct peer in6_peer(const char *address, uint32_t scope)
{
    struct peer peer = {.family = AF_INET6, .port = 1024, .scope = scope};

    cr_assert_eq(inet_pton(AF_INET6, address, &peer.in6), 1);
    return peer;
}

static struct peer in_peer(const char *address)
{
    struct peer peer = {.family = AF_INET, .port = 1024};

    cr_assert_eq(inet_pton(AF_INET, address, &peer.in), 1);
    return peer;
}

static struct peer unix_peer(uint32_t uid)
{
    return (struct peer){.family = AF_UNIX, .un = {.pid = 7, .uid = uid}};
}

static struct peer vsock_peer(uint32_t cid)
{
    return (struct peer){.family = AF_VSOCK, .vm = {.cid = cid, .port = 1024}};
}

/* Whether two peers count as one source. */
static bool is_same(struct peer a, struct peer b)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);

    cr_assert_eq(sources_admit(sources, &a, &one, NOW), SOURCE_ADMITTED);
    return sources_admit(sources, &b, &one, NOW) == SOURCE_TOO_MANY;
}

Test(sources, are_ipv4_addresses)
{
    struct peer peer = in_peer("192.0.2.1");

    peer.port = 7;
    cr_expect(is_same(peer, in_peer("192.0.2.1")));
    cr_expect_not(is_same(peer, in_peer("192.0.2.2")));
    cr_expect_not(is_same(peer, in_peer("193.0.2.1")));
}

Test(sources, are_ipv6_prefixes_of_64_bits)
{
    cr_expect(is_same(in6_peer("2001:db8:1:2::3", 0), in6_peer("2001:db8:1:2:4:5:6:7", 0)));
    cr_expect_not(is_same(in6_peer("2001:db8:1:2::3", 0), in6_peer("2001:db8:1:3::3", 0)));
    cr_expect_not(is_same(in6_peer("2001:db8:1:2::3", 0), in6_peer("3001:db8:1:2::3", 0)));
}

Test(sources, are_ipv4_addresses_also_as_rfc_6052_writes_them)
{
    cr_expect(is_same(in6_peer("64:ff9b::192.0.2.1", 0), in_peer("192.0.2.1")));
    cr_expect_not(is_same(in6_peer("64:ff9b::192.0.2.1", 0), in_peer("192.0.2.2")));
    cr_expect_not(is_same(in6_peer("64:ff9b::1:192.0.2.1", 0), in_peer("192.0.2.1")));
    cr_expect_not(is_same(in6_peer("64:ff9b:1::192.0.2.1", 0), in_peer("192.0.2.1")));
}

Test(sources, are_the_links_of_link_local_addresses)
{
    cr_expect(is_same(in6_peer("fe80::1", 2), in6_peer("fe80::2", 2)));
    cr_expect_not(is_same(in6_peer("fe80::1", 2), in6_peer("fe80::1", 3)));
    cr_expect_not(is_same(in6_peer("fe80::1", 2), in6_peer("fe80::1", 0)));
}

Test(sources, are_users_of_unix_sockets)
{
    struct peer peer = unix_peer(1000);

    peer.un.pid = 8;
    cr_expect(is_same(peer, unix_peer(1000)));
    cr_expect_not(is_same(peer, unix_peer(1001)));
}

Test(sources, are_cids_of_vsock)
{
    struct peer peer = vsock_peer(3);

    peer.vm.port = 7;
    cr_expect(is_same(peer, vsock_peer(3)));
    cr_expect_not(is_same(peer, vsock_peer(4)));
}

/* Their numbers are alike, or look like the key of another kind. */
Test(sources, of_different_kinds_are_never_the_same)
{
    const struct peer peers[] = {
        in_peer("0.0.0.0"),
        in_peer("0.0.0.2"),
        in_peer("32.0.0.0"),
        in_peer("255.255.255.255"),
        unix_peer(0),
        unix_peer(2),
        unix_peer(UINT32_MAX),
        vsock_peer(0),
        vsock_peer(2),
        vsock_peer(UINT32_MAX),
        in6_peer("::1", 0),
        in6_peer("6::", 0),
        in6_peer("64:ff9b:0:0:1::", 0),
        in6_peer("2000::", 0),
        in6_peer("fe80::", 0),
        in6_peer("fe80::", 2),
    };

    for (size_t i = 0; i < ELEMENTSOF(peers); i++)
        for (size_t j = 0; j < i; j++)
            cr_expect_not(is_same(peers[i], peers[j]), "%zu and %zu", j, i);
}

Test(sources, in_ipv6_prefixes_that_are_not_allocated_are_one)
{
    const char *addresses[] = {"::", "0:0:0:1::1", "1::1", "2::1", "3::1", "4::1", "5:ffff::1"};

    for (size_t i = 0; i < ELEMENTSOF(addresses); i++)
        cr_expect(is_same(in6_peer("::1", 0), in6_peer(addresses[i], 0)), "%s", addresses[i]);
}

ParameterizedTestParameters(sources, do_not_limit_peers_of_unknown_origin)
{
    static struct peer peers[] = {{.family = AF_UNSPEC},
                                  {.family = AF_UNIX, .un = {.pid = 7, .uid = 65534}}};

    return cr_make_param_array(struct peer, peers, ELEMENTSOF(peers));
}

ParameterizedTest(struct peer *peer, sources, do_not_limit_peers_of_unknown_origin)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);

    for (int i = 0; i < 10; i++)
        cr_expect_eq(sources_admit(sources, peer, &one, NOW), SOURCE_UNTRACKED);
    cr_expect_eq(sources_known(sources, NOW), 0);
}

Test(sources, without_limits_are_not_tracked)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);
    struct peer peer = source_peer(1);
    const struct source_limits none[] = {
        {ANY_COUNT, NO_RATE},
        {ANY_COUNT, .interval_usec = 0, .burst = 1},
        {ANY_COUNT, .interval_usec = HOUR, .burst = UINT64_MAX},
        {ANY_COUNT, .interval_usec = HOUR, .burst = 0},
    };

    for (size_t i = 0; i < ELEMENTSOF(none); i++) {
        cr_expect_not(source_limits_any(&none[i]));
        cr_expect_eq(sources_admit(sources, &peer, &none[i], NOW), SOURCE_UNTRACKED);
    }
    cr_expect_eq(sources_known(sources, NOW), 0);
    cr_expect(source_limits_any(&one));
    cr_expect(source_limits_any(&ten_a_second));
}

Test(sources, have_max_connections_clients_at_once)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);
    struct peer a = source_peer(1), b = source_peer(2);

    for (int i = 0; i < 3; i++)
        cr_expect_eq(sources_admit(sources, &a, &three, NOW), SOURCE_ADMITTED);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(sources_admit(sources, &a, &three, NOW + HOUR), SOURCE_TOO_MANY);
    cr_expect_eq(sources_admit(sources, &b, &three, NOW), SOURCE_ADMITTED);
    sources_release(sources, &a);
    cr_expect_eq(sources_admit(sources, &a, &three, NOW), SOURCE_ADMITTED);
    cr_expect_eq(sources_admit(sources, &a, &three, NOW), SOURCE_TOO_MANY);
}

Test(sources, have_burst_connections_in_an_interval)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);

    for (int i = 0; i < 10; i++)
        cr_expect_eq(visit(sources, 1, &ten_a_second, NOW), SOURCE_ADMITTED);
    cr_expect_eq(visit(sources, 1, &ten_a_second, NOW), SOURCE_TOO_FAST);
    cr_expect_eq(visit(sources, 2, &ten_a_second, NOW), SOURCE_ADMITTED);
    cr_expect_eq(visit(sources, 1, &ten_a_second, NOW + 99999), SOURCE_TOO_FAST);
    cr_expect_eq(visit(sources, 1, &ten_a_second, NOW + 100000), SOURCE_ADMITTED);
    cr_expect_eq(visit(sources, 1, &ten_a_second, NOW + 100000), SOURCE_TOO_FAST);
}

Test(sources, take_no_token_when_they_have_too_many_clients)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);
    const struct source_limits limits = {.max_connections = 1, .interval_usec = HOUR, .burst = 2};
    struct peer peer = source_peer(1);

    cr_expect_eq(sources_admit(sources, &peer, &limits, NOW), SOURCE_ADMITTED);
    for (int i = 0; i < 10; i++)
        cr_expect_eq(sources_admit(sources, &peer, &limits, NOW), SOURCE_TOO_MANY);
    sources_release(sources, &peer);
    cr_expect_eq(visit(sources, 1, &limits, NOW), SOURCE_ADMITTED);
    cr_expect_eq(visit(sources, 1, &limits, NOW), SOURCE_TOO_FAST);
}

Test(sources, that_are_too_fast_have_no_more_clients)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);
    const struct source_limits slow = {.max_connections = 2, .interval_usec = HOUR, .burst = 1};
    struct peer peer = source_peer(1);

    cr_expect_eq(sources_admit(sources, &peer, &slow, NOW), SOURCE_ADMITTED);
    for (int i = 0; i < 10; i++)
        cr_expect_eq(sources_admit(sources, &peer, &slow, NOW), SOURCE_TOO_FAST);
    cr_expect_eq(sources_admit(sources, &peer, &slow, NOW + HOUR), SOURCE_ADMITTED);
}

Test(sources, are_known_until_the_last_client_has_left_and_the_bucket_is_full)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);
    struct peer peer = source_peer(1);

    cr_expect_eq(sources_known(sources, NOW), 0);
    cr_assert_eq(sources_admit(sources, &peer, &ten_a_second, NOW), SOURCE_ADMITTED);
    cr_assert_eq(sources_admit(sources, &peer, &ten_a_second, NOW), SOURCE_ADMITTED);
    cr_expect_eq(sources_known(sources, NOW + HOUR), 1);
    sources_release(sources, &peer);
    cr_expect_eq(sources_known(sources, NOW + HOUR), 1);
    sources_release(sources, &peer);
    cr_expect_eq(sources_known(sources, NOW + 199999), 1);
    cr_expect_eq(sources_known(sources, NOW + 200001), 0);
    cr_expect_eq(sources_forgotten(sources), 0);
}

Test(sources, keep_their_clients_when_the_limits_change)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);
    struct peer peer = source_peer(1);

    for (int i = 0; i < 3; i++)
        cr_assert_eq(sources_admit(sources, &peer, &ten_a_second, NOW), SOURCE_ADMITTED);
    cr_expect_eq(sources_admit(sources, &peer, &three, NOW), SOURCE_TOO_MANY);
    cr_expect_eq(sources_admit(sources, &peer, &one, NOW), SOURCE_TOO_MANY);
    for (int i = 0; i < 3; i++)
        sources_release(sources, &peer);
    cr_expect_eq(sources_admit(sources, &peer, &one, NOW), SOURCE_ADMITTED);
}

/* The source tries again and again, which must not delay it either. */
Test(sources, wait_no_longer_than_the_new_interval_when_the_limits_change)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);
    const struct source_limits yearly = {ANY_COUNT, .interval_usec = 365 * 24 * HOUR, .burst = 1};
    uint64_t waited = 0;

    cr_assert_eq(visit(sources, 1, &yearly, NOW), SOURCE_ADMITTED);
    while (visit(sources, 1, &ten_a_second, NOW + waited) == SOURCE_TOO_FAST) {
        waited += 1000;
        cr_assert_leq(waited, USEC_PER_SEC);
    }
}

Test(sources, can_be_limited_from_the_boot_on)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);

    for (int i = 0; i < 10; i++)
        cr_expect_eq(visit(sources, 1, &ten_a_second, 0), SOURCE_ADMITTED);
    cr_expect_eq(visit(sources, 1, &ten_a_second, 0), SOURCE_TOO_FAST);
}

Test(sources, need_a_random_key)
{
    struct sources *sources = NULL;

    seccomp_deny(SYS_getrandom, 1, 16, ENOSYS);
    cr_expect_eq(sources_new(&sources, 1), -ENOSYS);
    cr_expect_null(sources);
}

Test(sources, need_a_table)
{
    struct sources *sources = NULL;

    seccomp_deny(SYS_mmap, 1, 128 + 128 * 21846, ENOMEM);
    cr_expect_eq(sources_new(&sources, 1), -ENOMEM);
    cr_expect_null(sources);
}

Test(sources, of_no_table_can_be_freed)
{
    sources_free(NULL);
}
