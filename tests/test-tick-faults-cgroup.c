/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tick: cgroups that cannot be read, are nested deep or have a pressure of their own, of a real
 * subtree.  Needs root and a cgroup2 mount.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/record/recorder.h"
#include "daemon/tick/tick.h"
#include "daemon/watch/stalls.h"
#include "lib/select/sharers.h"
#include "tests/manager-parts.h"
#include "tests/tick-faults-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static const struct history_entry *newest(void)
{
	return history_get(recorder_history(test.m->tick->recorder), 0);
}

/* What cannot be read is "/" (as in the census), which is not in the subtree. */
static void test_a_victim_of_which_the_cgroup_cannot_be_read(void **state)
{
	pid_t large, small;

	require_subtree();
	large = spawn("/a", 32);
	small = spawn("/b", 16);
	start(KILL);
	test.error_pid = large;
	test.cgroup_result = -ENOBUFS;
	test.n_cgroup_results = 1000;
	for (int i = 0; i < 20 && test.m->in_flight->decision.pid != small; i++)
		step();
	assert_int_equal(test.m->in_flight->decision.pid, small);
	wait_for_outcome();
	assert_true(is_alive(large));
	assert_true(is_killed(small));
}

/* Of the freezer's: it is killed, and taken for one that is not frozen. */
static void test_a_victim_of_which_the_freezer_cannot_be_read(void **state)
{
	pid_t victim;

	require_subtree();
	victim = spawn("/a", 16);
	start(KILL);
	test.error_pid = victim;
	test.v1_result = -EACCES;
	step();
	assert_string_equal(test.m->in_flight->decision.v1_freezer, "/");
	wait_for_outcome();
	assert_true(is_killed(victim));
}

/* Its members cannot be listed (a cgroup so deep).  Of SIGTERM, none of them gets it: it is
 * skipped, and the next largest does.  Of SIGKILL, those that are known do, and that it was not all
 * is noted. */
static void test_a_cgroup_that_cannot_be_listed(void **state)
{
	pid_t large, small;

	require_subtree();
	large = spawn("/a", 32);
	small = spawn("/b", 16);
	start("Action=terminate\nTarget=cgroup\n");
	test.list_error = -ELOOP;
	step();
	assert_int_equal(test.m->in_flight->decision.pid, large);
	assert_int_equal(test.m->in_flight->decision.kill.outcome, KILL_PROGRESS_UNKILLABLE);
	assert_int_equal(test.m->in_flight->decision.error, -ELOOP);
	assert_string_equal(newest()->error, strerror(ELOOP));
	assert_int_equal(test.n_signals, 0);
	test.list_error = 0;
	step();
	assert_int_equal(test.m->in_flight->decision.pid, small);
	wait_for_outcome();
	assert_true(is_alive(large));
	assert_true(is_killed(small));

	test.m = manager_free(test.m);
	start("Action=kill\nTarget=cgroup\n");
	test.list_error = -ELOOP;
	step();
	assert_int_equal(test.m->in_flight->decision.pid, large);
	assert_int_equal(test.m->in_flight->victim.step_result[KILL_STEP_SIGNAL], -ELOOP);
	test.list_error = 0;
	wait_for_outcome();
	assert_true(is_killed(large));
}

/* "/a" with so many levels below it; done: removes them. */
#define LEVELS (CENSUS_DEPTH_MAX + 16)

static void make_levels(char path[static 2 * LEVELS + 3], bool done)
{
	strcpy(path, "/a");
	for (unsigned i = 1; i <= LEVELS; i++) {
		memcpy(path + 2 * i, "/x", 3);
		assert_true(done || make_group(path) == 0);
	}
	for (unsigned i = LEVELS; done && i > 0; i--) {
		char group[320];

		snprintf(group, sizeof(group), "%s%.*s", test.subtree + 1, (int)(2 * i + 2), path);
		assert_int_equal(unlinkat(test.cgroups.v2_fd, group, AT_REMOVEDIR), 0);
	}
}

static void end_processes(void)
{
	test.m = manager_free(test.m);
	while (test.n_processes > 0) {
		pid_t pid = test.processes[--test.n_processes];

		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

/* Deeper than the census has levels: it is known, killed alone or with its cgroup, and a rule for a
 * cgroup above it holds. */
static void test_a_victim_that_is_nested_deep(void **state)
{
	static const char *const policies[] = { KILL, "Action=kill\nTarget=cgroup\n", NULL };
	char path[2 * LEVELS + 3], rule[400], expected[640];

	require_subtree();
	make_levels(path, false);
	snprintf(rule, sizeof(rule), KILL "[Protect deep]\nCgroup=%s/a\n", test.subtree);
	snprintf(expected, sizeof(expected), "%s%s", test.subtree, path);
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		pid_t deep = spawn(path, 32), small = spawn("/b", 16);

		start(policies[i] ? policies[i] : rule);
		step();
		assert_int_equal(test.m->in_flight->decision.pid, policies[i] ? deep : small);
		if (policies[i])
			assert_string_equal(test.m->in_flight->decision.cgroup, expected);
		wait_for_outcome();
		assert_true(is_killed(policies[i] ? deep : small));
		assert_true(is_alive(policies[i] ? small : deep));
		end_processes();
	}
	make_levels(path, true);
}

/* The stall of one cgroup at its own limit is not the machine's: no process is killed for it, and
 * that is kept and reported once.  While that is not known, it is waited for. */
static void test_pressure_that_is_a_cgroups_own(void **state)
{
	pid_t victim;
	uint64_t id;

	require_subtree();
	victim = spawn("/a", 16);
	start(KILL);
	test.by_pressure = true;
	test.answer = STALLS_UNKNOWN;
	(void)tick(test.m->tick, clock_now());
	assert_int_equal(history_count(recorder_history(test.m->tick->recorder)), 0);
	test.answer = STALLS_EXPLAINED;
	(void)tick(test.m->tick, clock_now());
	assert_string_equal(newest()->kind, "cgroup-limit");
	id = newest()->id;
	(void)tick(test.m->tick, clock_now());
	assert_int_equal(newest()->id, id);
	assert_int_equal(test.m->in_flight->decision.pid, 0);
	test.answer = STALLS_COUNT;
	step();
	assert_int_equal(test.m->in_flight->decision.pid, victim);
	wait_for_outcome();
	assert_true(is_killed(victim));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_victim_of_which_the_cgroup_cannot_be_read),
		TEST(test_a_victim_of_which_the_freezer_cannot_be_read),
		TEST(test_a_cgroup_that_cannot_be_listed),
		TEST(test_a_victim_that_is_nested_deep),
		TEST(test_pressure_that_is_a_cgroups_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
