/* SPDX-License-Identifier: MIT */
#include "greetd/base/unit_state.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

#include "greetd/base/cleanup.h"

Test(unit_state, is_found_by_the_name_that_it_has)
{
    static const char *const names[] = {"active",     "reloading",    "inactive",    "failed",
                                        "activating", "deactivating", "maintenance", "refreshing"};

    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        cr_expect_neq(unit_state_find(names[i]), UNIT_STATE_UNKNOWN, "%s", names[i]);
        cr_expect_str_eq(unit_state_name(unit_state_find(names[i])), names[i]);
    }
}

Test(unit_state, is_unknown_by_any_other_name)
{
    cr_expect_eq(unit_state_find("Active"), UNIT_STATE_UNKNOWN);
    cr_expect_eq(unit_state_find(""), UNIT_STATE_UNKNOWN);
    cr_expect_str_eq(unit_state_name(UNIT_STATE_UNKNOWN), "unknown");
}

#define CHARACTERS "a unit's name has letters, digits and : - _ . \\ @ only"
#define TYPE       "a unit's name ends with its type, such as .service"
#define BEFORE     "a unit's name has something before . and @"
#define TEMPLATE   "a template has no state; its instances have"

struct name_row {
    char name[64];
    size_t offset;
    char why[64]; /* "" for a good one */
};

ParameterizedTestParameters(unit_state, has_a_unit_with_a_name_that_systemd_takes)
{
    static struct name_row rows[] = {
        {"a.service", 0, ""},
        {"-.mount", 0, ""},
        {"getty@tty1.service", 0, ""},
        {"a@b@c.service", 0, ""},
        {"a.b.socket", 0, ""},
        {"dev-disk-by\\x2duuid.device", 0, ""},
        {"x:y_z.timer", 0, ""},
        {"nginx", 5, TYPE},
        {"nginx.", 5, TYPE},
        {"nginx.Service", 5, TYPE},
        {"a.service.d", 9, TYPE},
        {"a b.service", 1, CHARACTERS},
        {"/run.mount", 0, CHARACTERS},
        {"\xc3\xa4.service", 0, CHARACTERS},
        {".service", 0, BEFORE},
        {"@a.service", 0, BEFORE},
        {"getty@.service", 5, TEMPLATE},
    };
    return cr_make_param_array(struct name_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct name_row *row, unit_state, has_a_unit_with_a_name_that_systemd_takes)
{
    size_t offset = 0;
    const char *why = unit_state_check_name(row->name, &offset);

    cr_expect_str_eq(why ? why : "", row->why, "%s", row->name);
    cr_expect_eq(offset, row->offset, "%s: %zu", row->name, offset);
}

Test(unit_state, has_a_unit_with_a_name_of_255_bytes_at_most)
{
    char name[UNIT_NAME_MAX + 2];
    size_t offset;

    memset(name, 'a', sizeof(name));
    strcpy(name + UNIT_NAME_MAX - strlen(".path"), ".path");
    cr_expect_null(unit_state_check_name(name, &offset));
    strcpy(name + UNIT_NAME_MAX - strlen(".path"), "a.path");
    cr_expect_str_eq(unit_state_check_name(name, &offset),
                     "a unit's name must not be longer than 255 bytes");
}
