/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tick: the whole path with real processes, in a subtree of our own: a cgroup that is made here,
 * and a policy that always holds.  Needs root and a cgroup2 mount.
 *
 * The daemon's objects are linked in; ticks are called by hand.  The ops table stands between, to
 * disturb single steps; and from the choice to the watching every allocation is made to fail.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/record/recorder.h"
#include "daemon/tick/tick.h"
#include "tests/fail-malloc.h"
#include "tests/tick-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void test_tick_kills_the_largest_of_the_subtree_and_no_other(void **state)
{
	pid_t outside, small, large, middle;

	require_subtree();
	outside = spawn(NULL, 96, false);
	small = spawn("", 8, false);
	large = spawn("", 64, false);
	middle = spawn("", 32, false);
	start(KILL_NOW);
	one_tick();
	assert_int_equal(test.manager->regime->state, REGIME_KILLING);
	assert_int_equal(test.manager->in_flight->decision.pid, large);
	wait_for_outcome();
	assert_true(is_over(test.manager->in_flight->decision.kill.outcome));
	assert_int_equal(exit_signal(large), SIGKILL);
	assert_true(is_alive(outside) && is_alive(small) && is_alive(middle));
	assert_int_equal(test.n_signals, 1);
	assert_int_equal(test.n_journal, 2); /* the decision and the end */
	assert_false(test.manager->in_flight->decision.kill.ineffective);

	/* The policy still holds: the next one is the next largest. */
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.pid, middle);
	wait_for_outcome();
	assert_true(is_alive(outside) && is_alive(small));
}

static void test_tick_allocates_nothing_from_choice_to_watching(void **state)
{
	pid_t victim;

	require_subtree();
	if (!FAIL_MALLOC_WORKS) {
		print_message("SKIP: AddressSanitizer has its own malloc\n");
		skip();
	}
	assert_int_equal(make_group("/a"), 0);
	victim = spawn("/a", 32, false);
	write_group("/a", "cgroup.freeze", "1"); /* the thaw is on the way, too */
	start(KILL_NOW);
	one_tick();
	assert_int_equal(test.n_choices, 1);
	assert_int_equal(test.n_signals, 1);
	assert_int_equal(n_mallocs, 0);
	wait_for_outcome();
	assert_int_equal(exit_signal(victim), SIGKILL);
}

static size_t policy_index(const char *name)
{
	struct policy_set *set = &test.manager->config->policies;

	return (size_t)(policy_set_policy(set, name) - set->policies);
}

/* As after SIGSTOP and SIGCONT: what was before, and what was counted meanwhile, is over. */
static void test_tick_starts_anew_after_a_gap(void **state)
{
	const usec_t *holds_since;
	usec_t now;
	pid_t pid;

	require_subtree();
	pid = spawn("", 8, false);
	start("[Policy slow]\nMemoryAvailable=100%\nAction=kill\nFor=10s\n");
	holds_since = &test.manager->sampler->domain.holds_since[policy_index("slow")];
	now = clock_now();
	(void)tick(test.manager->tick, now);
	assert_int_equal(*holds_since, now);
	/* Sampled in time, it would hold by the tenth second. */
	(void)tick(test.manager->tick, now + USEC_PER_SEC);
	assert_int_equal(*holds_since, now);
	(void)tick(test.manager->tick, now + 11 * USEC_PER_SEC);
	fail_malloc = false;
	assert_int_equal(*holds_since, now + 11 * USEC_PER_SEC);
	assert_int_equal(test.n_signals, 0);
	assert_true(is_alive(pid));
	if (test.manager->sampler->domain.has_psi)
		assert_int_equal(test.manager->sampler->domain.psi.n_samples, 1);
	assert_int_equal(test.manager->sampler->forecast.n_samples, 1);
	/* From then on it holds. */
	for (usec_t s = 12; s <= 21; s++)
		(void)tick(test.manager->tick, now + s * USEC_PER_SEC);
	fail_malloc = false;
	assert_int_equal(test.n_signals, 1);
	wait_for_outcome();
}

static void thaw_late(void)
{
	usleep(30 * USEC_PER_MSEC);
}

/* The thaw comes after the signal, and may wait for others. */
static void test_tick_times_the_signal_without_the_thaw(void **state)
{
	const struct decision *d;

	require_subtree();
	spawn("", 8, false);
	start(KILL_NOW);
	test.on_thaw = thaw_late;
	one_tick();
	d = &test.manager->in_flight->decision;
	assert_true(d->kill.signal_usec > 0);
	assert_true(d->kill.signal_usec + 30 * USEC_PER_MSEC <=
		    d->kill.signalled_at - d->decided_at);
	wait_for_outcome();
}

/* What has come back is noted at 500 ms and 2 s. */
static void expect_later_marks(const struct decision *d, pid_t victim)
{
	const struct history_entry *e;
	usec_t next;

	let_the_emergency_pass(0);
	for (unsigned i = 0; i < 3; i++) {
		static const usec_t at[] = { 120, 510, 2010 };

		test.manager->regime->watch_until = 0; /* calm samples seldom */
		next = tick(test.manager->tick, d->kill.signalled_at + at[i] * USEC_PER_MSEC);
		assert_true(recorder_is_open(test.manager->tick->recorder) == (i < 2));
		if (i < 2) /* the next sample is not later than the next mark */
			assert_true(next <= (i == 0 ? 380 : 1490) * USEC_PER_MSEC);
	}
	e = newest();
	assert_int_equal(e->pid, victim);
	assert_int_not_equal(e->reclaimed_500ms_bytes, HISTORY_UNKNOWN_U64);
	assert_int_not_equal(e->reclaimed_2s_bytes, HISTORY_UNKNOWN_U64);
	assert_int_equal(e->reclaimed_bytes, e->reclaimed_2s_bytes);
	assert_int_equal(history_count(recorder_history(test.manager->tick->recorder)), 1);
}

static void test_tick_keeps_a_record(void **state)
{
	const struct decision *d;
	const struct history_entry *e;
	pid_t small, large;

	require_subtree();
	assert_int_equal(make_group("/a"), 0);
	small = spawn("", 8, false);
	large = spawn("/a", 64, false);
	start(KILL_NOW);
	one_tick();
	d = &test.manager->in_flight->decision;
	e = newest();
	assert_int_equal(e->pid, large);
	assert_string_equal(e->outcome, "in-progress");
	assert_string_equal(e->policy, "now");
	assert_string_equal(e->cgroup, d->cgroup);
	if (sizes_are_exact())
		assert_in_range(e->footprint_bytes, 64 * MIB, 80 * MIB);
	assert_int_equal(e->footprint_bytes, proc_reclaimable(&d->memory));
	assert_int_equal(e->ranked[0].pid, large);
	/* The next victim is smaller whatever it holds by now, and is named without being read. */
	assert_int_equal(e->precise_reads, 1);
	assert_int_equal(d->next.pid, small);
	assert_int_equal(e->n_ranked, 2);
	assert_int_equal(e->ranked[1].pid, small);
	assert_string_equal(e->ranked[1].verdict, "smaller");
	if (sizes_are_exact())
		assert_in_range(e->ranked[1].score_max_bytes, 8 * MIB, 64 * MIB);
	/* Each step after the one before, up to the signal. */
	assert_true(e->choose_usec <= e->open_usec && e->open_usec <= e->signal_usec);
	assert_true(e->signal_usec < 60 * USEC_PER_SEC);
	/* Not before it is starved. */
	assert_int_equal(e->boost_usec, HISTORY_UNKNOWN_U64);
	assert_int_equal(e->reap_usec, HISTORY_UNKNOWN_U64);
	assert_int_equal(e->thaw_usec, HISTORY_UNKNOWN_U64); /* it was not frozen */
	wait_for_outcome();
	assert_true(is_over(d->kill.outcome));
	assert_in_range(newest()->exited_usec, newest()->signal_usec, 60 * USEC_PER_SEC);

	/* The kill of the victim is finished, but not its record: the clock is ours from here. */
	if (clock_now() - d->kill.signalled_at > 100 * USEC_PER_MSEC) {
		print_message("It took too long: the rest is left out.\n");
		return;
	}
	expect_later_marks(d, large);
}

static void test_tick_thaws_the_whole_group_and_freezes_it_again(void **state)
{
	pid_t large, sibling, cousin;

	require_subtree();
	assert_int_equal(make_group("/a") | make_group("/a/b") | make_group("/a/b/c"), 0);
	large = spawn("/a/b/c", 64, false);
	sibling = spawn("/a/b/c", 8, false);
	cousin = spawn("/a", 8, false);
	write_group("/a", "cgroup.freeze", "1"); /* two levels above the victim */
	for (int i = 0; i < 2000 && !group_is_frozen("/a/b/c"); i++)
		usleep(10000);
	assert_true(group_is_frozen("/a/b/c"));
	start(TERM_NOW); /* a SIGTERM is only acted on when thawed */
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.pid, large);
	assert_int_equal(test.manager->in_flight->victim.thawed.n_levels, 1);
	assert_int_equal(newest()->thawed_levels, 1);
	wait_for_outcome();
	assert_int_equal(newest()->refrozen, 1);
	assert_int_equal(exit_signal(large), SIGTERM);
	assert_true(is_alive(sibling) && is_alive(cousin));
	assert_int_equal(test.manager->in_flight->decision.kill.refrozen, 1);
	for (int i = 0; i < 2000 && !group_is_frozen("/a"); i++)
		usleep(10000);
	assert_true(group_is_frozen("/a"));
	write_group("/a", "cgroup.freeze", "0");
}

/* It was frozen by another program on purpose, and need not be killed any more. */
static void test_tick_puts_a_group_back_when_it_stands_down(void **state)
{
	pid_t victim, sibling;

	require_subtree();
	assert_int_equal(make_group("/a"), 0);
	victim = spawn("/a", 32, true);
	sibling = spawn("/a", 8, false);
	write_group("/a", "cgroup.freeze", "1");
	for (int i = 0; i < 2000 && !group_is_frozen("/a"); i++)
		usleep(10000);
	start(TERM_NOW);
	one_tick();
	let_the_emergency_pass(victim);
	let_the_grace_pass();
	wait_for_outcome();
	assert_int_equal(test.manager->in_flight->decision.kill.outcome, KILL_PROGRESS_CANCELLED);
	assert_int_equal(test.manager->in_flight->decision.kill.refrozen, 1);
	for (int i = 0; i < 2000 && !group_is_frozen("/a"); i++)
		usleep(10000);
	assert_true(group_is_frozen("/a"));
	assert_true(is_alive(victim) && is_alive(sibling));

	/* Its owner's setting counts after that, whatever becomes of the victim. */
	write_group("/a", "cgroup.freeze", "0");
	assert_int_equal(kill(victim, SIGKILL), 0);
	assert_int_equal(exit_signal(victim), SIGKILL);
	some_ticks();
	assert_false(group_is_frozen("/a"));
}

/* A memfd that is not mapped is in no figure of the process that holds it. */
static void test_tick_kills_what_holds_memory_by_descriptors(void **state)
{
	int fd = memfd_create("held", MFD_CLOEXEC);
	pid_t holder;

	require_subtree();
	if (!sizes_are_exact())
		skip();
	assert_true(fd >= 0);
	assert_int_equal(fallocate(fd, 0, 0, 96 * MIB), 0);
	holder = spawn("", 8, false);
	close(fd);
	spawn("", 16, false);
	start("MinVictim=64M\n" KILL_NOW);
	one_tick();
	assert_int_equal(test.manager->regime->state, REGIME_STUCK);
	assert_int_equal(test.n_signals, 0);
	for (int i = 0; i < 6000 && test.manager->regime->state == REGIME_STUCK; i++) {
		usleep(10000);
		one_tick();
	}
	assert_int_equal(test.manager->in_flight->decision.pid, holder);
	assert_in_range(test.manager->in_flight->decision.held, 64 * MIB, 97 * MIB);
	wait_for_outcome();
	assert_int_equal(exit_signal(holder), SIGKILL);
	assert_false(test.manager->in_flight->decision.kill.ineffective);
}

static void test_tick_dry_run_never_signals(void **state)
{
	pid_t victim;

	require_subtree();
	victim = spawn("", 32, false);
	start("DryRun=yes\n" KILL_NOW);
	for (int i = 0; i < 5; i++)
		one_tick();
	assert_int_equal(test.manager->in_flight->decision.pid, victim);
	assert_int_equal(test.n_signals, 0);
	assert_int_equal(test.n_journal, 1); /* logged once, not five times */
	assert_string_equal(newest()->kind, "dry-run");
	assert_true(newest()->dry_run);
	assert_int_equal(newest()->pid, victim);
	assert_true(is_alive(victim));
}

/* A leader that has exited while a thread holds the memory reads as 0. */
static void *hold(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static void test_tick_finds_a_process_whose_leader_has_exited(void **state)
{
	pid_t headless, small;
	char text[16];
	int ready[2], go[2];

	require_subtree();
	assert_int_equal(pipe(ready) | pipe(go), 0);
	headless = fork();
	assert_true(headless >= 0);
	if (headless == 0) {
		pthread_t thread;
		char *memory;

		be_ordinary();
		memory = mmap(NULL, 48 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
		memset(memory, 1, 48 * MIB);
		if (pthread_create(&thread, NULL, hold, NULL) != 0 || write(ready[1], "", 1) != 1 ||
		    read(go[0], memory, 1) != 1)
			_exit(1);
		pthread_exit(NULL);
	}
	all_victims[test.n_victims++] = headless;
	assert_int_equal(read(ready[0], text, 1), 1);
	snprintf(text, sizeof(text), "%d", headless);
	write_group("", "cgroup.procs", text); /* an exited leader is not moved */
	assert_int_equal(write(go[1], "", 1), 1);
	small = spawn("", 16, false);
	start(KILL_NOW);
	assert_int_equal(census_find(&test.manager->sampler->census, headless)->state, 'Z');
	one_tick();
	assert_int_equal(test.manager->in_flight->decision.pid, headless);
	wait_for_outcome();
	assert_true(is_alive(small));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_subtree(test_tick_kills_the_largest_of_the_subtree_and_no_other),
		with_subtree(test_tick_allocates_nothing_from_choice_to_watching),
		with_subtree(test_tick_starts_anew_after_a_gap),
		with_subtree(test_tick_times_the_signal_without_the_thaw),
		with_subtree(test_tick_keeps_a_record),
		with_subtree(test_tick_thaws_the_whole_group_and_freezes_it_again),
		with_subtree(test_tick_puts_a_group_back_when_it_stands_down),
		with_subtree(test_tick_kills_what_holds_memory_by_descriptors),
		with_subtree(test_tick_dry_run_never_signals),
		with_subtree(test_tick_finds_a_process_whose_leader_has_exited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
