/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * census: the tree; see the header.  How it is read is in census-read.c.
 *
 * A process's node is exact; what it passes up goes in multiples of its batch.  Bounds only ever
 * rise on the way (a few steps up, until a node's is high enough already) and are made exact again
 * after each round, when all of them are looked at anyway.
 */
#include "lib/census.h"

#include <stdlib.h>
#include <string.h>

#include "lib/census-tree.h"
#include "lib/cleanup.h"

/* Small enough for a bundle of idle processes to be told from a leak; a node's range is the sum of
 * these over all below. */
#define BATCH_PROCESS (16 * KIB)
#define BATCH_BUNDLE  (64 * KIB)
#define BATCH_CGROUP  (256 * KIB)

#define SCRATCH_SIZE (32 * KIB)
#define BLOCK	     256 /* processes are allocated so many at a time */
#define SPARE_ENOUGH 128 /* ready for who comes in an emergency */

static struct census_node *node_parent(const struct census_node *node)
{
	return (struct census_node *)node->tally.parent;
}

static void node_init(struct census_node *node, enum census_kind kind, int64_t batch)
{
	tally_init(&node->tally, batch);
	node->kind = kind;
	node->weight_max = 0;
	node->reach_max = INT64_MIN;
	node->estimate_max = 0;
	node->walk = 0;
	node->error_sum = 0;
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

/* What hangs below a node from now on counts for all above. */
static void raise_bounds(struct census_node *node, const struct census_node *below)
{
	while (node && raise(node, below))
		node = node_parent(node);
}

static void add_error(struct census_node *node, uint64_t error)
{
	for (; node; node = node_parent(node))
		node->error_sum += error; /* modulo 2^64: taking away is adding the negative */
}

static void node_attach(struct census *census, struct census_node *node, struct census_node *parent)
{
	tally_attach(&node->tally, &parent->tally);
	add_error(parent, node->error_sum);
	raise_bounds(parent, node);
	census->n_nodes++;
}

static void node_detach(struct census *census, struct census_node *node)
{
	add_error(node_parent(node), -node->error_sum);
	tally_detach(&node->tally);
	census->n_nodes--;
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
		.listing_fd = -EBADF,
	};
	node_init(&census->machine, CENSUS_MACHINE, TALLY_BATCH_MAX);
	census->scratch = malloc(SCRATCH_SIZE);
	return census->scratch ? 0 : -ENOMEM;
}

void census_done(struct census *census)
{
	struct census_process *process, *next;

	HASH_ITER(hh, census->by_pid, process, next)
		census_drop(census, process);
	census->n_order = 0;
	census_bury(census);
	for (size_t i = 0; i < census->n_blocks; i++)
		free(census->blocks[i]);
	census_stop_catching_up(census);
	free(census->blocks);
	free(census->order);
	free(census->scratch);
	*census = (struct census){ .proc_fd = -EBADF, .listing_fd = -EBADF };
}

/* One more block of spare processes, and room in the order for all there can be. */
static int add_block(struct census *census)
{
	size_t n_order = (census->n_blocks + 1) * BLOCK;
	struct census_process *block;
	void *grown;

	grown = realloc(census->blocks, (census->n_blocks + 1) * sizeof(*census->blocks));
	if (!grown)
		return -ENOMEM;
	census->blocks = grown;
	grown = realloc(census->order, n_order * sizeof(*census->order));
	if (!grown)
		return -ENOMEM;
	census->order = grown;
	census->n_order_allocated = n_order;
	block = calloc(BLOCK, sizeof(*block));
	if (!block)
		return -ENOMEM;
	census->blocks[census->n_blocks++] = block;
	for (size_t i = 0; i < BLOCK; i++) {
		block[i].hh.next = census->spare;
		census->spare = &block[i];
	}
	return 0;
}

struct census_process *census_add(struct census *census, pid_t pid, uint64_t start_ticks)
{
	struct census_process *process;

	if (!census->spare && add_block(census) < 0)
		return NULL;
	process = census->spare;
	census->spare = process->hh.next;
	*process = (struct census_process){
		.pid = pid,
		.start_ticks = start_ticks,
		.kept_fd = -EBADF,
		.weight = 1,
	};
	node_init(&process->node, CENSUS_PROCESS, BATCH_PROCESS);
	HASH_ADD_INT(census->by_pid, pid, process);
	if (!hash_has(process)) {
		process->pid = 0;
		process->hh.next = census->spare;
		census->spare = process;
		return NULL;
	}
	census->n_processes++;
	return process;
}

int census_reserve(struct census *census)
{
	const struct census_process *process = census->spare;

	for (size_t i = 0; i < SPARE_ENOUGH; i++) {
		if (!process)
			return add_block(census);
		process = process->hh.next;
	}
	return 0;
}

static void cgroup_drop_if_empty(struct census *census, struct census_cgroup *cgroup)
{
	while (cgroup && cgroup->n_members == 0) {
		struct census_node *parent = node_parent(&cgroup->node);

		node_detach(census, &cgroup->node);
		HASH_DEL(census->by_path, cgroup);
		free(cgroup);
		if (parent->kind != CENSUS_CGROUP)
			break;
		cgroup = (struct census_cgroup *)parent;
		cgroup->n_members--;
	}
}

static bool may_be_victim(const struct census *census, const struct census_process *process)
{
	struct eligibility_subject subject = census_subject(census, process);

	return process->bundle && !process->is_gone && !eligibility_is_ruled_out(&subject);
}

/* A node's bounds are floats, rounded; they must not be too low by that. */
static float round_up(double value)
{
	return (float)(value * (1 + 1e-6));
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
	node->weight_max = round_up(weight);
	node->estimate_max = round_up((double)proc_reclaimable(&process->memory) * weight);
	node->reach_max = (int64_t)(proc_mapped(&process->memory) + node->error_sum -
				    process->read_at_allocated);
	raise_bounds(node_parent(node), node);
}

/* Out of its bundle; what is left empty by that goes too. */
static void unplace(struct census *census, struct census_process *process)
{
	struct census_bundle *bundle = process->bundle;
	struct census_cgroup *cgroup;

	if (!bundle)
		return;
	cgroup = bundle->cgroup;
	node_detach(census, &process->node);
	process->bundle = NULL;
	set_bounds(census, process);
	if (--bundle->n_processes > 0) {
		if (!cgroup->open)
			cgroup->open = bundle;
		return;
	}
	if (cgroup->open == bundle)
		cgroup->open = NULL;
	node_detach(census, &bundle->node);
	free(bundle);
	cgroup->n_members--;
	cgroup_drop_if_empty(census, cgroup);
}

void census_drop(struct census *census, struct census_process *process)
{
	unplace(census, process);
	if (census->next_in_turn == process)
		census->next_in_turn = process->hh.next;
	HASH_DEL(census->by_pid, process);
	census->n_processes--;
	census->n_unreadable -= process->error < 0;
	census->n_gone -= process->is_gone;
	closep(&process->kept_fd);
	process->kept_fd = -EBADF;
	process->pid = 0;
	/* A round has it in its order still. */
	if (census_round_is_under_way(census)) {
		process->hh.next = census->dead;
		census->dead = process;
	} else {
		process->hh.next = census->spare;
		census->spare = process;
	}
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
	struct census_process *process, *next;

	if (census->n_gone == 0)
		return;
	HASH_ITER(hh, census->by_pid, process, next)
		if (process->is_gone)
			census_drop(census, process);
}

void census_bury(struct census *census)
{
	while (census->dead) {
		struct census_process *process = census->dead;

		census->dead = process->hh.next;
		process->hh.next = census->spare;
		census->spare = process;
	}
}

static struct census_cgroup *find_cgroup(struct census *census, const char *path, size_t length)
{
	struct census_cgroup *cgroup;

	HASH_FIND(hh, census->by_path, path, length, cgroup);
	return cgroup;
}

/* The cgroup, and those above it down from the root's children; NULL: no memory. */
static struct census_cgroup *find_or_make_cgroup(struct census *census, const char *path,
						 size_t length)
{
	struct census_cgroup *cgroup = find_cgroup(census, path, length);
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
	cgroup = calloc(1, sizeof(*cgroup) + length + 1);
	if (!cgroup) {
		cgroup_drop_if_empty(census, above);
		return NULL;
	}
	memcpy(cgroup->path, path, length);
	cgroup->in_scope = cgroup_path_is_below(cgroup->path, census->policies->scope);
	node_init(&cgroup->node, CENSUS_CGROUP, BATCH_CGROUP);
	HASH_ADD(hh, census->by_path, path, length, cgroup);
	if (!hash_has(cgroup)) {
		free(cgroup);
		cgroup_drop_if_empty(census, above);
		return NULL;
	}
	node_attach(census, &cgroup->node, above ? &above->node : &census->machine);
	if (above)
		above->n_members++;
	return cgroup;
}

/* A bundle of the cgroup with room for one more. */
static struct census_bundle *open_bundle(struct census *census, struct census_cgroup *cgroup)
{
	struct census_bundle *bundle = cgroup->open;

	if (bundle && bundle->n_processes < CENSUS_BUNDLE)
		return bundle;
	bundle = calloc(1, sizeof(*bundle));
	if (!bundle)
		return NULL;
	bundle->cgroup = cgroup;
	node_init(&bundle->node, CENSUS_BUNDLE_OF, BATCH_BUNDLE);
	node_attach(census, &bundle->node, &cgroup->node);
	cgroup->n_members++;
	cgroup->open = bundle;
	return bundle;
}

int census_place(struct census *census, struct census_process *process, const char *path)
{
	struct census_cgroup *cgroup;
	struct census_bundle *bundle;

	if (process->kthread)
		return 0;
	if (process->bundle && strcmp(process->bundle->cgroup->path, path) == 0)
		return 0;
	unplace(census, process);
	cgroup = find_or_make_cgroup(census, path, strlen(path));
	if (!cgroup)
		return -ENOMEM;
	bundle = open_bundle(census, cgroup);
	if (!bundle) {
		cgroup_drop_if_empty(census, cgroup);
		return -ENOMEM;
	}
	bundle->n_processes++;
	process->bundle = bundle;
	node_attach(census, &process->node, &bundle->node);
	return 0;
}

void census_weigh(struct census *census, struct census_process *process)
{
	set_bounds(census, process);
}

void census_adjust(struct census *census, pid_t pid, int oom_score_adj)
{
	struct census_process *process = census_find(census, pid);

	if (!process || process->oom_score_adj == oom_score_adj)
		return;
	process->oom_score_adj = (short)oom_score_adj;
	set_bounds(census, process);
}

static void remember_growth(struct census_process *process, usec_t now)
{
	uint64_t footprint = proc_mapped(&process->memory);

	if (process->recent_at == 0) {
		process->earlier_footprint = process->recent_footprint = footprint;
		process->recent_at = now;
	} else if (now - process->recent_at >= CENSUS_GROWTH_USEC) {
		process->is_watched = true;
		process->earlier_footprint = process->recent_footprint;
		process->recent_footprint = footprint;
		process->recent_at = now;
	}
}

/*
 * All that it can have mapped when memory was read, its share of it whatever it is.  Page tables
 * and shared memory may have been read earlier than the rest.  Page tables are allocated like all
 * else, so they have grown by no more than was allocated between; shared memory that was there
 * before can be mapped at any time, but is resident, and in all not more than the machine has.
 */
static uint64_t mapped_at_most(const struct census *census, const struct census_process *process)
{
	const struct census_totals *totals = &census->totals;
	struct proc_memory memory = process->memory;
	uint64_t grown = sub_u64(process->read_at_allocated, process->status_at_allocated);

	if (totals->is_known)
		grown = min_u64(grown, sub_u64(totals->pagetables, memory.pagetables));
	memory.pagetables = add_u64(memory.pagetables, grown);
	if (process->shmem_is_guessed)
		memory.shmem =
			totals->is_known ? min_u64(memory.shared, totals->shmem) : memory.shared;
	return proc_mapped(&memory);
}

static void put_memory(struct census *census, struct census_process *process,
		       const struct proc_memory *memory, uint64_t allocated, usec_t now)
{
	struct tally_node *tally = &process->node.tally;
	const struct proc_memory *old = &process->memory;
	uint64_t mapped = proc_mapped(memory);
	struct interval interval =
		accuracy_interval(census->accuracy, mapped, census->with_swap, process->n_threads);
	uint64_t error;

	tally_add(tally, TALLY_ANON, (int64_t)(memory->anon - old->anon));
	tally_add(tally, TALLY_SWAP, (int64_t)(memory->swap - old->swap));
	tally_add(tally, TALLY_OTHER,
		  (int64_t)(memory->shmem + memory->pagetables - old->shmem - old->pagetables));
	process->memory = *memory;
	process->read_at_allocated = allocated;
	error = interval.hi - mapped + mapped_at_most(census, process) - mapped;
	add_error(&process->node, error - process->node.error_sum);
	remember_growth(process, now);
	set_bounds(census, process);
}

static uint64_t difference(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/*
 * What was measured holds for what it has mapped since then, but is never more than all.  How far
 * it may be off: what came and what is gone may have been shared or not.  Where all counted, only
 * shared memory that came may be kept.
 */
static void keep_measured(struct census_process *process, struct proc_memory *memory)
{
	const struct proc_memory *old = &process->memory;
	uint64_t off = difference(memory->shmem, old->shmem);

	if (old->kept > proc_mapped(memory) / CENSUS_MEASURED_OFF)
		off += difference(memory->anon + memory->swap, old->anon + old->swap);
	process->share_off += (float)off;
	process->fair_share =
		sub_u64(process->fair_share, sub_u64(proc_mapped(old), proc_mapped(memory)));
	memory->is_measured = old->is_measured;
	memory->kept = min_u64(old->kept, proc_mapped(memory));
}

void census_count(struct census *census, struct census_process *process,
		  const struct proc_memory *memory, uint64_t allocated, usec_t now)
{
	struct proc_memory full = *memory;

	if (full.is_measured) {
		process->measured_at = now;
		process->measured_at_allocated = allocated;
		process->share_off = 0;
	} else {
		keep_measured(process, &full);
	}
	process->shmem_is_guessed = false;
	process->status_at_allocated = allocated;
	put_memory(census, process, &full, allocated, now);
}

void census_count_resident(struct census *census, struct census_process *process, uint64_t anon,
			   uint64_t shared, uint64_t allocated, usec_t now)
{
	struct proc_memory memory = process->memory;
	uint64_t file = sub_u64(memory.shared, memory.shmem);

	/* What has come since status was read is taken for shared memory: that is looked at anew
	 * soon (census-read.c), and mapped files come slowly. */
	memory.shmem = sub_u64(shared, file);
	memory.shared = shared;
	memory.anon = anon;
	keep_measured(process, &memory);
	process->shmem_is_guessed = true;
	put_memory(census, process, &memory, allocated, now);
}

void census_set_totals(struct census *census, const struct memory_counters *counters)
{
	census->totals = (struct census_totals){
		.is_known = counters->anon > 0,
		.anon = counters->anon,
		.swap = sub_u64(counters->swap_total, counters->swap_free),
		.shmem = counters->shmem,
		.pagetables = counters->page_tables,
	};
}

/* Bottom up. */
static void tighten(struct census *census, struct census_node *node)
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
	census_for_each_child(child, node) {
		tighten(census, child);
		(void)raise(node, child);
	}
}

void census_tighten(struct census *census, uint64_t allocated)
{
	census->largest = 0;
	census->oldest_allocated = allocated;
	tighten(census, &census->machine);
}

void census_set_policies(struct census *census, const struct policy_set *policies)
{
	struct census_process *process, *next;

	/* Nobody is kept who points to a rule of old; nor a cgroup with its scope. */
	HASH_ITER(hh, census->by_pid, process, next)
		census_drop(census, process);
	census_stop_round(census);
	census_stop_catching_up(census);
	census->policies = policies;
	census->swept_at = 0;
}

struct census_process *census_find(const struct census *census, pid_t pid)
{
	struct census_process *process;

	HASH_FIND_INT(census->by_pid, &pid, process);
	return process;
}

const char *census_cgroup_path(const struct census_process *process)
{
	return process->bundle ? process->bundle->cgroup->path : "/";
}

bool census_is_in_scope(const struct census *census, const struct census_process *process)
{
	return process->bundle ? process->bundle->cgroup->in_scope
			       : cgroup_path_is_below("/", census->policies->scope);
}

bool census_share_is_current(const struct census *census, const struct census_process *process,
			     usec_t now)
{
	return process->memory.is_measured && process->measured_at >= census->measured_from &&
	       sub_u64(now, process->measured_at) <= CENSUS_MEASURED_USEC &&
	       process->share_off <= (float)(proc_mapped(&process->memory) / CENSUS_MEASURED_OFF);
}

uint64_t census_mapped_at_most(const struct census *census, const struct census_process *process,
			       uint64_t allocated)
{
	return add_u64(add_u64(proc_mapped(&process->memory), process->node.error_sum),
		       sub_u64(allocated, process->read_at_allocated));
}

struct interval census_interval(const struct census *census, const struct census_process *process,
				uint64_t allocated, usec_t now)
{
	uint64_t growth = sub_u64(allocated, process->read_at_allocated);
	uint64_t error = process->node.error_sum, hi = proc_mapped(&process->memory);
	bool is_current = census_share_is_current(census, process, now);

	/* What is kept depends on how much is its own, which may be another part by now: a page
	 * that was shared becomes its own when it is written to, which allocates one. */
	if (is_current)
		hi = sub_u64(hi, sub_u64(process->memory.kept,
					 sub_u64(allocated, process->measured_at_allocated)));
	/* It may have shrunk at any time, and grown by no more than all that was allocated. */
	return (struct interval){
		.lo = growth > 0 || !is_current
			      ? 0
			      : sub_u64(proc_reclaimable(&process->memory), error),
		.hi = add_u64(add_u64(hi, error), growth),
	};
}

struct interval census_node_interval(const struct census *census, const struct census_node *node,
				     uint64_t allocated)
{
	uint64_t growth = sub_u64(allocated, census->oldest_allocated), off;
	int64_t approx, under, over;

	approx = tally_approx(&node->tally, TALLY_ANON) + tally_approx(&node->tally, TALLY_SWAP) +
		 tally_approx(&node->tally, TALLY_OTHER);
	tally_range(&node->tally, &under, &over);
	/* Each counter may be off by so much. */
	off = TALLY_N_COUNTERS * (uint64_t)max_u64((uint64_t)under, (uint64_t)over) +
	      node->error_sum;
	approx = approx > 0 ? approx : 0;
	return (struct interval){
		.lo = growth > 0 ? 0 : sub_u64((uint64_t)approx, off),
		.hi = add_u64(add_u64((uint64_t)approx, off), growth),
	};
}
