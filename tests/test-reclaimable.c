/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/sys/reclaimable.c: the parser and the sums, by tables. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/sys/reclaimable.h"
#include "tests/reclaimable-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

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

static const struct {
	struct reclaimable_rollup rollup;
	struct reclaimable_shmem shmem;
	uint64_t vm_swap;
	uint64_t swap, dying, alone; /* .alone without the page tables */
	uint64_t lazy_free;	     /* its share */
	uint64_t full_swap;
} cases_of_sum[] = {
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
	{ { .rss = 300, .pss_anon = 60, .pss_file = 100, .private_clean = 30, .anonymous = 90 },
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
	  { RECLAIMABLE_SUMMED, .pss = 900, .private = 900, .swap = 900, .swap_mapped = 900 },
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

static void test_sum(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases_of_sum); i++) {
		const struct proc_status status = {
			.has_mm = true,
			.pagetable_bytes = 3,
			.swap_bytes = cases_of_sum[i].vm_swap,
			.rss_anon = 11,
			.rss_shmem = 12,
		};
		struct reclaimable r;

		reclaimable_sum(&cases_of_sum[i].rollup, &status, &cases_of_sum[i].shmem, &r);
		assert_int_equal(r.anon,
				 cases_of_sum[i].rollup.pss_anon - cases_of_sum[i].lazy_free);
		assert_int_equal(r.swap, cases_of_sum[i].swap);
		assert_int_equal(r.shmem, cases_of_sum[i].dying);
		assert_int_equal(r.pagetables, 3);
		assert_int_equal(r.rss_anon, 11);
		assert_int_equal(r.rss_shmem, 12);
		assert_int_equal(r.all_swap, cases_of_sum[i].vm_swap);
		assert_int_equal(r.alone, cases_of_sum[i].alone + 3);
		assert_true(r.alone <= reclaimable_total(&r));
		assert_true(r.anon <= r.full.anon && r.swap <= r.full.swap);
		assert_true(r.shmem <= r.full.shmem && r.pagetables == r.full.pagetables);
		assert_int_equal(r.full.swap, cases_of_sum[i].full_swap);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rollup_parse_reads_all),
		cmocka_unit_test(test_rollup_parse_refuses_what_contradicts_itself),
		cmocka_unit_test(test_sum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
