/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill-plan: which processes are killed with a victim, of a census made by hand.  Which may be
 * killed, and what opening a process results in, is the test's.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/kill/kill-plan.h"
#include "lib/select/sharers.h"
#include "tests/kill-plan-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* Of its 512 MiB the victim shares 400 with its relatives, copy on write. */
static void share_with_relatives(void)
{
	struct decision *d = &test.m->in_flight->decision;

	d->is_unit = true;
	d->alone = 112 * MIB;
	d->memory =
		(struct proc_memory){ .anon = 512 * MIB, .kept = 200 * MIB, .is_measured = true };
}

static void test_a_victim_that_is_another_by_now(void **state)
{
	test.m->in_flight->decision.start_ticks = START + 1;
	assert_int_equal(gather(), REPORT_VANISHED);
	test.m->in_flight->decision.pid = 4242;
	assert_int_equal(gather(), REPORT_VANISHED);
}

static void test_sharers_are_opened_or_reported(void **state)
{
	static const struct {
		int failure;
		enum report_event event;
		unsigned n_sharers, n_left;
		int error;
		pid_t spared;
	} cases[] = {
		{ 0, REPORT_NOTHING, 2, 0, 0, 0 },
		{ KILL_GONE, REPORT_NOTHING, 1, 0, 0, 0 },
		{ -ENOSPC, REPORT_NOTHING, 1, 1, 0, 0 },
		{ -EMFILE, REPORT_NOTHING, 1, 0, -EMFILE, 0 },
		{ -EPERM, REPORT_SPARED, 1, 0, 0, VICTIM + 1 },
	};
	struct decision *d = &test.m->in_flight->decision;

	add(VICTIM + 1, 4 * MIB, "/a/b");
	add(VICTIM + 2, 4 * MIB, "/a/b");
	test.n_sharers = 2;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		test.fails = cases[i].failure == 0 ? 0 : VICTIM + 1;
		test.failure = cases[i].failure;
		d->others.n_sharers = d->others.n_sharers_left = 0;
		d->others.sharers_error = d->others.spared_pid = 0;
		test.m->in_flight->victim.n_others = 0;
		assert_int_equal(gather(), cases[i].event);
		assert_int_equal(d->others.n_sharers, cases[i].n_sharers);
		assert_int_equal(d->others.n_sharers_left, cases[i].n_left);
		assert_int_equal(d->others.sharers_error, cases[i].error);
		assert_int_equal(d->others.spared_pid, cases[i].spared);
	}
	/* The first that is spared is named; what it is called is kept. */
	d->others.spared_pid = 0;
	test.may_not = VICTIM + 2;
	assert_int_equal(gather(), REPORT_SPARED);
	assert_int_equal(d->others.spared_pid, VICTIM + 1);
	assert_string_equal(d->others.spared_comm, "server");
}

/* All that have it are killed: what they have in common is freed, and what each has alone. */
static void test_a_family_is_killed_together(void **state)
{
	struct decision *d = &test.m->in_flight->decision;

	add(VICTIM + 1, 450 * MIB, "/a/b")->memory.is_measured = true;
	census_find(&test.m->sampler->census, VICTIM + 1)->alone = 50 * MIB;
	add(VICTIM + 2, 420 * MIB, "/c");
	add(VICTIM + 3, 8 * MIB, "/c"); /* has little of it */
	share_with_relatives();
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->others.n_relatives, 2);
	assert_true(test.m->in_flight->victim.is_family);
	assert_int_equal(d->memory.kept, 0);
	assert_int_equal(d->memory.anon, (512 + 50) * MIB);
}

/* The reading of one is of a time before it has touched what is common; that of others is right. */
static void test_a_relative_that_has_touched_it_since(void **state)
{
	struct in_flight *f = test.m->in_flight;

	add(VICTIM + 1, 420 * MIB, "/c");
	add(VICTIM + 2, MIB, "/c");
	add(VICTIM + 3, MIB, "/c");
	add(VICTIM + 4, MIB, "/c");
	add(VICTIM + 5, MIB, "/c")->code_pages = CODE + 1; /* no relative */
	test.footprints[2] = 300 * MIB;
	test.footprints[3] = 100 * MIB;
	test.footprints[4] = UINT64_MAX;
	test.footprints[5] = 300 * MIB;
	share_with_relatives();
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(f->decision.others.n_relatives, 2);
	assert_int_equal(f->victim.others[0].pid, VICTIM + 1);
	assert_int_equal(f->victim.others[1].pid, VICTIM + 2);
	assert_int_equal(f->decision.memory.kept, 0);
}

static void begin_again(void)
{
	struct in_flight *f = test.m->in_flight;

	share_with_relatives();
	f->decision.others.n_relatives = f->decision.others.rest.n = f->victim.n_others = 0;
	f->decision.others.spared_pid = f->decision.error = 0;
	f->victim.is_family = false;
}

/* One keeps what is common: none of the others is killed for what is its own, and the victim if
 * that is worth it. */
static void test_a_family_of_which_one_is_not_killed(void **state)
{
	static const struct {
		pid_t fails, may_not, odd;
		int failure;
		uint64_t min_victim; /* MiB; of the victim's 512 112 are its own */
		enum report_event event;
		unsigned n_relatives;
		uint64_t kept; /* MiB */
		pid_t spared;
		int error;
	} rows[] = {
		{ 1, 0, 0, -EMFILE, 112, REPORT_NOTHING, 0, 400, 0, 0 },
		{ 2, 0, 0, -EMFILE, 113, REPORT_CANNOT_OPEN, 0, 400, 0, -EMFILE },
		{ 2, 0, 0, -EPERM, 113, REPORT_SPARED, 0, 400, VICTIM + 2, -EPERM },
		/* Gone meanwhile: nothing is kept by it. */
		{ 1, 0, 0, KILL_GONE, 113, REPORT_NOTHING, 1, 0, 0, 0 },
		/* As it is now it may not be killed. */
		{ 0, 2, 0, 0, 112, REPORT_NOTHING, 0, 400, 0, 0 },
		{ 0, 2, 0, 0, 113, REPORT_SPARED, 0, 400, VICTIM + 2, -EPERM },
		/* As the census knows it. */
		{ 0, 0, 2, 0, 112, REPORT_NOTHING, 0, 400, 0, 0 },
		{ 0, 0, 2, 0, 113, REPORT_SPARED, 0, 400, VICTIM + 2, -EPERM },
	};
	struct in_flight *f = test.m->in_flight;
	struct decision *d = &f->decision;

	add(VICTIM + 1, 450 * MIB, "/a/b");
	add(VICTIM + 2, 450 * MIB, "/c");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin_again();
		test.fails = rows[i].fails > 0 ? VICTIM + rows[i].fails : 0;
		test.failure = rows[i].failure;
		test.may_not = rows[i].may_not > 0 ? VICTIM + rows[i].may_not : 0;
		test.odd = rows[i].odd > 0 ? VICTIM + rows[i].odd : 0;
		test.odd_why = ELIGIBILITY_PROTECTED;
		test.m->selection->request.min_victim = rows[i].min_victim * MIB;
		assert_int_equal(gather(), rows[i].event);
		assert_int_equal(d->others.n_relatives, rows[i].n_relatives);
		assert_int_equal(f->victim.n_others, rows[i].n_relatives);
		assert_int_equal(f->victim.is_family, rows[i].n_relatives > 0);
		assert_int_equal(d->memory.kept, rows[i].kept * MIB);
		assert_int_equal(d->memory.anon, 512 * MIB);
		assert_int_equal(d->others.spared_pid, rows[i].spared);
		assert_int_equal(d->error, rows[i].error);
	}
	/* It holds enough besides, or others are killed with it. */
	for (int i = 0; i < 2; i++) {
		begin_again();
		d->held = i == 0 ? GIB : 0;
		d->others.as_one = i == 0 ? VICTIM_ALONE : VICTIM_WITH_STARTER;
		assert_int_equal(gather(), REPORT_NOTHING);
	}
}

static void test_no_family_where_little_is_shared(void **state)
{
	struct decision *d = &test.m->in_flight->decision;

	add(VICTIM + 1, 450 * MIB, "/a/b");
	for (unsigned i = 0; i < 2; i++) {
		share_with_relatives();
		d->is_unit = i != 0;
		d->memory.kept = i == 1 ? 0 : d->memory.kept;
		assert_int_equal(gather(), REPORT_NOTHING);
		assert_int_equal(d->others.n_relatives, 0);
		assert_int_equal(test.n_opens, 0);
	}
}

/* What is shared was not measured: all that may have it die (share-bound.h). */
static void test_a_family_whose_share_is_assumed(void **state)
{
	struct decision *d = &test.m->in_flight->decision;

	add(VICTIM + 1, 450 * MIB, "/a/b");
	add(VICTIM + 2, 8 * MIB, "/c");
	d->is_unit = true;
	d->alone = 0;
	d->memory = (struct proc_memory){ .anon = 512 * MIB, .kept = 256 * MIB };
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->others.n_relatives, 1);
	assert_int_equal(d->memory.kept, 0);
	assert_int_equal(d->memory.anon, 512 * MIB);
}

/* If one is left, nothing is freed: on a slow machine, too, all are killed at once. */
static void test_sharers_are_killed_in_one_round(void **state)
{
	struct decision *d = &test.m->in_flight->decision;
	unsigned n = 150;

	for (unsigned i = 1; i <= n; i++)
		add(VICTIM + (pid_t)i, 512 * MIB, "/a/b");
	test.n_sharers = n;
	test.open_takes = USEC_PER_MSEC;
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->others.n_sharers, n);
	assert_int_equal(d->others.n_sharers_left, 0);
	assert_int_equal(d->others.rest.n, n - KILL_OTHERS_MAX);
	/* Not if one of them is protected, which the census knows. */
	d->others.n_sharers = d->others.rest.n = test.m->in_flight->victim.n_others = 0;
	test.odd = VICTIM + 120;
	test.odd_why = ELIGIBILITY_PROTECTED;
	assert_int_equal(gather(), REPORT_SPARED);
	assert_int_equal(d->others.spared_pid, VICTIM + 120);
}

/* More than there are places for: the rest is without pidfds. */
static void test_a_family_that_is_large(void **state)
{
	struct decision *d = &test.m->in_flight->decision;
	unsigned n = KILL_OTHERS_MAX + 20;

	for (unsigned i = 1; i <= n; i++)
		add(VICTIM + (pid_t)i, 450 * MIB, "/a/b");
	share_with_relatives();
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->others.n_relatives, n);
	assert_int_equal(test.m->in_flight->victim.n_others, KILL_OTHERS_MAX);
	assert_int_equal(d->others.rest.n, 20);
	assert_int_equal(d->memory.kept, 0);

	/* On a slow machine, too; the census knows which of the rest may be killed. */
	begin_again();
	test.open_takes = USEC_PER_MSEC;
	test.may_not = VICTIM + KILL_OTHERS_MAX + 10;
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->others.n_relatives, n);
	assert_int_equal(d->others.rest.n, 20);
	assert_int_equal(d->memory.kept, 0);
}

/* Of those that share one memory the largest reading counts, others add up; one that has exited
 * counts for nothing while another is there. */
static void test_the_footprint_of_all(void **state)
{
	static const struct {
		uint64_t mib[4]; /* the victim, a sharer, two others; UINT64_MAX: gone */
		uint64_t sum;
	} cases[] = {
		{ { 100, 90, 10, 5 }, 115 },
		{ { 90, 100, 10, 5 }, 115 },
		{ { UINT64_MAX, 90, 10, 5 }, 105 },
		{ { 100, UINT64_MAX, 10, 5 }, 115 },
		{ { UINT64_MAX, UINT64_MAX, 10, 5 }, 15 },
		{ { UINT64_MAX, UINT64_MAX, UINT64_MAX, 5 }, 5 },
	};
	struct kill_victim *victim = &test.m->in_flight->victim;

	for (unsigned i = 0; i < 3; i++)
		victim->others[i] = (struct kill_other){ VICTIM + 1 + (pid_t)i, START, -EBADF };
	victim->n_others = 3;
	test.m->in_flight->decision.others.n_sharers = 1;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned j = 0; j < 4; j++)
			test.footprints[j] =
				cases[i].mib[j] == UINT64_MAX ? UINT64_MAX : cases[i].mib[j] * MIB;
		assert_int_equal(kill_plan_footprint(test.m->in_flight), cases[i].sum * MIB);
	}
	for (unsigned j = 0; j < 4; j++)
		test.footprints[j] = UINT64_MAX;
	assert_int_equal(kill_plan_footprint(test.m->in_flight), UINT64_MAX); /* not known */
	test.footprints[0] = 0;
	victim->start_ticks = START + 1; /* another by that pid */
	assert_int_equal(kill_plan_footprint(test.m->in_flight), UINT64_MAX);
}

/* There is no place for one: it keeps what is common, so none of them is killed. */
static void test_a_family_beyond_all_places(void **state)
{
	struct decision *d = &test.m->in_flight->decision;
	unsigned n = KILL_TOGETHER_MAX + 1;

	for (unsigned i = 1; i <= n; i++)
		add(VICTIM + (pid_t)i, 450 * MIB, "/a/b");
	share_with_relatives();
	assert_int_equal(gather(), REPORT_NOTHING);
	assert_int_equal(d->others.n_relatives, 0);
	assert_int_equal(test.m->in_flight->victim.n_others + d->others.rest.n, 0);
	assert_int_equal(d->memory.kept, 400 * MIB);
	begin_again();
	test.m->selection->request.min_victim = GIB;
	assert_int_equal(gather(), REPORT_CANNOT_OPEN);
	assert_int_equal(d->error, -ENOSPC);
}

/* The victim, those that no pidfd is kept of, and the cgroup: all of them. */
static void test_all_have_to_be_gone(void **state)
{
	static const struct {
		bool victim, group;
		uint64_t rest; /* its start as it is now */
		char state;
		bool is_gone;
	} cases[] = {
		{ true, true, UINT64_MAX, 0, true }, /* vanished */
		{ false, true, UINT64_MAX, 0, false }, { true, false, UINT64_MAX, 0, false },
		{ true, true, START, 'S', false },     { true, true, START, 'Z', true },
		{ true, true, START + 1, 'S', true }, /* another by that pid */
	};
	struct decision *d = &test.m->in_flight->decision;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		d->others.rest.n = d->others.n_rest_gone = 0;
		assert_true(kill_rest_add(&d->others.rest, VICTIM + 5,
					  cases[i].rest == START + 1 ? START + 1 : START));
		test.footprints[5] = cases[i].rest == UINT64_MAX ? UINT64_MAX : 0;
		test.state = cases[i].state;
		test.m->in_flight->victim.pid = cases[i].victim ? 0 : VICTIM;
		test.group_is_gone = cases[i].group;
		assert_int_equal(kill_plan_is_gone(test.m->in_flight), cases[i].is_gone);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_victim_that_is_another_by_now),
		TEST(test_sharers_are_opened_or_reported),
		TEST(test_a_family_is_killed_together),
		TEST(test_a_relative_that_has_touched_it_since),
		TEST(test_a_family_of_which_one_is_not_killed),
		TEST(test_no_family_where_little_is_shared),
		TEST(test_a_family_that_is_large),
		TEST(test_a_family_whose_share_is_assumed),
		TEST(test_sharers_are_killed_in_one_round),
		TEST(test_the_footprint_of_all),
		TEST(test_a_family_beyond_all_places),
		TEST(test_all_have_to_be_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
