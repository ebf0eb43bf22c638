/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tick on real processes: SIGTERM, its grace, and when it is followed by SIGKILL or by nothing.
 * Needs root and a cgroup2 mount: see tests/tick-fixture.h.
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/service.h"
#include "tests/manager-parts.h"
#include "tests/tick-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void test_tick_escalates_when_sigterm_is_ignored(void **state)
{
	pid_t victim;

	require_subtree();
	victim = spawn("", 32, true);
	start(TERM_NOW);
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.kill.signal, SIGTERM);
	one_tick();
	assert_true(is_alive(victim)); /* the grace is not over */
	let_the_grace_pass();
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_int_equal(test.n_signals, 2);
	assert_true(newest()->escalated);
	assert_true(newest()->signal_usec < newest()->escalated_usec);
	assert_true(newest()->escalated_usec < newest()->exited_usec);
	assert_string_equal(newest()->signal, "SIGKILL");
}

static void test_tick_escalates_at_once_at_the_next_level(void **state)
{
	struct policy *last;
	pid_t victim;

	require_subtree();
	victim = spawn("", 32, true);
	start("[Policy now]\nMemoryAvailable=100%\nAction=terminate\nGrace=1h\n"
	      "[Policy last]\nMemoryAvailable=0%\nAction=kill\n");
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.kill.signal, SIGTERM);
	last = policy_set_policy(&test.manager->config->policies, "last");
	last->memory_available.permyriad = PERMYRIAD;
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.kill.signal, SIGKILL);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
}

static void test_tick_cancels_when_the_emergency_has_passed(void **state)
{
	pid_t victim;

	require_subtree();
	victim = spawn("", 32, false);
	start(KILL_NOW);
	test.on_open = let_the_emergency_pass;
	one_tick();
	assert_int_equal(test.n_choices, 1);
	assert_int_equal(test.n_signals, 0);
	assert_true(is_alive(victim));
	assert_string_equal(newest()->kind, "cancelled");
	assert_int_equal(newest()->pid, victim);
}

static void test_tick_cancels_after_the_grace_when_memory_has_recovered(void **state)
{
	pid_t victim;

	require_subtree();
	victim = spawn("", 32, true);
	start(TERM_NOW);
	one_tick();
	let_the_emergency_pass(victim);
	let_the_grace_pass();
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight->decision.kill.outcome, KILL_PROGRESS_CANCELLED);
	assert_true(is_alive(victim));
	assert_int_equal(test.n_signals, 1);
	assert_int_equal(test.n_choices, 1);
}

static void test_tick_chooses_no_other_while_a_kill_is_in_progress(void **state)
{
	pid_t large, small;

	require_subtree();
	large = spawn("", 64, true);
	small = spawn("", 32, false);
	start("KillTimeout=1h\n" TERM_NOW);
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.kill.signal, SIGTERM);
	some_ticks(); /* within the grace */
	assert_int_equal(test.n_choices, 1);
	test.signal_is_lost = true;
	let_the_grace_pass();
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.kill.signal, SIGKILL);
	some_ticks(); /* within the timeout */
	assert_int_equal(test.n_choices, 1);
	assert_int_equal(test.n_signals, 2);
	assert_true(is_alive(small));
	test.signal_is_lost = false;
	assert_int_equal(kill(large, SIGKILL), 0);
	wait_for_outcome();
	assert_true(is_over(test.manager->in_flight->decision.kill.outcome));
	assert_int_equal(test.n_choices, 1);
	one_tick();			  /* only now */
	assert_true(test.n_choices >= 2); /* (one may find that the first has vanished) */
	assert_int_equal(test.manager->in_flight->decision.pid, small);
}

static usec_t thawed_at;

static void thaw_slowly(void)
{
	usleep(50000);
	thawed_at = clock_now();
}

static void test_tick_counts_the_grace_from_the_thaw(void **state)
{
	pid_t victim;

	require_subtree();
	assert_int_equal(make_group("/a"), 0);
	victim = spawn("/a", 32, false);
	write_group("/a", "cgroup.freeze", "1");
	for (int i = 0; i < 2000 && !group_is_frozen("/a"); i++)
		usleep(10000);
	start(TERM_NOW);
	test.on_thaw = thaw_slowly;
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.kill.signal, SIGTERM);
	assert_true(test.manager->in_flight->decision.kill.signalled_at >= thawed_at);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGTERM);
}

static void reload(const char *more)
{
	char *errors = NULL;
	FILE *f = fopen(test.config, "we");

	assert_non_null(f);
	fprintf(f, "[Daemon]\nMinVictim=1M\nSubtree=%s\n%s", test.subtree, more);
	fclose(f);
	assert_int_equal(service_reload(test.manager->monitor, &errors), 0);
}

/* A process that had SIGTERM is not killed by a configuration that is no more. */
static void test_tick_does_not_escalate_against_the_configuration(void **state)
{
	static const char *const configurations[] = {
		"DryRun=yes\n" TERM_NOW,
		TERM_NOW "[Protect it]\nComm=^deaf-one$\n",
	};
	pid_t victim;

	require_subtree();
	victim = spawn_as("deaf-one", "", 32, true);
	for (size_t i = 0; i < ARRAY_SIZE(configurations); i++) {
		start(TERM_NOW);
		one_tick();
		assert_int_equal(test.manager->regime->state, REGIME_KILLING);
		reload(configurations[i]);
		let_the_grace_pass();
		one_tick();
		assert_int_equal(test.manager->regime->state, REGIME_WATCH);
		assert_int_equal(test.manager->in_flight->decision.kill.outcome,
				 KILL_PROGRESS_CANCELLED);
		assert_true(test.manager->in_flight->decision.kill.cancelled_by_reload);
		some_ticks();
		assert_int_equal(test.n_signals, 1);
		assert_true(is_alive(victim));
		test.manager = manager_free(test.manager);
	}
	/* Another that permits it changes nothing. */
	start(TERM_NOW);
	one_tick();
	reload(TERM_NOW);
	let_the_grace_pass();
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_subtree(test_tick_escalates_when_sigterm_is_ignored),
		with_subtree(test_tick_escalates_at_once_at_the_next_level),
		with_subtree(test_tick_cancels_when_the_emergency_has_passed),
		with_subtree(test_tick_cancels_after_the_grace_when_memory_has_recovered),
		with_subtree(test_tick_chooses_no_other_while_a_kill_is_in_progress),
		with_subtree(test_tick_counts_the_grace_from_the_thaw),
		with_subtree(test_tick_does_not_escalate_against_the_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
