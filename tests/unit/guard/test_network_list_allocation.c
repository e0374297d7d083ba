/* SPDX-License-Identifier: MIT */
#include "greetd/guard/network_list.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "support/fake_malloc.h"
#include "support/temp_dir.h"

#define N_NETWORKS 9

/* Fills LIST and a copy, and reads both. Returns 0 or -ENOMEM. */
static int use_list(const char *path)
{
    struct network_list list = {0}, copy = {0};
    struct network_array array = {0};
    struct diagnostics errors = DIAGNOSTICS_NULL;
    struct file_report report = {.errors = &errors};
    int r = network_list_append(&list, path, "f:1");

    if (r >= 0)
        r = network_list_append(&list, "any localhost 192.0.2.1", "f:2");
    if (r >= 0)
        r = network_list_copy(&copy, &list);
    if (r >= 0)
        r = network_list_read(&array, &copy, "Deny", true, &report);
    cr_assert(r < 0 || array.n == N_NETWORKS, "%zu", array.n);
    network_list_clear(&list);
    network_list_clear(&copy);
    network_array_deinit(&array);
    diagnostics_deinit(&errors);
    return r;
}

Test(network_list_allocation, that_is_refused_is_an_error_that_leaves_nothing_behind)
{
    struct temp_dir temp_dir;
    unsigned nth = 0;
    int r;

    if (!CAN_INTERPOSE)
        cr_skip("the sanitizer has an allocator of its own");
    temp_dir_init(&temp_dir);
    const char *path = temp_dir_write_text(&temp_dir, "list",
                                           "10.0.0.1\n10.0.0.2\n\n10.0.0.3\n"
                                           "10.0.0.4\n");
    do {
        count_from_here(++nth);
        r = use_list(path);
        count_to_here();
        cr_assert_eq(r, counted.n >= nth ? -ENOMEM : 0, "the %uth", nth);
        cr_assert_eq(counted.balance, 0, "the %uth", nth);
    } while (counted.n >= nth);
    cr_assert_gt(nth, 20);
    temp_dir_deinit(&temp_dir);
}
