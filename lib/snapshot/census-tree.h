/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* census-tree: what the files of census offer each other; for no other file. */
#pragma once

#include "lib/snapshot/census.h"

/* A process at no place yet; NULL: no memory. */
struct census_process *census_add(struct census *census, pid_t pid, uint64_t start_ticks);

/* Out of the tree, and forgotten. */
void census_drop(struct census *census, struct census_process *process);

/* Puts it under the cgroup (made, with those above, if need be), or leaves it there; kernel threads
 * stay outside of the tree.  0 or -ENOMEM. */
int census_place(struct census *census, struct census_process *process, const char *path);

/* After any change of what decides whether it may be a victim, and with what weight. */
void census_weigh(struct census *census, struct census_process *process);

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

/* A new reading of its resident memory alone, as statm has it: swap and page tables stand. */
void census_count_resident(struct census *census, struct census_process *process, uint64_t anon,
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

/* Makes all bounds exact again; after everybody was read, or almost: allocated is of when that
 * began, and who could not be read meanwhile is as old as he is. */
void census_tighten(struct census *census, uint64_t allocated);

/* Those who were dropped while a round held pointers to them. */
void census_bury(struct census *census);

/* A round under way is not gone on with. */
void census_stop_round(struct census *census);

/* One process that is known: all of it, be it who we thought or not.  0 or -errno. */
int census_compare(struct census *census, pid_t pid, usec_t now, uint64_t allocated);

/* In watch, at each look: compares those whose turn it is; see CENSUS_EVERYBODY_USEC.  Some
 * milliseconds at most.  0 or -errno. */
int census_compare_some(struct census *census, usec_t now, uint64_t allocated);

/* Everybody is compared now, so the turns begin anew. */
void census_begin_turns(struct census *census, usec_t now);

/* All that can change with neither an exec nor memory, but for the name.  is_other: nothing is
 * known of it yet, or it has another name, so that nothing can be kept.  What cannot be read is
 * taken for "nobody's", "at the root", "not adjusted".  0, PROC_GONE or -ENOMEM. */
int census_read_attributes(struct census *census, struct census_process *process, bool is_other,
			   usec_t now);

/* The highest weight that it can be ranked with: a reluctant one is ranked by its size alone. */
double census_rank_weight(const struct census_process *process);

/* The newest pid given out in our pid namespace; 0: not known. */
pid_t census_read_last_pid(const struct census *census);

/* Before a listing: who is hidden is counted anew. */
void census_begin_listing(struct census *census);
/* Those that the listing which ends has not seen are gone. */
void census_drop_unlisted(struct census *census);

/* One pid of a listing: it is read if it is not known, or may be another's by now, as it was given
 * out after `after` and up to `last`.  0 or -errno. */
int census_meet(struct census *census, pid_t pid, pid_t after, pid_t last, usec_t now,
		uint64_t allocated);

/* How processes are read: census-read.c. */
struct census_sweep {
	struct census *census;
	usec_t now;
	uint64_t allocated;
	pid_t after, last; /* pids given out since: these may be somebody else's now */
	bool rereads_all;  /* those that are known, too */
	bool compares;	   /* more than memory, of those we know */
	bool anew;	   /* all of it, as if the name were another */
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
int census_read_by_status(struct census *census, struct census_process *process, uint64_t allocated,
			  usec_t now);
