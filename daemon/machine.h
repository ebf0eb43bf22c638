/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * machine: the kernel interfaces that all parts of the daemon read and write: opened at start, and
 * not changed afterwards.  A test gives one that is made of files.
 */
#pragma once

#include "lib/kill/kill.h"
#include "lib/sys/accuracy.h"
#include "lib/sys/cgroup.h"

struct machine {
	int proc_fd; /* /proc */
	int sys_fd;  /* /sys; negative: there is none */
	struct cgroup_fs cgroups;
	struct accuracy accuracy; /* of statm, measured */
	const struct kill_ops *kill_ops;
};
