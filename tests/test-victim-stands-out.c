/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim: siblings beside a large process that was just started, and one that stands out. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/select/streak.h"
#include "lib/select/victim-group.h"
#include "lib/select/victim.h"
#include "tests/victim-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define TICKS_NOW 3000
#define SIBLINGS  12

/* Siblings, of which the last may be another size, and one process that is none of them.  All of
 * them have been started one after the other. */
static void choose_beside(struct machine *machine, uint64_t each, uint64_t last, uint64_t beside,
			  uint64_t beside_started, bool grows)
{
	struct victim_request request = {
		.total = GIB,
		.memory = GIB,
		.min_victim = 4 * MIB,
		.now = 2 * USEC_PER_SEC,
		.ticks_now = TICKS_NOW,
		.self = 1 << 20,
	};

	machine_init(machine, SIBLINGS + 1);
	request.allocated = machine->allocated;
	for (size_t i = 0; i < SIBLINGS; i++) {
		machine->processes[i]->ppid = 7;
		machine->processes[i]->start_ticks = TICKS_NOW - 1000 + i;
		strcpy(machine->processes[i]->comm, "eater");
		set(machine, i, i == 0 ? last : each, i == 0 ? last : each);
	}
	strcpy(machine->processes[SIBLINGS]->comm, "beside");
	machine->processes[SIBLINGS]->start_ticks = beside_started;
	set(machine, SIBLINGS, beside, beside);
	machine->processes[SIBLINGS]->earlier_footprint =
		proc_mapped(&machine->processes[SIBLINGS]->memory);
	machine->processes[0]->earlier_footprint = grows ? 0 : last;
	choose_for(machine, &request);
	assert_true(result.n_ranked > 0);
}

static void test_siblings_and_one_that_stands_out(void **state)
{
	static const struct {
		const char *label;
		uint64_t each, oldest, beside, beside_started;
		size_t victim;
		bool grows; /* the oldest */
	} rows[] = {
		{ "a large process that is old", 60, 60, 220, 100, SIBLINGS - 1 },
		{ "one that was started 5 s ago", 60, 60, 220, TICKS_NOW - 500, SIBLINGS - 1 },
		{ "one that has just been started", 60, 60, 220, TICKS_NOW - 499, SIBLINGS },
		{ "likewise, but small", 60, 60, 120, TICKS_NOW - 499, SIBLINGS - 1 },
		{ "a member is what fills memory", 30, 210, 230, 100, 0, true },
		{ "it does not grow", 30, 210, 230, 100, SIBLINGS - 1 },
		{ "more than a quarter of all", 30, 111, 190, 100, 0, true },
		{ "less", 30, 109, 190, 100, SIBLINGS - 1, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct machine machine;

		choose_beside(&machine, rows[i].each * MIB, rows[i].oldest * MIB,
			      rows[i].beside * MIB, rows[i].beside_started, rows[i].grows);
		if (result.ranked[0].process != machine.processes[rows[i].victim])
			fail_msg("%s: pid %d", rows[i].label, result.ranked[0].process->pid);
		assert_int_equal(result.as_one, VICTIM_ALONE);
		machine_done(&machine);
	}
}

/* Of one session and cgroup, each with a name, a program and a parent of its own: a database, and
 * what fills memory beside it. */
static void test_a_database_that_was_started_with_others(void **state)
{
	static const struct {
		const char *label;
		uint64_t database, each;
		bool grows, is_killed;
	} rows[] = {
		{ "large", 150, 14 },
		{ "large, and grows", 150, 14, true, true },
		{ "not large, but far larger than the others", 100, 14 },
		{ "likewise, and grows", 100, 14, true, true },
		{ "the others have gained less than twice as much", 150, 7, false, true },
		{ "just more than that", 135, 7 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct machine machine;
		struct victim_request request = {
			.total = GIB,
			.memory = GIB,
			.min_victim = 4 * MIB,
			.now = 2 * USEC_PER_SEC,
			.ticks_now = TICKS_NOW,
			.self = 1 << 20,
		};

		machine_init(&machine, 41);
		for (size_t j = 0; j < 41; j++) {
			struct census_process *process = machine.processes[j];
			uint64_t bytes = (j == 0 ? rows[i].database : rows[i].each) * MIB;

			snprintf(process->comm, sizeof(process->comm), "x%u", (unsigned)(j % 100));
			process->ppid = (pid_t)(1000 + j);
			process->session = 55;
			process->code_pages = 100 + (unsigned)j;
			process->start_ticks = TICKS_NOW - (j == 0 ? 1000 : 400) + j;
			set(&machine, j, bytes, bytes);
			process->earlier_footprint = j == 0 && rows[i].grows ? 0 : bytes;
		}
		request.allocated = machine.allocated;
		choose_for(&machine, &request);
		print_message("%s\n", rows[i].label);
		assert_int_equal(result.ranked[0].process == machine.processes[0],
				 rows[i].is_killed);
		machine_done(&machine);
	}
}

/* Also of one that is killed alone: later ones are compared with it. */
static void test_arguments_of_the_chosen_are_read(void **state)
{
	static const struct {
		const char *label;
		uint64_t bytes, memory; /* MiB */
		bool with_streak;
		pid_t known; /* of which it was measured before; 0: of none */
		uint64_t hash;
		unsigned n_reads; /* for that, beside that of the choice */
	} rows[] = {
		{ "chosen alone", 200, 1024, true, 0, FIRST_PID, 1 },
		{ "a quarter of memory", 256, 1024, true, 0, FIRST_PID, 1 },
		{ "more", 257, 1024, true, 0, 0, 0 },
		{ "a GiB", 1024, 16384, true, 0, FIRST_PID, 1 },
		{ "more than that", 1025, 16384, true, 0, 0, 0 },
		{ "known", 200, 1024, true, FIRST_PID, 77, 0 },
		{ "more, and known", 257, 1024, true, FIRST_PID, 77, 0 },
		{ "another is known", 200, 1024, true, FIRST_PID + VICTIM_ARGS_MAX, FIRST_PID, 1 },
		{ "kills are not recorded", 200, 1024, false, FIRST_PID, 0, 0 },
	};
	static const struct streak streak;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct victim_args args[VICTIM_ARGS_MAX] = { 0 };
		struct machine machine;
		struct victim_request request = {
			.total = GIB,
			.memory = rows[i].memory * MIB,
			.min_victim = 4 * MIB,
			.now = 2 * USEC_PER_SEC,
			.ticks_now = TICKS_NOW,
			.self = 1 << 20,
			.streak = rows[i].with_streak ? &streak : NULL,
			.args = args,
		};

		machine_init(&machine, 2);
		set(&machine, 0, rows[i].bytes * MIB, rows[i].bytes * MIB);
		set(&machine, 1, 20 * MIB, 20 * MIB);
		request.allocated = machine.allocated;
		if (rows[i].known != 0) {
			struct census_process process = *machine.processes[0];

			process.pid = rows[i].known;
			victim_note_args(args, &process, 77);
		}
		choose_for(&machine, &request);
		print_message("%s\n", rows[i].label);
		assert_ptr_equal(result.ranked[0].process, machine.processes[0]);
		assert_int_equal(result.ranked[0].args_hash, rows[i].hash);
		assert_int_equal(result.n_reads, 1 + rows[i].n_reads);
		machine_done(&machine);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_siblings_and_one_that_stands_out),
		cmocka_unit_test(test_a_database_that_was_started_with_others),
		cmocka_unit_test(test_arguments_of_the_chosen_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
