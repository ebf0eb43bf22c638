/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * victim: tables of small machines, and thousands of random ones against brute force.
 *
 * A random machine has true footprints; what the census knows of them was read earlier and
 * inexactly, within the bounds that are promised.  The victim's true score must never be exceeded
 * unless the result says so; a one-pass choice by the plain readings must be seen to fail.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/victim.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define MAX_PROCESSES 64

static struct accuracy exact = {
	.regime = ACCURACY_PRECISE,
	.n_cpus = 2,
	.batch = 32,
	.page_size = 4096,
};

struct machine {
	struct census census;
	struct census_process processes[MAX_PROCESSES];
	uint64_t truth[MAX_PROCESSES]; /* bytes, now */
	bool gone[MAX_PROCESSES];
	int read_result; /* of every precise read */
	unsigned n_reads;
	uint64_t allocated;
};

static void machine_init(struct machine *machine, size_t n)
{
	*machine = (struct machine){
		.census = { .processes = machine->processes, .n_processes = n, .accuracy = &exact },
	};
	for (size_t i = 0; i < n; i++)
		machine->processes[i] = (struct census_process){
			.pid = (pid_t)(100 + i),
			.start_ticks = 1000 + i,
			.weight = 1,
			.state = 'S',
			.in_scope = true,
			.n_threads = 1,
		};
}

static void set(struct machine *machine, size_t i, uint64_t reading, uint64_t truth)
{
	machine->processes[i].memory.anon = reading;
	machine->truth[i] = truth;
}

static int read_truth(const struct census_process *process, struct proc_memory *ret,
		      uint64_t *ret_error, void *userdata)
{
	struct machine *machine = userdata;
	size_t i = (size_t)(process - machine->processes);

	machine->n_reads++;
	if (machine->gone[i])
		return VICTIM_READ_GONE;
	if (machine->read_result != 0)
		return machine->read_result;
	*ret = (struct proc_memory){ .anon = machine->truth[i] };
	*ret_error = 0;
	return 0;
}

static struct victim_result result;

static pid_t choose_by(struct machine *machine, enum policy_rank_by rank_by)
{
	struct victim_request request = {
		.rank_by = rank_by,
		.allocated = machine->allocated,
		.total = 16 * GIB,
		.now = 1000 * USEC_PER_SEC,
		.self = 1 << 20,
	};

	assert_int_equal(victim_reserve(&result, MAX_PROCESSES), 0);
	victim_choose(&machine->census, &request, read_truth, machine, &result);
	return result.n_ranked > 0 ? result.ranked[0].process->pid : -1;
}

static pid_t choose(struct machine *machine)
{
	return choose_by(machine, POLICY_RANK_BY_FOOTPRINT);
}

static void test_choose_takes_the_largest(void **state)
{
	struct machine machine;

	machine_init(&machine, 3);
	set(&machine, 0, 100 * MIB, 100 * MIB);
	set(&machine, 1, 300 * MIB, 300 * MIB);
	set(&machine, 2, 200 * MIB, 200 * MIB);
	assert_int_equal(choose(&machine), 101);
	assert_false(result.approximate);
	assert_int_equal(result.n_reads, 1); /* nobody else can reach it */
	assert_int_equal(result.ranked[0].verdict, VICTIM_CHOSEN);
	assert_int_equal(result.ranked[1].process->pid, 102);
	assert_int_equal(result.ranked[1].verdict, VICTIM_CANNOT_REACH);
	assert_int_equal(result.ranked[2].process->pid, 100);
}

static void test_choose_reads_who_may_have_grown(void **state)
{
	struct machine machine;

	machine_init(&machine, 3);
	set(&machine, 0, 300 * MIB, 290 * MIB);
	set(&machine, 1, 10 * MIB, 410 * MIB); /* all that was handed out went here */
	set(&machine, 2, 20 * MIB, 20 * MIB);
	machine.allocated = 400 * MIB;
	assert_int_equal(choose(&machine), 101);
	assert_false(result.approximate);
	assert_int_equal(result.n_reads, 3);
	assert_int_equal(result.ranked[1].verdict, VICTIM_SMALLER);
}

static void test_choose_passes_to_the_next_if_one_vanishes(void **state)
{
	struct machine machine;

	machine_init(&machine, 2);
	set(&machine, 0, 300 * MIB, 0);
	set(&machine, 1, 200 * MIB, 200 * MIB);
	machine.gone[0] = true;
	assert_int_equal(choose(&machine), 101);
	assert_int_equal(result.n_candidates, 1);
	assert_int_equal(result.n_ranked, 1);
}

static void test_choose_nobody(void **state)
{
	struct machine machine;

	machine_init(&machine, 0);
	assert_int_equal(choose(&machine), -1);
	machine_init(&machine, 1);
	machine.processes[0].oom_score_adj = -1000;
	assert_int_equal(choose(&machine), -1);
	assert_int_equal(result.n_excluded[VICTIM_IS_ADJ_MIN], 1);
}

static void test_choose_excludes(void **state)
{
	static const struct rule rule = { .kind = RULE_PROTECT };
	static const struct {
		struct census_process process;
		enum victim_exclusion expected;
	} rows[] = {
		{ { .pid = 50, .in_scope = true }, VICTIM_ELIGIBLE },
		{ { .pid = 50, .in_scope = true, .kthread = true }, VICTIM_IS_KTHREAD },
		{ { .pid = 1, .in_scope = true }, VICTIM_IS_INIT },
		{ { .pid = 77, .in_scope = true }, VICTIM_IS_SELF },
		{ { .pid = 50, .in_scope = true, .oom_score_adj = -1000 }, VICTIM_IS_ADJ_MIN },
		{ { .pid = 50, .in_scope = true, .oom_score_adj = -999 }, VICTIM_ELIGIBLE },
		{ { .pid = 50, .in_scope = true, .protected_by = &rule }, VICTIM_IS_PROTECTED },
		{ { .pid = 50 }, VICTIM_IS_OUT_OF_SCOPE },
		{ { .pid = 50, .in_scope = true, .error = -EACCES }, VICTIM_IS_UNREADABLE },
		{ { .pid = 50, .in_scope = true, .state = 'Z' }, VICTIM_HAS_NO_MEMORY },
		/* A leader that has exited while its threads hold memory. */
		{ { .pid = 50, .in_scope = true, .state = 'Z', .memory.anon = MIB },
		  VICTIM_ELIGIBLE },
		/* All of it swapped out. */
		{ { .pid = 50, .in_scope = true, .state = 'S', .memory.swap = MIB },
		  VICTIM_ELIGIBLE },
		{ { .pid = 60, .in_scope = true, .start_ticks = 5 }, VICTIM_IS_PASSED_OVER },
		/* The same pid, another process. */
		{ { .pid = 60, .in_scope = true, .start_ticks = 6 }, VICTIM_ELIGIBLE },
		/* Passed over long ago. */
		{ { .pid = 61, .in_scope = true, .start_ticks = 5 }, VICTIM_ELIGIBLE },
	};
	static const struct victim_passed_over passed_over[] = {
		{ .pid = 60, .start_ticks = 5, .until = 1001 },
		{ .pid = 61, .start_ticks = 5, .until = 1000 },
	};
	struct victim_request request = {
		.now = 1000,
		.self = 77,
		.passed_over = passed_over,
		.n_passed_over = ARRAY_SIZE(passed_over),
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum victim_exclusion got = victim_exclusion(&rows[i].process, &request);

		if (got != rows[i].expected)
			fail_msg("row %zu: %s", i, victim_exclusion_to_string(got));
	}
}

static void test_score_weighs(void **state)
{
	static const struct {
		enum policy_rank_by rank_by;
		int adj;
		float weight;
		struct proc_memory memory;
		uint64_t expected;
	} rows[] = {
		{ POLICY_RANK_BY_FOOTPRINT, 0, 1, { .anon = 100, .swap = 20, .shared = 999 }, 120 },
		{ POLICY_RANK_BY_FOOTPRINT, 1000, 1, { .anon = 100 }, 200 },
		{ POLICY_RANK_BY_FOOTPRINT, -500, 1, { .anon = 100 }, 50 },
		{ POLICY_RANK_BY_FOOTPRINT, 0, 2, { .anon = 100 }, 200 },
		{ POLICY_RANK_BY_FOOTPRINT, 1000, 0.5F, { .anon = 100 }, 100 },
		{ POLICY_RANK_BY_SWAP, 0, 1, { .anon = 100, .swap = 20 }, 20 },
		{ POLICY_RANK_BY_GROWTH, 0, 1, { .anon = 1100 }, 100 },
		{ POLICY_RANK_BY_GROWTH, 0, 1, { .anon = 900 }, 0 }, /* it shrank */
		{ POLICY_RANK_BY_BADNESS,
		  0,
		  1,
		  { .anon = 100, .swap = 20, .shared = 30, .pagetables = 1 },
		  151 },
		/* The kernel's: adj thousandths of all memory. */
		{ POLICY_RANK_BY_BADNESS, 300, 1, { .anon = 100 }, 100 + 300 * 16000 },
		{ POLICY_RANK_BY_BADNESS, -300, 1, { .anon = 100 }, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct census_process process = {
			.oom_score_adj = (short)rows[i].adj,
			.weight = rows[i].weight,
			.earlier_footprint = 1000,
		};
		struct victim_request request = { .rank_by = rows[i].rank_by, .total = 16000000 };
		uint64_t got = victim_score(&process, &request, &rows[i].memory);

		if (got != rows[i].expected)
			fail_msg("row %zu: %llu", i, (unsigned long long)got);
	}
}

/* The complaint that other daemons get most: a small browser tab with adj 300 beside a leak. */
static void test_choose_hint_does_not_outrank_size(void **state)
{
	struct machine machine;

	machine_init(&machine, 2);
	set(&machine, 0, 80 * MIB, 80 * MIB);
	machine.processes[0].oom_score_adj = 300;
	set(&machine, 1, 900 * MIB, 900 * MIB);
	assert_int_equal(choose(&machine), 101);
	assert_int_equal(choose_by(&machine, POLICY_RANK_BY_BADNESS), 100);
}

static void test_choose_ties_go_to_the_youngest(void **state)
{
	struct machine machine;

	machine_init(&machine, 3);
	for (size_t i = 0; i < 3; i++)
		set(&machine, i, 64 * MIB, 64 * MIB);
	machine.processes[1].start_ticks = 9000;
	assert_int_equal(choose(&machine), 101);
	machine.processes[1].start_ticks = machine.processes[2].start_ticks = 9000;
	assert_int_equal(choose(&machine), 102); /* by pid */
}

static void test_choose_stops_reading_at_the_budget(void **state)
{
	struct machine machine;

	machine_init(&machine, 40);
	for (size_t i = 0; i < 40; i++)
		set(&machine, i, (100 + i) * MIB, (100 + i) * MIB);
	machine.allocated = GIB; /* everybody may be anything */
	assert_int_equal(choose(&machine), 139);
	assert_int_equal(result.n_reads, VICTIM_MAX_READS);
	assert_true(result.approximate);
	assert_int_equal(result.ranked[20].verdict, VICTIM_UNDECIDED);
}

/* After the budget a smaller one must not replace the choice (a flaw of the original). */
static void test_choose_does_not_drift_down_after_the_budget(void **state)
{
	struct machine machine;

	machine_init(&machine, 40);
	for (size_t i = 0; i < 40; i++)
		set(&machine, i, 100 * MIB - i, 100 * MIB - i);
	machine.allocated = GIB;
	assert_int_equal(choose(&machine), 100);
	assert_true(result.approximate);
}

static void test_choose_ranks_by_estimate_when_reads_fail(void **state)
{
	static const int results[] = { VICTIM_READ_LATE, -EACCES };
	struct machine machine;

	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		machine_init(&machine, 2);
		set(&machine, 0, 50 * MIB, 50 * MIB);
		set(&machine, 1, 70 * MIB, 70 * MIB);
		machine.read_result = results[i];
		assert_int_equal(choose(&machine), 101);
		assert_true(result.approximate);
		assert_false(result.ranked[0].precise);
	}
}

static void test_choose_allocates_nothing(void **state)
{
	struct machine machine;

	if (!FAIL_MALLOC_WORKS) {
		print_message("SKIP: AddressSanitizer has its own malloc\n");
		skip();
	}
	machine_init(&machine, MAX_PROCESSES);
	for (size_t i = 0; i < MAX_PROCESSES; i++)
		set(&machine, i, i * MIB, i * MIB);
	machine.allocated = GIB;
	(void)choose(&machine);
	n_mallocs = 0;
	fail_malloc = true;
	(void)choose(&machine);
	fail_malloc = false;
	assert_int_equal(n_mallocs, 0);
}

/* xorshift64*: the same machines for the same seed, everywhere. */
static uint64_t rng;

static uint64_t random_below(uint64_t n)
{
	rng ^= rng >> 12;
	rng ^= rng << 25;
	rng ^= rng >> 27;
	return (rng * 0x2545f4914f6cdd1dULL >> 16) % n;
}

/* Truths first; then what was read of them some while ago, as wrong as it may be. */
static void machine_random(struct machine *machine, struct accuracy *accuracy)
{
	size_t n = 1 + random_below(MAX_PROCESSES);
	uint64_t left;

	*accuracy = (struct accuracy){
		.regime = 1 + (enum accuracy_regime)random_below(3),
		.n_cpus = 1 + (unsigned)random_below(64),
		.page_size = 4096,
	};
	accuracy->batch = accuracy_batch(accuracy->n_cpus);
	machine_init(machine, n);
	machine->census.accuracy = accuracy;
	machine->allocated = left = random_below(3) == 0 ? 0 : random_below(2 * GIB);
	for (size_t i = 0; i < n; i++) {
		struct census_process *process = &machine->processes[i];
		uint64_t then = random_below(random_below(4) == 0 ? GIB : 64 * MIB), grown, error;
		struct interval interval;

		process->n_threads = 1 + (unsigned)random_below(50);
		process->oom_score_adj = random_below(3) == 0 ? (short)random_below(1000) : 0;
		process->weight = random_below(4) == 0 ? 0.5F : 1;
		if (random_below(8) == 0)
			process->in_scope = false;
		/* Since then it grew by a share of what was handed out, or shrank. */
		grown = random_below(2) == 0 ? random_below(left + 1) : 0;
		left -= grown;
		machine->truth[i] = then + grown;
		if (machine->allocated > 0 && random_below(4) == 0)
			machine->truth[i] = random_below(then + 1);
		/* And what was read then was off by up to the bound. */
		interval = accuracy_interval(accuracy, then, false, process->n_threads);
		error = random_below(interval.hi - then + 1);
		process->memory.anon = random_below(2) == 0 ? then + error : sub_u64(then, error);
	}
}

static double true_score(const struct machine *machine, const struct victim_request *request,
			 size_t i)
{
	struct proc_memory memory = { .anon = machine->truth[i] };

	return (double)victim_score(&machine->processes[i], request, &memory);
}

static void test_choose_never_beaten_by_brute_force(void **state)
{
	enum { ROUNDS = 200000 };
	unsigned n_approximate = 0, n_one_pass_wrong = 0, n_reads = 0, n_chosen = 0;
	struct victim_request request = { .rank_by = POLICY_RANK_BY_FOOTPRINT };
	struct accuracy accuracy;
	struct machine machine;

	rng = 20250703;
	print_message("seed %llu, %d machines\n", (unsigned long long)rng, ROUNDS);
	for (int round = 0; round < ROUNDS; round++) {
		double best = 0, plain_best = -1, plain_score = 0;
		pid_t victim;

		machine_random(&machine, &accuracy);
		victim = choose(&machine);
		for (size_t i = 0; i < machine.census.n_processes; i++) {
			const struct census_process *process = &machine.processes[i];
			double plain = (double)victim_score(process, &request, &process->memory);

			if (!process->in_scope)
				continue;
			best = true_score(&machine, &request, i) > best
				       ? true_score(&machine, &request, i)
				       : best;
			if (plain > plain_best) {
				plain_best = plain;
				plain_score = true_score(&machine, &request, i);
			}
		}
		if (victim < 0)
			continue;
		n_chosen++;
		n_reads += result.n_reads;
		n_approximate += result.approximate;
		n_one_pass_wrong += plain_score < best;
		if (!result.approximate &&
		    true_score(&machine, &request, (size_t)(victim - 100)) < best)
			fail_msg("round %d: %.0f chosen, %.0f was there", round,
				 true_score(&machine, &request, (size_t)(victim - 100)), best);
	}
	print_message("%u choices, %.2f precise reads each, %u approximate; a one-pass choice by "
		      "plain readings is wrong in %u\n",
		      n_chosen, (double)n_reads / n_chosen, n_approximate, n_one_pass_wrong);
	assert_true(n_one_pass_wrong > n_chosen / 100);
	assert_true(n_approximate < n_chosen / 2);
}

static int teardown(void **state)
{
	victim_done(&result);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choose_takes_the_largest),
		cmocka_unit_test(test_choose_reads_who_may_have_grown),
		cmocka_unit_test(test_choose_passes_to_the_next_if_one_vanishes),
		cmocka_unit_test(test_choose_nobody),
		cmocka_unit_test(test_choose_excludes),
		cmocka_unit_test(test_score_weighs),
		cmocka_unit_test(test_choose_hint_does_not_outrank_size),
		cmocka_unit_test(test_choose_ties_go_to_the_youngest),
		cmocka_unit_test(test_choose_stops_reading_at_the_budget),
		cmocka_unit_test(test_choose_does_not_drift_down_after_the_budget),
		cmocka_unit_test(test_choose_ranks_by_estimate_when_reads_fail),
		cmocka_unit_test(test_choose_allocates_nothing),
		cmocka_unit_test(test_choose_never_beaten_by_brute_force),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
