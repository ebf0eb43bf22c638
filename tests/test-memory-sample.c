/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memory: what is sampled of fixtures and of this machine. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/sys/memory.h"
#include "tests/fail-malloc.h"
#include "tests/memory-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

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

/* In calm, with 40% available, they are left out; with 5% they are not. */
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

static int sample_without_vmstat(struct memory_source *source, struct memory_reading *ret)
{
	struct memory_source *other;
	int r;

	r = memory_source_new(open_fixture("no-swap", "."), -EBADF, &other);
	if (r < 0)
		return r;
	r = memory_sample(other, ret);
	memory_source_free(other);
	return r;
}

/* Levels are what counts most. */
static void test_sample_continues_without_vmstat(void **state)
{
	struct memory_reading r;

	sample_fixture_by(sample_without_vmstat, "no-swap", &r);
	assert_int_equal(r.available, 400000 * KIB);
	assert_int_equal(r.allocated, 0);
	assert_int_equal(r.doubts, MEMORY_DOUBT_EVENTS);
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
static void test_sample_returns_every_item(void **state)
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
		assert_int_equal(c.available, 600003 * KIB);
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

/* Retyped from people's reports. */
static void test_sample_figures_as_reported(void **state)
{
	static const struct {
		const char *fixture;
		uint64_t total_kib, available_kib, swap_total_kib, swap_free_kib;
		unsigned doubts;
	} rows[] = {
		/* 64 CPUs' lists and 40 GiB of ARC are the host's; swap is used beyond its limit.
		 */
		{ "lxcfs", 2097152, 61440, 1048576, 0, MEMORY_DOUBT_ORIGIN | MEMORY_DOUBT_SWAP },
		/* The same without the mount. */
		{ "lxcfs-unseen", 2097152, 61440, 1048576, 0,
		  MEMORY_DOUBT_ORIGIN | MEMORY_DOUBT_SWAP },
		/* All cache counts as available; nearly all of it is shmem. */
		{ "lxcfs-shmem", 2097152, 72704, 0, 0,
		  MEMORY_DOUBT_ORIGIN | MEMORY_DOUBT_AVAILABLE },
		/* Data that cannot be compressed, on /dev/block/zram0. */
		{ "zram-android", 4161536, 102400, 2097152, 12288, 0 },
		/* At its mem_limit; half a gigabyte on a disk beside it. */
		{ "zram-limit", 4161536, 102400, 8912896, 524288, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memory_reading r;

		sample_fixture(rows[i].fixture, &r);
		if (r.total != rows[i].total_kib * KIB ||
		    r.available != rows[i].available_kib * KIB ||
		    r.swap_total != rows[i].swap_total_kib * KIB ||
		    r.swap_free != rows[i].swap_free_kib * KIB || r.doubts != rows[i].doubts)
			fail_msg("%s: %llu of %llu KiB, swap %llu of %llu KiB, doubts %u",
				 rows[i].fixture, (unsigned long long)(r.available / KIB),
				 (unsigned long long)(r.total / KIB),
				 (unsigned long long)(r.swap_free / KIB),
				 (unsigned long long)(r.swap_total / KIB), r.doubts);
	}
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

	/* Twice without a cache between: what was allocated shows at once. */
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

	/* The levels alone: they are new, what was allocated is as before. */
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

	/* What was freed, too, though the kernel's lists may keep it from MemAvailable; but for the
	 * pages that are on their way to the LRU list (folio_batch_add()). */
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
		cmocka_unit_test(test_sample_without_swap),
		cmocka_unit_test(test_sample_counts_the_lists_of_free_pages),
		cmocka_unit_test(test_sample_levels_leaves_the_lists_out_while_there_is_much),
		cmocka_unit_test(test_sample_continues_without_vmstat),
		cmocka_unit_test(test_sample_with_swap_and_huge_pages),
		cmocka_unit_test(test_sample_returns_every_item),
		cmocka_unit_test(test_sample_figures_as_reported),
		cmocka_unit_test(test_sample_this_machine_without_allocating),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
