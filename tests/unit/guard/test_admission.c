/* SPDX-License-Identifier: MIT */
#include "greetd/guard/admission.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "support/networks.h"

TestSuite(admission, .timeout = 60);

static const struct peer client = {.family = AF_INET, .in.s_addr = 0x017f0000};
static const struct source_limits none = {.max_connections = UINT64_MAX, .burst = UINT64_MAX};

struct row {
    struct source_limits limits;
    bool denied;
    enum refusal second; /* of the second client */
    bool counted;        /* the first one is */
};

ParameterizedTestParameters(admission, has_the_first_reason_against_a_client)
{
    static struct row rows[] = {
        {{UINT64_MAX, 0, UINT64_MAX}, false, REFUSAL_NONE, false},
        {{2, 0, UINT64_MAX}, false, REFUSAL_NONE, true},
        {{1, 0, UINT64_MAX}, false, REFUSAL_CONNECTIONS, true},
        {{2, 1000000, 1}, false, REFUSAL_RATE, true},
        {{1, 1000000, 1}, false, REFUSAL_CONNECTIONS, true},
        {{1, 1000000, 1}, true, REFUSAL_NETWORK, false},
    };
    return cr_make_param_array(struct row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct row *row, admission, has_the_first_reason_against_a_client)
{
    struct networks *networks = row->denied ? networks_of(NULL, "0.0.0.0/0") : NULL;
    struct sources *sources;

    cr_assert_eq(sources_new(&sources, 10), 0);
    struct admission first = admission_check(networks, &row->limits, sources, &client, 1000);
    struct admission second = admission_check(networks, &row->limits, sources, &client, 1000);
    cr_expect_eq(first.refusal, row->denied ? REFUSAL_NETWORK : REFUSAL_NONE);
    cr_expect_eq(first.counted, row->counted);
    cr_expect_eq(second.refusal, row->second);
    cr_expect_eq(second.counted, row->counted && row->second == REFUSAL_NONE);
    sources_free(sources);
    networks_unref(networks);
}

Test(admission, counts_no_client_without_a_source)
{
    static const struct peer unknown = {.family = AF_UNSPEC};
    static const struct source_limits one = {.max_connections = 1, .burst = UINT64_MAX};
    struct sources *sources;

    cr_assert_eq(sources_new(&sources, 10), 0);
    for (int i = 0; i < 3; i++) {
        struct admission admission = admission_check(NULL, &one, sources, &unknown, 1000);
        cr_expect_eq(admission.refusal, REFUSAL_NONE);
        cr_expect_not(admission.counted);
    }
    sources_free(sources);
}

Test(admission, needs_no_table_without_limits)
{
    cr_expect_eq(admission_check(NULL, &none, NULL, &client, 1000).refusal, REFUSAL_NONE);
    cr_expect_eq(admission_check(NULL, NULL, NULL, &client, 1000).refusal, REFUSAL_NONE);
}
