/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim: siblings, what starts them, and units of which one process after the other was killed. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/select/victim-group.h"
#include "lib/select/victim.h"
#include "lib/snapshot/census-tree.h"
#include "tests/victim-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

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
	struct victim_request request = request_at(machine, now, ticks_now);

	request.streak = streak;
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

/* Of one session and cgroup, each with a name, a program and a parent of its own; the last process
 * is in another cgroup and session unless it is a member. */
static void test_group_of_what_was_started_at_once(void **state)
{
	static const struct {
		const char *label;
		size_t n;
		uint64_t each, beside;
		bool many_sessions, many_cgroups, many_users, is_member;
		uint64_t ticks_now;
		bool is_group;
	} rows[] = {
		{ "a suite", 60, 14, 48, .ticks_now = 1100, .is_group = true },
		{ "it is over", 60, 14, 48, .ticks_now = TICKS_NOW },
		{ "old", 60, 14, 48, .ticks_now = 100000 },
		{ "of different sessions", 60, 14, 48, .many_sessions = true, .ticks_now = 1100 },
		{ "of different cgroups", 60, 14, 48, .many_cgroups = true, .ticks_now = 1100 },
		{ "of different users", 60, 14, 48, .many_users = true, .ticks_now = 1100 },
		{ "too few", 7, 60, 70, .ticks_now = 1100 },
		{ "one of them leaks", 60, 14, 48, .is_member = true, .ticks_now = 1100 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t n = rows[i].n;
		struct machine machine;

		make_siblings(&machine, n, rows[i].each * MIB, rows[i].beside * MIB);
		for (size_t j = 0; j < n + rows[i].is_member; j++) {
			struct census_process *process = machine.processes[j];
			char path[32];

			snprintf(process->comm, sizeof(process->comm), "x%u", (unsigned)(j % 1000));
			snprintf(path, sizeof(path), "/t%u.scope",
				 rows[i].many_cgroups ? (unsigned)j : 0);
			process->code_pages = 100 + (unsigned)j;
			process->ppid = (pid_t)(1000 + j);
			process->session = rows[i].many_sessions ? process->ppid : 55;
			process->uid = rows[i].many_users ? 2000 + (uid_t)j : 2000;
			assert_int_equal(census_attach(&machine.census, process, path), 0);
			census_update_eligibility(&machine.census, process);
		}
		(void)choose_group(&machine, rows[i].ticks_now, NULL);
		if (result.ranked[0].process != machine.processes[n - rows[i].is_group])
			fail_msg("%s: pid %d", rows[i].label, result.ranked[0].process->pid);
		assert_int_equal(result.as_one, VICTIM_ALONE);
		machine_done(&machine);
	}
}

/* Each row: a reason why the siblings are not compared as a group. */
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

static const struct {
	const char *name;
	size_t n_others; /* of its 8 children that are no siblings of the victim */
	pid_t ppid, session;
	uid_t uid;
	uint64_t start_ticks;
	const char *cgroup;
	bool is_undone, expected;
	bool have_exited; /* two of the others, of which one is a zombie */
} rows_of_starter[] = {
	{ "it starts them anew", 0, 9, 9, 1000, 10, "/a.slice", true, true },
	{ "one of 8 is another", 1, 9, 9, 1000, 10, "/a.slice", true, true },
	{ "a quarter of them are", 2, 9, 9, 1000, 10, "/a.slice", true, true },
	{ "it does other things", 3, 9, 9, 1000, 10, "/a.slice", true, false },
	{ "it did, but they have exited", 3, 9, 9, 1000, 10, "/a.slice", true, true, true },
	{ "it was started just before", 0, 9, 9, 1000, 103, "/a.slice", true, true },
	{ "kills help", 0, 9, 9, 1000, 10, "/a.slice", false, false },
	{ "a login shell", 0, 9, FIRST_PID + 8, 1000, 10, "/a.slice", true, false },
	{ "it runs in another session", 0, 9, 8, 1000, 10, "/a.slice", true, false },
	{ "another user's", 0, 9, 9, 0, 10, "/a.slice", true, false },
	{ "the pid of one that has exited", 0, 9, 9, 1000, 5000, "/a.slice", true, false },
	{ "it runs in another cgroup", 0, 9, 9, 1000, 10, "/b.slice", true, false },
};

/* The parent is killed with its children if it is there for them alone. */
static void test_starter(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows_of_starter); i++) {
		struct census_process *parent, *victim;
		struct machine machine;

		make_siblings(&machine, 8, 100 * MIB, 1 * MIB);
		parent = machine.processes[8];
		victim = machine.processes[3];
		parent->ppid = rows_of_starter[i].ppid;
		for (size_t j = 0; j < 8; j++) {
			machine.processes[j]->ppid = parent->pid;
			machine.processes[j]->session = parent->session == 0 ? 9 : 0;
			machine.processes[j]->uid = 1000;
			machine.processes[j]->start_ticks = 100 + j;
			if (j >= 8 - rows_of_starter[i].n_others)
				strcpy(machine.processes[j]->comm, "other");
		}
		parent->session = rows_of_starter[i].session;
		if (rows_of_starter[i].session == parent->pid)
			for (size_t j = 0; j < 8; j++)
				machine.processes[j]->session = parent->pid;
		parent->uid = rows_of_starter[i].uid;
		parent->start_ticks = rows_of_starter[i].start_ticks;
		assert_int_equal(census_attach(&machine.census, parent, rows_of_starter[i].cgroup),
				 0);
		for (size_t j = 0; j < 8; j++)
			assert_int_equal(
				census_attach(&machine.census, machine.processes[j], "/a.slice"),
				0);
		machine.processes[7]->is_gone = rows_of_starter[i].have_exited;
		if (rows_of_starter[i].have_exited)
			machine.processes[6]->state = 'Z';
		result.is_replaced = true;
		result.is_undone = rows_of_starter[i].is_undone;
		if (victim_is_starter(&machine.census, &result, victim, parent) !=
		    rows_of_starter[i].expected)
			fail_msg("%s", rows_of_starter[i].name);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_group_the_youngest_sibling_before_a_larger_bystander),
		cmocka_unit_test(test_group_of_one_session),
		cmocka_unit_test(test_group_of_children_with_names_of_their_own),
		cmocka_unit_test(test_group_of_what_was_started_at_once),
		cmocka_unit_test(test_group_before_a_large_one_that_does_not_grow),
		cmocka_unit_test(test_group_needs_reasons),
		cmocka_unit_test(test_group_is_read_before_it_is_preferred),
		cmocka_unit_test(test_group_is_killed_as_one_after_a_streak),
		cmocka_unit_test(test_group_is_killed_as_one_when_kills_are_undone),
		cmocka_unit_test(test_starter),
		cmocka_unit_test(test_starter_of_the_same_program),
		cmocka_unit_test(test_unit_is_killed_as_one_after_a_streak),
		cmocka_unit_test(test_unit_lives_if_its_siblings_were_not_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
