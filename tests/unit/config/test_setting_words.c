/* SPDX-License-Identifier: MIT */

/* Settings that are one of a few words. */

#include <criterion/criterion.h>
#include <string.h>
#include <syslog.h>

#include "greetd/base/cleanup.h"
#include "greetd/config/setting.h"

/* The message about any other word is written by hand. */
Test(setting_words, that_is_one_of_some_words_names_them_all)
{
    const struct setting *setting;

    for (size_t i = 0; (setting = setting_at(i)); i++) {
        char accepts[256] = "must be one of ";
        const char *const *word = setting->rule.words;

        for (; word && *word; word++) {
            strcat(accepts, *word);
            strcat(accepts, !word[1] ? "" : !word[2] ? " or " : ", ");
        }
        if (setting->rule.words)
            cr_expect_str_eq(setting->rule.accepts, accepts);
    }
}

Test(setting_words, that_is_a_level_has_its_number_in_syslog)
{
    static const int numbers[] = {LOG_EMERG,   LOG_ALERT,  LOG_CRIT, LOG_ERR,
                                  LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG};
    static const char *const names[] = {"emerg",   "alert",  "crit", "err",
                                        "warning", "notice", "info", "debug"};

    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        struct setting_values values = {0};
        const char *why = NULL;
        cr_assert_eq(
            setting_assign(&values, setting_find("Level", SECTION_LOG), names[i], "f:1", &why), 0);
        cr_expect_eq((int)values.log.level, numbers[i]);
        setting_values_deinit(&values);
    }
}
