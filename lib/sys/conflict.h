/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conflict: other daemons that kill processes when memory runs short.  Both may kill for one
 * shortage, so the others are reported; none is stopped, and nothing is refused because of it.
 *
 * They are found by the cgroups of their units, which takes a few system calls: no process is read
 * and no bus is asked.
 */
#pragma once

#include "lib/sys/cgroup.h"

/* Names of units, in the order of the bits. */
#define CONFLICT_MAX 5
extern const char *const conflict_units[CONFLICT_MAX];

/* Opens the hierarchy in which systemd has its units: v2, or v1's name=systemd; -ENOENT: none. */
int conflict_open(int proc_fd, const struct cgroup_fs *cgroups);

/* Those that are active: bit i is conflict_units[i]. */
unsigned conflict_find(int units_fd);
