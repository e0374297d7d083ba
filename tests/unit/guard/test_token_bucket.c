/* SPDX-License-Identifier: MIT */
#include "greetd/guard/token_bucket.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"

#define DAY        (86400 * USEC_PER_SEC)
#define YEAR       (365 * DAY)
#define SECOND     token_bucket_time(USEC_PER_SEC)
#define BURST_MAX  UINT64_C(4294967295)
#define N_ATTEMPTS 200000

__extension__ typedef unsigned __int128 uint128_t;

struct setting {
    uint64_t burst, interval_usec, began_usec;
};

static struct setting settings[] = {
    {1, 1, 0},
    {1, USEC_PER_SEC, 0},
    {1, YEAR, 140 * YEAR},
    {2, USEC_PER_SEC, 1},
    {3, 10, DAY},
    {7, 1000, 140 * YEAR},
    {1000, USEC_PER_SEC, DAY},
    {999983, USEC_PER_SEC, 0},
    {100000, DAY, DAY},
    {BURST_MAX, 1, 0},
    {BURST_MAX, USEC_PER_SEC, 0},
    {BURST_MAX, YEAR, 140 * YEAR},
};

/* Takes up to N tokens at NOW. Returns how many there were. */
static uint64_t take(uint64_t *full_at, const struct token_rate *rate, uint64_t now, uint64_t n)
{
    uint64_t taken = 0;

    while (taken < n && token_bucket_take(full_at, rate, now))
        taken++;
    return taken;
}

/* Makes a bucket empty at NOW but for LEFT tokens. */
static uint64_t emptied(const struct token_rate *rate, uint64_t now, uint64_t left)
{
    return now + rate->full - left * rate->token;
}

ParameterizedTestParameters(token_bucket, has_its_burst_at_once)
{
    return cr_make_param_array(struct setting, settings, ELEMENTSOF(settings));
}

ParameterizedTest(struct setting *s, token_bucket, has_its_burst_at_once)
{
    struct token_rate rate = token_rate(s->burst, s->interval_usec);
    uint64_t now = token_bucket_time(s->began_usec), full_at = 0;
    uint64_t first = s->burst < N_ATTEMPTS ? s->burst : N_ATTEMPTS;

    cr_expect_eq(take(&full_at, &rate, now, first), first);
    cr_expect_eq(full_at, now + first * rate.token);
    full_at = emptied(&rate, now, 2);
    if (s->burst >= 2)
        cr_expect_eq(take(&full_at, &rate, now, 5), 2);
    cr_expect_eq(full_at, emptied(&rate, now, s->burst >= 2 ? 0 : 2));
}

ParameterizedTestParameters(token_bucket, is_full_after_its_interval_and_a_tick_for_each_token)
{
    return cr_make_param_array(struct setting, settings, ELEMENTSOF(settings));
}

ParameterizedTest(struct setting *s, token_bucket,
                  is_full_after_its_interval_and_a_tick_for_each_token)
{
    struct token_rate rate = token_rate(s->burst, s->interval_usec);

    cr_expect_geq(rate.full, token_bucket_time(s->interval_usec));
    cr_expect_lt(rate.full, token_bucket_time(s->interval_usec) + s->burst);
}

/* The header and greetd.conf(5) promise a tick of 1/4096 us. */
Test(token_bucket, loses_little_time_to_rounding)
{
    cr_expect_leq(token_rate(1000, USEC_PER_SEC).full, SECOND + SECOND / 4000000);
    cr_expect_leq(token_rate(999983, USEC_PER_SEC).full, SECOND + SECOND / 4000);
    cr_expect_leq(token_rate(BURST_MAX, USEC_PER_SEC).full, SECOND + SECOND / 20);
    cr_expect_leq(token_rate(BURST_MAX, YEAR).full, token_bucket_time(YEAR + 2 * USEC_PER_SEC));
}

ParameterizedTestParameters(token_bucket, gives_what_the_exact_limit_gives_at_any_times)
{
    return cr_make_param_array(struct setting, settings, ELEMENTSOF(settings));
}

/* Compares with the limit in whole numbers: of all times, tokens are given for the burst and for
 * the part of the interval that has passed since the bucket was full. */
ParameterizedTest(struct setting *s, token_bucket, gives_what_the_exact_limit_gives_at_any_times)
{
    struct token_rate rate = token_rate(s->burst, s->interval_usec);
    uint64_t began = token_bucket_time(s->began_usec);
    uint64_t interval = token_bucket_time(s->interval_usec);
    uint64_t full_at = emptied(&rate, began, 0), passed = 0, given = 0, seed = 1;

    for (int i = 0; i < N_ATTEMPTS; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        passed += (seed >> 33) % (rate.token + 1);
        if (s->burst == 1 && passed > interval)
            break; /* it has been full, and has lost time */
        given += take(&full_at, &rate, began + passed, BURST_MAX);
        uint64_t most = (uint64_t)((uint128_t)passed * s->burst / interval);
        uint64_t least = (uint64_t)((uint128_t)passed * s->burst / (interval + s->burst));
        if (given > most || given < least)
            cr_assert_fail("%ju tokens after %ju ticks, not %ju to %ju", (uintmax_t)given,
                           (uintmax_t)passed, (uintmax_t)least, (uintmax_t)most);
    }
}

Test(token_bucket, is_unchanged_by_a_refusal)
{
    struct token_rate rate = token_rate(10, USEC_PER_SEC);
    uint64_t full_at = emptied(&rate, SECOND, 0), before = full_at;

    for (int i = 0; i < 1000; i++)
        cr_expect_not(token_bucket_take(&full_at, &rate, SECOND));
    cr_expect_eq(full_at, before);
    cr_expect_eq(take(&full_at, &rate, SECOND + rate.token, 5), 1);
}

Test(token_bucket, without_an_interval_is_always_full)
{
    struct token_rate rate = token_rate(1, 0);
    uint64_t full_at = 0;

    cr_expect_eq(take(&full_at, &rate, SECOND, 1000), 1000);
    cr_expect_leq(full_at, SECOND);
}

ParameterizedTestParameters(token_bucket, of_another_rate_waits_no_longer_than_its_new_interval)
{
    return cr_make_param_array(struct setting, settings, ELEMENTSOF(settings));
}

ParameterizedTest(struct setting *s, token_bucket,
                  of_another_rate_waits_no_longer_than_its_new_interval)
{
    const struct token_rate longest = token_rate(BURST_MAX, YEAR);
    struct token_rate rate = token_rate(s->burst, s->interval_usec);
    uint64_t now = token_bucket_time(s->began_usec);

    for (uint64_t old = now; old <= now + longest.full; old += longest.full / 1000) {
        uint64_t full_at = token_bucket_clamp(old, &rate, now);
        cr_assert(token_bucket_take(&full_at, &rate, now + rate.full));
    }
}

Test(token_bucket, of_another_rate_keeps_the_tokens_it_has)
{
    struct token_rate rate = token_rate(10, USEC_PER_SEC);

    for (uint64_t left = 0; left <= 10; left++)
        cr_expect_eq(token_bucket_clamp(emptied(&rate, SECOND, left), &rate, SECOND),
                     emptied(&rate, SECOND, left));
}

/* Two workers in turn, of which one has read its clock earlier. */
Test(token_bucket, is_not_filled_by_a_thread_whose_clock_is_behind)
{
    struct token_rate rate = token_rate(10, USEC_PER_SEC);
    uint64_t now = 2 * SECOND, behind = now - SECOND * 8 / 10, full_at = 0, given = 0;

    for (int i = 0; i < 100; i++) {
        full_at = token_bucket_clamp(full_at, &rate, now);
        given += take(&full_at, &rate, now, 10);
        full_at = token_bucket_clamp(full_at, &rate, behind);
        given += take(&full_at, &rate, behind, 10);
    }
    cr_expect_eq(given, 10);
}
