/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-real-fixture: real victims, children of the test in a cgroup of its own, N_LEVELS deep. */
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/kill/kill.h"
#include "lib/sys/proc.h"
#include "tests/child.h"
#include "tests/fail-malloc.h"
#include "tests/kill-fixture.h"
#include "tests/real-groups.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define N_LEVELS 4

static struct {
	int proc_fd;
	struct cgroup_fs fs;
	bool v1;
	bool is_nobody;
	char path[N_LEVELS][64]; /* "/reckond-test-PID", ... */
	int level_fd[N_LEVELS];
	struct child children[2];
	unsigned n_children;
	struct kill_victim victim;
	struct kill_reapers *reapers;
} real;

static inline int hierarchy_fd(void)
{
	return real.v1 ? real.fs.v1_freezer_fd : real.fs.v2_fd;
}

static inline int real_setup(void **state)
{
	memset(&real, 0, sizeof(real));
	kill_victim_init(&real.victim);
	for (int i = 0; i < N_LEVELS; i++)
		real.level_fd[i] = -EBADF;
	real.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return cgroup_fs_open(real.proc_fd, &real.fs);
}

static inline void remove_levels(void)
{
	for (int i = N_LEVELS; i-- > 0;) {
		if (real.level_fd[i] < 0)
			continue;
		close(real.level_fd[i]);
		if (!wait_until(unlinkat(hierarchy_fd(), real.path[i] + 1, AT_REMOVEDIR) == 0))
			print_message("%s could not be removed\n", real.path[i]);
	}
}

static inline int real_teardown(void **state)
{
	if (real.is_nobody && setresuid(0, 0, 0) < 0)
		return -1;
	real.reapers = kill_reapers_free(real.reapers);
	kill_victim_done(&real.victim);
	for (int i = 0; i < N_LEVELS; i++)
		if (real.level_fd[i] >= 0)
			(void)group_freeze(real.level_fd[i], real.v1, ".", false);
	for (unsigned i = 0; i < real.n_children; i++) {
		(void)kill(real.children[i].pid, SIGKILL);
		(void)waitpid(real.children[i].pid, NULL, 0);
		close(real.children[i].ask_fd);
		close(real.children[i].answer_fd);
	}
	remove_levels();
	cgroup_fs_done(&real.fs);
	close(real.proc_fd);
	return 0;
}

/* The levels of the test's cgroup; false, with a reason, where there can be none. */
static inline bool make_levels(bool v1)
{
	real.v1 = v1;
	if (geteuid() != 0 || hierarchy_fd() < 0) {
		print_message("SKIP: %s\n", geteuid() != 0 ? "not root"
					    : v1	   ? "no v1 freezer"
							   : "no cgroup v2");
		return false;
	}
	for (int i = 0; i < N_LEVELS; i++) {
		(void)snprintf(real.path[i], sizeof(real.path[i]), "/reckond-test-%d%.*s", getpid(),
			       2 * i, "/b/c/d");
		if (mkdirat(hierarchy_fd(), real.path[i] + 1, 0755) < 0) {
			print_message("SKIP: no cgroup can be made: %s\n", strerror(errno));
			return false;
		}
		real.level_fd[i] =
			openat(hierarchy_fd(), real.path[i] + 1, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	return true;
}

static inline int leaf_fd(void)
{
	return real.level_fd[N_LEVELS - 1];
}

static inline bool leaf_is_frozen(void)
{
	return group_is_frozen(leaf_fd(), real.v1, ".");
}

static inline void freeze_level(int i)
{
	assert_int_equal(group_freeze(real.level_fd[i], real.v1, ".", true), 0);
}

static inline struct kill_target target_of(const struct child *child)
{
	struct kill_target target = { .pid = child->pid, .v2_path = "/" };
	struct proc_stat stat;

	assert_int_equal(proc_read_stat(real.proc_fd, child->pid, &stat), 0);
	target.start_ticks = stat.start_ticks;
	if (real.level_fd[0] >= 0)
		*(real.v1 ? &target.v1_path : &target.v2_path) = real.path[N_LEVELS - 1];
	return target;
}

static inline int open_and_signal(const struct kill_ops *ops, const struct kill_target *target,
				  int signal)
{
	int r;

	n_mallocs = 0;
	fail_malloc = true;
	r = real.victim.pidfd < 0 ? kill_open(ops, real.proc_fd, target, &real.victim) : 0;
	if (r == 0)
		r = kill_signal(ops, real.proc_fd, &real.fs, target, signal, real.reapers,
				&real.victim);
	fail_malloc = false;
	assert_int_equal(n_mallocs, 0);
	return r;
}

static inline void make_reapers(void)
{
	int priority_error;

	assert_int_equal(kill_reapers_new(&kill_ops_system, 2, &real.reapers, &priority_error), 0);
}

static inline uint64_t anon_bytes(pid_t pid)
{
	struct proc_memory memory = { .anon = UINT64_MAX };
	struct proc_stat stat;

	if (proc_read_stat(real.proc_fd, pid, &stat) == 0)
		(void)proc_read_memory(real.proc_fd, &stat, false, (uint64_t)sysconf(_SC_PAGESIZE),
				       &memory);
	return memory.anon;
}

#define REAL(f) cmocka_unit_test_setup_teardown(f, real_setup, real_teardown)
