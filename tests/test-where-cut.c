/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* where: a survey that is cut. */
#include <fcntl.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/domain/where.h"
#include "tests/where-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static void survey_with(const struct where_limits *limits, struct where_scratch *scratch,
			struct where_survey *ret)
{
	_cleanup_close_ int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	where_survey(proc_fd, root_fd, limits, scratch, ret);
}

static void test_survey_finishes_in_time(void **state)
{
	static struct where_scratch scratch;
	static struct where_survey found;

	survey_with(&(struct where_limits){ .now = now_usec, .deadline = now_usec() }, &scratch,
		    &found);
	assert_true(found.is_partial);
	assert_int_equal(found.n_tmpfs, 0);
	assert_int_equal(found.pipes.pid, 0);
}

static usec_t n_calls;
static usec_t count_calls(void)
{
	return ++n_calls;
}

/* A few descriptors each time: where one survey was cut the next one goes on. */
static void test_surveys_that_are_cut_read_all_processes(void **state)
{
	pid_t others[5], pid;
	static struct where_scratch scratch;
	static struct where_survey found;
	unsigned n_found = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		others[i] = fork_with_descriptors(500, MIB);
	pid = fork_with_descriptors(0, 48 * MIB);
	for (unsigned n = 0; n < 5000 && n_found < 2; n++) {
		n_calls = 0;
		survey_with(&(struct where_limits){ .now = count_calls, .deadline = 1000 },
			    &scratch, &found);
		for (unsigned i = 0; i < WHERE_UNMAPPED_MAX; i++)
			n_found += found.unmapped[i].pid == pid;
	}
	kill_child(pid);
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		kill_child(others[i]);
	assert_int_equal(n_found, 2);
}

static usec_t n_cpu_calls, cpu_step;
static usec_t count_cpu_time(void)
{
	return n_cpu_calls++ * cpu_step;
}

/* It is slow where the machine is: that is no reason to read less. */
static void test_survey_is_cut_by_its_cpu_time(void **state)
{
	pid_t pid = fork_with_descriptors(100, 48 * MIB);
	static struct where_scratch scratch;
	static struct where_survey found;
	bool is_found[2] = { false };

	for (unsigned n = 0; n < 2; n++) {
		n_cpu_calls = 0;
		cpu_step = n == 0 ? 1 : 500 * USEC_PER_MSEC;
		scratch.descriptors_from = 0;
		survey_with(
			&(struct where_limits){
				.now = now_usec,
				.deadline = USEC_INFINITY,
				.cpu_time = count_cpu_time,
				.cpu_deadline = 500 * USEC_PER_MSEC,
			},
			&scratch, &found);
		for (unsigned i = 0; i < WHERE_UNMAPPED_MAX; i++)
			is_found[n] = is_found[n] || found.unmapped[i].pid == pid;
		assert_int_equal(found.is_partial, n == 1);
		assert_true(n == 1 || n_cpu_calls < 10000);
	}
	kill_child(pid);
	assert_true(is_found[0] && !is_found[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_survey_finishes_in_time),
		cmocka_unit_test(test_surveys_that_are_cut_read_all_processes),
		cmocka_unit_test(test_survey_is_cut_by_its_cpu_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
