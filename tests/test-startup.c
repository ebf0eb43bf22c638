/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of daemon/base/startup.c: how often a step is taken, for how long in all, and what is said.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/startup.h"
#include "daemon/log/log.h"
#include "lib/base/util.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* As often as it is taken. */
#define ALWAYS UINT_MAX

static struct {
	int error; /* of the first attempts */
	unsigned n_failures;
	unsigned n_taken;
	usec_t paused;
	char log[512];
} test;

int __wrap_usleep(useconds_t usec);
int __wrap_usleep(useconds_t usec)
{
	test.paused += usec;
	return 0;
}

__attribute__((format(printf, 2, 3))) void __wrap_log_line(int priority, const char *format, ...);
void __wrap_log_line(int priority, const char *format, ...)
{
	size_t n = strlen(test.log);
	va_list ap;

	n += (size_t)snprintf(test.log + n, sizeof(test.log) - n, "%d ", priority);
	va_start(ap, format);
	vsnprintf(test.log + n, sizeof(test.log) - n, format, ap);
	va_end(ap);
	strcat(test.log, "\n");
}

static int step(void *userdata)
{
	assert_ptr_equal(userdata, &test);
	return test.n_taken++ < test.n_failures ? test.error : 0;
}

static void test_which_steps_are_taken_again(void **state)
{
	static const struct {
		int error;
		unsigned n_failures;
		int result;
		unsigned n_taken;
		const char *log;
	} cases[] = {
		{ 0, 0, 0, 1, "" },
		{ -EMFILE, 1, 0, 2, "4 Cannot dig for now: Too many open files; trying again.\n" },
		{ -ENOMEM, 5, 0, 6,
		  "4 Cannot dig for now: Cannot allocate memory; trying again.\n" },
		{ -EAGAIN, ALWAYS, -EAGAIN, 6,
		  "4 Cannot dig for now: Resource temporarily unavailable; trying again.\n"
		  "3 Cannot start: cannot dig: Resource temporarily unavailable.\n" },
		{ -EPERM, 1, -EPERM, 1, "3 Cannot start: cannot dig: Operation not permitted.\n" },
		{ -EINVAL, ALWAYS, -EINVAL, 1, "3 Cannot start: cannot dig: Invalid argument.\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(&test, 0, sizeof(test));
		test.error = cases[i].error;
		test.n_failures = cases[i].n_failures;
		assert_int_equal(startup_require("dig", step, &test), cases[i].result);
		assert_int_equal(test.n_taken, cases[i].n_taken);
		assert_string_equal(test.log, cases[i].log);
		assert_in_range(test.paused, cases[i].n_taken > 1 ? 1 : 0, 2 * USEC_PER_SEC - 1);
		assert_true(cases[i].n_taken > 1 || test.paused == 0);
	}
}

/* Of one that the daemon can do without, the caller says what is missing. */
static void test_a_step_that_is_not_required(void **state)
{
	memset(&test, 0, sizeof(test));
	test.error = -EPERM;
	test.n_failures = ALWAYS;
	assert_int_equal(startup_try("dig", step, &test), -EPERM);
	assert_string_equal(test.log, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which_steps_are_taken_again),
		cmocka_unit_test(test_a_step_that_is_not_required),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
