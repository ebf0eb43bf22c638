/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim: what a process scores, and what its rules make of it. */
#include <stddef.h>
#include <stdint.h>

#include "lib/select/victim.h"
#include "lib/snapshot/census-tree.h"
#include "tests/victim-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

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
		/* More than there is a number for is the most, not nothing. */
		{ POLICY_RANK_BY_FOOTPRINT, 0, 1e15F, { .anon = GIB }, UINT64_MAX },
		{ POLICY_RANK_BY_FOOTPRINT, 1000, 1e30F, { .anon = 1 }, UINT64_MAX },
		{ POLICY_RANK_BY_FOOTPRINT, 0, 1e30F, { .anon = 0 }, 0 },
		{ POLICY_RANK_BY_SWAP, 0, 1e15F, { .swap = GIB }, UINT64_MAX },
		{ POLICY_RANK_BY_GROWTH, 0, 1e15F, { .anon = GIB }, UINT64_MAX },
		{ POLICY_RANK_BY_BADNESS, 0, 1e15F, { .anon = GIB }, UINT64_MAX },
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
	set_adj(&machine, 0, 300);
	set(&machine, 1, 900 * MIB, 900 * MIB);
	assert_int_equal(choose(&machine), 101);
	assert_int_equal(choose_by(&machine, POLICY_RANK_BY_BADNESS), 100);
	machine_done(&machine);
}

/* Preferred by more than there are numbers for. */
static void test_choose_takes_what_is_preferred_beyond_measure(void **state)
{
	static const enum policy_rank_by ranks[] = {
		POLICY_RANK_BY_FOOTPRINT,
		POLICY_RANK_BY_BADNESS,
	};
	struct machine machine;

	machine_init(&machine, 2);
	set(&machine, 0, GIB, GIB);
	set(&machine, 1, 2 * GIB, 2 * GIB);
	machine.processes[0]->weight = 1e15F;
	census_update_eligibility(&machine.census, machine.processes[0]);
	for (size_t i = 0; i < ARRAY_SIZE(ranks); i++) {
		assert_int_equal(choose_by(&machine, ranks[i]), 100);
		assert_true(result.ranked[0].estimate == UINT64_MAX);
		assert_true(result.ranked[0].score.hi == UINT64_MAX);
	}
	machine_done(&machine);
}

/* oom_score_adj is of the moment of the reading, and the census knows it from then on. */
static void test_choose_weighs_by_what_is_read(void **state)
{
	static const struct {
		int known[2], now[2];
		pid_t victim;
	} cases[] = {
		{ { 0, 0 }, { 0, 0 }, 100 },
		{ { 0, 0 }, { -900, 0 }, 101 },	    /* less than it seemed */
		{ { 0, 900 }, { 0, -500 }, 100 },   /* the other one */
		{ { 0, 500 }, { 800, -100 }, 100 }, /* more than it seemed */
		{ { 0, 0 }, { -1000, 0 }, 101 },    /* none at all any more */
		{ { 0, 0 }, { -1000, -1000 }, -1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct machine machine;
		pid_t victim;

		machine_init(&machine, 2);
		set(&machine, 0, 300 * MIB, 300 * MIB);
		set(&machine, 1, 250 * MIB, 250 * MIB);
		for (size_t k = 0; k < 2; k++) {
			set_adj(&machine, k, cases[i].known[k]);
			machine.true_adj[k] = (short)cases[i].now[k];
		}
		victim = choose(&machine);
		if (victim != cases[i].victim)
			fail_msg("case %zu: %d", i, victim);
		if (victim > 0)
			assert_int_equal(result.ranked[0].process->oom_score_adj,
					 cases[i].now[victim - FIRST_PID]);
		assert_int_equal(choose(&machine), cases[i].victim);
		machine_done(&machine);
	}
}

/* A cgroup is not killed as a whole if one in it may not be any more. */
static void test_choose_spares_a_cgroup_by_what_is_read(void **state)
{
	struct victim_request request = { .target = POLICY_TARGET_CGROUP };
	struct machine machine;

	machine_init(&machine, 3);
	census_attach(&machine.census, machine.processes[2], "/b.slice");
	for (size_t i = 0; i < 3; i++)
		set(&machine, i, 100 * MIB, 100 * MIB);
	choose_for(&machine, &request);
	assert_string_equal(result.ranked[0].cgroup->path, "/a.slice");
	machine.true_adj[1] = -1000;
	choose_for(&machine, &request);
	assert_int_equal(result.n_ranked, 1);
	assert_string_equal(result.ranked[0].cgroup->path, "/b.slice");
	machine_done(&machine);
}

/* How pages are allocated, freed, and passed between processes, and what is promised of each: that
 * the upper end, which was computed without a read, is not exceeded.  (A child of fork() is not
 * promised anything until it is read, and it is read as soon as its pid is seen: see
 * test-census-new.)
 */
static void test_interval_promises(void **state)
{
	static const struct {
		const char *name;
		struct proc_memory before, after;
		uint64_t handed_out;
	} rows[] = {
		{ "fault", { .anon = 100 * MIB }, { .anon = 150 * MIB }, 50 * MIB },
		{ "COW after fork", { .anon = 100 * MIB }, { .anon = 100 * MIB }, 100 * MIB },
		{ "swapped out", { .anon = 100 * MIB }, { .anon = 20 * MIB, .swap = 80 * MIB }, 0 },
		{ "swap-in from disk",
		  { .anon = 20 * MIB, .swap = 80 * MIB },
		  { .anon = 100 * MIB },
		  80 * MIB },
		{ "swap-in from the swap cache",
		  { .anon = 20 * MIB, .swap = 80 * MIB },
		  { .anon = 100 * MIB },
		  0 },
		{ "KSM merges", { .anon = 100 * MIB }, { .anon = 100 * MIB }, 0 },
		{ "KSM unmerged", { .anon = 100 * MIB }, { .anon = 100 * MIB }, 90 * MIB },
		{ "shared memory mapped late: not its footprint",
		  { .anon = MIB },
		  { .anon = MIB, .shared = 500 * MIB },
		  0 },
		{ "exec, and grown again", { .anon = 500 * MIB }, { .anon = 30 * MIB }, 30 * MIB },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct machine machine;
		struct interval one, all;

		machine_init(&machine, 1);
		machine.census.with_swap = true;
		census_set_memory(&machine.census, machine.processes[0], &rows[i].before, GIB, 1);
		one = census_interval(&machine.census, machine.processes[0],
				      GIB + rows[i].handed_out, 0);
		all = census_node_interval(&machine.census, &machine.census.machine,
					   GIB + rows[i].handed_out);
		if (proc_reclaimable(&rows[i].after) > one.hi ||
		    proc_reclaimable(&rows[i].after) > all.hi)
			fail_msg("%s", rows[i].name);
		/* And nothing is promised for nothing: no more than what was allocated. */
		assert_true(one.hi <= proc_reclaimable(&rows[i].before) + rows[i].handed_out);
		machine_done(&machine);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_score_weighs),
		cmocka_unit_test(test_choose_hint_does_not_outrank_size),
		cmocka_unit_test(test_choose_takes_what_is_preferred_beyond_measure),
		cmocka_unit_test(test_choose_weighs_by_what_is_read),
		cmocka_unit_test(test_choose_spares_a_cgroup_by_what_is_read),
		cmocka_unit_test(test_interval_promises),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
