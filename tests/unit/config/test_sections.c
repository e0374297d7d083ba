/* SPDX-License-Identifier: MIT */
#include "greetd/config/sections.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "greetd/config/setting_table.h"
#include "greetd/config/setting_values.h"
#include "support/sections_fixture.h"

TestSuite(sections, .init = set_up, .fini = tear_down);

/* Sets SETTING in the section [Server], or [Listener NAME] if NAME is not NULL. */
static void set(const char *name, const char *setting, const char *text, const char *origin)
{
    enum section_kind kind = name ? SECTION_LISTENER : SECTION_SERVER;
    struct section *section;
    const char *why;

    cr_assert_eq(sections_get(&section, &sections, kind, name), 0);
    cr_assert_eq(
        setting_values_assign(&section->values, setting_find(setting, kind), text, origin, &why),
        0);
}

static void expect_duplicates(const char *const *lines, size_t n)
{
    cr_assert_eq(sections_complete(&sections), 0);
    sections_diagnose_duplicates(&sections, &diagnostics);
    cr_assert_eq(diagnostics.n_lines, n);
    for (size_t i = 0; i < n; i++)
        cr_expect_str_eq(diagnostics.lines[i], lines[i]);
}

Test(sections, begin_with_all_but_listeners)
{
    cr_assert_eq(sections.n, SECTIONS_FIRST_LISTENER);
    cr_expect_eq(sections.items[SECTIONS_SERVER].kind, SECTION_SERVER);
    cr_expect_eq(sections.items[SECTIONS_LOG].kind, SECTION_LOG);
    cr_expect_eq(sections.items[SECTIONS_GREETING].kind, SECTION_GREETING);
    cr_expect_eq(sections_complete(&sections), 0);
    cr_expect_eq(sections.items[SECTIONS_SERVER].values.server.backlog, 4096);
}

Test(sections, are_added_once)
{
    struct section *section;

    cr_assert_eq(sections_get(&section, &sections, SECTION_GREETING, NULL), 0);
    cr_expect_eq(section, &sections.items[SECTIONS_GREETING]);
    cr_assert_eq(sections_get(&section, &sections, SECTION_LISTENER, "x"), 0);
    cr_assert_eq(sections_get(&section, &sections, SECTION_LISTENER, "y"), 0);
    cr_expect_str_eq(section->name, "y");
    cr_assert_eq(sections_get(&section, &sections, SECTION_LISTENER, "x"), 0);
    cr_expect_eq(section, &sections.items[SECTIONS_FIRST_LISTENER]);
    cr_expect_eq(sections.n, SECTIONS_FIRST_LISTENER + 2);
}

Test(sections, report_an_address_that_is_listed_twice)
{
    static const char *const lines[] = {
        "a:2: ListenStream=/run/x: the same address is given already (a:8)",
        "a:3: ListenStream=80: the same address is given already (a:7)",
        "a:5: ListenStream=/run/x: the same address is given already (a:8)",
    };

    set("x", "ListenStream", "/run/x", "a:2");
    set("x", "ListenStream", "80", "a:3");
    set("y", "ListenStream", "/run/x", "a:5");
    set(NULL, "ListenStream", "[::]:80", "a:7");
    set(NULL, "ListenStream", "/run/x", "a:8");
    expect_duplicates(lines, 3);
}

Test(sections, report_an_address_that_is_the_default_already)
{
    static const char *const lines[] = {
        "a:2: ListenStream=127.0.0.1:12345: the same address is given already (default)"};

    set("x", "ListenStream", "127.0.0.1:12345", "a:2");
    expect_duplicates(lines, 1);
}

Test(sections, allow_any_number_of_addresses_whose_port_the_kernel_chooses)
{
    set(NULL, "ListenStream", "127.0.0.1:0", "a:1");
    set(NULL, "ListenStream", "127.0.0.1:0", "a:2");
    set("x", "ListenStream", "127.0.0.1:0", "a:3");
    expect_duplicates(NULL, 0);
}

/* Completes the sections and expects these errors about DripRepeat=. */
static void expect_drips(const char *const *lines, size_t n)
{
    cr_assert_eq(sections_complete(&sections), 0);
    sections_diagnose_needs(&sections, &diagnostics);
    cr_assert_eq(diagnostics.n_lines, n);
    for (size_t i = 0; i < n; i++)
        cr_expect_str_eq(diagnostics.lines[i], lines[i]);
}

static void set_greeting(const char *setting, const char *text, const char *origin)
{
    const char *why;

    cr_assert_eq(setting_values_assign(&sections.items[SECTIONS_GREETING].values,
                                       setting_find(setting, SECTION_GREETING), text, origin, &why),
                 0);
}

Test(sections, report_a_repeated_drip_without_a_pause)
{
    static const char *const lines[] = {
        "a:2: DripRepeat= needs DripSec=",
        "a:4: DripRepeat= needs DripSec=",
    };

    set_greeting("DripRepeat", "yes", "a:2");
    set("inherits", "LingerSec", "1", "a:3");
    set("own", "DripRepeat", "yes", "a:4");
    set("complete", "DripRepeat", "yes", "a:5");
    set("complete", "DripSec", "1", "a:6");
    expect_drips(lines, 2);
}

Test(sections, accept_a_pause_that_is_inherited)
{
    set_greeting("DripSec", "1", "a:1");
    set("x", "DripRepeat", "yes", "a:2");
    expect_drips(NULL, 0);
}

Test(sections, without_a_pause_do_not_inherit_the_repetition)
{
    set_greeting("DripSec", "1", "a:1");
    set_greeting("DripRepeat", "yes", "a:2");
    set("x", "DripSec", "0", "a:3");
    set("y", "LingerSec", "1", "a:4");
    expect_drips(NULL, 0);
    cr_expect_not(sections.items[SECTIONS_FIRST_LISTENER].values.greeting.drip_repeat);
    cr_expect(sections.items[SECTIONS_FIRST_LISTENER + 1].values.greeting.drip_repeat);
}
