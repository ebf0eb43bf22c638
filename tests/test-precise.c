/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * precise: a read that hangs is a FIFO in the place of smaps_rollup, without a writer: open(2)
 * waits, as a read of the real file does for the mmap lock.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/sys/precise.h"
#include "tests/fail-malloc.h"
#include "tests/precise-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define EMPTY 300

static void test_read_returns_what_the_file_says(void **state)
{
	struct tree *tree = *state;
	struct reclaimable memory = { 0 };

	for (int i = 0; i < 3; i++)
		assert_int_equal(precise_read(tree->precise, READABLE, USEC_PER_SEC, &memory), 0);
	assert_int_equal(memory.anon, 1000 * KIB);
	assert_int_equal(memory.swap, 200 * KIB);
	assert_int_equal(memory.pagetables, 7 * KIB);
	assert_int_equal(precise_read(tree->precise, READABLE, USEC_INFINITY, &memory), 0);
}

static void test_read_passes_outcomes_on(void **state)
{
	struct tree *tree = *state;
	struct reclaimable memory = { .anon = 7 };

	assert_int_equal(precise_read(tree->precise, 999, USEC_PER_SEC, &memory), PROC_GONE);
	assert_int_equal(precise_read(tree->precise, EMPTY, USEC_PER_SEC, &memory), PROC_GONE);
	assert_int_equal(memory.anon, 7);
}

static void test_read_that_hangs_is_late_until_it_returns(void **state)
{
	struct tree *tree = *state;
	struct reclaimable memory = { .anon = 7 };
	usec_t begin = now_usec(), took;
	int r, tries = 0;

	assert_int_equal(precise_read(tree->precise, HANGING, DEADLINE, &memory), PRECISE_LATE);
	took = now_usec() - begin;
	assert_true(took >= DEADLINE);
	assert_true(took < DEADLINE + USEC_PER_SEC);

	/* at once, however long the deadline */
	begin = now_usec();
	assert_int_equal(precise_read(tree->precise, READABLE, 10 * USEC_PER_SEC, &memory),
			 PRECISE_LATE);
	assert_true(now_usec() - begin < USEC_PER_SEC);
	assert_int_equal(memory.anon, 7);

	/* the late answer is dropped: the next is that of its own question */
	release(tree);
	while ((r = precise_read(tree->precise, READABLE, USEC_PER_SEC, &memory)) == PRECISE_LATE &&
	       ++tries < 2000)
		(void)usleep(1000);
	assert_int_equal(r, 0);
	assert_int_equal(memory.anon, 1000 * KIB);
	assert_int_equal(precise_read(tree->precise, 999, USEC_PER_SEC, &memory), PROC_GONE);
}

static void test_read_allocates_nothing(void **state)
{
	struct tree *tree = *state;
	struct reclaimable memory;
	int good, late;

	fail_malloc = true;
	good = precise_read(tree->precise, READABLE, USEC_PER_SEC, &memory);
	late = precise_read(tree->precise, HANGING, DEADLINE, &memory);
	fail_malloc = false;
	assert_int_equal(good, 0);
	assert_int_equal(late, PRECISE_LATE);
	assert_int_equal(n_mallocs, 0);
	release(tree);
}

static void test_measured_in_order_and_by_start_time(void **state)
{
	static const struct {
		pid_t pid;
		uint64_t start_ticks;
		int result;
	} cases[] = {
		{ READABLE, START, 0 },
		{ READABLE, START + 1, PROC_GONE }, /* the pid is another's now */
		{ 999, START, PROC_GONE },
		{ EMPTY, START, PROC_GONE },
		{ READABLE, START, 0 },
	};
	struct tree *tree = *state;
	struct reclaimable memory;
	pid_t pid = 0;
	int result = 0, asked = 0;

	assert_int_equal(precise_collect(tree->precise, &pid, &(uint64_t){ 0 }, &result, &memory),
			 0);
	fail_malloc = true;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		asked |= precise_measure(tree->precise, cases[i].pid, cases[i].start_ticks);
	fail_malloc = false;
	assert_int_equal(asked, 0);
	assert_int_equal(n_mallocs, 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		memory = (struct reclaimable){ .anon = 7 };
		assert_int_equal(collect(tree, &pid, &result, &memory), 1);
		assert_int_equal(pid, cases[i].pid);
		assert_int_equal(result, cases[i].result);
		assert_int_equal(memory.anon, result == 0 ? 1000 * KIB : 7);
	}
	assert_int_equal(precise_collect(tree->precise, &pid, &(uint64_t){ 0 }, &result, &memory),
			 0);
}

static void test_measure_refuses_more_than_the_queue_holds(void **state)
{
	struct tree *tree = *state;
	struct reclaimable memory;
	int result = -1;
	pid_t pid;

	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < PRECISE_QUEUE_MAX; i++)
			assert_int_equal(precise_measure(tree->precise, READABLE, START), 0);
		assert_int_equal(precise_measure(tree->precise, READABLE, START), -EBUSY);
		assert_int_equal(collect(tree, &pid, &result, &memory), 1);
		assert_int_equal(precise_measure(tree->precise, READABLE, START), 0);
		for (unsigned i = 0; i < PRECISE_QUEUE_MAX; i++)
			assert_int_equal(collect(tree, &pid, &result, &memory), 1);
		assert_int_equal(result, 0);
	}
}

static void *release_soon(void *userdata)
{
	(void)usleep(20000);
	release(userdata);
	return NULL;
}

/* What is waited for waits for the one measurement under way, and overtakes the next, which would
 * never come to an end. */
static void test_read_overtakes_what_is_queued(void **state)
{
	struct tree *tree = *state;
	struct reclaimable memory;
	pthread_t thread;
	int result = 7;
	pid_t pid = 0;

	assert_int_equal(precise_measure(tree->precise, HANGING, START), 0);
	wait_until_it_hangs(tree);
	assert_int_equal(precise_measure(tree->precise, HANGING2, START), 0);
	assert_int_equal(precise_measure(tree->precise, READABLE, START), 0);
	assert_int_equal(pthread_create(&thread, NULL, release_soon, tree), 0);
	assert_int_equal(precise_read(tree->precise, READABLE, 10 * USEC_PER_SEC, &memory), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);

	assert_int_equal(collect(tree, &pid, &result, &memory), 1);
	assert_int_equal(pid, HANGING);
	assert_int_equal(precise_collect(tree->precise, &pid, &(uint64_t){ 0 }, &result, &memory),
			 0);
	release_one(tree, HANGING2);
	assert_int_equal(collect(tree, &pid, &result, &memory), 1);
	assert_int_equal(pid, HANGING2);
	assert_int_equal(collect(tree, &pid, &result, &memory), 1);
	assert_int_equal(pid, READABLE);
	assert_int_equal(result, 0);
}

/* A measurement that hangs: reads are late, the second one at once; nothing of the queue is lost.
 */
static void test_measurement_that_hangs_blocks_no_caller(void **state)
{
	struct tree *tree = *state;
	struct reclaimable memory = { .anon = 7 };
	int result = 7, r, tries = 0;
	usec_t begin;
	pid_t pid;

	assert_int_equal(precise_measure(tree->precise, HANGING, START), 0);
	wait_until_it_hangs(tree);
	assert_int_equal(precise_measure(tree->precise, READABLE, START), 0);
	assert_int_equal(precise_read(tree->precise, READABLE, DEADLINE, &memory), PRECISE_LATE);
	begin = now_usec();
	assert_int_equal(precise_read(tree->precise, READABLE, 60 * USEC_PER_SEC, &memory),
			 PRECISE_LATE);
	assert_true(now_usec() - begin < 30 * USEC_PER_SEC);
	assert_int_equal(precise_measure(tree->precise, READABLE, START), -EBUSY);
	assert_int_equal(precise_collect(tree->precise, &pid, &(uint64_t){ 0 }, &result, &memory),
			 0);
	assert_int_equal(memory.anon, 7);

	release(tree);
	while ((r = precise_read(tree->precise, READABLE, USEC_PER_SEC, &memory)) == PRECISE_LATE &&
	       ++tries < 2000)
		(void)usleep(1000);
	assert_int_equal(r, 0);
	assert_int_equal(collect(tree, &pid, &result, &memory), 1);
	assert_int_equal(pid, HANGING);
	assert_int_equal(collect(tree, &pid, &result, &memory), 1);
	assert_int_equal(pid, READABLE);
	assert_int_equal(result, 0);
	assert_int_equal(precise_measure(tree->precise, READABLE, START), 0);
	assert_int_equal(collect(tree, &pid, &result, &memory), 1);
}

static void test_free_leaves_queued_ones(void **state)
{
	struct tree *tree = *state;

	for (unsigned i = 0; i < PRECISE_QUEUE_MAX; i++)
		(void)precise_measure(tree->precise, READABLE, START);
	free_precise(tree);
	assert_true(is_as_before(tree->before));
}

static void test_free_leaves_nothing_behind(void **state)
{
	struct tree *tree = *state;

	assert_int_equal(count_fds_and_threads(), tree->before + 2);
	free_precise(tree);
	assert_true(is_as_before(tree->before));
	assert_null(precise_free(NULL));
}

static void test_new_refuses_a_bad_fd(void **state)
{
	struct precise *precise = NULL;

	assert_int_equal(precise_new(-EBADF, &precise), -EBADF);
	assert_null(precise);
}

/* The real thing: this process, which holds what it has touched. */
static void test_real_process(void **state)
{
	_cleanup_close_ int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct reclaimable before, after;
	struct precise *precise = NULL;
	void *p;

	assert_int_equal(precise_new(proc_fd, &precise), 0);
	assert_int_equal(precise_read(precise, getpid(), 2 * USEC_PER_SEC, &before), 0);
	p = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	memset(p, 1, 32 * MIB);
	assert_int_equal(precise_read(precise, getpid(), 2 * USEC_PER_SEC, &after), 0);
	assert_true(after.anon + after.swap >= before.anon + before.swap + 32 * MIB);
	(void)munmap(p, 32 * MIB);
	precise_free(precise);
}

static int sleep_child(void *arg)
{
	for (;;)
		(void)pause();
	return 0;
}

/* A child of this process, with its memory or a copy of it. */
static pid_t start_child(bool shares)
{
	static char stack[65536] __attribute__((aligned(64)));
	pid_t pid =
		clone(sleep_child, stack + sizeof(stack), (shares ? CLONE_VM : 0) | SIGCHLD, NULL);

	assert_return_code(pid, errno);
	return pid;
}

static void kill_child(pid_t pid)
{
	(void)kill(pid, SIGKILL); /* our own, not yet waited for */
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_compare_finds_what_has_the_same_memory(void **state)
{
	struct tree *tree = *state;
	pid_t sharer, copy;
	pid_t tids[] = { 0, 0, getpid(), 0x3fffffff };
	int same[ARRAY_SIZE(tids)];

	if (HAS_THREAD_SANITIZER) {
		print_message("SKIP: ThreadSanitizer takes CLONE_VM for fork(2)\n");
		skip();
	}
	tids[0] = copy = start_child(false);
	tids[1] = sharer = start_child(true);
	fail_malloc = true;
	precise_compare(tree->precise, getpid(), tids, ARRAY_SIZE(tids), USEC_PER_SEC, same);
	fail_malloc = false;
	assert_int_equal(n_mallocs, 0);
	if (same[0] < 0) {
		print_message("SKIP: kcmp: %s\n", strerror(-same[0]));
		kill_child(sharer);
		kill_child(copy);
		skip();
	}
	assert_int_equal(same[0], 0);
	assert_int_equal(same[1], 1);
	assert_int_equal(same[2], 1);
	assert_int_equal(same[3], -ESRCH);
	kill_child(sharer);
	precise_compare(tree->precise, getpid(), tids, 2, USEC_PER_SEC, same);
	assert_int_equal(same[1], -ESRCH);
	kill_child(copy);
}

/* What the thread had no time for is not known; what it answers is right. */
static void test_compare_keeps_its_deadline(void **state)
{
	struct tree *tree = *state;
	struct reclaimable memory;
	pid_t tids[PRECISE_COMPARE_MAX];
	int same[PRECISE_COMPARE_MAX];
	usec_t begin;

	for (unsigned i = 0; i < PRECISE_COMPARE_MAX; i++)
		tids[i] = 0x3fffffff;
	for (int round = 0; round < 100; round++) {
		precise_compare(tree->precise, getpid(), tids, PRECISE_COMPARE_MAX, 0, same);
		for (unsigned i = 0; i < PRECISE_COMPARE_MAX; i++)
			assert_true(same[i] == -ETIMEDOUT || same[i] == -ESRCH ||
				    same[i] == -ENOSYS || same[i] == -EPERM);
	}

	/* the thread hangs in another's question */
	while (precise_read(tree->precise, READABLE, USEC_PER_SEC, &memory) == PRECISE_LATE)
		;
	assert_int_equal(precise_read(tree->precise, HANGING, DEADLINE, &memory), PRECISE_LATE);
	begin = now_usec();
	precise_compare(tree->precise, getpid(), tids, 2, 10 * USEC_PER_SEC, same);
	assert_true(now_usec() - begin < USEC_PER_SEC);
	assert_int_equal(same[0], -ETIMEDOUT);
	assert_int_equal(same[1], -ETIMEDOUT);
	release(tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_read_returns_what_the_file_says),
		TEST(test_read_passes_outcomes_on),
		TEST(test_read_that_hangs_is_late_until_it_returns),
		TEST(test_read_allocates_nothing),
		TEST(test_measured_in_order_and_by_start_time),
		TEST(test_measure_refuses_more_than_the_queue_holds),
		TEST(test_read_overtakes_what_is_queued),
		TEST(test_measurement_that_hangs_blocks_no_caller),
		TEST(test_free_leaves_queued_ones),
		TEST(test_free_leaves_nothing_behind),
		TEST(test_compare_finds_what_has_the_same_memory),
		TEST(test_compare_keeps_its_deadline),
		cmocka_unit_test(test_new_refuses_a_bad_fd),
		cmocka_unit_test(test_real_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
