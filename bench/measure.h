/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * measure: what being ready for a decision costs, and the decision; besides what it costs to read
 * all processes (probe.h).  CPU time, so that other work on the machine counts for little; what is
 * compared is measured in turn, in one run.  A decision is taken by the clock too.
 */
#pragma once

#include "lib/select/victim.h"
#include "lib/snapshot/census.h"
#include "lib/sys/cgroup.h"
#include "lib/sys/memory.h"
#include "lib/sys/precise.h"

#define MEASURE_N_DECISIONS 2000

enum measure {
	FULL_SAMPLE,
	BY_LIBPROC2,
	STATM_ONCE,
	SWEEP,
	ROUND,
	NONE_NEW,
	DECISION,
	DECISION_BY_CLOCK,
	STALE_DECISION,
	STALE_DECISION_BY_CLOCK,
	ROUND_WITH_SWAP,
	ROUND_SWAPPING,
	COMPARING,
	N_MEASURES
};
extern const char *const measure_names[N_MEASURES];

/* In microseconds. */
struct series {
	size_t n;
	double values[MEASURE_N_DECISIONS];
};

struct bench {
	int proc_fd, sys_fd;
	/* proc_fd is fixture.h's, whose processes hold so much in all; 0: it is the machine's.  The
	 * size of all bounds that of each, so it is to be what it would be with these. */
	uint64_t fixture_anon;
	struct cgroup_fs cgroups;
	struct accuracy accuracy;
	struct policy_set policies;
	struct memory_source *memory;
	struct precise *precise;

	struct memory_reading reading;
	struct census census;
	struct victim_result choice;
	uint64_t since_round;
	uint64_t swapped; /* pages, besides what was */
	uint64_t largest; /* a victim that has less is wrong */
	struct series series[N_MEASURES];
};

struct result {
	size_t n_processes, n_nodes;		 /* in the census */
	double p50[N_MEASURES], p99[N_MEASURES]; /* microseconds */
	double bytes;				 /* allocated by census and choice */
	double n_reads, n_visited;		 /* of one decision, mean */
	int n_syscalls;				 /* of one decision, or -errno */
	double n_stale_reads, n_stale_rereads;	 /* from a stale snapshot, mean */
	unsigned n_stale, n_stale_right;
	uint64_t least_victim; /* the smallest ever chosen */
};

/* All of it, with the processes that there are; 0 or -errno. */
int measure_all(struct bench *bench, struct result *ret);
