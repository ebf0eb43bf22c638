/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim: what is shared with relatives, measured or not, and reads that have no time. */
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
	machine.processes[0]->memory.shmem = 2 * MIB;
	assert_int_equal(victim_reserve(&result, &machine.census), 0);
	/* Of the one that was chosen. */
	result.approximate = result.is_reluctant = true;
	result.as_one = VICTIM_AS_CGROUP;
	result.n_respawned = 3;
	result.skipped.node = &machine.processes[0]->node;
	result.skipped_for = BACKOFF_SIMILAR;
	result.skipped_kinds = 1;
	victim_take(machine.processes[0], GIB, &result);
	assert_int_equal(result.n_ranked, 1);
	assert_ptr_equal(result.ranked[0].process, machine.processes[0]);
	assert_int_equal(result.ranked[0].memory.shmem, GIB + 2 * MIB);
	assert_int_equal(result.ranked[0].estimate, GIB + 5 * MIB);
	assert_int_equal(result.ranked[0].score.lo, GIB + 5 * MIB);
	assert_int_equal(result.ranked[0].score.hi, GIB + 5 * MIB);
	assert_true(result.ranked[0].is_read && result.ranked[0].precise);
	assert_int_equal(result.ranked[0].held, GIB);
	assert_int_equal(result.ranked[0].verdict, VICTIM_CHOSEN);
	assert_int_equal(result.as_one, VICTIM_ALONE);
	assert_int_equal(result.n_respawned, 0);
	assert_false(result.approximate || result.is_reluctant);
	assert_null(result.skipped.node);
	assert_int_equal(result.skipped_for, BACKOFF_NONE);
	assert_int_equal(result.skipped_kinds, 0);
	machine_done(&machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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
