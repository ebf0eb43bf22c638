/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stale-machine: random machines at three moments, for test-victim-stale.
 *
 * At the first moment all processes are read, at the second some of them again (a round that was
 * interrupted), at the third one is chosen.  What each maps, and with which others, is known at
 * each moment; so is what killing it would free.  Knows nothing of the code under test: the rules
 * are written down a second time here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/util.h"

#define STALE_MAX	 160
#define STALE_GROUPS	 8
#define STALE_MOMENTS	 3
#define STALE_NOW	 2
#define STALE_MIN_VICTIM (4 * MIB)

/* Mapped by one process alone, bytes; tmpfs: linked files, which are not freed. */
struct stale_memory {
	uint64_t anon, swap, memfd, tmpfs, file, pagetables;
};

enum stale_rank { STALE_RANK_FOOTPRINT, STALE_RANK_SWAP, STALE_RANK_BADNESS, STALE_RANK_GROWTH };

struct stale_process {
	struct stale_memory at[STALE_MOMENTS];
	pid_t pid, ppid, session;
	uint64_t start_ticks;
	uid_t uid;
	unsigned code_pages;
	short adj;
	float weight;
	int group;	  /* of those with which it shares; -1: none */
	unsigned cgroup;  /* of stale_cgroups */
	bool is_related;  /* the group is a family, which is seen by its attributes */
	bool is_new;	  /* there from the second moment on */
	bool is_fresh;	  /* read at the second moment */
	bool is_measured; /* and its share measured then */
	bool is_gone;	  /* at the third */
	bool is_protected;
};

struct stale_group {
	uint64_t common[STALE_MOMENTS]; /* mapped by each of them */
	bool is_shmem;			/* a memfd; else copy on write */
};

struct stale_machine {
	struct stale_process processes[STALE_MAX];
	size_t n;
	struct stale_group groups[STALE_GROUPS];
	size_t n_groups;
	uint64_t allocated[STALE_MOMENTS];
	uint64_t total; /* memory and swap */
	bool with_swap;
	bool totals_are_known;
	bool share_is_current; /* what was measured was measured a moment ago */
	unsigned fresh_permyriad;
};

/* What a status file, and smaps_rollup with maps, would say of one process. */
struct stale_view {
	uint64_t anon, swap, shmem, file, pagetables; /* in full */
	uint64_t fair_anon, fair_shmem;		      /* shares of that which is freed with it */
	uint64_t alone;
};

#define STALE_N_CGROUPS 6
extern const char *const stale_cgroups[STALE_N_CGROUPS];

/* xorshift64*: the same machines for the same seed, everywhere. */
extern uint64_t stale_rng;
uint64_t stale_below(uint64_t n);

/* with_groups: some memory is shared. */
void stale_machine_make(struct stale_machine *machine, bool with_groups);

/* Those alive at the moment, in the order in which a round reads: largest of the first moment
 * first.  Marks the fresh ones. */
void stale_machine_read_round(struct stale_machine *machine);

struct stale_view stale_view(const struct stale_machine *machine, size_t i, unsigned moment);
uint64_t stale_mapped(const struct stale_view *view);

/* The machine's own counters now, each page once. */
struct stale_memory stale_totals(const struct stale_machine *machine);

/* What killing it would free, by the rule: the fair share; of most that is shared with relatives
 * which may be killed, half of what they have in common; of what is shared with one that may not,
 * and of most that is shared with others, nothing. */
uint64_t stale_value(const struct stale_machine *machine, size_t i, bool *ret_is_unit);

/* What is really freed at once: for a unit, that of it and its relatives. */
uint64_t stale_freed(const struct stale_machine *machine, size_t i);

enum stale_class { STALE_REFUSED, STALE_RELUCTANT, STALE_ELIGIBLE };
enum stale_class stale_class(const struct stale_machine *machine, size_t i);

/* 0 where it is not worth it. */
uint64_t stale_score(const struct stale_machine *machine, size_t i, enum stale_rank rank,
		     bool reluctantly);

/* Of all eligible ones, or, where none is worth it, of the reluctant ones.  0: there is none. */
uint64_t stale_best(const struct stale_machine *machine, enum stale_rank rank,
		    bool *ret_reluctantly);
