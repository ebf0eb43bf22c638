/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* survey: the thread, with a survey that lasts as long as the test wants. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/select/survey.h"
#include "lib/base/cleanup.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static struct {
	sem_t begun, may_end;
	atomic_uint n_surveys;
	int proc_fd, root_fd; /* of the last one, as the next */
	usec_t limit, cpu_limit;
	pid_t skipped;
	uint64_t least_untouched;
	bool blocks_signals;
	int thread_result;
} test;

usec_t __wrap_clock_now(void);
usec_t __wrap_clock_now(void)
{
	return 1000 * USEC_PER_SEC;
}

static usec_t cpu_time;

usec_t __wrap_clock_cpu_time(void);
usec_t __wrap_clock_cpu_time(void)
{
	return cpu_time += 7;
}

void __wrap_where_survey(int proc_fd, int root_fd, const struct where_limits *limits,
			 struct where_scratch *scratch, struct where_survey *ret);
void __wrap_where_survey(int proc_fd, int root_fd, const struct where_limits *limits,
			 struct where_scratch *scratch, struct where_survey *ret)
{
	sigset_t blocked;

	(void)pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	test.blocks_signals = sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGHUP);
	test.proc_fd = proc_fd;
	test.root_fd = root_fd;
	test.limit = limits->deadline - limits->now();
	test.cpu_limit = limits->cpu_deadline;
	test.skipped = limits->skipped;
	test.least_untouched = limits->least_untouched;
	memset(ret, 0, sizeof(*ret));
	scratch->turn++;
	ret->n_tmpfs = atomic_fetch_add(&test.n_surveys, 1) + 1;
	ret->took_usec = USEC_INFINITY;
	(void)sem_post(&test.begun);
	while (sem_wait(&test.may_end) < 0)
		; /* EINTR */
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
			  void *userdata);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
			  void *userdata);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
			  void *userdata)
{
	size_t stack_size;
	int detached;

	/* It is not joined, and has no more of locked memory than it needs. */
	assert_int_equal(pthread_attr_getdetachstate(attributes, &detached), 0);
	assert_int_equal(detached, PTHREAD_CREATE_DETACHED);
	assert_int_equal(pthread_attr_getstacksize(attributes, &stack_size), 0);
	assert_in_range(stack_size, (size_t)sysconf(_SC_THREAD_STACK_MIN) + 1, MIB);
	return test.thread_result != 0 ? test.thread_result
				       : __real_pthread_create(thread, attributes, run, userdata);
}

static int setup(void **state)
{
	memset(&test, 0, sizeof(test));
	return sem_init(&test.begun, 0, 0) | sem_init(&test.may_end, 0, 0);
}

static void wait_for_begin(void)
{
	while (sem_wait(&test.begun) < 0)
		; /* EINTR */
}

/* The thread has put the result there. */
static bool collect(struct survey *survey, struct where_survey *ret)
{
	for (unsigned i = 0; i < 10000; i++) {
		if (survey_collect(survey, ret))
			return true;
		usleep(1000);
	}
	return false;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* It is freed by the one that is last: the thread has still to come to its end. */
static bool is_closed_soon(int fd)
{
	for (unsigned i = 0; i < 10000 && is_open(fd); i++)
		usleep(1000);
	return !is_open(fd);
}

static void test_one_survey_at_a_time(void **state)
{
	_cleanup_close_ int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	static struct where_survey found;
	struct survey *survey;
	sigset_t blocked;

	assert_int_equal(survey_new(proc_fd, "survey", &survey), 0);
	(void)pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	assert_false(sigismember(&blocked, SIGTERM)); /* here */
	assert_false(survey_collect(survey, &found));
	for (unsigned n = 1; n <= 3; n++) {
		assert_true(survey_ask(survey, n * MIB));
		wait_for_begin();
		assert_int_equal(test.least_untouched, n * MIB);
		assert_int_equal(test.limit, 5 * USEC_PER_SEC);
		assert_int_equal(test.cpu_limit, 500 * USEC_PER_MSEC);
		assert_int_equal(test.skipped, getpid());
		assert_true(test.blocks_signals);
		assert_true(test.proc_fd != proc_fd && is_open(test.proc_fd));
		assert_false(survey_ask(survey, 0)); /* it is under way */
		assert_false(survey_collect(survey, &found));
		(void)sem_post(&test.may_end);
		assert_true(collect(survey, &found));
		assert_int_equal(found.n_tmpfs, n);
		assert_int_equal(found.took_usec, 7);
		assert_false(survey_collect(survey, &found)); /* once */
	}
	assert_true(survey_ask(survey, 0));
	wait_for_begin();
	(void)sem_post(&test.may_end);
	while (!survey_ask(survey, 0) && !survey_collect(survey, &found))
		usleep(1000); /* (not before it is collected) */
	assert_int_equal(test.n_surveys, 4);
	assert_null(survey_free(survey));
	assert_true(is_closed_soon(test.proc_fd));
	assert_true(is_closed_soon(test.root_fd));
	assert_true(is_open(proc_fd));
}

/* The thread frees the rest, when it returns. */
static void test_one_that_hangs_is_left(void **state)
{
	_cleanup_close_ int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct survey *survey;

	assert_int_equal(survey_new(proc_fd, "survey", &survey), 0);
	assert_true(survey_ask(survey, 0));
	wait_for_begin();
	assert_null(survey_free(survey));
	assert_true(is_open(test.proc_fd) && is_open(test.root_fd));
	(void)sem_post(&test.may_end);
	assert_true(is_closed_soon(test.proc_fd));
	assert_true(is_closed_soon(test.root_fd));
	assert_int_equal(test.n_surveys, 1);
	assert_null(survey_free(NULL));
}

/* Descriptors are the lowest that are free: none is left behind. */
static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void test_what_cannot_be_had(void **state)
{
	_cleanup_close_ int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct survey *survey = NULL;
	int fd = next_fd();

	test.thread_result = EAGAIN;
	assert_int_equal(survey_new(proc_fd, "survey", &survey), -EAGAIN);
	assert_int_equal(next_fd(), fd);
	test.thread_result = 0;
	assert_int_equal(survey_new(-1, "survey", &survey), -EBADF);
	assert_int_equal(next_fd(), fd);
	if (FAIL_MALLOC_WORKS) {
		fail_malloc = true;
		assert_int_equal(survey_new(proc_fd, "survey", &survey), -ENOMEM);
		fail_malloc = false;
	}
	assert_null(survey);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_one_survey_at_a_time, setup),
		cmocka_unit_test_setup(test_one_that_hangs_is_left, setup),
		cmocka_unit_test_setup(test_what_cannot_be_had, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
