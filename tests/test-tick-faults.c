/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tick: what one of its readings that fails leads to: with real processes in a subtree of our own,
 * and a policy that always holds.  What fails is wrapped.  Needs root and a cgroup2 mount.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

#include "daemon/base/clock.h"
#include "daemon/tick/tick.h"
#include "lib/select/sharers.h"
#include "tests/manager-parts.h"
#include "tests/tick-faults-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* Old figures are no reason to kill; it is tried again after a second, until they can be read. */
static void test_nothing_is_killed_by_memory_that_cannot_be_read(void **state)
{
	static const int errors[] = { -EIO, -EMFILE, -ENOMEM };
	pid_t victim;

	require_subtree();
	victim = spawn("/a", 16);
	start(KILL);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		enum regime_state before = test.m->regime->state;

		test.sample_error = errors[i];
		test.n_complaints = 0;
		test.m->sampler->due_at = 0;
		assert_int_equal(tick(test.m->tick, clock_now()), USEC_PER_SEC);
		assert_int_equal(test.n_complaints, 1);
		assert_int_equal(test.m->regime->state, before);
		assert_int_equal(test.m->in_flight->decision.pid, 0);
	}
	test.sample_error = 0;
	step();
	assert_int_equal(test.m->in_flight->decision.pid, victim);
	wait_for_outcome();
	assert_true(is_killed(victim));
}

/* It is for policies with pressure conditions; others do without. */
static void test_pressure_that_cannot_be_read_is_none(void **state)
{
	pid_t victim;

	require_subtree();
	victim = spawn("/a", 16);
	start(KILL);
	if (!test.m->sampler->domain.has_psi) {
		print_message("SKIP: there is no PSI here\n");
		skip();
	}
	test.psi_error = -EOPNOTSUPP;
	step();
	assert_int_equal(test.m->sampler->domain.psi.n_samples, 0);
	assert_int_equal(test.m->in_flight->decision.pid, victim);
	wait_for_outcome();
}

/* No file can be opened for what is new: kept ones are closed, that is reported, and the kill is
 * based on what is known. */
static void test_a_census_that_is_short_of_files(void **state)
{
	pid_t victim;

	require_subtree();
	victim = spawn("/a", 16);
	start("Action=warn\n");
	for (int i = 0; i < 200 && (test.m->sampler->watch.listed_at == 0 ||
				    test.m->regime->state != REGIME_WATCH);
	     i++)
		(void)tick(test.m->tick, clock_now());
	assert_false(test.m->sampler->census.keeps_none);
	test.census_error = -EMFILE;
	test.m->config->policies.policies[test.m->config->policies.n_policies - 1].action =
		POLICY_ACTION_KILL;
	test.m->sampler->watch.listed_at = clock_now();
	step();
	assert_true(test.m->sampler->census.keeps_none);
	assert_true(test.n_complaints > 0);
	assert_int_equal(test.m->in_flight->decision.pid, victim);
	wait_for_outcome();
	assert_true(is_killed(victim));
}

/* Between the pidfd and the last read of it: no signal, and the next sample finds what is there. */
static void test_a_victim_that_vanishes_before_it_is_confirmed(void **state)
{
	pid_t large, small;

	require_subtree();
	large = spawn("/a", 32);
	small = spawn("/b", 16);
	start(KILL);
	test.error_pid = large;
	test.cgroup_result = PROC_GONE;
	test.n_cgroup_results = 1;
	test.m->selection->stuck.nominated_at = 1;
	step();
	assert_int_equal(test.m->in_flight->decision.pid, large);
	assert_int_equal(test.n_signals, 0);
	assert_int_equal(test.m->regime->state, REGIME_WATCH);
	assert_int_equal(test.m->selection->n_vanished, 1);
	/* If a survey had named it, that may name its successor. */
	assert_int_equal(test.m->selection->stuck.nominated_at, 0);

	/* The same, by its cgroup in the freezer's hierarchy. */
	test.v1_result = PROC_GONE;
	step();
	assert_int_equal(test.n_signals, 0);
	test.v1_result = 0;
	step();
	assert_int_equal(test.m->in_flight->decision.pid, large);
	wait_for_outcome();
	assert_true(is_killed(large));
	assert_true(is_alive(small));
}

/* A process that shares the victim's memory, and what there is to say of it. */
static void test_sharers_that_cannot_be_had(void **state)
{
	static const struct {
		int open_error, find_error;
		bool is_killed;
		unsigned n_sharers;
		int sharers_error;
	} cases[] = {
		{ 0, 0, true, 1, 0 },
		{ -ESRCH, 0, true, 0, 0 }, /* exited: nothing to kill, nothing to report */
		{ -EMFILE, 0, true, 0, -EMFILE },
		{ -EPERM, 0, false, 0, 0 },
		{ 0, -ETIMEDOUT, true, 1, -ETIMEDOUT },
	};

	require_subtree();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		pid_t victim = spawn("/a", 32), sharer = spawn("/a", 4);

		start(KILL);
		test.sharer = test.error_pid = sharer;
		test.open_error = cases[i].open_error;
		test.sharers_error = cases[i].find_error;
		step();
		assert_int_equal(test.m->in_flight->decision.pid, victim);
		assert_int_equal(test.m->in_flight->decision.others.n_sharers, cases[i].n_sharers);
		assert_int_equal(test.m->in_flight->decision.others.sharers_error,
				 cases[i].sharers_error);
		wait_for_outcome();
		if (cases[i].is_killed) {
			assert_true(is_killed(victim));
		} else {
			assert_true(is_alive(victim));
			assert_int_equal(test.m->in_flight->decision.others.spared_pid, sharer);
			assert_int_equal(test.n_signals, 0);
			assert_int_equal(test.m->in_flight->decision.kill.backoff_usec,
					 30 * USEC_PER_SEC);
		}
		test.m = manager_free(test.m);
		test.error_pid = test.sharer = 0;
		while (test.n_processes > 0) {
			pid_t pid = test.processes[--test.n_processes];

			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_is_killed_by_memory_that_cannot_be_read),
		TEST(test_pressure_that_cannot_be_read_is_none),
		TEST(test_a_census_that_is_short_of_files),
		TEST(test_a_victim_that_vanishes_before_it_is_confirmed),
		TEST(test_sharers_that_cannot_be_had),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
