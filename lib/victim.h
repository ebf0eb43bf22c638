/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * victim: who is to go, in two passes.
 *
 * Pass 1 opens no file.  It walks the census best-first by upper end: a node's upper end bounds
 * all that is below it, so a cgroup (or a bundle of it) that cannot reach the best is passed over
 * with all in it.  A process's score is known to lie in an interval, from its last reading, how
 * wrong the kernel's number may be and what the machine has handed out since.  Pass 2 reads those
 * that the walk comes to precisely, highest upper end first, until no other upper end reaches the
 * best precise score; at most VICTIM_MAX_READS reads.  This is the idea of the kernel's two-pass
 * select_bad_process() series, with its flaws left out: an undecided candidate never replaces a
 * better one, and the result does not depend on the order of the processes.  Who is read is weighed
 * by his oom_score_adj of that moment; in the upper ends of the others it is that of the census.
 *
 * Promise: if the budget was not used up (result->approximate is false), no candidate's true
 * score at the moment of its reading, weighed as the census knows it, exceeded the victim's by more
 * than the counting error of the precise read.  Of the candidates, that is: who is passed over
 * (passover.h) is none, be it in any case or because somebody else is there instead.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/census.h"
#include "lib/eligibility.h"
#include "lib/passover.h"
#include "lib/policy.h"
#include "lib/util.h"

#define VICTIM_MAX_READS 16

enum victim_verdict {
	VICTIM_UNDECIDED, /* not read, and its upper end reaches the victim's score */
	VICTIM_CHOSEN,
	VICTIM_SMALLER,	     /* read precisely: less than the victim */
	VICTIM_CANNOT_REACH, /* its upper end is below the victim's score */
};

struct victim_candidate {
	const struct census_node *node;
	const struct census_process *process; /* borrowed from the census; NULL: a cgroup */
	const struct census_cgroup *cgroup;   /* NULL: a process */
	struct interval score;		      /* bytes, weighted; what is ranked */
	float weight;			      /* of a cgroup; a process has its own */
	uint64_t estimate;		      /* the score by the newest reading */
	struct proc_memory memory;	      /* that reading */
	bool precise;			      /* it was taken in pass 2 */
	uint64_t error;			      /* if so: how far its footprint may be off, bytes */
	enum victim_verdict verdict;
};

/* So many are ranked and kept at most; the rest are only counted. */
#define VICTIM_RANKED_MAX 32

/* What a decision asks for, so that it can say who would be next, and with which intervals: 1 to
 * 10 us more at 10,000 processes, some 20 where hardly anybody may go. */
#define VICTIM_TOLD	  3
#define VICTIM_TOLD_LOOKS 1024

struct victim_entry {
	uint64_t hi;
	const struct census_node *node;
};

struct victim_result {
	/* Best first: [0] is the victim if n_ranked > 0. */
	struct victim_candidate ranked[VICTIM_RANKED_MAX];
	unsigned n_ranked;
	unsigned n_reads;
	bool approximate; /* some candidate was left undecided */
	size_t n_candidates;
	size_t n_visited; /* nodes looked at; what a choice costs */

	/* Who counts for more than the victim, and for most of all that were passed over for
	 * somebody else; .node NULL: nobody does.  Its kind was useless to end (PASSOVER_KIND), or
	 * it failed last (PASSOVER_IN_A_ROW). */
	struct victim_candidate avoided;
	enum passover_verdict avoided_for;
	unsigned avoided_kinds; /* that were passed over, as in passover_kinds() */

	struct victim_entry *heap; /* storage, kept between choices */
	size_t n_heap;
	size_t n_allocated;
};

struct victim_request {
	enum policy_rank_by rank_by; /* processes; cgroups go by footprint */
	enum policy_target target;
	unsigned n_wanted;  /* rank so many if there are, for people: who cannot reach the victim is
			     * not read for that */
	size_t n_looks;	    /* and look at no more nodes for those; 0: at all */
	uint64_t allocated; /* memory_reading.allocated now */
	uint64_t total;	    /* memory + swap, bytes: badness' unit for oom_score_adj */
	uint64_t memory;    /* without swap: what a ceiling is a share of; 0: not known */
	usec_t now;
	pid_t self;
	const struct passover *passover; /* NULL: nobody is passed over */
};

/* One process, as it is now. */
struct victim_reading {
	struct proc_memory memory; /* as exactly as can be */
	uint64_t error;		   /* how far that may be off, bytes; 0 where it is exact */
	int oom_score_adj;
};

/* 0, VICTIM_READ_GONE, VICTIM_READ_LATE (no answer within the deadline), or -errno. */
enum { VICTIM_READ_GONE = 1, VICTIM_READ_LATE = 2 };
typedef int (*victim_read_fn)(const struct census_process *process, struct victim_reading *ret,
			      void *userdata);
/* (Of a cgroup every process is read, and their errors are added up.) */

/* Room for a walk over this census; called when it has grown, never in act.  0 or -ENOMEM. */
int victim_reserve(struct victim_result *result, const struct census *census);
void victim_done(struct victim_result *result);

/*
 * Chooses; allocates nothing.  result->n_ranked == 0: nobody may be chosen.  The candidates point
 * into the census and are good until its next sweep.  The census is told the oom_score_adj of who
 * is read, which counts from then on.
 */
void victim_choose(struct census *census, const struct victim_request *request,
		   victim_read_fn read_precise, void *userdata, struct victim_result *result);

enum eligibility victim_exclusion(const struct census *census, const struct census_process *process,
				  const struct victim_request *request);
/* Of all processes at and below the node together: eligibility_worst(). */
enum eligibility victim_eligibility(const struct census *census, const struct census_node *node,
				    const struct victim_request *request);
/* How many are judged what; for people, as it judges every process. */
void victim_count_exclusions(const struct census *census, const struct victim_request *request,
			     size_t ret[static _ELIGIBILITY_MAX]);
/* For the process, by request->passover. */
enum passover_verdict victim_passover(const struct census_process *process,
				      const struct victim_request *request);
/* Of which kinds that were useless it is. */
unsigned victim_kinds(const struct census_process *process, const struct victim_request *request);
const char *victim_verdict_to_string(enum victim_verdict verdict);

/* The largest process below the node: the one for which its cgroup is taken. */
const struct census_process *victim_largest_below(const struct census_node *node);

/* The score of the process, had it this memory. */
uint64_t victim_score(const struct census_process *process, const struct victim_request *request,
		      const struct proc_memory *memory);
