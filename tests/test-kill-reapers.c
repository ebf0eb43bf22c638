/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/kill/kill-reap.c: the threads that release memory try again, lose nothing and come
 * to an end.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "lib/kill/kill.h"
#include "lib/sys/proc.h"
#include "tests/kill-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/*
 * Reapers, with an mrelease that answers from a script or waits.
 */
static struct {
	int answers[16]; /* then 0 */
	atomic_uint n_calls;
	bool blocks;
	sem_t go;
} script;

static int scripted_mrelease(int pidfd)
{
	unsigned i = atomic_fetch_add(&script.n_calls, 1);

	if (fcntl(pidfd, F_GETFD) < 0)
		return -EBADF;
	if (script.blocks)
		(void)sem_wait(&script.go);
	return i < ARRAY_SIZE(script.answers) ? script.answers[i] : 0;
}

static const struct kill_ops script_ops = { .process_mrelease = scripted_mrelease };

#define FOUR(x)	  x, x, x, x
#define ALWAYS(x) FOUR(x), FOUR(x), FOUR(x), FOUR(x)

static const struct {
	int answers[16];
	unsigned n_calls;
	int result;
} reap_cases[] = {
	{ { 0 }, 1, 0 },
	{ { -ESRCH, 0 }, 1, -ESRCH },
	{ { -EINVAL, 0 }, 1, -EINVAL },
	{ { -EAGAIN, -EAGAIN, 0 }, 3, 0 },
	{ { -EINTR, -EAGAIN, -ESRCH }, 3, -ESRCH },
	{ { ALWAYS(-EINTR) }, 10, -EINTR },
	{ { ALWAYS(-EAGAIN) }, 10, -EAGAIN },
};

static void test_reapers_try_again_but_not_for_ever(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(reap_cases); i++) {
		struct kill_reapers *reapers = NULL;
		struct kill_reap_stats stats;
		int priority_error;

		memset(&script, 0, sizeof(script));
		memcpy(script.answers, reap_cases[i].answers, sizeof(script.answers));
		assert_int_equal(kill_reapers_new(&script_ops, 2, &reapers, &priority_error), 0);
		assert_int_equal(kill_reapers_push(reapers, STDOUT_FILENO), 0);
		assert_true(wait_until(n_done(reapers) == 1));
		kill_reapers_stats(reapers, &stats);
		assert_int_equal(stats.last_result, reap_cases[i].result);
		assert_int_equal(stats.n_reaped, reap_cases[i].result == 0);
		assert_int_equal(stats.n_pushed, 1);
		assert_int_equal(atomic_load(&script.n_calls), reap_cases[i].n_calls);
		if (reap_cases[i].answers[9] == -EAGAIN) /* with pauses, not in a hot loop */
			assert_true(stats.last_usec > 100 * USEC_PER_MSEC);
		assert_null(kill_reapers_free(reapers));
	}
}

static void *release_all_soon(void *userdata)
{
	(void)usleep(100000);
	for (int i = 0; i < 2 * KILL_REAP_QUEUE; i++)
		(void)sem_post(&script.go);
	return NULL;
}

static void test_reapers_queue_is_bounded_and_closed(void **state)
{
	struct kill_reapers *reapers = NULL;
	pthread_t thread;
	unsigned n_fds = count_fds();
	int priority_error;

	memset(&script, 0, sizeof(script));
	script.blocks = true;
	(void)sem_init(&script.go, 0, 0);
	assert_int_equal(kill_reapers_new(&script_ops, 1, &reapers, &priority_error), 0);
	assert_int_equal(kill_reapers_push(reapers, STDOUT_FILENO), 0);
	assert_true(wait_until(atomic_load(&script.n_calls) == 1));
	for (unsigned i = 0; i < KILL_REAP_QUEUE; i++)
		assert_int_equal(kill_reapers_push(reapers, STDOUT_FILENO), 0);
	assert_int_equal(kill_reapers_push(reapers, STDOUT_FILENO), -EAGAIN);
	assert_int_equal(kill_reapers_push(reapers, STDOUT_FILENO), -EAGAIN);
	assert_int_equal(count_fds(), n_fds + KILL_REAP_QUEUE + 1);

	/* one is done: room for one, around the end of the ring */
	(void)sem_post(&script.go);
	assert_true(wait_until(n_done(reapers) == 1));
	assert_true(wait_until(atomic_load(&script.n_calls) == 2));
	assert_int_equal(kill_reapers_push(reapers, STDOUT_FILENO), 0);
	assert_int_equal(kill_reapers_push(reapers, STDOUT_FILENO), -EAGAIN);

	/* freed while one is busy and the others wait: those are dropped */
	assert_int_equal(pthread_create(&thread, NULL, release_all_soon, NULL), 0);
	kill_reapers_free(reapers);
	(void)pthread_join(thread, NULL);
	assert_int_equal(count_fds(), n_fds);
	(void)sem_destroy(&script.go);
}

static void test_reapers_push_of_a_bad_fd(void **state)
{
	struct kill_reapers *reapers = NULL;
	struct kill_reap_stats stats;
	int priority_error;

	assert_int_equal(kill_reapers_new(&script_ops, 1, &reapers, &priority_error), 0);
	assert_int_equal(kill_reapers_push(reapers, -EBADF), -EBADF);
	kill_reapers_stats(reapers, &stats);
	assert_int_equal(stats.n_pushed, 0);
	kill_reapers_free(reapers);
	assert_null(kill_reapers_free(NULL));
}

/* Every push is reaped exactly once, by three threads that race for them. */
static void test_reapers_lose_nothing(void **state)
{
	const unsigned n = 5000;
	struct kill_reapers *reapers = NULL;
	unsigned n_fds = count_fds();
	struct kill_reap_stats stats;
	int priority_error;

	memset(&script, 0, sizeof(script));
	assert_int_equal(kill_reapers_new(&script_ops, 3, &reapers, &priority_error), 0);
	for (unsigned i = 0; i < n; i++)
		while (kill_reapers_push(reapers, STDOUT_FILENO) == -EAGAIN)
			(void)sched_yield();
	assert_true(wait_until(n_done(reapers) == n));
	kill_reapers_stats(reapers, &stats);
	assert_int_equal(stats.n_pushed, n);
	assert_int_equal(stats.n_reaped, n);
	assert_int_equal(atomic_load(&script.n_calls), n);
	kill_reapers_free(reapers);
	assert_int_equal(count_fds(), n_fds);
}

/* What the reaper threads themselves see. */
static struct {
	int policy, priority;
	char name[16];
	sigset_t blocked;
} seen;

static int looking_mrelease(int pidfd)
{
	struct sched_param param;

	(void)pthread_getschedparam(pthread_self(), &seen.policy, &param);
	seen.priority = param.sched_priority;
	(void)pthread_getname_np(pthread_self(), seen.name, sizeof(seen.name));
	(void)pthread_sigmask(SIG_SETMASK, NULL, &seen.blocked);
	return 0;
}

static void test_reapers_run_before_ordinary_processes(void **state)
{
	const struct kill_ops ops = { .process_mrelease = looking_mrelease };
	struct kill_reapers *reapers = NULL;
	int priority_error;

	assert_int_equal(kill_reapers_new(&ops, 1, &reapers, &priority_error), 0);
	assert_int_equal(kill_reapers_push(reapers, STDOUT_FILENO), 0);
	assert_true(wait_until(n_done(reapers) == 1));
	kill_reapers_free(reapers);
	assert_string_equal(seen.name, "reaper");
	assert_true(sigismember(&seen.blocked, SIGTERM));
	assert_true(sigismember(&seen.blocked, SIGCHLD));
	if (priority_error == 0) {
		assert_int_equal(seen.policy, SCHED_FIFO);
		assert_int_equal(seen.priority, KILL_REAPER_PRIORITY);
	} else {
		assert_int_equal(priority_error, -EPERM);
		assert_int_equal(seen.policy, SCHED_OTHER);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reapers_try_again_but_not_for_ever),
		cmocka_unit_test(test_reapers_queue_is_bounded_and_closed),
		cmocka_unit_test(test_reapers_push_of_a_bad_fd),
		cmocka_unit_test(test_reapers_lose_nothing),
		cmocka_unit_test(test_reapers_run_before_ordinary_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
