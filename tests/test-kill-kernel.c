/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill on this kernel: children of this test, frozen and not. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/kill/kill.h"
#include "lib/sys/proc.h"
#include "tests/child.h"
#include "tests/fail-malloc.h"
#include "tests/kill-real-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define NOBODY 65534

#define N_THREADS 33

/* A child's life: bytes of its own, threads, and an answer to each question. */
static _Noreturn void live(int ask_fd, int answer_fd, size_t bytes, int n_threads)
{
	pthread_t thread;
	char byte = 'R';
	void *p;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setpriority(PRIO_PROCESS, 0, 5);
	told_fd = answer_fd;
	(void)signal(SIGTERM, on_term);
	p = mmap(NULL, bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		_exit(1);
	memset(p, 1, bytes);
	for (int i = 1; i < n_threads; i++)
		if (pthread_create(&thread, NULL, sleep_thread, NULL) != 0)
			_exit(1);
	do
		if (write(answer_fd, &byte, 1) != 1)
			break;
	while (read(ask_fd, &byte, 1) == 1 || errno == EINTR);
	_exit(0);
}

static struct child *spawn(size_t bytes, int n_threads)
{
	struct child *child = &real.children[real.n_children];
	int ask[2], answer[2];
	char pid[16];

	assert_return_code(pipe2(ask, O_CLOEXEC), errno);
	assert_return_code(pipe2(answer, O_CLOEXEC), errno);
	child->pid = fork();
	assert_return_code(child->pid, errno);
	if (child->pid == 0)
		live(ask[0], answer[1], bytes, n_threads);
	close(ask[0]);
	close(answer[1]);
	child->ask_fd = ask[1];
	child->answer_fd = answer[0];
	real.n_children++;

	assert_int_equal(byte_within(child, 2000), 'R');
	if (real.level_fd[0] >= 0) {
		(void)snprintf(pid, sizeof(pid), "%d", child->pid);
		assert_int_equal(io_write_at(leaf_fd(), "cgroup.procs", pid), 0);
	}
	return child;
}

/* The victim's whole group runs again and all of its threads are gone; the neighbour lives, and
 * is frozen again. */
static void check_frozen_group(bool v1, int n_frozen_levels)
{
	struct child *victim, *neighbour;
	struct kill_target target;
	int r;

	if (!make_levels(v1))
		skip();
	victim = spawn(MIB, N_THREADS);
	neighbour = spawn(0, 1);
	target = target_of(victim);
	freeze_level(0);
	if (n_frozen_levels > 1)
		freeze_level(N_LEVELS - 1);
	assert_true(wait_until(leaf_is_frozen()));
	make_reapers();

	assert_int_equal(open_and_signal(&kill_ops_system, &target, SIGKILL), 0);
	for (int step = 0; step < _KILL_STEP_MAX; step++)
		assert_int_equal(real.victim.step_result[step], 0);
	assert_int_equal(real.victim.thawed.n_levels, n_frozen_levels);
	assert_true(wait_until(kill_is_gone(&real.victim)));
	assert_true(is_running(neighbour, 2000));

	fail_malloc = true;
	r = freezer_refreeze(&real.victim.thawed);
	fail_malloc = false;
	assert_int_equal(n_mallocs, 0);
	assert_int_equal(r, n_frozen_levels);
	assert_true(wait_until(leaf_is_frozen()));
	assert_false(is_running(neighbour, 50));
}

static void test_real_v2_group_frozen_from_above(void **state)
{
	check_frozen_group(false, 1);
}

static void test_real_v2_group_frozen_twice(void **state)
{
	check_frozen_group(false, 2);
}

static void test_real_v1_group_frozen_from_above(void **state)
{
	check_frozen_group(true, 1);
}

static void test_real_v1_group_frozen_twice(void **state)
{
	check_frozen_group(true, 2);
}

/* A frozen victim's own handler runs, on either hierarchy; then it is escalated. */
static void check_sigterm(bool v1)
{
	struct child *victim;
	struct kill_target target;
	struct pollfd pollfd = { .events = POLLPRI };
	char text[128];

	if (!make_levels(v1))
		skip();
	victim = spawn(0, 1);
	target = target_of(victim);
	freeze_level(1);
	assert_true(wait_until(leaf_is_frozen()));

	assert_int_equal(open_and_signal(&kill_ops_system, &target, SIGTERM), 0);
	assert_int_equal(byte_within(victim, 2000), 'T');
	assert_int_equal(real.victim.step_result[KILL_STEP_BOOST], 1);
	assert_int_equal(real.victim.step_result[KILL_STEP_THAW], 0);
	assert_false(kill_is_gone(&real.victim));
	pollfd.fd = real.victim.thawed.events_fd;
	assert_int_equal(pollfd.fd >= 0, !v1);
	if (!v1) {
		assert_int_equal(poll(&pollfd, 1, 1000), 1);
		assert_true(io_read_fd(pollfd.fd, text, sizeof(text)) > 0);
		assert_non_null(strstr(text, "frozen 0"));
	}

	assert_int_equal(open_and_signal(&kill_ops_system, &target, SIGKILL), 0);
	assert_true(wait_until(kill_is_gone(&real.victim)));
	assert_int_equal(real.victim.step_result[KILL_STEP_BOOST], 0);
	assert_int_equal(real.victim.step_result[KILL_STEP_THAW], 0);
	assert_int_equal(real.victim.thawed.n_levels, 1);

	/* none is left: not frozen again */
	assert_int_equal(waitpid(victim->pid, NULL, 0), victim->pid);
	assert_int_equal(freezer_refreeze(&real.victim.thawed), 0);
}

static void test_real_v2_sigterm_handler_runs_after_thaw(void **state)
{
	check_sigterm(false);
}

static void test_real_v1_sigterm_handler_runs_after_thaw(void **state)
{
	check_sigterm(true);
}

/* Thawed by us, frozen by another program meanwhile: theirs to thaw. */
static void test_real_refreeze_leaves_what_others_froze(void **state)
{
	struct child *neighbour;

	if (!make_levels(false))
		skip();
	neighbour = spawn(0, 1);
	freeze_level(0);
	assert_true(wait_until(leaf_is_frozen()));
	assert_int_equal(freezer_thaw(&real.fs, real.path[N_LEVELS - 1], NULL, &real.victim.thawed),
			 1);
	assert_true(is_running(neighbour, 2000));
	freeze_level(0);
	assert_true(wait_until(leaf_is_frozen()));
	assert_int_equal(freezer_refreeze(&real.victim.thawed), 0);
	assert_true(leaf_is_frozen());
	assert_int_equal(freezer_is_frozen(&real.fs, real.path[N_LEVELS - 1], NULL), 1);
}

/* A v1-frozen victim that is not thawed never exits: its memory is reclaimed all the same. */
static void test_real_reap_frees_what_cannot_die(void **state)
{
	struct kill_ops ops = kill_ops_system;
	struct kill_reap_stats stats;
	struct kill_target target;
	struct child *victim;

	if (!make_levels(true))
		skip();
	victim = spawn(64 * MIB, 1);
	target = target_of(victim);
	freeze_level(0);
	assert_true(wait_until(leaf_is_frozen()));
	assert_true(anon_bytes(victim->pid) >= 64 * MIB);
	make_reapers();

	ops.thaw = NULL;
	assert_int_equal(open_and_signal(&ops, &target, SIGKILL), 0);
	assert_true(wait_until(n_done(real.reapers) == 1));
	kill_reapers_stats(real.reapers, &stats);
	assert_int_equal(stats.last_result, 0);
	assert_int_equal(stats.n_reaped, 1);
	assert_true(anon_bytes(victim->pid) < MIB);
	assert_false(kill_is_gone(&real.victim));

	assert_int_equal(open_and_signal(&kill_ops_system, &target, SIGKILL), 0);
	assert_true(wait_until(kill_is_gone(&real.victim)));
}

static void test_real_reap_of_a_running_victim(void **state)
{
	struct kill_reap_stats stats;
	struct kill_target target;
	struct child *victim;

	victim = spawn(64 * MIB, 1);
	target = target_of(victim);
	make_reapers();
	assert_int_equal(open_and_signal(&kill_ops_system, &target, SIGKILL), 0);
	assert_true(wait_until(n_done(real.reapers) == 1));
	assert_true(wait_until(kill_is_gone(&real.victim)));
	kill_reapers_stats(real.reapers, &stats);
	/* ESRCH: it was faster */
	assert_true(stats.last_result == 0 || stats.last_result == -ESRCH);
	assert_int_equal(real.victim.step_result[KILL_STEP_THAW], 1);
}

static void test_real_open_spares_a_reused_pid(void **state)
{
	struct child *child = spawn(0, 1);
	struct kill_target target = target_of(child);

	target.start_ticks++;
	assert_int_equal(open_and_signal(&kill_ops_system, &target, SIGKILL), KILL_GONE);
	assert_int_equal(real.victim.pidfd, -EBADF);
	assert_true(is_running(child, 2000));
}

static void test_real_vanished(void **state)
{
	struct child *child = spawn(0, 1);
	struct kill_target target = target_of(child);

	/* between open and signal */
	assert_int_equal(kill_open(&kill_ops_system, real.proc_fd, &target, &real.victim), 0);
	assert_false(kill_is_gone(&real.victim));
	(void)kill(child->pid, SIGKILL);
	assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
	assert_true(kill_is_gone(&real.victim));
	assert_int_equal(open_and_signal(&kill_ops_system, &target, SIGKILL), KILL_GONE);

	/* before */
	kill_victim_done(&real.victim);
	assert_int_equal(open_and_signal(&kill_ops_system, &target, SIGKILL), KILL_GONE);
}

static void test_real_signal_not_permitted(void **state)
{
	struct kill_target target;
	struct child *child;

	if (!make_levels(false))
		skip();
	child = spawn(0, 1);
	target = target_of(child);
	freeze_level(0);
	assert_true(wait_until(leaf_is_frozen()));
	assert_return_code(setresuid(NOBODY, NOBODY, 0), errno);
	real.is_nobody = true;
	assert_int_equal(open_and_signal(&kill_ops_system, &target, SIGKILL), -EPERM);
	assert_int_equal(real.victim.step_result[KILL_STEP_BOOST], -EPERM);
	assert_int_equal(real.victim.step_result[KILL_STEP_SIGNAL], -EPERM);
	assert_int_equal(real.victim.signal, 0);
	assert_true(leaf_is_frozen()); /* not thawed for nothing */
}

struct boosted {
	unsigned n;
	unsigned n_boosted;
};

static int check_thread(pid_t tid, void *userdata)
{
	struct boosted *boosted = userdata;

	boosted->n++;
	boosted->n_boosted += sched_getscheduler(tid) == SCHED_OTHER &&
			      getpriority(PRIO_PROCESS, (id_t)tid) == -20;
	return 0;
}

static void test_real_boost_reaches_every_thread(void **state)
{
	struct boosted boosted = { 0 };
	char path[32], buf[4096];
	_cleanup_close_ int task_fd = -EBADF;
	struct child *child;

	child = spawn(0, N_THREADS);
	if (geteuid() != 0) {
		print_message("SKIP: not root\n");
		skip();
	}
	assert_return_code(sched_setscheduler(child->pid, SCHED_IDLE, &(struct sched_param){ 0 }),
			   errno);
	assert_int_equal(kill_ops_system.boost(real.proc_fd, child->pid), 0);
	(void)snprintf(path, sizeof(path), "%d/task", child->pid);
	task_fd = openat(real.proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(proc_list(task_fd, buf, sizeof(buf), check_thread, &boosted), 0);
	assert_true(boosted.n >= N_THREADS); /* a sanitizer may have one of its own */
	assert_int_equal(boosted.n_boosted, boosted.n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		REAL(test_real_v2_group_frozen_from_above),
		REAL(test_real_v2_group_frozen_twice),
		REAL(test_real_v1_group_frozen_from_above),
		REAL(test_real_v1_group_frozen_twice),
		REAL(test_real_v2_sigterm_handler_runs_after_thaw),
		REAL(test_real_v1_sigterm_handler_runs_after_thaw),
		REAL(test_real_refreeze_leaves_what_others_froze),
		REAL(test_real_reap_frees_what_cannot_die),
		REAL(test_real_reap_of_a_running_victim),
		REAL(test_real_open_spares_a_reused_pid),
		REAL(test_real_vanished),
		REAL(test_real_signal_not_permitted),
		REAL(test_real_boost_reaches_every_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
