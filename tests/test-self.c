/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of daemon/self.c: when the daemon is too large. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/manager.h"
#include "daemon/self.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static void test_limits(void **state)
{
	static const struct {
		uint64_t max, used, data, limit;
	} cases[] = {
		{ 0, MIB, 3 * MIB, 0 },
		{ 256 * MIB, MIB, 3 * MIB, (224 - 1 + 3) * MIB },
		{ 8 * MIB, 2 * MIB, 4 * MIB, (7 - 2 + 4) * MIB },
		/* above already: nothing more, and what there is stays */
		{ 8 * MIB, 9 * MIB, 12 * MIB, 12 * MIB },
		{ UINT64_MAX, 0, MIB, UINT64_MAX - UINT64_MAX / 8 + MIB },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(self_data_limit(cases[i].max, cases[i].used, cases[i].data),
				 cases[i].limit);
#ifdef __SANITIZE_ADDRESS__
	assert_int_equal(self_allowance(0), GIB);
#else
	assert_int_equal(self_allowance(0), 16 * MIB);
#endif
	/* more than twice the budget of 400 bytes */
	assert_true(self_allowance(50000) > 2 * 400 * 50000);
}

/* By what this process itself has. */
static void test_it_is_seen_to_be_too_large(void **state)
{
	struct manager m = { .proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	usec_t now = 100 * USEC_PER_SEC;
	size_t size = self_allowance(0) + 16 * MIB;
	char *ballast;

	(void)state;
	assert_false(self_is_too_large(&m, now));
	ballast = malloc(size);
	assert_non_null(ballast);
	memset(ballast, 1, size);
	/* not so soon, and not while a kill is in progress */
	assert_false(self_is_too_large(&m, now + USEC_PER_SEC));
	m.state = MANAGER_SETTLE;
	assert_false(self_is_too_large(&m, now + 20 * USEC_PER_SEC));
	m.state = MANAGER_WATCH;
	assert_true(self_is_too_large(&m, now + 20 * USEC_PER_SEC));
	/* there are, or were, as many processes as explain it */
	m.census.n_processes = 128 * 1024;
	assert_false(self_is_too_large(&m, now + 40 * USEC_PER_SEC));
	m.census.n_processes = 10;
	assert_false(self_is_too_large(&m, now + 60 * USEC_PER_SEC));
	free(ballast);
	close(m.proc_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_it_is_seen_to_be_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
