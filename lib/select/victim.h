/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * victim: which process is killed, in two passes.
 *
 * Each process of the census has an estimate (what killing it is thought to free) and an upper end
 * (the most that it can have mapped by now: last reading, counting error, all that the machine has
 * allocated since).  A score is either times a weight.  A node of the tree has the highest of both
 * below it, so a cgroup, or a bucket of one, that cannot reach the best is skipped with all in it.
 *
 * Pass 1 opens no file: the process with the best estimate is the first candidate.  After hours of
 * calm nearly every upper end is gigabytes, and does not show which process is large; estimates do.
 * Pass 2 makes sure: the candidate is read, as exactly as can be, and its score is the mark; then
 * those whose upper end reaches the mark are read, highest first, until none is left.  There are
 * two kinds of reads.  A status file (microseconds) shows what is mapped now: that excludes nearly
 * all.  smaps_rollup (milliseconds per GiB) shows what part of it is shared, and is read of at most
 * VICTIM_MAX_READS processes in one choice.  What is read is stored in the census, so that the next
 * choice continues one that was cut short.
 *
 * What all processes hold together (AnonPages and the like) bounds those that were not read: if the
 * candidate holds most of it, no other can hold more than the rest.
 *
 * Promise: unless result->approximate, no candidate's true score at the moment of its reading,
 * weighted as the census knows it, exceeded the victim's by more than the error of the reading, or
 * by VICTIM_NEAR of it: among near equals the youngest is chosen.  The victim itself was read in
 * this choice.  If result->approximate, some were left undecided by the limits on reads or time.
 * Processes under backoff (backoff.h) are no candidates, either at all or because there are others.
 *
 * This is the idea of the kernel's two-pass select_bad_process() series, with its flaws left out:
 * an undecided candidate never replaces a better one, and the result does not depend on the order
 * of the processes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/util.h"
#include "lib/config/eligibility.h"
#include "lib/config/policy.h"
#include "lib/select/backoff.h"
#include "lib/select/streak.h"
#include "lib/snapshot/census.h"
#include "lib/sys/memory.h"
#include "lib/sys/reclaimable.h"

/* Precise reads of one choice, all walks together. */
#define VICTIM_MAX_READS 16
/* Scores are nearly equal if one is larger by at most a sixteenth. */
#define VICTIM_NEAR(score) ((score) / 16)

enum victim_verdict {
	VICTIM_UNDECIDED, /* not read, and its upper end reaches the victim's score */
	VICTIM_CHOSEN,
	VICTIM_SMALLER, /* read precisely: less than the victim, or as much and older; or not
			 * read, and its upper end is below the victim's score */
};

struct victim_candidate {
	const struct census_node *node;
	const struct census_process *process; /* borrowed from the census; NULL: a cgroup */
	const struct census_cgroup *cgroup;   /* NULL: a process */
	struct interval score;		      /* bytes, weighted */
	float weight;			      /* of a cgroup; a process has its own */
	uint64_t estimate;		      /* the score by the newest reading; what is ranked */
	struct proc_memory memory;	      /* that reading */
	uint64_t held;	/* in memory.shmem: what it holds by descriptors: victim_take() */
	uint64_t alone; /* what its death frees for certain, all relatives left alive; if precise */
	bool is_read;	/* its memory was read in this choice */
	bool precise;	/* its share of it too, or that was measured a moment ago, or it is all its
			 * own by what is known of others (share-bound.h) */
	bool is_unit; /* most of it is shared with relatives (family.h), which are killed with it */
	uint64_t error;	    /* of a precise one: how far its memory may be off, bytes */
	bool has_args;	    /* they were read in this choice: not again, whatever they are */
	uint64_t args_hash; /* of a process, if so: struct reclaimable's; or 0 */
	enum victim_verdict verdict;
};

/* What is killed with the victim because they have filled memory together: victim-group.h. */
enum victim_as_one {
	VICTIM_ALONE,
	VICTIM_AS_CGROUP,    /* all of its cgroup */
	VICTIM_AS_SIBLINGS,  /* those of its name, user and parent */
	VICTIM_WITH_STARTER, /* what has started it again after each kill */
};

/* So many are ranked and kept at most; the rest are only counted. */
#define VICTIM_RANKED_MAX 32

/* What a decision asks for, so that it can report which would be next, and with which intervals: 1
 * to 10 us more at 10,000 processes, some 20 where hardly any is eligible. */
#define VICTIM_REPORTED	      3
#define VICTIM_REPORTED_NODES 1024

struct victim_entry {
	uint64_t key;
	const struct census_node *node;
};

struct victim_result {
	/* Best first: [0] is the victim if n_ranked > 0. */
	struct victim_candidate ranked[VICTIM_RANKED_MAX];
	unsigned n_ranked;
	unsigned n_reads;   /* precise ones */
	unsigned n_rereads; /* of status */
	unsigned n_summed;  /* cgroups whose processes were added up */
	bool approximate;   /* some candidate was left undecided */
	bool is_cut;	    /* by the limit on time: choosing again continues it */
	bool is_reluctant;  /* no eligible process was worth it: reluctant ones were ranked, by size
			     */
	enum victim_as_one as_one; /* what is killed with [0] */
	bool is_replaced;	   /* siblings: one that was killed has been replaced, at least */
	bool is_undone;	      /* siblings: those that were killed have been replaced each time */
	unsigned n_respawned; /* kills before, after each of which it was started again (respawn.h)
			       */
	pid_t starter_pid;    /* VICTIM_WITH_STARTER: of what has started it */
	size_t n_candidates;
	size_t n_visited; /* nodes visited; what a choice costs */

	/* The largest that vanished when it was to be read, by its last reading; pid 0: none did.
	 */
	pid_t vanished_pid;
	uint64_t vanished_score;
	int read_error; /* of the last candidate that could not be read; 0: all could */

	/* The one with a higher score than the victim, and the highest of all that are under
	 * backoff; .node NULL: none does.  Killing its kind was ineffective (BACKOFF_SIMILAR), or
	 * it failed last (BACKOFF_CONSECUTIVE). */
	struct victim_candidate skipped;
	enum backoff_verdict skipped_for;
	unsigned skipped_kinds; /* that were skipped, as in backoff_kinds() */

	struct victim_entry *heap; /* storage, kept between choices */
	size_t n_heap;
	size_t n_allocated;
};

/* The arguments of those of which the share was measured before the choice, as a hash (struct
 * reclaimable's), so that the choice need not read them: each at the place of its pid, the last one
 * that was measured there. */
#define VICTIM_ARGS_MAX 64
struct victim_args {
	pid_t pid; /* 0: none */
	uint64_t start_ticks;
	uint64_t hash;
};
void victim_note_args(struct victim_args args[static VICTIM_ARGS_MAX],
		      const struct census_process *process, uint64_t hash);

struct victim_request {
	const struct census_node *root; /* what is chosen from: all below it; NULL: the machine */
	enum policy_rank_by rank_by; /* processes; cgroups are ranked by what is reclaimable, and so
				      * is what is compared with them: policy_rank_by_now() */
	enum policy_target target;
	unsigned n_wanted;   /* rank so many if there are, for display: no file is read for that */
	size_t node_budget;  /* and visit no more nodes for those; 0: at all */
	uint64_t allocated;  /* memory_reading.allocated now */
	uint64_t total;	     /* memory + swap, bytes: badness' unit for oom_score_adj */
	uint64_t memory;     /* without swap: what a ceiling is a share of; 0: not known */
	uint64_t min_victim; /* bytes: what frees less is no candidate */
	usec_t now;
	uint64_t ticks_now; /* as start_ticks: since boot; 0: not known */
	pid_t self;
	bool reluctantly;		/* set by victim_choose() in its copy: raw sizes count */
	const struct backoff *backoff;	/* NULL: none is under backoff */
	const struct streak *streak;	/* NULL: there was no kill before */
	const char *own_cgroup;		/* the daemon's; NULL: not known */
	const struct victim_args *args; /* VICTIM_ARGS_MAX of them; NULL: none is known */
};

/* What of a request follows from the policy (NULL: none kills) and the machine; the rest is 0. */
struct victim_request victim_request_of(const struct policy *policy,
					const struct memory_reading *reading, usec_t now);

/* One process, as it is now. */
struct victim_reading {
	struct proc_memory memory; /* kept is 0: see the next two */
	uint64_t error;		   /* how far that may be off, bytes; 0 where it is exact */
	int oom_score_adj;
	bool has_reclaimable;
	struct reclaimable reclaimable;
};

/* 0, VICTIM_READ_GONE, VICTIM_READ_LATE (no answer within the deadline), or -errno. */
enum { VICTIM_READ_GONE = 1, VICTIM_READ_LATE = 2 };
typedef int (*victim_read_fn)(const struct census_process *process, struct victim_reading *ret,
			      void *userdata);

/*
 * How a choice reads.  precise: as exactly as can be.  reread: at little cost, into the census
 * (census_reread()); VICTIM_READ_GONE: the process is no longer in the census; VICTIM_READ_LATE:
 * there is no more time in this choice.  NULL: what is stale is read precisely at once.
 */
struct victim_reader {
	victim_read_fn precise;
	int (*reread)(struct census *census, struct census_process *process, void *userdata);
	void *userdata;
};

/* Room for a walk over this census; called when it has grown, never in an emergency.  0 or -ENOMEM.
 */
int victim_reserve(struct victim_result *result, const struct census *census);
void victim_done(struct victim_result *result);

/*
 * Chooses; allocates nothing.  result->n_ranked == 0: there is no candidate, or none could be read.
 * The candidates point into the census and are good until it changes.  The census takes in what is
 * read.
 */
void victim_choose(struct census *census, const struct victim_request *request,
		   const struct victim_reader *reader, struct victim_result *result);

/* Where a choice found no victim: this process instead, which holds so many bytes by descriptors
 * alone (a memfd, full pipes), in no figure of its own.  It is to be eligible. */
void victim_take(const struct census_process *process, uint64_t held, struct victim_result *result);

/* What its death frees for certain, with what it holds.  May read its shares, which counts as one
 * of result->n_reads. */
uint64_t victim_with_held(const struct census *census, const struct census_process *process,
			  const struct victim_reader *reader, usec_t now, uint64_t held,
			  struct victim_result *result);
/* Does a process of so many bytes count for more than the one that was chosen?  (If none was: yes.)
 */
bool victim_would_be_first(const struct victim_result *result, const struct victim_request *request,
			   const struct census_process *process, uint64_t bytes);

enum eligibility victim_exclusion(const struct census *census, const struct census_process *process,
				  const struct victim_request *request);
/* Of a process, or of a cgroup with all processes in it: eligibility_join(). */
enum eligibility victim_eligibility(const struct census *census, const struct census_node *node,
				    const struct victim_request *request);
/* Is it the root, or the subtree?  That is never killed as a whole: where cgroups are chosen from,
 * each process that is directly in it is a candidate by itself beside them. */
bool victim_is_top(const struct census *census, const struct census_node *node);
/* How many processes get each verdict; for display only, as it judges every process. */
void victim_count_exclusions(const struct census *census, const struct victim_request *request,
			     size_t ret[static _ELIGIBILITY_MAX]);
/* For the process, by request->backoff. */
enum backoff_verdict victim_backoff(const struct census_process *process,
				    const struct victim_request *request);
/* Of which kinds that were ineffective it is. */
unsigned victim_kinds(const struct census_process *process, const struct victim_request *request);
const char *victim_verdict_to_string(enum victim_verdict verdict);

/* The largest process below the node: the one for which its cgroup is chosen. */
const struct census_process *victim_largest_below(const struct census_node *node);

/* The same among those that are killed with a candidate, where some members of a cgroup are spared;
 * of a process it is the process. */
const struct census_process *victim_leader(const struct census *census,
					   const struct victim_request *request,
					   const struct census_node *node);

/* What of the reading of this process is not freed when it is killed: sets reading->memory.kept
 * (see victim-read.c).  request: for eligibility.  True: it is to be killed with its family. */
bool victim_apply_share(const struct census *census, const struct census_process *process,
			const struct victim_request *request, struct victim_reading *reading);

/* The score of the process, were this its memory. */
uint64_t victim_score(const struct census_process *process, const struct victim_request *request,
		      const struct proc_memory *memory);

/* The score, were so many bytes reclaimable; RankBy=footprint. */
uint64_t victim_weighted(const struct census_process *process, const struct victim_request *request,
			 uint64_t bytes);
