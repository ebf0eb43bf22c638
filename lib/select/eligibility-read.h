/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* eligibility-read: the subject of eligibility.h from a live read of /proc. */
#pragma once

#include "lib/config/eligibility.h"
#include "lib/snapshot/census.h"

struct eligibility_source {
	int proc_fd;
	const struct cgroup_fs *cgroups;
	const struct policy_set *policies;
	/* NULL, or: a process that is as it is known there is not matched against the rules again,
	 * which may allocate (regexec(3)). */
	const struct census *census;
	const char *subtree;
	uint64_t page_size;
	uint64_t total; /* memory of the machine */
	pid_t self;
};

/*
 * 0, PROC_GONE, or -errno: the process cannot be judged.  subject->backoff is not filled in.
 * Memory is read only where it decides.  After a transient error what the census knows is taken, if
 * it knows the process.
 */
int eligibility_read(const struct eligibility_source *source, pid_t pid,
		     struct eligibility_subject *ret);
