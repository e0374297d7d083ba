/* SPDX-License-Identifier: MIT */

/* Apart from the other tests of a buffer, since the sanitizers end a program that asks for so much.
 */

#include "greetd/base/buffer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>

Test(buffer_allocation, is_unchanged_when_memory_runs_out)
{
    struct buffer buffer = BUFFER_NULL;

    cr_assert_eq(buffer_append(&buffer, "1234", 4, SIZE_MAX), 0);
    cr_expect_eq(buffer_reserve(&buffer, SIZE_MAX / 2, SIZE_MAX), -ENOMEM);
    cr_expect_eq(buffer.size, 4);
    cr_expect_arr_eq(buffer.bytes, "1234", 4);
    buffer_deinit(&buffer);
}
