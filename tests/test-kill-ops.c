/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill-ops: what the real steps make of the files of a cgroup, on trees of plain files; and that a
 * group too deep to be listed is not signalled in part.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/io.h"
#include "lib/kill/kill.h"
#include "lib/sys/proc.h"
#include "tests/remove-entry.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define MANY 400 /* pids in a file: more than one read of it */

static struct {
	char path[64];
	int fd;
	pid_t listed[2 * MANY];
	unsigned n_listed;
	pid_t stop_at; /* 0: never */
	unsigned n_signals;
} test;

static int setup(void **state)
{
	memset(&test, 0, sizeof(test));
	strcpy(test.path, "/tmp/test-kill-ops-XXXXXX");
	if (!mkdtemp(test.path))
		return -1;
	test.fd = open(test.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return test.fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	close(test.fd);
	return nftw(test.path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void write_file(int dir_fd, const char *name, const char *text)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void make_directory(const char *name)
{
	assert_int_equal(mkdirat(test.fd, name, 0755), 0);
}

/* A chain of cgroups, one in the other, with a process in each: so many below the first. */
static void make_chain(unsigned depth)
{
	int fd = dup(test.fd);

	for (unsigned i = 0; i <= depth; i++) {
		char text[32];
		int below;

		snprintf(text, sizeof(text), "%u\n", 1000 + i);
		write_file(fd, "cgroup.procs", text);
		if (i == depth)
			break;
		assert_int_equal(mkdirat(fd, "c", 0755), 0);
		below = openat(fd, "c", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(below >= 0);
		close(fd);
		fd = below;
	}
	close(fd);
}

static int note(pid_t pid, void *userdata)
{
	assert_ptr_equal(userdata, &test);
	assert_true(test.n_listed < 2 * MANY);
	test.listed[test.n_listed++] = pid;
	return pid == test.stop_at ? 42 : 0;
}

static int list(void)
{
	test.n_listed = 0;
	return kill_ops_system.group_list(test.fd, note, &test);
}

static bool is_listed(pid_t pid)
{
	for (unsigned i = 0; i < test.n_listed; i++)
		if (test.listed[i] == pid)
			return true;
	return false;
}

static void test_list_reads_pids_that_are_cut_by_a_read(void **state)
{
	char text[MANY * 8];
	size_t n = 0;

	for (unsigned i = 0; i < MANY; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%u\n", 10000 + i * 7);
	assert_true(n > 1024);
	write_file(test.fd, "cgroup.procs", text);
	assert_int_equal(list(), 0);
	assert_int_equal(test.n_listed, MANY);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(test.listed[i], 10000 + i * 7);
}

static void test_list_has_those_below_but_follows_no_link(void **state)
{
	write_file(test.fd, "cgroup.procs", "11\n12\n");
	make_directory("a");
	make_directory("a/b");
	make_directory("empty"); /* vanishes: no cgroup.procs in it any more */
	write_file(test.fd, "a/cgroup.procs", "");
	write_file(test.fd, "a/b/cgroup.procs", "13\n");
	assert_int_equal(symlinkat(".", test.fd, "loop"), 0);
	assert_int_equal(list(), 0);
	assert_int_equal(test.n_listed, 3);
	assert_true(is_listed(11) && is_listed(12) && is_listed(13));
}

static void test_list_stops_where_the_caller_stops_it(void **state)
{
	write_file(test.fd, "cgroup.procs", "11\n12\n");
	make_directory("a");
	write_file(test.fd, "a/cgroup.procs", "13\n14\n");
	test.stop_at = 11;
	assert_int_equal(list(), 42);
	assert_int_equal(test.n_listed, 1);
	test.stop_at = 13; /* below */
	assert_int_equal(list(), 42);
	assert_int_equal(test.n_listed, 3);
}

/* What cannot be read may have anything in it: that is not taken for empty. */
static void test_list_reports_what_cannot_be_read(void **state)
{
	assert_int_equal(list(), -ENOENT);
	make_directory("cgroup.procs");
	assert_int_equal(list(), -EISDIR);
	assert_int_equal(unlinkat(test.fd, "cgroup.procs", AT_REMOVEDIR), 0);
	write_file(test.fd, "cgroup.procs", "11\n");
	make_directory("a");
	make_directory("a/cgroup.procs");
	assert_int_equal(list(), -EISDIR);
	assert_int_equal(kill_ops_system.group_list(-EBADF, note, &test), -EBADF);
}

static void test_list_is_as_deep_as_its_limit(void **state)
{
	make_chain(KILL_GROUP_DEPTH - 1);
	assert_int_equal(list(), 0);
	assert_int_equal(test.n_listed, KILL_GROUP_DEPTH);
	assert_true(is_listed(1000 + KILL_GROUP_DEPTH - 1));
}

static void test_list_of_a_group_that_is_too_deep(void **state)
{
	make_chain(KILL_GROUP_DEPTH + 1);
	assert_int_equal(list(), -ELOOP);
}

static int fake_open(pid_t pid)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int fake_read_start(int proc_fd, pid_t pid, uint64_t *ret_start_ticks)
{
	*ret_start_ticks = 1;
	return 0;
}

static int fake_signal(int pidfd, int signal)
{
	test.n_signals++;
	return 0;
}

static int fake_group_kill(int dir_fd)
{
	test.n_signals++;
	return 0;
}

/* Not one of its processes gets a signal: which are in it is not known.  It is not gone either. */
static void test_a_group_that_is_too_deep_is_not_killed_in_part(void **state)
{
	static const int signals[] = { SIGTERM, SIGKILL };
	const struct kill_target target = { .pid = 1000, .start_ticks = 1 };
	struct kill_ops ops = kill_ops_system;
	struct kill_group group;

	ops.pidfd_open = fake_open;
	ops.read_start = fake_read_start;
	ops.pidfd_send_signal = fake_signal;
	ops.group_kill = fake_group_kill;
	make_chain(KILL_GROUP_DEPTH + 1);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		kill_group_init(&group);
		group.dir_fd = dup(test.fd);
		group.v2 = true;
		assert_int_equal(kill_group_signal(&ops, -EBADF, &target, signals[i], &group),
				 -ELOOP);
		assert_int_equal(test.n_signals, 0);
		assert_int_equal(group.n_signalled, 0);
		write_file(test.fd, "cgroup.events", "populated 1\nfrozen 0\n");
		assert_false(kill_group_is_gone(&ops, -EBADF, &target, &group));
		kill_group_done(&group);
	}
}

static void check_file(const char *name, const char *expected)
{
	char text[64];

	assert_true(io_read_at(test.fd, name, text, sizeof(text)) >= 0);
	assert_string_equal(text, expected);
}

/* One that was frozen by others is told apart, so that it is not thawed. */
static void test_freeze_knows_what_was_frozen_before(void **state)
{
	static const struct {
		const char *before;
		bool freeze;
		int result;
		const char *after;
	} cases[] = {
		{ "0\n", true, 0, "1\n" },
		{ "1\n", true, 1, "1\n" },
		{ "1\n", false, 0, "0\n" },
		{ "0\n", false, 0, "0\n" },
	};

	assert_int_equal(kill_ops_system.group_freeze(test.fd, true), -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		write_file(test.fd, "cgroup.freeze", cases[i].before);
		assert_int_equal(kill_ops_system.group_freeze(test.fd, cases[i].freeze),
				 cases[i].result);
		check_file("cgroup.freeze", cases[i].after);
	}
}

static void test_populated_is_by_the_file_or_by_its_absence(void **state)
{
	assert_int_equal(kill_ops_system.group_is_populated(test.fd), 0); /* removed */
	write_file(test.fd, "cgroup.events", "populated 1\nfrozen 0\n");
	assert_int_equal(kill_ops_system.group_is_populated(test.fd), 1);
	write_file(test.fd, "cgroup.events", "populated 0\nfrozen 0\n");
	assert_int_equal(kill_ops_system.group_is_populated(test.fd), 0);
	assert_int_equal(unlinkat(test.fd, "cgroup.events", 0), 0);
	make_directory("cgroup.events"); /* cannot be read: not taken for empty */
	assert_int_equal(kill_ops_system.group_is_populated(test.fd), -EISDIR);
}

static void test_kill_is_an_error_where_the_kernel_has_no_file(void **state)
{
	assert_int_equal(kill_ops_system.group_kill(test.fd), -ENOENT);
	write_file(test.fd, "cgroup.kill", "\n\n");
	assert_int_equal(kill_ops_system.group_kill(test.fd), 0);
	check_file("cgroup.kill", "1\n");
}

static void test_what_has_vanished_is_reported(void **state)
{
	uint64_t start_ticks = 7;

	assert_int_equal(kill_ops_system.boost(test.fd, 1), -ENOENT);
	make_directory("812");
	make_directory("812/task");
	assert_int_equal(kill_ops_system.boost(test.fd, 812), 0); /* no thread is left */
	assert_int_equal(kill_ops_system.read_start(test.fd, 812, &start_ticks), PROC_GONE);
	assert_int_equal(start_ticks, 7);
	assert_int_equal(kill_ops_system.pidfd_open(-1), -EINVAL);
	assert_int_equal(kill_ops_system.pidfd_send_signal(-EBADF, 0), -EBADF);
	assert_int_equal(kill_ops_system.process_mrelease(-EBADF), -EBADF);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_list_reads_pids_that_are_cut_by_a_read),
		TEST(test_list_has_those_below_but_follows_no_link),
		TEST(test_list_stops_where_the_caller_stops_it),
		TEST(test_list_reports_what_cannot_be_read),
		TEST(test_list_is_as_deep_as_its_limit),
		TEST(test_list_of_a_group_that_is_too_deep),
		TEST(test_a_group_that_is_too_deep_is_not_killed_in_part),
		TEST(test_freeze_knows_what_was_frozen_before),
		TEST(test_populated_is_by_the_file_or_by_its_absence),
		TEST(test_kill_is_an_error_where_the_kernel_has_no_file),
		TEST(test_what_has_vanished_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
