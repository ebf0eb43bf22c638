/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tally-sim: the case for which the kernel series made its hierarchical counter: a task that hops
 * across the CPUs of a large machine while it maps and unmaps memory.  How far from the truth does
 * a count of its pages get?  Three counters are given the same updates:
 *
 *   flat    percpu_counter (lib/percpu_counter.c): a CPU's part is folded when it comes to the
 * batch kernel  the series' tree: each level passes up the multiples of its batch that are crossed
 * batched bench/batched in a tree of the same shape and batches
 *
 * Three schedules: fill (page by page, hopping every few; unmapped as a whole: what made the
 * series' gigabyte), churn (at each hop a mapping is made and touched, or an old one unmapped),
 * both at random with a fixed seed for five minutes of a hop every 100 us; and worst, in which the
 * task knows the counter and leaves on each CPU all that can be hidden there.  Fails if a
 * guaranteed bound is ever broken, or if a figure of the series is not met.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/batched.h"
#include "bench/mark.h"
#include "lib/base/cleanup.h"
#include "lib/base/util.h"

#define BATCH	       32 /* RSS_STAT_BATCH_SIZE of the series */
#define MAX_LEVELS     3
#define MAX_IDS	       512
#define N_HOPS	       3000000 /* 5 min / 100 us */
#define FILL_PAGES     65536   /* 256 MiB */
#define FILL_HOP_PAGES 4
#define CHURN_PAGES    32
#define CHURN_MAPPINGS 256
#define ZAP_PAGES      512 /* a page table: the most that unmapping takes off at once */

/* The tree depends on nr_cpu_ids, arities (log2) from per_nr_cpu_order_config[] of the series. */
static const struct machine {
	int n_cpus;
	int n_ids;
	int n_levels;
	int arity_orders[MAX_LEVELS];
} machines[] = {
	{ 2, 2, 1, { 1 } },
	{ 64, 64, 3, { 2, 2, 2 } },
	{ 256, 256, 3, { 3, 3, 2 } },
	{ 384, 512, 3, { 3, 3, 3 } }, /* 2 sockets x 96 cores x 2 threads */
};

enum counter { FLAT, KERNEL, BATCHED, N_COUNTERS };
static const char *const counter_names[] = { "flat", "kernel", "batched" };

struct sim {
	const struct machine *machine;
	uint64_t seed;
	int64_t truth; /* pages */

	int64_t flat_batch, flat_parts[MAX_IDS], flat;
	int64_t kernel_items[MAX_LEVELS][MAX_IDS], kernel;
	struct batched_node nodes[MAX_LEVELS][MAX_IDS], root;

	int64_t n_updates;
	int64_t guaranteed[N_COUNTERS], largest[N_COUNTERS], sum[N_COUNTERS];
};

/* In MiB, of one counter on one machine. */
struct result {
	double guaranteed, worst, fill, fill_mean, churn, churn_mean;
};

static double mib_of(double pages)
{
	return pages / 256;
}

static int n_items(const struct machine *machine, int level)
{
	int order = 0;

	for (int i = 0; i < level; i++)
		order += machine->arity_orders[i];
	return machine->n_ids >> order;
}

static int64_t batch_of(const struct machine *machine, int level)
{
	return (int64_t)BATCH * machine->n_ids / n_items(machine, level);
}

static void init_tree(struct sim *sim)
{
	const struct machine *machine = sim->machine;
	int64_t under, over;

	batched_init(&sim->root, 1);
	for (int level = machine->n_levels - 1; level >= 0; level--) {
		bool is_top = level == machine->n_levels - 1;
		int n_above = is_top ? 1 : n_items(machine, level + 1);
		struct batched_node *above = is_top ? &sim->root : sim->nodes[level + 1];

		for (int i = 0; i < n_items(machine, level); i++) {
			batched_init(&sim->nodes[level][i], batch_of(machine, level));
			batched_attach(&sim->nodes[level][i], &above[i % n_above]);
		}
	}
	batched_range(&sim->root, &under, &over);
	sim->guaranteed[BATCHED] = (int64_t)max_u64((uint64_t)under, (uint64_t)over);
}

static void init_sim(struct sim *sim, const struct machine *machine)
{
	*sim = (struct sim){ .machine = machine, .seed = 20260114 };
	sim->flat_batch = (int64_t)max_u64(32, 2 * (uint64_t)machine->n_cpus);
	sim->guaranteed[FLAT] = (sim->flat_batch - 1) * machine->n_cpus;
	sim->guaranteed[KERNEL] = (int64_t)BATCH * machine->n_levels * machine->n_ids;
	init_tree(sim);
}

/* xorshift64*: 0 to n - 1 */
static int draw(struct sim *sim, int n)
{
	sim->seed ^= sim->seed >> 12;
	sim->seed ^= sim->seed << 25;
	sim->seed ^= sim->seed >> 27;
	return (int)((sim->seed * 0x2545f4914f6cdd1d >> 32) * (uint64_t)n >> 32);
}

static void add_flat(struct sim *sim, int cpu, int64_t pages)
{
	sim->flat_parts[cpu] += pages;
	if (llabs(sim->flat_parts[cpu]) >= sim->flat_batch) {
		sim->flat += sim->flat_parts[cpu];
		sim->flat_parts[cpu] = 0;
	}
}

/* What comes through to the top: the kernel finds the same by rounding and a test of one bit. */
static int64_t carry_kernel(struct sim *sim, int cpu, int64_t pages, bool apply)
{
	for (int level = 0; level < sim->machine->n_levels && pages; level++) {
		int64_t mask = -batch_of(sim->machine, level);
		int64_t *item = &sim->kernel_items[level][cpu % n_items(sim->machine, level)];
		int64_t before = *item, after = before + pages;

		if (apply)
			*item = after;
		pages = (after & mask) - (before & mask);
	}
	return pages;
}

static void note(struct sim *sim, enum counter counter, int64_t shown)
{
	int64_t error = llabs(shown - sim->truth);

	sim->sum[counter] += error;
	if (error > sim->largest[counter])
		sim->largest[counter] = error;
}

static void update(struct sim *sim, int cpu, int64_t pages)
{
	sim->truth += pages;
	sim->n_updates++;
	add_flat(sim, cpu, pages);
	sim->kernel += carry_kernel(sim, cpu, pages, true);
	batched_add(&sim->nodes[0][cpu], BATCHED_ANON, pages);
	note(sim, FLAT, sim->flat);
	note(sim, KERNEL, sim->kernel);
	note(sim, BATCHED, batched_approx(&sim->root, BATCHED_ANON));
}

/* A fault is one page. */
static void touch(struct sim *sim, int cpu, int n_pages)
{
	for (int i = 0; i < n_pages; i++)
		update(sim, cpu, 1);
}

static void unmap(struct sim *sim, int cpu, int n_pages)
{
	for (; n_pages > ZAP_PAGES; n_pages -= ZAP_PAGES)
		update(sim, cpu, -ZAP_PAGES);
	update(sim, cpu, -n_pages);
}

static void run_fill(struct sim *sim)
{
	int n_mapped = 0;

	for (int hop = 0; hop < N_HOPS; hop++) {
		int cpu = draw(sim, sim->machine->n_cpus);
		int n_pages = 1 + draw(sim, FILL_HOP_PAGES);

		if (n_mapped >= FILL_PAGES) {
			unmap(sim, cpu, n_mapped);
			n_mapped = 0;
		}
		touch(sim, cpu, n_pages);
		n_mapped += n_pages;
	}
}

static void run_churn(struct sim *sim)
{
	int mappings[CHURN_MAPPINGS], n_mappings = 0;

	for (int hop = 0; hop < N_HOPS; hop++) {
		int cpu = draw(sim, sim->machine->n_cpus);

		if (n_mappings == 0 || (n_mappings < CHURN_MAPPINGS && draw(sim, 2))) {
			mappings[n_mappings] = 1 + draw(sim, CHURN_PAGES);
			touch(sim, cpu, mappings[n_mappings++]);
		} else {
			int i = draw(sim, n_mappings);

			unmap(sim, cpu, mappings[i]);
			mappings[i] = mappings[--n_mappings];
		}
	}
}

/* The way from a CPU to the top, to try things on; bench/batched needs no more of the tree for it.
 */
struct path {
	struct batched_node nodes[MAX_LEVELS + 1];
};

static void copy_path(struct path *path, const struct batched_node *node)
{
	for (int i = 0; node; node = node->parent, i++) {
		path->nodes[i] = *node;
		path->nodes[i].parent = node->parent ? &path->nodes[i + 1] : NULL;
	}
}

static bool is_hidden(const struct sim *sim, const struct path *path, int64_t pages)
{
	struct path trial;

	copy_path(&trial, &path->nodes[0]);
	batched_add(&trial.nodes[0], BATCHED_ANON, pages);
	return batched_approx(&trial.nodes[sim->machine->n_levels], BATCHED_ANON) ==
	       batched_approx(&sim->root, BATCHED_ANON);
}

/* Steps that the top does not see, large ones at random and single pages in the end: how many pages
 * does that hide?  apply: they are taken. */
static int64_t hide(struct sim *sim, int cpu, int sign, uint64_t seed, bool apply)
{
	int64_t n_hidden = 0;
	struct path path;

	sim->seed = seed;
	copy_path(&path, &sim->nodes[0][cpu]);
	for (int i = 0; i < 128; i++) {
		int64_t step = (int64_t)sign * (1 + draw(sim, ZAP_PAGES >> i / 16));

		if (!is_hidden(sim, &path, step))
			continue;
		batched_add(&path.nodes[0], BATCHED_ANON, step);
		n_hidden += llabs(step);
		if (apply)
			update(sim, cpu, step);
	}
	for (; is_hidden(sim, &path, sign); n_hidden++) {
		batched_add(&path.nodes[0], BATCHED_ANON, sign);
		if (apply)
			update(sim, cpu, sign);
	}
	return n_hidden;
}

static void run_worst_for_batched(struct sim *sim, int sign)
{
	for (int cpu = 0; cpu < sim->machine->n_cpus; cpu++) {
		int64_t most = -1, n_hidden;
		uint64_t best = 0;

		for (uint64_t seed = 1; seed <= 100; seed++) {
			n_hidden = hide(sim, cpu, sign, seed, false);
			if (n_hidden > most) {
				most = n_hidden;
				best = seed;
			}
		}
		hide(sim, cpu, sign, best, true);
	}
}

/* (Downwards it rounds the other way at the first page, and as far.) */
static void run_worst_for_kernel(struct sim *sim)
{
	for (int cpu = 0; cpu < sim->machine->n_cpus; cpu++)
		while (carry_kernel(sim, cpu, 1, false) == 0)
			touch(sim, cpu, 1);
}

static void run_worst_for_flat(struct sim *sim, int sign)
{
	for (int cpu = 0; cpu < sim->machine->n_cpus; cpu++)
		update(sim, cpu, sign * (sim->flat_batch - 1));
}

enum schedule { FILL, CHURN, WORST_FLAT, WORST_KERNEL, WORST_UP, WORST_DOWN, N_SCHEDULES };

static void run_schedule(struct sim *sim, enum schedule schedule)
{
	switch (schedule) {
	case FILL:
		run_fill(sim);
		break;
	case CHURN:
		run_churn(sim);
		break;
	case WORST_FLAT:
		run_worst_for_flat(sim, 1);
		break;
	case WORST_KERNEL:
		run_worst_for_kernel(sim);
		break;
	case WORST_UP:
		run_worst_for_batched(sim, 1);
		break;
	case WORST_DOWN:
		run_worst_for_batched(sim, -1);
		break;
	case N_SCHEDULES:
		break;
	}
}

static void note_result(struct result *result, const struct sim *sim, enum counter counter,
			enum schedule schedule)
{
	double largest = mib_of(sim->largest[counter]);
	double mean = mib_of((double)sim->sum[counter] / sim->n_updates);

	result->guaranteed = mib_of(sim->guaranteed[counter]);
	if (schedule == FILL) {
		result->fill = largest;
		result->fill_mean = mean;
	} else if (schedule == CHURN) {
		result->churn = largest;
		result->churn_mean = mean;
	} else if (largest > result->worst) {
		result->worst = largest;
	}
}

/* How often a guarantee was found broken. */
static int run_machine(struct sim *sim, const struct machine *machine, struct result *results)
{
	int n_broken = 0;

	for (int schedule = 0; schedule < N_SCHEDULES; schedule++) {
		init_sim(sim, machine);
		run_schedule(sim, schedule);
		n_broken += batched_precise(&sim->root, BATCHED_ANON) != sim->truth;
		for (int counter = 0; counter < N_COUNTERS; counter++) {
			n_broken += sim->largest[counter] > sim->guaranteed[counter];
			note_result(&results[counter], sim, counter, schedule);
		}
	}
	return n_broken;
}

static void print_results(const struct machine *machine, const struct result *results)
{
	for (int i = 0; i < N_COUNTERS; i++) {
		const struct result *r = &results[i];

		printf("%4d  %-7s %10.2f %8.2f %8.2f %8.2f %8.2f %8.2f\n", machine->n_cpus,
		       counter_names[i], r->guaranteed, r->worst, r->fill, r->fill_mean, r->churn,
		       r->churn_mean);
	}
}

int main(void)
{
	_cleanup_free_ struct sim *sim = malloc(sizeof(*sim));
	struct result results[N_COUNTERS];
	const struct result *batched = &results[BATCHED];
	int n_broken = 0;

	if (!sim)
		return EXIT_FAILURE;
	printf("How far from the truth, MiB (4 KiB pages); at random over %d hops\n"
	       "CPUs  counter guaranteed    worst     fill     mean    churn     mean\n",
	       N_HOPS);
	for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
		for (int counter = 0; counter < N_COUNTERS; counter++)
			results[counter] = (struct result){ 0 };
		n_broken += run_machine(sim, &machines[i], results);
		print_results(&machines[i], results);
	}

	/* The series' machine is the last.  Its figures: 1 GB, 80 MB, 192 MB. */
	printf("\n");
	mark("tally_sim_flat_fill", results[FLAT].fill, "MiB", 900, false);
	mark("tally_sim_guaranteed", batched->guaranteed, "MiB", 192, true);
	mark("tally_sim_worst", batched->worst, "MiB", batched->guaranteed, true);
	mark("tally_sim_fill", batched->fill, "MiB", 80, true);
	mark("tally_sim_churn", batched->churn, "MiB", 80, true);
	mark("tally_sim_broken_bounds", n_broken, "times", 0, true);
	return marks_short ? EXIT_FAILURE : EXIT_SUCCESS;
}
