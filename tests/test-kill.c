/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill: the order of the steps and every way they can fail, with recording ops; the reapers; the
 * judgement as a table; and, as root, real victims in real frozen cgroups.  Where malloc can be
 * interposed, it fails while a victim is opened, signalled, thawed and frozen again.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define NOBODY 65534

static unsigned count_fds(void)
{
	_cleanup_dir_ DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	return n;
}

/* Is it so within two seconds? */
#define wait_until(condition)                                                                      \
	({                                                                                         \
		int _tries = 2000;                                                                 \
		while (!(condition) && --_tries > 0)                                               \
			(void)usleep(1000);                                                        \
		_tries > 0;                                                                        \
	})

/*
 * Recording ops: what was called, in order, and what each is to answer.  The victim is FAKE_PID;
 * of another the record has the distance: "KILL2" is a signal to FAKE_PID + 2.
 */
#define FAKE_PID 100

struct answers {
	int open, read_start, probe, signal, boost, thaw, read_cgroups;
	int thaw_error; /* left in thawed->error */
};

static struct {
	char log[256];
	struct answers answers; /* of the victim's own steps */
	struct answers odd;	/* of odd_pid's */
	pid_t odd_pid;
	int mrelease;
	uint64_t start_ticks;
	const char *elsewhere; /* the cgroup of odd_pid; NULL: the victim's */
	pid_t pid_of_fd[256];
	usec_t now; /* one later at each call */
} fake;

static void record(const char *what, pid_t pid)
{
	size_t n = strlen(fake.log);

	(void)snprintf(fake.log + n, sizeof(fake.log) - n, pid == FAKE_PID ? "%s%s" : "%s%s%d",
		       n > 0 ? " " : "", what, pid - FAKE_PID);
}

static const struct answers *answers_of(pid_t pid)
{
	static const struct answers good;

	if (pid == fake.odd_pid)
		return &fake.odd;
	return pid == FAKE_PID ? &fake.answers : &good;
}

static int fake_open(pid_t pid)
{
	int fd;

	record("open", pid);
	if (answers_of(pid)->open < 0)
		return answers_of(pid)->open;
	fd = eventfd(0, EFD_CLOEXEC); /* not readable: the process lives */
	assert_in_range(fd, 0, ARRAY_SIZE(fake.pid_of_fd) - 1);
	fake.pid_of_fd[fd] = pid;
	return fd;
}

static int fake_send_signal(int pidfd, int signal)
{
	pid_t pid = fake.pid_of_fd[pidfd];

	record(signal == SIGKILL ? "KILL" : signal == 0 ? "probe" : "TERM", pid);
	return signal == 0 ? answers_of(pid)->probe : answers_of(pid)->signal;
}

/* On a reaper's thread: not in the record. */
static int fake_mrelease(int pidfd)
{
	return fake.mrelease;
}

static int fake_read_start(int proc_fd, pid_t pid, uint64_t *ret_start_ticks)
{
	record("start", pid);
	*ret_start_ticks = fake.start_ticks;
	return answers_of(pid)->read_start;
}

static int fake_boost(int proc_fd, pid_t pid)
{
	record("boost", pid);
	return answers_of(pid)->boost;
}

static int fake_thaw(const struct cgroup_fs *fs, const char *v2_path, const char *v1_path,
		     struct freezer_thawed *thawed)
{
	pid_t pid = fake.elsewhere && strcmp(v2_path, "/") != 0 ? fake.odd_pid : FAKE_PID;

	record("thaw", pid);
	if (thawed->error == 0)
		thawed->error = answers_of(pid)->thaw_error;
	return answers_of(pid)->thaw;
}

static int fake_read_cgroups(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *v2_path,
			     char *v1_path, size_t size)
{
	record("place", pid);
	(void)snprintf(v2_path, size, "%s",
		       pid == fake.odd_pid && fake.elsewhere ? fake.elsewhere : "/");
	(void)snprintf(v1_path, size, "/");
	return answers_of(pid)->read_cgroups;
}

static usec_t fake_now(void)
{
	return ++fake.now;
}

static const struct kill_ops fake_ops = {
	.pidfd_open = fake_open,
	.pidfd_send_signal = fake_send_signal,
	.process_mrelease = fake_mrelease,
	.read_start = fake_read_start,
	.boost = fake_boost,
	.thaw = fake_thaw,
	.read_cgroups = fake_read_cgroups,
	.now = fake_now,
};

static const struct kill_target fake_target = { .pid = FAKE_PID, .start_ticks = 7, .v2_path = "/" };

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

static unsigned n_done(const struct kill_reapers *reapers)
{
	struct kill_reap_stats stats;

	kill_reapers_stats(reapers, &stats);
	return stats.n_done;
}

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
				fail_msg("%s: look %zu", cases[i].what, k);
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

/*
 * A victim and two others.
 */
#define OTHERS	 2
#define OTHER(n) (FAKE_PID + (n))

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

/*
 * Reapers, with an mrelease that answers from a script or waits.
 */
static struct {
	int answers[16]; /* then 0 */
	atomic_uint n_calls;
	bool blocks;
	sem_t go;
} script;

static int scripted_mrelease(int pidfd)
{
	unsigned i = atomic_fetch_add(&script.n_calls, 1);

	if (fcntl(pidfd, F_GETFD) < 0)
		return -EBADF;
	if (script.blocks)
		(void)sem_wait(&script.go);
	return i < ARRAY_SIZE(script.answers) ? script.answers[i] : 0;
}

static const struct kill_ops script_ops = { .process_mrelease = scripted_mrelease };

#define FOUR(x)	  x, x, x, x
#define ALWAYS(x) FOUR(x), FOUR(x), FOUR(x), FOUR(x)

static const struct {
	int answers[16];
	unsigned n_calls;
	int result;
} reap_cases[] = {
	{ { 0 }, 1, 0 },
	{ { -ESRCH, 0 }, 1, -ESRCH },
	{ { -EINVAL, 0 }, 1, -EINVAL },
	{ { -EAGAIN, -EAGAIN, 0 }, 3, 0 },
	{ { -EINTR, -EAGAIN, -ESRCH }, 3, -ESRCH },
	{ { ALWAYS(-EINTR) }, 10, -EINTR },
	{ { ALWAYS(-EAGAIN) }, 10, -EAGAIN },
};

static void test_reapers_try_again_but_not_for_ever(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(reap_cases); i++) {
		struct kill_reapers *reapers = NULL;
		struct kill_reap_stats stats;
		int priority_error;

		memset(&script, 0, sizeof(script));
		memcpy(script.answers, reap_cases[i].answers, sizeof(script.answers));
		assert_int_equal(kill_reapers_new(&script_ops, 2, &reapers, &priority_error), 0);
		assert_int_equal(kill_reapers_push(reapers, STDOUT_FILENO), 0);
		assert_true(wait_until(n_done(reapers) == 1));
		kill_reapers_stats(reapers, &stats);
		assert_int_equal(stats.last_result, reap_cases[i].result);
		assert_int_equal(stats.n_reaped, reap_cases[i].result == 0);
		assert_int_equal(stats.n_pushed, 1);
		assert_int_equal(atomic_load(&script.n_calls), reap_cases[i].n_calls);
		if (reap_cases[i].answers[9] == -EAGAIN) /* with pauses, not in a hot loop */
			assert_true(stats.last_usec > 100 * USEC_PER_MSEC);
		assert_null(kill_reapers_free(reapers));
	}
}

static void *release_all_soon(void *userdata)
{
	(void)usleep(100000);
	for (int i = 0; i < 2 * KILL_REAP_QUEUE; i++)
		(void)sem_post(&script.go);
	return NULL;
}

static void test_reapers_queue_is_bounded_and_closed(void **state)
{
	struct kill_reapers *reapers = NULL;
	pthread_t thread;
	unsigned n_fds = count_fds();
	int priority_error;

	memset(&script, 0, sizeof(script));
	script.blocks = true;
	(void)sem_init(&script.go, 0, 0);
	assert_int_equal(kill_reapers_new(&script_ops, 1, &reapers, &priority_error), 0);
	assert_int_equal(kill_reapers_push(reapers, STDOUT_FILENO), 0);
	assert_true(wait_until(atomic_load(&script.n_calls) == 1));
	for (unsigned i = 0; i < KILL_REAP_QUEUE; i++)
		assert_int_equal(kill_reapers_push(reapers, STDOUT_FILENO), 0);
	assert_int_equal(kill_reapers_push(reapers, STDOUT_FILENO), -EAGAIN);
	assert_int_equal(kill_reapers_push(reapers, STDOUT_FILENO), -EAGAIN);
	assert_int_equal(count_fds(), n_fds + KILL_REAP_QUEUE + 1);

	/* one is done: room for one, around the end of the ring */
	(void)sem_post(&script.go);
	assert_true(wait_until(n_done(reapers) == 1));
	assert_true(wait_until(atomic_load(&script.n_calls) == 2));
	assert_int_equal(kill_reapers_push(reapers, STDOUT_FILENO), 0);
	assert_int_equal(kill_reapers_push(reapers, STDOUT_FILENO), -EAGAIN);

	/* freed while one is busy and the others wait: those are dropped */
	assert_int_equal(pthread_create(&thread, NULL, release_all_soon, NULL), 0);
	kill_reapers_free(reapers);
	(void)pthread_join(thread, NULL);
	assert_int_equal(count_fds(), n_fds);
	(void)sem_destroy(&script.go);
}

static void test_reapers_push_of_a_bad_fd(void **state)
{
	struct kill_reapers *reapers = NULL;
	struct kill_reap_stats stats;
	int priority_error;

	assert_int_equal(kill_reapers_new(&script_ops, 1, &reapers, &priority_error), 0);
	assert_int_equal(kill_reapers_push(reapers, -EBADF), -EBADF);
	kill_reapers_stats(reapers, &stats);
	assert_int_equal(stats.n_pushed, 0);
	kill_reapers_free(reapers);
	assert_null(kill_reapers_free(NULL));
}

/* Every push is reaped exactly once, by three threads that race for them. */
static void test_reapers_lose_nothing(void **state)
{
	const unsigned n = 5000;
	struct kill_reapers *reapers = NULL;
	unsigned n_fds = count_fds();
	struct kill_reap_stats stats;
	int priority_error;

	memset(&script, 0, sizeof(script));
	assert_int_equal(kill_reapers_new(&script_ops, 3, &reapers, &priority_error), 0);
	for (unsigned i = 0; i < n; i++)
		while (kill_reapers_push(reapers, STDOUT_FILENO) == -EAGAIN)
			(void)sched_yield();
	assert_true(wait_until(n_done(reapers) == n));
	kill_reapers_stats(reapers, &stats);
	assert_int_equal(stats.n_pushed, n);
	assert_int_equal(stats.n_reaped, n);
	assert_int_equal(atomic_load(&script.n_calls), n);
	kill_reapers_free(reapers);
	assert_int_equal(count_fds(), n_fds);
}

/* What the reaper threads themselves see. */
static struct {
	int policy, priority;
	char name[16];
	sigset_t blocked;
} seen;

static int looking_mrelease(int pidfd)
{
	struct sched_param param;

	(void)pthread_getschedparam(pthread_self(), &seen.policy, &param);
	seen.priority = param.sched_priority;
	(void)pthread_getname_np(pthread_self(), seen.name, sizeof(seen.name));
	(void)pthread_sigmask(SIG_SETMASK, NULL, &seen.blocked);
	return 0;
}

static void test_reapers_run_before_ordinary_processes(void **state)
{
	const struct kill_ops ops = { .process_mrelease = looking_mrelease };
	struct kill_reapers *reapers = NULL;
	int priority_error;

	assert_int_equal(kill_reapers_new(&ops, 1, &reapers, &priority_error), 0);
	assert_int_equal(kill_reapers_push(reapers, STDOUT_FILENO), 0);
	assert_true(wait_until(n_done(reapers) == 1));
	kill_reapers_free(reapers);
	assert_string_equal(seen.name, "reaper");
	assert_true(sigismember(&seen.blocked, SIGTERM));
	assert_true(sigismember(&seen.blocked, SIGCHLD));
	if (priority_error == 0) {
		assert_int_equal(seen.policy, SCHED_FIFO);
		assert_int_equal(seen.priority, KILL_REAPER_PRIORITY);
	} else {
		assert_int_equal(priority_error, -EPERM);
		assert_int_equal(seen.policy, SCHED_OTHER);
	}
}

/* The judgement.  A gibibyte is expected of most; 7/8 of it counts as reclaimed. */
#define TIMEOUT	 (2 * USEC_PER_SEC)
#define GRACE	 (5 * USEC_PER_SEC)
#define EARLY	 (TIMEOUT - 1)
#define LATE	 TIMEOUT
#define IN_GRACE (GRACE - 1)
#define BEFORE	 (3 * GIB) /* available */
#define SAME	 BEFORE
#define BACK	 (BEFORE + GIB - GIB / 8)
#define ALMOST	 (BACK - 1)
#define SMALL	 (16 * MIB - 1)
#define UNKNOWN	 UINT64_MAX

#define WAIT	   KILL_PROGRESS_WAIT
#define GONE	   KILL_PROGRESS_GONE
#define RECLAIMED  KILL_PROGRESS_RECLAIMED
#define ESCALATE   KILL_PROGRESS_ESCALATE
#define CANCELLED  KILL_PROGRESS_CANCELLED
#define UNKILLABLE KILL_PROGRESS_UNKILLABLE

/* clang-format off */
static const struct {
	const char *name;
	int signal;
	bool gone;
	usec_t since_signal;
	bool emergency_holds;
	bool next_level;
	uint64_t expected_bytes, available_now, footprint_now;
	enum kill_progress progress;
} judge_cases[] = {
	{ "nothing sent",                    0,       0, LATE,     1, 1, GIB,        BACK,   0,           WAIT },

	{ "gone",                            SIGKILL, 1, LATE,     1, 1, GIB,        SAME,   UNKNOWN,     GONE },
	{ "gone, and memory reclaimed",      SIGKILL, 1, EARLY,    0, 0, GIB,        BACK,   0,           GONE },
	{ "reclaimed at once",               SIGKILL, 0, 0,        1, 0, GIB,        BACK,   UNKNOWN,     RECLAIMED },
	{ "reclaimed after the timeout",     SIGKILL, 0, LATE,     1, 0, GIB,        BACK,   UNKNOWN,     RECLAIMED },
	{ "reclaimed, and it reads empty",   SIGKILL, 0, 0,        1, 0, GIB,        BACK,   GIB / 8,     RECLAIMED },
	{ "reclaimed, but another's",        SIGKILL, 0, 0,        1, 0, GIB,        BACK,   GIB,         WAIT },
	{ "another's, after the timeout",    SIGKILL, 0, LATE,     1, 0, GIB,        BACK,   GIB,         UNKILLABLE },
	{ "almost reclaimed",                SIGKILL, 0, EARLY,    1, 0, GIB,        ALMOST, UNKNOWN,     WAIT },
	{ "within the timeout",              SIGKILL, 0, EARLY,    1, 1, GIB,        SAME,   UNKNOWN,     WAIT },
	{ "reads 0, still freeing",          SIGKILL, 0, EARLY,    1, 1, GIB,        SAME,   0,           WAIT },
	{ "less available than before",      SIGKILL, 0, EARLY,    1, 0, GIB,        0,      GIB,         WAIT },
	{ "stuck",                           SIGKILL, 0, LATE,     1, 1, GIB,        SAME,   UNKNOWN,     UNKILLABLE },
	{ "stuck, emergency over",           SIGKILL, 0, LATE,     0, 0, GIB,        SAME,   GIB,         UNKILLABLE },
	{ "stuck, almost reclaimed",         SIGKILL, 0, LATE,     1, 0, GIB,        ALMOST, GIB,         UNKILLABLE },
	{ "drained, and taken by others",    SIGKILL, 0, LATE,     1, 0, GIB,        SAME,   0,           RECLAIMED },
	{ "an eighth left",                  SIGKILL, 0, LATE,     1, 0, GIB,        SAME,   GIB / 8,     RECLAIMED },
	{ "more than an eighth left",        SIGKILL, 0, LATE,     1, 0, GIB,        SAME,   GIB / 8 + 1, UNKILLABLE },
	{ "small: available shows nothing",  SIGKILL, 0, EARLY,    1, 0, SMALL,      BACK,   UNKNOWN,     WAIT },
	{ "just not small",                  SIGKILL, 0, EARLY,    1, 0, SMALL + 1,  BACK,   UNKNOWN,     RECLAIMED },
	{ "small, stuck",                    SIGKILL, 0, LATE,     1, 0, SMALL,      BACK,   SMALL,       UNKILLABLE },
	{ "small, drained",                  SIGKILL, 0, LATE,     1, 0, SMALL,      SAME,   0,           RECLAIMED },
	{ "expected beyond all bounds",      SIGKILL, 0, EARLY,    1, 0, UINT64_MAX, BACK,   UNKNOWN,     WAIT },

	{ "SIGTERM, gone",                   SIGTERM, 1, 0,        1, 1, GIB,        SAME,   UNKNOWN,     GONE },
	{ "SIGTERM, next level",             SIGTERM, 0, 0,        1, 1, GIB,        SAME,   UNKNOWN,     ESCALATE },
	{ "SIGTERM, reclaimed, next level",  SIGTERM, 0, 0,        0, 1, GIB,        BACK,   UNKNOWN,     ESCALATE },
	{ "SIGTERM, in its grace",           SIGTERM, 0, IN_GRACE, 1, 0, GIB,        SAME,   UNKNOWN,     WAIT },
	{ "SIGTERM, emergency over",         SIGTERM, 0, IN_GRACE, 0, 0, GIB,        SAME,   UNKNOWN,     WAIT },
	{ "SIGTERM, over, reclaimed",        SIGTERM, 0, 0,        0, 0, GIB,        BACK,   UNKNOWN,     RECLAIMED },
	{ "SIGTERM, emergency over, almost", SIGTERM, 0, 0,        0, 0, GIB,        ALMOST, UNKNOWN,     WAIT },
	{ "SIGTERM, reclaimed, holds",       SIGTERM, 0, IN_GRACE, 1, 0, GIB,        BACK,   0,           WAIT },
	{ "SIGTERM, small, emergency over",  SIGTERM, 0, 0,        0, 0, SMALL,      BACK,   UNKNOWN,     WAIT },
	{ "grace over, emergency holds",     SIGTERM, 0, GRACE,    1, 0, GIB,        SAME,   UNKNOWN,     ESCALATE },
	{ "grace over, reclaimed, holds",    SIGTERM, 0, GRACE,    1, 0, GIB,        BACK,   0,           ESCALATE },
	{ "grace over, emergency over",      SIGTERM, 0, GRACE,    0, 0, GIB,        SAME,   UNKNOWN,     CANCELLED },
	{ "grace over, another's, over",     SIGTERM, 0, GRACE,    0, 0, GIB,        BACK,   GIB,         CANCELLED },
	{ "grace over, reclaimed, over",     SIGTERM, 0, GRACE,    0, 0, GIB,        BACK,   UNKNOWN,     RECLAIMED },
	{ "grace over, small, over",         SIGTERM, 0, GRACE,    0, 0, SMALL,      BACK,   UNKNOWN,     CANCELLED },
};
/* clang-format on */

static void test_judge(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(judge_cases); i++) {
		const struct kill_facts facts = {
			.signal = judge_cases[i].signal,
			.gone = judge_cases[i].gone,
			.since_signal = judge_cases[i].since_signal,
			.grace = GRACE,
			.timeout = TIMEOUT,
			.emergency_holds = judge_cases[i].emergency_holds,
			.next_level = judge_cases[i].next_level,
			.expected_bytes = judge_cases[i].expected_bytes,
			.available_before = BEFORE,
			.available_now = judge_cases[i].available_now,
			.footprint_now = judge_cases[i].footprint_now,
		};
		enum kill_progress progress = kill_judge(&facts);

		if (progress != judge_cases[i].progress)
			fail_msg("%s: %s, not %s", judge_cases[i].name,
				 kill_progress_to_string(progress),
				 kill_progress_to_string(judge_cases[i].progress));
	}
}

static void test_late_memory_is_waited_for(void **state)
{
	static const struct {
		usec_t since_gone; /* ms */
		uint64_t then, now;
		bool waits;
		unsigned tables; /* of 100 MiB that were expected */
		bool is_read;
	} rows[] = {
		{ 0, GIB, 0, true, 0 },
		{ 99, GIB, 0, true, 0 },
		{ 100, GIB, GIB, true, 0 },
		{ 100, GIB, GIB - GIB / 8, true, 0 },
		{ 100, GIB, GIB - GIB / 8 - 1, false, 0 },
		{ 999, GIB, 2 * GIB, true, 0 },
		{ 1000, GIB, 2 * GIB, false, 0 },
		{ 1000, GIB, 2 * GIB, false, 50 },
		{ 1000, GIB, 2 * GIB, true, 51 },
		{ 9999, GIB, GIB, true, 100 },
		{ 10000, GIB, GIB, false, 100 },
		{ 1000, GIB, GIB / 2, false, 100 },
		{ 500, 0, 0, true, 0 },
		{ 999, GIB, 0, true, 0, true },
		{ 1000, GIB, 0, false, 0, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct proc_memory expected = {
			.anon = (100 - rows[i].tables) * MIB,
			.pagetables = rows[i].tables * MIB,
		};

		const struct kill_late late = {
			.expected = &expected,
			.since_gone = rows[i].since_gone * USEC_PER_MSEC,
			.available_then = rows[i].then,
			.available_now = rows[i].now,
			.is_read = rows[i].is_read,
		};

		assert_int_equal(kill_memory_may_come(&late), rows[i].waits);
	}
}

static void test_names_are_complete(void **state)
{
	for (int step = 0; step < _KILL_STEP_MAX; step++)
		assert_non_null(kill_step_to_string(step));
	for (int progress = 0; progress <= KILL_PROGRESS_UNKILLABLE; progress++)
		assert_non_null(kill_progress_to_string(progress));
	assert_null(kill_step_to_string(_KILL_STEP_MAX));
	assert_null(kill_progress_to_string(KILL_PROGRESS_UNKILLABLE + 1));
}

/*
 * Real victims: children of this test, in a cgroup of our own, N_LEVELS deep.
 */
#define N_LEVELS  4
#define N_THREADS 33

struct child {
	pid_t pid;
	int ask_fd;    /* a byte in ... */
	int answer_fd; /* ... a byte out, if it runs; one at first when it is ready */
};

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

static int hierarchy_fd(void)
{
	return real.v1 ? real.fs.v1_freezer_fd : real.fs.v2_fd;
}

static int real_setup(void **state)
{
	memset(&real, 0, sizeof(real));
	kill_victim_init(&real.victim);
	for (int i = 0; i < N_LEVELS; i++)
		real.level_fd[i] = -EBADF;
	real.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return cgroup_fs_open(real.proc_fd, &real.fs);
}

static void remove_levels(void)
{
	for (int i = N_LEVELS; i-- > 0;) {
		if (real.level_fd[i] < 0)
			continue;
		close(real.level_fd[i]);
		if (!wait_until(unlinkat(hierarchy_fd(), real.path[i] + 1, AT_REMOVEDIR) == 0))
			print_message("%s could not be removed\n", real.path[i]);
	}
}

static int real_teardown(void **state)
{
	if (real.is_nobody && setresuid(0, 0, 0) < 0)
		return -1;
	real.reapers = kill_reapers_free(real.reapers);
	kill_victim_done(&real.victim);
	for (int i = 0; i < N_LEVELS; i++)
		if (real.level_fd[i] >= 0)
			(void)io_write_at(real.level_fd[i],
					  real.v1 ? "freezer.state" : "cgroup.freeze",
					  real.v1 ? "THAWED" : "0");
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
static bool make_levels(bool v1)
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

static int leaf_fd(void)
{
	return real.level_fd[N_LEVELS - 1];
}

static bool leaf_is_frozen(void)
{
	char text[128] = "";

	(void)io_read_at(leaf_fd(), real.v1 ? "freezer.state" : "cgroup.events", text,
			 sizeof(text));
	return strstr(text, real.v1 ? "FROZEN" : "frozen 1");
}

static void freeze_level(int i)
{
	assert_int_equal(io_write_at(real.level_fd[i], real.v1 ? "freezer.state" : "cgroup.freeze",
				     real.v1 ? "FROZEN" : "1"),
			 0);
}

static int told_fd; /* where the SIGTERM handler writes */

static void on_term(int signal)
{
	if (write(told_fd, "T", 1) != 1)
		_exit(1);
}

static void *sleep_thread(void *userdata)
{
	for (;;)
		(void)pause();
	return NULL;
}

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

/* Does a byte come within the time?  Which? */
static char byte_within(const struct child *child, int timeout_msec)
{
	struct pollfd pollfd = { .fd = child->answer_fd, .events = POLLIN };
	char byte = '\0';

	if (poll(&pollfd, 1, timeout_msec) > 0 && read(child->answer_fd, &byte, 1) == 1)
		return byte;
	return '\0';
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

static bool is_running(const struct child *child, int timeout_msec)
{
	assert_int_equal(write(child->ask_fd, "?", 1), 1);
	return byte_within(child, timeout_msec) == '?';
}

static struct kill_target target_of(const struct child *child)
{
	struct kill_target target = { .pid = child->pid, .v2_path = "/" };
	struct proc_stat stat;

	assert_int_equal(proc_read_stat(real.proc_fd, child->pid, &stat), 0);
	target.start_ticks = stat.start_ticks;
	if (real.level_fd[0] >= 0)
		*(real.v1 ? &target.v1_path : &target.v2_path) = real.path[N_LEVELS - 1];
	return target;
}

static int open_and_signal(const struct kill_ops *ops, const struct kill_target *target, int signal)
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

static void make_reapers(void)
{
	int priority_error;

	assert_int_equal(kill_reapers_new(&kill_ops_system, 2, &real.reapers, &priority_error), 0);
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

static uint64_t anon_bytes(pid_t pid)
{
	struct proc_memory memory = { .anon = UINT64_MAX };
	struct proc_stat stat;

	if (proc_read_stat(real.proc_fd, pid, &stat) == 0)
		(void)proc_read_memory(real.proc_fd, &stat, false, (uint64_t)sysconf(_SC_PAGESIZE),
				       &memory);
	return memory.anon;
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

#define REAL(f) cmocka_unit_test_setup_teardown(f, real_setup, real_teardown)

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
		cmocka_unit_test(test_signal_does_each_step_for_all_before_the_next),
		cmocka_unit_test(test_signal_reaches_the_rest),
		cmocka_unit_test(test_the_rest_is_bounded),
		cmocka_unit_test(test_signal_escalates_to_those_that_are_left),
		cmocka_unit_test(test_signal_with_none_left),
		cmocka_unit_test(test_reapers_try_again_but_not_for_ever),
		cmocka_unit_test(test_reapers_queue_is_bounded_and_closed),
		cmocka_unit_test(test_reapers_push_of_a_bad_fd),
		cmocka_unit_test(test_reapers_lose_nothing),
		cmocka_unit_test(test_reapers_run_before_ordinary_processes),
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_late_memory_is_waited_for),
		cmocka_unit_test(test_names_are_complete),
		REAL(test_real_v2_group_frozen_from_above),
		REAL(test_real_v2_group_frozen_twice),
		REAL(test_real_v1_group_frozen_from_above),
		REAL(test_real_v1_group_frozen_twice),
		REAL(test_real_v2_sigterm_handler_runs_after_thaw),
		REAL(test_real_v1_sigterm_handler_runs_after_thaw),
		REAL(test_real_refreeze_leaves_what_others_froze),
		REAL(test_real_reap_frees_what_cannot_die),
		REAL(test_real_reap_of_a_running_victim),
		REAL(test_real_reap_takes_a_clone_too),
		REAL(test_real_reap_takes_a_vfork_child_too),
		REAL(test_real_victim_is_killed_with_a_clone),
		REAL(test_real_victim_is_killed_with_a_vfork_child),
		REAL(test_real_partner_elsewhere_is_thawed_too),
		REAL(test_real_open_spares_a_reused_pid),
		REAL(test_real_vanished),
		REAL(test_real_signal_not_permitted),
		REAL(test_real_boost_reaches_every_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
