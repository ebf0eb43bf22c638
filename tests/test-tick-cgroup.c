/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tick on real processes: a policy that kills cgroups.  Needs root and a cgroup2 mount: see
 * tests/tick-fixture.h.
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "tests/fail-malloc.h"
#include "tests/tick-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void test_tick_kills_the_largest_cgroup_with_all_in_it(void **state)
{
	pid_t in_a[3], in_b, in_subtree;

	require_subtree();
	assert_int_equal(make_group("/a") | make_group("/a/b") | make_group("/b"), 0);
	in_a[0] = spawn("/a/b", 48, false);
	in_a[1] = spawn("/a/b", 64, false);
	in_a[2] = spawn("/a", 8, false); /* not in the group: it has others below */
	in_b = spawn("/b", 72, false);
	in_subtree = spawn("", 8, false);
	start(GROUP_NOW);
	one_tick();
	assert_int_equal(n_mallocs, 0);
	assert_int_equal(test.manager->in_flight->decision.target, POLICY_TARGET_CGROUP);
	assert_string_equal(strrchr(test.manager->in_flight->decision.others.group, '/'), "/b");
	assert_non_null(strstr(test.manager->in_flight->decision.others.group, "/a/b"));
	assert_int_equal(test.manager->in_flight->decision.pid, in_a[1]);
	assert_int_equal(test.manager->in_flight->decision.others.n_processes, 2);
	assert_true(proc_reclaimable(&test.manager->in_flight->decision.memory) >= 56 * MIB);
	assert_int_equal(test.manager->in_flight->victim.n_others, 1);
	assert_int_equal(test.manager->in_flight->victim.others[0].pid, in_a[0]);
	wait_for_outcome();
	assert_succeeded();
	assert_int_equal(exit_signal(in_a[0]), SIGKILL);
	assert_int_equal(exit_signal(in_a[1]), SIGKILL);
	assert_true(is_alive(in_a[2]) && is_alive(in_b) && is_alive(in_subtree));
	assert_int_equal(test.n_journal, 2);

	/* The next one; its slice has a process of its own. */
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.pid, in_b);
	wait_for_outcome();
	assert_true(is_alive(in_a[2]) && is_alive(in_subtree));
}

/* Directly in the subtree: it is killed alone, though the subtree has memory.oom.group. */
static void test_tick_kills_a_process_of_the_subtree_with_cgroups_in_it(void **state)
{
	pid_t in_a[2], in_subtree, other;

	require_subtree();
	assert_int_equal(make_group("/a"), 0);
	in_a[0] = spawn("/a", 24, false);
	in_a[1] = spawn("/a", 16, false);
	in_subtree = spawn("", 192, false);
	other = spawn("", 8, false);
	snprintf(test.flagged, sizeof(test.flagged), "%s", test.subtree);
	start(GROUP_NOW);
	one_tick();
	assert_int_equal(n_mallocs, 0);
	assert_int_equal(test.manager->in_flight->decision.target, POLICY_TARGET_PROCESS);
	assert_int_equal(test.manager->in_flight->decision.pid, in_subtree);
	assert_string_equal(test.manager->in_flight->decision.others.group, "");
	assert_int_equal(test.manager->in_flight->decision.others.n_processes, 1);
	assert_false(test.manager->in_flight->decision.others.is_flagged);
	wait_for_outcome();
	assert_succeeded();
	assert_int_equal(exit_signal(in_subtree), SIGKILL);
	assert_true(is_alive(in_a[0]) && is_alive(in_a[1]) && is_alive(other));

	/* The next is a cgroup. */
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.target, POLICY_TARGET_CGROUP);
	assert_int_equal(test.manager->in_flight->decision.pid, in_a[0]);
	wait_for_outcome();
	assert_true(is_alive(other));
}

static void move_to_b(pid_t pid)
{
	char text[16];

	test.on_open = NULL;
	snprintf(text, sizeof(text), "%d", pid);
	write_group("/b", "cgroup.procs", text);
}

/* What was chosen is the cgroup, not the one to which its largest process has moved since. */
static void test_tick_does_not_kill_the_cgroup_to_which_one_was_moved(void **state)
{
	pid_t mover, left, bystander;

	require_subtree();
	assert_int_equal(make_group("/a") | make_group("/b"), 0);
	mover = spawn("/a", 48, false);
	left = spawn("/a", 40, false);
	bystander = spawn("/b", 8, false);
	start(GROUP_NOW "[Protect innocent]\nUser=4711\n");
	test.on_open = move_to_b;
	one_tick();
	assert_int_equal(test.n_signals, 0);
	assert_int_equal(test.manager->regime->state, REGIME_WATCH);
	assert_true(is_alive(mover) && is_alive(left) && is_alive(bystander));

	/* By now /b is the largest, and known to be, at the latest when it was read anew. */
	for (int i = 0; i < 100 && test.manager->regime->state != REGIME_KILLING; i++)
		one_tick();
	assert_non_null(strstr(test.manager->in_flight->decision.others.group, "/b"));
	wait_for_outcome();
	assert_true(is_alive(left));
	assert_false(is_alive(mover));
}

static pid_t evasive;
static unsigned n_moves;

static void move_again(pid_t pid)
{
	char text[16];

	if (pid != evasive)
		return;
	snprintf(text, sizeof(text), "%d", pid);
	write_group(n_moves++ % 2 ? "/a" : "/b", "cgroup.procs", text);
}

/* One that is never where it was chosen is skipped after some tries, and another is killed. */
static void test_tick_skips_what_moves_all_the_time(void **state)
{
	pid_t other;

	require_subtree();
	assert_int_equal(make_group("/a") | make_group("/b") | make_group("/c"), 0);
	(void)spawn("/a", 8, false);
	(void)spawn("/b", 8, false);
	evasive = spawn("/a", 64, false);
	other = spawn("/c", 24, false);
	n_moves = 0;
	start(GROUP_NOW);
	test.on_open = move_again;
	for (unsigned i = 0; i < 100 && test.n_signals == 0; i++)
		one_tick();
	assert_int_equal(n_moves, BACKOFF_TRIES);
	assert_int_equal(test.manager->in_flight->decision.pid, other);
	wait_for_outcome();
	assert_true(is_alive(evasive));
	assert_false(is_alive(other));
}

/* More than are watched by themselves; the smallest of them is deaf. */
static void test_tick_terminates_a_cgroup_and_kills_what_remains(void **state)
{
	pid_t deaf, others[KILL_OTHERS_MAX + 2];

	require_subtree();
	assert_int_equal(make_group("/a"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		others[i] = spawn("/a", 4, false);
	deaf = spawn("/a", 1, true);
	start(TERM_NOW "Target=cgroup\n");
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.kill.signal, SIGTERM);
	assert_int_equal(test.n_signals, ARRAY_SIZE(others) + 1);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_int_equal(exit_signal(others[i]), SIGTERM);
	one_tick();
	assert_int_equal(test.manager->regime->state, REGIME_KILLING); /* one is left */
	assert_true(is_alive(deaf));
	let_the_grace_pass();
	wait_for_outcome();
	assert_int_equal(exit_signal(deaf), SIGKILL);
	assert_int_equal(test.manager->in_flight->decision.others.n_processes,
			 ARRAY_SIZE(others) + 1);
	assert_succeeded();
}

/* They are frozen, and signalled one by one, as one of them is spared. */
static void test_tick_kills_all_that_the_flag_says_but_what_is_spared(void **state)
{
	pid_t large, small, spared, outside;

	require_subtree();
	assert_int_equal(make_group("/a") | make_group("/a/b") | make_group("/b"), 0);
	large = spawn("/a/b", 48, false);
	small = spawn("/a", 8, false);
	outside = spawn("/b", 32, false);
	spared = spawn_as("spare-me", "/a", 192, false);
	write_group("/a", "cgroup.freeze", "1");
	snprintf(test.flagged, sizeof(test.flagged), "%s/a", test.subtree);
	start(KILL_NOW "[Protect it]\nComm=^spare-me$\n");
	one_tick();
	assert_int_equal(n_mallocs, 0);
	assert_int_equal(test.manager->in_flight->decision.pid, large);
	assert_int_equal(test.manager->in_flight->decision.target, POLICY_TARGET_CGROUP);
	assert_true(test.manager->in_flight->decision.others.is_flagged);
	assert_string_equal(test.manager->in_flight->decision.others.group, test.flagged);
	assert_int_equal(test.manager->in_flight->decision.others.n_processes, 2);
	assert_true(proc_reclaimable(&test.manager->in_flight->decision.memory) >= 56 * MIB);
	if (sizes_are_exact())
		assert_true(proc_reclaimable(&test.manager->in_flight->decision.memory) <
			    180 * MIB);
	wait_for_outcome();
	assert_succeeded();
	assert_int_equal(exit_signal(large), SIGKILL);
	assert_int_equal(exit_signal(small), SIGKILL);
	assert_true(is_alive(spared) && is_alive(outside));
	assert_int_equal(test.manager->in_flight->victim.group.dir_fd, -EBADF);
	/* A process is left in the group, which was frozen before; at once, if all have exited. */
	assert_int_equal(
		test.manager->in_flight->decision.kill.refrozen,
		test.manager->in_flight->decision.kill.outcome == KILL_PROGRESS_EXITED ? 1 : 0);
	write_group("/a", "cgroup.freeze", "0");
}

/* It may be the largest in it. */
static void test_tick_spares_one_protected_in_a_cgroup(void **state)
{
	pid_t large, spared, small;

	require_subtree();
	assert_int_equal(make_group("/a") | make_group("/b"), 0);
	large = spawn("/a", 48, false);
	spared = spawn_as("spare-me", "/a", 192, false);
	small = spawn("/b", 8, false);
	start(GROUP_NOW "[Protect it]\nComm=^spare-me$\n");
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.pid, large);
	assert_int_equal(test.manager->in_flight->decision.others.n_processes, 1);
	if (sizes_are_exact())
		assert_true(proc_reclaimable(&test.manager->in_flight->decision.memory) <
			    180 * MIB);
	wait_for_outcome();
	assert_succeeded();
	assert_int_equal(exit_signal(large), SIGKILL);
	assert_true(is_alive(spared) && is_alive(small));
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.pid, small);
	wait_for_outcome();
	one_tick();
	assert_int_equal(test.manager->regime->state, REGIME_STUCK);
	assert_true(is_alive(spared));
}

static void test_tick_passes_over_a_cgroup_that_does_not_die(void **state)
{
	pid_t large[2], small;

	require_subtree();
	assert_int_equal(make_group("/a") | make_group("/b"), 0);
	large[0] = spawn("/a", 48, false);
	large[1] = spawn("/a", 16, false);
	small = spawn("/b", 24, false);
	start("KillTimeout=100ms\n" GROUP_NOW);
	test.signal_is_lost = true;
	one_tick();
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight->decision.pid, large[0]);
	assert_int_equal(test.manager->in_flight->decision.kill.outcome, KILL_PROGRESS_UNKILLABLE);
	test.signal_is_lost = false;
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.pid, small);
	wait_for_outcome();
	assert_true(is_alive(large[0]) && is_alive(large[1]));
}

static void test_tick_dry_run_leaves_a_cgroup_alone(void **state)
{
	pid_t pids[2];

	require_subtree();
	assert_int_equal(make_group("/a"), 0);
	pids[0] = spawn("/a", 16, false);
	pids[1] = spawn("/a", 8, false);
	start("DryRun=yes\n" GROUP_NOW);
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.others.n_processes, 2);
	assert_int_equal(test.n_signals, 0);
	assert_true(is_alive(pids[0]) && is_alive(pids[1]));
	assert_false(group_is_frozen("/a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_subtree(test_tick_kills_the_largest_cgroup_with_all_in_it),
		with_subtree(test_tick_kills_a_process_of_the_subtree_with_cgroups_in_it),
		with_subtree(test_tick_does_not_kill_the_cgroup_to_which_one_was_moved),
		with_subtree(test_tick_skips_what_moves_all_the_time),
		with_subtree(test_tick_terminates_a_cgroup_and_kills_what_remains),
		with_subtree(test_tick_kills_all_that_the_flag_says_but_what_is_spared),
		with_subtree(test_tick_spares_one_protected_in_a_cgroup),
		with_subtree(test_tick_passes_over_a_cgroup_that_does_not_die),
		with_subtree(test_tick_dry_run_leaves_a_cgroup_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
