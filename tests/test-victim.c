/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * victim: tables of small machines, and thousands of random ones against brute force.
 *
 * A random machine lives for a while: its processes grow, shrink, fork, exec, are swapped, moved
 * and read, at different times and inexactly, within the bounds that are promised.  Then a victim
 * is chosen: the victim's true score must never be exceeded unless the result says so; a one-pass
 * choice by the plain readings must be seen to fail.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/select/victim-group.h"
#include "lib/select/victim.h"
#include "lib/snapshot/census-tree.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define MAX_PROCESSES 192
#define FEW_PROCESSES 64 /* of most random machines */
#define FIRST_PID     100

static struct accuracy exact = {
	.regime = ACCURACY_PRECISE,
	.n_cpus = 2,
	.batch = 32,
	.page_size = 4096,
};
static char everything[] = "/";
static char subtree_path[16];

struct machine {
	struct accuracy accuracy;
	struct policy_set policies;
	struct census census;
	size_t n;
	struct census_process *processes[MAX_PROCESSES];
	uint64_t truth[MAX_PROCESSES]; /* bytes, now */
	bool gone[MAX_PROCESSES];
	short true_adj[MAX_PROCESSES]; /* 0: as the census has it */
	int read_result;	       /* of every precise read */
	bool with_rereads;	       /* at little cost; else each is read precisely */
	bool with_many_cgroups;	       /* so many below one that they are in buckets */
	unsigned n_reads;
	uint64_t allocated;
};

static void machine_init(struct machine *machine, size_t n)
{
	memset(machine, 0, sizeof(*machine));
	machine->accuracy = exact;
	machine->policies.subtree = everything;
	assert_int_equal(
		census_init(&machine->census, -1, NULL, &machine->accuracy, &machine->policies), 0);
	for (size_t i = 0; i < n; i++) {
		struct census_process *process =
			census_add(&machine->census, (pid_t)(FIRST_PID + i), 1000 + i);

		assert_non_null(process);
		process->state = 'S';
		process->n_threads = 1;
		assert_int_equal(census_attach(&machine->census, process, "/a.slice"), 0);
		machine->processes[machine->n++] = process;
		census_update_eligibility(&machine->census, process);
	}
}

static void machine_done(struct machine *machine)
{
	census_done(&machine->census);
}

static void read_as(struct machine *machine, size_t i, uint64_t reading)
{
	struct proc_memory memory = { .anon = reading };

	census_set_memory(&machine->census, machine->processes[i], &memory, machine->allocated,
			  USEC_PER_SEC);
}

static void set(struct machine *machine, size_t i, uint64_t reading, uint64_t truth)
{
	read_as(machine, i, reading);
	machine->truth[i] = truth;
}

static void set_adj(struct machine *machine, size_t i, int adj)
{
	machine->processes[i]->oom_score_adj = (short)adj;
	census_update_eligibility(&machine->census, machine->processes[i]);
}

static int read_truth(const struct census_process *process, struct victim_reading *ret,
		      void *userdata)
{
	struct machine *machine = userdata;
	size_t i = (size_t)(process->pid - FIRST_PID);

	machine->n_reads++;
	*ret = (struct victim_reading){ .oom_score_adj = process->oom_score_adj };
	if (i >= machine->n) { /* a bystander, as it was */
		ret->memory = process->memory;
		return 0;
	}
	if (machine->gone[i])
		return VICTIM_READ_GONE;
	if (machine->read_result != 0)
		return machine->read_result;
	ret->memory.anon = machine->truth[i];
	if (machine->true_adj[i] != 0)
		ret->oom_score_adj = machine->true_adj[i];
	return 0;
}

static int reread_truth(struct census *census, struct census_process *process, void *userdata)
{
	struct machine *machine = userdata;
	size_t i = (size_t)(process->pid - FIRST_PID);
	struct proc_memory memory = process->memory;

	if (i < machine->n && machine->gone[i])
		return VICTIM_READ_GONE;
	if (i < machine->n)
		memory.anon = machine->truth[i];
	census_set_memory(census, process, &memory, machine->allocated, 0);
	return 0;
}

static struct victim_result result;

static void choose_for(struct machine *machine, const struct victim_request *request)
{
	const struct victim_reader reader = {
		.precise = read_truth,
		.reread = machine->with_rereads ? reread_truth : NULL,
		.userdata = machine,
	};

	assert_int_equal(victim_reserve(&result, &machine->census), 0);
	victim_choose(&machine->census, request, &reader, &result);
}

static pid_t choose_by(struct machine *machine, enum policy_rank_by rank_by)
{
	struct victim_request request = {
		.rank_by = rank_by,
		.allocated = machine->allocated,
		.total = 16 * GIB,
		.now = 1000 * USEC_PER_SEC,
		.self = 1 << 20,
		.n_wanted = VICTIM_RANKED_MAX,
	};

	choose_for(machine, &request);
	return result.n_ranked > 0 ? result.ranked[0].process->pid : -1;
}

static pid_t choose(struct machine *machine)
{
	return choose_by(machine, POLICY_RANK_BY_FOOTPRINT);
}

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
	assert_int_equal(result.ranked[1].verdict, VICTIM_CANNOT_REACH);
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

static void test_choose_excludes(void **state)
{
	static const struct rule rule = { .kind = RULE_PROTECT };
	static const struct {
		struct census_process process;
		const char *cgroup; /* NULL: not in the tree, as kernel threads */
		enum eligibility expected;
	} rows[] = {
		{ { .pid = 50 }, "/in", ELIGIBILITY_ELIGIBLE },
		{ { .pid = 50, .kthread = true }, NULL, ELIGIBILITY_KTHREAD },
		{ { .pid = 1 }, "/in", ELIGIBILITY_INIT },
		{ { .pid = 77 }, "/in", ELIGIBILITY_SELF },
		{ { .pid = 50, .oom_score_adj = -1000 }, "/in", ELIGIBILITY_ADJ_MIN },
		{ { .pid = 50, .oom_score_adj = -999 }, "/in/deep", ELIGIBILITY_RELUCTANT },
		{ { .pid = 50, .protected_by = &rule }, "/in", ELIGIBILITY_PROTECTED },
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

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct census_process *row = &rows[i].process;
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
		if (rows[i].cgroup)
			census_attach(&machine.census, process, rows[i].cgroup);
		if (row->state != 'Z') /* what holds nothing is not ranked */
			memory.anon = MIB;
		census_set_memory(&machine.census, process, &memory, 0, 1);
		got = victim_exclusion(&machine.census, process, &request);
		if (got != rows[i].expected)
			fail_msg("row %zu: %s", i, eligibility_to_string(got));
		victim_count_exclusions(&machine.census, &request, counts);
		assert_int_equal(counts[got], 1);
		choose_for(&machine, &request);
		assert_int_equal(result.n_ranked, !eligibility_is_refused(got));
		machine_done(&machine);
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

/* What the hierarchy is for: one leak, and a thousand idle processes in fifty groups. */
static void test_choose_skips_whole_groups(void **state)
{
	struct victim_request request = { .rank_by = POLICY_RANK_BY_FOOTPRINT };
	struct proc_memory memory = { .anon = 200 * KIB };
	struct machine machine;
	char path[32];

	machine_init(&machine, 1);
	set(&machine, 0, 500 * MIB, 500 * MIB);
	for (int i = 0; i < 1000; i++) {
		struct census_process *process = census_add(&machine.census, 5000 + i, 1);

		snprintf(path, sizeof(path), "/b.slice/%d", i % 50);
		assert_non_null(process);
		census_attach(&machine.census, process, path);
		census_set_memory(&machine.census, process, &memory, 0, 1);
	}
	census_recompute_bounds(&machine.census, 0);
	request.allocated = 20 * MIB;
	choose_for(&machine, &request);
	assert_int_equal(result.ranked[0].process->pid, FIRST_PID);
	assert_int_equal(result.n_reads, 1);
	assert_true(result.n_visited < 10); /* two slices, and what is in the one */
	machine_done(&machine);
}

/* By the counters, so that the processes of few cgroups are added up; but what is listed is listed
 * by what is eligible, of which the counters know nothing. */
static void test_choose_adds_up_few_cgroups(void **state)
{
	enum { N = 60, WANTED = 4 };
	static const struct rule protection = { .kind = RULE_PROTECT };
	struct victim_request request = { .target = POLICY_TARGET_CGROUP, .n_wanted = WANTED };
	struct proc_memory mixed = { .anon = 10 * MIB, .swap = 20 * MIB, .shmem = 30 * MIB };
	struct machine machine;
	char path[32];

	machine_init(&machine, N);
	for (size_t i = 0; i < N; i++) {
		snprintf(path, sizeof(path), "/s.slice/%zu", i);
		census_attach(&machine.census, machine.processes[i], path);
		set(&machine, i, (10 + i) * MIB, (10 + i) * MIB);
	}
	/* The second largest by counters, with what is spared. */
	census_attach(&machine.census, machine.processes[0], "/s.slice/2");
	set(&machine, 0, 56 * MIB + MIB / 2, 56 * MIB + MIB / 2);
	machine.processes[0]->protected_by = &protection;
	census_update_eligibility(&machine.census, machine.processes[0]);
	mixed.pagetables = 67 * MIB - proc_mapped(&mixed);
	census_set_memory(&machine.census, machine.processes[57], &mixed, machine.allocated, 1);
	request.allocated = machine.allocated;
	census_recompute_bounds(&machine.census, machine.allocated);

	choose_for(&machine, &request);
	assert_int_equal(result.n_ranked, WANTED);
	for (unsigned i = 0; i < WANTED; i++) {
		snprintf(path, sizeof(path), "/s.slice/%u", N - 1 - i);
		assert_string_equal(result.ranked[i].cgroup->path, path);
		assert_int_equal(result.ranked[i].estimate, (69 - i) * MIB);
	}
	assert_in_range(result.n_summed, WANTED, N / 2);
	machine_done(&machine);
}

/* The root is not killed, what is in it is; a zombie keeps no cgroup alive; a rule about names says
 * nothing of a cgroup, though its pattern matches everything (and regexec(3) would allocate). */
static void test_choose_weighs_cgroups_by_cgroup_alone(void **state)
{
	struct victim_request request = { .target = POLICY_TARGET_CGROUP, .n_wanted = 8 };
	struct machine machine;
	struct rule *rule;

	machine_init(&machine, 4);
	rule = policy_set_rule(&machine.policies, RULE_PREFER, "all");
	assert_int_equal(rule_set_comm(rule, ".*", NULL, 0), 0);
	rule->weight = 100;
	rule = policy_set_rule(&machine.policies, RULE_PREFER, "y");
	rule->cgroup = strdup("/y");
	rule->weight = 3;
	census_attach(&machine.census, machine.processes[0], "/");
	set(&machine, 0, 900 * MIB, 900 * MIB);
	census_attach(&machine.census, machine.processes[1], "/x");
	set(&machine, 1, 100 * MIB, 100 * MIB);
	census_attach(&machine.census, machine.processes[2], "/y");
	set(&machine, 2, 50 * MIB, 50 * MIB);
	census_attach(&machine.census, machine.processes[3], "/y");
	set(&machine, 3, 0, 0);
	machine.processes[3]->state = 'Z';
	request.allocated = machine.allocated;

	choose_for(&machine, &request);
	assert_int_equal(result.n_ranked, 3);
	assert_null(result.ranked[0].cgroup);
	assert_int_equal(result.ranked[0].process->pid, FIRST_PID);
	assert_int_equal(result.ranked[0].estimate, 900 * MIB);
	assert_string_equal(result.ranked[1].cgroup->path, "/y");
	assert_int_equal(result.ranked[1].estimate, 150 * MIB);
	assert_string_equal(result.ranked[2].cgroup->path, "/x");
	assert_int_equal(result.ranked[2].estimate, 100 * MIB);
	machine_done(&machine);
	machine.policies.subtree = NULL; /* not on the heap */
	policy_set_done(&machine.policies);
}

/* Directly in the root or in the subtree: single processes beside the cgroups, which are never
 * killed as a whole, be there cgroups below or not. */
static void test_choose_takes_single_processes_of_a_top(void **state)
{
	static const struct {
		const char *subtree;
		struct {
			const char *cgroup;
			uint64_t mib;
			int adj;
		} processes[6];
		const char *victim; /* a cgroup; NULL: the first process */
		unsigned n_ranked;
	} rows[] = {
		{ "/", { { "/", 300, 0 }, { "/a", 100, 0 }, { "/b", 90, 0 } }, NULL, 3 },
		{ "/s", { { "/s", 300, 0 }, { "/s/a", 100, 0 }, { "/s/b", 90, 0 } }, NULL, 3 },
		/* each for itself */
		{ "/s", { { "/s", 90, 0 }, { "/s", 80, 0 }, { "/s/a", 100, 0 } }, "/s/a", 3 },
		{ "/s", { { "/s", 90, 0 }, { "/s/a", 50, 0 }, { "/s/a", 50, 0 } }, "/s/a", 2 },
		{ "/s", { { "/s", 110, 0 }, { "/s/a", 50, 0 }, { "/s/a", 50, 0 } }, NULL, 2 },
		/* without cgroups below */
		{ "/s", { { "/s", 90, 0 }, { "/s", 80, 0 } }, NULL, 2 },
		{ "/", { { "/", 90, 0 }, { "/", 80, 0 } }, NULL, 2 },
		/* as with Target=process: by its oom_score_adj, or not at all */
		{ "/s", { { "/s", 300, -800 }, { "/s/a", 100, 0 } }, "/s/a", 2 },
		{ "/s", { { "/s", 300, -1000 }, { "/s/a", 100, 0 } }, "/s/a", 1 },
		{ "/s", { { "/s", 300, -950 }, { "/s/a", 100, 0 } }, "/s/a", 1 },
		{ "/s", { { "/s", 300, -950 }, { "/s/a", 200, -950 } }, NULL, 2 },
		{ "/s", { { "/s", 100, 0 }, { "/s", 900, -1000 }, { "/s/a", 90, 0 } }, NULL, 2 },
		/* outside of the subtree */
		{ "/s", { { "/s/a", 10, 0 }, { "/", 300, 0 }, { "/sa", 90, 0 } }, "/s/a", 1 },
		{ "/s/t", { { "/s/t", 10, 0 }, { "/s", 300, 0 }, { "/s/u", 90, 0 } }, NULL, 1 },
	};

	for (size_t i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		struct victim_request request = { .target = POLICY_TARGET_CGROUP, .n_wanted = 8 };
		const char *cgroup, *victim = rows[i / 2].victim;
		struct machine machine;
		size_t n = 0;

		while (n < 6 && rows[i / 2].processes[n].cgroup)
			n++;
		machine_init(&machine, n);
		snprintf(subtree_path, sizeof(subtree_path), "%s", rows[i / 2].subtree);
		machine.policies.subtree = subtree_path;
		machine.with_rereads = i % 2;
		for (size_t k = 0; k < n; k++) {
			uint64_t bytes = rows[i / 2].processes[k].mib * MIB;

			census_attach(&machine.census, machine.processes[k],
				      rows[i / 2].processes[k].cgroup);
			set_adj(&machine, k, rows[i / 2].processes[k].adj);
			set(&machine, k, bytes, bytes);
		}
		choose_for(&machine, &request);
		cgroup = result.ranked[0].cgroup ? result.ranked[0].cgroup->path : NULL;
		if (result.n_ranked != rows[i / 2].n_ranked || !cgroup != !victim ||
		    (cgroup ? strcmp(cgroup, victim) != 0
			    : result.ranked[0].process->pid != FIRST_PID))
			fail_msg("row %zu: %s of %u", i / 2, cgroup ? cgroup : "a process",
				 result.n_ranked);
		machine_done(&machine);
	}
}

static void test_choose_takes_a_cgroup_that_is_preferred_beyond_measure(void **state)
{
	struct victim_request request = { .target = POLICY_TARGET_CGROUP, .n_wanted = 8 };
	uint64_t huge = 32 * 1024 * GIB;
	struct machine machine;

	machine_init(&machine, 2);
	for (int i = 0; i < 2; i++) {
		struct rule *rule = policy_set_rule(&machine.policies, RULE_PREFER, i ? "b" : "a");

		rule->cgroup = strdup("/x");
		rule->weight = 1000;
		census_attach(&machine.census, machine.processes[i], i ? "/y" : "/x");
		set(&machine, (size_t)i, huge, huge);
	}
	machine.with_rereads = true;
	for (machine.read_result = 0; machine.read_result >= -EACCES;
	     machine.read_result -= EACCES) { /* read anew, and as it was counted before */
		choose_for(&machine, &request);
		assert_int_equal(result.n_ranked, 2);
		assert_string_equal(result.ranked[0].cgroup->path, "/x");
		assert_true(result.ranked[0].estimate == UINT64_MAX);
		assert_true(result.ranked[1].estimate == huge);
	}
	machine_done(&machine);
	machine.policies.subtree = NULL; /* not on the heap */
	policy_set_done(&machine.policies);
}

static void test_choose_takes_a_whole_cgroup(void **state)
{
	static const struct rule rule = { .kind = RULE_PROTECT };
	struct victim_request request = { .target = POLICY_TARGET_CGROUP };
	struct machine machine;

	machine_init(&machine, 7);
	census_attach(&machine.census, machine.processes[0], "/x/one");
	set(&machine, 0, 100 * MIB, 100 * MIB);
	/* Together more than that one; their slice is not offered, it has groups below. */
	census_attach(&machine.census, machine.processes[1], "/x/two");
	set(&machine, 1, 60 * MIB, 60 * MIB);
	census_attach(&machine.census, machine.processes[2], "/x/two");
	set(&machine, 2, 60 * MIB, 60 * MIB);
	/* The largest, but one in it may not be killed. */
	census_attach(&machine.census, machine.processes[3], "/y");
	set(&machine, 3, 500 * MIB, 500 * MIB);
	census_attach(&machine.census, machine.processes[4], "/y");
	set(&machine, 4, MIB, MIB);
	set_adj(&machine, 4, -1000);
	/* One that a rule protects is spared, however much it has: it is the rest that counts. */
	census_attach(&machine.census, machine.processes[5], "/z");
	set(&machine, 5, 300 * MIB, 300 * MIB);
	machine.processes[5]->protected_by = &rule;
	census_update_eligibility(&machine.census, machine.processes[5]);
	census_attach(&machine.census, machine.processes[6], "/z");
	set(&machine, 6, 110 * MIB, 110 * MIB);

	choose_for(&machine, &request);
	assert_non_null(result.ranked[0].cgroup);
	assert_string_equal(result.ranked[0].cgroup->path, "/x/two");
	assert_int_equal(result.ranked[0].estimate, 120 * MIB);
	assert_false(result.approximate);

	set(&machine, 6, 130 * MIB, 130 * MIB);
	choose_for(&machine, &request);
	assert_string_equal(result.ranked[0].cgroup->path, "/z");
	assert_int_equal(result.ranked[0].estimate, 130 * MIB);
	assert_ptr_equal(victim_leader(&machine.census, &request, result.ranked[0].node),
			 machine.processes[6]);
	machine_done(&machine);
}

/* How pages are allocated, freed, and passed between processes, and what is promised of each: that
 * the upper end, which was computed without a read, is not exceeded.  (A child of fork() is not
 * promised anything until it is read, and it is read as soon as its pid is seen: see test-census.)
 */
/* Four processes, each in a cgroup of its own, and what is known against them. */
struct known {
	uint64_t sizes[4]; /* MiB; 0: not there */
	bool consecutive[4], of_kind[4];
	pid_t victim;
	pid_t avoided; /* 0: none */
	enum backoff_verdict skipped_for;
	bool spends; /* what is known of a kind */
};

static void know(struct machine *machine, const struct known *known, struct backoff *backoff)
{
	machine_init(machine, ARRAY_SIZE(known->sizes));
	for (size_t i = 0; i < machine->n; i++) {
		struct census_process *process = machine->processes[i];
		struct backoff_seen seen = {
			.pid = process->pid,
			.start_ticks = process->start_ticks,
		};
		char path[] = "/n";

		path[1] = (char)('0' + i);
		assert_int_equal(census_attach(&machine->census, process, path), 0);
		census_update_eligibility(&machine->census, process);
		set(machine, i, known->sizes[i] * MIB, known->sizes[i] * MIB);
		if (known->sizes[i] == 0)
			set_adj(machine, i, -1000);
		if (known->consecutive[i])
			backoff_add(backoff, BACKOFF_UNKILLABLE, &seen, 0);
		if (known->of_kind[i])
			backoff_add_kind(backoff,
					 &(struct backoff_subject){ .comm = "", .cgroup = path }, 1,
					 0, 999 * USEC_PER_SEC);
	}
}

static void test_choose_skips_if_there_is_another(void **state)
{
	static const struct known rows[] = {
		{ { 800, 200 }, { 0 }, { 0 }, 100, 0 },
		/* Never in two consecutive choices, be the other as small as it may; but rather
		 * than no victim. */
		{ { 800, 200 }, { true }, { 0 }, 101, 100, BACKOFF_CONSECUTIVE, false },
		{ { 800, 1 }, { true }, { 0 }, 101, 100, BACKOFF_CONSECUTIVE, false },
		{ { 800 }, { true }, { 0 }, 100, 0 },
		/* An ineffective kind: for an eighth of it, not for less. */
		{ { 800, 200 }, { 0 }, { true }, 101, 100, BACKOFF_SIMILAR, true },
		{ { 800, 100 }, { 0 }, { true }, 101, 100, BACKOFF_SIMILAR, true },
		{ { 800, 99 }, { 0 }, { true }, 100, 0 },
		{ { 800 }, { 0 }, { true }, 100, 0 },
		/* All are of it: as if nothing were known. */
		{ { 800, 700 }, { 0 }, { true, true }, 100, 0 },
		/* It would not have been its turn. */
		{ { 800, 700 }, { 0 }, { false, true }, 100, 0 },
		/* The larger of two kinds is what counts. */
		{ { 800, 700, 90 }, { 0 }, { true, true }, 100, 0 },
		{ { 800, 700, 100 }, { 0 }, { true, true }, 102, 100, BACKOFF_SIMILAR, true },
		/* The one that failed last is after all others, of whatever kind. */
		{ { 800, 700 }, { true }, { false, true }, 101, 100, BACKOFF_CONSECUTIVE, false },
		{ { 800, 700, 90 },
		  { true },
		  { false, true },
		  102,
		  100,
		  BACKOFF_CONSECUTIVE,
		  true },
		{ { 700, 800, 100 }, { true }, { false, true }, 102, 101, BACKOFF_SIMILAR, true },
		{ { 800, 700, 80 },
		  { true },
		  { false, true },
		  101,
		  100,
		  BACKOFF_CONSECUTIVE,
		  false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct backoff backoff = { 0 };
		struct machine machine;
		struct victim_request request = {
			.now = 1000 * USEC_PER_SEC,
			.backoff = &backoff,
		};
		pid_t avoided;

		know(&machine, &rows[i], &backoff);
		for (int target = 0; target < 2; target++) { /* a cgroup each: the same for both */
			request.target = target ? POLICY_TARGET_CGROUP : POLICY_TARGET_PROCESS;
			choose_for(&machine, &request);
			assert_true(result.n_ranked > 0);
			if (target) {
				assert_int_equal(result.ranked[0].cgroup->path[1],
						 '0' + rows[i].victim - FIRST_PID);
				continue;
			}
			avoided = result.avoided.node ? result.avoided.process->pid : 0;
			if (result.ranked[0].process->pid != rows[i].victim ||
			    avoided != rows[i].avoided)
				fail_msg("row %zu: %d, not %d", i, result.ranked[0].process->pid,
					 avoided);
			assert_int_equal(result.skipped_for, rows[i].skipped_for);
			assert_int_equal(result.avoided_kinds != 0, rows[i].spends);
		}
		machine_done(&machine);
	}
}

static void test_choose_passes_over_each_kind_once(void **state)
{
	static const struct known known = { { 800, 700, 600, 500 }, { 0 }, { true, true } };
	struct backoff backoff = { 0 };
	struct victim_request request = { .now = 1000 * USEC_PER_SEC, .backoff = &backoff };
	struct machine machine;

	know(&machine, &known, &backoff);
	choose_for(&machine, &request);
	assert_int_equal(result.ranked[0].process->pid, 102);
	backoff_spend(&backoff, result.avoided_kinds); /* both were in front of it */
	choose_for(&machine, &request);
	assert_int_equal(result.ranked[0].process->pid, 100);
	assert_null(result.avoided.node);
	machine_done(&machine);
}

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

#ifdef __SANITIZE_ADDRESS__
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

static int teardown(void **state)
{
	victim_done(&result);
	return 0;
}

/* Siblings: child of 7 by one user, all young; the last process is the bystander. */
#define TICKS_NOW 3000
static void make_siblings(struct machine *machine, size_t n, uint64_t each, uint64_t beside)
{
	machine_init(machine, n + 1);
	for (size_t i = 0; i < n; i++) {
		machine->processes[i]->ppid = 7;
		strcpy(machine->processes[i]->comm, "eater");
		set(machine, i, each, each);
	}
	strcpy(machine->processes[n]->comm, "beside");
	set(machine, n, beside, beside);
}

static void choose_at(struct machine *machine, uint64_t ticks_now, const struct streak *streak,
		      usec_t now)
{
	struct victim_request request = {
		.allocated = machine->allocated,
		.total = GIB,
		.memory = GIB,
		.min_victim = 4 * MIB,
		.now = now,
		.ticks_now = ticks_now,
		.self = 1 << 20,
		.streak = streak,
	};

	choose_for(machine, &request);
	assert_true(result.n_ranked > 0);
}

static const struct victim_candidate *choose_group(struct machine *machine, uint64_t ticks_now,
						   const struct streak *streak)
{
	choose_at(machine, ticks_now, streak, 2 * USEC_PER_SEC);
	return &result.ranked[0];
}

static void test_group_the_youngest_sibling_before_a_larger_bystander(void **state)
{
	struct machine machine;
	size_t n = 60;

	make_siblings(&machine, n, 12 * MIB, 48 * MIB);
	set(&machine, n - 1, 512 * KIB, 512 * KIB); /* the youngest holds nothing yet */
	assert_int_equal(choose_group(&machine, TICKS_NOW, NULL)->process->pid,
			 FIRST_PID + (pid_t)n - 2);
	assert_int_equal(result.as_one, VICTIM_ALONE);
	assert_true(result.ranked[0].is_read);
	assert_int_equal(result.ranked[1].process->pid, FIRST_PID + (pid_t)n);
	machine_done(&machine);
}

/* Compilers: each has a driver of its own above it, and all are of one session. */
static void test_group_of_one_session(void **state)
{
	static struct streak streak;
	struct streak_subject subject = { "/a.slice", "eater", 7, 0, 55 };
	struct machine machine;

	memset(&streak, 0, sizeof(streak));
	make_siblings(&machine, 60, 12 * MIB, 48 * MIB);
	subject.uid = machine.processes[0]->uid;
	for (size_t i = 0; i < 60; i++) {
		machine.processes[i]->ppid = (pid_t)(1000 + i);
		machine.processes[i]->session = 55;
	}
	assert_int_equal(choose_group(&machine, TICKS_NOW, &streak)->process->pid, FIRST_PID + 59);
	assert_int_equal(result.as_one, VICTIM_ALONE);
	for (unsigned i = 0; i < STREAK_KILLS; i++)
		streak_add(&streak, &subject, USEC_PER_SEC);
	(void)choose_group(&machine, TICKS_NOW, &streak);
	assert_int_equal(result.as_one, VICTIM_AS_SIBLINGS);
	machine_done(&machine);
}

/* Children of one program with a name each, started at 1000 and soon after. */
static void test_group_of_children_with_names_of_their_own(void **state)
{
	static const struct {
		const char *label;
		size_t n;
		uint64_t each; /* MiB */
		unsigned code_pages;
		bool many_programs, many_parents;
		uint64_t ticks_now;
		bool is_group;
	} rows[] = {
		{ "a storm", 60, 12, 7, false, false, 1100, true },
		{ "it is over", 60, 12, 7, false, false, TICKS_NOW, false },
		{ "of different programs", 60, 12, 7, true, false, 1100, false },
		{ "of different parents", 60, 12, 7, false, true, 1100, false },
		{ "the program is not known", 60, 12, 0, false, false, 1100, false },
		{ "too few", 7, 46, 7, false, false, 1100, false },
		{ "old", 60, 12, 7, false, false, 100000, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n = rows[i].n;
		struct machine machine;

		make_siblings(&machine, n, rows[i].each * MIB, 48 * MIB);
		for (size_t j = 0; j < n; j++) {
			struct census_process *process = machine.processes[j];

			snprintf(process->comm, sizeof(process->comm), "x%u", (unsigned)(j % 1000));
			process->code_pages = rows[i].code_pages + (rows[i].many_programs ? j : 0);
			process->ppid = rows[i].many_parents ? (pid_t)(1000 + j) : 7;
		}
		if ((choose_group(&machine, rows[i].ticks_now, NULL)->process->pid ==
		     FIRST_PID + (pid_t)n - 1) != rows[i].is_group)
			fail_msg("%s: pid %d", rows[i].label, result.ranked[0].process->pid);
		machine_done(&machine);
	}
}

/* Each row: a reason why the siblings are not compared as a group. */
/* is_one: of the siblings. */
static void set_single(struct census_process *process, bool grows, bool is_one)
{
	uint64_t mapped = proc_mapped(&process->memory);

	process->earlier_footprint = grows ? mapped - mapped / 8 : mapped - mapped / 8 + 1;
	if (is_one) {
		process->ppid = 7;
		strcpy(process->comm, "eater");
	}
}

/* A database that was there before, and does not grow. */
static void test_group_before_a_large_one_that_does_not_grow(void **state)
{
	struct machine machine;

	make_siblings(&machine, 60, 12 * MIB, 150 * MIB);
	set_single(machine.processes[60], false, false);
	assert_int_equal(choose_group(&machine, TICKS_NOW, NULL)->process->pid, FIRST_PID + 59);
	assert_int_equal(result.as_one, VICTIM_ALONE);
	machine_done(&machine);
}

static void test_group_needs_reasons(void **state)
{
	static const struct {
		const char *name;
		size_t n;
		uint64_t each, beside;
		uint64_t ticks_now;
		bool many_parents, grows, is_one;
	} rows[] = {
		{ "too few", 3, 100 * MIB, 110 * MIB, TICKS_NOW },
		{ "old", 60, 12 * MIB, 48 * MIB, 100000 },
		{ "no time known", 60, 12 * MIB, 48 * MIB, 0 },
		{ "less than a quarter", 20, 12 * MIB, 48 * MIB, TICKS_NOW },
		{ "a large one grows", 60, 12 * MIB, 128 * MIB, TICKS_NOW, .grows = true },
		{ "a large one, more than half", 60, 12 * MIB, 361 * MIB, TICKS_NOW },
		{ "a large one, of which there are more", 7, 130 * MIB, 140 * MIB, TICKS_NOW,
		  .is_one = true },
		{ "no siblings", 60, 12 * MIB, 48 * MIB, TICKS_NOW, .many_parents = true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct machine machine;

		make_siblings(&machine, rows[i].n, rows[i].each, rows[i].beside);
		for (size_t j = 0; rows[i].many_parents && j < rows[i].n; j++)
			machine.processes[j]->ppid = (pid_t)(1000 + j);
		set_single(machine.processes[rows[i].n], rows[i].grows, rows[i].is_one);
		if (choose_group(&machine, rows[i].ticks_now, NULL)->process->pid !=
		    FIRST_PID + (pid_t)rows[i].n)
			fail_msg("%s: pid %d", rows[i].name, result.ranked[0].process->pid);
		machine_done(&machine);
	}
}

/* What was in the snapshot has shrunk, or has exited. */
static void test_group_is_read_before_it_is_preferred(void **state)
{
	struct machine machine;
	size_t n = 60;

	make_siblings(&machine, n, 12 * MIB, 48 * MIB);
	machine.with_rereads = true;
	machine.allocated += MIB;
	for (size_t i = 0; i < n; i++) {
		machine.truth[i] = 5 * MIB;
		machine.gone[i] = i % 2;
	}
	assert_int_equal(choose_group(&machine, TICKS_NOW, NULL)->process->pid,
			 FIRST_PID + (pid_t)n);
	machine_done(&machine);
}

static void test_group_is_killed_as_one_after_a_streak(void **state)
{
	static struct streak streak;
	struct streak_subject subject = { "/a.slice", "eater", 7, 0 };
	struct machine machine;

	memset(&streak, 0, sizeof(streak));
	make_siblings(&machine, 60, 12 * MIB, 48 * MIB);
	subject.uid = machine.processes[0]->uid;
	for (unsigned i = 0; i < STREAK_KILLS; i++) {
		(void)choose_group(&machine, TICKS_NOW, &streak);
		assert_int_equal(result.as_one, VICTIM_ALONE);
		streak_add(&streak, &subject, USEC_PER_SEC);
	}
	/* A slice is not killed as one, but its siblings are. */
	assert_string_equal(choose_group(&machine, TICKS_NOW, &streak)->process->comm, "eater");
	assert_int_equal(result.as_one, VICTIM_AS_SIBLINGS);
	machine_done(&machine);
}

/* Large ones, which are killed one by one while that helps: 12 times.  Where each has replaced one
 * that was killed a moment ago it does not. */
static void test_group_is_killed_as_one_when_kills_are_undone(void **state)
{
	static const struct {
		usec_t age; /* of those that were killed, 4 s after each other */
		bool as_one;
	} rows[] = { { USEC_PER_SEC, true }, { 60 * USEC_PER_SEC, false } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		static struct streak streak;
		struct streak_subject subject = {
			"/a.slice", "eater", 7, 0, .age = rows[i].age,
		};
		struct machine machine;

		memset(&streak, 0, sizeof(streak));
		make_siblings(&machine, 7, 110 * MIB, 48 * MIB);
		subject.uid = machine.processes[0]->uid;
		for (unsigned j = 0; j <= STREAK_REPLACED; j++)
			streak_add(&streak, &subject, (2 + 4 * j) * USEC_PER_SEC);
		choose_at(&machine, TICKS_NOW, &streak, 16 * USEC_PER_SEC);
		assert_string_equal(result.ranked[0].process->comm, "eater");
		assert_int_equal(result.as_one == VICTIM_AS_SIBLINGS, rows[i].as_one);
		assert_int_equal(result.is_undone, rows[i].as_one);
		machine_done(&machine);
	}
}

/* The parent is killed with its children if it is there for them alone. */
static void test_starter(void **state)
{
	static const struct {
		const char *name;
		size_t n_others; /* its children that are no siblings of the victim */
		pid_t ppid, session;
		uid_t uid;
		uint64_t start_ticks;
		const char *cgroup;
		bool is_undone, expected;
	} rows[] = {
		{ "it starts them anew", 0, 9, 9, 1000, 10, "/a.slice", true, true },
		{ "one of 8 is another", 1, 9, 9, 1000, 10, "/a.slice", true, true },
		{ "it does other things", 3, 9, 9, 1000, 10, "/a.slice", true, false },
		{ "kills help", 0, 9, 9, 1000, 10, "/a.slice", false, false },
		{ "a login shell", 0, 9, FIRST_PID + 8, 1000, 10, "/a.slice", true, false },
		{ "it runs in another session", 0, 9, 8, 1000, 10, "/a.slice", true, false },
		{ "another user's", 0, 9, 9, 0, 10, "/a.slice", true, false },
		{ "the pid of one that has exited", 0, 9, 9, 1000, 5000, "/a.slice", true, false },
		{ "it runs in another cgroup", 0, 9, 9, 1000, 10, "/b.slice", true, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct census_process *parent, *victim;
		struct machine machine;

		make_siblings(&machine, 8, 100 * MIB, 1 * MIB);
		parent = machine.processes[8];
		victim = machine.processes[3];
		parent->ppid = rows[i].ppid;
		for (size_t j = 0; j < 8; j++) {
			machine.processes[j]->ppid = parent->pid;
			machine.processes[j]->session = parent->session == 0 ? 9 : 0;
			machine.processes[j]->uid = 1000;
			machine.processes[j]->start_ticks = 100 + j;
			if (j >= 8 - rows[i].n_others)
				strcpy(machine.processes[j]->comm, "other");
		}
		parent->session = rows[i].session;
		if (rows[i].session == parent->pid)
			for (size_t j = 0; j < 8; j++)
				machine.processes[j]->session = parent->pid;
		parent->uid = rows[i].uid;
		parent->start_ticks = rows[i].start_ticks;
		assert_int_equal(census_attach(&machine.census, parent, rows[i].cgroup), 0);
		for (size_t j = 0; j < 8; j++)
			assert_int_equal(
				census_attach(&machine.census, machine.processes[j], "/a.slice"),
				0);
		result.is_undone = rows[i].is_undone;
		if (victim_is_starter(&machine.census, &result, victim, parent) != rows[i].expected)
			fail_msg("%s", rows[i].name);
		assert_false(victim_is_starter(&machine.census, &result, victim, victim));
		assert_false(
			victim_is_starter(&machine.census, &result, victim, machine.processes[2]));
		machine_done(&machine);
	}
}

/* Of one program with its children: if it starts them again. */
static void test_starter_of_the_same_program(void **state)
{
	static const struct {
		const char *name;
		bool is_leader, is_replaced, is_undone, expected;
	} rows[] = {
		{ "it started all before", false, false, false, false },
		{ "it started one again", false, true, false, true },
		{ "it starts them again each time", false, true, true, true },
		{ "a shell that started all before", true, false, false, false },
		{ "a shell that started one again", true, true, false, false },
		{ "a shell that starts them again each time", true, true, true, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct census_process *parent;
		struct machine machine;

		make_siblings(&machine, 8, 16 * MIB, 1 * MIB);
		parent = machine.processes[8];
		parent->start_ticks = 10;
		for (size_t j = 0; j <= 8; j++) {
			machine.processes[j]->session = rows[i].is_leader ? parent->pid : 9;
			machine.processes[j]->code_pages = 7;
			machine.processes[j]->uid = 1000;
			if (j < 8) {
				machine.processes[j]->ppid = parent->pid;
				machine.processes[j]->start_ticks = 100 + j;
			}
		}
		result.is_replaced = rows[i].is_replaced;
		result.is_undone = rows[i].is_undone;
		if (victim_is_starter(&machine.census, &result, machine.processes[3], parent) !=
		    rows[i].expected)
			fail_msg("%s", rows[i].name);
		machine_done(&machine);
	}
}

/* The age of those that were killed, a second after each other. */
static void check_unit(usec_t age, enum victim_as_one as_one)
{
	static struct streak streak;
	struct streak_subject subject = { "/a.service", "x", 1, 0 };
	struct machine machine;

	memset(&streak, 0, sizeof(streak));
	make_siblings(&machine, 30, 12 * MIB, 100 * MIB);
	for (size_t i = 0; i < 30; i++) { /* of different parents */
		machine.processes[i]->ppid = (pid_t)(1000 + i);
		assert_int_equal(census_attach(&machine.census, machine.processes[i], "/a.service"),
				 0);
	}
	for (unsigned i = 0; i < STREAK_KILLS; i++) {
		assert_string_equal(choose_group(&machine, TICKS_NOW, &streak)->process->comm,
				    "beside");
		subject.age = age;
		streak_add(&streak, &subject, (1 + i) * USEC_PER_SEC);
	}
	choose_at(&machine, TICKS_NOW, &streak, STREAK_KILLS * USEC_PER_SEC);
	assert_string_equal(result.ranked[0].process->comm, "eater");
	assert_int_equal(result.as_one, as_one);
	/* What was there before and does not grow is no reason. */
	assert_string_equal(choose_group(&machine, 100000, &streak)->process->comm, "beside");
	assert_int_equal(result.as_one, VICTIM_ALONE);
	machine_done(&machine);
}

static void test_unit_is_killed_as_one_after_a_streak(void **state)
{
	check_unit(USEC_PER_SEC / 2, VICTIM_AS_CGROUP); /* each was started anew */
	/* All were there before the first kill: others in it live. */
	check_unit(60 * USEC_PER_SEC, VICTIM_ALONE);
}

/* All siblings of the unit are killed, but not what is there besides. */
static void test_unit_lives_if_its_siblings_were_not_replaced(void **state)
{
	static struct streak streak;
	struct streak_subject subject = { "/a.service", "eater", 7, 0, .age = 60 * USEC_PER_SEC };
	struct machine machine;

	memset(&streak, 0, sizeof(streak));
	make_siblings(&machine, 45, 20 * MIB, 48 * MIB);
	subject.uid = machine.processes[0]->uid;
	for (size_t i = 0; i < 46; i++) {
		assert_int_equal(census_attach(&machine.census, machine.processes[i], "/a.service"),
				 0);
		census_update_eligibility(&machine.census, machine.processes[i]);
	}
	for (unsigned i = 0; i < STREAK_KILLS; i++)
		streak_add(&streak, &subject, USEC_PER_SEC);
	assert_string_equal(choose_group(&machine, TICKS_NOW, &streak)->process->comm, "eater");
	assert_int_equal(result.as_one, VICTIM_AS_SIBLINGS);
	assert_false(result.is_replaced);
	machine_done(&machine);
}

static unsigned n_before_late;
static int reread_late(struct census *census, struct census_process *process, void *userdata)
{
	if (n_before_late == 0)
		return VICTIM_READ_LATE;
	n_before_late--;
	return reread_truth(census, process, userdata);
}

/* A cgroup of 4,000: the deadline ends its reading, and the result says so. */
static void test_cgroup_is_read_within_the_deadline(void **state)
{
	const struct victim_reader reader = { read_truth, reread_late, NULL };
	struct victim_request request = {
		.target = POLICY_TARGET_CGROUP,
		.total = 16 * GIB,
		.now = USEC_PER_SEC,
		.self = 1 << 20,
	};
	struct victim_reader reads = reader;
	static struct machine machine;

	machine_init(&machine, 0);
	for (pid_t i = 0; i < 4000; i++) {
		struct census_process *process =
			census_add(&machine.census, FIRST_PID + MAX_PROCESSES + i, 1000);
		struct proc_memory memory = { .anon = MIB };

		assert_non_null(process);
		process->state = 'S';
		assert_int_equal(census_attach(&machine.census, process, "/a.slice"), 0);
		census_update_eligibility(&machine.census, process);
		census_set_memory(&machine.census, process, &memory, machine.allocated,
				  USEC_PER_SEC);
	}
	machine.allocated += MIB;
	request.allocated = machine.allocated;
	reads.userdata = &machine;
	n_before_late = 100;
	assert_int_equal(victim_reserve(&result, &machine.census), 0);
	victim_choose(&machine.census, &request, &reads, &result);
	assert_int_equal(result.n_rereads, 100);
	assert_int_equal(machine.n_reads, 0);
	assert_int_equal(result.n_ranked, 1);
	assert_true(result.approximate);
	assert_true(result.is_cut);
	machine_done(&machine);
}

/* As if there were time to measure one of a family only. */
static int n_measured;
static int read_some(const struct census_process *process, struct victim_reading *ret,
		     void *userdata)
{
	int r = read_truth(process, ret, userdata);

	ret->has_reclaimable = process->code_pages == 7 && n_measured-- > 0;
	if (ret->has_reclaimable)
		ret->reclaimable = (struct reclaimable){ .anon = 10 * MIB };
	return r;
}

/* Forty that share 400 MiB, and another process with 300. */
static void test_share_is_that_of_relatives_if_there_is_no_time(void **state)
{
	enum { N = 40 };
	const struct victim_reader reader = { read_some, reread_truth, NULL };
	struct victim_request request = {
		.total = GIB, .memory = GIB, .now = USEC_PER_SEC, .self = 1 << 20
	};
	struct victim_reader reads = reader;
	struct machine machine;

	machine_init(&machine, N + 1);
	for (size_t i = 0; i <= N; i++) {
		machine.processes[i]->ppid = i == 0 || i == N ? 1 : FIRST_PID;
		machine.processes[i]->code_pages = i == N ? 8 : 7;
		set(&machine, i, (i == N ? 300 : 400) * MIB, (i == N ? 300 : 400) * MIB);
	}
	n_measured = 1;
	request.allocated = machine.allocated;
	reads.userdata = &machine;
	assert_int_equal(victim_reserve(&result, &machine.census), 0);
	victim_choose(&machine.census, &request, &reads, &result);
	assert_int_equal(result.ranked[0].process->pid, FIRST_PID + N);
	machine_done(&machine);
}

/* No share can be measured.  0 and its child, 1, map as much each; 2: another program. */
static void test_share_is_bounded_if_none_is_measured(void **state)
{
	static const struct {
		const char *label;
		uint64_t first, child, other; /* MiB */
		uint64_t machine;	      /* anonymous memory by its own count; 0: not known */
		bool are_relatives;
		short first_adj;
		size_t victim;
		bool is_approximate, is_unit;
	} rows[] = {
		{ "a child that saves, and a leak", 420, 420, 300, 0, true, 0, 2, true, false },
		{ "the leak is less than half", 420, 420, 150, 570, true, 0, 1, true, true },
		{ "not known of the machine", 420, 420, 150, 0, true, 0, 1, true, false },
		{ "not related: all is its own", 420, 410, 300, 0, false, 0, 0, false, false },
		{ "a parent with a small child", 420, 10, 300, 0, true, 0, 0, false, false },
		{ "the machine has all of it", 420, 420, 300, 1140, true, 0, 1, false, false },
		{ "the machine has it once", 420, 420, 300, 720, true, 0, 2, true, false },
		{ "the parent may not be killed", 420, 420, 20, 0, true, -1000, 2, true, false },
	};
	struct victim_request request = {
		.total = GIB, .memory = GIB, .now = USEC_PER_SEC, .self = 1 << 20
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const uint64_t sizes[] = { rows[i].first, rows[i].child, rows[i].other };
		const struct memory_counters counters = { .anon = rows[i].machine * MIB };
		struct machine machine;

		print_message("%s\n", rows[i].label);
		machine_init(&machine, 3);
		machine.with_rereads = true;
		for (size_t j = 0; j < 3; j++) {
			machine.processes[j]->code_pages = j < 2 && rows[i].are_relatives ? 7 : 8;
			machine.processes[j]->ppid = j == 1 ? FIRST_PID : 1;
			set(&machine, j, sizes[j] * MIB, sizes[j] * MIB);
		}
		if (!rows[i].are_relatives)
			machine.processes[1]->code_pages = 9;
		set_adj(&machine, 0, rows[i].first_adj);
		census_set_totals(&machine.census, &counters);
		census_recompute_bounds(&machine.census, machine.allocated);
		choose_for(&machine, &request);
		assert_int_equal(result.ranked[0].process->pid, FIRST_PID + (pid_t)rows[i].victim);
		assert_int_equal(result.approximate, rows[i].is_approximate);
		assert_int_equal(result.ranked[0].is_unit, rows[i].is_unit);
		assert_true(result.n_reads <= VICTIM_MAX_READS);
		machine_done(&machine);
	}
}

/* 0: the process that is measured, 100 MiB of which it shares 80 with its child, 1; 2: another
 * program. */
static void test_share_depends_on_the_relatives(void **state)
{
	static const struct {
		const char *label;
		uint64_t alone; /* MiB, of 100 */
		uint64_t child; /* MiB that the child maps; 0: it is another program */
		short child_adj;
		bool is_unit;
		uint64_t value; /* MiB */
	} rows[] = {
		{ "a child that may be killed: both", 20, 100, 0, true, 60 },
		{ "one that may not: what is its own", 20, 100, -1000, false, 20 },
		{ "one that may not, and maps little", 20, 10, -1000, false, 20 },
		{ "one that may not, but is a zombie", 30, 0, -1000, false, 65 },
		{ "most is its own: the fair share", 95, 100, 0, false, 97 },
		{ "most is its own, the child may not", 60, 100, -1000, false, 60 },
		{ "no relative is known: the fair share", 20, 0, 0, false, 60 },
	};
	struct victim_request request = { .self = 1 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t common = (100 - rows[i].alone) * MIB;
		struct victim_reading reading = {
			.memory.anon = 100 * MIB,
			.has_reclaimable = true,
			.reclaimable = { .anon = rows[i].alone * MIB + common / 2,
					 .alone = rows[i].alone * MIB },
		};
		struct machine machine;
		bool is_unit;

		print_message("%s\n", rows[i].label);
		machine_init(&machine, 3);
		for (size_t j = 0; j < 3; j++) {
			read_as(&machine, j, (j == 1 ? rows[i].child : 100) * MIB);
			machine.processes[j]->code_pages = 7;
		}
		machine.processes[2]->code_pages = 8;
		machine.processes[1]->ppid = machine.processes[0]->pid;
		if (rows[i].child == 0)
			machine.processes[1]->code_pages = 9;
		set_adj(&machine, 1, rows[i].child_adj);
		is_unit = victim_apply_share(&machine.census, machine.processes[0], &request,
					     &reading);
		assert_int_equal(is_unit, rows[i].is_unit);
		assert_int_equal(proc_reclaimable(&reading.memory) / MIB, rows[i].value);
		machine_done(&machine);
	}
}

static int read_own(const struct census_process *process, struct victim_reading *ret,
		    void *userdata)
{
	struct machine *machine = userdata;
	uint64_t own = machine->truth[process->pid - FIRST_PID];

	machine->n_reads++;
	*ret = (struct victim_reading){
		.memory.anon = proc_mapped(&process->memory),
		.has_reclaimable = machine->read_result == 0,
		.reclaimable = { .anon = own, .alone = own },
	};
	return 0;
}

/* As status has it: nothing of shares. */
static int reread_status(struct census *census, struct census_process *process, void *userdata)
{
	struct machine *machine = userdata;
	struct proc_memory memory = { .anon = machine->truth[process->pid - FIRST_PID] };

	census_set_memory(census, process, &memory, machine->allocated, 2 * USEC_PER_SEC);
	return 0;
}

/* 0 shared all of 8 GiB with processes of other programs when that was measured, and has written to
 * most of it since: each page is its own then.  A reading of status shows no difference. */
static void test_a_measured_share_wears_off(void **state)
{
	static const struct {
		uint64_t allocated; /* GiB, since it was measured */
		int read_result;    /* 0: its share can be measured again */
		size_t victim;
		bool approximate;
	} rows[] = {
		{ 0, 0, 1, false },
		{ 6, 0, 0, false },
		{ 6, -EACCES, 0, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct proc_memory shared = { .anon = 8 * GIB,
					      .kept = 8 * GIB,
					      .is_measured = true };
		struct victim_request request = { .n_wanted = 1, .now = 2 * USEC_PER_SEC };
		struct machine machine;
		const struct victim_reader reads = {
			.precise = read_own,
			.reread = reread_status,
			.userdata = &machine,
		};

		machine_init(&machine, 2);
		machine.read_result = rows[i].read_result;
		census_set_memory(&machine.census, machine.processes[0], &shared, 0, USEC_PER_SEC);
		set(&machine, 1, 4 * GIB, 4 * GIB);
		machine.truth[0] = 8 * GIB;
		machine.allocated = request.allocated = rows[i].allocated * GIB;
		assert_int_equal(victim_reserve(&result, &machine.census), 0);
		victim_choose(&machine.census, &request, &reads, &result);
		assert_ptr_equal(result.ranked[0].process, machine.processes[rows[i].victim]);
		assert_int_equal(result.approximate, rows[i].approximate);
		machine_done(&machine);
	}
}

static void test_unseen_is_what_no_process_has(void **state)
{
	static const struct {
		const char *label;
		uint64_t machine, first, second; /* anonymous, MiB */
		bool is_known, is_hidden, is_unreadable;
		uint64_t unseen;
	} rows[] = {
		{ "all of it is known", 500, 300, 200, true, false, false, 0 },
		{ "but for what the kernel's counters lag", 515, 300, 200, true, false, false, 0 },
		{ "700 MiB are of none", 716, 0, 0, true, false, false, 700 },
		{ "shared copy on write", 300, 300, 300, true, false, false, 0 },
		{ "the machine's figures are not known", 716, 0, 0, false, false, false, 0 },
		{ "a process is hidden", 716, 0, 0, true, true, false, 0 },
		{ "one cannot be read", 716, 0, 0, true, false, true, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct memory_counters counters = {
			.anon = rows[i].is_known ? rows[i].machine * MIB : 0,
		};
		struct machine machine;

		print_message("%s\n", rows[i].label);
		machine_init(&machine, 2);
		set(&machine, 0, rows[i].first * MIB, 0);
		set(&machine, 1, rows[i].second * MIB, 0);
		machine.census.n_hidden = rows[i].is_hidden;
		machine.census.n_unreadable = rows[i].is_unreadable;
		census_set_totals(&machine.census, &counters);
		assert_int_equal(census_unseen(&machine.census) / MIB, rows[i].unseen);
		machine.census.n_unreadable = 0;
		machine_done(&machine);
	}
}

static void test_take_counts_what_is_held(void **state)
{
	struct machine machine;

	machine_init(&machine, 1);
	set(&machine, 0, 3 * MIB, 3 * MIB);
	assert_int_equal(victim_reserve(&result, &machine.census), 0);
	victim_take(machine.processes[0], GIB, &result);
	assert_int_equal(result.n_ranked, 1);
	assert_ptr_equal(result.ranked[0].process, machine.processes[0]);
	assert_int_equal(proc_reclaimable(&result.ranked[0].memory), GIB + 3 * MIB);
	assert_int_equal(result.ranked[0].estimate, GIB + 3 * MIB);
	assert_int_equal(result.ranked[0].held, GIB);
	assert_int_equal(result.ranked[0].verdict, VICTIM_CHOSEN);
	assert_int_equal(result.as_one, VICTIM_ALONE);
	machine_done(&machine);
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
		cmocka_unit_test(test_score_weighs),
		cmocka_unit_test(test_choose_hint_does_not_outrank_size),
		cmocka_unit_test(test_choose_takes_what_is_preferred_beyond_measure),
		cmocka_unit_test(test_choose_weighs_by_what_is_read),
		cmocka_unit_test(test_choose_spares_a_cgroup_by_what_is_read),
		cmocka_unit_test(test_choose_takes_the_youngest_of_equals),
		cmocka_unit_test(test_choose_stops_reading_at_the_budget),
		cmocka_unit_test(test_choose_does_not_drift_down_after_the_budget),
		cmocka_unit_test(test_choose_ranks_by_estimate_when_reads_fail),
		cmocka_unit_test(test_choose_allocates_nothing),
		cmocka_unit_test(test_choose_finds_the_next_victim_without_a_read),
		cmocka_unit_test(test_choose_skips_whole_groups),
		cmocka_unit_test(test_choose_takes_single_processes_of_a_top),
		cmocka_unit_test(test_choose_takes_a_cgroup_that_is_preferred_beyond_measure),
		cmocka_unit_test(test_choose_takes_a_whole_cgroup),
		cmocka_unit_test(test_choose_adds_up_few_cgroups),
		cmocka_unit_test(test_choose_weighs_cgroups_by_cgroup_alone),
		cmocka_unit_test(test_choose_skips_if_there_is_another),
		cmocka_unit_test(test_choose_passes_over_each_kind_once),
		cmocka_unit_test(test_interval_promises),
		cmocka_unit_test(test_choose_never_beaten_by_brute_force),
		cmocka_unit_test(test_choose_cgroup_never_beaten_by_brute_force),
		cmocka_unit_test(test_group_the_youngest_sibling_before_a_larger_bystander),
		cmocka_unit_test(test_group_of_one_session),
		cmocka_unit_test(test_group_of_children_with_names_of_their_own),
		cmocka_unit_test(test_group_before_a_large_one_that_does_not_grow),
		cmocka_unit_test(test_group_needs_reasons),
		cmocka_unit_test(test_group_is_read_before_it_is_preferred),
		cmocka_unit_test(test_group_is_killed_as_one_after_a_streak),
		cmocka_unit_test(test_group_is_killed_as_one_when_kills_are_undone),
		cmocka_unit_test(test_starter),
		cmocka_unit_test(test_starter_of_the_same_program),
		cmocka_unit_test(test_unit_is_killed_as_one_after_a_streak),
		cmocka_unit_test(test_unit_lives_if_its_siblings_were_not_replaced),
		cmocka_unit_test(test_a_measured_share_wears_off),
		cmocka_unit_test(test_unseen_is_what_no_process_has),
		cmocka_unit_test(test_take_counts_what_is_held),
		cmocka_unit_test(test_share_depends_on_the_relatives),
		cmocka_unit_test(test_share_is_that_of_relatives_if_there_is_no_time),
		cmocka_unit_test(test_share_is_bounded_if_none_is_measured),
		cmocka_unit_test(test_cgroup_is_read_within_the_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
