/* SPDX-License-Identifier: MIT */
#include "greet/schedstat.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

Test(greet_schedstat, the_first_number_is_the_time)
{
    uint64_t nsec = 0;

    cr_assert_eq(schedstat_parse(&nsec, "251552648 195905449 182\n"), 0);
    cr_expect_eq(nsec, 251552648);
    cr_assert_eq(schedstat_parse(&nsec, "18446744073709551615 0 0\n"), 0);
    cr_expect_eq(nsec, UINT64_MAX);
}

Test(greet_schedstat, other_text_is_refused)
{
    static const char *const texts[] = {"",       "\n",    "x 1 2\n", "-1 2 3\n",
                                        " 1 2 3", "12x 3", "12",      "18446744073709551616 0 0\n"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint64_t nsec = 7;
        cr_expect_eq(schedstat_parse(&nsec, texts[i]), -EINVAL, "'%s'", texts[i]);
        cr_expect_eq(nsec, 7, "'%s'", texts[i]);
    }
}

Test(greet_schedstat, threads_of_one_name_are_added_up)
{
    struct schedstat schedstat = {0};

    schedstat_add(&schedstat, "worker", 5);
    schedstat_add(&schedstat, "log", 1);
    schedstat_add(&schedstat, "worker", 7);
    schedstat_add(&schedstat, "a name of more than fifteen bytes", 2);
    cr_assert_eq(schedstat.n, 3);
    cr_expect_str_eq(schedstat.entries[0].name, "worker");
    cr_expect_eq(schedstat.entries[0].nsec, 12);
    cr_expect_str_eq(schedstat.entries[2].name, "a name of more ");
    cr_expect_eq(schedstat_sum(&schedstat), 15);
    schedstat_deinit(&schedstat);
    cr_expect_eq(schedstat.n, 0);
}

Test(greet_schedstat, what_was_used_since_is_the_difference)
{
    struct schedstat before = {0}, after = {0};

    schedstat_add(&before, "ended", 100);
    schedstat_add(&before, "fewer", 100);
    schedstat_add(&before, "stays", 10);
    schedstat_add(&after, "stays", 25);
    schedstat_add(&after, "fewer", 60);
    schedstat_add(&after, "comes", 3);
    schedstat_subtract(&after, &before);
    cr_expect_eq(after.entries[0].nsec, 15);
    cr_expect_eq(after.entries[1].nsec, 0);
    cr_expect_eq(after.entries[2].nsec, 3);
    cr_expect_eq(schedstat_sum(&after), 18);
    schedstat_deinit(&before);
    schedstat_deinit(&after);
}

static uint64_t cpu_nsec(void)
{
    struct timespec spent;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return (uint64_t)spent.tv_sec * 1000000000 + (uint64_t)spent.tv_nsec;
}

/* The kernel brings the numbers of a running thread up to date at its ticks only, hence the
 * allowance. */
Test(greet_schedstat, tells_the_processor_time_of_this_process)
{
    struct schedstat schedstat = {0};
    uint64_t begun = cpu_nsec(), spent;

    prctl(PR_SET_NAME, "seen \"here\"");
    while (cpu_nsec() - begun < 200000000)
        ;
    cr_assert_eq(schedstat_read(&schedstat, getpid()), 0);
    spent = cpu_nsec();
    cr_expect_str_eq(schedstat.entries[0].name, "seen \"here\"");
    cr_expect_leq(schedstat_sum(&schedstat), spent);
    cr_expect_geq(schedstat_sum(&schedstat), spent - 100000000);
    schedstat_deinit(&schedstat);
}

Test(greet_schedstat, a_process_that_is_gone_is_said_to_be)
{
    struct schedstat schedstat = {0};
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    cr_expect_eq(schedstat_read(&schedstat, pid), -ESRCH);
    cr_expect_eq(schedstat.entries, NULL);
}
