/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* precise: which reads come first, at which priority the thread reads, and how it is replaced. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/sys/precise.h"
#include "tests/precise-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* The thread, which is the one besides this. */
static pid_t other_thread(void)
{
	_cleanup_dir_ DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;
	pid_t tid = 0;

	while ((entry = readdir(dir)))
		if (atoi(entry->d_name) > 0 && atoi(entry->d_name) != getpid())
			tid = atoi(entry->d_name);
	return tid;
}

static atomic_bool is_spinning;

static void *spin(void *userdata)
{
	while (atomic_load(&is_spinning))
		;
	return NULL;
}

/* Keeps what is on the CPU from running, by a thread of higher class. */
static bool start_spinning(int cpu, pthread_t *ret)
{
	const struct sched_param param = { .sched_priority = 1 };
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	atomic_store(&is_spinning, true);
	assert_int_equal(pthread_create(ret, NULL, spin, NULL), 0);
	if (pthread_setaffinity_np(*ret, sizeof(one), &one) == 0 &&
	    pthread_setschedparam(*ret, SCHED_FIFO, &param) == 0)
		return true;
	atomic_store(&is_spinning, false);
	(void)pthread_join(*ret, NULL);
	return false;
}

static int last_cpu(const cpu_set_t *set)
{
	int cpu = CPU_SETSIZE - 1;

	while (cpu > 0 && !CPU_ISSET(cpu, set))
		cpu--;
	return cpu;
}

/* A request that was withdrawn before the thread took it keeps nothing busy. */
static void test_read_that_was_not_taken_leaves_the_thread_free(void **state)
{
	struct tree *tree = *state;
	struct reclaimable memory;
	cpu_set_t all, one, others;
	pthread_t spinner = pthread_self();
	pid_t tid;
	int r;

	assert_int_equal(precise_read(tree->precise, READABLE, 10 * USEC_PER_SEC, &memory), 0);
	tid = other_thread();
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	CPU_SET(last_cpu(&all), &one);
	CPU_XOR(&others, &all, &one);
	if (CPU_COUNT(&others) == 0 || sched_setaffinity(tid, sizeof(one), &one) < 0 ||
	    sched_setaffinity(0, sizeof(others), &others) < 0 ||
	    !start_spinning(last_cpu(&all), &spinner)) {
		(void)sched_setaffinity(0, sizeof(all), &all);
		print_message("SKIP: no second CPU, or no SCHED_FIFO\n");
		skip();
	}
	r = precise_read(tree->precise, READABLE, 5 * USEC_PER_MSEC, &memory);
	atomic_store(&is_spinning, false);
	(void)pthread_join(spinner, NULL);
	(void)sched_setaffinity(0, sizeof(all), &all);
	assert_true(r == 0 || r == PRECISE_LATE);

	for (int tries = 0; r == PRECISE_LATE && tries < 2000; tries++) {
		r = precise_read(tree->precise, 999, USEC_PER_SEC, &memory);
		if (r == PRECISE_LATE)
			(void)usleep(1000);
	}
	assert_true(r == PROC_GONE || r == 0); /* 0: it was taken after all */
}

/* Measurements by the hundred, with reads of all deadlines between them: nothing is lost. */
static void test_reads_and_measurements_mix(void **state)
{
	struct tree *tree = *state;
	struct reclaimable memory;
	unsigned n_asked = 0, n_collected = 0;
	uint64_t start_ticks;
	int result;
	pid_t pid;

	for (unsigned i = 0; i < 3000; i++) {
		if (precise_measure(tree->precise, i % 2 ? READABLE : 999, START) == 0)
			n_asked++;
		if (i % 7 == 0)
			(void)precise_read(tree->precise, READABLE, i % 3 * 50, &memory);
		while (precise_collect(tree->precise, &pid, &start_ticks, &result, &memory) == 1) {
			n_collected++;
			assert_int_equal(result, pid == READABLE ? 0 : PROC_GONE);
		}
	}
	for (; n_collected < n_asked; n_collected++)
		assert_int_equal(collect(tree, &pid, &result, &memory), 1);
	assert_int_equal(precise_collect(tree->precise, &pid, &start_ticks, &result, &memory), 0);
}

/* What is queued is read at normal priority; a thread that waits for it raises it. */
static void test_nice_level_is_that_of_the_waiting_thread(void **state)
{
	struct tree *tree = *state;
	struct reclaimable memory;
	pid_t tid;

	assert_int_equal(precise_read(tree->precise, READABLE, 10 * USEC_PER_SEC, &memory), 0);
	tid = other_thread();
	if (getpriority(PRIO_PROCESS, (id_t)tid) != -20) {
		print_message("SKIP: nice -20 is not permitted\n");
		skip();
	}
	assert_int_equal(precise_measure(tree->precise, HANGING, START), 0);
	wait_until_it_hangs(tree);
	assert_int_equal(getpriority(PRIO_PROCESS, (id_t)tid), 0);
	assert_int_equal(precise_read(tree->precise, READABLE, DEADLINE, &memory), PRECISE_LATE);
	assert_int_equal(getpriority(PRIO_PROCESS, (id_t)tid), -20);
	release(tree);
}

/* A process that was killed is kept by the read of it. */
static void test_hurry_raises_the_thread_that_reads_this_process(void **state)
{
	struct tree *tree = *state;
	struct reclaimable memory;
	int result, tries = 0;
	bool can_raise;
	pid_t pid, tid;

	assert_false(precise_hurry(NULL, HANGING));
	assert_int_equal(precise_read(tree->precise, READABLE, 10 * USEC_PER_SEC, &memory), 0);
	assert_false(precise_hurry(tree->precise, READABLE));
	tid = other_thread();
	can_raise = getpriority(PRIO_PROCESS, (id_t)tid) == -20;
	assert_int_equal(precise_measure(tree->precise, HANGING, START), 0);
	wait_until_it_hangs(tree);
	assert_false(precise_hurry(tree->precise, READABLE));
	if (can_raise)
		assert_int_equal(getpriority(PRIO_PROCESS, (id_t)tid), 0);
	assert_true(precise_hurry(tree->precise, HANGING));
	if (can_raise)
		assert_int_equal(getpriority(PRIO_PROCESS, (id_t)tid), -20);
	release(tree);
	assert_int_equal(collect(tree, &pid, &result, &memory), 1);
	assert_false(precise_hurry(tree->precise, HANGING));

	assert_int_equal(precise_read(tree->precise, HANGING2, DEADLINE, &memory), PRECISE_LATE);
	assert_true(precise_hurry(tree->precise, HANGING2));
	assert_false(precise_hurry(tree->precise, HANGING));
	release_one(tree, HANGING2);
	while (precise_hurry(tree->precise, HANGING2) && ++tries < 10000)
		(void)usleep(1000);
	assert_true(tries < 10000);
}

static void test_repeating_has_its_part_of_the_time(void **state)
{
	static const struct {
		usec_t spent, elapsed; /* ms */
		bool may_repeat;
	} rows[] = {
		{ 0, 0, true },		  { 50, 0, true },     { 51, 0, false },
		{ 60, 2000, true },	  { 61, 2000, false }, { 5050, 1000000, true },
		{ 5051, 1000000, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(precise_may_repeat(rows[i].spent * USEC_PER_MSEC,
						    rows[i].elapsed * USEC_PER_MSEC),
				 rows[i].may_repeat);
	assert_true(precise_may_measure_more(USEC_PER_SEC, 0));
	assert_false(precise_may_measure_more(USEC_PER_SEC + 1, 0));
	assert_true(precise_may_measure_more(2 * USEC_PER_SEC, 100 * USEC_PER_SEC));
	assert_false(precise_may_measure_more(2 * USEC_PER_SEC + 1, 100 * USEC_PER_SEC));
}

static void test_free_waits_for_a_late_answer(void **state)
{
	struct tree *tree = *state;
	struct reclaimable memory;

	assert_int_equal(precise_read(tree->precise, HANGING, DEADLINE, &memory), PRECISE_LATE);
	release(tree);
	free_precise(tree);
	assert_true(is_as_before(tree->before));
}

/* It may hang for ever: the caller continues after a second, the thread cleans up some day. */
static void test_free_does_not_wait_for_ever(void **state)
{
	struct tree *tree = *state;
	struct reclaimable memory;
	usec_t begin;

	assert_int_equal(precise_read(tree->precise, HANGING, DEADLINE, &memory), PRECISE_LATE);
	begin = now_usec();
	free_precise(tree);
	assert_in_range(now_usec() - begin, USEC_PER_SEC / 2, 3 * USEC_PER_SEC);
	assert_int_equal(count_fds_and_threads(), tree->before + 3);

	release(tree);
	assert_true(is_as_before(tree->before));
}

/* A thread that hangs is left behind; another one reads all but that process, until it is back. */
static void test_replaced_while_it_hangs(void **state)
{
	struct tree *tree = *state;
	struct reclaimable memory = { 0 };
	unsigned n_done, n_before;

	assert_int_equal(precise_is_at(tree->precise, &n_before), 0);
	assert_int_equal(precise_read(tree->precise, HANGING, DEADLINE, &memory), PRECISE_LATE);
	assert_int_equal(precise_is_at(tree->precise, &n_done), HANGING);
	assert_int_equal(n_done, n_before);
	assert_int_equal(precise_replace(&tree->precise), 0);
	assert_int_equal(precise_is_at(tree->precise, &n_done), 0);
	assert_int_equal(precise_read(tree->precise, READABLE, 10 * USEC_PER_SEC, &memory), 0);
	assert_int_equal(memory.anon, 1000 * KIB);
	assert_int_equal(precise_read(tree->precise, HANGING, 10 * USEC_PER_SEC, &memory),
			 PRECISE_LATE);
	assert_int_equal(precise_measure(tree->precise, HANGING, START), 0);
	assert_int_equal(precise_is_at(tree->precise, &n_done), 0);

	release(tree);
	free_precise(tree);
	assert_true(is_as_before(tree->before));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_read_that_was_not_taken_leaves_the_thread_free),
		TEST(test_reads_and_measurements_mix),
		TEST(test_nice_level_is_that_of_the_waiting_thread),
		TEST(test_hurry_raises_the_thread_that_reads_this_process),
		cmocka_unit_test(test_repeating_has_its_part_of_the_time),
		TEST(test_free_waits_for_a_late_answer),
		TEST(test_free_does_not_wait_for_ever),
		TEST(test_replaced_while_it_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
