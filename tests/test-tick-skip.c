/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tick on real processes: what is skipped, for how long, and when a kill had no effect.  Needs
 * root and a cgroup2 mount: see tests/tick-fixture.h.
 */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/record/recorder.h"
#include "daemon/tick/tick.h"
#include "lib/base/io.h"
#include "tests/manager-parts.h"
#include "tests/tick-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* As if it had been skipped so much earlier. */
static void let_pass(usec_t usec)
{
	for (unsigned i = 0; i < BACKOFF_MAX; i++)
		test.manager->selection->backoff.entries[i].failed_at -= usec;
}

/* Memory that cannot be read in time, as on a busy machine, is not compared. */
static void assert_chosen(pid_t pid)
{
	const struct decision *d = &test.manager->in_flight->decision;

	if (d->pid != pid && d->approximate) {
		print_message("SKIP: this machine is too busy to read their memory in time\n");
		skip();
	}
	assert_int_equal(d->pid, pid);
}

static void test_tick_is_stuck_where_no_victim_is_worth_it(void **state)
{
	struct where_account account;
	unsigned n_choices;
	uint64_t id;
	pid_t small;

	require_subtree();
	small = spawn("", 8, false);
	start("MinVictim=64M\n" KILL_NOW);
	one_tick();
	assert_int_equal(test.manager->regime->state, REGIME_STUCK);
	assert_int_equal(test.manager->selection->stuck.minimum, 64 * MIB);
	assert_string_equal(newest()->kind, "no-victim");
	id = newest()->id;

	/* Where memory is, is reported once, when it has been found out. */
	for (int i = 0; i < 6000 && test.manager->selection->stuck.n_reports == 0; i++) {
		usleep(10000);
		one_tick();
	}
	assert_int_equal(test.manager->selection->stuck.n_reports, 1);
	assert_true(test.manager->selection->stuck.account.n_rows > 0);
	assert_true(test.manager->selection->stuck.largest_pid > 0); /* of the machine */
	account = test.manager->selection->stuck.account;
	some_ticks();
	/* Long ago: found out again, and nothing has changed, but for what other programs do. */
	test.manager->selection->stuck.asked_at = 1;
	some_ticks();
	assert_true(test.manager->selection->stuck.n_reports == 1 ||
		    where_has_changed(&account, &test.manager->selection->stuck.account));
	assert_int_equal(newest()->id, id);
	assert_int_equal(test.n_signals, 0);

	/* Not sampled again at once, if there is no news of where memory is. */
	for (int i = 0; i < 1000 && test.manager->selection->stuck.is_waiting; i++) {
		usleep(10000);
		one_tick();
	}
	assert_false(test.manager->selection->stuck.is_waiting);
	test.manager->selection->stuck.nominated_at = test.manager->selection->stuck.surveyed_at;
	test.manager->selection->stuck.chosen_at = clock_now();
	n_choices = test.manager->sampler->census.choice;
	(void)tick(test.manager->tick, test.manager->selection->stuck.chosen_at + 1);
	assert_int_equal(test.manager->sampler->census.choice, n_choices);
	assert_int_equal(test.manager->regime->state, REGIME_STUCK);

	/* One that is worth it ends that. */
	test.manager->sampler->watch.listed_at = 0;
	small = spawn("", 96, false);
	for (int i = 0; i < 100 && test.manager->selection->stuck.since != 0; i++)
		one_tick();
	assert_chosen(small);
	assert_int_equal(test.manager->regime->state, REGIME_KILLING);
	assert_int_equal(test.manager->selection->stuck.since, 0);
	wait_for_outcome();
}

static void test_tick_is_not_stuck_when_memory_has_recovered(void **state)
{
	require_subtree();
	spawn("", 8, false);
	start("MinVictim=64M\n" KILL_NOW);
	one_tick();
	assert_int_equal(test.manager->regime->state, REGIME_STUCK);
	test.manager->config->policies.policies[test.manager->config->policies.n_policies - 1]
		.action = POLICY_ACTION_WARN;
	one_tick();
	assert_int_equal(test.manager->regime->state, REGIME_WATCH);
	assert_int_equal(test.manager->selection->stuck.since, 0);
}

static void test_tick_skips_what_cannot_be_opened(void **state)
{
	pid_t large, small;

	require_subtree();
	large = spawn("", 32, false);
	small = spawn("", 8, false);
	start(KILL_NOW);
	test.open_result = -EPERM;
	one_tick();
	assert_chosen(large);
	assert_int_equal(test.manager->in_flight->decision.kill.backoff_usec, 30 * USEC_PER_SEC);
	test.open_result = 0;
	one_tick();
	assert_chosen(small);
}

static void test_tick_skips_what_does_not_exit(void **state)
{
	pid_t large, small;

	require_subtree();
	large = spawn("", 64, false);
	small = spawn("", 24, false);
	start("KillTimeout=100ms\n" KILL_NOW);
	test.signal_is_lost = true;
	one_tick();
	wait_for_outcome();
	assert_chosen(large);
	assert_int_equal(test.manager->in_flight->decision.kill.outcome, KILL_PROGRESS_UNKILLABLE);
	test.signal_is_lost = false;
	one_tick();
	assert_chosen(small);
	wait_for_outcome();
	assert_true(is_alive(large));
}

static void test_tick_passes_over_for_longer_each_time(void **state)
{
	pid_t large, small;

	require_subtree();
	large = spawn("", 64, false);
	small = spawn("", 24, false);
	start("KillTimeout=100ms\n" KILL_NOW);
	test.signal_is_lost = true;
	one_tick();
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight->decision.kill.backoff_usec, 30 * USEC_PER_SEC);

	/* Its time is over; but it was the last one, and there is another. */
	let_pass(31 * USEC_PER_SEC);
	one_tick();
	assert_chosen(small);
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight->decision.kill.outcome, KILL_PROGRESS_UNKILLABLE);
	one_tick();
	assert_chosen(large);
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight->decision.kill.backoff_usec, 60 * USEC_PER_SEC);
	let_pass(31 * USEC_PER_SEC);
	one_tick();
	assert_chosen(small);
}

static void test_tick_tries_earlier_what_was_thawed(void **state)
{
	pid_t victim;

	require_subtree();
	assert_int_equal(make_group("/a"), 0);
	victim = spawn("/a", 32, false);
	write_group("/a", "cgroup.freeze", "1");
	for (int i = 0; i < 2000 && !group_is_frozen("/a"); i++)
		usleep(10000);
	start("KillTimeout=100ms\n" KILL_NOW);
	test.signal_is_lost = true;
	test.thaw_result = -EACCES;
	one_tick();
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight->decision.kill.outcome, KILL_PROGRESS_UNKILLABLE);
	let_pass(4 * USEC_PER_SEC);
	one_tick();
	assert_int_equal(test.n_signals, 1);

	write_group("/a", "cgroup.freeze", "0");
	for (int i = 0; i < 2000 && group_is_frozen("/a"); i++)
		usleep(10000);
	test.signal_is_lost = false;
	one_tick();
	assert_int_equal(test.n_signals, 2);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
}

/* The victim is drained, and remains: success, not to be tried again. */
static void check_still_exiting(pid_t victim, pid_t other)
{
	one_tick();
	assert_chosen(victim);
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight->decision.kill.outcome, KILL_PROGRESS_RECLAIMED);
	assert_true(is_alive(victim));
	one_tick();
	assert_chosen(other);
	wait_for_outcome();
	assert_true(is_over(test.manager->in_flight->decision.kill.outcome));
	let_pass(3600 * USEC_PER_SEC);
	some_ticks();
	assert_int_equal(test.n_signals, 2);
}

/* It keeps all its memory in its exit, for as long as the tracer likes. */
static void test_tick_leaves_what_is_still_exiting_under_a_tracer(void **state)
{
	pid_t victim, other, tracer;
	int ready[2];
	ssize_t n;
	char byte;

	require_subtree();
	victim = spawn("", 64, false);
	other = spawn("", 8, false);
	assert_int_equal(pipe(ready), 0);
	tracer = fork();
	assert_true(tracer >= 0);
	if (tracer == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (ptrace(PTRACE_SEIZE, victim, NULL, PTRACE_O_TRACEEXIT) == 0 &&
		    write(ready[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	all_victims[test.n_victims++] = tracer;
	close(ready[1]);
	n = read(ready[0], &byte, 1);
	close(ready[0]);
	if (n != 1) {
		print_message("SKIP: may not trace\n");
		skip();
	}
	start("KillTimeout=200ms\n" KILL_NOW);
	check_still_exiting(victim, other);
}

/* In a freezer of version 1 that may not be thawed, SIGKILL alone frees nothing. */
static void test_tick_leaves_what_is_still_exiting_in_a_freezer(void **state)
{
	const int freezer_fd = test.cgroups.v1_freezer_fd;
	pid_t victim, other;
	char path[512], text[16];

	require_subtree();
	snprintf(path, sizeof(path), "%s", test.subtree + 1);
	if (freezer_fd < 0 || mkdirat(freezer_fd, path, 0755) < 0) {
		print_message("SKIP: there is no freezer of version 1\n");
		skip();
	}
	victim = spawn("", 64, false);
	other = spawn("", 8, false);
	snprintf(path, sizeof(path), "%s/cgroup.procs", test.subtree + 1);
	snprintf(text, sizeof(text), "%d", victim);
	assert_int_equal(io_write_at(freezer_fd, path, text), 0);
	snprintf(path, sizeof(path), "%s/freezer.state", test.subtree + 1);
	assert_int_equal(io_write_at(freezer_fd, path, "FROZEN"), 0);
	for (int i = 0; i < 2000 && io_read_at(freezer_fd, path, text, sizeof(text)) > 0 &&
			strncmp(text, "FROZEN", 6) != 0;
	     i++)
		usleep(10000);
	start("KillTimeout=200ms\n" KILL_NOW);
	test.thaw_result = -EACCES;
	check_still_exiting(victim, other);
	assert_int_equal(io_write_at(freezer_fd, path, "THAWED"), 0);
	assert_int_equal(exit_signal(victim), SIGKILL);
}

/* 96 and 80 in a group of their own, two besides, and nothing is reclaimed.  (All have one name:
 * what starts later passes for the first one, started again.) */
static void test_tick_passes_over_an_ineffective_kind_once(void **state)
{
	pid_t first, second, beside;

	require_subtree();
	assert_int_equal(make_group("/a"), 0);
	first = spawn("/a", 96, false);
	second = spawn("/a", 80, false);
	beside = spawn("", 24, false);
	spawn("", 16, false);
	start(KILL_NOW);
	test.frees_nothing = true;
	one_tick();
	assert_chosen(first);
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight->decision.kill.outcome, KILL_PROGRESS_EXITED);
	assert_true(test.manager->in_flight->decision.kill.ineffective);
	one_tick();
	assert_chosen(beside);
	assert_int_equal(test.manager->in_flight->decision.skipped.pid, second);
	assert_int_equal(newest()->skipped_pid, second);
	assert_string_equal(newest()->skipped_for, "similar");
	if (sizes_are_exact())
		assert_in_range(newest()->skipped_footprint_bytes, 80 * MIB, 112 * MIB);
	wait_for_outcome();
	if (sizes_are_exact()) /* too small to tell */
		assert_false(test.manager->in_flight->decision.kill.ineffective);
	one_tick();
	assert_chosen(second);
	assert_int_equal(test.manager->in_flight->decision.skipped.pid, 0);
}

static void test_tick_waits_for_memory_that_comes_late(void **state)
{
	pid_t victim;

	require_subtree();
	victim = spawn("", 96, false);
	start(KILL_NOW);
	test.frees_nothing = true;
	one_tick();
	assert_int_equal(exit_signal(victim), SIGKILL);
	one_tick(); /* exited, but another process may hold its memory */
	assert_int_equal(test.manager->regime->state, REGIME_KILLING);
	test.freed = 96 * MIB;
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.kill.outcome, KILL_PROGRESS_EXITED);
	assert_false(test.manager->in_flight->decision.kill.ineffective);
}

static void test_tick_kills_an_ineffective_kind_rather_than_none(void **state)
{
	pid_t first, second, tiny;

	require_subtree();
	assert_int_equal(make_group("/a"), 0);
	first = spawn("/a", 320, false);
	second = spawn("/a", 240, false);
	tiny = spawn("", 4, false); /* a sanitizer adds to it */
	start(KILL_NOW);
	test.frees_nothing = true;
	one_tick();
	assert_chosen(first);
	wait_for_outcome();
	one_tick();
	assert_chosen(second);
	wait_for_outcome();
	assert_true(is_alive(tiny));
}

/* It maps a memfd that its parent holds open: the memory is kept, which could not be known before.
 */
static pid_t spawn_sharer(size_t mib)
{
	int ready[2];
	char text[16];
	pid_t holder, pid;

	assert_int_equal(pipe(ready), 0);
	holder = fork();
	assert_true(holder >= 0);
	if (holder == 0) {
		int fd = memfd_create("held", MFD_CLOEXEC);
		char *memory;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		munlockall();
		if (fd < 0 || ftruncate(fd, (off_t)(mib * MIB)) < 0)
			_exit(1);
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			memory = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
			memset(memory, 1, mib * MIB);
			pid = getpid();
			if (write(ready[1], &pid, sizeof(pid)) != sizeof(pid))
				_exit(1);
		}
		for (;;)
			pause();
	}
	all_victims[test.n_victims++] = holder;
	close(ready[1]);
	assert_int_equal(read(ready[0], &pid, sizeof(pid)), sizeof(pid));
	close(ready[0]);
	snprintf(text, sizeof(text), "%d", pid);
	write_group("", "cgroup.procs", text);
	return pid;
}

static void test_tick_sees_that_a_kill_was_ineffective(void **state)
{
	require_subtree();
	if (!sizes_are_exact())
		skip();
	for (int i = 0; i < 10; i++) {
		pid_t sharer = spawn_sharer(256);
		const struct decision *d;

		/* a manager of its own: one of which three consecutive kills were ineffective is
		 * stuck */
		test.manager = manager_free(test.manager);
		start(KILL_NOW);
		d = &test.manager->in_flight->decision;
		one_tick();
		assert_chosen(sharer);
		assert_true(d->approximate || proc_reclaimable(&d->memory) >= 256 * MIB);
		wait_for_outcome();
		assert_true(is_over(d->kill.outcome));
		/* (What was not read in time is another figure to compare with.) */
		assert_true(d->approximate || d->kill.ineffective == (d->kill.freed < 32 * MIB));
		if (d->kill.ineffective)
			return;
		kill(all_victims[--test.n_victims], SIGKILL);
		waitpid(all_victims[test.n_victims], NULL, 0);
	}
	print_message("SKIP: others free memory all the time\n");
	skip();
}

static bool ticks_until_there_is(const char *path)
{
	for (int i = 0; i < 1000 && access(path, F_OK) < 0; i++) {
		one_tick();
		usleep(10000);
	}
	return access(path, F_OK) == 0;
}

/* In an emergency no files are written, unless nothing can be done about it any more. */
static void test_tick_keeps_the_history_where_none_is_left(void **state)
{
	char directory[] = "/tmp/test-tick-XXXXXX", path[64];

	require_subtree();
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/history.json", directory);
	setenv("STATE_DIRECTORY", directory, 1);
	spawn("", 16, false);
	start(KILL_NOW);
	one_tick();
	wait_for_outcome();
	for (int i = 0; i < 1000 && recorder_is_open(test.manager->tick->recorder); i++) {
		usleep(10000);
		one_tick();
	}
	some_ticks(); /* the policy still holds */
	assert_int_not_equal(access(path, F_OK), 0);
	test.manager->in_flight->decision.decided_at -= 60 * USEC_PER_SEC;
	assert_true(ticks_until_there_is(path));
	test.manager = manager_free(test.manager);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_subtree(test_tick_is_stuck_where_no_victim_is_worth_it),
		with_subtree(test_tick_is_not_stuck_when_memory_has_recovered),
		with_subtree(test_tick_skips_what_cannot_be_opened),
		with_subtree(test_tick_skips_what_does_not_exit),
		with_subtree(test_tick_passes_over_for_longer_each_time),
		with_subtree(test_tick_tries_earlier_what_was_thawed),
		with_subtree(test_tick_leaves_what_is_still_exiting_under_a_tracer),
		with_subtree(test_tick_leaves_what_is_still_exiting_in_a_freezer),
		with_subtree(test_tick_passes_over_an_ineffective_kind_once),
		with_subtree(test_tick_waits_for_memory_that_comes_late),
		with_subtree(test_tick_kills_an_ineffective_kind_rather_than_none),
		with_subtree(test_tick_sees_that_a_kill_was_ineffective),
		with_subtree(test_tick_keeps_the_history_where_none_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
