/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * precise: a read that hangs is a FIFO in the place of smaps_rollup, without a writer: open(2)
 * waits, as a read of the real file does for the mmap lock.
 */
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/sys/precise.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define READABLE 100
#define HANGING	 200
#define EMPTY	 300
#define HANGING2 400

/* So long that the thread has taken the request by then. */
#define DEADLINE (300 * USEC_PER_MSEC)

struct tree {
	char path[64];
	int fd;
	struct precise *precise;
	int before; /* fds and threads */
};

static int count_entries(const char *path)
{
	_cleanup_dir_ DIR *dir = opendir(path);
	int n = 0;

	while (readdir(dir))
		n++;
	return n;
}

static int count_fds_and_threads(void)
{
	return count_entries("/proc/self/fd") + count_entries("/proc/self/task");
}

/* A thread that was joined is seen a moment longer: exit_notify() comes after mm_release(). */
static bool is_as_before(int before)
{
	for (int i = 0; i < 2000 && count_fds_and_threads() != before; i++)
		(void)usleep(1000);
	return count_fds_and_threads() == before;
}

static usec_t now_usec(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (usec_t)now.tv_sec * USEC_PER_SEC + (usec_t)now.tv_nsec / 1000;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static const char rollup[] = "555555554000-7ffffffff000 ---p 00000000 00:00 0 [rollup]\n"
			     "Rss:                3000 kB\n"
			     "Pss_Anon:           1000 kB\n"
			     "Pss_File:            900 kB\n"
			     "Pss_Shmem:             0 kB\n"
			     "Private_Clean:         0 kB\n"
			     "Private_Dirty:      1000 kB\n"
			     "Anonymous:          1000 kB\n"
			     "Swap:                200 kB\n"
			     "SwapPss:             200 kB\n";
static const char status[] = "Name:\tx\nUid:\t0\t0\t0\t0\nVmPTE:\t 7 kB\nThreads:\t1\n";

/* What of READABLE starts at 54321. */
#define START 54321
static const char stat_text[] =
	"100 (x) S 1 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 54321 3133440 376 18446744073709551615\n";

static void put(int fd, const char *name, const char *text)
{
	_cleanup_close_ int file = openat(fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_int_equal(write(file, text, strlen(text)), strlen(text));
}

static int setup(void **state)
{
	static struct tree tree;

	strcpy(tree.path, "/tmp/test-precise-XXXXXX");
	if (!mkdtemp(tree.path))
		return -1;
	tree.fd = open(tree.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(tree.fd, "100", 0755) < 0 || mkdirat(tree.fd, "200", 0755) < 0 ||
	    mkdirat(tree.fd, "300", 0755) < 0 || mkdirat(tree.fd, "400", 0755) < 0 ||
	    mkfifoat(tree.fd, "200/smaps_rollup", 0644) < 0 ||
	    mkfifoat(tree.fd, "400/smaps_rollup", 0644) < 0)
		return -1;
	put(tree.fd, "100/smaps_rollup", rollup);
	put(tree.fd, "100/status", status);
	put(tree.fd, "100/stat", stat_text);
	tree.before = count_fds_and_threads();
	tree.precise = NULL;
	*state = &tree;
	return precise_new(tree.fd, &tree.precise);
}

static void free_precise(struct tree *tree)
{
	assert_null(precise_free(tree->precise));
	tree->precise = NULL;
}

static int teardown(void **state)
{
	struct tree *tree = *state;

	free_precise(tree);
	close(tree->fd);
	return nftw(tree->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

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

/* A writer opens it: the read that hung (or is just about to) continues; it may fail, its result is
 * not used. */
static void release_one(const struct tree *tree, pid_t pid)
{
	char path[32];
	_cleanup_close_ int fd = -EBADF;

	(void)snprintf(path, sizeof(path), "%d/smaps_rollup", pid);
	for (int i = 0; fd < 0 && i < 2000; i++) { /* ENXIO: no reader yet */
		fd = openat(tree->fd, path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			(void)usleep(1000);
	}
	assert_return_code(fd, errno);
}

static void release(const struct tree *tree)
{
	release_one(tree, HANGING);
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

/* Until the thread is in the read of HANGING, for which it has opened a directory. */
static void wait_until_it_hangs(const struct tree *tree)
{
	assert_true(is_as_before(tree->before + 3));
}

static int collect(struct tree *tree, pid_t *pid, int *result, struct reclaimable *ret)
{
	uint64_t start_ticks = 0;
	int r = 0;

	for (int i = 0; r == 0 && i < 5000; i++) {
		r = precise_collect(tree->precise, pid, &start_ticks, result, ret);
		if (r == 0)
			(void)usleep(1000);
	}
	if (r == 1)
		assert_in_range(start_ticks, START, START + 1);
	return r;
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

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
		TEST(test_read_that_was_not_taken_leaves_the_thread_free),
		TEST(test_reads_and_measurements_mix),
		TEST(test_nice_level_is_that_of_the_waiting_thread),
		TEST(test_hurry_raises_the_thread_that_reads_this_process),
		cmocka_unit_test(test_repeating_has_its_part_of_the_time),
		TEST(test_free_leaves_queued_ones),
		TEST(test_free_leaves_nothing_behind),
		TEST(test_free_waits_for_a_late_answer),
		TEST(test_free_does_not_wait_for_ever),
		TEST(test_replaced_while_it_hangs),
		TEST(test_compare_finds_what_has_the_same_memory),
		TEST(test_compare_keeps_its_deadline),
		cmocka_unit_test(test_new_refuses_a_bad_fd),
		cmocka_unit_test(test_real_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
