/* SPDX-License-Identifier: MIT */
#pragma once

/* The number of processors that this process may use. Owns nothing; reads files of the kernel. */

/* The size of the affinity mask (sched_getaffinity(2)), or the processor quota of the process's
 * control group or one above it (cpu.max of cgroup v2, cgroups(7)) if that is smaller. A quota of
 * one and a half processors counts as two. At least 1. Quotas of cgroup v1 are ignored. */
unsigned processors_available(void);

/* The quota, rounded up, of the process whose /proc/PID/cgroup is the file PROC_CGROUP, where
 * cgroup v2 is mounted at CGROUP_ROOT (/sys/fs/cgroup). 0 if there is none or it is unknown. */
unsigned processors_quota(const char *proc_cgroup, const char *cgroup_root);
