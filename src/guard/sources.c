/* SPDX-License-Identifier: MIT */
#include "greetd/guard/sources.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "greetd/guard/siphash.h"
#include "greetd/guard/token_bucket.h"

#define CACHE_LINE             64
#define BUCKET_SIZE            128
#define WAYS                   6 /* entries of a bucket */
#define ENTRIES_MIN            131072
#define ENTRIES_PER_CONNECTION 4

/* Two cache lines, of which a search reads only the first if the source is not in the bucket.
 *
 * Each bucket has a lock, because a client changes several words at once: the clients and the token
 * bucket of its source are judged together, and a new source takes the entry of another. Without
 * locks this would need one atomic exchange of 20 bytes, and a protocol for taking entries. A lock
 * costs one locked instruction, on a line that is written anyway. A thread holds it for some ten
 * nanoseconds, never across a system call, and two threads meet only if they serve sources of the
 * same bucket at the same time.
 *
 * Only the holder of the lock writes, and only it reads keys. sources_known() reads the rest
 * without the lock, so these are atomics. They are relaxed, because the lock gives the order. */
struct bucket {
    atomic_uint lock; /* 1: held */
    uint64_t keys[WAYS];
    _Atomic uint64_t full_at[WAYS]; /* token buckets */
    _Atomic uint32_t clients[WAYS];
};
_Static_assert(sizeof(struct bucket) == BUCKET_SIZE, "a bucket fills its cache lines");

struct sources {
    struct siphash_key key;
    size_t n_buckets;
    atomic_bool used; /* since the first source; so that no page is touched without any */
    /* On a line of its own, because all workers read the others. */
    _Alignas(CACHE_LINE) _Atomic uint64_t forgotten;
    _Atomic uint64_t untracked;
    _Alignas(CACHE_LINE) struct bucket buckets[];
};

/* The two buckets that a source may be in; for a few sources they are the same. */
struct pair {
    struct bucket *buckets[2];
};

/* An entry; without a bucket it is none. */
struct entry {
    struct bucket *bucket;
    size_t way;
};

struct state {
    uint64_t full_at; /* the token bucket */
    uint32_t clients;
};

/* Keys of sources. IPv6 prefixes are their own keys; the others are in parts of 0000::/8 that the
 * IETF keeps unallocated. KEY_LOW is for all addresses in the way, among which only ::1 is used. */
#define KEY_NONE UINT64_C(0)
#define KEY_IPV4 UINT64_C(0x0001000000000000)
#define KEY_UID  UINT64_C(0x0002000000000000)
#define KEY_CID  UINT64_C(0x0003000000000000)
#define KEY_LINK UINT64_C(0x0004000000000000)
#define KEY_LOW  UINT64_C(0x0005000000000000)
#define KEY_IPV6 UINT64_C(0x0006000000000000) /* the first */

static uint64_t key_of_in(const void *address)
{
    uint32_t in;

    memcpy(&in, address, sizeof(in));
    return KEY_IPV4 | be32toh(in);
}

static uint64_t key_of_in6(const struct peer *peer)
{
    static const unsigned char translated[] = {0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0};
    uint64_t prefix;

    if (memcmp(&peer->in6, translated, sizeof(translated)) == 0)
        return key_of_in(&peer->in6.s6_addr[sizeof(translated)]);
    if (peer->scope != 0)
        return KEY_LINK | peer->scope;
    memcpy(&prefix, &peer->in6, sizeof(prefix));
    prefix = be64toh(prefix);
    return prefix < KEY_IPV6 ? KEY_LOW : prefix;
}

/* The key of the source of a peer; KEY_NONE if it has none. */
static uint64_t key_of(const struct peer *peer)
{
    switch (peer->family) {
    case AF_INET:
        return key_of_in(&peer->in);
    case AF_INET6:
        return key_of_in6(peer);
    case AF_UNIX:
        return peer_has_uid(peer) ? KEY_UID | peer->un.uid : KEY_NONE;
    case AF_VSOCK:
        return KEY_CID | peer->vm.cid;
    default:
        return KEY_NONE;
    }
}

int sources_new(struct sources **ret, uint64_t max_connections)
{
    uint64_t entries = ENTRIES_PER_CONNECTION * max_connections;
    size_t n = ((entries > ENTRIES_MIN ? entries : ENTRIES_MIN) + WAYS - 1) / WAYS;
    size_t size = sizeof(struct sources) + n * sizeof(struct bucket);
    struct siphash_key key;

    if (getrandom(&key, sizeof(key), 0) < 0)
        return -errno;
    struct sources *sources =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (sources == MAP_FAILED)
        return -errno;
    /* A huge page would take 2 MB for the first source, and saves no time here. */
    (void)madvise(sources, size, MADV_NOHUGEPAGE);
    sources->key = key;
    sources->n_buckets = n;
    *ret = sources;
    return 0;
}

void sources_free(struct sources *sources)
{
    if (sources)
        munmap(sources, sizeof(*sources) + sources->n_buckets * sizeof(struct bucket));
}

static void lock(struct bucket *bucket)
{
    /* Acquire: what the last holder has written is seen. The holder may not be running, and may
     * even wait for this processor: hence the sched_yield(2). Longer spins were measured, and are
     * slower. */
    while (atomic_exchange_explicit(&bucket->lock, 1, memory_order_acquire) != 0)
        sched_yield();
}

static void unlock(struct bucket *bucket)
{
    /* Release: the next holder sees what this one has written. */
    atomic_store_explicit(&bucket->lock, 0, memory_order_release);
}

static struct bucket *bucket_at(struct sources *sources, uint32_t hash)
{
    return &sources->buckets[(hash * (uint64_t)sources->n_buckets) >> 32];
}

static struct pair lock_pair(struct sources *sources, uint64_t key)
{
    uint64_t hash = siphash24(&sources->key, &key, sizeof(key));
    struct bucket *a = bucket_at(sources, (uint32_t)hash);
    struct bucket *b = bucket_at(sources, (uint32_t)(hash >> 32));

    /* In the order of their addresses, so that no two threads wait for each other. */
    lock(a < b ? a : b);
    if (a != b)
        lock(a < b ? b : a);
    return (struct pair){.buckets = {a, b}};
}

static void unlock_pair(const struct pair *pair)
{
    unlock(pair->buckets[0]);
    if (pair->buckets[1] != pair->buckets[0])
        unlock(pair->buckets[1]);
}

static struct state load(const struct bucket *bucket, size_t way)
{
    return (struct state){
        .full_at = atomic_load_explicit(&bucket->full_at[way], memory_order_relaxed),
        .clients = atomic_load_explicit(&bucket->clients[way], memory_order_relaxed),
    };
}

static void store(const struct entry *entry, const struct state *state)
{
    atomic_store_explicit(&entry->bucket->full_at[entry->way], state->full_at,
                          memory_order_relaxed);
    atomic_store_explicit(&entry->bucket->clients[entry->way], state->clients,
                          memory_order_relaxed);
}

static bool is_known(const struct state *state, uint64_t now)
{
    return state->clients > 0 || state->full_at > now;
}

static struct entry find(const struct pair *pair, uint64_t key)
{
    for (size_t i = 0; i < 2; i++)
        for (size_t way = 0; way < WAYS; way++)
            if (pair->buckets[i]->keys[way] == key)
                return (struct entry){.bucket = pair->buckets[i], .way = way};
    return (struct entry){.bucket = NULL};
}

/* What a bucket can give to a new source. */
struct offer {
    struct entry entry; /* the one without clients that is nearest to full, or was first full */
    uint64_t full_at;   /* its token bucket; UINT64_MAX without an entry */
    unsigned known;     /* sources in the bucket */
};

static struct offer offer_of(struct bucket *bucket, uint64_t now)
{
    struct offer offer = {.full_at = UINT64_MAX};

    for (size_t way = 0; way < WAYS; way++) {
        struct state state = load(bucket, way);

        offer.known += is_known(&state, now);
        if (state.clients > 0 || state.full_at >= offer.full_at)
            continue;
        offer.entry = (struct entry){.bucket = bucket, .way = way};
        offer.full_at = state.full_at;
    }
    return offer;
}

/* Finds an entry for a new source, and forgets the one that had it. */
static struct entry claim(struct sources *sources, const struct pair *pair, uint64_t key,
                          uint64_t now)
{
    struct offer offer = offer_of(pair->buckets[0], now);
    struct offer other = offer_of(pair->buckets[1], now);

    if (other.known < offer.known || (other.known == offer.known && other.full_at < offer.full_at))
        offer = other;
    if (!offer.entry.bucket) {
        atomic_fetch_add_explicit(&sources->untracked, 1, memory_order_relaxed);
        return offer.entry;
    }
    if (offer.full_at > now)
        atomic_fetch_add_explicit(&sources->forgotten, 1, memory_order_relaxed);
    if (!atomic_load_explicit(&sources->used, memory_order_relaxed))
        atomic_store_explicit(&sources->used, true, memory_order_relaxed);
    offer.entry.bucket->keys[offer.entry.way] = key;
    return offer.entry;
}

static struct token_rate rate_of(const struct source_limits *limits)
{
    return source_limits_rate(limits) ? token_rate(limits->burst, limits->interval_usec)
                                      : token_rate(1, 0);
}

/* Admits a client to the state of its source, if the limits allow it. */
static enum source_verdict judge(struct state *state, uint64_t max_connections,
                                 const struct token_rate *rate, uint64_t now)
{
    state->full_at = token_bucket_clamp(state->full_at, rate, now);
    if (state->clients >= max_connections)
        return SOURCE_TOO_MANY;
    if (!token_bucket_take(&state->full_at, rate, now))
        return SOURCE_TOO_FAST;
    state->clients++;
    return SOURCE_ADMITTED;
}

enum source_verdict sources_admit(struct sources *sources, const struct peer *peer,
                                  const struct source_limits *limits, uint64_t now_usec)
{
    uint64_t key = key_of(peer), now = token_bucket_time(now_usec);
    struct state state = {.clients = 0};

    if (key == KEY_NONE || !source_limits_any(limits))
        return SOURCE_UNTRACKED;

    struct token_rate rate = rate_of(limits);
    struct pair pair = lock_pair(sources, key);
    struct entry entry = find(&pair, key);
    if (entry.bucket)
        state = load(entry.bucket, entry.way);
    enum source_verdict verdict = judge(&state, limits->max_connections, &rate, now);
    if (!entry.bucket && verdict == SOURCE_ADMITTED) {
        entry = claim(sources, &pair, key, now);
        if (!entry.bucket)
            verdict = SOURCE_UNTRACKED;
    }
    if (entry.bucket)
        store(&entry, &state);
    unlock_pair(&pair);
    return verdict;
}

void sources_release(struct sources *sources, const struct peer *peer)
{
    uint64_t key = key_of(peer);
    struct pair pair = lock_pair(sources, key);
    struct entry entry = find(&pair, key);

    assert(entry.bucket);
    struct state state = load(entry.bucket, entry.way);
    assert(state.clients > 0);
    state.clients--;
    store(&entry, &state);
    unlock_pair(&pair);
}

size_t sources_known(const struct sources *sources, uint64_t now_usec)
{
    uint64_t now = token_bucket_time(now_usec);
    size_t n = 0;

    if (!atomic_load_explicit(&sources->used, memory_order_relaxed))
        return 0;
    for (size_t i = 0; i < sources->n_buckets; i++)
        for (size_t way = 0; way < WAYS; way++) {
            struct state state = load(&sources->buckets[i], way);

            n += is_known(&state, now);
        }
    return n;
}

size_t sources_capacity(const struct sources *sources)
{
    return sources->n_buckets * WAYS;
}

uint64_t sources_forgotten(const struct sources *sources)
{
    return atomic_load_explicit(&sources->forgotten, memory_order_relaxed);
}

uint64_t sources_untracked(const struct sources *sources)
{
    return atomic_load_explicit(&sources->untracked, memory_order_relaxed);
}
