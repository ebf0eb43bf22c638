/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freezer: whether a victim's group is frozen, and at which level; thaws all of it; freezes it
 * again.
 *
 * v2: a process is frozen if its cgroup or any above has cgroup.freeze 1; its own shows 0 when an
 * ancestor is the frozen one, and only cgroup.events shows it ("frozen 1").  Every level whose own
 * cgroup.freeze is 1 is thawed.  v1: every level with freezer.self_freezing 1 is thawed, or SIGKILL
 * has no effect at all.  (Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/freezer-subsystem.rst;
 * kernel/cgroup/freezer.c.)
 *
 * No thread is ever thawed alone: a victim exits only when all of its threads run.  Where only the
 * victim is to run (Thaw=victim) it is taken out of the frozen group, all threads at once, by
 * cgroup.procs; the file `tasks` moves one thread and leaves the others frozen.  That is for v1
 * alone.  On v2 SIGKILL needs no thaw, and a process that is taken out would be out of the group's
 * limits too: there no parent with controllers takes it (EBUSY, "no internal processes"), and what
 * does take it, the root or a new group, has neither its memory.max nor its device policy.
 *
 * Allocates nothing: directories are opened on the way and kept in the caller's struct.  What is to
 * be frozen again is entered in a ledger before it is thawed, in case this process exits before
 * that.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/util.h"
#include "lib/sys/cgroup.h"

#define FREEZER_MAX_LEVELS 32

struct ledger;
struct ledger_entry;

struct freezer_level {
	int dir_fd; /* of the cgroup that was thawed */
	bool v1;
	pid_t moved; /* not thawed: this process was taken out of it; 0: thawed */
	int slot;    /* in the ledger; negative: not entered */
};

/* For which process to thaw, and how; set after init, before the first thaw (pid and start_ticks
 * before each, where it is for several).  All zeros: the group, to be frozen again, with no
 * ledger. */
struct freezer_order {
	pid_t pid;
	uint64_t start_ticks;
	bool victim_only; /* the others remain frozen; needs pid */
	bool for_good;	  /* not to be frozen again */
	struct ledger *ledger;
};

/* What was thawed, so that it can be frozen again. */
struct freezer_thawed {
	struct freezer_order order;
	struct freezer_level levels[FREEZER_MAX_LEVELS]; /* outermost first, v2 before v1 */
	unsigned n_levels;
	int events_fd;	  /* v2: cgroup.events of the victim's own cgroup, for POLLPRI; or -EBADF */
	int error;	  /* the first refusal (-EACCES, ...) of a level, 0 if none; -EOVERFLOW,
			   * -EMFILE: levels were thawed that could not be remembered; -EBUSY: there is
			   * no place to take the victim to */
	int ledger_error; /* -ENOSPC, -ENAMETOOLONG: thawed, but not entered in the ledger */
};

void freezer_thawed_init(struct freezer_thawed *thawed);
/* Closes, does not freeze (entries in the ledger are kept); is as after init then. */
void freezer_thawed_done(struct freezer_thawed *thawed);

/*
 * Thaws every frozen level on the way from the root to the cgroups (v1_path may be NULL or "/").
 * Returns the number of levels thawed (0: nothing was frozen), or -errno if nothing could be
 * found out (a vanished cgroup is 0).  A level that may not be written is left and remembered in
 * thawed->error; the others are thawed all the same.  A second call for the same cgroups thaws what
 * was frozen since and adds it to the first's.
 *
 * With order.victim_only: takes the process out of the v1 path's cgroup to the innermost one above
 * it that is not frozen, which counts as one level; nothing on v2.  That waits for a grace period
 * of RCU (10 to 30 ms): the kernel stops forks and exits while it moves a process.
 */
int freezer_thaw(const struct cgroup_fs *fs, const char *v2_path, const char *v1_path,
		 struct freezer_thawed *thawed);

/* Is the process's group frozen (or freezing) now, as the kernel reports it?  1, 0, or -errno. */
int freezer_is_frozen(const struct cgroup_fs *fs, const char *v2_path, const char *v1_path);

/*
 * Freezes again, innermost first, each thawed level that still has processes (cgroup.events
 * populated, v1: cgroup.procs of it or below not empty) and that was not frozen by another program
 * meanwhile.  Returns the number of levels frozen again, or the first -errno.  A vanished cgroup is
 * skipped.  0 if all was thawed for good, and for what was moved.  Nothing is left to freeze again
 * after that: the entries are removed from the ledger.
 */
int freezer_refreeze(struct freezer_thawed *thawed);

/* Moves the processes, which are alive, back into the cgroups that they were taken out of, if they
 * were: the number of moves, or -errno. */
int freezer_move_back(struct freezer_thawed *thawed);

enum { FREEZER_NOT_THERE = 1 };
/* Takes over what the ledger says in this slot, as if it had been thawed here: 0,
 * FREEZER_NOT_THERE (the cgroup has vanished, or its path is another's now), or -errno. */
int freezer_take_over(const struct cgroup_fs *fs, const struct ledger_entry *entry, int slot,
		      struct freezer_thawed *thawed);
