/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thaw-state: Thaw=victim, processes that share the memory of a frozen victim, and what is
 * not frozen again.  Ticks are called by hand; frozen groups are real.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "tests/fail-malloc.h"
#include "tests/manager-parts.h"
#include "tests/thaw-state-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void test_victim_only_v1_leaves_the_others_frozen(void **state)
{
	pid_t victim, sibling;

	make_groups(true);
	victim = spawn(12, false);
	sibling = spawn(4, true);
	freeze(true, "/g", true);
	assert_soon(is_frozen(true, "/g"));
	test.manager = new_manager(TERM_NOW "Thaw=victim\n");
	one_tick();
	assert_true(is_frozen(true, "/g"));
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGTERM);
	assert_true(is_frozen(true, "/g"));
	assert_true(is_alive(sibling));
	assert_int_equal(n_owed(), 0);
	if (FAIL_MALLOC_WORKS)
		assert_int_equal(n_mallocs, 0);
}

static void test_victim_only_v1_is_moved_back_when_it_does_not_exit(void **state)
{
	char path[CGROUP_PATH_MAX];
	pid_t victim;

	make_groups(true);
	victim = spawn(12, true);
	freeze(true, "/g", true);
	assert_soon(is_frozen(true, "/g"));
	test.manager = new_manager(TERM_NOW "Thaw=victim\n");
	one_tick();
	assert_int_equal(cgroup_of_process_v1_freezer(&test.cgroups, test.manager->machine->proc_fd,
						      victim, path, sizeof(path)),
			 0);
	assert_string_equal(path, test.subtree);
	test.manager = manager_free(test.manager);
	assert_int_equal(cgroup_of_process_v1_freezer(&test.cgroups, open("/proc", O_PATH), victim,
						      path, sizeof(path)),
			 0);
	assert_string_equal(path + 1, path_of("/g"));
	assert_true(is_alive(victim));
	assert_int_equal(n_entries_left(), 0);
}

static void test_victim_only_v2_is_killed_at_once(void **state)
{
	pid_t victim, sibling;

	make_groups(false);
	victim = spawn(12, true);
	sibling = spawn(4, true);
	freeze(false, "", true);
	assert_soon(is_frozen(false, "/g"));
	test.manager = new_manager(TERM_NOW "Thaw=victim\n");
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.kill.signal, SIGKILL);
	assert_true(test.manager->in_flight->decision.kill.skips_term);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_true(is_frozen(false, "/g"));
	assert_true(is_alive(sibling));
}

static int share(void *userdata)
{
	prctl(PR_SET_PDEATHSIG, 0);
	prctl(PR_SET_NAME, "sharer");
	for (;;)
		pause();
	return 0;
}

/* A process of 12 MiB and another one with the same memory, in /g; the other one's pid and pidfd.
 */
static pid_t spawn_sharing(pid_t *ret_other, int *ret_other_fd)
{
	int ready[2];
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		static char stack[64 * 1024];
		char *memory = mmap(NULL, 12 * MIB, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		pid_t other;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		memset(memory, 1, 12 * MIB);
		other = clone(share, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
		if (write(ready[1], &other, sizeof(other)) != sizeof(other))
			_exit(1);
		for (;;)
			pause();
	}
	test.children[test.n_children++] = pid;
	assert_int_equal(read(ready[0], ret_other, sizeof(*ret_other)), sizeof(*ret_other));
	close(ready[0]);
	close(ready[1]);
	*ret_other_fd = pidfd_open(*ret_other, 0);
	assert_true(*ret_other_fd >= 0);
	for (int v1 = 0; v1 < 2; v1++) {
		move(pid, v1, "/g");
		move(*ret_other, v1, "/g");
	}
	return pid;
}

/* Each of those that are killed together is moved out; no other is. */
static void test_victim_only_v1_takes_sharers_too(void **state)
{
	struct pollfd pollfd = { .events = POLLIN };
	pid_t victim, other, sibling;
	int other_fd;

	make_groups(true);
	victim = spawn_sharing(&other, &other_fd);
	sibling = spawn(4, true);
	freeze(true, "/g", true);
	assert_soon(is_frozen(true, "/g"));
	test.manager = new_manager(KILL_NOW "Thaw=victim\n");
	one_tick();
	if (test.manager->in_flight->decision.others.n_sharers == 0) {
		(void)pidfd_send_signal(other_fd, SIGKILL, NULL, 0);
		freeze(true, "/g", false);
		close(other_fd);
		print_message("SKIP: processes that share memory cannot be found here\n");
		skip();
	}
	assert_true(test.manager->in_flight->decision.pid == victim ||
		    test.manager->in_flight->decision.pid == other);
	assert_int_equal(test.manager->in_flight->victim.thawed.n_levels, 2);
	pollfd.fd = other_fd;
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_int_equal(poll(&pollfd, 1, 10000), 1);
	close(other_fd);
	wait_for_outcome();
	assert_true(is_frozen(true, "/g"));
	assert_true(is_alive(sibling));
	assert_int_equal(n_owed(), 0);
}

/* The victim has exited; the other one, in a group that could not be thawed at first, has not yet.
 */
static void test_the_other_one_is_found_frozen(void **state)
{
	struct pollfd pollfd = { .events = POLLIN };
	pid_t victim, other;
	int other_fd;

	make_groups(true);
	victim = spawn_sharing(&other, &other_fd);
	move(victim, true, "");
	freeze(true, "/g", true);
	assert_soon(is_frozen(true, "/g"));
	test.manager = new_manager("KillTimeout=1min\n[Avoid sharer]\nComm=^sharer$\n" KILL_NOW);
	test.thaw_result = -EACCES;
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.pid, victim);
	if (test.manager->in_flight->decision.others.n_sharers == 0) {
		(void)pidfd_send_signal(other_fd, SIGKILL, NULL, 0);
		freeze(true, "/g", false);
		close(other_fd);
		print_message("SKIP: processes that share memory cannot be found here\n");
		skip();
	}
	pollfd.fd = other_fd;
	assert_int_equal(exit_signal(victim), SIGKILL);
	assert_int_equal(poll(&pollfd, 1, 0), 0);
	test.thaw_result = 0;
	one_tick();
	assert_int_equal(poll(&pollfd, 1, 10000), 1);
	close(other_fd);
	wait_for_outcome();
}

static void test_refreeze_no(void **state)
{
	pid_t victim, sibling;

	make_groups(false);
	victim = spawn(12, false);
	sibling = spawn(4, true);
	freeze(false, "/g", true);
	assert_soon(is_frozen(false, "/g"));
	test.manager = new_manager(TERM_NOW "Refreeze=no\n");
	one_tick();
	assert_int_equal(n_owed(), 0);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGTERM);
	test.manager = manager_free(test.manager);
	usleep(20000);
	assert_false(is_frozen(false, "/g"));
	assert_true(is_alive(sibling));
}

static void *sleep_thread(void *userdata)
{
	for (;;)
		pause();
	return NULL;
}

/* The leader alone was moved by `tasks`: all the other threads are found where they were left. */
static void test_threads_left_in_a_frozen_group(void **state)
{
	struct proc_stat stat;
	int ready[2];
	char byte;
	pid_t victim;

	make_groups(true);
	assert_int_equal(pipe(ready), 0);
	victim = fork();
	assert_true(victim >= 0);
	if (victim == 0) {
		pthread_t thread;
		char *memory;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		memory = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
		memset(memory, 1, 32 * MIB);
		for (int i = 0; i < 32; i++)
			if (pthread_create(&thread, NULL, sleep_thread, NULL) != 0)
				_exit(1);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		sleep_thread(NULL);
	}
	test.children[test.n_children++] = victim;
	assert_int_equal(read(ready[0], &byte, 1), 1);
	move(victim, false, "/g");
	move(victim, true, "/g");
	freeze(true, "/g", true);
	assert_soon(is_frozen(true, "/g"));
	assert_int_equal(group_put(mount_fd(true), path_of(""), "tasks", victim), 0);
	test.manager = new_manager("KillTimeout=1min\n" KILL_NOW);
	one_tick();
	assert_soon(proc_read_stat(test.manager->machine->proc_fd, victim, &stat) == 0 &&
		    stat.state == 'Z');
	assert_true(is_frozen(true, "/g"));
	wait_for_outcome(); /* by its memory, perhaps, which is reaped from outside */
	assert_int_equal(exit_signal(victim), SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_victim_only_v1_leaves_the_others_frozen),
		TEST(test_victim_only_v1_is_moved_back_when_it_does_not_exit),
		TEST(test_victim_only_v2_is_killed_at_once),
		TEST(test_victim_only_v1_takes_sharers_too),
		TEST(test_the_other_one_is_found_frozen),
		TEST(test_refreeze_no),
		TEST(test_threads_left_in_a_frozen_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
