/* SPDX-License-Identifier: MIT */
#include "greetd/config/sections.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "greetd/config/setting_table.h"
#include "greetd/config/setting_values.h"
#include "support/sections_fixture.h"

TestSuite(sections, .init = set_up, .fini = tear_down);

static void set_of(enum section_kind kind, const char *name, const char *setting, const char *text,
                   const char *origin)
{
    struct section *section;
    const char *why;

    cr_assert_eq(sections_get(&section, &sections, kind, name), 0);
    cr_assert_eq(
        setting_values_assign(&section->values, setting_find(setting, kind), text, origin, &why),
        0);
}

/* Sets SETTING in the section [Server], or [Listener NAME] if NAME is not NULL. */
static void set(const char *name, const char *setting, const char *text, const char *origin)
{
    enum section_kind kind = name ? SECTION_LISTENER : SECTION_SERVER;

    set_of(kind, name, setting, text, origin);
}

static void set_greeting(const char *setting, const char *text, const char *origin)
{
    set_of(SECTION_GREETING, NULL, setting, text, origin);
}

static void expect_lines(const char *const *lines, size_t n)
{
    cr_assert_eq(diagnostics.n_lines, n, "%s", n == 0 ? diagnostics.lines[0] : "");
    for (size_t i = 0; i < n; i++)
        cr_expect_str_eq(diagnostics.lines[i], lines[i]);
}

static void expect_duplicates(const char *const *lines, size_t n)
{
    cr_assert_eq(sections_complete(&sections), 0);
    sections_diagnose_duplicates(&sections, &diagnostics);
    expect_lines(lines, n);
}

static void expect_needs(const char *const *lines, size_t n)
{
    cr_assert_eq(sections_complete(&sections), 0);
    sections_diagnose_needs(&sections, &diagnostics);
    expect_lines(lines, n);
}

Test(sections, begin_with_all_but_listeners)
{
    cr_assert_eq(sections.n, SECTIONS_FIRST_LISTENER);
    cr_expect_eq(sections.items[SECTIONS_SERVER].kind, SECTION_SERVER);
    cr_expect_eq(sections.items[SECTIONS_LIMITS].kind, SECTION_LIMITS);
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
    expect_needs(lines, 2);
}

Test(sections, accept_a_pause_that_is_inherited)
{
    set_greeting("DripSec", "1", "a:1");
    set("x", "DripRepeat", "yes", "a:2");
    expect_needs(NULL, 0);
}

Test(sections, without_a_pause_do_not_inherit_the_repetition)
{
    set_greeting("DripSec", "1", "a:1");
    set_greeting("DripRepeat", "yes", "a:2");
    set("x", "DripSec", "0", "a:3");
    set("y", "LingerSec", "1", "a:4");
    expect_needs(NULL, 0);
    cr_expect_not(sections.items[SECTIONS_FIRST_LISTENER].values.greeting.drip_repeat);
    cr_expect(sections.items[SECTIONS_FIRST_LISTENER + 1].values.greeting.drip_repeat);
}

Test(sections, report_each_setting_that_lacks_another)
{
    static const char *const lines[] = {
        "a:1: Watch= needs MessageFile=",
        "a:3: MaxAgeSec= needs Watch=yes",
        "a:3: MaxAgeSec= needs StaleMessage=",
        "a:5: StaleMessage= needs Watch=yes",
        "a:6: StopMessage= needs StopDelaySec= in [Server]",
    };

    set_greeting("Watch", "yes", "a:1");
    set("x", "MessageFile", "/run/x", "a:2");
    set("x", "Watch", "no", "a:2");
    set("x", "MaxAgeSec", "1s", "a:3");
    set("y", "MessageFile", "/run/y", "a:4");
    set("y", "Watch", "no", "a:4");
    set("y", "StaleMessage", "s", "a:5");
    set("y", "StopMessage", "s", "a:6");
    expect_needs(lines, 5);
}

Test(sections, report_trusted_sources_without_a_header)
{
    static const char *const lines[] = {
        "a:1: ProxyTrustedSources= needs ProxyProtocol=yes",
        "a:4: ProxyTrustedSources= needs ProxyProtocol=yes",
    };

    set_greeting("ProxyTrustedSources", "localhost", "a:1");
    set("inherits", "ProxyProtocol", "yes", "a:2");
    set("own", "ProxyTrustedSources", "any", "a:4");
    set("complete", "ProxyProtocol", "yes", "a:5");
    set("complete", "ProxyTrustedSources", "any", "a:6");
    expect_needs(lines, 2);
}

Test(sections, without_a_header_do_not_inherit_its_trusted_sources)
{
    set_greeting("ProxyProtocol", "yes", "a:1");
    set_greeting("ProxyTrustedSources", "localhost", "a:2");
    set("x", "ProxyProtocol", "no", "a:3");
    set("y", "LingerSec", "1", "a:4");
    expect_needs(NULL, 0);
    cr_expect_eq(sections.items[SECTIONS_FIRST_LISTENER].values.greeting.proxy_trusted_sources.n,
                 0);
    cr_expect_eq(
        sections.items[SECTIONS_FIRST_LISTENER + 1].values.greeting.proxy_trusted_sources.n, 1);
}

Test(sections, lack_nothing_if_all_is_set)
{
    set(NULL, "StopDelaySec", "1s", "a:1");
    set_greeting("MessageFile", "/run/x", "a:2");
    set_greeting("Watch", "yes", "a:3");
    set_greeting("MaxAgeSec", "1s", "a:4");
    set_greeting("StaleMessage", "s", "a:5");
    set_greeting("StopMessage", "s", "a:6");
    set("x", "MessageFile", "/run/y", "a:7");
    set("y", "LingerSec", "1s", "a:8");
    expect_needs(NULL, 0);
}

Test(sections, may_inherit_what_has_no_effect)
{
    set_greeting("MessageFile", "/run/x", "a:2");
    set_greeting("Watch", "yes", "a:3");
    set_greeting("MaxAgeSec", "1s", "a:4");
    set_greeting("StaleMessage", "s", "a:5");
    set("x", "Watch", "no", "a:7");
    set("y", "Message", "m", "a:8");
    expect_needs(NULL, 0);
}

Test(sections, report_a_setting_of_their_own_without_a_watch)
{
    static const char *const lines[] = {"a:7: StaleMessage= needs Watch=yes"};

    set_greeting("MessageFile", "/run/x", "a:2");
    set_greeting("Watch", "yes", "a:3");
    set("x", "Watch", "no", "a:6");
    set("x", "StaleMessage", "s", "a:7");
    expect_needs(lines, 1);
}

Test(sections, report_what_lacks_a_stop_delay_once)
{
    static const char *const lines[] = {"a:2: StopMessage= needs StopDelaySec= in [Server]"};

    set_greeting("StopMessage", "s", "a:2");
    set("x", "LingerSec", "1s", "a:3");
    expect_needs(lines, 1);
}
