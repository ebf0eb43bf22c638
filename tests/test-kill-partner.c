/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill on this kernel: children that share their memory with another process. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/kill/kill.h"
#include "lib/sys/proc.h"
#include "tests/kill-real-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/*
 * A victim with a partner that has its memory.  The partner is the victim's child, not ours.
 */
static int partner_main(void *arg)
{
	const int *answer_fd = arg;
	pid_t pid = getpid();

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (write(*answer_fd, &pid, sizeof(pid)) != sizeof(pid))
		_exit(1);
	for (;;)
		(void)pause();
}

static _Noreturn void live_with_partner(int answer_fd, bool by_vfork)
{
	static char stack[65536] __attribute__((aligned(64)));
	char *p = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (p == MAP_FAILED)
		_exit(1);
	memset(p, 1, 64 * MIB);
	(void)clone(partner_main, stack + sizeof(stack),
		    CLONE_VM | SIGCHLD | (by_vfork ? CLONE_VFORK : 0), &answer_fd);
	for (;;)
		(void)pause();
}

static struct child *spawn_with_partner(bool by_vfork, pid_t *ret_partner)
{
	struct child *child = &real.children[real.n_children];
	int answer[2];
	char text[16];

	assert_return_code(pipe2(answer, O_CLOEXEC), errno);
	child->pid = fork();
	assert_return_code(child->pid, errno);
	if (child->pid == 0)
		live_with_partner(answer[1], by_vfork);
	close(answer[1]);
	child->ask_fd = -EBADF;
	child->answer_fd = answer[0];
	real.n_children++;
	assert_int_equal(read(answer[0], ret_partner, sizeof(*ret_partner)), sizeof(*ret_partner));
	for (int i = 0; i < 2 && real.level_fd[0] >= 0; i++) {
		(void)snprintf(text, sizeof(text), "%d", i ? *ret_partner : child->pid);
		assert_int_equal(io_write_at(leaf_fd(), "cgroup.procs", text), 0);
	}
	return child;
}

static void open_partner(pid_t partner)
{
	struct proc_stat stat;

	assert_int_equal(proc_read_stat(real.proc_fd, partner, &stat), 0);
	assert_int_equal(kill_open_other(&kill_ops_system, real.proc_fd, partner, stat.start_ticks,
					 &real.victim),
			 0);
}

static bool is_in_d(pid_t pid)
{
	struct proc_stat stat;

	return proc_read_stat(real.proc_fd, pid, &stat) == 0 && stat.state == 'D';
}

/* Where nothing can exit there is time to check: without the partner the memory is kept, with it it
 * is reclaimed.  (A group with the parent of a vfork in it stays "FREEZING".) */
static void check_reap_with_partner(bool by_vfork)
{
	struct kill_ops ops = kill_ops_system;
	struct kill_reap_stats stats;
	struct kill_target target;
	struct child *victim;
	pid_t partner;

	if (!make_levels(true))
		skip();
	victim = spawn_with_partner(by_vfork, &partner);
	target = target_of(victim);
	freeze_level(0);
	assert_true(wait_until(is_in_d(victim->pid) && is_in_d(partner)));
	make_reapers();
	ops.thaw = NULL;

	assert_int_equal(open_and_signal(&ops, &target, SIGKILL), 0);
	assert_true(wait_until(n_done(real.reapers) == 1));
	kill_reapers_stats(real.reapers, &stats);
	assert_int_equal(stats.last_result, -EINVAL);
	assert_true(anon_bytes(partner) >= 64 * MIB);

	open_partner(partner);
	assert_int_equal(open_and_signal(&ops, &target, SIGKILL), 0);
	assert_true(wait_until(n_done(real.reapers) == 3));
	kill_reapers_stats(real.reapers, &stats);
	assert_int_equal(stats.last_result, 0);
	assert_int_equal(stats.n_reaped, 2);
	assert_true(anon_bytes(victim->pid) < MIB);
	assert_true(anon_bytes(partner) < MIB);
	assert_false(kill_is_gone(&real.victim));

	assert_int_equal(open_and_signal(&kill_ops_system, &target, SIGKILL), 0);
	assert_true(wait_until(kill_is_gone(&real.victim)));
}

static void test_real_reap_takes_a_clone_too(void **state)
{
	check_reap_with_partner(false);
}

static void test_real_reap_takes_a_vfork_child_too(void **state)
{
	check_reap_with_partner(true);
}

/* Running, they are all gone as soon as all are signalled. */
static void check_kill_with_partner(bool by_vfork)
{
	struct kill_reap_stats stats;
	struct kill_target target;
	pid_t partner;

	target = target_of(spawn_with_partner(by_vfork, &partner));
	make_reapers();
	assert_int_equal(kill_open(&kill_ops_system, real.proc_fd, &target, &real.victim), 0);
	open_partner(partner);
	assert_int_equal(open_and_signal(&kill_ops_system, &target, SIGKILL), 0);
	assert_true(wait_until(kill_is_gone(&real.victim)));
	assert_true(wait_until(n_done(real.reapers) == 2));
	kill_reapers_stats(real.reapers, &stats);
	/* ESRCH: it was faster */
	assert_true(stats.last_result == 0 || stats.last_result == -ESRCH);
}

static void test_real_victim_is_killed_with_a_clone(void **state)
{
	check_kill_with_partner(false);
}

static void test_real_victim_is_killed_with_a_vfork_child(void **state)
{
	check_kill_with_partner(true);
}

/* A partner in a frozen group of its own. */
static void test_real_partner_elsewhere_is_thawed_too(void **state)
{
	struct child *victim;
	struct kill_target target;
	char text[16];
	pid_t partner;

	if (!make_levels(true))
		skip();
	victim = spawn_with_partner(false, &partner);
	(void)snprintf(text, sizeof(text), "%d", victim->pid);
	assert_int_equal(io_write_at(real.level_fd[0], "cgroup.procs", text), 0);
	target = target_of(victim);
	target.v1_path = real.path[0];
	freeze_level(N_LEVELS - 1);
	assert_true(wait_until(leaf_is_frozen()));
	assert_int_equal(kill_open(&kill_ops_system, real.proc_fd, &target, &real.victim), 0);
	open_partner(partner);
	assert_int_equal(open_and_signal(&kill_ops_system, &target, SIGKILL), 0);
	assert_int_equal(real.victim.thawed.n_levels, 1);
	assert_true(wait_until(kill_is_gone(&real.victim)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		REAL(test_real_reap_takes_a_clone_too),
		REAL(test_real_reap_takes_a_vfork_child_too),
		REAL(test_real_victim_is_killed_with_a_clone),
		REAL(test_real_victim_is_killed_with_a_vfork_child),
		REAL(test_real_partner_elsewhere_is_thawed_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
