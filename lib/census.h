/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * census: the kept snapshot of all processes.
 *
 * A sweep lists /proc, reads every process's stat and statm (status too while swap is in use) and
 * keeps who they are, where they belong and what ending them would give back.  Attributes that do
 * not change (uid, cgroup, what the rules say) are read once for each identity and again when
 * comm changes (an exec).  Processes are kept in the order of their pids.
 *
 * A reading ages: pages are handed out after it was taken.  Each process remembers how much the
 * machine had ever handed out when it was read (memory_reading.allocated), so that one number
 * bounds the staleness of all of them: see census_interval().
 *
 * Memory grows only in census_sweep(), which is called in calm and watch, never in act.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/accuracy.h"
#include "lib/cgroup.h"
#include "lib/policy.h"
#include "lib/proc.h"
#include "lib/util.h"

struct census_cgroup; /* kept by path; a process borrows its own */

struct census_process {
	pid_t pid;
	pid_t ppid;
	uint64_t start_ticks; /* with pid: the identity */
	struct census_cgroup *cgroup;
	const struct rule *protected_by; /* borrowed from the policy set */
	float weight;			 /* of the rules */
	uid_t uid;
	short oom_score_adj;
	char state;
	bool in_scope;
	bool kthread;
	unsigned n_threads;
	char comm[16];
	struct proc_memory memory;
	uint64_t read_at_allocated; /* bytes handed out by the machine when memory was read */
	usec_t read_at;
	uint64_t recent_footprint;  /* at most CENSUS_GROWTH_USEC ago */
	uint64_t earlier_footprint; /* once to twice as long ago, or when first seen */
	usec_t recent_at;
	int error; /* negative errno: its memory could not be read */
};

/* RankBy=growth looks back over one to two of these. */
#define CENSUS_GROWTH_USEC (5 * USEC_PER_SEC)

struct census {
	struct census_process *processes; /* by pid, ascending */
	size_t n_processes;
	size_t n_allocated;
	size_t n_unreadable; /* processes that may not be read: known, never chosen */
	unsigned generation;
	usec_t swept_at; /* 0: never */
	pid_t last_pid;	 /* the newest the kernel had given out at the last sweep; 0: not known */
	bool with_swap;	 /* swap was in use at the last sweep */

	/* Borrowed, set once. */
	int proc_fd;
	const struct cgroup_fs *cgroups;
	const struct accuracy *accuracy;
	const struct policy_set *policies;

	struct census_cgroup *cgroup_table;
	struct census_process *spare; /* the sweep's other buffer, n_allocated too */
	char *scratch;		      /* for getdents64 */
};

int census_init(struct census *census, int proc_fd, const struct cgroup_fs *cgroups,
		const struct accuracy *accuracy, const struct policy_set *policies);
void census_done(struct census *census);

/* New rules: everything they decided is looked up again at the next sweep. */
void census_set_policies(struct census *census, const struct policy_set *policies);

/*
 * Reads everything.  allocated: memory_reading.allocated at this moment; with_swap: is swap in
 * use.  0 or -errno (-ENOMEM, /proc cannot be listed); processes that vanish meanwhile are left
 * out.
 */
int census_sweep(struct census *census, usec_t now, uint64_t allocated, bool with_swap);

/* All of this process is read again at the next sweep, which is due now: it is not what we thought.
 */
void census_forget(struct census *census, pid_t pid);

/* Has a process been made since the last sweep?  One small read (/proc/loadavg); true if it cannot
 * be told. */
bool census_has_new(const struct census *census);

/* NULL if there is none.  By binary search. */
const struct census_process *census_find(const struct census *census, pid_t pid);

const char *census_cgroup_path(const struct census_cgroup *cgroup);

/* Anonymous + swap, bytes.  (Page tables come back too, but are 1/512 of it and known only where
 * status is read: shown, not counted.) */
uint64_t census_footprint(const struct proc_memory *memory);

/*
 * Where the footprint may be now, when the machine has handed out `allocated` bytes in all:
 * [0, reading + counting error + what was handed out since]; with the counting error alone, and
 * a lower end, if nothing was handed out since.
 */
struct interval census_interval(const struct census *census, const struct census_process *process,
				uint64_t allocated);
