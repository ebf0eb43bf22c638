/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * worth: how much a victim has to free at least, so that no process is killed in vain.
 *
 * Three things raise the minimum.  Consecutive kills that freed little of what was expected: after
 * two of them a victim must free a good part of what is missing, and after three that together
 * freed little (a spree) it must promise far more than each of those.  And a shortage that no
 * process causes: if nearly all that was allocated since watch began is held by none of them
 * (tmpfs, pipe buffers, slab), killing one that is small beside that helps only for a moment.
 *
 * Pure.  Below the minimum there is no candidate (victim_request.min_victim); where none reaches
 * it, the daemon is stuck and kills nothing.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/util.h"
#include "lib/config/policy.h"
#include "lib/sys/memory.h"

/* A kill was ineffective if it freed less than this share of what was expected; three consecutive
 * ones are a spree. */
#define WORTH_EFFECTIVE_SHARE 4
/* From so many consecutive ineffective kills on, what is missing counts, by this share. */
#define WORTH_INEFFECTIVE_MAX 2
#define WORTH_MISSING_SHARE   4
#define WORTH_SPREE	      3
/* After a spree a victim has to promise so many times the most that a kill of it promised. */
#define WORTH_SPREE_FACTOR 2

/* What no process holds explains a shortage if it makes up so much of the fall of available memory
 * (of four quarters), and if that is not negligible. */
#define WORTH_UNOWNED_QUARTERS 3
#define WORTH_FALL_SHARE       16
/* A victim has to free this share of it then. */
#define WORTH_UNOWNED_SHARE 2

/* Where MinVictim= is not set. */
#define WORTH_MIN_BYTES (4 * MIB)
#define WORTH_MIN_SHARE 1024

/* All zeros: nothing has been killed. */
struct worth {
	uint64_t expected[WORTH_SPREE]; /* of consecutive ineffective kills; a ring */
	unsigned n_kills;		/* of those, ever written: all, not only the ring */
};

/*
 * Does what was freed tell whether a kill was effective?  n_sharers processes were killed with the
 * victim that have its memory, and n_left that may have it, too, were not: then it is freed only
 * with the last of them.  Where no sharer is known, those that were not compared are no reason.
 */
bool worth_is_conclusive(unsigned n_sharers, unsigned n_left);

/* A kill is over. */
void worth_note(struct worth *worth, uint64_t expected, uint64_t freed);
/* Memory has recovered. */
void worth_reset(struct worth *worth);
/* Three consecutive kills were ineffective. */
bool worth_is_spree(const struct worth *worth);

/* What is held, by processes and by none, at one time. */
struct worth_holdings {
	uint64_t available; /* and swap that is free */
	uint64_t unowned;   /* in no process's memory */
	uint64_t swap_used; /* what of it is in swap is for the caller to add to unowned */
};

/* Of the files of a tmpfs, what is in swap at least: all shared memory in RAM may be of them; but
 * no more than swap has been used for since. */
uint64_t worth_tmpfs_in_swap(const struct memory_counters *counters, uint64_t tmpfs,
			     const struct worth_holdings *before);

/* By what /proc/meminfo says; mapped_shmem: shared memory, tmpfs and locked files that processes
 * map.  What is mapped by several processes counts as often there, so the result is rather too low.
 */
uint64_t worth_unowned(const struct memory_counters *counters, uint64_t mapped_shmem);

/* Of that, shared memory and files on a tmpfs. */
uint64_t worth_unowned_shmem(const struct memory_counters *counters, uint64_t mapped_shmem);

/* What the machine holds that no line of /proc/meminfo names: buffers of pipes and sockets, memory
 * of drivers. */
uint64_t worth_unaccounted(const struct memory_counters *counters);

/* By how much what no process holds has grown, if that explains the fall of available memory;
 * else 0. */
uint64_t worth_unowned_growth(const struct worth_holdings *before, const struct worth_holdings *now,
			      uint64_t memory);

/*
 * What no process holds when it was last most, and what was not held by processes then or later, at
 * most: both of RAM.  What has filled memory before that does not explain why it is short now, if
 * processes have taken much since: then one of them is worth killing, though it is small beside
 * that, if it is most of what they have taken.  Shared memory that processes map is theirs; where
 * that is known later than it was taken, the mark moves, and what was taken before does not count.
 * All zeros: nothing was noted yet.
 */
struct worth_mark {
	uint64_t unowned;
	uint64_t room; /* available, and what no process holds */
};
/* More than the mark by this share of memory: it grows, and the mark moves.  Less by the other one:
 * it was freed. */
#define WORTH_STEP_SHARE  64
#define WORTH_FREED_SHARE 16
void worth_move_mark(struct worth_mark *mark, const struct worth_mark *now, uint64_t memory);

/* What processes have taken since, if it is not negligible; else 0. */
uint64_t worth_taken(const struct worth_mark *mark, const struct worth_mark *now, uint64_t memory);
/* A victim has to free so much of that (of eight eighths). */
#define WORTH_TAKEN_EIGHTHS 7

/* Has it grown by so much that a process which holds it by descriptors may be the largest with what
 * it has besides? */
#define WORTH_HELD_SHARE 8
bool worth_may_be_held(const struct worth_holdings *before, const struct worth_holdings *now,
		       uint64_t memory);

/* MinVictim= in bytes on this machine. */
uint64_t worth_min_victim(const struct policy_threshold *threshold, uint64_t memory);

/* How much has to be freed until the policy does not hold any more; 0: not known (it depends on
 * pressure alone). */
uint64_t worth_missing(const struct policy *policy, const struct memory_reading *reading);

/* What a victim has to free at least.  unowned_growth: as above. */
uint64_t worth_minimum(const struct worth *worth, uint64_t min_victim, uint64_t missing,
		       uint64_t unowned_growth);
/* The same of one that holds a part of that growth by descriptors: others may hold as much. */
#define WORTH_HOLDERS 8
uint64_t worth_holder_minimum(const struct worth *worth, uint64_t min_victim, uint64_t missing,
			      uint64_t unowned_growth);
