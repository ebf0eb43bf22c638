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
#define NOW	  (2 * USEC_PER_SEC)
#define SIBLINGS  12

/* Siblings, of which the last may be another size, and one process that is none of them.  All of
 * them have been started one after the other. */
static void choose_beside(struct machine *machine, uint64_t each, uint64_t last, uint64_t beside,
			  uint64_t beside_started, bool grows)
{
	struct victim_request request;

	machine_init(machine, SIBLINGS + 1);
	request = request_at(machine, NOW, TICKS_NOW);
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
		struct victim_request request;

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
		request = request_at(&machine, NOW, TICKS_NOW);
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
		struct victim_request request;

		machine_init(&machine, 2);
		set(&machine, 0, rows[i].bytes * MIB, rows[i].bytes * MIB);
		set(&machine, 1, 20 * MIB, 20 * MIB);
		request = request_at(&machine, NOW, TICKS_NOW);
		request.memory = rows[i].memory * MIB;
		request.streak = rows[i].with_streak ? &streak : NULL;
		request.args = args;
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

/* A sibling of others that has been the largest by itself, or one that is alone; after kills of
 * such.  The arguments are asked for to compare it with these, several times. */
static void test_arguments_are_read_once(void **state)
{
	static const struct {
		const char *label;
		bool is_sibling, with_shares, without_args;
		unsigned n_reads;
	} rows[] = {
		{ "with its share", false, true, false, 1 },
		{ "they cannot be read", false, true, true, 1 },
		{ "its share cannot", false, false, false, 2 },
		{ "neither can", false, false, true, 2 },
		{ "a sibling", true, true, false, 1 },
		{ "their arguments cannot be read", true, true, true, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n = rows[i].is_sibling ? SIBLINGS : 1;
		static struct streak streak;
		struct victim_request request;
		struct machine machine;

		print_message("%s\n", rows[i].label);
		machine_init(&machine, n);
		machine.with_shares = rows[i].with_shares;
		machine.without_args = rows[i].without_args;
		memset(&streak, 0, sizeof(streak));
		for (size_t j = 0; j < n; j++) {
			strcpy(machine.processes[j]->comm, "job");
			machine.processes[j]->ppid = 7;
			machine.processes[j]->start_ticks = TICKS_NOW - 100; /* a second ago */
			set(&machine, j, 64 * MIB, 64 * MIB);
			streak_add(&streak,
				   &(struct streak_subject){
					   .cgroup = "/x", .comm = "job", .ppid = 7 },
				   NOW - USEC_PER_SEC - 1);
		}
		request = request_at(&machine, NOW, TICKS_NOW);
		request.streak = &streak;
		choose_for(&machine, &request);
		assert_int_equal(result.as_one,
				 rows[i].is_sibling ? VICTIM_AS_SIBLINGS : VICTIM_ALONE);
		assert_int_equal(result.n_reads, rows[i].n_reads);
		assert_int_equal(result.ranked[0].args_hash,
				 rows[i].without_args ? 0 : result.ranked[0].process->pid);
		machine_done(&machine);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_siblings_and_one_that_stands_out),
		cmocka_unit_test(test_a_database_that_was_started_with_others),
		cmocka_unit_test(test_arguments_of_the_chosen_are_read),
		cmocka_unit_test(test_arguments_are_read_once),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
