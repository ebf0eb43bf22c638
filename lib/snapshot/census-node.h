/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* census-node: the nodes of the snapshot's tree, and the ways through it.  Included by census.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/base/util.h"
#include "lib/snapshot/tally.h"
#include "lib/sys/proc.h"

#define CENSUS_BUCKET 64

/*
 * A cgroup nested deeper than this has no node: its processes hang on the cgroup above it at this
 * depth.  So a process cannot make the tree as deep as it likes: each level has its whole path, up
 * to 4 KiB.  Rules and subtrees that name a cgroup of this depth at most hold for all below it;
 * deeper ones are asked only before a signal, by the path that /proc has then.
 */
#define CENSUS_DEPTH_MAX 64

enum census_kind {
	CENSUS_MACHINE,
	CENSUS_CGROUP,
	CENSUS_BUCKET_OF_CGROUPS, /* directly below one cgroup, or the machine */
	CENSUS_BUCKET_OF,	  /* processes of one cgroup */
	CENSUS_PROCESS,
};

/* What all nodes of the tree have; the first member of each. */
struct census_node {
	/* Of any candidate below, the largest (reading + counting error - allocated when read): add
	 * what is allocated now, and it is the upper end.  INT64_MIN: there is no candidate.  Both
	 * bounds may be too high after a re-reading, never too low. */
	int64_t reach_max;
	float weight_max;   /* of any candidate below: rules and oom_score_adj */
	float estimate_max; /* of any candidate below: what is reclaimable, times its weight */
	unsigned walk;	    /* of victim.c: the last walk that has processed it */
	uint8_t kind;	    /* enum census_kind */
};

/* What all but processes have.  A process needs no tally of its own: what it holds is added to that
 * of its branch. */
struct census_branch {
	struct census_node node;
	struct tally_node tally;
	struct census_process *first_process;
	uint8_t n_processes; /* directly on it, as the next: CENSUS_BUCKET at most */
	uint8_t n_cgroups;
	unsigned n_buckets; /* of either kind */
};

struct census_cgroup {
	union {
		struct census_node node;
		struct census_branch branch;
	};
	struct census_cgroup *next_by_path; /* with the same hash */
	float weight; /* of the rules that go by cgroup alone; 0: not asked yet */
	bool in_subtree;
	char path[];
};

/* A process takes 240 bytes.  Times that look back by seconds are stamps: census_stamp(). */
struct census_process {
	struct census_node node;	 /* node.weight_max is its own weight; 0: never a victim */
	struct census_branch *above;	 /* a cgroup or a bucket; NULL for kernel threads */
	struct census_process *next;	 /* on the same branch */
	const struct rule *protected_by; /* borrowed from the policy set */
	uint64_t start_ticks;		 /* with pid: the identity */
	struct proc_memory memory;
	uint64_t counting_error;	/* memory may be more by so much; bytes */
	uint64_t read_at_allocated;	/* bytes allocated by the machine when memory was read */
	uint64_t measured_at_allocated; /* when memory.kept was */
	uint64_t recent_footprint;	/* mapped, at most CENSUS_GROWTH_USEC ago */
	uint64_t earlier_footprint;	/* once to twice as long ago, or when first seen */
	pid_t pid;			/* 0: a free place */
	pid_t ppid;
	pid_t session;
	uid_t uid;
	int kept_fd;	  /* statm or status, for the largest, in watch; else negative */
	float weight;	  /* of the rules */
	unsigned choice;  /* the last in which its memory was read, or could not be */
	float alone;	  /* when its share was measured: what its death alone frees; bytes, as the
			     next, to a 16 millionth */
	float fair_share; /* when that was measured: what it holds, shared pages by share; less
			     what it has lost since */
	float status_behind;	 /* bytes that were allocated from when shared memory and page
				    tables were read to read_at_allocated, at least */
	float share_off;	 /* how much of what it maps has changed since measured_at; bytes */
	uint32_t recent_at;	 /* stamps; 0: never */
	uint32_t compared_at;	 /* when what can change without an exec was read last; 0: not
				    since the policies are others */
	uint32_t measured_at;	 /* memory.kept was */
	uint32_t share_asked_at; /* it was asked for, or reported, in watch: daemon/watch/watch.c */
	uint32_t next_by_pid;	 /* number of the next with this hash, or of its list; 0: none */
	unsigned code_pages;	 /* another number: another program; 0: not known */
	unsigned n_threads : 24; /* PID_MAX_LIMIT is 2^22 */
	bool kthread : 1;
	bool asks_executable : 1;  /* a rule does, and an exec may leave the name as it is */
	bool shmem_is_guessed : 1; /* only statm was read since */
	bool has_many_groups : 1;  /* status is so long that only statm is read in a round */
	bool is_gone : 1;	   /* vanished in a choice */
	bool is_watched : 1;	   /* known for so long that its growth is */
	bool has_failed : 1;	   /* could not be read in that choice */
	bool is_unit : 1;	   /* when its share was measured: victim_apply_share() */
	short oom_score_adj;
	short error;	    /* negative errno: its memory could not be read */
	uint8_t generation; /* of the last listing that saw it */
	uint8_t shares_era; /* of census.shares_era, when its share was measured */
	char state;
	bool fair_is_assumed : 1; /* in that choice, by the share of a relative */
	bool is_of_another : 1;	  /* its directory in /proc was not its uid's when that was read */
	bool status_is_new : 1;	  /* read since census.status_totals */
	char comm[16];
};

/* Hundredths of a second, never 0, in 32 bits: they wrap around after 497 days. */
#define CENSUS_STAMP_USEC (10 * USEC_PER_MSEC)
static inline uint32_t census_stamp(usec_t now)
{
	uint32_t stamp = (uint32_t)(now / CENSUS_STAMP_USEC);

	return stamp ? stamp : 1;
}

/* How long ago the stamp was made, to a hundredth of a second. */
static inline usec_t census_since(uint32_t stamp, usec_t now)
{
	return (uint32_t)(census_stamp(now) - stamp) * CENSUS_STAMP_USEC;
}

/* The branch that has this tally. */
static inline struct census_branch *census_branch_of(const struct tally_node *tally)
{
	return (struct census_branch *)((char *)tally - offsetof(struct census_branch, tally));
}

/* The cgroup that a process is in; NULL: it is not in the tree. */
static inline struct census_cgroup *census_cgroup_of(const struct census_process *process)
{
	struct census_branch *branch = process->above;

	if (branch && branch->node.kind == CENSUS_BUCKET_OF)
		branch = census_branch_of(branch->tally.parent);
	return (struct census_cgroup *)branch;
}

/* The cgroup or machine that a cgroup is below. */
static inline struct census_node *census_above(const struct census_cgroup *cgroup)
{
	struct census_branch *branch = census_branch_of(cgroup->branch.tally.parent);

	if (branch->node.kind == CENSUS_BUCKET_OF_CGROUPS)
		branch = census_branch_of(branch->tally.parent);
	return &branch->node;
}

/* Of a cgroup: are there any directly in it? */
static inline bool census_has_processes(const struct census_node *node)
{
	const struct census_branch *branch = (const struct census_branch *)node;
	const struct tally_node *tally = branch->tally.first_child;
	unsigned n_buckets = branch->n_buckets;

	if (branch->n_processes > 0)
		return true;
	for (; tally && n_buckets > 0; tally = tally->next) {
		if (census_branch_of(tally)->node.kind == CENSUS_BUCKET_OF)
			return true;
		n_buckets -= census_branch_of(tally)->node.kind == CENSUS_BUCKET_OF_CGROUPS;
	}
	return false;
}

static inline struct census_node *census_node_of(const struct tally_node *tally)
{
	return tally ? &census_branch_of(tally)->node : NULL;
}

/* By how much its reading may be too low; of all but processes, the sum of all below. */
static inline uint64_t census_error_of(const struct census_node *node)
{
	if (node->kind == CENSUS_PROCESS)
		return ((const struct census_process *)node)->counting_error;
	return tally_sum(&((const struct census_branch *)node)->tally, TALLY_ERROR);
}

/* The processes directly on a node, then the branches directly below it, buckets included: for code
 * that skips subtrees. */
static inline struct census_node *census_first_below(const struct census_node *node)
{
	const struct census_branch *branch = (const struct census_branch *)node;

	return branch->first_process ? &branch->first_process->node
				     : census_node_of(branch->tally.first_child);
}

static inline struct census_node *census_next_below(const struct census_node *child)
{
	const struct census_process *process = (const struct census_process *)child;

	if (child->kind != CENSUS_PROCESS)
		return census_node_of(((const struct census_branch *)child)->tally.next);
	return process->next ? &process->next->node
			     : census_node_of(process->above->tally.first_child);
}

#define census_for_each_below(child, node)                                                         \
	for ((child) = census_first_below(node); (child); (child) = census_next_below(child))

/* The same for all other code: a bucket of cgroups (which is never empty) is replaced by its
 * cgroups. */
static inline struct census_node *census_unbucket(struct census_node *node)
{
	return node && node->kind == CENSUS_BUCKET_OF_CGROUPS ? census_first_below(node) : node;
}

static inline struct census_node *census_first_child(const struct census_node *node)
{
	return census_unbucket(census_first_below(node));
}

static inline struct census_node *census_next_child(const struct census_node *child)
{
	struct census_node *next = census_next_below(child);

	if (!next && child->kind == CENSUS_CGROUP) {
		const struct tally_node *above =
			((const struct census_branch *)child)->tally.parent;

		if (census_branch_of(above)->node.kind == CENSUS_BUCKET_OF_CGROUPS)
			next = census_node_of(above->next);
	}
	return census_unbucket(next);
}

#define census_for_each_child(child, parent)                                                       \
	for ((child) = census_first_child(parent); (child); (child) = census_next_child(child))
