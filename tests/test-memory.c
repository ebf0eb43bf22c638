/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memory: what is made of the kernel's numbers. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/memory.h"
#include "lib/sys/zram.h"
#include "tests/memory-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void test_evaluate_counts_what_can_be_freed(void **state)
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
	c.arc_size = GIB / 2; /* below its minimum: nothing to free */
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

static void test_evaluate_zram_counts_by_what_it_frees(void **state)
{
	static const struct {
		uint64_t disk_mib, free_mib; /* of all swap */
		uint64_t stored_mib, used_mib;
		uint64_t expected_free_mib;
	} rows[] = {
		{ 0, 512, 0, 0, 307 },		/* nothing stored yet: 40% is assumed */
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

static void test_zram_is_barred_by_its_limit(void **state)
{
	static const struct {
		uint64_t disk_mib, stored_mib, used_mib, limit_mib, expected_mib;
	} rows[] = {
		{ 8192, 1492, 512, 0, 0 },	 /* no limit */
		{ 8192, 1492, 512, 512, 6700 },	 /* met: all that is left */
		{ 8192, 1492, 600, 512, 6700 },	 /* more than met */
		{ 8192, 1024, 512, 1024, 6144 }, /* 2:1, half: as much again, of 7168 */
		{ 2048, 1024, 512, 1024, 0 },	 /* what is left fits */
		{ 1024, 0, 0, 200, 524 },	 /* nothing stored yet: 40% is assumed */
		{ 8192, 4096, 1, 2, 0 },	 /* all of one page's kind */
		{ 8192, 4096, 2, 2, 4096 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct zram_device device = {
			.disksize = rows[i].disk_mib * MIB,
			.stored = rows[i].stored_mib * MIB,
			.used = rows[i].used_mib * MIB,
			.limit = rows[i].limit_mib * MIB,
		};

		if (zram_barred(&device) / MIB != rows[i].expected_mib)
			fail_msg("row %zu: %llu MiB", i,
				 (unsigned long long)(zram_barred(&device) / MIB));
	}
}

static void test_evaluate_counts_no_swap_that_is_barred(void **state)
{
	struct memory_counters c = {
		.total = 4 * GIB,
		.swap_total = 9 * GIB,
		.swap_free = 7 * GIB,
		.zram_disksize = 8 * GIB,
		.zram_stored = 2 * GIB,
		.zram_used = 1 * GIB,
		.zram_barred = 6 * GIB,
	};
	struct memory_reading r;

	memory_evaluate(&c, PAGE, &r);
	assert_int_equal(r.swap_free, GIB); /* on the disk beside it */
	c.zram_barred = 4 * GIB;
	memory_evaluate(&c, PAGE, &r);
	assert_int_equal(r.swap_free, 2 * GIB);
}

/* A machine of 2 GiB, consistent, in MiB. */
#define SANE                                                                                       \
	.total = 2048, .free = 300, .available = 500, .anon = 1000, .cached = 400, .shmem = 100,   \
	.active_anon = 900, .inactive_anon = 250, .active_file = 200, .inactive_file = 100,        \
	.swap_total = 512, .swap_free = 200, .slab = 60, .slab_reclaimable = 20,                   \
	.slab_unreclaimable = 40, .page_tables = 10, .kernel_stack = 5, .percpu = 2

/* (In a test's table all is in MiB.) */
static void scale(struct memory_counters *c, uint64_t unit)
{
	uint64_t *fields[] = {
		&c->total,
		&c->available,
		&c->free,
		&c->free_listed,
		&c->anon,
		&c->shmem,
		&c->active_anon,
		&c->inactive_anon,
		&c->active_file,
		&c->inactive_file,
		&c->cached,
		&c->buffers,
		&c->page_tables,
		&c->kernel_stack,
		&c->swap_total,
		&c->swap_free,
		&c->slab,
		&c->hugetlb,
		&c->slab_unreclaimable,
		&c->percpu,
		&c->arc_size,
		&c->arc_min,
		&c->slab_reclaimable,
		&c->kernel_reclaimable,
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		*fields[i] *= unit;
}

static void test_reconcile_leaves_sane_figures_alone(void **state)
{
	static const struct memory_counters rows[] = {
		{ SANE },
		{ SANE, .kernel_reclaimable = 60 },
		{ SANE, .hugetlb = 200, .free_listed = 100 },
		{ SANE, .arc_size = 450, .arc_min = 60 },
		/* Lazily freed memory is on the file lists, and counts as available. */
		{ .total = 2048,
		  .free = 100,
		  .available = 900,
		  .anon = 1500,
		  .cached = 100,
		  .active_anon = 600,
		  .inactive_file = 900 },
		{ .total = 2048, .available = 500 }, /* the parts are not known */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memory_counters before = rows[i], c;

		scale(&before, MIB);
		c = before;
		if (i + 1 < ARRAY_SIZE(rows))
			assert_int_equal(memory_reconcile(&c), 0);
		else
			assert_int_equal(memory_reconcile(&c), MEMORY_DOUBT_AVAILABLE);
		if (memcmp(&c, &before, sizeof(c)) != 0)
			fail_msg("row %zu was changed", i);
	}
}

/* What only the host can have, and, with the mount seen, what it may have. */
static void test_reconcile_forgets_what_is_the_hosts(void **state)
{
	static const struct memory_counters rows[] = {
		{ SANE, .virtualised = true },
		{ SANE, .virtualised = true, .arc_size = 100, .free_listed = 100, .hugetlb = 100 },
		{ SANE, .arc_size = 40000, .arc_min = 1000 },
		{ SANE, .free_listed = 5000 },
		{ SANE, .hugetlb = 65536 },
		{ SANE, .kernel_reclaimable = 3000, .arc_size = 1800 },
		{ .total = 256,
		  .free = 5,
		  .available = 10,
		  .cached = 5,
		  .slab_unreclaimable = 700 },
		{ .total = 2048,
		  .free = 300,
		  .available = 500,
		  .anon = 9000,
		  .cached = 400,
		  .active_anon = 900,
		  .inactive_anon = 250,
		  .shmem = 150,
		  .active_file = 250 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memory_counters c = rows[i];
		struct memory_reading r;

		scale(&c, MIB);
		assert_int_equal(memory_reconcile(&c), MEMORY_DOUBT_ORIGIN);
		assert_true(c.virtualised);
		memory_evaluate(&c, PAGE, &r);
		if (r.total != rows[i].total * MIB || r.available != rows[i].available * MIB)
			fail_msg("row %zu: %llu of %llu MiB", i,
				 (unsigned long long)(r.available / MIB),
				 (unsigned long long)(r.total / MIB));
		assert_int_equal(c.hugetlb + c.arc_size + c.free_listed + c.percpu + c.page_tables +
					 c.kernel_stack + c.kernel_reclaimable +
					 c.slab_unreclaimable,
				 0);
		if (rows[i].active_anon > 0)
			assert_int_equal(c.anon, (900 + 250) * MIB - c.shmem);
	}
}

static void test_reconcile_takes_no_shmem_for_cache(void **state)
{
	struct memory_counters c = {
		.total = 2048 * MIB,
		.free = 40 * MIB,
		.available = 1600 * MIB,
		.cached = 1560 * MIB,
		.shmem = 1550 * MIB,
		.slab_reclaimable = 20 * MIB,
	};

	assert_int_equal(memory_reconcile(&c), MEMORY_DOUBT_AVAILABLE);
	assert_int_equal(c.available, 70 * MIB);
	assert_int_equal(memory_reconcile(&c), 0);
	/* By less than counters may differ that are read one after the other: not worth a word. */
	c.available = 71 * MIB;
	assert_int_equal(memory_reconcile(&c), 0);
	assert_int_equal(c.available, 70 * MIB);
	c.available = (uint64_t)-4096;
	assert_int_equal(memory_reconcile(&c), 0);
	assert_int_equal(c.available, 0);
}

static void test_reconcile_has_no_more_swap_free_than_there_is(void **state)
{
	static const struct {
		uint64_t total, free, expected_total, expected_free;
		bool doubt;
	} rows[] = {
		{ GIB, GIB, GIB, GIB, false },
		{ GIB, 0, GIB, 0, false },
		{ 0, 0, 0, 0, false },
		{ GIB, GIB + KIB, GIB, GIB, true },
		{ GIB, (uint64_t)-256 * KIB, GIB, 0, true }, /* more used than there is */
		{ 0, (uint64_t)-256 * KIB, 0, 0, true },
		{ 0, GIB, 0, 0, true },
		{ (uint64_t)-KIB, (uint64_t)-KIB, 0, 0, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memory_counters c = {
			.total = GIB,
			.swap_total = rows[i].total,
			.swap_free = rows[i].free,
		};

		assert_int_equal(memory_reconcile(&c), rows[i].doubt ? MEMORY_DOUBT_SWAP : 0);
		assert_int_equal(c.swap_total, rows[i].expected_total);
		assert_int_equal(c.swap_free, rows[i].expected_free);
	}
}

static void test_every_doubt_has_a_text_of_its_own(void **state)
{
	for (unsigned i = 0; i < MEMORY_DOUBTS; i++)
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(memory_doubt_to_string(1U << i),
						memory_doubt_to_string(1U << j));
	assert_string_equal(memory_doubt_to_string(1U << MEMORY_DOUBTS), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_evaluate_counts_what_can_be_freed),
		cmocka_unit_test(test_evaluate_leaves_out_the_huge_page_pool),
		cmocka_unit_test(test_evaluate_never_divides_by_next_to_nothing),
		cmocka_unit_test(test_evaluate_counts_arc_as_available),
		cmocka_unit_test(test_evaluate_counts_the_lists_of_free_pages),
		cmocka_unit_test(test_evaluate_zram_counts_by_what_it_frees),
		cmocka_unit_test(test_zram_is_barred_by_its_limit),
		cmocka_unit_test(test_evaluate_counts_no_swap_that_is_barred),
		cmocka_unit_test(test_reconcile_leaves_sane_figures_alone),
		cmocka_unit_test(test_reconcile_forgets_what_is_the_hosts),
		cmocka_unit_test(test_reconcile_takes_no_shmem_for_cache),
		cmocka_unit_test(test_reconcile_has_no_more_swap_free_than_there_is),
		cmocka_unit_test(test_every_doubt_has_a_text_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
