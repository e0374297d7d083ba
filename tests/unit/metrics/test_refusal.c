/* SPDX-License-Identifier: MIT */
#include "greetd/metrics/refusal.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(refusal, .timeout = 60);

Test(refusal, every_reason_has_a_name_of_its_own)
{
    for (int a = 0; a < REFUSAL_N; a++)
        for (int b = 0; b < REFUSAL_N; b++)
            cr_assert_eq(strcmp(refusal_name((enum refusal)a), refusal_name((enum refusal)b)) == 0,
                         a == b);
}
