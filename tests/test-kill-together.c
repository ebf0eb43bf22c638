/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill: a victim and others that are killed with it, with recording ops. */
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

/*
 * A victim and two others.
 */
#define OTHERS 2

#define BOOSTS	 "boost boost1 boost2"
#define KILLS	 BOOSTS " KILL KILL1 KILL2"
#define TOGETHER KILLS " thaw place1 place2"

/* clang-format off */
static const struct {
	const char *name;
	int signal;
	struct answers victim, first; /* what the steps of these two answer */
	const char *elsewhere;        /* the first one's cgroup */
	int result;
	const char *log;
	int steps[_KILL_STEP_MAX];    /* open, boost, signal, reap, thaw */
} together_cases[] = {
	{ "kill", SIGKILL, { .thaw = 1 }, { 0 }, NULL, 0, TOGETHER, { 0, 0, 0, 0, 0 } },
	{ "not frozen", SIGKILL, { 0 }, { 0 }, NULL, 0, TOGETHER, { 0, 0, 0, 0, 1 } },
	{ "elsewhere", SIGKILL, { 0 }, { .thaw = 1 }, "/b", 0,
	  KILLS " thaw place1 thaw1 place2", { 0, 0, 0, 0, 0 } },
	{ "elsewhere, not frozen", SIGKILL, { 0 }, { 0 }, "/b", 0,
	  KILLS " thaw place1 thaw1 place2", { 0, 0, 0, 0, 1 } },
	{ "elsewhere, no thaw", SIGKILL, { .thaw = 1 }, { .thaw = -EMFILE }, "/b", 0,
	  KILLS " thaw place1 thaw1 place2", { 0, 0, 0, 0, -EMFILE } },
	{ "elsewhere, not all thawed", SIGKILL, { .thaw = 1 }, { .thaw_error = -EACCES }, "/b", 0,
	  KILLS " thaw place1 thaw1 place2", { 0, 0, 0, 0, -EACCES } },
	{ "no thaw, elsewhere", SIGKILL, { .thaw = -EMFILE }, { .thaw = 1 }, "/b", 0,
	  KILLS " thaw place1 thaw1 place2", { 0, 0, 0, 0, -EMFILE } },
	{ "where is not known", SIGKILL, { .thaw = 1 }, { .read_cgroups = -EACCES }, NULL, 0,
	  TOGETHER, { 0, 0, 0, 0, -EACCES } },
	{ "gone by the thaw", SIGKILL, { .thaw = 1 }, { .read_cgroups = PROC_GONE }, "/b", 0,
	  TOGETHER, { 0, 0, 0, 0, 0 } },
	{ "no boost", SIGKILL, { 0 }, { .boost = -EPERM }, NULL, 0, TOGETHER, { 0, -EPERM, 0, 0, 1 } },
	{ "no boost of the victim", SIGKILL, { .boost = -EPERM }, { 0 }, NULL, 0, TOGETHER,
	  { 0, -EPERM, 0, 0, 1 } },
	{ "other not permitted", SIGKILL, { 0 }, { .signal = -EPERM }, NULL, 0, TOGETHER,
	  { 0, 0, -EPERM, 0, 1 } },
	{ "other gone", SIGKILL, { 0 }, { .signal = -ESRCH }, NULL, 0, TOGETHER, { 0, 0, 0, 0, 1 } },
	{ "victim gone", SIGKILL, { .signal = -ESRCH }, { 0 }, NULL, 0, TOGETHER, { 0, 0, 0, 0, 1 } },
	{ "victim gone, other not permitted", SIGKILL, { .signal = -ESRCH }, { .signal = -EPERM },
	  NULL, 0, TOGETHER, { 0, 0, -EPERM, 0, 1 } },
	{ "victim not permitted", SIGKILL, { .signal = -EPERM }, { 0 }, NULL, -EPERM, BOOSTS " KILL",
	  { 0, 0, -EPERM, 1, 1 } },
	{ "ask", SIGTERM, { .thaw = 1 }, { 0 }, "/b", 0, "TERM thaw", { 0, 1, 0, 1, 0 } },
	{ "ask, gone", SIGTERM, { .signal = -ESRCH }, { 0 }, NULL, KILL_GONE, "TERM",
	  { 0, 1, -ESRCH, 1, 1 } },
};
/* clang-format on */

static void open_together(struct kill_victim *victim)
{
	kill_victim_init(victim);
	fake.start_ticks = fake_target.start_ticks;
	assert_int_equal(kill_open(&fake_ops, -EBADF, &fake_target, victim), 0);
	for (pid_t i = 1; i <= OTHERS; i++)
		assert_int_equal(kill_open_other(&fake_ops, -EBADF, OTHER(i),
						 fake_target.start_ticks, victim),
				 0);
	*fake.log = '\0';
}

static void test_signal_does_each_step_for_all_before_the_next(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(together_cases); i++) {
		bool reaps = together_cases[i].steps[KILL_STEP_REAP] == 0;
		struct kill_reapers *reapers = NULL;
		struct kill_victim victim;
		int priority_error;

		memset(&fake, 0, sizeof(fake));
		fake.odd_pid = OTHER(1);
		assert_int_equal(kill_reapers_new(&fake_ops, 1, &reapers, &priority_error), 0);
		open_together(&victim);
		fake.answers = together_cases[i].victim;
		fake.odd = together_cases[i].first;
		fake.elsewhere = together_cases[i].elsewhere;

		if (kill_signal(&fake_ops, -EBADF, NULL, &fake_target, together_cases[i].signal,
				reapers, &victim) != together_cases[i].result)
			fail_msg("%s", together_cases[i].name);
		assert_true(wait_until(n_done(reapers) == (reaps ? 1 + OTHERS : 0)));
		kill_reapers_free(reapers);
		if (strcmp(fake.log, together_cases[i].log) != 0)
			fail_msg("%s: %s", together_cases[i].name, fake.log);
		for (int step = 0; step < _KILL_STEP_MAX; step++)
			if (victim.step_result[step] != together_cases[i].steps[step])
				fail_msg("%s: %s is %d", together_cases[i].name,
					 kill_step_to_string(step), victim.step_result[step]);
		kill_victim_done(&victim);
	}
}

/* clang-format off */
static const struct {
	const char *name;
	int signal;
	bool is_family;
	uint64_t start_ticks;         /* of the first of the rest, at the choice */
	struct answers answers;       /* its own */
	int v1_freezer_fd;
	const char *log;
	int result;                   /* of the signal */
} rest_cases[] = {
	{ "kill", SIGKILL, false, 7, { 0 }, -EBADF,
	  KILLS " open3 start3 KILL3 open4 start4 KILL4 thaw place1 place2", 0 },
	{ "frozen, perhaps", SIGKILL, false, 7, { 0 }, 0,
	  KILLS " open3 start3 KILL3 open4 start4 KILL4 thaw place1 place2 place3 place4", 0 },
	{ "another has its pid", SIGKILL, false, 6, { 0 }, -EBADF,
	  KILLS " open3 start3 open4 start4 KILL4 thaw place1 place2", 0 },
	{ "gone", SIGKILL, false, 7, { .open = -ESRCH }, -EBADF,
	  KILLS " open3 open4 start4 KILL4 thaw place1 place2", 0 },
	{ "not opened", SIGKILL, false, 7, { .open = -EMFILE }, -EBADF,
	  KILLS " open3 open4 start4 KILL4 thaw place1 place2", -EMFILE },
	{ "not permitted", SIGKILL, false, 7, { .signal = -EPERM }, -EBADF,
	  KILLS " open3 start3 KILL3 open4 start4 KILL4 thaw place1 place2", -EPERM },
	{ "ask", SIGTERM, false, 7, { 0 }, -EBADF, "TERM thaw", 0 },
	{ "ask a family", SIGTERM, true, 7, { 0 }, -EBADF,
	  "TERM TERM1 TERM2 open3 start3 TERM3 open4 start4 TERM4 thaw", 0 },
};
/* clang-format on */

static void test_signal_reaches_the_rest(void **state)
{
	unsigned n_fds = count_fds();

	for (size_t i = 0; i < ARRAY_SIZE(rest_cases); i++) {
		struct cgroup_fs fs = { .v2_fd = -EBADF,
					.v1_freezer_fd = rest_cases[i].v1_freezer_fd };
		struct kill_target target = fake_target;
		struct kill_rest rest = { 0 };
		struct kill_victim victim;

		memset(&fake, 0, sizeof(fake));
		open_together(&victim);
		victim.is_family = rest_cases[i].is_family;
		assert_true(kill_rest_add(&rest, OTHER(3), rest_cases[i].start_ticks));
		assert_true(kill_rest_add(&rest, OTHER(4), 7));
		assert_true(kill_rest_has(&rest, OTHER(4)) && !kill_rest_has(&rest, OTHER(5)));
		target.rest = &rest;
		fake.odd_pid = OTHER(3);
		fake.odd = rest_cases[i].answers;
		assert_int_equal(kill_signal(&fake_ops, -EBADF, &fs, &target, rest_cases[i].signal,
					     NULL, &victim),
				 0);
		if (strcmp(fake.log, rest_cases[i].log) != 0)
			fail_msg("%s: %s", rest_cases[i].name, fake.log);
		assert_int_equal(victim.step_result[KILL_STEP_SIGNAL], rest_cases[i].result);
		kill_victim_done(&victim);
		assert_int_equal(count_fds(), n_fds);
	}
}

static void test_the_rest_is_bounded(void **state)
{
	struct kill_rest rest = { 0 };

	for (pid_t i = 0; i < KILL_REST_MAX; i++)
		assert_true(kill_rest_add(&rest, OTHER(i), 7));
	assert_false(kill_rest_add(&rest, OTHER(KILL_REST_MAX), 7));
	assert_int_equal(rest.n, KILL_REST_MAX);
}

static void let_it_exit(int pidfd)
{
	assert_int_equal(eventfd_write(pidfd, 1), 0);
}

/* A pid is free for another once its process has gone: it is not boosted. */
static void test_signal_escalates_to_those_that_are_left(void **state)
{
	struct kill_victim victim;

	memset(&fake, 0, sizeof(fake));
	open_together(&victim);
	assert_int_equal(kill_signal(&fake_ops, -EBADF, NULL, &fake_target, SIGTERM, NULL, &victim),
			 0);
	let_it_exit(victim.pidfd);
	let_it_exit(victim.others[0].pidfd);
	assert_false(kill_is_gone(&victim));

	*fake.log = '\0';
	fake.answers.signal = -ESRCH;
	fake.odd_pid = OTHER(1);
	fake.odd.signal = -ESRCH;
	fake.odd.read_cgroups = PROC_GONE;
	assert_int_equal(kill_signal(&fake_ops, -EBADF, NULL, &fake_target, SIGKILL, NULL, &victim),
			 0);
	assert_string_equal(fake.log, "boost2 KILL KILL1 KILL2 thaw place1 place2");
	assert_int_equal(victim.signal, SIGKILL);
	assert_int_equal(victim.step_result[KILL_STEP_BOOST], 0);
	let_it_exit(victim.others[1].pidfd);
	assert_true(kill_is_gone(&victim));
	kill_victim_done(&victim);
}

static void test_signal_with_none_left(void **state)
{
	struct kill_victim victim;

	memset(&fake, 0, sizeof(fake));
	open_together(&victim);
	fake.answers.signal = -ESRCH;
	for (pid_t i = 1; i <= OTHERS; i++) {
		let_it_exit(victim.others[i - 1].pidfd);
		fake.pid_of_fd[victim.others[i - 1].pidfd] = FAKE_PID; /* answers the same */
	}
	let_it_exit(victim.pidfd);
	assert_int_equal(kill_signal(&fake_ops, -EBADF, NULL, &fake_target, SIGKILL, NULL, &victim),
			 KILL_GONE);
	assert_string_equal(fake.log, "KILL KILL KILL");
	assert_int_equal(victim.step_result[KILL_STEP_BOOST], 1);
	assert_int_equal(victim.step_result[KILL_STEP_SIGNAL], -ESRCH);
	kill_victim_done(&victim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signal_does_each_step_for_all_before_the_next),
		cmocka_unit_test(test_signal_reaches_the_rest),
		cmocka_unit_test(test_the_rest_is_bounded),
		cmocka_unit_test(test_signal_escalates_to_those_that_are_left),
		cmocka_unit_test(test_signal_with_none_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
