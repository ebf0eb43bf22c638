/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * self-test: finds out at start, not in the emergency, what this daemon is not permitted to do: it
 * kills a child of its own by the same functions that kill a victim.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

#include "lib/kill/kill.h"

struct machine;

/* What was logged, and is kept for the bus. */
struct probe_lines {
	char **lines;
	size_t n;
};

static inline void probe_lines_done(struct probe_lines *kept)
{
	for (size_t i = 0; i < kept->n; i++)
		free(kept->lines[i]);
	free(kept->lines);
}

/* What was found at start. */
struct probe_results {
	int psi_trigger_error; /* -errno of the privileged trigger */
	int psi_fallback_error;
	int memory_lock_error;
	int oom_score_adj_error;
	int fifo_error;
	int private_socket_error; /* why there is none, or 0 */
	int self_test_result[_KILL_STEP_MAX];
	int thaw_error[2];	/* by "is v1": where it could not be tested */
	bool in_user_namespace; /* and others are outside of it */
	bool self_test_reaped;
	bool self_test_stuck;		       /* its child does not exit */
	bool is_unprivileged;		       /* it was not started as root */
	uint64_t missing_capabilities;	       /* bit by number, of those that are needed */
	pid_t self_test_pid;		       /* the child of the self-test; 0: none */
	struct probe_lines missing_privileges; /* what it is not permitted to do */
	struct probe_lines limitations;	       /* what else does not work here, or is in doubt */
};

/* What it works on; borrowed. */
struct self_test {
	const struct machine *machine;
	struct probe_results *probed;
	struct kill_reapers *reapers;
	const char *subtree;
};

/* Locks memory, asks for priority, lowers its own oom_score_adj; what it lacks for that and for its
 * work.  Results in t->probed. */
void self_test_protect_self(const struct self_test *t);

/* Makes the child, which waits: before there are threads, as nothing is forked after that.  0 or
 * -errno. */
int self_test_begin(const struct self_test *t);

/*
 * The whole path, open to reap, on the child; results in t->probed.  The child is frozen first, in
 * a cgroup that is made for it below our own, in each hierarchy where that is possible; where it is
 * not, the mode of a file that would be written to thaw a process is checked.  Takes some seconds
 * at most: a child that does not exit by then is left (self_test_stuck).  0, or -errno
 * where there is no child.
 */
int self_test_run(const struct self_test *t);

/* Kills a child that is still there. */
void self_test_end(const struct self_test *t);

/* Removes the cgroups of daemons that were killed during theirs, with the process in each.  One
 * that a daemon uses is locked, and left alone: that daemon may be in another pid namespace. */
void self_test_clean_up(const struct self_test *t);
