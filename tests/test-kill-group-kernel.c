/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-group on the kernel's own cgroups: children of this test are killed in them. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/kill/kill.h"
#include "lib/sys/proc.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/*
 * Real groups: two levels of our own, "/reckond-test-group-PID" and ".../in", with sleepers, some
 * of which fork all the time: each has one child and exits, which then does the same.
 */
#define N_SLEEPERS 6

static struct {
	int proc_fd;
	struct cgroup_fs fs;
	char path[2][64];
	int level_fd[2];
	bool v1;
	struct kill_victim victim;
	struct kill_target target;
	struct kill_reapers *reapers;
	pid_t sleepers[N_SLEEPERS];
	unsigned n_sleepers;
	pid_t spared;
	struct shared {
		int n_terms; /* SIGTERMs that arrived */
		bool stop;   /* whoever still forks */
	} * shared;
} real;

static int real_setup(void **state)
{
	memset(&real, 0, sizeof(real));
	kill_victim_init(&real.victim);
	real.level_fd[0] = real.level_fd[1] = -EBADF;
	real.shared = mmap(NULL, sizeof(*real.shared), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	real.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return real.shared == MAP_FAILED ? -1 : cgroup_fs_open(real.proc_fd, &real.fs);
}

static int hierarchy_fd(void)
{
	return real.v1 ? real.fs.v1_freezer_fd : real.fs.v2_fd;
}

/* Is it so within five seconds? */
#define wait_until(condition)                                                                      \
	({                                                                                         \
		int _tries = 5000;                                                                 \
		while (!(condition) && --_tries > 0)                                               \
			(void)usleep(1000);                                                        \
		_tries > 0;                                                                        \
	})

static int real_teardown(void **state)
{
	real.shared->stop = true;
	for (int i = 0; i < 2; i++)
		if (real.level_fd[i] >= 0)
			(void)io_write_at(real.level_fd[i],
					  real.v1 ? "freezer.state" : "cgroup.freeze",
					  real.v1 ? "THAWED" : "0");
	for (unsigned i = 0; i < real.n_sleepers; i++) {
		(void)kill(real.sleepers[i], SIGKILL); /* ours, not yet waited for */
		(void)waitpid(real.sleepers[i], NULL, 0);
	}
	kill_reapers_free(real.reapers);
	kill_victim_done(&real.victim);
	for (int i = 2; i-- > 0;) {
		if (real.level_fd[i] < 0)
			continue;
		close(real.level_fd[i]);
		if (!wait_until(unlinkat(hierarchy_fd(), real.path[i] + 1, AT_REMOVEDIR) == 0))
			print_message("%s could not be removed\n", real.path[i]);
	}
	cgroup_fs_done(&real.fs);
	close(real.proc_fd);
	return munmap(real.shared, sizeof(*real.shared));
}

static bool real_spares(pid_t pid, void *userdata)
{
	return pid == real.spared;
}

static bool make_levels(bool v1)
{
	int priority_error;

	real.v1 = v1;
	if (geteuid() != 0 || hierarchy_fd() < 0) {
		print_message("SKIP: %s\n", geteuid() != 0 ? "not root" : "no such hierarchy");
		return false;
	}
	for (int i = 0; i < 2; i++) {
		(void)snprintf(real.path[i], sizeof(real.path[i]), "/reckond-test-group-%d%s",
			       getpid(), i ? "/in" : "");
		if (mkdirat(hierarchy_fd(), real.path[i] + 1, 0755) < 0) {
			print_message("SKIP: no cgroup can be made: %s\n", strerror(errno));
			return false;
		}
		real.level_fd[i] = openat(hierarchy_fd(), real.path[i] + 1,
					  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (v1) { /* as on a machine without v2 */
		close(real.fs.v2_fd);
		real.fs.v2_fd = -EBADF;
	}
	assert_int_equal(kill_reapers_new(&kill_ops_system, 1, &real.reapers, &priority_error), 0);
	return true;
}

static void on_term(int signal)
{
	(void)__atomic_fetch_add(&real.shared->n_terms, 1, __ATOMIC_SEQ_CST);
}

/* Forks some 1000 times a second. */
static void fork_on(void)
{
	for (int i = 0; i < 20000 && !real.shared->stop; i++) {
		(void)usleep(500);
		if (fork() > 0)
			_exit(0);
	}
	_exit(0);
}

static pid_t spawn(int level, size_t bytes, bool forks)
{
	char text[16], byte, *memory;
	int ready[2];
	pid_t pid;

	assert_return_code(pipe2(ready, O_CLOEXEC), errno);
	pid = fork();
	assert_return_code(pid, errno);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)signal(SIGTERM, on_term);
		(void)snprintf(text, sizeof(text), "%d", getpid());
		memory = mmap(NULL, bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
		if (memory == MAP_FAILED ||
		    io_write_at(real.level_fd[level], "cgroup.procs", text) < 0)
			_exit(1);
		memset(memory, 1, bytes);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		if (forks)
			fork_on();
		for (;;)
			(void)pause();
	}
	real.sleepers[real.n_sleepers++] = pid;
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static unsigned n_listed;

static int count(pid_t pid, void *userdata)
{
	n_listed++;
	return 0;
}

static unsigned count_members(void)
{
	n_listed = 0;
	assert_int_equal(kill_ops_system.group_list(real.level_fd[0], count, NULL), 0);
	return n_listed;
}

static int signal_group(const struct kill_ops *ops, pid_t victim, int signal)
{
	struct proc_stat stat;
	int r = 0;

	assert_int_equal(proc_read_stat(real.proc_fd, victim, &stat), 0);
	real.target = (struct kill_target){
		.pid = victim,
		.start_ticks = stat.start_ticks,
		.v2_path = real.path[0],
		.v1_path = real.v1 ? real.path[0] : "/",
		.spares = real_spares,
	};
	n_mallocs = 0;
	fail_malloc = true;
	if (real.victim.pidfd < 0) {
		r = kill_open(ops, real.proc_fd, &real.target, &real.victim);
		if (r == 0)
			r = kill_group_open(&real.fs, real.path[0], &real.victim.group);
	}
	if (r == 0)
		r = kill_signal(ops, real.proc_fd, &real.fs, &real.target, signal, real.reapers,
				&real.victim);
	fail_malloc = false;
	assert_int_equal(n_mallocs, 0);
	return r;
}

static bool group_is_gone(void)
{
	return kill_is_gone(&real.victim) &&
	       kill_group_is_gone(&kill_ops_system, real.proc_fd, &real.target, &real.victim.group);
}

static int no_group_kill(int dir_fd)
{
	return -ENOENT;
}

/* Sleepers and forkers at both levels; the second one is the victim. */
static pid_t populate(void)
{
	pid_t victim;

	spawn(0, 0, true);
	victim = spawn(0, 16 * MIB, false);
	spawn(1, 0, true);
	spawn(1, MIB, false);
	return victim;
}

static void check_whole_group(const struct kill_ops *ops, bool v1)
{
	pid_t victim;

	if (!make_levels(v1))
		skip();
	victim = populate();
	assert_int_equal(signal_group(ops, victim, SIGKILL), 0);
	assert_true(wait_until(group_is_gone()));
	assert_true(wait_until(count_members() == 0)); /* what was just forked may be dying still */
	assert_true(real.victim.group.n_signalled >= 4);
	assert_int_equal(real.victim.group.n_spared, 0);
	for (int step = 0; step < _KILL_STEP_MAX; step++)
		assert_true(real.victim.step_result[step] >= 0);
}

static void test_real_v2_group_is_killed_at_once(void **state)
{
	check_whole_group(&kill_ops_system, false);
}

static void test_real_v2_group_is_killed_without_cgroup_kill(void **state)
{
	struct kill_ops ops = kill_ops_system;

	ops.group_kill = no_group_kill;
	check_whole_group(&ops, false);
}

static void test_real_v1_group_is_killed(void **state)
{
	check_whole_group(&kill_ops_system, true);
}

/* All but one: that one lives, and is not left frozen. */
static void check_all_but_one(bool v1)
{
	struct pollfd pollfd = { .events = POLLIN };
	pid_t victim;

	if (!make_levels(v1))
		skip();
	victim = populate();
	real.spared = spawn(1, 0, false);
	assert_int_equal(signal_group(&kill_ops_system, victim, SIGKILL), 0);
	assert_true(wait_until(group_is_gone()));
	assert_int_equal(count_members(), 1);
	assert_int_equal(real.victim.group.n_spared, 1);
	assert_int_equal(kill(real.spared, SIGTERM), 0);
	assert_true(wait_until(real.shared->n_terms == 1)); /* it runs */
	pollfd.fd = kill_ops_system.pidfd_open(real.spared);
	assert_int_equal(poll(&pollfd, 1, 0), 0);
	close(pollfd.fd);
}

static void test_real_v2_group_is_killed_but_for_one(void **state)
{
	check_all_but_one(false);
}

static void test_real_v1_group_is_killed_but_for_one(void **state)
{
	check_all_but_one(true);
}

/* Frozen, above and within: with SIGTERM, all run their handlers, each once; then they are killed.
 */
static void check_asked(bool v1)
{
	pid_t victim;

	if (!make_levels(v1))
		skip();
	victim = spawn(0, MIB, false);
	spawn(1, 0, false);
	spawn(1, 0, false);
	for (int i = 0; i < 2; i++)
		assert_int_equal(io_write_at(real.level_fd[i],
					     v1 ? "freezer.state" : "cgroup.freeze",
					     v1 ? "FROZEN" : "1"),
				 0);
	assert_true(wait_until(freezer_is_frozen(&real.fs, real.path[1], real.path[1]) == 1));
	assert_int_equal(signal_group(&kill_ops_system, victim, SIGTERM), 0);
	assert_true(wait_until(real.shared->n_terms == 3));
	assert_int_equal(real.victim.thawed.n_levels, 2);
	(void)usleep(20000);
	assert_int_equal(real.shared->n_terms, 3);
	assert_false(group_is_gone());

	assert_int_equal(signal_group(&kill_ops_system, victim, SIGKILL), 0);
	assert_true(wait_until(group_is_gone()));
}

static void test_real_v2_frozen_group_gets_sigterm_once(void **state)
{
	check_asked(false);
}

static void test_real_v1_frozen_group_gets_sigterm_once(void **state)
{
	check_asked(true);
}

/* On v1 SIGKILL does nothing to those frozen by a cgroup within, until that is thawed too. */
static void test_real_v1_group_frozen_within_is_killed(void **state)
{
	pid_t victim;

	if (!make_levels(true))
		skip();
	victim = spawn(0, MIB, false);
	spawn(1, 0, false);
	assert_int_equal(io_write_at(real.level_fd[1], "freezer.state", "FROZEN"), 0);
	assert_true(wait_until(freezer_is_frozen(&real.fs, "/", real.path[1]) == 1));
	assert_int_equal(signal_group(&kill_ops_system, victim, SIGKILL), 0);
	assert_true(wait_until(group_is_gone()));
	assert_int_equal(count_members(), 0);
}

static void test_real_group_that_was_started_again_is_gone(void **state)
{
	pid_t victim;

	if (!make_levels(false))
		skip();
	victim = spawn(0, MIB, false);
	(void)usleep(30000); /* start times count in hundredths of a second */
	assert_int_equal(signal_group(&kill_ops_system, victim, SIGKILL), 0);
	spawn(0, 0, false);
	assert_true(wait_until(group_is_gone()));
	assert_int_equal(count_members(), 1);
}

static void test_real_group_that_was_removed_is_gone(void **state)
{
	struct kill_group group;

	if (!make_levels(false))
		skip();
	assert_int_equal(kill_group_open(&real.fs, real.path[1], &group), 0);
	close(real.level_fd[1]);
	real.level_fd[1] = -EBADF;
	assert_int_equal(unlinkat(hierarchy_fd(), real.path[1] + 1, AT_REMOVEDIR), 0);
	assert_true(kill_group_is_gone(&kill_ops_system, real.proc_fd, &real.target, &group));
	assert_int_equal(
		kill_group_signal(&kill_ops_system, real.proc_fd, &real.target, SIGKILL, &group),
		KILL_GONE);
	kill_group_done(&group);
}

/* The cgroup of a thread has no processes of its own: those above have. */
static void test_real_threaded_group_is_that_above(void **state)
{
	size_t length;
	pid_t victim;

	if (!make_levels(false))
		skip();
	assert_int_equal(io_write_at(real.level_fd[1], "cgroup.type", "threaded"), 0);
	length = kill_group_find_whole(&real.fs, real.path[1], "/", "/own");
	assert_int_equal(length, strlen(real.path[0]));
	victim = spawn(0, MIB, false);
	assert_int_equal(count_members(), 1);
	assert_int_equal(signal_group(&kill_ops_system, victim, SIGKILL), 0);
	assert_true(wait_until(group_is_gone()));
}

#define REAL(f) cmocka_unit_test_setup_teardown(f, real_setup, real_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		REAL(test_real_v2_group_is_killed_at_once),
		REAL(test_real_v2_group_is_killed_without_cgroup_kill),
		REAL(test_real_v1_group_is_killed),
		REAL(test_real_v2_group_is_killed_but_for_one),
		REAL(test_real_v1_group_is_killed_but_for_one),
		REAL(test_real_v2_frozen_group_gets_sigterm_once),
		REAL(test_real_v1_frozen_group_gets_sigterm_once),
		REAL(test_real_v1_group_frozen_within_is_killed),
		REAL(test_real_group_that_was_started_again_is_gone),
		REAL(test_real_group_that_was_removed_is_gone),
		REAL(test_real_threaded_group_is_that_above),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
