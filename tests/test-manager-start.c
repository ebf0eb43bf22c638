/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * manager: what the daemon starts without, what it does not, and what it tries again: each thing
 * that it opens or starts fails.  And which cgroups of earlier daemons are removed, on a tree of
 * plain directories.
 *
 * No process is eligible: the subtree does not exist.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/bus/bus.h"
#include "daemon/kill/self-test.h"
#include "daemon/log/log.h"
#include "daemon/monitor.h"
#include "daemon/record/recorder.h"
#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/base/sanitizer.h"
#include "lib/kill/unit-mark.h"
#include "tests/manager-parts.h"
#include "tests/remove-entry.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

enum what {
	NOTHING,
	MEMORY_SOURCE,
	MEMORY,
	CGROUPS,
	ACCURACY,
	BEGIN,
	ACCOUNT,
	PRECISE,
	REAPERS,
	MONITOR,
	BUS,
	CENSUS,
	SWEEP,
	RESERVE,
	SELF_TEST,
	MARKER,
};

/* Of failures: as often as it is tried. */
#define ALWAYS UINT_MAX

static struct {
	enum what what; /* fails */
	unsigned n_failures;
	int error;
	char path[64];
	char conf[80];
	char own_cgroup[32];
} test;

/* TYPE NAME(PARAMETERS), which is called with ARGUMENTS unless it is to fail. */
#define FAILS(id, name, parameters, arguments)                                                     \
	__typeof__(name) __real_##name;                                                            \
	__typeof__(name) __wrap_##name;                                                            \
	int __wrap_##name parameters                                                               \
	{                                                                                          \
		return fails(id) ? test.error : __real_##name arguments;                           \
	}

static bool fails(enum what what)
{
	if (test.what != what || test.n_failures == 0)
		return false;
	test.n_failures -= test.n_failures != ALWAYS;
	return true;
}

/* So that nothing waits. */
int __wrap_usleep(useconds_t usec);
int __wrap_usleep(useconds_t usec)
{
	return 0;
}

FAILS(MEMORY_SOURCE, memory_source_new, (int proc_fd, int sys_fd, struct memory_source **ret),
      (proc_fd, sys_fd, ret))
FAILS(MEMORY, memory_sample, (struct memory_source * source, struct memory_reading *ret),
      (source, ret))
FAILS(CGROUPS, cgroup_fs_open, (int proc_fd, struct cgroup_fs *ret), (proc_fd, ret))
FAILS(BEGIN, self_test_begin, (const struct self_test *t), (t))
FAILS(ACCOUNT, recorder_new, (const struct in_flight *f, struct recorder **ret), (f, ret))
FAILS(PRECISE, precise_new, (int proc_fd, struct precise **ret), (proc_fd, ret))
FAILS(REAPERS, kill_reapers_new,
      (const struct kill_ops *ops, unsigned n, struct kill_reapers **ret, int *ret_fifo),
      (ops, n, ret, ret_fifo))
FAILS(MONITOR, monitor_new, (struct monitor * m), (m))
FAILS(BUS, bus_new, (const struct bus_subject *subject, struct bus **ret), (subject, ret))
FAILS(CENSUS, census_init,
      (struct census * census, int proc_fd, const struct cgroup_fs *cgroups,
       const struct accuracy *accuracy, const struct policy_set *policies),
      (census, proc_fd, cgroups, accuracy, policies))
FAILS(SWEEP, census_sweep, (struct census * census, usec_t now, uint64_t allocated, bool with_swap),
      (census, now, allocated, with_swap))
FAILS(RESERVE, victim_reserve, (struct victim_result * result, const struct census *census),
      (result, census))
FAILS(SELF_TEST, self_test_run, (const struct self_test *t), (t))
FAILS(MARKER, unit_marker_new, (int v2_fd, struct unit_marker **ret), (v2_fd, ret))

/* The worst is assumed then. */
int __real_accuracy_probe(int proc_fd, int sys_fd, struct accuracy *ret);
int __wrap_accuracy_probe(int proc_fd, int sys_fd, struct accuracy *ret);
int __wrap_accuracy_probe(int proc_fd, int sys_fd, struct accuracy *ret)
{
	int r = __real_accuracy_probe(proc_fd, sys_fd, ret);

	return fails(ACCURACY) ? test.error : r;
}

/* Of this process, where a test says so. */
int __real_cgroup_of_process(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *buf,
			     size_t size);
int __wrap_cgroup_of_process(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *buf,
			     size_t size);
int __wrap_cgroup_of_process(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *buf,
			     size_t size)
{
	if (!test.own_cgroup[0])
		return __real_cgroup_of_process(fs, proc_fd, pid, buf, size);
	snprintf(buf, size, "%s", test.own_cgroup);
	return 0;
}

static int setup(void **state)
{
	FILE *f;

	memset(&test, 0, sizeof(test));
	test.n_failures = ALWAYS;
	strcpy(test.path, "/tmp/test-manager-start-XXXXXX");
	if (!mkdtemp(test.path))
		return -1;
	snprintf(test.conf, sizeof(test.conf), "%s/conf", test.path);
	f = fopen(test.conf, "we");
	if (!f)
		return -1;
	fputs("[Daemon]\nSubtree=/test-manager-nonesuch\n", f);
	fclose(f);
	setenv("STATE_DIRECTORY", "", 1);
	setenv("RUNTIME_DIRECTORY", "", 1);
	setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent", 1);
	log_set_target(LOG_TARGET_NULL);
	return 0;
}

static int teardown(void **state)
{
	log_set_target(LOG_TARGET_AUTO);
	return nftw(test.path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void test_what_it_starts_without(void **state)
{
	static const struct {
		enum what what;
		int error;
		int result; /* 0: it starts */
	} cases[] = {
		{ NOTHING, 0, 0 },
		{ MEMORY_SOURCE, -ENOENT, -ENOENT }, /* no /proc */
		{ MEMORY, -EBADMSG, -EBADMSG },
		/* There are none; but what is not known for now is tried again by the service
		 * manager. */
		{ CGROUPS, -ENOENT, 0 },
		{ CGROUPS, -EMFILE, -EMFILE },
		{ CGROUPS, -ENOMEM, -ENOMEM },
		{ CGROUPS, -EIO, -EIO }, /* there are some, and none of them can be opened */
		{ ACCURACY, -EPERM, 0 },
		{ BEGIN, -EAGAIN, 0 },
		{ SELF_TEST, -EPERM, 0 },
		{ MARKER, -ENOENT, 0 },
		{ ACCOUNT, -ENOMEM, -ENOMEM },
		{ PRECISE, -EAGAIN, -EAGAIN },
		{ REAPERS, -EAGAIN, -EAGAIN },
		{ MONITOR, -EMFILE, -EMFILE },
		{ BUS, -ENOMEM, -ENOMEM },
		{ CENSUS, -ENOMEM, -ENOMEM },
		{ SWEEP, -EMFILE, -EMFILE },
		{ RESERVE, -ENOMEM, -ENOMEM },
	};
	struct config_options options = { .config_file = test.conf };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct manager *m = NULL;

		test.what = cases[i].what;
		test.error = cases[i].error;
		assert_int_equal(manager_new(&options, false, &kill_ops_system, &m),
				 cases[i].result);
		assert_true((m != NULL) == (cases[i].result == 0));
		if (m)
			assert_int_equal(m->machine->cgroups.layout == CGROUP_LAYOUT_NONE,
					 cases[i].what == CGROUPS);
#ifndef __SANITIZE_ADDRESS__	 /* which has its own malloc() */
		if (m && i == 0) /* nothing has been freed yet, which might be used again */
			assert_in_range(m->self->config_bytes, KIB, MIB);
#endif
		manager_free(m);
	}
}

/* What is short for a moment: nothing is missing then. */
static void test_what_fails_for_now_is_tried_again(void **state)
{
	struct config_options options = { .config_file = test.conf };

	for (enum what what = MEMORY_SOURCE; what <= MARKER; what++) {
		struct manager *m = NULL;

		if (what == SELF_TEST)
			continue;
		test.what = what;
		test.error = -EMFILE;
		test.n_failures = 3;
		assert_int_equal(manager_new(&options, false, &kill_ops_system, &m), 0);
		if (what != MARKER || m->machine->cgroups.layout == CGROUP_LAYOUT_V2) {
			assert_int_equal(test.n_failures, 0);
			assert_true(what != MARKER || m->in_flight->unit_marker);
		}
		manager_free(m);
	}
}

/* So that ps -T, and what counts by thread, tell them apart. */
static void test_each_thread_has_a_name_of_its_own(void **state)
{
	const struct config_options options = { .config_file = test.conf, .dry_run = true };
	_cleanup_dir_ DIR *dir = opendir("/proc/self/task");
	struct manager *m = NULL;
	unsigned n = 0;

	assert_non_null(dir);
	if (HAS_THREAD_SANITIZER) /* it has a thread of its own */
		skip();
	test.what = NOTHING;
	assert_int_equal(manager_new(&options, false, &kill_ops_system, &m), 0);
	for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		char path[280], name[32];

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		if (entry->d_name[0] == '.' || io_read_at(AT_FDCWD, path, name, sizeof(name)) < 0)
			continue;
		n++;
		if (atoi(entry->d_name) != getpid())
			assert_int_not_equal(strncmp(name, "test-manager-st", 15), 0);
	}
	assert_true(n > 3);
	manager_free(m);
}

static void test_a_subtree_that_is_given_has_to_be_there(void **state)
{
	static const struct {
		const char *subtree;
		enum what what;
		int result;
	} cases[] = {
		{ "/", NOTHING, 0 },
		{ "tenant", NOTHING, -EINVAL },
		{ "/test-manager-nonesuch", NOTHING, -ENOENT },
		{ "/tenant", CGROUPS, -ENOENT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config_options options = {
			.config_file = test.conf,
			.subtree = cases[i].subtree,
			.dry_run = true,
		};
		struct manager *m = NULL;
		int r;

		test.what = cases[i].what;
		test.error = -ENOENT;
		r = manager_new(&options, false, &kill_ops_system, &m);
		if (cases[i].what == NOTHING || r == 0)
			assert_int_equal(r, cases[i].result);
		assert_true((m != NULL) == (r == 0));
		manager_free(m);
	}
}

static bool exists(int fd, const char *name)
{
	struct stat st;

	return fstatat(fd, name, &st, 0) == 0;
}

/* "reckond-self-test-PID" that no daemon has locked, and nothing else. */
static void test_which_leftovers_are_removed(void **state)
{
	static const struct {
		const char *name;
		bool is_removed;
	} cases[] = {
		{ "reckond-self-test-2147483647", true },  { "reckond-self-test-1", true },
		{ "reckond-self-test-2147483648", false }, { "reckond-self-test-0", false },
		{ "reckond-self-test-", false },	   { "reckond-self-test-7x", false },
		{ "reckond-self-test-x", false },	   { "reckond.service", false },
	};
	struct manager *m = manager_alloc();
	const struct self_test self_test = manager_self_test(m);
	int fd = open(test.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned n = 0;

	assert_true(fd >= 0);
	m->machine->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	self_test_clean_up(&self_test); /* no cgroups: nothing to do */
	m->machine->cgroups.v2_fd = fd;
	strcpy(test.own_cgroup, "/");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(mkdirat(fd, cases[i].name, 0755), 0);
	self_test_clean_up(&self_test);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(exists(fd, cases[i].name), !cases[i].is_removed);

	/* One that is not empty is left; of many, so many at a time. */
	assert_int_equal(mkdirat(fd, "reckond-self-test-2147483647", 0755), 0);
	assert_int_equal(mkdirat(fd, "reckond-self-test-2147483647/x", 0755), 0);
	self_test_clean_up(&self_test);
	assert_true(exists(fd, "reckond-self-test-2147483647"));
	for (unsigned i = 0; i < 20; i++) {
		char name[64];

		snprintf(name, sizeof(name), "reckond-self-test-%u", 2147483600 + i);
		assert_int_equal(mkdirat(fd, name, 0755), 0);
	}
	self_test_clean_up(&self_test);
	for (unsigned i = 0; i < 20; i++) {
		char name[64];

		snprintf(name, sizeof(name), "reckond-self-test-%u", 2147483600 + i);
		n += exists(fd, name);
	}
	assert_in_range(n, 4, 5);
	/* Outside of what this namespace shows: the root is read. */
	strcpy(test.own_cgroup, "/../elsewhere");
	self_test_clean_up(&self_test);
	close(m->machine->proc_fd);
	close(fd);
	free(m);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_what_it_starts_without),
		TEST(test_what_fails_for_now_is_tried_again),
		TEST(test_each_thread_has_a_name_of_its_own),
		TEST(test_a_subtree_that_is_given_has_to_be_there),
		TEST(test_which_leftovers_are_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
