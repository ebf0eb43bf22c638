/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * census: the tree: attaching, detaching, buckets, bounds and sums.  How it is read is in
 * census-read.c.
 *
 * The memory of a process is counted by its branch and all above, exactly.  Bounds are only raised
 * meanwhile (a few steps up, until a node's is high enough already) and are recomputed after each
 * round, when all nodes are visited anyway.
 */
#include "lib/snapshot/census.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/snapshot/census-tree.h"

#define SPARE_ENOUGH 128 /* free places for new processes in an emergency */

static struct census_node *node_parent(const struct census_node *node)
{
	const struct tally_node *tally;
	struct census_branch *above;

	if (node->kind == CENSUS_PROCESS) {
		above = ((const struct census_process *)node)->above;
		return above ? &above->node : NULL;
	}
	tally = ((const struct census_branch *)node)->tally.parent;
	return tally ? &census_branch_of(tally)->node : NULL;
}

static void node_init(struct census_node *node, enum census_kind kind)
{
	*node = (struct census_node){ .kind = (uint8_t)kind, .reach_max = INT64_MIN };
}

static void branch_init(struct census_branch *branch, enum census_kind kind)
{
	node_init(&branch->node, kind);
	tally_init(&branch->tally);
	branch->first_process = NULL;
	branch->n_processes = branch->n_cgroups = 0;
	branch->n_buckets = 0;
}

static bool raise(struct census_node *node, const struct census_node *below)
{
	bool raised = node->weight_max < below->weight_max || node->reach_max < below->reach_max ||
		      node->estimate_max < below->estimate_max;

	if (node->weight_max < below->weight_max)
		node->weight_max = below->weight_max;
	if (node->reach_max < below->reach_max)
		node->reach_max = below->reach_max;
	if (node->estimate_max < below->estimate_max)
		node->estimate_max = below->estimate_max;
	return raised;
}

/* What is attached below a node from now on counts for all above. */
static void raise_bounds(struct census_node *node, const struct census_node *below)
{
	while (node && raise(node, below))
		node = node_parent(node);
}

static void branch_attach(struct census *census, struct census_branch *branch,
			  struct census_branch *parent)
{
	tally_attach(&branch->tally, &parent->tally);
	raise_bounds(&parent->node, &branch->node);
	census->n_nodes++;
}

static void branch_detach(struct census *census, struct census_branch *branch)
{
	tally_detach(&branch->tally);
	census->n_nodes--;
}

/* Its branch holds what is new, and no longer what is old; error: by so much more it may be off. */
static void count_on(struct census *census, struct census_branch *branch,
		     const struct proc_memory *new, const struct proc_memory *old, uint64_t error)
{
	const struct tally_sums delta = { {
		[TALLY_ANON] = new->anon + new->swap - old->anon - old->swap,
		[TALLY_OTHER] = new->shmem + new->pagetables - old->shmem - old->pagetables,
		[TALLY_ERROR] = error,
	} };

	census->anon += new->anon - old->anon;
	tally_add(&branch->tally, &delta);
}

static const struct proc_memory no_memory;

static void process_attach(struct census *census, struct census_process *process,
			   struct census_branch *branch)
{
	process->above = branch;
	process->next = branch->first_process;
	branch->first_process = process;
	branch->n_processes++;
	count_on(census, branch, &process->memory, &no_memory, process->counting_error);
	raise_bounds(&branch->node, &process->node);
	census->n_nodes++;
}

static void process_detach(struct census *census, struct census_process *process)
{
	struct census_branch *branch = process->above;
	struct census_process **link = &branch->first_process;

	while (*link != process) /* CENSUS_BUCKET at most */
		link = &(*link)->next;
	*link = process->next;
	process->above = NULL;
	branch->n_processes--;
	count_on(census, branch, &no_memory, &process->memory, 0 - process->counting_error);
	census->n_nodes--;
}

static void cgroup_attach(struct census *census, struct census_cgroup *cgroup,
			  struct census_branch *branch)
{
	branch_attach(census, &cgroup->branch, branch);
	branch->n_cgroups++;
}

static void cgroup_detach(struct census *census, struct census_cgroup *cgroup)
{
	census_branch_of(cgroup->branch.tally.parent)->n_cgroups--;
	branch_detach(census, &cgroup->branch);
}

static void move_processes(struct census *census, struct census_branch *from,
			   struct census_branch *to)
{
	while (from->first_process) {
		struct census_process *process = from->first_process;

		process_detach(census, process);
		process_attach(census, process, to);
	}
}

/* (Buckets may stand between them.) */
static void move_cgroups(struct census *census, struct census_branch *from,
			 struct census_branch *to)
{
	struct census_node *child = census_node_of(from->tally.first_child), *next;

	for (; from->n_cgroups > 0; child = next) {
		next = census_next_below(child);
		if (child->kind != CENSUS_CGROUP)
			continue;
		cgroup_detach(census, (struct census_cgroup *)child);
		cgroup_attach(census, (struct census_cgroup *)child, to);
	}
}

static void move_all(struct census *census, enum census_kind kind, struct census_branch *from,
		     struct census_branch *to)
{
	if (kind == CENSUS_BUCKET_OF)
		move_processes(census, from, to);
	else
		move_cgroups(census, from, to);
}

/* The branch is full: moves all that are directly on it to a new bucket.  0 or -ENOMEM. */
static int make_bucket(struct census *census, enum census_kind kind, struct census_branch *branch)
{
	struct census_branch *bucket = malloc(sizeof(*bucket));

	if (!bucket)
		return -ENOMEM;
	branch_init(bucket, kind);
	branch_attach(census, bucket, branch);
	branch->n_buckets++;
	move_all(census, kind, branch, bucket);
	return 0;
}

/* Where few are left in a bucket, and few are directly on the branch, moves them there and frees
 * the bucket. */
static void drop_bucket_if_small(struct census *census, struct census_branch *bucket)
{
	struct census_branch *branch = census_branch_of(bucket->tally.parent);
	enum census_kind kind = bucket->node.kind;
	unsigned n = kind == CENSUS_BUCKET_OF ? bucket->n_processes : bucket->n_cgroups;
	unsigned n_beside = kind == CENSUS_BUCKET_OF ? branch->n_processes : branch->n_cgroups;

	if (n > 0 && n + n_beside > CENSUS_BUCKET / 2)
		return;
	move_all(census, kind, bucket, branch);
	branch_detach(census, bucket);
	free(bucket);
	branch->n_buckets--;
}

int census_init(struct census *census, int proc_fd, const struct cgroup_fs *cgroups,
		const struct accuracy *accuracy, const struct policy_set *policies)
{
	*census = (struct census){
		.proc_fd = proc_fd,
		.cgroups = cgroups,
		.accuracy = accuracy,
		.policies = policies,
		.n_nodes = 1,
		.loadavg_fd = -EBADF,
		.listing_fd = -EBADF,
	};
	branch_init(&census->root, CENSUS_MACHINE);
	return 0;
}

void census_done(struct census *census)
{
	struct census_process *process;

	census_for_each(census, process)
		census_drop(census, process);
	census->n_order = 0;
	census_reclaim_dropped(census);
	for (size_t i = 0; i < census->n_blocks; i++)
		free(census->blocks[i]);
	census_stop_catching_up(census);
	census_paths_done(&census->paths);
	free(census->by_pid);
	free(census->blocks);
	free(census->order);
	closep(&census->loadavg_fd);
	*census = (struct census){
		.proc_fd = -EBADF,
		.loadavg_fd = -EBADF,
		.listing_fd = -EBADF,
	};
}

struct census_process *census_add(struct census *census, pid_t pid, uint64_t start_ticks)
{
	struct census_process *process;

	if (census->spare == 0 && census_add_block(census) < 0)
		return NULL;
	process = census_take_spare(census, pid);
	process->start_ticks = start_ticks;
	process->kept_fd = -EBADF;
	process->weight = 1;
	node_init(&process->node, CENSUS_PROCESS);
	census->n_processes++;
	return process;
}

int census_reserve(struct census *census)
{
	uint32_t number = census->spare;

	for (size_t i = 0; i < SPARE_ENOUGH; i++) {
		if (number == 0)
			return census_add_block(census);
		number = census_at(census, number)->next_by_pid;
	}
	return 0;
}

static bool is_empty(const struct census_branch *branch)
{
	return branch->n_processes == 0 && branch->n_cgroups == 0 && branch->n_buckets == 0;
}

/* And those above that are empty without it. */
static void cgroup_drop_if_empty(struct census *census, struct census_cgroup *cgroup)
{
	while (cgroup && is_empty(&cgroup->branch)) {
		struct census_node *above = census_above(cgroup);
		struct census_branch *branch = census_branch_of(cgroup->branch.tally.parent);

		cgroup_detach(census, cgroup);
		if (branch->node.kind == CENSUS_BUCKET_OF_CGROUPS)
			drop_bucket_if_small(census, branch);
		census_paths_remove(&census->paths, cgroup);
		free(cgroup);
		cgroup = above->kind == CENSUS_CGROUP ? (struct census_cgroup *)above : NULL;
	}
}

static bool may_be_victim(const struct census *census, const struct census_process *process)
{
	struct eligibility_subject subject = census_subject(census, process);

	return process->above && !process->is_gone && !eligibility_is_ruled_out(&subject);
}

/* Its own bounds, and those above if they are too low for it. */
static void set_bounds(struct census *census, struct census_process *process)
{
	struct census_node *node = &process->node;
	double weight;

	census->n_candidates -= node->weight_max > 0;
	node->weight_max = 0;
	node->reach_max = INT64_MIN;
	node->estimate_max = 0;
	if (!may_be_victim(census, process))
		return;
	census->n_candidates++;
	weight = census_rank_weight(process);
	node->weight_max = census_round_up(weight);
	node->estimate_max = census_round_up((double)proc_reclaimable(&process->memory) * weight);
	node->reach_max = (int64_t)(proc_mapped(&process->memory) + process->counting_error -
				    process->read_at_allocated);
	raise_bounds(node_parent(node), node);
}

void census_put_memory(struct census *census, struct census_process *process,
		       const struct proc_memory *memory, uint64_t error)
{
	if (process->above)
		count_on(census, process->above, memory, &process->memory,
			 error - process->counting_error);
	process->memory = *memory;
	process->counting_error = error;
	set_bounds(census, process);
}

/* Removes it from the tree, and frees the cgroups that are empty after that. */
static void detach(struct census *census, struct census_process *process)
{
	struct census_cgroup *cgroup = census_cgroup_of(process);
	struct census_branch *branch = process->above;

	if (!branch)
		return;
	process_detach(census, process);
	set_bounds(census, process);
	if (branch != &cgroup->branch)
		drop_bucket_if_small(census, branch);
	cgroup_drop_if_empty(census, cgroup);
}

void census_drop(struct census *census, struct census_process *process)
{
	detach(census, process);
	census->n_processes--;
	census->n_unreadable -= process->error < 0;
	census->n_gone -= process->is_gone;
	closep(&process->kept_fd);
	process->kept_fd = -EBADF;
	/* A round under way still has it in its order. */
	census_release_place(census, process,
			     census_round_is_under_way(census) ? &census->dead : &census->spare);
}

void census_note_gone(struct census *census, struct census_process *process)
{
	if (process->is_gone)
		return;
	process->is_gone = true;
	census->n_gone++;
	set_bounds(census, process);
}

void census_drop_gone(struct census *census)
{
	struct census_process *process;

	if (census->n_gone == 0)
		return;
	census_for_each(census, process)
		if (process->is_gone)
			census_drop(census, process);
}

void census_reclaim_dropped(struct census *census)
{
	while (census->dead != 0) {
		uint32_t number = census->dead;
		struct census_process *process = census_at(census, number);

		census->dead = process->next_by_pid;
		process->next_by_pid = census->spare;
		census->spare = number;
	}
}

/* On the branch, which has room for it; NULL: no memory. */
static struct census_cgroup *make_cgroup(struct census *census, const char *path, size_t length,
					 struct census_branch *branch)
{
	struct census_cgroup *cgroup;

	if (branch->n_cgroups == CENSUS_BUCKET &&
	    make_bucket(census, CENSUS_BUCKET_OF_CGROUPS, branch) < 0)
		return NULL;
	cgroup = calloc(
		1, max_u64(sizeof(*cgroup), offsetof(struct census_cgroup, path) + length + 1));
	if (!cgroup)
		return NULL;
	memcpy(cgroup->path, path, length);
	cgroup->in_subtree = cgroup_path_is_below(cgroup->path, census->policies->subtree);
	branch_init(&cgroup->branch, CENSUS_CGROUP);
	if (census_paths_add(&census->paths, cgroup) < 0) {
		free(cgroup);
		return NULL;
	}
	cgroup_attach(census, cgroup, branch);
	return cgroup;
}

/* The cgroup, and those above it down from the root's children; NULL: no memory. */
static struct census_cgroup *find_or_make_cgroup(struct census *census, const char *path,
						 size_t length)
{
	struct census_cgroup *cgroup = census_paths_find(&census->paths, path, length);
	struct census_cgroup *above = NULL;
	size_t above_length = length;

	if (cgroup)
		return cgroup;
	while (above_length > 0 && path[--above_length] != '/')
		;
	if (above_length > 0) {
		above = find_or_make_cgroup(census, path, above_length);
		if (!above)
			return NULL;
	}
	cgroup = make_cgroup(census, path, length, above ? &above->branch : &census->root);
	if (!cgroup)
		cgroup_drop_if_empty(census, above);
	return cgroup;
}

int census_attach(struct census *census, struct census_process *process, const char *path)
{
	struct census_cgroup *cgroup = census_cgroup_of(process);

	if (process->kthread || (cgroup && strcmp(cgroup->path, path) == 0))
		return 0;
	detach(census, process);
	cgroup = find_or_make_cgroup(census, path, strlen(path));
	if (!cgroup)
		return -ENOMEM;
	if (cgroup->branch.n_processes == CENSUS_BUCKET &&
	    make_bucket(census, CENSUS_BUCKET_OF, &cgroup->branch) < 0)
		return -ENOMEM;
	process_attach(census, process, &cgroup->branch);
	return 0;
}

void census_update_eligibility(struct census *census, struct census_process *process)
{
	set_bounds(census, process);
}

/* Bottom up. */
static void recompute_bounds(struct census *census, struct census_node *node)
{
	struct census_node *child;

	if (node->kind == CENSUS_PROCESS) {
		const struct census_process *process = (struct census_process *)node;

		census->largest = max_u64(census->largest, proc_mapped(&process->memory));
		census->oldest_allocated =
			min_u64(census->oldest_allocated, process->read_at_allocated);
		return;
	}
	node->weight_max = 0;
	node->reach_max = INT64_MIN;
	node->estimate_max = 0;
	census_for_each_below(child, node) {
		recompute_bounds(census, child);
		(void)raise(node, child);
	}
}

void census_recompute_bounds(struct census *census, uint64_t allocated)
{
	census->largest = 0;
	census->oldest_allocated = allocated;
	recompute_bounds(census, &census->machine);
}
