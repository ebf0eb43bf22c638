/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim: which process is chosen, by tables of small machines. */
#include <stddef.h>
#include <stdint.h>

#include "lib/select/victim.h"
#include "lib/snapshot/census-tree.h"
#include "tests/fail-malloc.h"
#include "tests/victim-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* A locked file is in no other of the machine's totals. */
static void test_choose_does_not_bound_locked_files_away(void **state)
{
	const struct memory_counters counters = { .anon = 1000 * MIB, .mlocked = 2100 * MIB };
	struct proc_memory locked = { .shared = 1700 * MIB, .shmem = 1700 * MIB };
	const struct victim_request request = {
		.allocated = 400 * MIB,
		.total = 16 * GIB,
		.now = 1000 * USEC_PER_SEC,
		.self = 1 << 20,
		.n_wanted = 1,
	};
	struct machine machine;

	machine_init(&machine, 2);
	set(&machine, 0, 990 * MIB, 990 * MIB);
	set_adj(&machine, 0, 800);
	census_set_memory(&machine.census, machine.processes[1], &locked, 0, USEC_PER_SEC);
	machine.truth[1] = 2000 * MIB;
	machine.allocated = 400 * MIB;
	census_set_totals(&machine.census, &counters);
	choose_for(&machine, &request);
	assert_int_equal(result.ranked[0].process->pid, 101);
	machine_done(&machine);
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
	assert_int_equal(result.n_reads, 1); /* no other can reach it */
	assert_int_equal(result.ranked[0].verdict, VICTIM_CHOSEN);
	assert_int_equal(result.ranked[1].process->pid, 102);
	assert_int_equal(result.ranked[1].verdict, VICTIM_SMALLER);
	assert_false(result.ranked[1].is_read);
	assert_int_equal(result.ranked[2].process->pid, 100);
	machine_done(&machine);
}

static void test_choose_reads_what_may_have_grown(void **state)
{
	struct machine machine;

	machine_init(&machine, 3);
	set(&machine, 0, 300 * MIB, 290 * MIB);
	set(&machine, 1, 10 * MIB, 410 * MIB); /* all that was allocated is in this one */
	set(&machine, 2, 20 * MIB, 20 * MIB);
	machine.allocated = 400 * MIB;
	assert_int_equal(choose(&machine), 101);
	assert_false(result.approximate);
	assert_int_equal(result.n_reads, 3);
	assert_int_equal(result.ranked[1].verdict, VICTIM_SMALLER);
	machine_done(&machine);
}

static void test_choose_passes_to_the_next_if_one_vanishes(void **state)
{
	struct machine machine;

	machine_init(&machine, 2);
	set(&machine, 0, 300 * MIB, 0);
	set(&machine, 1, 200 * MIB, 200 * MIB);
	machine.gone[0] = true;
	assert_int_equal(choose(&machine), 101);
	assert_int_equal(result.n_ranked, 1);
	machine_done(&machine);
}

static void test_choose_no_victim(void **state)
{
	struct machine machine;

	machine_init(&machine, 0);
	assert_int_equal(choose(&machine), -1);
	machine_done(&machine);
	machine_init(&machine, 1);
	set_adj(&machine, 0, -1000);
	assert_int_equal(choose(&machine), -1);
	assert_int_equal(result.n_candidates, 0);
	machine_done(&machine);
}

static const struct rule protecting = { .kind = RULE_PROTECT };

static const struct {
	struct census_process process;
	const char *cgroup; /* NULL: not in the tree, as kernel threads */
	enum eligibility expected;
} rows_of_choose_excludes[] = {
	{ { .pid = 50 }, "/in", ELIGIBILITY_ELIGIBLE },
	{ { .pid = 50, .kthread = true }, NULL, ELIGIBILITY_KTHREAD },
	{ { .pid = 1 }, "/in", ELIGIBILITY_INIT },
	{ { .pid = 77 }, "/in", ELIGIBILITY_SELF },
	{ { .pid = 50, .oom_score_adj = -1000 }, "/in", ELIGIBILITY_ADJ_MIN },
	{ { .pid = 50, .oom_score_adj = -999 }, "/in/deep", ELIGIBILITY_RELUCTANT },
	{ { .pid = 50, .protected_by = &protecting }, "/in", ELIGIBILITY_PROTECTED },
	{ { .pid = 50 }, "/out", ELIGIBILITY_OUTSIDE_SUBTREE },
	{ { .pid = 50, .error = -EACCES }, "/in", ELIGIBILITY_UNREADABLE },
	{ { .pid = 50, .state = 'Z' }, "/in", ELIGIBILITY_NO_MEMORY },
	/* A leader that has exited while its threads hold memory. */
	{ { .pid = 50, .state = 'Z', .memory.anon = MIB }, "/in", ELIGIBILITY_ELIGIBLE },
	/* All of it swapped out. */
	{ { .pid = 50, .state = 'Z', .memory.swap = MIB }, "/in", ELIGIBILITY_ELIGIBLE },
	{ { .pid = 60, .start_ticks = 5 }, "/in", ELIGIBILITY_SKIPPED },
	/* The same pid, another process. */
	{ { .pid = 60, .start_ticks = 6 }, "/in", ELIGIBILITY_ELIGIBLE },
	/* Skipped long ago. */
	{ { .pid = 61, .start_ticks = 5 }, "/in", ELIGIBILITY_ELIGIBLE },
};

static void test_choose_excludes(void **state)
{
	static const struct backoff_seen look60 = { .pid = 60, .start_ticks = 5 };
	static const struct backoff_seen look61 = { .pid = 61, .start_ticks = 5 };
	static char subtree[] = "/in";
	struct backoff backoff = { 0 };
	struct victim_request request = {
		.now = BACKOFF_FIRST_USEC,
		.self = 77,
		.backoff = &backoff,
	};

	backoff_add(&backoff, BACKOFF_UNKILLABLE, &look61, 0);
	backoff_add(&backoff, BACKOFF_UNKILLABLE, &look60, 1);

	for (size_t i = 0; i < ARRAY_SIZE(rows_of_choose_excludes); i++) {
		const struct census_process *row = &rows_of_choose_excludes[i].process;
		size_t counts[_ELIGIBILITY_MAX];
		struct proc_memory memory = row->memory;
		struct census_process *process;
		struct machine machine;
		enum eligibility got;

		machine_init(&machine, 0);
		machine.policies.subtree = subtree;
		process = census_add(&machine.census, row->pid, row->start_ticks);
		assert_non_null(process);
		process->kthread = row->kthread;
		process->oom_score_adj = row->oom_score_adj;
		process->protected_by = row->protected_by;
		process->error = row->error;
		process->state = row->state;
		if (rows_of_choose_excludes[i].cgroup)
			census_attach(&machine.census, process, rows_of_choose_excludes[i].cgroup);
		if (row->state != 'Z') /* what holds nothing is not ranked */
			memory.anon = MIB;
		census_set_memory(&machine.census, process, &memory, 0, 1);
		got = victim_exclusion(&machine.census, process, &request);
		if (got != rows_of_choose_excludes[i].expected)
			fail_msg("row %zu: %s", i, eligibility_to_string(got));
		victim_count_exclusions(&machine.census, &request, counts);
		assert_int_equal(counts[got], 1);
		choose_for(&machine, &request);
		assert_int_equal(result.n_ranked, !eligibility_is_refused(got));
		machine_done(&machine);
	}
}

static void test_choose_takes_the_youngest_of_equals(void **state)
{
	struct machine machine;

	machine_init(&machine, 3);
	for (size_t i = 0; i < 3; i++)
		set(&machine, i, 64 * MIB, 64 * MIB);
	machine.processes[1]->start_ticks = 9000;
	assert_int_equal(choose(&machine), 101);
	machine.processes[1]->start_ticks = machine.processes[2]->start_ticks = 9000;
	assert_int_equal(choose(&machine), 102); /* by pid */
	machine_done(&machine);
}

static void test_choose_stops_reading_at_the_budget(void **state)
{
	struct machine machine;

	machine_init(&machine, 40);
	for (size_t i = 0; i < 40; i++)
		set(&machine, i, (100 + i) * MIB, (100 + i) * MIB);
	machine.allocated = GIB; /* every process may be anything */
	assert_int_equal(choose(&machine), 139);
	/* (One is kept for the youngest of near equals.) */
	assert_int_equal(result.n_reads, VICTIM_MAX_READS - 1);
	assert_true(result.approximate);
	assert_int_equal(result.ranked[20].verdict, VICTIM_UNDECIDED);
	machine_done(&machine);
}

/* After the budget a smaller one must not replace the choice (a flaw of the original). */
static void test_choose_does_not_drift_down_after_the_budget(void **state)
{
	uint64_t size = 5 * GIB;
	struct machine machine;

	machine_init(&machine, 40);
	for (size_t i = 0; i < 40; i++, size -= size / 12)
		set(&machine, i, size, size);
	machine.allocated = 8 * GIB;
	assert_int_equal(choose(&machine), 100);
	assert_true(result.approximate);
	machine_done(&machine);
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
		assert_int_equal(choose(&machine), -1); /* none was read at all */
		assert_int_equal(result.read_error, results[i] < 0 ? results[i] : 0);
		machine.with_rereads = true;
		assert_int_equal(choose(&machine), 101);
		assert_true(result.approximate);
		assert_false(result.ranked[0].precise);
		machine_done(&machine);
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
	machine_done(&machine);
}

/* The next victim is for readers: known by the readings that there are. */
static void test_choose_finds_the_next_victim_without_a_read(void **state)
{
	static const struct {
		uint64_t growth; /* since the readings, MiB */
		unsigned n_reads;
		unsigned n_ranked, n_told; /* nothing requested, VICTIM_REPORTED requested */
	} rows[] = {
		{ 0, 1, 1, 3 },
		{ 150, 1, 1, 3 },
		{ 250, 2, 2, 3 }, /* the second could be as large */
		{ 900, 5, 5, 5 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct victim_request request = { .node_budget = VICTIM_REPORTED_NODES };
		struct machine machine;

		machine_init(&machine, 5);
		for (size_t k = 0; k < 5; k++)
			set(&machine, k, (600 - 100 * k) * MIB - (k > 0) * 100 * MIB,
			    (600 - 100 * k) * MIB - (k > 0) * 100 * MIB);
		machine.allocated = rows[i].growth * MIB;
		request.allocated = machine.allocated;
		choose_for(&machine, &request);
		assert_int_equal(result.n_reads, rows[i].n_reads);
		assert_int_equal(result.n_ranked, rows[i].n_ranked);

		machine.allocated = 0; /* what was read is in the census: as before that */
		for (size_t k = 0; k < 5; k++)
			read_as(&machine, k, machine.truth[k]);
		machine.allocated = request.allocated;
		request.n_wanted = VICTIM_REPORTED;
		choose_for(&machine, &request);
		assert_int_equal(result.ranked[0].process->pid, FIRST_PID);
		assert_int_equal(result.n_reads, rows[i].n_reads);
		assert_int_equal(result.n_ranked, rows[i].n_told);
		assert_false(result.approximate);
		assert_int_equal(result.ranked[1].process->pid, FIRST_PID + 1);
		assert_int_equal(result.ranked[2].process->pid, FIRST_PID + 2);
		assert_int_equal(result.ranked[1].score.hi,
				 400 * MIB + (result.ranked[1].precise ? 0 : request.allocated));
		machine_done(&machine);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choose_takes_the_largest),
		cmocka_unit_test(test_choose_does_not_bound_locked_files_away),
		cmocka_unit_test(test_choose_reads_what_may_have_grown),
		cmocka_unit_test(test_choose_passes_to_the_next_if_one_vanishes),
		cmocka_unit_test(test_choose_no_victim),
		cmocka_unit_test(test_choose_excludes),
		cmocka_unit_test(test_choose_takes_the_youngest_of_equals),
		cmocka_unit_test(test_choose_stops_reading_at_the_budget),
		cmocka_unit_test(test_choose_does_not_drift_down_after_the_budget),
		cmocka_unit_test(test_choose_ranks_by_estimate_when_reads_fail),
		cmocka_unit_test(test_choose_allocates_nothing),
		cmocka_unit_test(test_choose_finds_the_next_victim_without_a_read),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
