/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of bench/batched.c: trees made by hand, and the bounds of a counter. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "bench/batched.h"
#include "lib/base/util.h"
#include "tests/batched-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* 8 x 8 leaves of batch 32 below two levels, as in the kernel's tree of 64 CPUs. */
struct grove {
	struct batched_node root, inner[8], leaves[64];
};

static void init_grove(struct grove *grove)
{
	batched_init(&grove->root, 1);
	for (size_t i = 0; i < ARRAY_SIZE(grove->inner); i++) {
		batched_init(&grove->inner[i], INT64_C(8) * 32);
		batched_attach(&grove->inner[i], &grove->root);
	}
	for (size_t i = 0; i < ARRAY_SIZE(grove->leaves); i++) {
		batched_init(&grove->leaves[i], 32);
		batched_attach(&grove->leaves[i], &grove->inner[i % 8]);
	}
}

static void test_range_is_reached_when_all_keep_all_they_may(void **state)
{
	for (int sign = -1; sign <= 1; sign += 2) {
		int64_t under, over, precise;
		struct grove grove;

		init_grove(&grove);
		for (size_t i = 0; i < ARRAY_SIZE(grove.leaves); i++)
			batched_add(&grove.leaves[i], BATCHED_ANON, INT64_C(31) * sign);
		for (size_t i = 0; i < ARRAY_SIZE(grove.inner); i++)
			batched_add(&grove.inner[i], BATCHED_ANON, INT64_C(255) * sign);

		batched_range(&grove.root, &under, &over);
		assert_int_equal(under, 64 * 31 + 8 * 255);
		precise = batched_precise(&grove.root, BATCHED_ANON);
		assert_int_equal(batched_approx(&grove.root, BATCHED_ANON), 0);
		assert_int_equal(precise, sign * (sign > 0 ? under : over));
		/* One more is seen: 32 and 16 move, and then 255 + 48 and 128. */
		batched_add(&grove.leaves[5], BATCHED_ANON, sign);
		assert_int_equal(batched_approx(&grove.root, BATCHED_ANON), INT64_C(431) * sign);
	}
}

static void test_detach_takes_along_what_was_passed_up(void **state)
{
	struct batched_node other;
	struct grove grove;
	int64_t under, over;

	init_grove(&grove);
	for (size_t i = 0; i < ARRAY_SIZE(grove.leaves); i++)
		batched_add(&grove.leaves[i], BATCHED_ANON, 1000 + (int64_t)i);

	/* Inner node 3 has leaves 3, 11, ... 59: 8 x 1000 + 248. */
	batched_detach(&grove.inner[3]);
	assert_int_equal(batched_precise(&grove.inner[3], BATCHED_ANON), 8248);
	assert_int_equal(batched_precise(&grove.root, BATCHED_ANON), 64 * 1000 + 2016 - 8248);
	batched_range(&grove.root, &under, &over);
	assert_int_equal(under, 56 * 31 + 7 * 255);

	batched_init(&other, 1);
	batched_attach(&grove.inner[3], &other);
	assert_int_equal(batched_precise(&other, BATCHED_ANON), 8248);
	batched_range(&other, &under, &over);
	assert_int_equal(under, 8 * 31 + 255);
	batched_detach(&grove.inner[3]);
	batched_detach(&grove.inner[3]);
	assert_int_equal(batched_approx(&other, BATCHED_ANON), 0);
	batched_range(&other, &under, &over);
	assert_int_equal(under, 0);

	for (size_t i = 0; i < ARRAY_SIZE(grove.inner); i++)
		batched_detach(&grove.inner[i]);
	assert_int_equal(batched_approx(&grove.root, BATCHED_ANON), 0);
	assert_null(grove.root.first_child);
}

/* A lie below a shows whether it was read. */
static void test_compare_walks_only_when_ranges_overlap(void **state)
{
	static const struct {
		int64_t a, b;
		int by_ranges;
		int order;
	} cases[] = {
		{ 100 * 256, 0, 1, 1 },
		{ -100 * 256, 0, -1, -1 },
		{ 0, 100 * 256, -1, -1 },
		/* Range of each: 8 x 31 = 248. */
		{ 481, 0, 1, 1 },
		{ 0, 481, -1, -1 },
		{ 31, 0, 0, 1 },
		{ 0, 31, 0, -1 },
		{ 32, 32, 0, 0 },
		{ 480, 0, 0, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct grove grove;
		const struct batched_node *a = &grove.inner[0], *b = &grove.inner[1];
		int order;

		init_grove(&grove);
		batched_add(&grove.leaves[0], BATCHED_ANON, cases[i].a);
		batched_add(&grove.leaves[1], BATCHED_ANON, cases[i].b);
		assert_int_equal(batched_compare_approx(a, b, BATCHED_ANON), cases[i].by_ranges);
		assert_int_equal(batched_compare(a, b, BATCHED_ANON), cases[i].order);

		order = cases[i].order ? cases[i].order : 1;
		grove.leaves[0].sums[BATCHED_ANON].carry -= order * INT64_C(1000000);
		assert_int_equal(batched_compare(a, b, BATCHED_ANON),
				 cases[i].by_ranges ? order : -order);
	}
}

/* Two moves out of a node lie half a batch of what came in apart, at least. */
static void test_add_moves_twice_in_a_batch_at_most(void **state)
{
	struct model random = { .seed = 7 };
	int64_t n_moves[2][64] = { { 0 } }, came_in[2][64] = { { 0 } };
	struct grove grove;

	init_grove(&grove);
	for (int i = 0; i < 300000; i++) {
		int leaf = draw_below(&random, 64), inner = leaf % 8;
		int64_t delta = draw_below(&random, 67) - 33, moved;
		int64_t inner_before = batched_approx(&grove.inner[inner], BATCHED_ANON);
		int64_t root_before = batched_approx(&grove.root, BATCHED_ANON);

		batched_add(&grove.leaves[leaf], BATCHED_ANON, delta);
		came_in[0][leaf] += llabs(delta);
		moved = batched_approx(&grove.inner[inner], BATCHED_ANON) - inner_before;
		n_moves[0][leaf] += moved != 0;
		came_in[1][inner] += llabs(moved);
		n_moves[1][inner] += batched_approx(&grove.root, BATCHED_ANON) != root_before;
	}
	for (int i = 0; i < 64; i++)
		assert_true(n_moves[0][i] > 0 && n_moves[0][i] <= came_in[0][i] / 16);
	for (int i = 0; i < 8; i++)
		assert_true(n_moves[1][i] > 0 && n_moves[1][i] <= came_in[1][i] / 128);
}

/* About any value, be it a multiple of the batch: one move at most. */
static void test_add_does_not_carry_on_swinging(void **state)
{
	for (int64_t start = -64; start <= 64; start++) {
		int64_t before, n_moves = 0;
		struct grove grove;

		init_grove(&grove);
		batched_add(&grove.leaves[0], BATCHED_ANON, start);
		for (int i = 0; i < 1000; i++) {
			before = batched_approx(&grove.inner[0], BATCHED_ANON);
			batched_add(&grove.leaves[0], BATCHED_ANON, i % 2 ? 7 : -7);
			n_moves += batched_approx(&grove.inner[0], BATCHED_ANON) != before;
		}
		assert_true(n_moves <= 1);
	}
}

static void test_add_in_small_steps_errs_on_both_sides(void **state)
{
	int64_t least = 0, most = 0;
	struct grove grove;

	init_grove(&grove);
	for (int i = 1; i <= 1000; i++) {
		int64_t error;

		batched_add(&grove.leaves[0], BATCHED_ANON, 1);
		error = batched_approx(&grove.inner[0], BATCHED_ANON) - i;
		least = error < least ? error : least;
		most = error > most ? error : most;
	}
	assert_int_equal(least, -31);
	assert_int_equal(most, 16);
}

static void test_add_of_extremes_is_right_again_once_it_fits(void **state)
{
	static const int64_t extremes[] = { INT64_MAX, INT64_MIN, INT64_MAX, -1,
					    INT64_MIN, INT64_MIN, INT64_MIN, 1 };
	int64_t under, over, approx;
	struct grove grove;
	uint64_t sum = 0;

	init_grove(&grove);
	batched_range(&grove.root, &under, &over);
	for (size_t i = 0; i < ARRAY_SIZE(extremes); i++) {
		batched_add(&grove.leaves[i * 7], BATCHED_ANON, extremes[i]);
		sum += (uint64_t)extremes[i];
		assert_int_equal(batched_precise(&grove.root, BATCHED_ANON), (int64_t)sum);
	}
	/* Taken back at other leaves. */
	for (size_t i = 0; i < ARRAY_SIZE(extremes); i++) {
		batched_add(&grove.leaves[i], BATCHED_ANON, (int64_t)(0 - (uint64_t)extremes[i]));
		sum -= (uint64_t)extremes[i];
	}
	assert_int_equal(sum, 0);
	approx = batched_approx(&grove.root, BATCHED_ANON);
	assert_true(-under <= approx && approx <= over);
	assert_int_equal(batched_precise(&grove.root, BATCHED_ANON), 0);
	for (size_t i = 0; i < ARRAY_SIZE(grove.inner); i++)
		batched_detach(&grove.inner[i]);
	assert_int_equal(batched_approx(&grove.root, BATCHED_ANON), 0);

	/* Apart by more than an int64_t holds. */
	batched_add(&grove.root, BATCHED_OTHER, INT64_MIN);
	batched_add(&grove.inner[0], BATCHED_OTHER, INT64_MAX / 2);
	assert_int_equal(batched_compare(&grove.root, &grove.inner[0], BATCHED_OTHER), -1);
	assert_int_equal(batched_compare(&grove.inner[0], &grove.root, BATCHED_OTHER), 1);
}

static void test_node_fits_the_budget_of_a_process(void **state)
{
	print_message("%zu bytes a node\n", sizeof(struct batched_node));
	assert_true(sizeof(struct batched_node) <= 160);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_range_is_reached_when_all_keep_all_they_may),
		cmocka_unit_test(test_detach_takes_along_what_was_passed_up),
		cmocka_unit_test(test_compare_walks_only_when_ranges_overlap),
		cmocka_unit_test(test_add_moves_twice_in_a_batch_at_most),
		cmocka_unit_test(test_add_does_not_carry_on_swinging),
		cmocka_unit_test(test_add_in_small_steps_errs_on_both_sides),
		cmocka_unit_test(test_add_of_extremes_is_right_again_once_it_fits),
		cmocka_unit_test(test_node_fits_the_budget_of_a_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
