/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * precise: a read that hangs is a FIFO in the place of smaps_rollup, which nobody has opened for
 * writing: open(2) waits, as a read of the real file does for the mmap lock.
 */
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/precise.h"
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

#define DEADLINE (50 * USEC_PER_MSEC)

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
			     "Anonymous:          1000 kB\n"
			     "Swap:                200 kB\n";

static int setup(void **state)
{
	static struct tree tree;
	int file;

	strcpy(tree.path, "/tmp/test-precise-XXXXXX");
	if (!mkdtemp(tree.path))
		return -1;
	tree.fd = open(tree.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (mkdirat(tree.fd, "100", 0755) < 0 || mkdirat(tree.fd, "200", 0755) < 0 ||
	    mkdirat(tree.fd, "300", 0755) < 0 || mkfifoat(tree.fd, "200/smaps_rollup", 0644) < 0)
		return -1;
	file = openat(tree.fd, "100/smaps_rollup", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (write(file, rollup, strlen(rollup)) < 0 || close(file) < 0)
		return -1;
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

static void test_read_gives_what_the_file_says(void **state)
{
	struct tree *tree = *state;
	struct proc_memory memory = { 0 };

	for (int i = 0; i < 3; i++)
		assert_int_equal(precise_read(tree->precise, READABLE, USEC_PER_SEC, &memory), 0);
	assert_int_equal(memory.anon, 1000 * KIB);
	assert_int_equal(memory.swap, 200 * KIB);
	assert_int_equal(precise_read(tree->precise, READABLE, USEC_INFINITY, &memory), 0);
}

static void test_read_passes_outcomes_on(void **state)
{
	struct tree *tree = *state;
	struct proc_memory memory = { .anon = 7 };

	assert_int_equal(precise_read(tree->precise, 999, USEC_PER_SEC, &memory), PROC_GONE);
	assert_int_equal(precise_read(tree->precise, EMPTY, USEC_PER_SEC, &memory), PROC_GONE);
	assert_int_equal(memory.anon, 7);
}

/* A writer comes: the read that hung (or is just about to) goes on; it may fail, nobody listens. */
static void let_go(const struct tree *tree)
{
	_cleanup_close_ int fd = -EBADF;

	for (int i = 0; fd < 0 && i < 2000; i++) { /* ENXIO: nobody reads yet */
		fd = openat(tree->fd, "200/smaps_rollup", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			(void)usleep(1000);
	}
	assert_return_code(fd, errno);
}

static void test_read_that_hangs_is_late_until_it_comes_back(void **state)
{
	struct tree *tree = *state;
	struct proc_memory memory = { .anon = 7 };
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
	let_go(tree);
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
	struct proc_memory memory;
	int good, late;

	fail_malloc = true;
	good = precise_read(tree->precise, READABLE, USEC_PER_SEC, &memory);
	late = precise_read(tree->precise, HANGING, 0, &memory);
	fail_malloc = false;
	assert_int_equal(good, 0);
	assert_int_equal(late, PRECISE_LATE);
	assert_int_equal(n_mallocs, 0);
	let_go(tree);
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
	struct proc_memory memory;

	assert_int_equal(precise_read(tree->precise, HANGING, DEADLINE, &memory), PRECISE_LATE);
	let_go(tree);
	free_precise(tree);
	assert_true(is_as_before(tree->before));
}

/* It may hang for ever: the caller goes on after a second, the thread cleans up some day. */
static void test_free_does_not_wait_for_ever(void **state)
{
	struct tree *tree = *state;
	struct proc_memory memory;
	usec_t begin;

	assert_int_equal(precise_read(tree->precise, HANGING, 0, &memory), PRECISE_LATE);
	begin = now_usec();
	free_precise(tree);
	assert_in_range(now_usec() - begin, USEC_PER_SEC / 2, 2 * USEC_PER_SEC);
	assert_int_equal(count_fds_and_threads(), tree->before + 2);

	let_go(tree);
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
	struct proc_memory before, after;
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

static void end_child(pid_t pid)
{
	(void)kill(pid, SIGKILL); /* our own, not yet waited for */
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_compare_tells_who_has_the_same_memory(void **state)
{
	struct tree *tree = *state;
	pid_t sharer = start_child(true), copy = start_child(false);
	const pid_t tids[] = { copy, sharer, getpid(), 0x3fffffff };
	int same[ARRAY_SIZE(tids)];

	fail_malloc = true;
	precise_compare(tree->precise, getpid(), tids, ARRAY_SIZE(tids), USEC_PER_SEC, same);
	fail_malloc = false;
	assert_int_equal(n_mallocs, 0);
	if (same[0] < 0) {
		print_message("SKIP: kcmp: %s\n", strerror(-same[0]));
		end_child(sharer);
		end_child(copy);
		skip();
	}
	assert_int_equal(same[0], 0);
	assert_int_equal(same[1], 1);
	assert_int_equal(same[2], 1);
	assert_int_equal(same[3], -ESRCH);
	end_child(sharer);
	precise_compare(tree->precise, getpid(), tids, 2, USEC_PER_SEC, same);
	assert_int_equal(same[1], -ESRCH);
	end_child(copy);
}

/* What the thread had no time for is not known; what it answers is right. */
static void test_compare_keeps_its_deadline(void **state)
{
	struct tree *tree = *state;
	struct proc_memory memory;
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
	assert_int_equal(precise_read(tree->precise, HANGING, 0, &memory), PRECISE_LATE);
	begin = now_usec();
	precise_compare(tree->precise, getpid(), tids, 2, 10 * USEC_PER_SEC, same);
	assert_true(now_usec() - begin < USEC_PER_SEC);
	assert_int_equal(same[0], -ETIMEDOUT);
	assert_int_equal(same[1], -ETIMEDOUT);
	let_go(tree);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_read_gives_what_the_file_says),
		TEST(test_read_passes_outcomes_on),
		TEST(test_read_that_hangs_is_late_until_it_comes_back),
		TEST(test_read_allocates_nothing),
		TEST(test_free_leaves_nothing_behind),
		TEST(test_free_waits_for_a_late_answer),
		TEST(test_free_does_not_wait_for_ever),
		TEST(test_compare_tells_who_has_the_same_memory),
		TEST(test_compare_keeps_its_deadline),
		cmocka_unit_test(test_new_refuses_a_bad_fd),
		cmocka_unit_test(test_real_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
