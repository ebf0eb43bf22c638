/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* where: a survey that is cut. */
#include <fcntl.h>
#include <sys/mman.h>
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
		assert_true(n == 0 || found.is_partial);
		assert_true(n == 1 || n_cpu_calls < 10000);
	}
	kill_child(pid);
	assert_true(is_found[0] && !is_found[1]);
}

/* Another thread of it surveys, too, and has what it measures open. */
static void test_a_process_is_skipped(void **state)
{
	static struct where_scratch scratch;
	static struct where_survey found;
	struct where_limits limits = { .now = now_usec, .deadline = USEC_INFINITY };
	int fd = memfd_create("held", MFD_CLOEXEC);
	static const char bytes[MIB];
	unsigned n_found = 0;
	pid_t pid;

	for (unsigned i = 0; i < 72; i++)
		assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	pid = fork_with_descriptors(0, 0); /* and the one of its parent */
	for (unsigned n = 0; n < 2; n++) {
		limits.skipped = n == 0 ? 0 : getpid();
		survey_with(&limits, &scratch, &found);
		for (unsigned i = 0; i < WHERE_UNMAPPED_MAX; i++) {
			const struct where_holder *holder = &found.unmapped[i];

			if (holder->pid != pid && holder->pid != getpid())
				continue;
			assert_int_equal(holder->n_others, n == 0);
			n_found++;
		}
	}
	assert_int_equal(n_found, 2);
	close(fd);
	kill_child(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_survey_finishes_in_time),
		cmocka_unit_test(test_surveys_that_are_cut_read_all_processes),
		cmocka_unit_test(test_survey_is_cut_by_its_cpu_time),
		cmocka_unit_test(test_a_process_is_skipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
