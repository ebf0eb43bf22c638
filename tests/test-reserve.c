/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of daemon/base/reserve.c: the limit, and that what is released can be used. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/base/reserve.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define LIMIT 512

static int open_one(int proc_fd)
{
	return openat(proc_fd, "self/stat", O_RDONLY | O_CLOEXEC);
}

static void test_the_limit_is_raised(void **state)
{
	struct rlimit before, limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	reserve_raise_limit();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_true(limit.rlim_cur == before.rlim_max || limit.rlim_cur == 4096);
	/* so many may be kept of processes */
	limit.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(reserve_files_to_keep(), 16);
	limit.rlim_cur = 260;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		assert_int_equal(reserve_files_to_keep(), 100);
	limit.rlim_cur = 1024;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		assert_int_equal(reserve_files_to_keep(), 256);
	/* one that is higher stays */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	reserve_raise_limit();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_true(limit.rlim_cur >= before.rlim_cur);
}

static void test_what_is_released_can_be_used(void **state)
{
	static struct reserve reserve;
	struct rlimit before, limit;
	int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fds[LIMIT], n = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = LIMIT;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);

	reserve_fill(&reserve, proc_fd);
	assert_int_equal(reserve.n, RESERVE_MAX);
	while (n < LIMIT && (fds[n] = open_one(proc_fd)) >= 0)
		n++;
	assert_int_equal(errno, EMFILE);
	reserve_release(&reserve);
	assert_int_equal(reserve.n, 0);
	for (int i = 0; i < RESERVE_MAX; i++, n++) {
		fds[n] = open_one(proc_fd);
		assert_true(fds[n] >= 0);
	}
	assert_true(open_one(proc_fd) < 0);
	/* there is nothing to reserve now: as much as there is */
	reserve_fill(&reserve, proc_fd);
	assert_int_equal(reserve.n, 0);
	while (n > 0)
		close(fds[--n]);
	reserve_fill(&reserve, proc_fd);
	assert_int_equal(reserve.n, RESERVE_MAX);
	reserve_release(&reserve);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	close(proc_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_limit_is_raised),
		cmocka_unit_test(test_what_is_released_can_be_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
