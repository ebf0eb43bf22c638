/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proc-virtual: is a file of /proc the kernel's own, or has another been mounted over it?
 *
 * In containers lxcfs (and the like) shows the container's own meminfo, swaps, loadavg, stat and
 * uptime by mounting its files over the kernel's.  All other files are still the host's, so figures
 * of the two kinds must not be added up; and the last pid in loadavg may be of the host's pid
 * namespace (lxcfs -l).
 */
#pragma once

#include <stdbool.h>

/*
 * name: a file at the top of proc_fd, as "meminfo".  On a proc file system: its mount point is of
 * another file system.  On a stored tree: as self/mountinfo in it says.  false where that cannot
 * be told.
 */
bool proc_is_virtualised(int proc_fd, const char *name);
