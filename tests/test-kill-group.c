/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-group: the order of the steps and every way they can fail, over a group that is made up. */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/kill/kill.h"
#include "lib/sys/proc.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/*
 * The group that is made up: pids from FIRST on, the n-th started at n.  The record has "list",
 * "kill", "freeze", "thaw", and "KILL2" for a signal to the second.
 */
#define FIRST	    100
#define MAX_MEMBERS 2000

struct answers {
	int open, read_start, signal;
};

static struct {
	char log[4096];
	unsigned n_members;
	unsigned n_signals[MAX_MEMBERS];
	pid_t foreign; /* listed as well: 0 or, as there is none, -1 */

	pid_t odd; /* answers these; 0: there is none */
	struct answers odd_answers;
	pid_t spared_from, spared_to;
	pid_t spared_once_open; /* it moved meanwhile, for instance */
	int list[4];		/* the n-th listing fails so; the last for all that follow */
	unsigned n_lists;
	int kill, freeze, populated;
	unsigned n_forks; /* so many listings are out of date as soon as they are made */
	pid_t opened;
} fake;

static void record(const char *what, int n)
{
	size_t length = strlen(fake.log);

	if (length < sizeof(fake.log) - 32)
		(void)sprintf(fake.log + length, n >= 0 ? "%s%s%d" : "%s%s", length ? " " : "",
			      what, n);
}

static const struct answers *answers_of(pid_t pid)
{
	static const struct answers good;

	return pid == fake.odd ? &fake.odd_answers : &good;
}

static int pid_of_fd[64];

static int fake_open(pid_t pid)
{
	int fd;

	fake.opened = pid;
	if (answers_of(pid)->open < 0)
		return answers_of(pid)->open;
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_in_range(fd, 0, ARRAY_SIZE(pid_of_fd) - 1);
	pid_of_fd[fd] = pid;
	return fd;
}

static int fake_read_start(int proc_fd, pid_t pid, uint64_t *ret_start_ticks)
{
	*ret_start_ticks = (uint64_t)(pid - FIRST);
	return answers_of(pid)->read_start;
}

static int fake_send_signal(int pidfd, int signal)
{
	pid_t pid = pid_of_fd[pidfd];

	record(signal == SIGKILL ? "KILL" : "TERM", pid - FIRST);
	fake.n_signals[pid - FIRST]++;
	return answers_of(pid)->signal;
}

static int fake_list(int dir_fd, kill_list_fn f, void *userdata)
{
	unsigned i = fake.n_lists++;
	int r = fake.list[i < ARRAY_SIZE(fake.list) ? i : ARRAY_SIZE(fake.list) - 1];

	record("list", -1);
	for (unsigned n = 0; r == 0 && n < fake.n_members; n++)
		r = f(FIRST + (pid_t)n, userdata);
	if (r == 0 && fake.foreign == 0)
		r = f(0, userdata);
	if (fake.n_forks > 0) {
		fake.n_forks--;
		fake.n_members++;
	}
	return r;
}

static int fake_kill(int dir_fd)
{
	record("kill", -1);
	return fake.kill;
}

static int fake_freeze(int dir_fd, bool freeze)
{
	record(freeze ? "freeze" : "thaw", -1);
	return fake.freeze;
}

static int fake_populated(int dir_fd)
{
	record("populated", -1);
	return fake.populated;
}

static const struct kill_ops fake_ops = {
	.pidfd_open = fake_open,
	.pidfd_send_signal = fake_send_signal,
	.read_start = fake_read_start,
	.group_list = fake_list,
	.group_kill = fake_kill,
	.group_freeze = fake_freeze,
	.group_is_populated = fake_populated,
};

static bool fake_spares(pid_t pid, void *userdata)
{
	assert_ptr_equal(userdata, &fake);
	assert_int_not_equal(pid, 0);
	return (pid >= fake.spared_from && pid <= fake.spared_to) ||
	       (pid == fake.spared_once_open && fake.opened == pid);
}

static const struct kill_target fake_target = { .spares = fake_spares, .userdata = &fake };

static void reset(unsigned n_members)
{
	memset(&fake, 0, sizeof(fake));
	fake.n_members = n_members;
	fake.foreign = -1;
	fake.populated = 1;
}

static struct kill_group fake_group(bool v2)
{
	return (struct kill_group){ .dir_fd = 1000, .v2 = v2 };
}

#define ROUNDS "list KILL0 KILL1 KILL2 list"

/* clang-format off */
static const struct {
	const char *name;
	bool v2;
	int signal;
	int kill, freeze;
	pid_t spared_from, spared_to, foreign;
	int list[4];
	int result;
	unsigned n_signalled, n_spared;
	const char *log;
} step_cases[] = {
	{ "all at once", 1, SIGKILL, 0, 0, 0, 0, -1, { 0 }, 0, 3, 0, "list kill" },
	{ "before 5.14", 1, SIGKILL, -ENOENT, 0, 0, 0, -1, { 0 }, 0, 3, 0,
	  "list kill freeze " ROUNDS " thaw" },
	{ "not permitted", 1, SIGKILL, -EACCES, 0, 0, 0, -1, { 0 }, 0, 3, 0,
	  "list kill freeze " ROUNDS " thaw" },
	{ "threaded", 1, SIGKILL, -EOPNOTSUPP, 0, 0, 0, -1, { 0 }, 0, 3, 0,
	  "list kill freeze " ROUNDS " thaw" },
	{ "another program has frozen it", 1, SIGKILL, -ENOENT, 1, 0, 0, -1, { 0 }, 0, 3, 0,
	  "list kill freeze " ROUNDS },
	{ "it cannot be frozen", 1, SIGKILL, -ENOENT, -EACCES, 0, 0, -1, { 0 }, 0, 3, 0,
	  "list kill freeze " ROUNDS },
	{ "the first is spared", 1, SIGKILL, 0, 0, 100, 100, -1, { 0 }, 0, 2, 1,
	  "list list KILL1 KILL2 list" },
	{ "the last is spared", 1, SIGKILL, 0, 0, 102, 102, -1, { 0 }, 0, 2, 1,
	  "list list KILL0 KILL1 list" },
	{ "all are spared", 1, SIGKILL, 0, 0, 100, 102, -1, { 0 }, KILL_GONE, 0, 3, "list" },
	{ "another namespace's", 1, SIGKILL, 0, 0, 0, 0, 0, { 0 }, 0, 3, 1, "list " ROUNDS },
	{ "v1", 0, SIGKILL, 0, 0, 0, 0, -1, { 0 }, 0, 3, 0, "list " ROUNDS },
	{ "v1, one is spared", 0, SIGKILL, 0, 0, 101, 101, -1, { 0 }, 0, 2, 1,
	  "list list KILL0 KILL2 list" },
	{ "ask", 1, SIGTERM, 0, 0, 0, 0, -1, { 0 }, 0, 3, 0, "list list TERM0 TERM1 TERM2 list" },
	{ "ask, one is spared", 1, SIGTERM, 0, 0, 100, 100, -1, { 0 }, 0, 2, 1,
	  "list list TERM1 TERM2 list" },
	{ "ask, v1", 0, SIGTERM, 0, 0, 0, 0, -1, { 0 }, 0, 3, 0, "list list TERM0 TERM1 TERM2 list" },
	{ "vanished", 1, SIGKILL, 0, 0, 0, 0, -1, { -ENOENT }, KILL_GONE, 0, 0, "list" },
	{ "removed", 1, SIGKILL, 0, 0, 0, 0, -1, { -ENODEV }, KILL_GONE, 0, 0, "list" },
	{ "not to be listed", 1, SIGKILL, 0, 0, 0, 0, -1, { -EACCES }, -EACCES, 0, 0, "list" },
	{ "vanished by then", 1, SIGKILL, -ENODEV, 0, 0, 0, -1, { 0, -ENODEV }, KILL_GONE, 0, 0,
	  "list kill freeze list thaw" },
	{ "no longer to be listed", 0, SIGKILL, 0, 0, 0, 0, -1, { 0, -EMFILE }, -EMFILE, 0, 0,
	  "list list" },
	{ "only once", 0, SIGKILL, 0, 0, 0, 0, -1, { 0, 0, -EMFILE }, 0, 3, 0,
	  "list " ROUNDS },
};
/* clang-format on */

static void test_signal_takes_the_steps_in_order(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(step_cases); i++) {
		struct kill_group group = fake_group(step_cases[i].v2);
		int r;

		reset(3);
		fake.kill = step_cases[i].kill;
		fake.freeze = step_cases[i].freeze;
		fake.spared_from = step_cases[i].spared_from;
		fake.spared_to = step_cases[i].spared_to;
		fake.foreign = step_cases[i].foreign;
		memcpy(fake.list, step_cases[i].list, sizeof(fake.list));
		n_mallocs = 0;
		fail_malloc = true;
		r = kill_group_signal(&fake_ops, -EBADF, &fake_target, step_cases[i].signal,
				      &group);
		fail_malloc = false;
		assert_int_equal(n_mallocs, 0);
		if (r != step_cases[i].result || strcmp(fake.log, step_cases[i].log) != 0)
			fail_msg("%s: %d, %s", step_cases[i].name, r, fake.log);
		assert_int_equal(group.n_signalled, step_cases[i].n_signalled);
		assert_int_equal(group.n_spared, step_cases[i].n_spared);
	}
}

static const struct {
	struct answers answers;
	int error; /* of the group; 0: that one is gone */
	bool is_counted;
} member_cases[] = {
	{ { .open = -ESRCH }, 0, false },
	{ { .open = -EINVAL }, 0, false }, /* a thread's number now */
	{ { .open = -EMFILE }, -EMFILE, false },
	{ { .read_start = PROC_GONE }, 0, false },
	{ { .read_start = -EACCES }, -EACCES, false },
	{ { .signal = -ESRCH }, 0, true },
	{ { .signal = -EPERM }, -EPERM, true },
};

static void test_signal_continues_when_a_member_cannot_be_opened(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(member_cases); i++) {
		struct kill_group group = fake_group(false);

		reset(2);
		fake.odd = FIRST;
		fake.odd_answers = member_cases[i].answers;
		assert_int_equal(
			kill_group_signal(&fake_ops, -EBADF, &fake_target, SIGKILL, &group), 0);
		assert_int_equal(group.error, member_cases[i].error);
		assert_int_equal(group.n_signalled, 1);
		assert_int_equal(fake.n_signals[0], member_cases[i].is_counted);
		assert_int_equal(fake.n_signals[1], 1);

		/* and alone */
		fake.n_members = 1;
		*fake.log = '\0';
		assert_int_equal(
			kill_group_signal(&fake_ops, -EBADF, &fake_target, SIGKILL, &group),
			member_cases[i].error < 0 ? member_cases[i].error : KILL_GONE);
	}
}

/* What is read of it before the pidfd is open may be of another. */
static void test_signal_checks_again_what_to_spare_once_it_is_open(void **state)
{
	struct kill_group group = fake_group(false);

	reset(3);
	fake.spared_once_open = FIRST + 1;
	assert_int_equal(kill_group_signal(&fake_ops, -EBADF, &fake_target, SIGKILL, &group), 0);
	assert_string_equal(fake.log, "list list KILL0 KILL2 list");
}

static void test_signal_finds_those_forked_meanwhile(void **state)
{
	struct kill_group group = fake_group(false);

	reset(2);
	fake.n_forks = 4;
	assert_int_equal(kill_group_signal(&fake_ops, -EBADF, &fake_target, SIGKILL, &group), 0);
	assert_string_equal(fake.log,
			    "list list KILL0 KILL1 KILL2 list KILL3 list KILL4 list KILL5 list");
	assert_int_equal(group.n_signalled, 6);
	assert_int_equal(group.newest_ticks, 5);
}

static void test_signal_gives_up_on_what_forks_for_ever(void **state)
{
	struct kill_group group = fake_group(false);

	reset(1);
	fake.n_forks = MAX_MEMBERS - 1;
	assert_int_equal(kill_group_signal(&fake_ops, -EBADF, &fake_target, SIGKILL, &group), 0);
	assert_int_equal(fake.n_lists, 1 + KILL_GROUP_ROUNDS);
	assert_int_equal(group.n_signalled, 1 + KILL_GROUP_ROUNDS);
}

/* More than are remembered: every process is killed, and none gets SIGTERM twice. */
static void test_signal_reaches_all_of_a_large_group(void **state)
{
	struct kill_group group = fake_group(false);

	reset(MAX_MEMBERS);
	assert_int_equal(kill_group_signal(&fake_ops, -EBADF, &fake_target, SIGKILL, &group), 0);
	for (unsigned i = 0; i < MAX_MEMBERS; i++)
		assert_in_range(fake.n_signals[i], 1, KILL_GROUP_ROUNDS);
	reset(MAX_MEMBERS);
	assert_int_equal(kill_group_signal(&fake_ops, -EBADF, &fake_target, SIGTERM, &group), 0);
	for (unsigned i = 0; i < MAX_MEMBERS; i++)
		assert_int_equal(fake.n_signals[i], 1);
	reset(500); /* all of these are remembered, whatever slot is theirs */
	assert_int_equal(kill_group_signal(&fake_ops, -EBADF, &fake_target, SIGKILL, &group), 0);
	for (unsigned i = 0; i < 500; i++)
		assert_int_equal(fake.n_signals[i], 1);
}

static const struct {
	const char *name;
	bool v2;
	int populated, list;
	uint64_t newest_ticks;
	pid_t spared_from, spared_to;
	bool is_gone;
	const char *log;
} gone_cases[] = {
	{ "empty", 1, 0, 0, 9, 0, 0, true, "populated" },
	{ "all are there", 1, 1, 0, 9, 0, 0, false, "populated list" },
	{ "the oldest is there", 1, 1, 0, 0, 0, 0, false, "populated list" },
	{ "only spared ones", 1, 1, 0, 9, 100, 102, true, "populated list" },
	{ "spared ones and one more", 1, 1, 0, 9, 100, 101, false, "populated list" },
	{ "started since, and spared", 1, 1, 0, 1, 100, 101, true, "populated list" },
	{ "unknown", 1, -EACCES, 0, 9, 0, 0, false, "populated list" },
	{ "unknown, not to be listed", 1, -EACCES, -EACCES, 9, 0, 0, false, "populated list" },
	{ "vanished meanwhile", 1, 1, -ENODEV, 9, 0, 0, true, "populated list" },
	{ "v1", 0, 0, 0, 9, 0, 0, false, "list" },
	{ "v1, started since", 0, 0, 0, 0, 100, 100, true, "list" },
	{ "v1, vanished", 0, 0, -ENOENT, 9, 0, 0, true, "list" },
};

static void test_is_gone_when_none_is_left_that_was_signalled(void **state)
{
	struct kill_group none;

	for (size_t i = 0; i < ARRAY_SIZE(gone_cases); i++) {
		struct kill_group group = fake_group(gone_cases[i].v2);

		reset(3);
		group.newest_ticks = gone_cases[i].newest_ticks;
		fake.populated = gone_cases[i].populated;
		fake.list[0] = gone_cases[i].list;
		fake.spared_from = gone_cases[i].spared_from;
		fake.spared_to = gone_cases[i].spared_to;
		if (kill_group_is_gone(&fake_ops, -EBADF, &fake_target, &group) !=
			    gone_cases[i].is_gone ||
		    strcmp(fake.log, gone_cases[i].log) != 0)
			fail_msg("%s: %s", gone_cases[i].name, fake.log);
	}
	kill_group_init(&none);
	assert_true(kill_group_is_gone(&fake_ops, -EBADF, &fake_target, &none));
}

static void test_is_gone_does_not_count_what_vanishes(void **state)
{
	struct kill_group group = fake_group(true);

	reset(1);
	group.newest_ticks = 9;
	fake.odd = FIRST;
	fake.odd_answers.read_start = PROC_GONE;
	assert_true(kill_group_is_gone(&fake_ops, -EBADF, &fake_target, &group));
	fake.foreign = 0;
	assert_true(kill_group_is_gone(&fake_ops, -EBADF, &fake_target, &group));
}

/* For want of files nothing is known of it: that is no reason to think that it has gone. */
static void test_is_gone_is_not_concluded_from_transient_errors(void **state)
{
	static const int errors[] = { -EMFILE, -ENFILE, -ENOMEM, -EINTR };

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct kill_group group = fake_group(true);

		reset(1);
		group.newest_ticks = 0;
		fake.odd = FIRST;
		fake.odd_answers.read_start = errors[i];
		assert_false(kill_group_is_gone(&fake_ops, -EBADF, &fake_target, &group));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signal_takes_the_steps_in_order),
		cmocka_unit_test(test_signal_continues_when_a_member_cannot_be_opened),
		cmocka_unit_test(test_signal_checks_again_what_to_spare_once_it_is_open),
		cmocka_unit_test(test_signal_finds_those_forked_meanwhile),
		cmocka_unit_test(test_signal_gives_up_on_what_forks_for_ever),
		cmocka_unit_test(test_signal_reaches_all_of_a_large_group),
		cmocka_unit_test(test_is_gone_when_none_is_left_that_was_signalled),
		cmocka_unit_test(test_is_gone_does_not_count_what_vanishes),
		cmocka_unit_test(test_is_gone_is_not_concluded_from_transient_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
