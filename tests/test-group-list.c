/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of group_list() of lib/kill/kill-ops.c: the processes of a cgroup and of those below, to a
 * depth that has an end.  Over directories of our own. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/kill/kill-group.h"
#include "lib/kill/kill.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static int put_procs(int dir_fd, unsigned pid)
{
	int fd = openat(dir_fd, "cgroup.procs", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return -1;
	dprintf(fd, "%u\n%u\n", pid, pid + 1000);
	return close(fd);
}

/* So deep below, with two processes in each. */
static void make_tree(const char *path, unsigned depth)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (unsigned i = 0;; i++) {
		int child_fd;

		assert_true(fd >= 0);
		assert_int_equal(put_procs(fd, i + 1), 0);
		if (i == depth)
			break;
		assert_int_equal(mkdirat(fd, "x", 0755), 0);
		child_fd = openat(fd, "x", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = child_fd;
	}
	close(fd);
}

static void remove_tree(const char *path)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -r '%s'", path);
	assert_int_equal(system(command), 0);
}

static unsigned n_listed, sum;

static int on_listed(pid_t pid, void *userdata)
{
	n_listed++;
	sum += (unsigned)pid;
	return userdata && n_listed == *(const unsigned *)userdata ? -ENOSPC : 0;
}

static int list(unsigned depth, unsigned *limit)
{
	char path[] = "/tmp/test-group-list.XXXXXX";
	int fd, r;

	n_listed = sum = 0;
	assert_non_null(mkdtemp(path));
	make_tree(path, depth);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = kill_ops_system.group_list(fd, on_listed, limit);
	close(fd);
	remove_tree(path);
	return r;
}

static void test_all_levels_are_listed(void **state)
{
	static const unsigned depths[] = { 0, 1, 7, KILL_GROUP_DEPTH - 1 };

	for (size_t i = 0; i < ARRAY_SIZE(depths); i++) {
		unsigned n = depths[i] + 1;

		assert_int_equal(list(depths[i], NULL), 0);
		assert_int_equal(n_listed, 2 * n);
		assert_int_equal(sum, n * (n + 1) + 1000 * n);
	}
}

static void test_a_deeper_one_fails(void **state)
{
	assert_int_equal(list(KILL_GROUP_DEPTH, NULL), -ELOOP);
	assert_int_equal(n_listed, 2 * (KILL_GROUP_DEPTH + 1));
	assert_int_equal(list(KILL_GROUP_DEPTH + 10, NULL), -ELOOP);
}

static void test_the_caller_can_stop_it(void **state)
{
	unsigned limit = 5;

	assert_int_equal(list(7, &limit), -ENOSPC);
	assert_int_equal(n_listed, 5);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_levels_are_listed),
		cmocka_unit_test(test_a_deeper_one_fails),
		cmocka_unit_test(test_the_caller_can_stop_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
