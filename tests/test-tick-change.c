/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tick on real processes: victims that exit, move or become others between the choice and the
 * signal.  Needs root and a cgroup2 mount: see tests/tick-fixture.h.
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/io.h"
#include "tests/tick-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void exit_by_itself(pid_t pid)
{
	test.on_open = test.on_opened = NULL;
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(exit_signal(pid), SIGKILL); /* a zombie: it is not waited for */
}

static void exits_by_itself(void (**hook)(pid_t pid))
{
	pid_t victim, other;

	require_subtree();
	victim = spawn("", 64, false);
	other = spawn("", 16, false);
	start(KILL_NOW);
	*hook = exit_by_itself;
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.pid, victim);
	assert_int_equal(test.n_signals, 0);
	assert_int_equal(test.manager->in_flight->n_kills, 0);
	assert_int_equal(census_find(&test.manager->sampler->census, victim)->state, 'Z');
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.pid, other);
	wait_for_outcome();
}

static void test_tick_does_not_signal_what_exits_before_it_is_opened(void **state)
{
	exits_by_itself(&test.on_open);
}

static void test_tick_does_not_signal_what_exits_after_it_was_opened(void **state)
{
	exits_by_itself(&test.on_opened);
}

static void move_out_of_the_subtree(pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pid);
	assert_int_equal(io_write_at(test.cgroups.v2_fd, "cgroup.procs", text), 0);
	test.on_open = NULL;
}

static void test_tick_spares_what_was_moved_out_meanwhile(void **state)
{
	pid_t victim, other;

	require_subtree();
	victim = spawn("", 64, false);
	other = spawn("", 16, false);
	start(KILL_NOW);
	test.on_open = move_out_of_the_subtree;
	one_tick();
	assert_int_equal(test.n_signals, 0);
	one_tick(); /* sampled again, and another process chosen */
	assert_int_equal(test.manager->in_flight->decision.pid, other);
	wait_for_outcome();
	assert_true(is_alive(victim));
	assert_false(is_alive(other));
}

static void test_tick_continues_when_the_victim_vanishes(void **state)
{
	pid_t victim;

	require_subtree();
	victim = spawn("", 32, false);
	start(KILL_NOW);
	test.open_result = -ESRCH;
	one_tick();
	assert_int_equal(test.manager->regime->state, REGIME_WATCH);
	assert_int_equal(test.n_signals, 0);
	test.open_result = 0;
	one_tick();
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
}

static void test_tick_skips_what_may_not_be_signalled(void **state)
{
	pid_t large, small;

	require_subtree();
	large = spawn("", 32, false);
	small = spawn("", 8, false);
	start(KILL_NOW);
	test.signal_result = -EPERM;
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.pid, large);
	assert_int_equal(test.manager->in_flight->decision.kill.outcome, KILL_PROGRESS_UNKILLABLE);
	assert_int_equal(test.manager->in_flight->decision.kill.backoff_usec, 30 * USEC_PER_SEC);
	assert_string_equal(newest()->outcome, "unkillable");
	assert_string_equal(newest()->error, strerror(EPERM));
	test.signal_result = 0;
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.pid, small);
	wait_for_outcome();
	assert_true(is_alive(large));
	one_tick(); /* none is left: it is not tried in a loop */
	one_tick();
	assert_string_equal(newest()->kind, "no-victim");
	assert_true(is_alive(large));
	assert_int_equal(test.n_signals, 2);
}

static pid_t becomes_another;

/* As a service does that drops its privileges. */
static void become_another(int signal)
{
	if (setresuid(4711, 4711, 4711) < 0)
		_exit(1);
}

static void wait_until_it_is_another(pid_t pid)
{
	struct proc_status status = { 0 };

	if (pid != becomes_another)
		return;
	assert_int_equal(kill(pid, SIGUSR1), 0);
	for (int i = 0; i < 5000 && status.uid != 4711; i++) {
		usleep(1000);
		(void)proc_read_status(test.manager->machine->proc_fd, pid, &status);
	}
}

static void test_tick_spares_what_is_another_users_by_now(void **state)
{
	pid_t other;

	require_subtree();
	signal(SIGUSR1, become_another); /* inherited by fork() */
	becomes_another = spawn("", 48, false);
	signal(SIGUSR1, SIG_DFL);
	other = spawn("", 16, false);
	start(KILL_NOW "[Protect other]\nUser=4711\n");
	test.on_open = wait_until_it_is_another;
	one_tick();
	assert_int_equal(test.n_signals, 0);
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.pid, other);
	wait_for_outcome();
	assert_true(is_alive(becomes_another));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_subtree(test_tick_does_not_signal_what_exits_before_it_is_opened),
		with_subtree(test_tick_does_not_signal_what_exits_after_it_was_opened),
		with_subtree(test_tick_spares_what_was_moved_out_meanwhile),
		with_subtree(test_tick_continues_when_the_victim_vanishes),
		with_subtree(test_tick_skips_what_may_not_be_signalled),
		with_subtree(test_tick_spares_what_is_another_users_by_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
