/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freezer on the kernel's own freezers: children of this test in cgroups that are made here, three
 * deep, frozen from above, twice, by both versions at once, with threads elsewhere, in the middle
 * of a vfork, by the thousand.  Each of the two versions where it is mounted; needs root.
 *
 * Trees of plain files are test-freezer's, a victim's way from its signal on is test-kill-kernel's.
 */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/io.h"
#include "lib/kill/freezer.h"
#include "lib/kill/ledger.h"
#include "lib/sys/proc.h"
#include "tests/fail-malloc.h"
#include "tests/freezer-kernel-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define N_MEMBERS (FAIL_MALLOC_WORKS ? 2000 : 200) /* a sanitizer's processes are large */

/* v2: no process is thawed; SIGKILL does not need it, nor does a SIGTERM without a handler. */
static void test_v2_victim_only_thaws_none(void **state)
{
	struct child *victim, *other;

	make_groups(false);
	victim = spawn(LIFE_THREADS);
	other = spawn(LIFE_THREADS);
	freeze(false, TOP, true);
	assert_soon(says_frozen(false, level_names[LEAF]));
	order_victim_only(victim);
	assert_int_equal(thaw_leaf(false), 0);
	assert_int_equal(kill(other->pid, SIGTERM), 0);
	assert_int_equal(byte_within(other, 100), '\0'); /* its handler waits */
	assert_return_code(kill(victim->pid, SIGKILL), errno);
	assert_soon(is_gone(victim));
	assert_true(says_frozen(false, level_names[LEAF]));
	assert_false(is_gone(other));
}

/* The pid was written to `tasks`: the leader alone was moved, the threads stay frozen where they
 * are.  They are found where they are, and the process is then gone as a whole. */
static void test_v1_threads_left_in_a_frozen_group(void **state)
{
	struct child *victim;

	make_groups(true);
	victim = spawn(LIFE_THREADS);
	freeze(true, 1, true);
	assert_soon(says_frozen(true, level_names[LEAF]));
	put(true, BESIDE, "tasks", victim->pid);
	assert_true(is_running(victim, 10000));
	assert_return_code(kill(victim->pid, SIGKILL), errno);
	assert_int_equal(thaw(NULL, BESIDE), 0); /* by its leader, nothing is frozen */
	usleep(50000);
	assert_false(is_gone(victim));
	assert_int_equal(thaw(NULL, level_names[LEAF]), 1);
	assert_soon(is_gone(victim));
}

/* The same, by moving all of it: cgroup.procs takes every thread along. */
static void test_v1_threads_elsewhere_are_taken_out_with_the_process(void **state)
{
	struct child *victim, *neighbour;

	make_groups(true);
	victim = spawn(LIFE_THREADS);
	neighbour = spawn(LIFE_PLAIN);
	freeze(true, 1, true);
	assert_soon(says_frozen(true, level_names[LEAF]));
	put(true, BESIDE, "tasks", victim->pid);
	assert_return_code(kill(victim->pid, SIGKILL), errno);
	order_victim_only(victim);
	assert_int_equal(thaw_leaf(true), 1);
	assert_soon(is_gone(victim));
	assert_false(is_running(neighbour, 50));
}

/* A leader that has exited reads as in the root of a v1 hierarchy; its threads are elsewhere. */
static void test_v1_leader_has_exited(void **state)
{
	char path[CGROUP_PATH_MAX];
	struct proc_stat stat;
	struct child *victim;

	make_groups(true);
	victim = spawn(LIFE_HEADLESS);
	assert_int_equal(write(victim->ask_fd, "Z", 1), 1);
	assert_int_equal(byte_within(victim, 10000), 'Z');
	assert_soon(proc_read_stat(test.proc_fd, victim->pid, &stat) == 0 && stat.state == 'Z');
	freeze(true, TOP, true);
	assert_soon(says_frozen(true, level_names[LEAF]));
	assert_return_code(kill(victim->pid, SIGKILL), errno);

	assert_int_equal(cgroup_of_process_v1_freezer(&test.fs, test.proc_fd, victim->pid, path,
						      sizeof(path)),
			 0);
	assert_string_equal(path, path_of(level_names[LEAF]));
	assert_int_equal(freezer_thaw(&test.fs, NULL, path, &test.thawed), 1);
	assert_soon(is_gone(victim));
}

/* (Frozen while it does that, it would stay FREEZING: freeze_task() is called once.) */
static bool is_vfork_parent_waiting(const struct child *child)
{
	struct proc_stat stat;

	return proc_read_stat(test.proc_fd, child->pid, &stat) == 0 && stat.state == 'D';
}

/* A process in the middle of a vfork waits in D, counts as frozen, and exits when thawed. */
static void check_vfork(bool v1, bool victim_only)
{
	struct child *victim;

	make_groups(v1);
	victim = spawn(LIFE_VFORK);
	assert_soon(is_vfork_parent_waiting(victim));
	freeze(v1, TOP, true);
	assert_soon(says_frozen(v1, level_names[LEAF]));
	assert_return_code(kill(victim->pid, SIGKILL), errno);
	if (victim_only)
		order_victim_only(victim);
	assert_int_equal(thaw_leaf(v1), 1);
	assert_soon(is_gone(victim));
}

static void test_v1_vfork_parent(void **state)
{
	check_vfork(true, false);
}

static void test_v1_vfork_parent_taken_out(void **state)
{
	check_vfork(true, true);
}

static void test_v2_vfork_parent(void **state)
{
	check_vfork(false, false);
}

/* Frozen by both at once: each alone would keep it.  (Version 2 has to be first to be seen in its
 * events: a process that sleeps in the v1 refrigerator does not get to the v2 trap.) */
static void test_hybrid_frozen_by_both(void **state)
{
	struct child *victim, *neighbour;

	make_groups(false);
	make_groups(true);
	victim = spawn(LIFE_THREADS);
	neighbour = spawn(LIFE_PLAIN);
	freeze(false, TOP, true);
	freeze(false, LEAF, true);
	assert_soon(says_frozen(false, level_names[LEAF]));
	freeze(true, 1, true);
	assert_soon(says_frozen(true, level_names[LEAF]));
	ledger_init(&ledger, BOOT_ID);
	test.thawed.order = (struct freezer_order){ .pid = victim->pid, .ledger = &ledger };
	assert_return_code(kill(victim->pid, SIGTERM), errno);
	assert_int_equal(byte_within(victim, 100), '\0');
	assert_int_equal(thaw(level_names[LEAF], level_names[LEAF]), 3);
	assert_int_equal(byte_within(victim, 10000), 'T');
	assert_true(is_running(neighbour, 10000));
	assert_int_equal(n_entries(), 3);

	assert_return_code(kill(victim->pid, SIGKILL), errno);
	assert_soon(is_gone(victim));
	assert_int_equal(freezer_refreeze(&test.thawed), 3);
	assert_int_equal(n_entries(), 0);
	/* (FREEZING it may be for ever, if v2 has stopped them first: freeze_task() comes once.) */
	assert_int_equal(freezer_is_frozen(&test.fs, NULL, path_of(level_names[LEAF])), 1);
	freeze(true, 1, false); /* each of them by its own flag, as before */
	assert_soon(says_frozen(false, level_names[LEAF]));
	freeze(false, TOP, false);
	assert_true(says_frozen(false, level_names[LEAF]));
	assert_false(is_running(neighbour, 50));
}

/* Thawed by another program first; frozen by another program meanwhile, again and again. */
static void check_others(bool v1)
{
	struct child *victim, *neighbour;

	make_groups(v1);
	victim = spawn(LIFE_PLAIN);
	neighbour = spawn(LIFE_PLAIN);
	freeze(v1, TOP, true);
	freeze(v1, TOP, false);
	assert_int_equal(thaw_leaf(v1), 0);

	freeze(v1, TOP, true);
	assert_int_equal(thaw_leaf(v1), 1);
	for (int i = 0; i < 3; i++) {
		freeze(v1, TOP, true);
		freeze(v1, 2, true);
		assert_int_equal(thaw_leaf(v1), 2);
		assert_true(is_running(victim, 10000));
	}
	assert_int_equal(test.thawed.n_levels, 2);
	freeze(v1, 2, true); /* as another program left it */
	assert_int_equal(freezer_refreeze(&test.thawed), 1);
	assert_soon(says_frozen(v1, level_names[LEAF]));
	assert_false(is_running(neighbour, 50));
}

static void test_v1_others_thaw_and_freeze(void **state)
{
	check_others(true);
}

static void test_v2_others_thaw_and_freeze(void **state)
{
	check_others(false);
}

/* With its processes; before the thaw, and between that and the end. */
static void check_vanished(bool v1)
{
	struct child *victim;

	make_groups(v1);
	victim = spawn(LIFE_PLAIN);
	freeze(v1, TOP, true);
	freeze(v1, LEAF, true);
	assert_int_equal(thaw_leaf(v1), 2);
	assert_return_code(kill(victim->pid, SIGKILL), errno);
	assert_int_equal(waitpid(victim->pid, NULL, 0), victim->pid);
	for (int i = N_LEVELS; --i > TOP;)
		assert_soon(unlinkat(mount_fd(v1), path_of(level_names[i]) + 1, AT_REMOVEDIR) == 0);
	freeze(v1, TOP, true);
	assert_int_equal(thaw_leaf(v1), 0);
	/* Nothing is thawed for a process that is not there.  (v1 says FREEZING until the removed
	 * groups are released.) */
	assert_soon(says_frozen(v1, level_names[TOP]));
	freeze(v1, TOP, false);
	assert_int_equal(freezer_refreeze(&test.thawed), 0);
	for (int i = TOP + 1; i < N_LEVELS; i++) /* for the teardown */
		assert_return_code(mkdirat(mount_fd(v1), path_of(level_names[i]) + 1, 0755), errno);
}

static void test_v1_vanished(void **state)
{
	check_vanished(true);
}

static void test_v2_vanished(void **state)
{
	check_vanished(false);
}

/* Sleeping, in the leaf. */
static void spawn_members(bool v1)
{
	char path[256];

	test.members = calloc(N_MEMBERS, sizeof(test.members[0]));
	assert_non_null(test.members);
	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", path_of(level_names[LEAF]) + 1);
	while (test.n_members < N_MEMBERS) {
		pid_t pid = fork();

		assert_return_code(pid, errno);
		if (pid == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (io_write_at(mount_fd(v1), path, "0") < 0)
				_exit(1);
			for (;;)
				(void)pause();
		}
		test.members[test.n_members++] = pid;
	}
}

static usec_t now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

/* However many they are, it is one write each way. */
static void check_thousands(bool v1)
{
	usec_t began, thawed, running, refrozen;
	struct child *victim;

	make_groups(v1);
	victim = spawn(LIFE_THREADS);
	spawn_members(v1);
	usleep(100000);
	freeze(v1, TOP, true);
	assert_soon(says_frozen(v1, level_names[LEAF]));
	assert_return_code(kill(victim->pid, SIGKILL), errno);
	began = now();
	assert_int_equal(thaw_leaf(v1), 1);
	thawed = now();
	assert_soon(is_gone(victim));
	assert_soon(!says_frozen(v1, level_names[LEAF]));
	running = now();
	assert_int_equal(freezer_refreeze(&test.thawed), 1);
	refrozen = now();
	assert_soon(says_frozen(v1, level_names[LEAF]));
	print_message("%d members: thaw %u us, the victim gone after %u us, refreeze %u us, "
		      "all frozen after %u us\n",
		      N_MEMBERS, (unsigned)(thawed - began), (unsigned)(running - began),
		      (unsigned)(refrozen - running), (unsigned)(now() - running));
}

static void test_v1_thousands_of_members(void **state)
{
	check_thousands(true);
}

static void test_v2_thousands_of_members(void **state)
{
	check_thousands(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_v2_victim_only_thaws_none),
		TEST(test_v1_threads_left_in_a_frozen_group),
		TEST(test_v1_threads_elsewhere_are_taken_out_with_the_process),
		TEST(test_v1_leader_has_exited),
		TEST(test_v1_vfork_parent),
		TEST(test_v1_vfork_parent_taken_out),
		TEST(test_v2_vfork_parent),
		TEST(test_hybrid_frozen_by_both),
		TEST(test_v1_others_thaw_and_freeze),
		TEST(test_v2_others_thaw_and_freeze),
		TEST(test_v1_vanished),
		TEST(test_v2_vanished),
		TEST(test_v1_thousands_of_members),
		TEST(test_v2_thousands_of_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
