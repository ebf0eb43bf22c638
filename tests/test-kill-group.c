/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill-group: the order of the steps and every way they can fail, over a group that is made up and
 * may fork in the middle; which cgroup it is, over a tree of files; and, as root, real groups.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
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

/*
 * Which cgroup it is: over a tree of files.
 */
#define SHOP "/app.slice/shop.service"
#define VM   "/machine.slice/vm.scope/libvirt"

static const struct {
	const char *path, *subtree, *own;
	const char *flagged; /* "": none */
	const char *whole;
} find_cases[] = {
	{ SHOP "/workers/one", "/", "/own", SHOP, SHOP "/workers/one" },
	{ SHOP "/workers", "/", "/own", SHOP, SHOP "/workers" },
	{ SHOP, "/", "/own", SHOP, SHOP },
	{ SHOP "/workers/gone", "/", "/own", SHOP, SHOP "/workers/gone" },
	{ "/app.slice/plain.service", "/", "/own", "", "/app.slice/plain.service" },
	{ "/app.slice", "/", "/own", "", "/app.slice" },
	{ "/nowhere", "/", "/own", "", "/nowhere" },
	{ "/", "/", "/own", "", "" },
	{ "", "/", "/own", "", "" },
	/* the highest that is in the subtree */
	{ SHOP "/workers/one", SHOP "/workers", "/own", SHOP "/workers", SHOP "/workers/one" },
	{ SHOP "/workers/one", SHOP "/workers/one", "/own", "", SHOP "/workers/one" },
	{ SHOP, SHOP "/workers", "/own", "", "" },
	{ SHOP "/workers", "/app", "/own", "", "" },
	/* none with the daemon in it */
	{ SHOP "/workers/one", "/", SHOP, SHOP "/workers", SHOP "/workers/one" },
	{ SHOP "/workers/one", "/", SHOP "/other", SHOP "/workers", SHOP "/workers/one" },
	{ SHOP "/workers/one", "/", SHOP "/workers/one", "", "" },
	{ SHOP "/workers/one", "/", SHOP "/workers/one/a", "", "" },
	{ SHOP "/workers/one", "/", SHOP "/workers/on", "", SHOP "/workers/one" },
	{ "/system.slice/oomd.service/own", "/", "/system.slice/oomd.service/own", "", "" },
	{ "/system.slice/x.service", "/", "/system.slice/oomd.service", "",
	  "/system.slice/x.service" },
	/* threads elsewhere */
	{ VM "/emulator", "/", "/own", "", VM },
	{ VM "/emulator", VM "/emulator", "/own", "", "" },
	{ VM "/emulator", "/", VM "/vcpu0", "", "" },
	{ VM, "/", "/own", "", VM },
	{ "/threads.slice", "/", "/own", "", "" },
	/* another namespace's */
	{ "/..", "/", "/own", "", "" },
	{ "/../" SHOP, "/", "/own", "", "" },
	{ "relative", "/", "/own", "", "" },
};

static void check_found(const char *path, size_t length, const char *expected)
{
	if (length != strlen(expected) || strncmp(path, expected, length) != 0)
		fail_msg("%s: %.*s, not %s", path, (int)length, path, expected);
}

static void test_find_takes_what_may_be_killed_as_a_whole(void **state)
{
	struct cgroup_fs fs;
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/cgroup-groups", getenv("FIXTURES"));
	cgroup_fs_init(&fs, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), -EBADF);
	assert_true(fs.v2_fd >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(find_cases); i++) {
		const char *p = find_cases[i].path;

		check_found(
			p,
			kill_group_find_flagged(&fs, p, find_cases[i].subtree, find_cases[i].own),
			find_cases[i].flagged);
		check_found(p,
			    kill_group_find_whole(&fs, p, find_cases[i].subtree, find_cases[i].own),
			    find_cases[i].whole);
	}
	cgroup_fs_done(&fs);
}

static void test_find_of_a_path_that_is_too_long(void **state)
{
	static char path[2 * CGROUP_PATH_MAX];
	struct cgroup_fs fs;

	memset(path, 'a', sizeof(path) - 1);
	path[0] = '/';
	cgroup_fs_init(&fs, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), -EBADF);
	assert_int_equal(kill_group_find_flagged(&fs, path, "/", "/own"), 0);
	assert_int_equal(kill_group_find_whole(&fs, path, "/", "/own"), 0);
	cgroup_fs_done(&fs);
}

static void test_open_reports_what_has_vanished(void **state)
{
	struct kill_group group;
	struct cgroup_fs fs;

	cgroup_fs_init(&fs, open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), -EBADF);
	kill_group_init(&group);
	assert_int_equal(kill_group_open(&fs, "/not-there", &group), KILL_GONE);
	assert_int_equal(group.dir_fd, -EBADF);
	assert_int_equal(kill_group_open(&fs, "/../proc", &group), -EINVAL);
	assert_int_equal(kill_group_open(&fs, "/self", &group), 0);
	assert_true(group.dir_fd >= 0 && group.v2);
	kill_group_done(&group);
	assert_int_equal(group.dir_fd, -EBADF);
	cgroup_fs_done(&fs);
}

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
	assert_int_equal(count_members(), 0);
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
		cmocka_unit_test(test_signal_takes_the_steps_in_order),
		cmocka_unit_test(test_signal_continues_when_a_member_cannot_be_opened),
		cmocka_unit_test(test_signal_checks_again_what_to_spare_once_it_is_open),
		cmocka_unit_test(test_signal_finds_those_forked_meanwhile),
		cmocka_unit_test(test_signal_gives_up_on_what_forks_for_ever),
		cmocka_unit_test(test_signal_reaches_all_of_a_large_group),
		cmocka_unit_test(test_is_gone_when_none_is_left_that_was_signalled),
		cmocka_unit_test(test_is_gone_does_not_count_what_vanishes),
		cmocka_unit_test(test_is_gone_is_not_concluded_from_transient_errors),
		cmocka_unit_test(test_find_takes_what_may_be_killed_as_a_whole),
		cmocka_unit_test(test_find_of_a_path_that_is_too_long),
		cmocka_unit_test(test_open_reports_what_has_vanished),
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
