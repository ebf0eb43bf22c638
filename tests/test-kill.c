/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill: the order of the steps and every way they can fail, with recording ops. */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/kill/kill.h"
#include "lib/sys/proc.h"
#include "tests/kill-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static const struct {
	int open, read_start;
	uint64_t start_ticks;
	int expected, step;
	const char *log;
} open_cases[] = {
	{ 0, 0, 7, 0, 0, "open start" },
	{ -ESRCH, 0, 7, KILL_GONE, -ESRCH, "open" },
	{ -EINVAL, 0, 7, KILL_GONE, -ESRCH, "open" }, /* a thread's number now */
	{ -EMFILE, 0, 7, -EMFILE, -EMFILE, "open" },
	{ -ENOSYS, 0, 7, -ENOSYS, -ENOSYS, "open" },
	{ 0, 0, 8, KILL_GONE, -ESRCH, "open start" }, /* the pid was reused */
	{ 0, PROC_GONE, 7, KILL_GONE, -ESRCH, "open start" },
	{ 0, -EACCES, 7, -EACCES, -EACCES, "open start" },
};

static void test_open_takes_only_the_very_process(void **state)
{
	unsigned n_fds = count_fds();

	for (size_t i = 0; i < ARRAY_SIZE(open_cases); i++) {
		struct kill_victim victim;

		memset(&fake, 0, sizeof(fake));
		fake.answers.open = open_cases[i].open;
		fake.answers.read_start = open_cases[i].read_start;
		fake.start_ticks = open_cases[i].start_ticks;
		kill_victim_init(&victim);

		assert_int_equal(kill_open(&fake_ops, -EBADF, &fake_target, &victim),
				 open_cases[i].expected);
		assert_string_equal(fake.log, open_cases[i].log);
		assert_int_equal(victim.step_result[KILL_STEP_OPEN], open_cases[i].step);
		assert_int_equal(victim.pidfd >= 0, open_cases[i].expected == 0);
		assert_int_equal(count_fds(), n_fds + (open_cases[i].expected == 0));
		kill_victim_done(&victim);
		assert_int_equal(count_fds(), n_fds);
	}
}

#define ALL "boost KILL thaw"

/* clang-format off */
static const struct {
	const char *name;
	int signal;
	int boost, send, thaw, thaw_error; /* what the steps answer */
	int result;
	const char *log;
	int steps[_KILL_STEP_MAX]; /* open, boost, signal, reap, thaw */
} signal_cases[] = {
	{ "kill",             SIGKILL, 0, 0, 2, 0,                 0, ALL, { 0, 0, 0, 0, 0 } },
	{ "not frozen",       SIGKILL, 0, 0, 0, 0,                 0, ALL, { 0, 0, 0, 0, 1 } },
	{ "no boost",         SIGKILL, -EPERM, 0, 0, 0,            0, ALL, { 0, -EPERM, 0, 0, 1 } },
	{ "no thaw",          SIGKILL, 0, 0, -EMFILE, 0,           0, ALL, { 0, 0, 0, 0, -EMFILE } },
	{ "some not thawed",  SIGKILL, 0, 0, 1, -EACCES,           0, ALL, { 0, 0, 0, 0, -EACCES } },
	{ "none thawed",      SIGKILL, 0, 0, 0, -EACCES,           0, ALL, { 0, 0, 0, 0, -EACCES } },
	{ "not permitted",    SIGKILL, 0, -EPERM, 0, 0,       -EPERM, "boost KILL",
	  { 0, 0, -EPERM, 1, 1 } },
	{ "gone",             SIGKILL, -ESRCH, -ESRCH, 0, 0, KILL_GONE, "boost KILL",
	  { 0, -ESRCH, -ESRCH, 1, 1 } },
	{ "ask",              SIGTERM, 0, 0, 1, 0,                 0, "TERM thaw", { 0, 1, 0, 1, 0 } },
	{ "ask, no thaw",     SIGTERM, 0, 0, -EMFILE, 0,           0, "TERM thaw",
	  { 0, 1, 0, 1, -EMFILE } },
	{ "ask, no permission", SIGTERM, 0, -EPERM, 0, 0,     -EPERM, "TERM", { 0, 1, -EPERM, 1, 1 } },
	{ "ask, gone",        SIGTERM, 0, -ESRCH, 0, 0,    KILL_GONE, "TERM", { 0, 1, -ESRCH, 1, 1 } },
};
/* clang-format on */

static void test_signal_keeps_the_order_and_continues(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(signal_cases); i++) {
		struct kill_reapers *reapers = NULL;
		struct kill_victim victim;
		int priority_error;

		memset(&fake, 0, sizeof(fake));
		fake.start_ticks = fake_target.start_ticks;
		fake.answers.boost = signal_cases[i].boost;
		fake.answers.signal = signal_cases[i].send;
		fake.answers.thaw = signal_cases[i].thaw;
		fake.answers.thaw_error = signal_cases[i].thaw_error;
		assert_int_equal(kill_reapers_new(&fake_ops, 1, &reapers, &priority_error), 0);
		kill_victim_init(&victim);
		assert_int_equal(kill_open(&fake_ops, -EBADF, &fake_target, &victim), 0);
		*fake.log = '\0';

		if (kill_signal(&fake_ops, -EBADF, NULL, &fake_target, signal_cases[i].signal,
				reapers, &victim) != signal_cases[i].result)
			fail_msg("%s", signal_cases[i].name);
		if (signal_cases[i].steps[KILL_STEP_REAP] == 0)
			assert_true(wait_until(n_done(reapers) == 1));
		kill_reapers_free(reapers);

		assert_string_equal(fake.log, signal_cases[i].log);
		for (int step = 0; step < _KILL_STEP_MAX; step++)
			if (victim.step_result[step] != signal_cases[i].steps[step])
				fail_msg("%s: %s is %d", signal_cases[i].name,
					 kill_step_to_string(step), victim.step_result[step]);
		assert_int_equal(victim.signal,
				 signal_cases[i].send == 0 ? signal_cases[i].signal : 0);
		kill_victim_done(&victim);
	}
}

static void test_signal_without_the_optional_steps(void **state)
{
	const struct kill_ops bare = { .pidfd_open = fake_open,
				       .pidfd_send_signal = fake_send_signal,
				       .read_start = fake_read_start };
	struct kill_victim victim;

	memset(&fake, 0, sizeof(fake));
	fake.start_ticks = fake_target.start_ticks;
	kill_victim_init(&victim);
	assert_int_equal(kill_open(&bare, -EBADF, &fake_target, &victim), 0);
	assert_int_equal(kill_signal(&bare, -EBADF, NULL, &fake_target, SIGKILL, NULL, &victim), 0);
	assert_string_equal(fake.log, "open start KILL");
	assert_int_equal(victim.step_result[KILL_STEP_BOOST], 1);
	assert_int_equal(victim.step_result[KILL_STEP_THAW], 1);
	assert_int_equal(victim.step_result[KILL_STEP_REAP], 1);
	kill_victim_done(&victim);
}

static void test_signal_notes_when_each_step_was_over(void **state)
{
	struct kill_reapers *reapers = NULL;
	struct kill_victim victim;
	int priority_error;

	memset(&fake, 0, sizeof(fake));
	fake.start_ticks = fake_target.start_ticks;
	kill_victim_init(&victim);
	assert_int_equal(kill_open(&fake_ops, -EBADF, &fake_target, &victim), 0);
	assert_int_equal(kill_signal(&fake_ops, -EBADF, NULL, &fake_target, SIGTERM, NULL, &victim),
			 0);
	assert_int_equal(victim.step_at[KILL_STEP_OPEN], 1);
	assert_int_equal(victim.step_at[KILL_STEP_BOOST], 0);
	assert_int_equal(victim.step_at[KILL_STEP_SIGNAL], 2);
	assert_int_equal(victim.step_at[KILL_STEP_THAW], 3);
	assert_int_equal(victim.step_at[KILL_STEP_REAP], 0);

	assert_int_equal(kill_reapers_new(&fake_ops, 1, &reapers, &priority_error), 0);
	assert_int_equal(
		kill_signal(&fake_ops, -EBADF, NULL, &fake_target, SIGKILL, reapers, &victim), 0);
	kill_reapers_free(reapers);
	assert_int_equal(victim.step_at[KILL_STEP_OPEN], 1);
	assert_int_equal(victim.step_at[KILL_STEP_BOOST], 4);
	assert_int_equal(victim.step_at[KILL_STEP_SIGNAL], 5);
	assert_int_equal(victim.step_at[KILL_STEP_REAP], 6);
	assert_int_equal(victim.step_at[KILL_STEP_THAW], 7);
	kill_victim_done(&victim);
}

static void test_hasten_does_what_was_left_out(void **state)
{
	struct kill_target target = fake_target;
	struct kill_reapers *reapers = NULL;
	struct kill_victim victim;
	int priority_error;

	memset(&fake, 0, sizeof(fake));
	fake.start_ticks = fake_target.start_ticks;
	target.without_haste = true;
	kill_victim_init(&victim);
	assert_int_equal(kill_reapers_new(&fake_ops, 1, &reapers, &priority_error), 0);
	assert_int_equal(kill_open(&fake_ops, -EBADF, &target, &victim), 0);
	*fake.log = '\0';
	assert_int_equal(kill_signal(&fake_ops, -EBADF, NULL, &target, SIGKILL, reapers, &victim),
			 0);
	assert_string_equal(fake.log, "KILL thaw");
	assert_int_equal(victim.step_result[KILL_STEP_BOOST], 1);
	assert_int_equal(victim.step_result[KILL_STEP_REAP], 1);
	assert_int_equal(n_done(reapers), 0);

	kill_hasten(&fake_ops, -EBADF, reapers, &victim);
	assert_true(wait_until(n_done(reapers) == 1));
	assert_string_equal(fake.log, "KILL thaw boost");
	assert_int_equal(victim.step_result[KILL_STEP_BOOST], 0);
	assert_int_equal(victim.step_result[KILL_STEP_REAP], 0);
	assert_true(victim.step_at[KILL_STEP_REAP] > victim.step_at[KILL_STEP_SIGNAL]);
	kill_reapers_free(reapers);
	kill_victim_done(&victim);
}

static void test_starved(void **state)
{
	/* A victim of 640 MiB: at each sample, ms since the signal and MiB that were reclaimed. */
	static const struct {
		const char *what;
		struct {
			unsigned ms, mib;
		} samples[4];
		bool starved[4];
	} cases[] = {
		{ "dies by itself",
		  { { 5, 20 }, { 20, 200 }, { 39, 400 }, { 58, 620 } },
		  { false } },
		{ "nothing reclaimed",
		  { { 5, 0 }, { 19, 0 }, { 20, 0 }, { 40, 0 } },
		  { false, false, true, true } },
		{ "next to nothing does",
		  { { 5, 2 }, { 19, 5 }, { 21, 9 }, { 40, 20 } },
		  { false, false, true, false } },
		{ "stops half way",
		  { { 5, 100 }, { 15, 300 }, { 30, 305 }, { 36, 306 } },
		  { false, false, false, true } },
		{ "others take it all",
		  { { 5, 30 }, { 20, 0 }, { 24, 0 }, { 26, 0 } },
		  { false, false, false, true } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const usec_t begin = 77 * USEC_PER_SEC;
		struct kill_watch watch = { .moved_at = begin };

		for (size_t k = 0; k < 4; k++)
			if (kill_is_starved(&watch, begin + cases[i].samples[k].ms * USEC_PER_MSEC,
					    cases[i].samples[k].mib * MIB,
					    640 * MIB) != cases[i].starved[k])
				fail_msg("%s: sample %zu", cases[i].what, k);
	}
}

/* SIGTERM, then SIGKILL: nothing is lost of what the first thawed. */
static void test_signal_escalates(void **state)
{
	struct kill_victim victim;

	memset(&fake, 0, sizeof(fake));
	fake.start_ticks = fake_target.start_ticks;
	kill_victim_init(&victim);
	assert_int_equal(kill_open(&fake_ops, -EBADF, &fake_target, &victim), 0);
	*fake.log = '\0';

	fake.answers.thaw = 1;
	assert_int_equal(kill_signal(&fake_ops, -EBADF, NULL, &fake_target, SIGTERM, NULL, &victim),
			 0);
	victim.thawed.levels[victim.thawed.n_levels++].dir_fd = open("/", O_PATH | O_CLOEXEC);
	assert_int_equal(victim.signal, SIGTERM);

	fake.answers.thaw = 0;
	assert_int_equal(kill_signal(&fake_ops, -EBADF, NULL, &fake_target, SIGKILL, NULL, &victim),
			 0);
	assert_string_equal(fake.log, "TERM thaw boost KILL thaw");
	assert_int_equal(victim.signal, SIGKILL);
	assert_int_equal(victim.step_result[KILL_STEP_BOOST], 0);
	assert_int_equal(victim.step_result[KILL_STEP_THAW], 0);
	assert_int_equal(victim.thawed.n_levels, 1);
	kill_victim_done(&victim);
}

static const struct {
	struct answers answers;
	uint64_t start_ticks;
	int expected;
	const char *log;
} other_cases[] = {
	{ { 0 }, 7, 0, "open1 start1 probe1" },
	{ { .open = -ESRCH }, 7, KILL_GONE, "open1" },
	{ { .open = -EINVAL }, 7, KILL_GONE, "open1" },
	{ { .open = -EMFILE }, 7, -EMFILE, "open1" },
	{ { 0 }, 8, KILL_GONE, "open1 start1" }, /* the pid was reused */
	{ { .read_start = PROC_GONE }, 7, KILL_GONE, "open1 start1" },
	{ { .read_start = -EACCES }, 7, -EACCES, "open1 start1" },
	{ { .probe = -ESRCH }, 7, KILL_GONE, "open1 start1 probe1" },
	{ { .probe = -EPERM }, 7, -EPERM, "open1 start1 probe1" },
};

static void test_open_other_takes_what_may_be_signalled(void **state)
{
	unsigned n_fds = count_fds();

	for (size_t i = 0; i < ARRAY_SIZE(other_cases); i++) {
		struct kill_victim victim;

		memset(&fake, 0, sizeof(fake));
		fake.odd_pid = OTHER(1);
		fake.odd = other_cases[i].answers;
		fake.start_ticks = other_cases[i].start_ticks;
		kill_victim_init(&victim);
		assert_int_equal(kill_open_other(&fake_ops, -EBADF, OTHER(1), 7, &victim),
				 other_cases[i].expected);
		assert_string_equal(fake.log, other_cases[i].log);
		assert_int_equal(victim.n_others, other_cases[i].expected == 0);
		assert_int_equal(count_fds(), n_fds + (other_cases[i].expected == 0));
		kill_victim_done(&victim);
		assert_int_equal(victim.n_others, 0);
		assert_int_equal(count_fds(), n_fds);
	}
}

static void test_open_other_is_bounded(void **state)
{
	unsigned n_fds = count_fds();
	struct kill_victim victim;

	memset(&fake, 0, sizeof(fake));
	fake.start_ticks = 7;
	kill_victim_init(&victim);
	for (pid_t i = 1; i <= KILL_OTHERS_MAX; i++) {
		*fake.log = '\0';
		assert_int_equal(kill_open_other(&fake_ops, -EBADF, OTHER(i), 7, &victim), 0);
	}
	assert_int_equal(kill_open_other(&fake_ops, -EBADF, OTHER(20), 7, &victim), -ENOSPC);
	kill_victim_done(&victim);
	assert_int_equal(count_fds(), n_fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_takes_only_the_very_process),
		cmocka_unit_test(test_signal_keeps_the_order_and_continues),
		cmocka_unit_test(test_signal_without_the_optional_steps),
		cmocka_unit_test(test_signal_notes_when_each_step_was_over),
		cmocka_unit_test(test_hasten_does_what_was_left_out),
		cmocka_unit_test(test_starved),
		cmocka_unit_test(test_signal_escalates),
		cmocka_unit_test(test_open_other_takes_what_may_be_signalled),
		cmocka_unit_test(test_open_other_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
