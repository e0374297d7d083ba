/* SPDX-License-Identifier: MIT */
#pragma once

/* How many processors this process may really use. */

/* Counts the processors in the affinity mask (sched_getaffinity(2)), and fewer if the process or a
 * group above it has a processor quota, cpu.max of cgroup v2 (cgroups(7)). A quota of one and a
 * half processors counts as two. At least 1. Quotas of cgroup v1 are not looked for. */
unsigned processors_available(void);

/* The quota alone, rounded up, for the process whose /proc/PID/cgroup file is at PROC_CGROUP, with
 * cgroup v2 mounted at CGROUP_ROOT (/sys/fs/cgroup). 0 if there is none or it can't be found out.
 */
unsigned processors_quota(const char *proc_cgroup, const char *cgroup_root);
