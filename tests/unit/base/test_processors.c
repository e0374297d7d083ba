/* SPDX-License-Identifier: MIT */
#include "greetd/base/processors.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(processors, .timeout = 60);

/* A tree of control groups, and the /proc/PID/cgroup of a process in it. */
struct tree {
    char root[64];
    char proc[128];
};

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    cr_assert(file, "%s", path);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
}

static void plant(struct tree *tree, const char *proc)
{
    strcpy(tree->root, "/tmp/greetd-processors-XXXXXX");
    cr_assert(mkdtemp(tree->root));
    snprintf(tree->proc, sizeof(tree->proc), "%s/self", tree->root);
    write_file(tree->proc, proc);
}

/* Gives the group at PATH ("/a/b", or "" for the root) a file NAME that says TEXT. */
static void set(struct tree *tree, const char *path, const char *name, const char *text)
{
    char file[512];
    snprintf(file, sizeof(file), "%s%s/%s", tree->root, path, name);

    for (char *slash = strchr(file + strlen(tree->root) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(file, 0755);
        *slash = '/';
    }
    write_file(file, text);
}

static unsigned quota(const struct tree *tree)
{
    char command[256];
    unsigned n = processors_quota(tree->proc, tree->root);

    snprintf(command, sizeof(command), "rm -r %s", tree->root);
    cr_assert_eq(system(command), 0);
    return n;
}

Test(processors, a_quota_of_v2_is_rounded_up)
{
    struct tree tree;

    plant(&tree, "0::/a\n");
    set(&tree, "/a", "cpu.max", "150000 100000\n");
    cr_assert_eq(quota(&tree), 2);
}

Test(processors, a_whole_quota_is_not_rounded)
{
    struct tree tree;

    plant(&tree, "0::/a\n");
    set(&tree, "/a", "cpu.max", "300000 100000\n");
    cr_assert_eq(quota(&tree), 3);
}

Test(processors, a_tenth_of_a_processor_is_one)
{
    struct tree tree;

    plant(&tree, "0::/a\n");
    set(&tree, "/a", "cpu.max", "10000 100000\n");
    cr_assert_eq(quota(&tree), 1);
}

Test(processors, max_is_no_quota)
{
    struct tree tree;

    plant(&tree, "0::/a\n");
    set(&tree, "/a", "cpu.max", "max 100000\n");
    cr_assert_eq(quota(&tree), 0);
}

Test(processors, a_group_above_limits_too)
{
    struct tree tree;

    plant(&tree, "0::/a/b/c\n");
    set(&tree, "/a/b/c", "cpu.max", "max 100000\n");
    set(&tree, "/a", "cpu.max", "400000 100000\n");
    cr_assert_eq(quota(&tree), 4);
}

Test(processors, the_tightest_of_all_counts)
{
    struct tree tree;

    plant(&tree, "0::/a/b/c\n");
    set(&tree, "/a/b/c", "cpu.max", "500000 100000\n");
    set(&tree, "/a/b", "cpu.max", "200000 100000\n");
    set(&tree, "/a", "cpu.max", "300000 100000\n");
    cr_assert_eq(quota(&tree), 2);
}

/* In a container the path is that of the host, and its own group is the root of the mount. */
Test(processors, the_root_of_the_mount_limits_too)
{
    struct tree tree;

    plant(&tree, "0::/docker/0123\n");
    set(&tree, "", "cpu.max", "100000 100000\n");
    cr_assert_eq(quota(&tree), 1);
}

/* On a host with both versions the controller of processors is with the older one. */
Test(processors, the_group_is_that_of_v2)
{
    struct tree tree;

    plant(&tree, "4:cpu,cpuacct:/a\n0::/b\n");
    set(&tree, "/a", "cpu.max", "100000 100000\n");
    set(&tree, "/b", "cpu.max", "600000 100000\n");
    cr_assert_eq(quota(&tree), 6);
}

Test(processors, what_is_missing_limits_nothing)
{
    struct tree tree;

    plant(&tree, "4:cpu,cpuacct:/a\n0::/b\n");
    cr_assert_eq(quota(&tree), 0);
    cr_assert_eq(processors_quota("/nonexistent", "/nonexistent"), 0);
}

Test(processors, what_makes_no_sense_limits_nothing)
{
    struct tree tree;

    plant(&tree, "\nnonsense\n4:cpu\n0::/a\n");
    set(&tree, "/a", "cpu.max", "100000 0\n");
    set(&tree, "", "cpu.max", "100000\n");
    cr_assert_eq(quota(&tree), 0);
}

/* As a kernel that is built for so many processors, of which the process may use N; 0: as ours. */
static struct {
    size_t built_for, n;
} kernel;

int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *mask)
{
    CPU_ZERO_S(size, mask);
    if (kernel.built_for == 0)
        return syscall(SYS_sched_getaffinity, pid, size, mask) < 0 ? -1 : 0;
    if (size * CHAR_BIT < kernel.built_for) {
        errno = EINVAL;
        return -1;
    }
    for (size_t i = 0; i < kernel.n; i++)
        CPU_SET_S(kernel.built_for - 1 - i, size, mask);
    return 0;
}

Test(processors, all_are_available_on_the_largest_machine)
{
    kernel.built_for = 8192;
    kernel.n = 2000;
    cr_assert_eq(processors_available(), 2000);
}

Test(processors, no_more_are_available_than_affinity_allows)
{
    cpu_set_t set, one;
    size_t first = 0;

    cr_assert_eq(sched_getaffinity(0, sizeof(set), &set), 0);
    cr_assert_geq(processors_available(), 1);
    cr_assert_leq(processors_available(), (unsigned)CPU_COUNT(&set));

    while (!CPU_ISSET(first, &set))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
    cr_assert_eq(processors_available(), 1);
}
