/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* census-tree: what the files of census offer each other; for no other file. */
#pragma once

#include "lib/snapshot/census.h"

/* A process at no place yet; NULL: no memory. */
struct census_process *census_add(struct census *census, pid_t pid, uint64_t start_ticks);

/* Removes it from the tree and from the census. */
void census_drop(struct census *census, struct census_process *process);

/* Attaches it to the cgroup (which is made, with those above, if needed), unless it is there
 * already; kernel threads are never in the tree.  0 or -ENOMEM. */
int census_attach(struct census *census, struct census_process *process, const char *path);

/* After any change of what decides whether it may be a victim, and with what weight. */
void census_update_eligibility(struct census *census, struct census_process *process);

/* Before the first listing, or a sweep: what is read from now on makes the snapshot. */
void census_begin(struct census *census, uint64_t allocated, bool with_swap);

/* Those that vanished in a choice. */
void census_drop_gone(struct census *census);

/* Its memory is this from now on, and so many bytes it may have more than that; the sums above it
 * follow, and the bounds, its own and those above. */
void census_put_memory(struct census *census, struct census_process *process,
		       const struct proc_memory *memory, uint64_t error);

/* A node's bounds are floats, rounded; they must not be too low by that. */
static inline float census_round_up(double value)
{
	return (float)(value * (1 + 1e-6));
}

/* A new reading of its resident memory alone, as statm has it: swap and page tables are kept. */
void census_set_resident(struct census *census, struct census_process *process, uint64_t anon,
			 uint64_t shared, uint64_t allocated, usec_t now);

/*
 * How much more, or less, of any one process may be in swap than when its status was read, if that
 * is new: what was swapped in and out since, but for what changes hands without being read or
 * written: pages that were in memory and in swap at once then, or are now.  (A count by CPU, which
 * lags behind.)  A page that KSM has merged may be of a process many times, and is counted once:
 * there the process holds no more than before.  UINT64_MAX: not known.
 */
uint64_t census_swap_off(const struct census *census);

/* The statuses that are read from now on are new, no other. */
void census_begin_statuses(struct census *census);

/* Makes all bounds exact again, after all processes were read, or almost all: allocated is of when
 * that began; a process that could not be read meanwhile keeps the age of its last reading. */
void census_recompute_bounds(struct census *census, uint64_t allocated);

/* Makes the places of processes that were dropped during a round available again. */
void census_reclaim_dropped(struct census *census);

/* Aborts a round that is under way. */
void census_stop_round(struct census *census);

/* Re-reads everything of a known process, whether or not it is still the same one.  0 or -errno. */
int census_revalidate(struct census *census, pid_t pid, usec_t now, uint64_t allocated);

/* A process of this size is revalidated often. */
static inline uint64_t census_large_min(const struct census *census)
{
	return max_u64(census->largest / CENSUS_LARGEST_SHARE, CENSUS_LARGEST_MIN);
}

/* In watch, at each poll: revalidates those whose turn it is; see CENSUS_ALL_USEC.  Some
 * milliseconds at most.  0 or -errno. */
int census_revalidate_some(struct census *census, usec_t now, uint64_t allocated);

/* All processes are revalidated now, so the turns begin anew. */
void census_begin_turns(struct census *census, usec_t now);

/* The status of one process, read at most once while all of it is read. */
struct census_status {
	bool is_read;
	int result; /* 0, PROC_GONE, -E2BIG (the uid is known, its memory may not be), -errno */
	struct proc_status status;
};

/* Reads it, unless that was done.  Returns the result. */
int census_read_status(const struct census *census, const struct census_process *process,
		       struct census_status *status);

/* All that can change with neither an exec nor memory, but for the name.  is_other: nothing is
 * known of it yet, or it has another name, so that nothing can be kept.  What cannot be read is
 * taken for (uid_t)-1, the root, not adjusted.  0, PROC_GONE or -ENOMEM. */
int census_read_attributes(struct census *census, struct census_process *process, bool is_other,
			   struct census_status *status, usec_t now);

/* The highest weight that it can be ranked with: a reluctant one is ranked by its size alone. */
double census_rank_weight(const struct census_process *process);

/* The newest pid allocated in our pid namespace; 0: not known. */
pid_t census_read_last_pid(struct census *census);

/* Before a listing: hidden processes are counted anew. */
void census_begin_listing(struct census *census);
/* After a listing: drops the processes that it has not seen. */
void census_drop_unlisted(struct census *census);

/* One pid of a listing: it is read if it is not known, or if it may belong to another process by
 * now, as it was allocated after `after` and up to `last`.  0 or -errno. */
int census_visit(struct census *census, pid_t pid, pid_t after, pid_t last, usec_t now,
		 uint64_t allocated);

/* How processes are read: census-read.c. */
struct census_sweep {
	struct census *census;
	usec_t now;
	uint64_t allocated;
	pid_t after, last; /* pids allocated since: these may belong to other processes now */
	bool rereads_all;  /* known processes, too */
	bool compares;	   /* revalidates known processes: more than their memory */
	bool anew;	   /* all of it, as if the name were another */
	/* What is known already of the process that is read next, if anything. */
	struct census_status status;
};

/* All of one pid, known or not.  0 or -errno. */
int census_read_process(struct census_sweep *sweep, pid_t pid);

/* Of one process that is known: census-memory.c. */
int census_open_file(const struct census *census, const struct census_process *process,
		     const char *name);
bool census_read_shares(const struct census *census, const struct census_process *process,
			struct proc_memory *ret, unsigned *ret_code_pages);
/* CENSUS_READ_ELSEWHERE: it is gone, or a thread of it has its memory. */
enum { CENSUS_READ_ELSEWHERE = 1 };
int census_read_by_status(struct census *census, struct census_process *process,
			  struct census_status *status, uint64_t allocated, usec_t now);
