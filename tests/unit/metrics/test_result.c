/* SPDX-License-Identifier: MIT */
#include "greetd/metrics/result.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

TestSuite(result, .timeout = 60);

Test(result, every_result_has_its_own_name)
{
    for (int a = 0; a < RESULT_N; a++)
        for (int b = 0; b < RESULT_N; b++)
            cr_assert_eq(strcmp(result_name((enum result)a), result_name((enum result)b)) == 0,
                         a == b);
}

Test(result, maps_an_errno_to_a_result)
{
    cr_assert_eq(result_of_errno(EPIPE), RESULT_RESET);
    cr_assert_eq(result_of_errno(ECONNRESET), RESULT_RESET);
    cr_assert_eq(result_of_errno(ENOTCONN), RESULT_RESET);
    cr_assert_eq(result_of_errno(ETIMEDOUT), RESULT_TIMEOUT);
    cr_assert_eq(result_of_errno(ENOMEM), RESULT_ERROR);
}

Test(result, every_reason_has_its_own_name)
{
    for (int a = REFUSAL_NONE + 1; a < REFUSAL_N; a++)
        for (int b = REFUSAL_NONE + 1; b < REFUSAL_N; b++)
            cr_assert_eq(strcmp(refusal_name((enum refusal)a), refusal_name((enum refusal)b)) == 0,
                         a == b);
}
