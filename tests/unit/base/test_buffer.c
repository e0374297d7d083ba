/* SPDX-License-Identifier: MIT */
#include "greetd/base/buffer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

TestSuite(buffer, .timeout = 60);

Test(buffer, is_empty_at_first)
{
    struct buffer buffer = BUFFER_NULL;

    cr_expect_eq(buffer_append(&buffer, NULL, 0, 0), 0);
    cr_expect_eq(buffer_reserve(&buffer, 0, 0), 0);
    cr_expect_eq(buffer.size, 0);
    cr_expect_null(buffer.bytes);
    buffer_deinit(&buffer);
}

Test(buffer, keeps_all_bytes_in_order_as_it_grows)
{
    struct buffer buffer = BUFFER_NULL;
    unsigned char byte = 0;

    for (size_t i = 0; i < 10000; i++, byte++)
        cr_assert_eq(buffer_append(&buffer, &byte, 1, SIZE_MAX), 0);
    cr_assert_eq(buffer.size, 10000);
    for (size_t i = 0; i < buffer.size; i++)
        cr_assert_eq((unsigned char)buffer.bytes[i], i % 256, "%zu", i);
    buffer_deinit(&buffer);
    cr_expect_null(buffer.bytes);
    cr_expect_eq(buffer.capacity, 0);
}

Test(buffer, grows_by_doubling)
{
    struct buffer buffer = BUFFER_NULL;
    size_t n_growths = 0;

    for (size_t i = 0, capacity = 0; i < 10000; i++, capacity = buffer.capacity) {
        cr_assert_eq(buffer_append(&buffer, "a", 1, SIZE_MAX), 0);
        n_growths += buffer.capacity != capacity;
    }
    cr_expect_leq(n_growths, 15);
    buffer_deinit(&buffer);
}

Test(buffer, appends_within_the_reserved_room_without_moving)
{
    struct buffer buffer = BUFFER_NULL;

    cr_assert_eq(buffer_reserve(&buffer, 100, 100), 0);
    cr_expect_eq(buffer.size, 0);
    const char *bytes = buffer.bytes;
    for (size_t i = 0; i < 20; i++)
        cr_assert_eq(buffer_append(&buffer, "12345", 5, 100), 0);
    cr_expect_eq(buffer.bytes, bytes);
    cr_expect_eq(buffer.capacity, 100);
    buffer_deinit(&buffer);
}

Test(buffer, is_not_filled_beyond_its_limit)
{
    struct buffer buffer = BUFFER_NULL;

    cr_assert_eq(buffer_append(&buffer, "1234", 4, 5), 0);
    cr_assert_eq(buffer_append(&buffer, "5", 1, 5), 0);
    cr_expect_eq(buffer_append(&buffer, "123456", 6, 5), -EFBIG);
    cr_expect_eq(buffer_reserve(&buffer, SIZE_MAX, 100), -EFBIG);
    cr_expect_eq(buffer.size, 5);
    cr_expect_arr_eq(buffer.bytes, "12345", 5);
    buffer_deinit(&buffer);
}

/* A greeting is decoded into room for its whole text, which may be longer than its limit. */
Test(buffer, may_be_filled_beyond_the_limit_where_room_is_reserved)
{
    struct buffer buffer = BUFFER_NULL;

    cr_assert_eq(buffer_reserve(&buffer, 8, SIZE_MAX), 0);
    cr_expect_eq(buffer_append(&buffer, "12345678", 8, 5), 0);
    cr_expect_eq(buffer_append(&buffer, "9", 1, 5), -EFBIG);
    buffer_deinit(&buffer);
}
