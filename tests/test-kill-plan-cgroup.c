/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-plan: cgroups and siblings that are killed with a victim. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "lib/select/sharers.h"
#include "tests/kill-plan-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void test_a_cgroup_is_killed_as_a_whole(void **state)
{
	struct decision *d = &test.m->in_flight->decision;

	add(VICTIM + 1, 30 * MIB, "/a/b/c");
	add(VICTIM + 2, 60 * MIB, "/a/b");
	add(VICTIM + 3, 90 * MIB, "/a");
	add(VICTIM + 4, 10 * MIB, "/a/b");
	d->target = test.policy.target = POLICY_TARGET_CGROUP;
	test.group_length = strlen("/a/b");
	test.odd = VICTIM + 4;
	test.odd_why = ELIGIBILITY_PROTECTED; /* is counted out */
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_string_equal(d->others.group, "/a/b");
	assert_int_equal(d->others.n_processes, 3);
	assert_false(d->others.is_flagged);
	assert_int_equal(test.m->in_flight->victim.n_others, 2); /* the largest first */
	assert_int_equal(test.m->in_flight->victim.others[0].pid, VICTIM + 2);
	assert_int_equal(test.m->in_flight->victim.others[1].pid, VICTIM + 1);
	assert_int_equal(d->memory.anon, 512 * MIB); /* it was the cgroup's */
}

/* By memory.oom.group, though one process was chosen: what the others have is added. */
static void test_a_flagged_cgroup(void **state)
{
	struct decision *d = &test.m->in_flight->decision;

	add(VICTIM + 1, 30 * MIB, "/a/b/c");
	test.group_length = strlen("/a/b");
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_true(d->others.is_flagged);
	assert_int_equal(d->target, POLICY_TARGET_CGROUP);
	assert_int_equal(d->memory.anon, 542 * MIB);
}

static void test_a_cgroup_that_cannot_be_killed_as_a_whole(void **state)
{
	static const struct {
		size_t length;
		int open_result;
		enum report_event event;
		int error;
	} cases[] = {
		{ 0, 0, REPORT_CANNOT_OPEN, -EPERM }, /* the daemon is in it */
		{ 4, -EMFILE, REPORT_CANNOT_OPEN, -EMFILE },
		{ 4, KILL_GONE, REPORT_VANISHED, KILL_GONE },
	};
	struct decision *d = &test.m->in_flight->decision;

	test.policy.target = POLICY_TARGET_CGROUP;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		d->target = POLICY_TARGET_CGROUP;
		test.group_length = cases[i].length;
		test.group_result = cases[i].open_result;
		assert_int_equal(gather(), cases[i].event);
		assert_int_equal(d->error, cases[i].error);
		assert_int_equal(test.n_opens, 0);
	}
	/* One process was chosen, and there is no such cgroup: that process alone. */
	d->target = test.policy.target = POLICY_TARGET_PROCESS;
	test.group_length = 0;
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->target, POLICY_TARGET_PROCESS);
}

/* After repeated kills: the parent first, if it is the same program; none that may not be. */
static void test_siblings_after_repeated_kills(void **state)
{
	struct decision *d = &test.m->in_flight->decision;
	struct census_process *victim = census_find(&test.m->sampler->census, VICTIM);

	victim->ppid = 99;
	add(99, 8 * MIB, "/a/b")->ppid = 1;
	for (pid_t pid = VICTIM + 1; pid <= VICTIM + 4; pid++)
		add(pid, 16 * MIB, "/a/b")->ppid = 99;
	strcpy(census_find(&test.m->sampler->census, VICTIM + 4)->comm, "other");
	d->others.as_one = VICTIM_AS_SIBLINGS;
	test.m->selection->choice.is_replaced = true;
	test.odd = VICTIM + 1;
	test.odd_why = ELIGIBILITY_SKIPPED;
	test.may_not = VICTIM + 2;
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->others.n_siblings, 2);
	assert_int_equal(d->others.n_processes, 3);
	assert_int_equal(test.m->in_flight->victim.others[0].pid, 99);
	assert_int_equal(test.m->in_flight->victim.others[1].pid, VICTIM + 3);
	assert_int_equal(d->memory.anon, (512 + 8 + 16) * MIB);
}

/* It starts them again each time: with them, though it is another program. */
static void test_siblings_with_what_starts_them(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct census_process *victim = census_find(&test.m->sampler->census, VICTIM),
				      *parent;

		victim->ppid = 99;
		parent = add(99, 8 * MIB, "/a/b");
		parent->ppid = 1;
		parent->code_pages = CODE + 1;
		strcpy(parent->comm, "maker");
		for (pid_t pid = VICTIM + 1; pid <= VICTIM + 4; pid++)
			add(pid, 16 * MIB, "/a/b")->ppid = 99;
		victim->session = parent->session = 98;
		test.m->in_flight->decision.others.as_one = VICTIM_AS_SIBLINGS;
		test.m->selection->choice.is_undone = i;
		assert_int_equal(gather(), REPORT_NOTHING);
		assert_int_equal(test.m->in_flight->decision.others.n_siblings, 4 + i);
		if (i == 1)
			assert_int_equal(test.m->in_flight->victim.others[0].pid, 99);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

/* It is started again after each kill: with what starts it, and no other. */
static void test_a_program_with_what_starts_it(void **state)
{
	static const struct {
		pid_t starter, may_not;
		unsigned n;
	} rows[] = { { 99, 0, 1 }, { 99, 99, 0 }, { 98, 0, 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct decision *d = &test.m->in_flight->decision;

		census_find(&test.m->sampler->census, VICTIM)->ppid = 1;
		strcpy(add(99, 8 * MIB, "/a/b")->comm, "loop");
		add(VICTIM + 1, 16 * MIB, "/a/b")->ppid = 1;
		d->others.as_one = VICTIM_WITH_STARTER;
		test.m->selection->choice.starter_pid = rows[i].starter;
		test.may_not = rows[i].may_not;
		assert_int_equal(gather(), REPORT_NOTHING);
		assert_int_equal(d->others.n_siblings, rows[i].n);
		assert_int_equal(test.m->in_flight->victim.n_others, rows[i].n);
		assert_string_equal(d->others.starter_comm, rows[i].n > 0 ? "loop" : "");
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

/* Where the daemon itself is, is not known: then no cgroup is killed as a whole. */
static void test_no_cgroup_is_killed_where_the_own_one_is_not_known(void **state)
{
	test.own_cgroup_result = -EACCES;
	test.group_length = strlen("/a/b");
	test.policy.target = test.m->in_flight->decision.target = POLICY_TARGET_CGROUP;
	assert_int_equal(gather(), REPORT_CANNOT_OPEN);
	assert_int_equal(test.m->in_flight->decision.error, -EPERM);
}

/* The victim was moved since the census: the cgroup's members are not known, and not guessed. */
static void test_a_cgroup_that_the_census_does_not_know(void **state)
{
	struct decision *d = &test.m->in_flight->decision;

	add(VICTIM + 1, 30 * MIB, "/a/b");
	strcpy(d->cgroup, "/c/d");
	test.group_length = strlen("/c/d");
	d->target = test.policy.target = POLICY_TARGET_CGROUP;
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_string_equal(d->others.group, "/c/d");
	assert_int_equal(test.m->in_flight->victim.n_others, 0);
	assert_int_equal(d->others.n_processes, 1);
}

/* After repeated kills in it: one process was chosen, and all are killed; zombies do not count. */
static void test_a_cgroup_as_one(void **state)
{
	struct decision *d = &test.m->in_flight->decision;

	add(VICTIM + 1, 30 * MIB, "/a/b");
	add(VICTIM + 2, 0, "/a/b");
	d->target = POLICY_TARGET_CGROUP;
	d->others.as_one = VICTIM_AS_CGROUP;
	test.group_length = strlen("/a/b");
	test.odd = VICTIM + 2;
	test.odd_why = ELIGIBILITY_NO_MEMORY;
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->others.n_processes, 2);
	assert_int_equal(d->memory.anon, 542 * MIB);
}

/* As many as there are places for. */
static void test_siblings_beyond_all_places(void **state)
{
	census_find(&test.m->sampler->census, VICTIM)->ppid = 99;
	for (unsigned i = 1; i <= KILL_OTHERS_MAX + 5; i++)
		add(VICTIM + (pid_t)i, 16 * MIB, "/a/b")->ppid = 99;
	test.m->in_flight->decision.others.as_one = VICTIM_AS_SIBLINGS;
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(test.m->in_flight->decision.others.n_siblings, KILL_OTHERS_MAX);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_cgroup_is_killed_as_a_whole),
		TEST(test_a_flagged_cgroup),
		TEST(test_a_cgroup_that_cannot_be_killed_as_a_whole),
		TEST(test_siblings_after_repeated_kills),
		TEST(test_siblings_with_what_starts_them),
		TEST(test_a_program_with_what_starts_it),
		TEST(test_no_cgroup_is_killed_where_the_own_one_is_not_known),
		TEST(test_a_cgroup_that_the_census_does_not_know),
		TEST(test_a_cgroup_as_one),
		TEST(test_siblings_beyond_all_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
