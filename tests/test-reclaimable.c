/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/sys/reclaimable.c: the parser and the sums, by tables; the reader on fixtures.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/sys/reclaimable.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define ROLLUP                                                                                     \
	"1000-2000 ---p 00000000 00:00 0    [rollup]\nRss: 100 kB\nPss: 70 kB\nPss_Dirty: 50 kB\n" \
	"Pss_Anon: 40 kB\nPss_File: 10 kB\nPss_Shmem: 20 kB\nPrivate_Clean: 1 kB\n"                \
	"Private_Dirty: 2 kB\nAnonymous: 50 kB\nSwap: 30 kB\nSwapPss: 20 kB\n"

static void test_rollup_parse_reads_all(void **state)
{
	struct reclaimable_rollup rollup;

	assert_int_equal(reclaimable_rollup_parse(ROLLUP, &rollup), 0);
	assert_int_equal(rollup.rss, 100 * KIB);
	assert_int_equal(rollup.pss_anon, 40 * KIB);
	assert_int_equal(rollup.pss_file, 10 * KIB);
	assert_int_equal(rollup.pss_shmem, 20 * KIB);
	assert_int_equal(rollup.private_clean, 1 * KIB);
	assert_int_equal(rollup.private_dirty, 2 * KIB);
	assert_int_equal(rollup.anonymous, 50 * KIB);
	assert_int_equal(rollup.swap, 30 * KIB);
	assert_int_equal(rollup.swap_pss, 20 * KIB);
	assert_int_equal(rollup.locked, 0);
	assert_int_equal(reclaimable_rollup_parse(ROLLUP "Locked: 65 kB\n", &rollup), 0);
	assert_int_equal(rollup.locked, 65 * KIB);
	assert_int_equal(reclaimable_rollup_parse(ROLLUP "Locked: x kB\n", &rollup), -EBADMSG);
	assert_int_equal(rollup.lazy_free, 0);
	assert_int_equal(reclaimable_rollup_parse(ROLLUP "LazyFree: 50 kB\n", &rollup), 0);
	assert_int_equal(rollup.lazy_free, 50 * KIB);
	assert_int_equal(reclaimable_rollup_parse(ROLLUP "LazyFree: 51 kB\n", &rollup), -EBADMSG);
}

static void test_rollup_parse_refuses_what_contradicts_itself(void **state)
{
	static const struct {
		const char *from, *to;
		int result;
	} cases[] = {
		{ "Rss: 100", "Rss: 49", -EBADMSG },
		{ "Rss: 100", "Rss: 69", -EBADMSG },
		{ "Anonymous: 50", "Anonymous: 39", -EBADMSG },
		{ "SwapPss: 20", "SwapPss: 31", -EBADMSG },
		{ "Private_Dirty: 2", "Private_Dirty: 100", -EBADMSG },
		{ "Pss_Anon: 40", "Pss_Anon: 18446744073709551615", -EBADMSG },
		{ "Pss_Anon: 40 kB", "Pss_Anon: 40 MB", -EBADMSG },
		{ "Pss_Anon", "Xss_Anon", -EBADMSG }, /* the other two are there */
		{ "Pss_File", "Xss_File", -EBADMSG },
		{ "SwapPss", "XwapPss", -EBADMSG },
		{ "SwapPss: 20 kB\n", "SwapPss: 20 kB", -EBADMSG }, /* cut */
	};
	struct reclaimable_rollup rollup = { .rss = 7 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *at = strstr(ROLLUP, cases[i].from);
		char text[1024];

		assert_non_null(at);
		(void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - ROLLUP), ROLLUP,
			       cases[i].to, at + strlen(cases[i].from));
		if (reclaimable_rollup_parse(text, &rollup) != cases[i].result)
			fail_msg("%s", cases[i].to);
	}
	/* before 5.4 */
	assert_int_equal(reclaimable_rollup_parse("Rss: 9 kB\nPss: 9 kB\nPrivate_Clean: 1 kB\n"
						  "Private_Dirty: 2 kB\nAnonymous: 5 kB\n"
						  "Swap: 3 kB\nSwapPss: 3 kB\n",
						  &rollup),
			 -EOPNOTSUPP);
	assert_int_equal(rollup.rss, 7);
}

static void test_sum(void **state)
{
	static const struct {
		struct reclaimable_rollup rollup;
		struct reclaimable_shmem shmem;
		uint64_t vm_swap;
		uint64_t swap, dying, alone; /* .alone without the page tables */
		uint64_t lazy_free;	     /* its share */
		uint64_t full_swap;
	} cases[] = {
		/* all its own */
		{ { .rss = 120,
		    .pss_anon = 100,
		    .pss_file = 5,
		    .private_dirty = 100,
		    .anonymous = 100,
		    .swap = 8,
		    .swap_pss = 8 },
		  { RECLAIMABLE_NONE_DIES },
		  .vm_swap = 8,
		  .swap = 8,
		  .dying = 0,
		  .alone = 108,
		  .full_swap = 8 },
		/* half of it shared with a child: nothing is certain but what is private */
		{ { .rss = 120,
		    .pss_anon = 50,
		    .pss_file = 5,
		    .private_dirty = 0,
		    .anonymous = 100,
		    .swap = 8,
		    .swap_pss = 4 },
		  { RECLAIMABLE_NONE_DIES },
		  .vm_swap = 8,
		  .swap = 4,
		  .dying = 0,
		  .alone = 0,
		  .full_swap = 8 },
		/* 30 private, 60 shared by two: 2 * 60 - 90 */
		{ { .rss = 300,
		    .pss_anon = 60,
		    .pss_file = 100,
		    .private_clean = 30,
		    .anonymous = 90 },
		  { RECLAIMABLE_NONE_DIES },
		  .swap = 0,
		  .dying = 0,
		  .alone = 30,
		  .full_swap = 0 },
		/* 30 private, 200 shared by twenty: by Private_*, less what file may be */
		{ { .rss = 300,
		    .pss_anon = 40,
		    .pss_file = 3,
		    .private_clean = 10,
		    .private_dirty = 22,
		    .anonymous = 230 },
		  { RECLAIMABLE_NONE_DIES },
		  .swap = 0,
		  .dying = 0,
		  .alone = 29,
		  .full_swap = 0 },
		/* shared memory that is freed, that is not */
		{ { .rss = 120,
		    .pss_anon = 10,
		    .pss_shmem = 100,
		    .pss_file = 5,
		    .private_dirty = 110,
		    .anonymous = 10 },
		  { RECLAIMABLE_ALL_DIES },
		  .swap = 0,
		  .dying = 100,
		  .alone = 105,
		  .full_swap = 0 },
		{ { .rss = 120,
		    .pss_anon = 10,
		    .pss_shmem = 100,
		    .pss_file = 5,
		    .private_dirty = 110,
		    .anonymous = 10 },
		  { RECLAIMABLE_NONE_DIES },
		  .swap = 0,
		  .dying = 0,
		  .alone = 10,
		  .full_swap = 0 },
		/* half of it is freed, and 7 of that is swapped: not certain to be its alone */
		{ { .rss = 120,
		    .pss_anon = 10,
		    .pss_shmem = 100,
		    .pss_file = 5,
		    .private_dirty = 110,
		    .anonymous = 10,
		    .swap = 20,
		    .swap_pss = 8 },
		  { RECLAIMABLE_SUMMED, .pss = 50, .private = 40, .swap = 7, .swap_mapped = 12 },
		  .vm_swap = 8,
		  .swap = 8,
		  .dying = 57,
		  .alone = 58,
		  .full_swap = 8 },
		/* smaps of another moment: no more than the rollup has */
		{ { .rss = 120,
		    .pss_anon = 10,
		    .pss_shmem = 100,
		    .pss_file = 5,
		    .private_dirty = 110,
		    .anonymous = 10,
		    .swap = 1 },
		  { RECLAIMABLE_SUMMED, .pss = 900, .private = 900, .swap = 900,
		    .swap_mapped = 900 },
		  .vm_swap = 1,
		  .swap = 0,
		  .dying = 101,
		  .alone = 110,
		  .full_swap = 0 },
		/* a quarter by size, of what is swapped too, as far as it is not anonymous */
		{ { .rss = 120,
		    .pss_anon = 10,
		    .pss_shmem = 100,
		    .pss_file = 5,
		    .private_dirty = 110,
		    .anonymous = 10,
		    .swap = 52,
		    .swap_pss = 8 },
		  { RECLAIMABLE_PRORATED, .permyriad = 2500 },
		  .vm_swap = 12,
		  .swap = 8,
		  .dying = 35,
		  .alone = 10,
		  .full_swap = 12 },
		/* a locked file of 600 of which it is the only user, and libraries */
		{ { .rss = 660,
		    .pss_anon = 20,
		    .pss_file = 605,
		    .private_clean = 602,
		    .private_dirty = 20,
		    .anonymous = 20,
		    .locked = 600 },
		  { RECLAIMABLE_NONE_DIES },
		  .dying = 590,
		  .alone = 597 },
		/* the same with more of anonymous memory; by smaps, all of the file is locked */
		{ { .rss = 960,
		    .pss_anon = 300,
		    .pss_file = 605,
		    .private_clean = 602,
		    .private_dirty = 300,
		    .anonymous = 300,
		    .locked = 600 },
		  { RECLAIMABLE_NONE_DIES, .knows_locked = true, .locked_file = 600,
		    .locked_private = 600 },
		  .dying = 600,
		  .alone = 900 },
		/* or none of it */
		{ { .rss = 960,
		    .pss_anon = 600,
		    .pss_file = 305,
		    .private_clean = 302,
		    .private_dirty = 600,
		    .anonymous = 600,
		    .locked = 600 },
		  { RECLAIMABLE_NONE_DIES, .knows_locked = true },
		  .dying = 0,
		  .alone = 600 },
		/* smaps of another moment */
		{ { .rss = 960,
		    .pss_anon = 600,
		    .pss_file = 305,
		    .private_clean = 302,
		    .private_dirty = 600,
		    .anonymous = 600,
		    .locked = 100 },
		  { RECLAIMABLE_NONE_DIES, .knows_locked = true, .locked_file = 900,
		    .locked_private = 900 },
		  .dying = 100,
		  .alone = 700 },
		/* the same, locked by two */
		{ { .rss = 660,
		    .pss_anon = 20,
		    .pss_file = 305,
		    .private_clean = 2,
		    .private_dirty = 20,
		    .anonymous = 20,
		    .locked = 300 },
		  { RECLAIMABLE_NONE_DIES },
		  .dying = 290,
		  .alone = 20 },
		/* all is locked; its shared memory is freed, too */
		{ { .rss = 180,
		    .pss_anon = 10,
		    .pss_file = 60,
		    .pss_shmem = 100,
		    .private_dirty = 170,
		    .anonymous = 10,
		    .locked = 170 },
		  { RECLAIMABLE_ALL_DIES },
		  .dying = 160,
		  .alone = 170 },
		/* anonymous memory is locked, or a file: the middle */
		{ { .rss = 180,
		    .pss_anon = 100,
		    .pss_file = 60,
		    .private_dirty = 160,
		    .anonymous = 100,
		    .locked = 100 },
		  { RECLAIMABLE_NONE_DIES },
		  .dying = 30,
		  .alone = 100 },
		/* three quarters were freed */
		{ { .rss = 180,
		    .pss_anon = 100,
		    .pss_file = 60,
		    .private_dirty = 100,
		    .anonymous = 100,
		    .lazy_free = 75 },
		  { RECLAIMABLE_NONE_DIES },
		  .lazy_free = 75,
		  .alone = 25 },
		/* the same, all is shared by two */
		{ { .rss = 180, .pss_anon = 50, .pss_file = 60, .anonymous = 100, .lazy_free = 75 },
		  { RECLAIMABLE_NONE_DIES },
		  .lazy_free = 37,
		  .alone = 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct proc_status status = {
			.has_mm = true,
			.pagetable_bytes = 3,
			.swap_bytes = cases[i].vm_swap,
			.rss_anon = 11,
			.rss_shmem = 12,
		};
		struct reclaimable r;

		reclaimable_sum(&cases[i].rollup, &status, &cases[i].shmem, &r);
		assert_int_equal(r.anon, cases[i].rollup.pss_anon - cases[i].lazy_free);
		assert_int_equal(r.swap, cases[i].swap);
		assert_int_equal(r.shmem, cases[i].dying);
		assert_int_equal(r.pagetables, 3);
		assert_int_equal(r.rss_anon, 11);
		assert_int_equal(r.rss_shmem, 12);
		assert_int_equal(r.all_swap, cases[i].vm_swap);
		assert_int_equal(r.alone, cases[i].alone + 3);
		assert_true(r.alone <= reclaimable_total(&r));
		assert_true(r.anon <= r.full.anon && r.swap <= r.full.swap);
		assert_true(r.shmem <= r.full.shmem && r.pagetables == r.full.pagetables);
		assert_int_equal(r.full.swap, cases[i].full_swap);
	}
}

static int fixture_fd(const char *name)
{
	const char *fixtures = getenv("FIXTURES");
	char path[4096];
	int fd;

	assert_non_null(fixtures);
	(void)snprintf(path, sizeof(path), "%s/%s", fixtures, name);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

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

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
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
		cmocka_unit_test(test_rollup_parse_reads_all),
		cmocka_unit_test(test_rollup_parse_refuses_what_contradicts_itself),
		cmocka_unit_test(test_sum),
		cmocka_unit_test(test_read_of_fixtures),
		cmocka_unit_test_setup_teardown(test_read_returns_gone_only_for_what_is, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_read_prorates_what_is_too_long, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
