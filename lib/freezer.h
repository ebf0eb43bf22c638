/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freezer: is a victim's group frozen, by whom; thaw all of it; put it back.
 *
 * v2: a process is frozen if its cgroup or any above has cgroup.freeze 1; its own shows 0 when an
 * ancestor is the frozen one, and only cgroup.events tells ("frozen 1").  Every level whose own
 * cgroup.freeze is 1 is thawed.  v1: every level with freezer.self_freezing 1 is thawed, or
 * SIGKILL has no effect at all.  (Documentation/admin-guide/cgroup-v2.rst,
 * cgroup-v1/freezer-subsystem.rst; kernel/cgroup/freezer.c.)
 *
 * No thread is ever thawed alone: a victim exits only when all of its threads run.
 * Allocates nothing: directories are opened on the way and kept in the caller's struct.
 */
#pragma once

#include <stdbool.h>

#include "lib/cgroup.h"
#include "lib/util.h"

#define FREEZER_MAX_LEVELS 32

struct freezer_level {
	int dir_fd; /* of the cgroup that was thawed */
	bool v1;
};

/* What was thawed, so that it can be frozen again. */
struct freezer_thawed {
	struct freezer_level levels[FREEZER_MAX_LEVELS]; /* outermost first, v2 before v1 */
	unsigned n_levels;
	int events_fd; /* v2: cgroup.events of the victim's own cgroup, for POLLPRI; or -EBADF */
	int error;     /* the first refusal (-EACCES, ...) of a level, 0 if none; -EOVERFLOW,
			* -EMFILE: levels were thawed that could not be remembered */
};

void freezer_thawed_init(struct freezer_thawed *thawed);
/* Closes, does not freeze; is as after init then. */
void freezer_thawed_done(struct freezer_thawed *thawed);

/*
 * Thaws every frozen level on the way from the root to the cgroups (v1_path may be NULL or "/").
 * Returns the number of levels thawed (0: nothing was frozen), or -errno if nothing could be
 * found out (a vanished cgroup is 0).  A level that may not be written is left and remembered in
 * thawed->error; the others are thawed all the same.  A second call for the same cgroups thaws what
 * was frozen since and adds it to the first's.
 */
int freezer_thaw(const struct cgroup_fs *fs, const char *v2_path, const char *v1_path,
		 struct freezer_thawed *thawed);

/* Is the process's group frozen (or freezing) now, by the kernel's word?  1, 0, or -errno. */
int freezer_is_frozen(const struct cgroup_fs *fs, const char *v2_path, const char *v1_path);

/*
 * Freezes again, innermost first, each thawed level that still has processes (cgroup.events
 * populated, v1: cgroup.procs of it or below not empty) and that nobody else has frozen
 * meanwhile.  Returns the number of levels frozen again, or the first -errno.  A vanished cgroup
 * is passed over.
 */
int freezer_refreeze(struct freezer_thawed *thawed);
