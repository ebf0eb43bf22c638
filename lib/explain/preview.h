/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preview: which process would be killed now and why: the choice, by the functions of the real one,
 * over a census that the caller has taken.  Signals nothing, changes nothing.
 *
 * Made by reckonctl, of a census of its own, and by the daemon, of the one it keeps; explain.h says
 * it in words and as JSON.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/config/policy.h"
#include "lib/kill/kill.h"
#include "lib/select/reader.h"
#include "lib/select/victim.h"
#include "lib/snapshot/census.h"
#include "lib/sys/accuracy.h"
#include "lib/sys/memory.h"
#include "lib/sys/precise.h"
#include "lib/sys/psi.h"

/* The cgroup that is killed as a whole, where one is. */
struct preview_group {
	char path[CGROUP_PATH_MAX];
	size_t length;	  /* of the path; 0: none */
	bool is_flagged;  /* by memory.oom.group, not by the policy */
	bool is_repeated; /* by repeated kills in it (streak.h) */
	unsigned n_processes;
};

/* Those that are killed with the victim, without the members of a group (kill-set.h). */
struct preview_others {
	const struct census_process *items[KILL_TOGETHER_MAX]; /* borrowed from the census */
	unsigned n;
	unsigned n_sharers;   /* of those: they have its address space; not known without precise */
	unsigned n_relatives; /* they share most of its memory */
	unsigned n_siblings;  /* after repeated kills; or what starts it again */
};

struct preview {
	/* What it is made of: borrowed, and filled in by the caller. */
	const struct policy_set *policies;
	const struct accuracy *accuracy;
	struct census *census;	 /* it takes in what the choice reads (victim_choose()) */
	struct precise *precise; /* NULL: nothing that may block is read */
	/* By which address spaces are compared, and for how long at most; NULL: they are not. */
	struct precise *comparing;
	usec_t compare_budget;
	int proc_fd;
	usec_t (*now)(void);
	usec_t budget; /* of all reads that may block */
	struct memory_reading memory;
	bool has_psi;
	struct psi_reading pressure;	       /* for people */
	const struct psi_history *psi;	       /* for policies; NULL: none */
	const struct reclaim_history *reclaim; /* likewise */
	uint64_t unswappable;
	bool stalls_are_explained; /* struct policy_reading */
	bool hides_others;	   /* /proc shows this user's own processes alone (hidepid) */
	const char *self_name;	   /* of the program that asks */
	/* The user's name, or the number as text; NULL: not known; good until the next call. */
	const char *(*user)(uid_t uid, void *userdata);
	void *userdata;
	/* What a victim of the policy has to free now; NULL: as the configuration says. */
	uint64_t (*min_victim)(const struct policy *policy, void *userdata);
	const struct backoff *backoff; /* NULL: no process is skipped */
	const struct streak *streak;   /* NULL: there was no kill before */
	uint64_t ticks_now;	       /* as start_ticks: since boot */
	const char *own_cgroup;	       /* the daemon's; NULL: not known */

	/* What preview_choose() finds. */

	/* The policy that would be the first to kill: the strongest whose conditions hold, else the
	 * first of the configuration; NULL: no policy kills. */
	const struct policy *policy;
	bool policy_holds;
	const struct policy *warning; /* a policy that warns, whose conditions hold, or NULL */
	struct reader reader;
	unsigned n_reads;
	struct victim_request request;
	/* Owned: victim_done(); victim_reserve() comes before.  Where cgroups were ranked, .cgroup
	 * and .memory are the cgroup's, and .process is the largest in it. */
	struct victim_result result;
	struct preview_group group; /* in which the victim is */
	struct preview_others others;
	/* One that would have been the victim, but that shares its memory with another that may not
	 * be killed: both borrowed from the census; NULL: there is none. */
	const struct census_process *withheld, *withheld_for;
	uint64_t frees; /* what the victim and all that are killed with it free, and within which
			 * limits */
	struct interval size;
	size_t n_excluded[_ELIGIBILITY_MAX];
};

/* What its policies are judged by; points into it. */
struct policy_reading preview_reading(const struct preview *preview);

/* Finds the policy and chooses.  Good until the census changes. */
void preview_choose(struct preview *preview);

/* The result of user(). */
const char *preview_user(const struct preview *preview, uid_t uid);

/* The candidate [0] of the ranking, or NULL: no process is eligible. */
const struct victim_candidate *preview_victim(const struct preview *preview);

/* Does the policy kill whole cgroups, so that these were ranked? */
bool preview_is_of_cgroups(const struct preview *preview);
/* Is this process ranked with its cgroup, not by itself? */
bool preview_is_by_cgroup(const struct preview *preview, const struct census_process *process);

/* Is this process killed with the victim, or is it that? */
bool preview_is_victim(const struct preview *preview, const struct census_process *process);

/*
 * What killing the candidate would free, by what is known: what it would free by itself, or, where
 * most of its memory is shared with relatives, all of it with these, which are killed with it.
 * *ret_relatives: how many.
 */
uint64_t preview_frees(const struct preview *preview, const struct victim_candidate *candidate,
		       unsigned *ret_relatives);
/* Finds what is killed with the first of the ranking; false: that may not be killed.  Of
 * preview_choose(). */
bool preview_find_others(struct preview *preview);

/* Of how many processes the candidate's memory is. */
unsigned preview_processes(const struct victim_candidate *candidate);

/* Of the rules. */
double preview_weight(const struct victim_candidate *candidate);

/* The largest error of the precise reads: 0 unless smaps_rollup was asked for in vain. */
uint64_t preview_read_error(const struct preview *preview);

/* Where the candidate's footprint was when it was last read; one number where that was exact. */
struct interval preview_size(const struct preview *preview,
			     const struct victim_candidate *candidate);

/* One process as a candidate, by its newest reading, whatever that was. */
void preview_known(const struct preview *preview, const struct census_process *process,
		   struct victim_candidate *ret);

/*
 * Does the candidate have a higher score than the victim, and was it skipped, and why?
 * BACKOFF_SIMILAR or BACKOFF_CONSECUTIVE; of cgroups it is known of result.skipped alone.
 */
enum backoff_verdict preview_skipped(const struct preview *preview,
				     const struct victim_candidate *candidate);

/*
 * One process as a candidate: from the ranking where it is there, else read now.  *ret_rank counts
 * from 1; where cgroups were ranked, it is that of the process's; 0: that may not be killed as a
 * whole.  0, or PROC_GONE.
 */
int preview_candidate(struct preview *preview, const struct census_process *process,
		      struct victim_candidate *ret, size_t *ret_rank);
