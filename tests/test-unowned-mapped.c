/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unowned: what processes map, of families too, and what is known from calm. */
#include <stdlib.h>
#include <string.h>

#include "lib/snapshot/census-tree.h"
#include "tests/stuck-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* A parent and 99 children that map 60 MiB in common, which were measured as far as `measured`: as
 * victim_apply_share() counts them, and with their fair share. */
static void add_family(unsigned measured)
{
	struct census *census = &test.m->sampler->census;

	for (unsigned i = 0; i < 100; i++) {
		struct census_process *process = add((pid_t)(1000 + i), "pg", MIB);

		process->ppid = i == 0 ? 1 : 1000;
		process->session = 1000;
		process->code_pages = 77;
		process->memory.shmem = 60 * MIB;
		if (i >= measured)
			continue;
		process->memory.is_measured = true;
		process->memory.kept = 30 * MIB;
		process->is_unit = true;
		process->fair_share = (float)(MIB + 60 * MIB / 100);
	}
	assert_non_null(census_find(census, 1099));
}

/* 100 processes do not map 6 GiB if each maps the same 60 MiB. */
static void test_what_a_family_maps_counts_once(void **state)
{
	add_family(100);
	assert_true(unowned_mapped_shmem(test.m->selection) <= 61 * MIB);
	fill_tmpfs();
	(void)stuck_min_victim(test.m->selection, &test.policy);
	assert_true(test.m->selection->stuck.unowned_growth >= 5 * GIB - 61 * MIB);
}

static void test_relatives_of_one_that_was_measured_map_the_same(void **state)
{
	struct census_process *other;

	add_family(1);
	assert_true(unowned_mapped_shmem(test.m->selection) <= 61 * MIB);
	/* Not another program, and not more than it maps at all. */
	other = add(2000, "other", MIB);
	other->code_pages = 78;
	other->memory.shmem = 500 * MIB;
	assert_true(unowned_mapped_shmem(test.m->selection) >= 500 * MIB);
	assert_true(unowned_mapped_shmem(test.m->selection) <= 561 * MIB);
}

static void test_of_an_unknown_family_all_counts(void **state)
{
	add_family(0);
	assert_int_equal(unowned_mapped_shmem(test.m->selection), 100 * 60 * MIB);
}

/* Of two families the one that maps more; what was not measured, or is no family, counts in full.
 */
static void test_the_largest_family_counts_once(void **state)
{
	static const struct {
		unsigned code_pages;
		uint64_t shmem;
		bool is_measured, is_unit;
		uint64_t counts; /* MiB */
	} rows[] = {
		{ 77, 60, true, true, 10 },    { 77, 60, false, false, 60 },
		{ 78, 100, true, true, 10 },   { 78, 90, false, false, 10 },
		{ 79, 200, true, false, 200 }, { 80, 300, false, true, 300 },
		{ 78, 5, false, false, 5 },    { 81, 40, true, true, 10 },
	};
	uint64_t counts = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct census_process *process = add((pid_t)(1000 + i), "x", 3 * MIB);

		process->ppid = 1;
		process->session = 1000;
		process->code_pages = rows[i].code_pages;
		process->memory.swap = 4 * MIB;
		process->memory.pagetables = 5 * MIB;
		process->memory.shmem = rows[i].shmem * MIB;
		process->memory.is_measured = rows[i].is_measured;
		process->is_unit = rows[i].is_unit;
		process->fair_share = (float)(22 * MIB);
		counts += rows[i].counts * MIB;
	}
	assert_int_equal(unowned_mapped_shmem(test.m->selection), counts);
}

static void test_little_is_available(void **state)
{
	struct memory_reading *r = &test.m->sampler->domain.reading;

	r->total = 1000 * MIB;
	r->available = 200 * MIB; /* a fifth */
	assert_false(unowned_is_low(test.m->selection));
	r->available--;
	assert_true(unowned_is_low(test.m->selection));
}

/* In the last five minutes and in those before. */
static void test_when_most_was_available(void **state)
{
	const struct stuck *s = &test.m->selection->stuck;
	struct memory_reading *r = &test.m->sampler->domain.reading;
	struct census_process *mapper = add(7, "mapper", MIB);
	static const struct {
		usec_t after;
		uint64_t available, tmpfs; /* MiB */
		uint64_t best, best_tmpfs, earlier;
	} rows[] = {
		{ 0, 5000, 100, 5000, 100, 0 },
		{ SEC, 4000, 200, 5000, 100, 0 },
		{ 2 * SEC, 5000, 300, 5000, 300, 0 }, /* the last of equals */
		{ 300 * SEC - 1, 4000, 200, 5000, 300, 0 },
		{ 300 * SEC, 3000, 200, 3000, 200, 5000 },
		{ 600 * SEC, 6000, 100, 6000, 100, 3000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		r->available = r->counters.free = rows[i].available * MIB;
		r->counters.shmem = r->counters.cached = rows[i].tmpfs * MIB;
		r->counters.anon = r->counters.total - r->available - r->counters.cached;
		unowned_note_calm(test.m->selection, NOW + rows[i].after);
		assert_int_equal(s->best.available, rows[i].best * MIB);
		assert_int_equal(s->best.unowned, rows[i].best_tmpfs * MIB);
		assert_int_equal(s->best_earlier.available, rows[i].earlier * MIB);
	}
	/* What has grown since. */
	r->available = r->counters.free = GIB;
	r->counters.shmem = r->counters.cached = 5100 * MIB;
	r->counters.anon = r->counters.total - r->available - r->counters.cached;
	assert_int_equal(unowned_since(test.m->selection), 5000 * MIB);
	assert_int_equal(unowned_may_be_held(test.m->selection), 5000 * MIB);
	/* What a process maps is its own.  An eighth of memory matters. */
	mapper->memory.shmem = (5000 - 1024) * MIB;
	assert_int_equal(unowned_may_be_held(test.m->selection), GIB);
	mapper->memory.shmem++;
	assert_int_equal(unowned_may_be_held(test.m->selection), 0);
}

/* It began in watch: all that is used counts, in memory and swap. */
static void test_calm_was_never_seen(void **state)
{
	struct memory_reading *r = &test.m->sampler->domain.reading;

	r->counters.hugetlb = 10 * MIB;
	r->swap_total = 4 * GIB;
	r->swap_free = GIB;
	r->counters.shmem = r->counters.cached = 6 * GIB;
	r->counters.anon = r->counters.total - r->available - 6 * GIB - 10 * MIB;
	/* 10 of 12 GiB are used, and a tmpfs is less than three quarters of it. */
	assert_int_equal(unowned_growth_less(test.m->selection, 0), 0);
	r->swap_free = 4 * GIB;
	assert_int_equal(unowned_growth_less(test.m->selection, 0), 6 * GIB);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_a_family_maps_counts_once),
		TEST(test_relatives_of_one_that_was_measured_map_the_same),
		TEST(test_of_an_unknown_family_all_counts),
		TEST(test_the_largest_family_counts_once),
		TEST(test_little_is_available),
		TEST(test_when_most_was_available),
		TEST(test_calm_was_never_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
