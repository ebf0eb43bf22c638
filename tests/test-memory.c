/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory: what is made of the kernel's numbers, and that libproc2 gives them.
 *
 * libproc2 reads the machine's own /proc; so the fixtures are bound over it, in a mount namespace
 * of a child (root's, or in a user namespace of its own).
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/memory.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define PAGE 4096

static void test_evaluate_counts_what_can_be_given_back(void **state)
{
	struct memory_counters c = {
		.total = 1000 * MIB,
		.available = 400 * MIB,
		.slab_unreclaimable = 40 * MIB,
		.percpu = 10 * MIB,
		.allocated_pages = 7,
		.freed_pages = 5,
	};
	struct memory_reading r;

	memory_evaluate(&c, PAGE, &r);
	assert_int_equal(r.total, 950 * MIB);
	assert_int_equal(r.available, 400 * MIB);
	assert_int_equal(r.allocated, 7 * PAGE);
	assert_int_equal(r.freed, 5 * PAGE);
	assert_int_equal(memory_available_permyriad(&r), 4210);
	assert_int_equal(memory_swap_free_permyriad(&r), 0); /* no swap: exhausted */
}

/* Half of the machine is a huge-page pool: percentages are of the rest. */
static void test_evaluate_leaves_out_the_huge_page_pool(void **state)
{
	struct memory_counters c = {
		.total = 8 * GIB,
		.available = 400 * MIB,
		.hugetlb = 4 * GIB,
	};
	struct memory_reading r;

	memory_evaluate(&c, PAGE, &r);
	assert_int_equal(r.total, 4 * GIB);
	assert_int_equal(memory_available_permyriad(&r), 976);
}

static void test_evaluate_never_divides_by_next_to_nothing(void **state)
{
	struct memory_counters c = {
		.total = 8 * GIB,
		.available = 100 * MIB,
		.hugetlb = 7 * GIB,
		.slab_unreclaimable = 2 * GIB,
	};
	struct memory_reading r;

	memory_evaluate(&c, PAGE, &r);
	assert_int_equal(r.total, GIB);
}

static void test_evaluate_counts_arc_as_available(void **state)
{
	struct memory_counters c = {
		.total = 16 * GIB,
		.available = 2 * GIB,
		.slab_unreclaimable = 9 * GIB,
		.arc_size = 8 * GIB,
		.arc_min = GIB,
	};
	struct memory_reading r;

	memory_evaluate(&c, PAGE, &r);
	assert_int_equal(r.available, 9 * GIB);
	assert_int_equal(r.total, 14 * GIB);
	c.arc_size = GIB / 2; /* below its minimum: nothing to give */
	memory_evaluate(&c, PAGE, &r);
	assert_int_equal(r.available, 2 * GIB);
}

static void test_evaluate_counts_the_lists_of_free_pages(void **state)
{
	struct memory_counters c = {
		.total = 1000 * MIB,
		.available = 50 * MIB,
		.slab_unreclaimable = 100 * MIB,
		.free_listed = 120 * MIB,
	};
	struct memory_reading r;

	memory_evaluate(&c, PAGE, &r);
	assert_int_equal(r.available, 170 * MIB);
	c.free_listed = 2000 * MIB; /* never more than there is */
	memory_evaluate(&c, PAGE, &r);
	assert_int_equal(r.available, 900 * MIB);
}

static void test_evaluate_zram_counts_by_what_it_gives_back(void **state)
{
	static const struct {
		uint64_t disk_mib, free_mib; /* of all swap */
		uint64_t stored_mib, used_mib;
		uint64_t expected_free_mib;
	} rows[] = {
		{ 0, 512, 0, 0, 307 },		/* nothing stored yet: 40 % is assumed */
		{ 0, 256, 256, 128, 128 },	/* 2:1, half full */
		{ 0, 256, 256, 256, 0 },	/* does not compress: no use */
		{ 0, 256, 256, 300, 0 },	/* costs more than it holds */
		{ 0, 0, 512, 128, 0 },		/* full */
		{ 1024, 1280, 256, 128, 1152 }, /* a disk beside it counts whole */
		{ 1024, 100, 256, 128, 50 },	/* what is free is on zram, at most */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memory_counters c = {
			.total = GIB,
			.swap_total = (512 + rows[i].disk_mib) * MIB,
			.swap_free = rows[i].free_mib * MIB,
			.zram_disksize = 512 * MIB,
			.zram_stored = rows[i].stored_mib * MIB,
			.zram_used = rows[i].used_mib * MIB,
		};
		struct memory_reading r;

		memory_evaluate(&c, PAGE, &r);
		if (r.swap_free / MIB != rows[i].expected_free_mib)
			fail_msg("row %zu: %llu MiB", i, (unsigned long long)(r.swap_free / MIB));
		assert_int_equal(r.swap_total, c.swap_total);
	}
}

/* In a child: a fixture's files over those of /proc; false where that is not permitted. */
static bool put_on_fixture(const char *fixture)
{
	static const char *const files[] = { "meminfo", "vmstat" };
	char path[4096], target[64];

	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return false;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/memory/%s/proc/%s", getenv("FIXTURES"), fixture,
			 files[i]);
		snprintf(target, sizeof(target), "/proc/%s", files[i]);
		if (mount(path, target, NULL, MS_BIND, NULL) < 0)
			return false;
	}
	return true;
}

static int open_fixture(const char *fixture, const char *directory)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/memory/%s/%s", getenv("FIXTURES"), fixture, directory);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Samples the fixture in a child and gets the reading back by a pipe. */
static void sample_fixture_by(int (*sample)(struct memory_source *, struct memory_reading *),
			      const char *fixture, struct memory_reading *ret)
{
	int pipe_fds[2], status;
	pid_t pid;

	assert_non_null(getenv("FIXTURES"));
	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct memory_source *source = NULL;
		struct memory_reading r = { 0 };

		if (!put_on_fixture(fixture))
			_exit(77);
		if (memory_source_new(open_fixture(fixture, "proc"), open_fixture(fixture, "sys"),
				      &source) < 0 ||
		    sample(source, &r) < 0)
			_exit(1);
		memory_source_free(source);
		_exit(write(pipe_fds[1], &r, sizeof(r)) == sizeof(r) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(pipe_fds[1]);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		close(pipe_fds[0]);
		print_message("SKIP: no mount namespace may be made here\n");
		skip();
	}
	assert_int_equal(status, 0);
	assert_int_equal(read(pipe_fds[0], ret, sizeof(*ret)), sizeof(*ret));
	close(pipe_fds[0]);
}

static void sample_fixture(const char *fixture, struct memory_reading *ret)
{
	sample_fixture_by(memory_sample, fixture, ret);
}

static void test_sample_without_swap(void **state)
{
	struct memory_reading r;

	sample_fixture("no-swap", &r);
	assert_int_equal(r.counters.total, 1000000 * KIB);
	assert_int_equal(r.total, 950000 * KIB);
	assert_int_equal(r.available, 400000 * KIB);
	assert_int_equal(r.counters.free, 300000 * KIB);
	assert_int_equal(r.counters.anon, 350000 * KIB);
	assert_int_equal(r.counters.shmem, 8000 * KIB);
	assert_int_equal(r.swap_total, 0);
	assert_int_equal(r.counters.allocated_pages, 201040);
	assert_int_equal(r.counters.freed_pages, 5);
	assert_int_equal(r.counters.oom_kills, 2);
}

/* 17, 1444, 19522 and 30001 pages; a number lies across two reads. */
static void test_sample_counts_the_lists_of_free_pages(void **state)
{
	struct memory_reading r;

	sample_fixture("free-lists", &r);
	assert_int_equal(r.counters.free_listed, 50984 * sysconf(_SC_PAGESIZE));
	assert_int_equal(r.available, 50000 * KIB + r.counters.free_listed);
}

/* In calm, with 40 % available, they are left out; with 5 % they are not. */
static void test_sample_levels_leaves_the_lists_out_while_there_is_much(void **state)
{
	struct memory_reading r;

	sample_fixture_by(memory_sample_levels, "free-lists-calm", &r);
	assert_int_equal(r.available, 400000 * KIB);
	sample_fixture_by(memory_sample, "free-lists-calm", &r);
	assert_int_equal(r.available, 400000 * KIB + 50984 * sysconf(_SC_PAGESIZE));
	sample_fixture_by(memory_sample_levels, "free-lists", &r);
	assert_int_equal(r.available, 50000 * KIB + 50984 * sysconf(_SC_PAGESIZE));
}

static void test_sample_with_swap_and_huge_pages(void **state)
{
	struct memory_reading r;

	sample_fixture("with-swap", &r);
	assert_int_equal(r.total, (8000000 - 4000000 - 100000) * KIB);
	assert_int_equal(r.swap_total, 2000000 * KIB);
	assert_int_equal(r.swap_free, 150000 * KIB);
	assert_int_equal(memory_swap_free_permyriad(&r), 750);
	assert_int_equal(r.counters.allocated_pages, 5000007);
}

/* Every item is found under its own name, and the levels alone give them too. */
static void test_sample_gives_every_item(void **state)
{
	static int (*const samplers[])(struct memory_source *, struct memory_reading *) = {
		memory_sample,
		memory_sample_levels,
	};

	for (size_t i = 0; i < ARRAY_SIZE(samplers); i++) {
		struct memory_counters c;
		struct memory_reading r;

		sample_fixture_by(samplers[i], "every-item", &r);
		c = r.counters;
		assert_int_equal(c.total, 8000001 * KIB);
		assert_int_equal(c.free, 300002 * KIB);
		assert_int_equal(c.available, 700003 * KIB);
		assert_int_equal(c.buffers, 1004 * KIB);
		assert_int_equal(c.cached, 404805 * KIB);
		assert_int_equal(c.swap_cached, 206 * KIB);
		assert_int_equal(c.unevictable, 307 * KIB);
		assert_int_equal(c.mlocked, 208 * KIB);
		assert_int_equal(c.swap_total, 2000009 * KIB);
		assert_int_equal(c.swap_free, 150010 * KIB);
		assert_int_equal(c.anon, 3000011 * KIB);
		assert_int_equal(c.shmem, 70012 * KIB);
		assert_int_equal(c.kernel_reclaimable, 20513 * KIB);
		assert_int_equal(c.slab, 120014 * KIB);
		assert_int_equal(c.slab_reclaimable, 20015 * KIB);
		assert_int_equal(c.slab_unreclaimable, 99999 * KIB);
		assert_int_equal(c.kernel_stack, 3016 * KIB);
		assert_int_equal(c.page_tables, 40017 * KIB);
		assert_int_equal(c.percpu, 18018 * KIB);
		assert_int_equal(c.hugetlb, 2000019 * KIB);
	}
}

static void test_sample_zram_only_where_it_is_swap(void **state)
{
	struct memory_reading r;

	sample_fixture("zram", &r);
	assert_int_equal(r.counters.zram_disksize, 536870912);
	assert_int_equal(r.counters.zram_stored, 268435456);
	assert_int_equal(r.counters.zram_used, 134217728);
	assert_int_equal(r.swap_free / MIB, 127);
}

static void test_sample_zfs(void **state)
{
	struct memory_reading r;

	sample_fixture("zfs", &r);
	assert_int_equal(r.counters.arc_size, 8 * GIB);
	assert_int_equal(r.counters.arc_min, GIB);
	assert_int_equal(r.available, 2000000 * KIB + 7 * GIB);
}

static uint64_t own_meminfo(const char *key)
{
	char line[256];
	uint64_t value = 0;
	FILE *f = fopen("/proc/meminfo", "re");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtoull(line + strlen(key), NULL, 10) * KIB;
	fclose(f);
	return value;
}

static void test_sample_this_machine_without_allocating(void **state)
{
	int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct memory_source *source = NULL;
	struct memory_reading r, later;
	volatile char *touched;
	int result;

	assert_int_equal(memory_source_new(proc_fd, sys_fd, &source), 0);
	assert_int_equal(memory_sample(source, &r), 0);
	assert_int_equal(r.counters.total, own_meminfo("MemTotal:"));
	assert_int_equal(r.swap_total, own_meminfo("SwapTotal:"));

	/* Twice without a cache between: what was handed out shows at once. */
	touched = mmap(NULL, 16 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(touched != MAP_FAILED);
	for (size_t i = 0; i < 16 * MIB; i += PAGE)
		touched[i] = 1;
	n_mallocs = 0;
	fail_malloc = FAIL_MALLOC_WORKS;
	result = memory_sample(source, &later);
	fail_malloc = false;
	assert_int_equal(result, 0);
	assert_int_equal(n_mallocs, 0);
	assert_true(later.allocated >= r.allocated + 16 * MIB);

	/* The levels alone: they are new, what was handed out is as before. */
	r.available = r.counters.free = 0;
	n_mallocs = 0;
	fail_malloc = FAIL_MALLOC_WORKS;
	result = memory_sample_levels(source, &r);
	fail_malloc = false;
	assert_int_equal(result, 0);
	assert_int_equal(n_mallocs, 0);
	assert_true(r.available > 0 && r.counters.free > 0);
	assert_true(r.allocated > 0 && r.allocated < later.allocated);
	assert_int_equal(r.counters.oom_kills, later.counters.oom_kills);

	/* What was given back, too, though the kernel's lists may keep it from MemAvailable; but
	 * for the pages that are on their way to the LRU list (folio_batch_add()). */
	assert_int_equal(munmap((void *)touched, 16 * MIB), 0);
	assert_int_equal(memory_sample(source, &r), 0);
	assert_true(r.freed >= later.freed + 15 * MIB);

	memory_source_free(source);
	close(proc_fd);
	close(sys_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_evaluate_counts_what_can_be_given_back),
		cmocka_unit_test(test_evaluate_leaves_out_the_huge_page_pool),
		cmocka_unit_test(test_evaluate_never_divides_by_next_to_nothing),
		cmocka_unit_test(test_evaluate_counts_arc_as_available),
		cmocka_unit_test(test_evaluate_counts_the_lists_of_free_pages),
		cmocka_unit_test(test_evaluate_zram_counts_by_what_it_gives_back),
		cmocka_unit_test(test_sample_without_swap),
		cmocka_unit_test(test_sample_counts_the_lists_of_free_pages),
		cmocka_unit_test(test_sample_levels_leaves_the_lists_out_while_there_is_much),
		cmocka_unit_test(test_sample_with_swap_and_huge_pages),
		cmocka_unit_test(test_sample_gives_every_item),
		cmocka_unit_test(test_sample_zram_only_where_it_is_swap),
		cmocka_unit_test(test_sample_zfs),
		cmocka_unit_test(test_sample_this_machine_without_allocating),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
