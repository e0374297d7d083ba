/* SPDX-License-Identifier: MIT */
#include "greetd/result.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(result, .timeout = 60);

Test(result, every_result_has_a_name_of_its_own)
{
    for (int a = 0; a < RESULT_N; a++)
        for (int b = 0; b < RESULT_N; b++)
            cr_assert_eq(strcmp(result_name((enum result)a), result_name((enum result)b)) == 0,
                         a == b);
}
