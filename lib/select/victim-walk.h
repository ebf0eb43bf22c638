/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim-walk: what victim.c (the walks), victim-read.c and victim-cgroup.c (the readings) share;
 * for no other file. */
#pragma once

#include "lib/select/victim.h"

struct choice {
	struct census *census;
	const struct victim_request *request;
	const struct victim_reader *reader;
	struct victim_result *result;
	enum eligibility wanted; /* ELIGIBLE; where none of these is worth it, RELUCTANT */
	unsigned walk;		 /* nodes that were processed carry it */
	uint64_t mark;		 /* the best score read so far */
	uint64_t undecided;	 /* the highest upper end of those that were left unread */
	uint64_t unread;	 /* and of those whose reading got no answer, in time or at all */
	/* By those that were read precisely, bytes: their fair shares; what is theirs alone, at
	 * least; what any of them has besides, at most. */
	uint64_t held_fair, held_alone, held_besides;
	/* Those that were, and share memory. */
	const struct census_process *measured[VICTIM_MAX_READS];
	unsigned n_measured;
	unsigned n_searches;	 /* for others of which that is known */
	unsigned n_kin_asked;	 /* whether two are relatives, which reads files */
	uint64_t group_score;	 /* for which the victim was preferred: victim-group.h */
	size_t n_needed;	 /* nodes visited when the decision was made */
	unsigned n_reserved;	 /* precise reads that are kept for the youngest */
	unsigned n_members_read; /* precise reads of processes for their cgroup */

	/* What is skipped if there are others: from this verdict on, in this walk. */
	enum backoff_verdict refused;
	bool refused_any;
	struct victim_candidate similar;	    /* the largest that was refused for its kind */
	uint64_t kind_largest[BACKOFF_SIMILAR_MAX]; /* likewise, its score */
	struct victim_candidate failed;		    /* the largest of those that failed last */
};

/* May one more be read precisely? */
static inline bool victim_may_read(const struct choice *choice)
{
	return choice->result->n_reads + choice->n_reserved + choice->n_members_read <
	       VICTIM_MAX_READS;
}

/* Was the process read in this choice? */
static inline bool victim_is_read(const struct choice *choice, const struct census_process *process)
{
	return process->choice == choice->census->choice && !process->has_failed;
}

/* A node's weight is a float, rounded; its bound must not be too low by that. */
static inline uint64_t victim_scale_up(uint64_t bytes, float weight)
{
	return saturate_u64((double)bytes * (double)weight * (1 + 1e-6));
}

/* victim-cgroup.c.  Of a cgroup only the rules that go by cgroup alone can be asked: once. */
float victim_cgroup_weight(const struct choice *choice, const struct census_cgroup *cgroup);
/* The part of victim_candidate_init() that is of cgroups. */
void victim_cgroup_init(const struct choice *choice, struct victim_candidate *candidate);
/* Measures the shares of the largest of its processes, all of which were read at little cost, if
 * much depends on them; their relatives are taken to have as much in common with them. */
void victim_measure_cgroup(struct choice *choice, struct victim_candidate *candidate);
/* No more may be measured: relatives of which no share is known are taken to hold no more than the
 * largest of them.  True: then it may free more, up to score.hi. */
bool victim_assume_cgroup(const struct choice *choice, struct victim_candidate *candidate);
/* victim-read.c: victim_read() of a process. */
bool victim_read_process(struct choice *choice, struct victim_candidate *candidate);

/* Fills in the candidate by the last reading. */
void victim_candidate_init(const struct choice *choice, const struct census_node *node,
			   struct victim_candidate *ret);

/* Of a cgroup, the highest estimate that it can have, without looking at its processes. */
uint64_t victim_estimate_at_most(const struct choice *choice, const struct census_node *node);

/* The highest score that the candidate can have. */
uint64_t victim_upper_end(const struct choice *choice, const struct census_node *node);

/* Was something allocated since the node, or one below it, was read? */
bool victim_is_stale(const struct choice *choice, const struct census_node *node);

/*
 * Re-reads at little cost what is stale below the node.  0; VICTIM_READ_GONE: it is a process, and
 * has vanished; VICTIM_READ_LATE: there is no more time; -errno: of a process, it is unreadable.
 */
int victim_reread(struct choice *choice, const struct census_node *node);

/* Reads the candidate as exactly as can be; false if it is gone, or is no candidate any more. */
bool victim_read(struct choice *choice, struct victim_candidate *candidate);

/* victim-kin.c: this one was measured. */
void victim_note_measured(struct choice *choice, const struct census_process *process);
/* Of one that was not: what it keeps by the share of a relative, if there is one that was, or else
 * by what it may share (share-bound.h).  False: nothing, as all that it maps is its own. */
bool victim_assume(struct choice *choice, struct victim_candidate *candidate,
		   struct proc_memory *memory);
/* The same of one that is not read. */
void victim_assume_share(struct choice *choice, struct victim_candidate *candidate);

/* Is it a candidate at all: this process, or all in this cgroup? */
bool victim_is_allowed(const struct choice *choice, const struct census_node *node);

/* Of a process that was not read: what it has mapped at most, or less, if those that were read
 * leave less of all there is. */
uint64_t victim_rest(const struct choice *choice, uint64_t mapped);
/* What this candidate holds is not another's. */
void victim_hold(struct choice *choice, const struct victim_candidate *candidate);

/* victim-subject.c */

/* Of the one that is ranked first, by a read of its share if that is not too much; else 0. */
uint64_t victim_args_hash(struct choice *choice, const struct census_process *process);
/* The same, whatever it takes: as long as the reader has time. */
uint64_t victim_read_args(struct choice *choice, const struct census_process *process);
struct streak_subject victim_streak_subject(struct choice *choice,
					    const struct census_process *process);

/* victim-queue.c: do such as the process finish by themselves while others of them are killed? */
bool victim_is_of_queue(const struct choice *choice, const struct census_process *process,
			const struct streak_subject *subject);

/* victim-respawn.c: of a process that is ranked first, where there was a kill before. */
void victim_judge_respawn(struct choice *choice);
