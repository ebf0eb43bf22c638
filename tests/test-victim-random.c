/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * victim: thousands of random machines against brute force.
 *
 * A random machine lives for a while: its processes grow, shrink, fork, exec, are swapped, moved
 * and read, at different times and inexactly, within the bounds that are promised. Then a victim
 * is chosen: the true score of the victim must never be exceeded unless the result says so; a
 * one-pass choice by the plain readings must be seen to fail.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/sanitizer.h"
#include "lib/select/victim.h"
#include "lib/snapshot/census-tree.h"
#include "tests/victim-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define FEW_PROCESSES 64 /* of most random machines */

/* xorshift64*: the same machines for the same seed, everywhere. */
static uint64_t rng;

static uint64_t random_below(uint64_t n)
{
	rng ^= rng >> 12;
	rng ^= rng << 25;
	rng ^= rng >> 27;
	return (rng * 0x2545f4914f6cdd1dULL >> 16) % n;
}

static bool one_in(unsigned n)
{
	return random_below(n) == 0;
}

/* What the kernel shows of a true footprint: wrong by as much as it may be. */
static void read_inexactly(struct machine *machine, size_t i)
{
	uint64_t truth = machine->truth[i], off;
	struct interval interval = accuracy_interval(&machine->accuracy, truth, false,
						     machine->processes[i]->n_threads);

	off = one_in(3) ? interval.hi - truth : random_below(interval.hi - truth + 1);
	read_as(machine, i, one_in(2) ? truth + off : sub_u64(truth, off));
}

static void place_anywhere(struct machine *machine, size_t i)
{
	static const char *const paths[] = {
		"/", "/a", "/a/b", "/a/b/c", "/a/d", "/e", "/e/f/g/h"
	};
	const char *path = paths[random_below(ARRAY_SIZE(paths))];
	char one_of_many[16];

	if (machine->with_many_cgroups && !one_in(8)) {
		snprintf(one_of_many, sizeof(one_of_many), "/a/%u", (unsigned)random_below(300));
		path = one_of_many;
	}
	census_attach(&machine->census, machine->processes[i], path);
}

/* One thing happens to one process.  Each is a way in which pages are allocated, freed, or passed
 * on. */
static void let_happen(struct machine *machine, size_t i)
{
	uint64_t pages = random_below(one_in(4) ? 100000 : 1000) * 4096;
	struct census_process *process = machine->processes[i];

	switch (random_below(9)) {
	case 0: /* faults, THP, mremap and touch, COW after a fork, KSM unmerged: allocated */
	case 1:
	case 2:
		machine->truth[i] += pages;
		machine->allocated += pages;
		break;
	case 3: /* unmapped, discarded, KSM merged; not reported */
		machine->truth[i] = sub_u64(machine->truth[i], pages);
		break;
	case 4: /* page cache: allocated, but to no process */
		machine->allocated += pages;
		break;
	case 5: /* exec: all freed, and something new */
		machine->truth[i] = pages / 16;
		machine->allocated += pages / 16;
		break;
	case 6: /* read; after new threads started and others exited */
		process->n_threads = 1 + (unsigned)random_below(50);
		read_inexactly(machine, i);
		break;
	case 7: /* moved */
		place_anywhere(machine, i);
		census_update_eligibility(&machine->census, process);
		break;
	case 8: /* fork: the child has all of it at once; a new process is read at once */
		if (machine->n == (machine->with_many_cgroups ? MAX_PROCESSES : FEW_PROCESSES))
			break;
		machine->processes[machine->n] = census_add(
			&machine->census, (pid_t)(FIRST_PID + machine->n), 1000 + machine->n);
		machine->processes[machine->n]->n_threads = 1;
		machine->truth[machine->n] = machine->truth[i];
		place_anywhere(machine, machine->n);
		read_inexactly(machine, machine->n++);
		break;
	}
}

static void machine_random(struct machine *machine)
{
	bool with_many_cgroups = one_in(50);
	size_t n = with_many_cgroups ? MAX_PROCESSES - random_below(32)
				     : 1 + random_below(FEW_PROCESSES / 2);

	machine_init(machine, n);
	machine->with_many_cgroups = with_many_cgroups;
	machine->accuracy.regime = 1 + (enum accuracy_regime)random_below(3);
	machine->accuracy.n_cpus = 1 + (unsigned)random_below(64);
	machine->accuracy.batch = accuracy_batch(machine->accuracy.n_cpus);
	for (size_t i = 0; i < n; i++) {
		struct census_process *process = machine->processes[i];

		process->oom_score_adj = one_in(3) ? (short)random_below(1000) : 0;
		process->weight = one_in(4) ? 0.5F : 1;
		machine->truth[i] = random_below(one_in(4) ? GIB : 64 * MIB);
		place_anywhere(machine, i);
		read_inexactly(machine, i);
	}
	for (uint64_t happens = random_below(60); happens > 0; happens--)
		let_happen(machine, random_below(machine->n));
	if (one_in(2))
		census_recompute_bounds(&machine->census, 0);
	for (size_t i = 0; i < machine->n; i++)
		machine->gone[i] = one_in(20);
	if (one_in(4))
		set_adj(machine, random_below(machine->n), -1000);
}

static uint64_t true_score(const struct machine *machine, const struct victim_request *request,
			   size_t i)
{
	struct proc_memory memory = { .anon = machine->truth[i] };

	return victim_score(machine->processes[i], request, &memory);
}

#if HAS_ADDRESS_SANITIZER
enum { ROUNDS = 20000 };
#else
enum { ROUNDS = 200000 };
#endif

static void test_choose_never_beaten_by_brute_force(void **state)
{
	static const enum policy_rank_by rank_bys[] = {
		POLICY_RANK_BY_FOOTPRINT,
		POLICY_RANK_BY_FOOTPRINT,
		POLICY_RANK_BY_BADNESS,
		POLICY_RANK_BY_GROWTH,
	};
	unsigned n_approximate = 0, n_one_pass_wrong = 0, n_reads = 0, n_chosen = 0;

	rng = 20250703;
	print_message("seed %llu, %d machines\n", (unsigned long long)rng, ROUNDS);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t best = 0, plain_best = 0, plain_score = 0, score;
		struct victim_request request = { .total = 16 * GIB };
		struct machine machine;
		size_t victim;

		machine_random(&machine);
		request.rank_by = rank_bys[random_below(ARRAY_SIZE(rank_bys))];
		request.allocated = machine.allocated;
		request.n_wanted = one_in(2) ? VICTIM_RANKED_MAX : 0;
		for (size_t i = 0; i < machine.n; i++) { /* before more is read */
			const struct census_process *process = machine.processes[i];
			uint64_t plain = victim_score(process, &request, &process->memory);

			if (process->oom_score_adj == -1000 || machine.gone[i])
				continue;
			if (plain < plain_best)
				continue;
			plain_best = plain;
			plain_score = true_score(&machine, &request, i);
		}
		choose_for(&machine, &request);
		for (size_t i = 0; i < machine.n; i++)
			if (machine.processes[i]->oom_score_adj != -1000 && !machine.gone[i])
				best = max_u64(best, true_score(&machine, &request, i));
		if (result.n_ranked > 0) {
			victim = (size_t)(result.ranked[0].process->pid - FIRST_PID);
			score = true_score(&machine, &request, victim);
			n_chosen++;
			n_reads += result.n_reads;
			n_approximate += result.approximate;
			n_one_pass_wrong += plain_score < best;
			if (!result.approximate &&
			    (score < best - VICTIM_NEAR(best) || machine.gone[victim]))
				fail_msg("round %d: %llu chosen, %llu was there", round,
					 (unsigned long long)score, (unsigned long long)best);
		}
		machine_done(&machine);
	}
	print_message("%u choices, %.2f precise reads each, %u approximate; a one-pass choice by "
		      "plain readings is wrong in %u\n",
		      n_chosen, (double)n_reads / n_chosen, n_approximate, n_one_pass_wrong);
	assert_true(n_one_pass_wrong > n_chosen / 100);
	assert_true(n_approximate < n_chosen / 2);
}

/* The tallies of the tree, and cgroups as targets. */
static uint64_t truth_below(const struct machine *machine, const struct census_node *node)
{
	const struct census_node *child;
	uint64_t sum = 0;

	if (node->kind == CENSUS_PROCESS)
		return machine->truth[((const struct census_process *)node)->pid - FIRST_PID];
	census_for_each_child(child, node)
		sum += truth_below(machine, child);
	return sum;
}

static void check_tallies(const struct machine *machine, const struct census_node *node)
{
	struct interval interval = census_node_interval(&machine->census, node, machine->allocated);
	uint64_t truth = truth_below(machine, node);
	const struct census_node *child;

	/* (The lower end is of the reading: they may have shrunk without a page allocated.) */
	if (truth > interval.hi)
		fail_msg("%llu is above %llu", (unsigned long long)truth,
			 (unsigned long long)interval.hi);
	census_for_each_child(child, node)
		if (child->kind != CENSUS_PROCESS)
			check_tallies(machine, child);
}

/* Is it a cgroup without others below, and without a process that may never be killed? */
static bool may_all_be_killed(const struct machine *machine, const struct census_cgroup *cgroup)
{
	const struct census_node *child;

	census_for_each_child(child, &cgroup->node)
		if (child->kind == CENSUS_CGROUP)
			return false;
	for (size_t i = 0; i < machine->n; i++)
		if (machine->processes[i]->oom_score_adj == -1000 &&
		    census_cgroup_of(machine->processes[i]) == cgroup)
			return false;
	return strcmp(cgroup->path, "/") != 0;
}

static bool is_in_root(const struct machine *machine, size_t i)
{
	return machine->processes[i]->oom_score_adj != -1000 &&
	       strcmp(census_cgroup_path(machine->processes[i]), "/") == 0;
}

static uint64_t truth_of_victim(const struct machine *machine, const struct victim_request *request)
{
	const struct victim_candidate *victim = &result.ranked[0];

	if (victim->process)
		return true_score(machine, request, (size_t)(victim->process->pid - FIRST_PID));
	return truth_below(machine, victim->node);
}

static void test_choose_cgroup_never_beaten_by_brute_force(void **state)
{
	struct victim_request request = { .target = POLICY_TARGET_CGROUP };
	unsigned n_chosen = 0, n_approximate = 0;

	rng = 19991231;
	print_message("seed %llu, %d machines\n", (unsigned long long)rng, ROUNDS / 4);
	for (int round = 0; round < ROUNDS / 4; round++) {
		const struct census_cgroup *cgroup;
		struct machine machine;
		uint64_t best = 0, score = 0;

		machine_random(&machine);
		memset(machine.gone, 0, sizeof(machine.gone));
		check_tallies(&machine, &machine.census.machine);
		request.allocated = machine.allocated;
		choose_for(&machine, &request);
		for (size_t j = 0; j < machine.census.paths.n_lists; j++)
			for (cgroup = machine.census.paths.lists[j]; cgroup;
			     cgroup = cgroup->next_by_path)
				if (may_all_be_killed(&machine, cgroup))
					best = max_u64(best, truth_below(&machine, &cgroup->node));
		for (size_t i = 0; i < machine.n; i++)
			if (is_in_root(&machine, i))
				best = max_u64(best, true_score(&machine, &request, i));
		n_chosen += result.n_ranked > 0;
		n_approximate += result.approximate;
		if (result.n_ranked > 0)
			score = truth_of_victim(&machine, &request);
		if (result.n_ranked > 0 && !result.approximate && score < best)
			fail_msg("round %d: %llu chosen, %llu was there", round,
				 (unsigned long long)score, (unsigned long long)best);
		machine_done(&machine);
	}
	print_message("%u choices, %u approximate\n", n_chosen, n_approximate);
	assert_true(n_chosen > ROUNDS / 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choose_never_beaten_by_brute_force),
		cmocka_unit_test(test_choose_cgroup_never_beaten_by_brute_force),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
