/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tally-cost: what the sums of cgroups cost, in instructions: run it under callgrind, which counts
 * them by function (tally-cost.sh).  Without that it prints how often what was done.
 *
 * A snapshot has PROCESSES in CGROUPS at a depth of 3 to 6, as systemd nests them.  In a round each
 * process is read once: most have not changed, some by a few KiB, few by MiB.  Each phase is a
 * function of its own:
 *
 *   phase_census_*   the snapshot as it is: a round of readings, a choice with Target=cgroup
 *   phase_add_*      the counters alone, by the same changes: batched.h with a batch of 64 KiB in a
 *                    bucket of processes and 256 KiB in a cgroup, with batches by level (the
 *                    kernel series' rule), with a batch of 1; and the tally
 *   phase_largest_*  the 32 largest cgroups: the sum of each by a walk over its processes; by one
 *                    walk over all processes; by ranges, and precisely where these overlap; by
 *                    the tally
 *
 * usage: tally-cost [PROCESSES [CGROUPS]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/batched.h"
#include "lib/base/cleanup.h"
#include "lib/select/victim.h"
#include "lib/snapshot/census-tree.h"

#define N_ROUNDS  3
#define N_LARGEST 32
#define N_USERS	  20
#define PHASE	  static __attribute__((noinline))

#define BATCH_BUCKET (64 * KIB)
#define BATCH_CGROUP (256 * KIB)

enum batches { BY_KIND, BY_LEVEL, OF_ONE, N_BATCHES };
static const char *const batches_names[] = { "64/256 KiB", "by level", "of 1" };

/* One branch of the snapshot: a cgroup or a bucket. */
struct branch {
	const struct census_node *node;
	struct branch *above;
	unsigned n_leaves; /* branches with processes, itself and below */
	struct batched_node counters[N_BATCHES];
	struct tally_node tally;
};

struct bench {
	struct census census;
	struct policy_set policies;
	struct victim_result choice;
	struct census_process **processes;
	struct proc_memory *memory;
	int64_t *deltas;
	struct branch *branches;
	struct branch **branch_of; /* by process */
	size_t n, n_cgroups, n_branches;
	uint64_t seed, allocated;
	unsigned n_compared, n_overlapping;
};

struct largest {
	struct {
		const struct branch *branch;
		int64_t bytes;
	} items[N_LARGEST];
	unsigned n;
};

static struct accuracy exact = {
	.regime = ACCURACY_PRECISE,
	.n_cpus = 2,
	.batch = 32,
	.page_size = 4096,
};
static char everything[] = "/";

/* xorshift64*: 0 to n - 1 */
static uint64_t draw(struct bench *bench, uint64_t n)
{
	bench->seed ^= bench->seed >> 12;
	bench->seed ^= bench->seed << 25;
	bench->seed ^= bench->seed >> 27;
	return (bench->seed * 0x2545f4914f6cdd1d >> 32) % n;
}

static void make_path(size_t i, char *buf, size_t size)
{
	unsigned user = 1000 + (unsigned)(i / 4 % N_USERS);
	char manager[64];

	snprintf(manager, sizeof(manager), "/user.slice/user-%u.slice/user@%u.service", user, user);
	if (i % 4 == 0)
		snprintf(buf, size, "/system.slice/system-job%zu.slice/job@%zu.service", i / 4 % 32,
			 i);
	else if (i % 4 == 1)
		snprintf(buf, size, "%s/app.slice/app-%zu.scope", manager, i);
	else if (i % 4 == 2)
		snprintf(buf, size, "/machine.slice/machine-a.slice/machine-pod%zu.slice/c%zu",
			 i / 16, i);
	else
		snprintf(buf, size, "%s/app.slice/app-x%zu.slice/app-%zu.service", manager,
			 i / 80 % 8, i);
}

/* Most have some MiB, one in a hundred up to 1 GiB. */
static uint64_t draw_size(struct bench *bench)
{
	return draw(bench, 100) == 0 ? (64 + draw(bench, 960)) * MIB
				     : (256 + draw(bench, 10240)) * 4 * KIB;
}

static int64_t draw_delta(struct bench *bench, uint64_t bytes)
{
	uint64_t kind = draw(bench, 100), delta = 0;
	bool is_less = draw(bench, 2);

	if (kind >= 95)
		delta = (1 + draw(bench, 16)) * MIB;
	else if (kind >= 60)
		delta = (1 + draw(bench, 32)) * 4 * KIB;
	return is_less ? -(int64_t)min_u64(delta, bytes / 2) : (int64_t)delta;
}

static int add(struct bench *bench, size_t i)
{
	struct census_process *process =
		census_add(&bench->census, (pid_t)(i + 100), (uint64_t)i + 1);
	char path[256];

	if (!process)
		return -ENOMEM;
	process->state = 'S';
	process->n_threads = 1;
	make_path(i < bench->n_cgroups ? i : draw(bench, bench->n_cgroups), path, sizeof(path));
	bench->processes[i] = process;
	bench->memory[i] = (struct proc_memory){ .anon = draw_size(bench), .pagetables = 64 * KIB };
	return census_attach(&bench->census, process, path);
}

PHASE void phase_census_round(struct bench *bench)
{
	for (size_t i = 0; i < bench->n; i++)
		census_set_memory(&bench->census, bench->processes[i], &bench->memory[i],
				  bench->allocated, USEC_PER_SEC);
}

/* Where swap is not in use, a round reads statm. */
PHASE void phase_census_round_by_statm(struct bench *bench)
{
	for (size_t i = 0; i < bench->n; i++)
		census_set_resident(&bench->census, bench->processes[i], bench->memory[i].anon,
				    bench->memory[i].shared, bench->allocated, USEC_PER_SEC);
}

static int reread(struct census *census, struct census_process *process, void *userdata)
{
	struct bench *bench = userdata;

	census_set_memory(census, process, &bench->memory[process->pid - 100], bench->allocated,
			  USEC_PER_SEC);
	return 0;
}

static int read_none(const struct census_process *process, struct victim_reading *ret,
		     void *userdata)
{
	return VICTIM_READ_LATE;
}

PHASE void phase_census_choice(struct bench *bench)
{
	const struct victim_reader reader = { read_none, reread, bench };
	const struct victim_request request = {
		.target = POLICY_TARGET_CGROUP,
		.allocated = bench->allocated + 16 * MIB,
		.now = USEC_PER_SEC,
		.self = 1,
		.min_victim = 1,
		.total = 64 * GIB,
	};

	victim_choose(&bench->census, &request, &reader, &bench->choice);
}

static void add_all(struct bench *bench, enum batches batches)
{
	for (size_t i = 0; i < bench->n; i++)
		batched_add(&bench->branch_of[i]->counters[batches], BATCHED_ANON,
			    bench->deltas[i]);
}

PHASE void phase_add_by_kind(struct bench *bench)
{
	add_all(bench, BY_KIND);
}

PHASE void phase_add_by_level(struct bench *bench)
{
	add_all(bench, BY_LEVEL);
}

PHASE void phase_add_of_one(struct bench *bench)
{
	add_all(bench, OF_ONE);
}

PHASE void phase_add_tally(struct bench *bench)
{
	for (size_t i = 0; i < bench->n; i++) {
		const struct tally_sums delta = { { [TALLY_ANON] = (uint64_t)bench->deltas[i] } };

		tally_add(&bench->branch_of[i]->tally, &delta);
	}
}

static void insert(struct largest *largest, const struct branch *branch, int64_t bytes)
{
	unsigned i = largest->n;

	if (i == N_LARGEST && bytes <= largest->items[i - 1].bytes)
		return;
	if (i < N_LARGEST)
		largest->n++;
	else
		i--;
	for (; i > 0 && largest->items[i - 1].bytes < bytes; i--)
		largest->items[i] = largest->items[i - 1];
	largest->items[i].branch = branch;
	largest->items[i].bytes = bytes;
}

static int64_t sum_below(const struct census_node *node)
{
	const struct census_process *process = (const struct census_process *)node;
	const struct census_node *child;
	int64_t sum = 0;

	if (node->kind == CENSUS_PROCESS)
		return (int64_t)(process->memory.anon + process->memory.swap);
	census_for_each_below(child, node)
		sum += sum_below(child);
	return sum;
}

static bool is_cgroup(const struct branch *branch)
{
	return branch->node->kind == CENSUS_CGROUP;
}

PHASE void phase_largest_by_sum_of_each(struct bench *bench, struct largest *largest)
{
	for (size_t i = 0; i < bench->n_branches; i++)
		if (is_cgroup(&bench->branches[i]))
			insert(largest, &bench->branches[i], sum_below(bench->branches[i].node));
}

static int64_t sum_and_insert(const struct census_node *node, struct largest *largest)
{
	const struct census_process *process = (const struct census_process *)node;
	const struct census_node *child;
	int64_t sum = 0;

	if (node->kind == CENSUS_PROCESS)
		return (int64_t)(process->memory.anon + process->memory.swap);
	census_for_each_below(child, node)
		sum += sum_and_insert(child, largest);
	if (node->kind == CENSUS_CGROUP)
		insert(largest, NULL, sum);
	return sum;
}

PHASE void phase_largest_by_one_walk(struct bench *bench, struct largest *largest)
{
	sum_and_insert(&bench->census.machine, largest);
}

static int compare(struct bench *bench, const struct batched_node *a, const struct batched_node *b)
{
	int order = batched_compare_approx(a, b, BATCHED_ANON);

	bench->n_compared++;
	if (order != 0)
		return order;
	bench->n_overlapping++;
	return batched_compare(a, b, BATCHED_ANON);
}

static void largest_by_ranges(struct bench *bench, enum batches batches, struct largest *largest)
{
	for (size_t k = 0; k < bench->n_branches; k++) {
		const struct branch *branch = &bench->branches[k];
		const struct batched_node *counters = &branch->counters[batches];
		unsigned i = largest->n;

		if (!is_cgroup(branch))
			continue;
		if (i == N_LARGEST &&
		    compare(bench, counters, &largest->items[i - 1].branch->counters[batches]) <= 0)
			continue;
		if (i < N_LARGEST)
			largest->n++;
		else
			i--;
		for (; i > 0 && compare(bench, &largest->items[i - 1].branch->counters[batches],
					counters) < 0;
		     i--)
			largest->items[i] = largest->items[i - 1];
		largest->items[i].branch = branch;
		largest->items[i].bytes = batched_precise(counters, BATCHED_ANON);
	}
}

PHASE void phase_largest_by_ranges_by_kind(struct bench *bench, struct largest *largest)
{
	largest_by_ranges(bench, BY_KIND, largest);
}

PHASE void phase_largest_by_ranges_by_level(struct bench *bench, struct largest *largest)
{
	largest_by_ranges(bench, BY_LEVEL, largest);
}

PHASE void phase_largest_by_tally(struct bench *bench, struct largest *largest)
{
	for (size_t i = 0; i < bench->n_branches; i++)
		if (is_cgroup(&bench->branches[i]))
			insert(largest, &bench->branches[i],
			       (int64_t)tally_sum(&bench->branches[i].tally, TALLY_ANON));
}

/* Parents first. */
static unsigned collect(struct bench *bench, const struct census_node *node, struct branch *above)
{
	struct branch *branch = &bench->branches[bench->n_branches++];
	const struct census_node *child;

	branch->node = node;
	branch->above = above;
	branch->n_leaves = ((const struct census_branch *)node)->n_processes > 0;
	census_for_each_below(child, node) {
		if (child->kind == CENSUS_PROCESS)
			bench->branch_of[((const struct census_process *)child)->pid - 100] =
				branch;
		else
			branch->n_leaves += collect(bench, child, branch);
	}
	return branch->n_leaves;
}

static int64_t batch_of(const struct branch *branch, enum batches batches)
{
	enum census_kind kind = branch->node->kind;

	if (batches == BY_LEVEL)
		return (int64_t)(BATCH_BUCKET * max_u64(branch->n_leaves, 1));
	if (batches == OF_ONE || kind == CENSUS_BUCKET_OF_CGROUPS)
		return 1;
	return kind == CENSUS_BUCKET_OF ? BATCH_BUCKET : BATCH_CGROUP;
}

static void init_counters(struct branch *branch)
{
	tally_init(&branch->tally);
	if (branch->above)
		tally_attach(&branch->tally, &branch->above->tally);
	for (int i = 0; i < N_BATCHES; i++) {
		batched_init(&branch->counters[i], batch_of(branch, i));
		if (branch->above)
			batched_attach(&branch->counters[i], &branch->above->counters[i]);
	}
}

static int make_counters(struct bench *bench)
{
	size_t n_max = bench->census.n_nodes;

	bench->branches = calloc(n_max, sizeof(*bench->branches));
	bench->branch_of = calloc(bench->n, sizeof(struct branch *));
	if (!bench->branches || !bench->branch_of)
		return -ENOMEM;
	collect(bench, &bench->census.machine, NULL);
	for (size_t i = 0; i < bench->n_branches; i++)
		init_counters(&bench->branches[i]);
	for (size_t i = 0; i < bench->n; i++) {
		const struct tally_sums sums = { { [TALLY_ANON] = bench->memory[i].anon } };

		tally_add(&bench->branch_of[i]->tally, &sums);
		for (int batches = 0; batches < N_BATCHES; batches++)
			batched_add(&bench->branch_of[i]->counters[batches], BATCHED_ANON,
				    (int64_t)bench->memory[i].anon);
	}
	return 0;
}

static void change(struct bench *bench)
{
	for (size_t i = 0; i < bench->n; i++) {
		bench->deltas[i] = draw_delta(bench, bench->memory[i].anon);
		bench->memory[i].anon += (uint64_t)bench->deltas[i];
		if (bench->deltas[i] > 0)
			bench->allocated += (uint64_t)bench->deltas[i];
	}
}

static int make(struct bench *bench)
{
	int r;

	bench->policies = (struct policy_set){ .subtree = everything };
	r = census_init(&bench->census, -1, NULL, &exact, &bench->policies);
	bench->processes = calloc(bench->n, sizeof(struct census_process *));
	bench->memory = calloc(bench->n, sizeof(*bench->memory));
	bench->deltas = calloc(bench->n, sizeof(*bench->deltas));
	if (!bench->processes || !bench->memory || !bench->deltas)
		return -ENOMEM;
	for (size_t i = 0; i < bench->n && r == 0; i++)
		r = add(bench, i);
	for (size_t i = 0; i < bench->n && r == 0; i++)
		census_set_memory(&bench->census, bench->processes[i], &bench->memory[i], 0,
				  USEC_PER_SEC);
	if (r == 0)
		r = make_counters(bench);
	return r == 0 ? victim_reserve(&bench->choice, &bench->census) : r;
}

static void run_rounds(struct bench *bench)
{
	for (unsigned i = 0; i < N_ROUNDS; i++) {
		change(bench);
		phase_add_by_kind(bench);
		phase_add_by_level(bench);
		phase_add_of_one(bench);
		phase_add_tally(bench);
		if (i % 2 == 0)
			phase_census_round(bench);
		else
			phase_census_round_by_statm(bench);
		census_recompute_bounds(&bench->census, bench->allocated);
	}
}

/* All ways must find the same. */
static void run_largest(struct bench *bench, const char *name,
			void (*phase)(struct bench *bench, struct largest *largest))
{
	struct largest largest = { .n = 0 };
	int64_t sum = 0;

	bench->n_compared = bench->n_overlapping = 0;
	phase(bench, &largest);
	for (unsigned i = 0; i < largest.n; i++)
		sum += largest.items[i].bytes / (i + 1);
	printf("largest %-22s check %lld; %u comparisons by ranges, %u of them overlapping\n", name,
	       (long long)sum, bench->n_compared, bench->n_overlapping);
}

static void run(struct bench *bench)
{
	int64_t under, over;

	printf("%zu processes, %zu cgroups, %zu branches\n", bench->n, bench->n_cgroups,
	       bench->n_branches);
	for (int i = 0; i < N_BATCHES; i++) {
		batched_range(&bench->branches[0].counters[i], &under, &over);
		printf("batches %-10s range of the machine's sum +-%lld KiB\n", batches_names[i],
		       (long long)(over / (int64_t)KIB));
	}
	run_rounds(bench);
	run_largest(bench, "by the sum of each", phase_largest_by_sum_of_each);
	run_largest(bench, "by one walk", phase_largest_by_one_walk);
	run_largest(bench, "by ranges", phase_largest_by_ranges_by_kind);
	run_largest(bench, "by ranges, by level", phase_largest_by_ranges_by_level);
	run_largest(bench, "by the tally", phase_largest_by_tally);
	phase_census_choice(bench);
	printf("choice: %zu nodes visited, %u cgroups summed, %u read again, victim %s\n",
	       bench->choice.n_visited, bench->choice.n_summed, bench->choice.n_rereads,
	       bench->choice.n_ranked > 0 && bench->choice.ranked[0].cgroup
		       ? bench->choice.ranked[0].cgroup->path
		       : "none");
}

int main(int argc, char **argv)
{
	static struct bench bench = { .seed = 20260114 }; /* its arrays are kept to the end */
	int r;

	bench.n = argc > 1 ? (size_t)atol(argv[1]) : 10000;
	bench.n_cgroups = argc > 2 ? (size_t)atol(argv[2]) : 2000;
	r = make(&bench);
	if (r == 0)
		run(&bench);
	census_done(&bench.census);
	victim_done(&bench.choice);
	if (r < 0)
		fprintf(stderr, "tally-cost: %s\n", strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
