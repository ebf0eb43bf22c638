/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/sys/reclaimable.c: the reader on fixtures, and on files that are written here. */
#include <fcntl.h>
#include <ftw.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/sys/reclaimable.h"
#include "tests/fixture-fd.h"
#include "tests/reclaimable-fixture.h"
#include "tests/remove-entry.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void test_read_of_fixtures(void **state)
{
	static const struct {
		pid_t pid;
		int result;
		struct reclaimable wanted;
	} cases[] = {
		{ 812,
		  0,
		  { 100400 * KIB,
		    2048 * KIB,
		    0,
		    300 * KIB,
		    102748 * KIB,
		    100000 * KIB,
		    1000 * KIB,
		    2048 * KIB,
		    { .anon = 100400 * KIB,
		      .swap = 2048 * KIB,
		      .shared = 10000 * KIB,
		      .shmem = 1000 * KIB,
		      .pagetables = 300 * KIB } } },
		/* by the thread that lives */
		{ 900,
		  0,
		  { 8192 * KIB,
		    512 * KIB,
		    0,
		    60 * KIB,
		    8764 * KIB,
		    8192 * KIB,
		    0,
		    512 * KIB,
		    { .anon = 8192 * KIB,
		      .swap = 512 * KIB,
		      .shared = 3808 * KIB,
		      .pagetables = 60 * KIB } } },
		{ 1000, PROC_GONE },
		{ 1300, PROC_GONE },
		{ 1400, -EBADMSG },
		{ 4711, PROC_GONE },
	};
	_cleanup_close_ int proc_fd = fixture_fd("proc");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct reclaimable reclaimable = {};

		assert_int_equal(reclaimable_read(proc_fd, cases[i].pid, &reclaimable),
				 cases[i].result);
		assert_memory_equal(&reclaimable, &cases[i].wanted,
				    offsetof(struct reclaimable, full) +
					    sizeof(struct proc_memory));
	}
}

/* A proc directory with one process, 7, and files to be written. */
struct world {
	char path[64];
	int proc_fd;
};

static int setup(void **state)
{
	static struct world world;

	strcpy(world.path, "/tmp/test-reclaimable-XXXXXX");
	if (!mkdtemp(world.path))
		return -1;
	world.proc_fd = open(world.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*state = &world;
	return mkdirat(world.proc_fd, "7", 0700) < 0 ||
	       mkdirat(world.proc_fd, "7/task", 0700) < 0 ||
	       mkdirat(world.proc_fd, "7/task/7", 0700) < 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	close(world->proc_fd);
	return nftw(world->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void put(const struct world *world, const char *name, const char *text)
{
	_cleanup_close_ int fd =
		openat(world->proc_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

#define STAT                                                                                       \
	"7 (x) S 1 7 7 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 54321 3133440 376 18446744073709551615\n"
#define STATUS                                                                                     \
	"Name:\tx\nUid:\t0\t0\t0\t0\nVmPeak:\t 9 kB\nVmPTE:\t 3 kB\nVmSwap:\t 20 kB\nThreads:\t1\n"

static void check_read(const struct world *world, int result, uint64_t shmem)
{
	struct reclaimable reclaimable = {};

	assert_int_equal(reclaimable_read(world->proc_fd, 7, &reclaimable), result);
	assert_int_equal(reclaimable.shmem, shmem * KIB);
}

static void test_read_returns_gone_only_for_what_is(void **state)
{
	const struct world *world = *state;

	put(world, "7/stat", STAT);
	put(world, "7/task/7/stat", STAT);
	check_read(world, -EOPNOTSUPP, 0); /* it lives, and has no smaps_rollup */
	put(world, "7/smaps_rollup", ROLLUP);
	put(world, "7/maps", "1000-2000 rw-s 00000000 00:01 9 /memfd:x (deleted)\n");
	put(world, "7/status", STATUS);
	check_read(world, 0, 20);

	/* its memory is freed between two reads */
	put(world, "7/status", "Name:\tx\nUid:\t0\t0\t0\t0\nThreads:\t1\n");
	check_read(world, PROC_GONE, 0);
	put(world, "7/status", STATUS);
	put(world, "7/maps", "");
	check_read(world, PROC_GONE, 0);
	put(world, "7/maps", "1000-2000 rw-s 00000000\n");
	check_read(world, -EBADMSG, 0);
}

static uint64_t args_hash_of(const struct world *world, const char *args)
{
	struct reclaimable reclaimable = {};

	(void)unlinkat(world->proc_fd, "7/cmdline", 0);
	if (args)
		put(world, "7/cmdline", args);
	assert_int_equal(reclaimable_read(world->proc_fd, 7, &reclaimable), 0);
	return reclaimable.args_hash;
}

static void test_read_tells_arguments_apart(void **state)
{
	const struct world *world = *state;
	static char longer[64 * 1024];
	uint64_t hash;

	put(world, "7/stat", STAT);
	put(world, "7/smaps_rollup", ROLLUP);
	put(world, "7/maps", "1000-2000 rw-s 00000000 00:01 9 /memfd:x (deleted)\n");
	put(world, "7/status", STATUS);
	assert_int_equal(args_hash_of(world, NULL), 0);
	assert_int_equal(args_hash_of(world, ""), 0); /* a kernel thread, or none were passed */
	assert_int_not_equal(args_hash_of(world, "job 1"), 0);
	assert_int_equal(args_hash_of(world, "job 1"), args_hash_of(world, "job 1"));
	assert_int_not_equal(args_hash_of(world, "job 1"), args_hash_of(world, "job 2"));

	/* At their end. */
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 2] = '1';
	hash = args_hash_of(world, longer);
	longer[sizeof(longer) - 2] = '2';
	assert_int_not_equal(args_hash_of(world, longer), hash);
}

/* 4 MiB of smaps are read: here the half of the memory that is freed is known by the sizes. */
static void test_read_prorates_what_is_too_long(void **state)
{
	const struct world *world = *state;
	static char smaps[6 << 20];
	size_t n = 0;

	put(world, "7/stat", STAT);
	put(world, "7/smaps_rollup", ROLLUP);
	put(world, "7/status", STATUS);
	put(world, "7/maps",
	    "1000-2000 rw-s 00000000 00:01 9 /memfd:x (deleted)\n"
	    "2000-3000 rw-s 00000000 00:01 9 /dev/shm/linked\n");
	put(world, "7/smaps",
	    "1000-2000 rw-s 00000000 00:01 9 /memfd:x (deleted)\nRss: 9 kB\nPss: 5 kB\n"
	    "2000-3000 rw-s 00000000 00:01 9 /dev/shm/linked\nRss: 9 kB\nPss: 7 kB\n");
	check_read(world, 0, 5);
	while (n < sizeof(smaps) - 128)
		n += (size_t)snprintf(smaps + n, 128,
				      "1000-2000 rw-s 00000000 00:01 9 /memfd:x (deleted)\n");
	put(world, "7/smaps", smaps);
	check_read(world, 0, (20 + 10) / 2); /* 10 kB of swap are not VmSwap */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_of_fixtures),
		cmocka_unit_test_setup_teardown(test_read_returns_gone_only_for_what_is, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_read_tells_arguments_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_prorates_what_is_too_long, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
