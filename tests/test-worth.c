/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* worth: what a victim must free at least, in tables. */
#include "lib/domain/worth.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define MIN (4 * MIB)

static void note(struct worth *w, uint64_t expected_mib, uint64_t freed_mib)
{
	worth_note(w, expected_mib * MIB, freed_mib * MIB);
}

static void test_min_victim_goes_by_the_memory(void **state)
{
	static const struct {
		struct policy_threshold line;
		uint64_t memory, expected;
	} rows[] = {
		{ { .set = false }, 0, 4 * MIB },
		{ { .set = false }, 1 * GIB, 4 * MIB },
		{ { .set = false }, 4 * GIB, 4 * MIB },
		{ { .set = false }, 64 * GIB, 64 * MIB },
		{ { .set = true, .is_size = true, .bytes = 1 * MIB }, 64 * GIB, 1 * MIB },
		{ { .set = true, .is_size = true, .bytes = 0 }, 64 * GIB, 0 },
		{ { .set = true, .permyriad = 100 }, 1000 * MIB, 10 * MIB },
		{ { .set = true, .permyriad = 100, .cap = 5 * MIB }, 1000 * MIB, 5 * MIB },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(worth_min_victim(&rows[i].line, rows[i].memory), rows[i].expected);
}

static void test_minimum_after_ineffective_kills(void **state)
{
	struct worth w = { 0 };

	assert_int_equal(worth_minimum(&w, MIN, 400 * MIB, 0), MIN);
	note(&w, 100, 24);
	assert_int_equal(worth_minimum(&w, MIN, 400 * MIB, 0), MIN);
	note(&w, 80, 0);
	assert_int_equal(worth_minimum(&w, MIN, 400 * MIB, 0), 100 * MIB);
	assert_int_equal(worth_minimum(&w, MIN, 8 * MIB, 0), MIN); /* little is missing */
	assert_int_equal(worth_minimum(&w, 200 * MIB, 400 * MIB, 0), 200 * MIB);
	assert_false(worth_is_spree(&w));
	note(&w, 100, 25); /* a quarter: effective */
	assert_int_equal(worth_minimum(&w, MIN, 400 * MIB, 0), MIN);
}

static void test_no_spree(void **state)
{
	struct worth w = { 0 };

	for (unsigned i = 0; i < 3; i++) {
		assert_false(worth_is_spree(&w));
		note(&w, 100 + i, 24);
	}
	assert_true(worth_is_spree(&w));
	/* None that is like those: only one that is far larger. */
	assert_int_equal(worth_minimum(&w, MIN, 40 * MIB, 0), 204 * MIB);
	note(&w, 300, 0); /* and that was in vain, too */
	assert_true(worth_is_spree(&w));
	assert_int_equal(worth_minimum(&w, MIN, 40 * MIB, 0), 600 * MIB);
	worth_reset(&w);
	assert_false(worth_is_spree(&w));
	assert_int_equal(worth_minimum(&w, MIN, 400 * MIB, 0), MIN);
}

static void test_an_effective_kill_resets_the_count(void **state)
{
	struct worth w = { 0 };

	for (unsigned i = 0; i < 40; i++) {
		note(&w, 12, i % 3 == 2 ? 12 : 0);
		assert_false(worth_is_spree(&w));
	}
}

static void test_missing_is_up_to_one_threshold(void **state)
{
	static const struct policy_threshold memory = { .set = true,
							.is_size = true,
							.bytes = 100 * MIB },
					     swap = { .set = true,
						      .is_size = true,
						      .bytes = 50 * MIB };
	struct memory_reading reading = { .total = GIB, .available = 40 * MIB };
	struct policy policy = { .memory_available = memory, .swap_free = swap };

	assert_int_equal(worth_missing(&policy, &reading), 60 * MIB); /* without swap */
	reading.swap_total = GIB;
	reading.swap_free = 30 * MIB;
	assert_int_equal(worth_missing(&policy, &reading), 20 * MIB);
	policy.memory_available.set = false;
	assert_int_equal(worth_missing(&policy, &reading), 20 * MIB);
	policy.memory_available.set = true;
	policy.swap_free.set = false;
	assert_int_equal(worth_missing(&policy, &reading), 60 * MIB);
	policy.swap_free.set = true;
	reading.available = 200 * MIB;
	assert_int_equal(worth_missing(&policy, &reading), 0);
	policy = (struct policy){ .memory_available = { .set = true, .permyriad = 10000 } };
	assert_int_equal(worth_missing(&policy, &reading), 0); /* it always holds */
	policy = (struct policy){ .pressure_full = 4000 };
	assert_int_equal(worth_missing(&policy, &reading), 0);
}

static void test_unaccounted_is_the_rest(void **state)
{
	struct memory_counters c = {
		.total = 1000 * MIB,
		.free = 50 * MIB,
		.cached = 100 * MIB,
		.shmem = 60 * MIB,
		.anon = 200 * MIB,
		.slab = 40 * MIB,
		.slab_unreclaimable = 30 * MIB,
		.page_tables = 5 * MIB,
		.kernel_stack = 5 * MIB,
		.percpu = 10 * MIB,
	};

	assert_int_equal(worth_unaccounted(&c), 590 * MIB);
	c.anon = 0; /* not known */
	assert_int_equal(worth_unaccounted(&c), 0);
	c.anon = 200 * MIB;
	assert_int_equal(worth_unowned(&c, 0), (590 + 60 + 30 + 10) * MIB);
	assert_int_equal(worth_unowned(&c, 20 * MIB), (590 + 40 + 30 + 10) * MIB);
	assert_int_equal(worth_unowned(&c, 90 * MIB), (590 + 30 + 10) * MIB);
	c.hugetlb = 90 * MIB;
	assert_int_equal(worth_unowned(&c, 0), (500 + 60 + 30 + 10 + 90) * MIB);
	c.hugetlb = 0;
	c.cached = 400 * MIB; /* of it 310 MiB locked, on no list of what can be reclaimed */
	c.inactive_file = 30 * MIB;
	c.mlocked = 310 * MIB;
	assert_int_equal(worth_unowned(&c, 310 * MIB), (290 + 60 + 30 + 10) * MIB);
	c.mlocked = 500 * MIB; /* no more than is on no list */
	c.active_file = 40 * MIB;
	c.buffers = 5 * MIB;
	assert_int_equal(worth_unowned_shmem(&c, 0), (60 + 400 + 5 - 60 - 40 - 30) * MIB);
	c.active_file = c.buffers = 0;
	c.mlocked = 0;
	assert_int_equal(worth_unowned(&c, 310 * MIB), (290 + 30 + 10) * MIB);
	c.anon = GIB; /* figures that do not fit together */
	assert_int_equal(worth_unaccounted(&c), 0);
}

static void test_unowned_growth_explains_a_shortage(void **state)
{
	static const struct {
		uint64_t available[2], unowned[2], expected, minimum;
	} rows[] = {
		/* MiB; of 1 GiB */
		{ { 300, 40 }, { 100, 340 }, 240, 120 }, /* pipes: all of it */
		{ { 300, 40 }, { 100, 100 }, 0, 4 },	 /* a leak: none of it */
		{ { 300, 40 }, { 100, 200 }, 0, 4 },	 /* both: by less than three quarters */
		{ { 300, 40 }, { 100, 295 }, 195, 97 },	 /* just three quarters */
		{ { 300, 237 }, { 100, 163 }, 0, 4 },	 /* a trifle */
		{ { 300, 236 }, { 100, 164 }, 64, 32 },	 /* a sixteenth of memory */
		{ { 40, 300 }, { 100, 340 }, 0, 4 },	 /* it has not fallen */
		{ { 300, 40 }, { 340, 100 }, 0, 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct worth_holdings before = { rows[i].available[0] * MIB,
						 rows[i].unowned[0] * MIB };
		struct worth_holdings now = { rows[i].available[1] * MIB,
					      rows[i].unowned[1] * MIB };
		uint64_t growth = worth_unowned_growth(&before, &now, GIB);
		struct worth w = { 0 };

		assert_int_equal(growth, rows[i].expected * MIB);
		assert_int_equal(worth_minimum(&w, MIN, 0, growth) / MIB, rows[i].minimum);
		/* One of several that hold it. */
		assert_int_equal(worth_holder_minimum(&w, MIN, 0, growth) / MIB,
				 growth > 0 ? rows[i].minimum / 8 : rows[i].minimum);
	}
}

/* MiB, of 1 GiB. */
static void test_the_mark_moves(void **state)
{
	static const struct {
		const char *label;
		struct worth_mark mark, now, moved;
	} rows[] = {
		{ "the first", { 0, 0 }, { 100, 900 }, { 100, 900 } },
		{ "a 64th more", { 100, 900 }, { 116, 500 }, { 116, 500 } },
		{ "less than that", { 100, 900 }, { 115, 500 }, { 100, 900 } },
		{ "and there was more room", { 100, 900 }, { 115, 950 }, { 100, 950 } },
		{ "a 16th less", { 100, 900 }, { 36, 500 }, { 36, 500 } },
		{ "less than that was freed", { 100, 900 }, { 37, 500 }, { 100, 900 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct worth_mark mark = { rows[i].mark.unowned * MIB, rows[i].mark.room * MIB };
		struct worth_mark now = { rows[i].now.unowned * MIB, rows[i].now.room * MIB };

		print_message("%s\n", rows[i].label);
		worth_move_mark(&mark, &now, GIB);
		assert_int_equal(mark.unowned, rows[i].moved.unowned * MIB);
		assert_int_equal(mark.room, rows[i].moved.room * MIB);
	}
}

static void test_what_processes_have_taken_since(void **state)
{
	static const struct {
		const char *label;
		struct worth_mark now;
		uint64_t taken;
	} rows[] = {
		{ "most of the room", { 100, 300 }, 600 },
		{ "a 16th of memory", { 100, 836 }, 64 },
		{ "less: negligible", { 100, 837 }, 0 },
		{ "there is more room", { 100, 950 }, 0 },
		{ "what none holds grows too", { 115, 300 }, 600 },
		{ "it has grown: the mark is to move", { 116, 300 }, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct worth_mark mark = { 100 * MIB, 900 * MIB };
		struct worth_mark now = { rows[i].now.unowned * MIB, rows[i].now.room * MIB };

		print_message("%s\n", rows[i].label);
		assert_int_equal(worth_taken(&mark, &now, GIB), rows[i].taken * MIB);
	}
}

static void test_what_may_be_held(void **state)
{
	const struct worth_holdings before = { .unowned = 100 * MIB };
	struct worth_holdings now = { .unowned = 228 * MIB - 1 };

	assert_false(worth_may_be_held(&before, &now, GIB));
	now.unowned++; /* an eighth */
	assert_true(worth_may_be_held(&before, &now, GIB));
	assert_false(worth_may_be_held(&now, &before, GIB));
}

static void test_tmpfs_in_swap_is_a_lower_bound(void **state)
{
	static const struct {
		uint64_t shmem, tmpfs, used, used_before, expected; /* MiB */
	} rows[] = {
		{ 100, 600, 700, 0, 500 }, { 100, 600, 300, 0, 300 }, { 100, 600, 700, 400, 300 },
		{ 600, 600, 700, 0, 0 },   { 700, 600, 700, 0, 0 },   { 100, 600, 300, 400, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct memory_counters c = {
			.shmem = rows[i].shmem * MIB,
			.swap_total = GIB,
			.swap_free = GIB - rows[i].used * MIB,
		};
		const struct worth_holdings before = { .swap_used = rows[i].used_before * MIB };

		assert_int_equal(worth_tmpfs_in_swap(&c, rows[i].tmpfs * MIB, &before),
				 rows[i].expected * MIB);
	}
}

static void test_a_kill_is_conclusive_if_no_sharer_is_left(void **state)
{
	static const struct {
		unsigned n_sharers, n_left;
		bool expected;
	} rows[] = {
		{ 0, 0, true },	    { 511, 0, true },  { 511, 1, false },
		{ 1, 1000, false }, { 0, 1000, true }, /* many that look alike, and no sharer */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(worth_is_conclusive(rows[i].n_sharers, rows[i].n_left),
				 rows[i].expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_min_victim_goes_by_the_memory),
		cmocka_unit_test(test_minimum_after_ineffective_kills),
		cmocka_unit_test(test_no_spree),
		cmocka_unit_test(test_an_effective_kill_resets_the_count),
		cmocka_unit_test(test_a_kill_is_conclusive_if_no_sharer_is_left),
		cmocka_unit_test(test_missing_is_up_to_one_threshold),
		cmocka_unit_test(test_unaccounted_is_the_rest),
		cmocka_unit_test(test_unowned_growth_explains_a_shortage),
		cmocka_unit_test(test_the_mark_moves),
		cmocka_unit_test(test_what_processes_have_taken_since),
		cmocka_unit_test(test_what_may_be_held),
		cmocka_unit_test(test_tmpfs_in_swap_is_a_lower_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
