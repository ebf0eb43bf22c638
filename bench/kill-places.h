/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill-places: the cgroups in which victims are put: where their memory is counted, where they
 * are frozen, where their CPU time is limited; of v1 where there is v1, else of v2.
 *
 * All of the same name, at the roots of their hierarchies; what may not be made is left out, and
 * its fd is -EBADF.  On v2 four levels, so that the victim's own is three below the outermost.
 */
#pragma once

#include <stdbool.h>

#include "lib/sys/cgroup.h"

#define PLACES_NAME_SIZE 64

struct places {
	char name[PLACES_NAME_SIZE]; /* with the leading '/' */
	char v2_path[2 * PLACES_NAME_SIZE];
	int memory_fd; /* v1: memory.usage_in_bytes; v2: the outermost's memory.current */
	bool memory_is_v1;
	int cpu_fd; /* v1: cpu.cfs_quota_us; v2: the outermost's cpu.max */
	bool cpu_is_v1;
	int v1_freezer_fd;
	int v2_fd; /* the outermost */
	int v2_leaf_fd;
};

/* Makes what is permitted; prints on standard output what is not. */
void places_make(struct places *places, const struct cgroup_fs *fs);

/* Moves the calling process to all of them; false if to one it cannot.  To v1's cpu controller only
 * to be limited: in a group of its own it would compete as one, whatever its nice level. */
bool places_enter(const struct places *places, bool limited);

/* 0 or -errno.  Freezing waits until all is frozen. */
int places_freeze_v1(const struct places *places, bool freeze);
int places_freeze_v2(const struct places *places, bool freeze);

/* Of a CPU; 0: no limit.  0 or -errno. */
int places_limit_cpu(const struct places *places, unsigned percent);

/* Thaws, kills and waits for what is left in them, and removes them. */
void places_clear(struct places *places, const struct cgroup_fs *fs);
