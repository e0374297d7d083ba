/* SPDX-License-Identifier: MIT */
#include "greetd/base/text.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

#include "greetd/base/cleanup.h"

static const char *const names[] = {"Backlog", "Message", "MessageFile", "LingerSec", "Workers"};

/* Criterion copies a row into the process of its test, and nothing that the row would point to. */
struct row {
    char name[32], nearest[32];
};

ParameterizedTestParameters(suggest, finds_what_was_meant)
{
    static struct row rows[] = {
        {"LigerSec", "LingerSec"},       {"LLingerSec", "LingerSec"}, {"LinkerSec", "LingerSec"},
        {"LingreSec", "LingerSec"},      {"Linger", "LingerSec"},     {"lingersec", "LingerSec"},
        {"BACKLOG", "Backlog"},          {"Mesage", "Message"},       {"MessageFil", "MessageFile"},
        {"Message_File", "MessageFile"}, {"Worker", "Workers"},       {"Bacxyog", "Backlog"},
        {"Message", "Message"},
    };
    return cr_make_param_array(struct row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct row *row, suggest, finds_what_was_meant)
{
    const char *nearest = suggest_nearest(row->name, names, ELEMENTSOF(names));

    cr_assert_not_null(nearest, "%s", row->name);
    cr_expect_str_eq(nearest, row->nearest);
}

Test(suggest, finds_nothing_for_a_name_of_another_kind)
{
    static const char *const strangers[] = {"", "x", "Timeout", "IdleExitSec", "Bacxyzg", "Sec"};

    for (size_t i = 0; i < ELEMENTSOF(strangers); i++)
        cr_expect_null(suggest_nearest(strangers[i], names, ELEMENTSOF(names)), "%s", strangers[i]);
    cr_expect_null(suggest_nearest("Message", names, 0));
}

Test(suggest, prefers_the_first_of_several)
{
    static const char *const twins[] = {"Allow1", "Allow2"};

    cr_expect_eq(suggest_nearest("Allow3", twins, 2), twins[0]);
    cr_expect_eq(suggest_nearest("Allow2", twins, 2), twins[1]);
}

Test(suggest, copes_with_names_of_any_length)
{
    char name[1000], candidate[1000];
    const char *const candidates[] = {candidate};

    for (size_t length = 1; length < sizeof(name); length++) {
        memset(name, 'a', length);
        memset(candidate, 'a', length);
        name[length] = candidate[length] = '\0';
        cr_expect_eq(suggest_nearest(name, candidates, 1), length <= 64 ? candidate : NULL);
    }
}
