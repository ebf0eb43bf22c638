/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of bench/batched.c.  The properties are held against a model that knows nothing of
 * carries: a parent and what was added for each node.  BATCHED_SEED=N runs the random ones on
 * another seed.
 */
#include <stdlib.h>
#include <string.h>

#include "bench/batched.h"
#include "lib/base/util.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define N_NODES	  96
#define MAX_DEPTH 8
#define NO_PARENT (-1)

struct model {
	uint64_t seed;
	struct batched_node nodes[N_NODES];
	int parents[N_NODES];
	int64_t own[N_NODES][BATCHED_N_COUNTERS];

	/* Computed from the above by compute_truth(). */
	int64_t truth[N_NODES][BATCHED_N_COUNTERS];
	int64_t slack[N_NODES];

	int n_apart, n_overlapping; /* comparisons */
};

static const uint64_t seeds[] = { 1, 2, 3, 0x9e3779b97f4a7c15 };

/* xorshift64* */
static uint64_t draw(struct model *model)
{
	model->seed ^= model->seed >> 12;
	model->seed ^= model->seed << 25;
	model->seed ^= model->seed >> 27;
	return model->seed * 0x2545f4914f6cdd1d;
}

static int64_t draw_below(struct model *model, int64_t n)
{
	return (int64_t)(draw(model) % (uint64_t)n);
}

static int64_t draw_batch(struct model *model)
{
	static const int64_t batches[] = {
		1, 2, 3, 7, 32, 100, 256, 2048, 65537, BATCHED_BATCH_MAX
	};

	return batches[draw_below(model, ARRAY_SIZE(batches))];
}

/* Mostly small, sometimes many batches at once; a million of them stay far from the ends. */
static int64_t draw_delta(struct model *model)
{
	static const int64_t sizes[] = { 2, 2, 33, 33, 33, 1000, 100000, INT64_C(1) << 41 };
	int64_t size = sizes[draw_below(model, ARRAY_SIZE(sizes))];

	return draw_below(model, 2 * size + 1) - size;
}

static void init_model(struct model *model, uint64_t seed)
{
	*model = (struct model){ .seed = seed };
	for (int i = 0; i < N_NODES; i++) {
		batched_init(&model->nodes[i], draw_batch(model));
		model->parents[i] = NO_PARENT;
	}
}

static bool is_below(const struct model *model, int node, int top)
{
	while (node != NO_PARENT && node != top)
		node = model->parents[node];
	return node == top;
}

static int depth_of(const struct model *model, int node)
{
	int depth = 0;

	while ((node = model->parents[node]) != NO_PARENT)
		depth++;
	return depth;
}

static int height_of(const struct model *model, int top)
{
	int height = 0;

	for (int i = 0; i < N_NODES; i++) {
		int above = depth_of(model, i) - depth_of(model, top);

		if (is_below(model, i, top) && above > height)
			height = above;
	}
	return height;
}

/* NO_PARENT if there is none after a few tries. */
static int draw_parent(struct model *model, int node)
{
	for (int i = 0; i < 8; i++) {
		int parent = draw_below(model, N_NODES);

		if (!is_below(model, parent, node) &&
		    depth_of(model, parent) + 1 + height_of(model, node) <= MAX_DEPTH)
			return parent;
	}
	return NO_PARENT;
}

static void step(struct model *model)
{
	int kind = draw_below(model, 100), node = draw_below(model, N_NODES), parent;

	if (kind < 80) {
		enum batched_counter counter = draw_below(model, BATCHED_N_COUNTERS);
		int64_t delta = draw_delta(model);

		batched_add(&model->nodes[node], counter, delta);
		model->own[node][counter] += delta;
	} else if (kind < 84) {
		batched_detach(&model->nodes[node]);
		model->parents[node] = NO_PARENT;
	} else {
		parent = draw_parent(model, node);
		if (parent == NO_PARENT)
			return;
		batched_detach(&model->nodes[node]);
		batched_attach(&model->nodes[node], &model->nodes[parent]);
		model->parents[node] = parent;
	}
}

static void compute_truth(struct model *model)
{
	memcpy(model->truth, model->own, sizeof(model->truth));
	memset(model->slack, 0, sizeof(model->slack));
	for (int i = 0; i < N_NODES; i++) {
		for (int up = model->parents[i]; up != NO_PARENT; up = model->parents[up]) {
			for (int c = 0; c < BATCHED_N_COUNTERS; c++)
				model->truth[up][c] += model->own[i][c];
			model->slack[up] += model->nodes[i].batch - 1;
		}
	}
}

static void assert_node(const struct model *model, int i)
{
	const struct batched_node *node = &model->nodes[i];
	int64_t under, over;

	batched_range(node, &under, &over);
	assert_int_equal(under, model->slack[i]);
	assert_int_equal(over, model->slack[i]);
	for (int c = 0; c < BATCHED_N_COUNTERS; c++) {
		int64_t truth = model->truth[i][c], approx = batched_approx(node, c);

		assert_int_equal(batched_precise(node, c), truth);
		assert_true(truth - under <= approx && approx <= truth + over);
		if (node->parent)
			assert_true(llabs(node->sums[c].carry) < node->batch);
		else
			assert_int_equal(node->sums[c].carry, approx);
	}
	assert_true(node->parent || (!node->next && !node->link));
}

static void assert_comparison(struct model *model, int a, int b)
{
	const struct batched_node *nodes = model->nodes;

	for (int c = 0; c < BATCHED_N_COUNTERS; c++) {
		int64_t truth_a = model->truth[a][c], truth_b = model->truth[b][c];
		int64_t gap = batched_approx(&nodes[a], c) - batched_approx(&nodes[b], c);
		int order = truth_a < truth_b ? -1 : truth_a > truth_b;
		bool apart = llabs(gap) > model->slack[a] + model->slack[b];

		assert_int_equal(batched_compare(&nodes[a], &nodes[b], c), order);
		assert_int_equal(batched_compare_approx(&nodes[a], &nodes[b], c),
				 apart ? order : 0);
		model->n_apart += apart;
		model->n_overlapping += !apart;
	}
}

static void assert_model(struct model *model)
{
	compute_truth(model);
	for (int i = 0; i < N_NODES; i++) {
		assert_node(model, i);
		assert_comparison(model, i, draw_below(model, N_NODES));
	}
}

static void run_model(uint64_t seed, int n_steps)
{
	struct model *model = malloc(sizeof(*model));
	int deepest = 0;

	print_message("seed %#llx\n", (unsigned long long)seed);
	assert_non_null(model);
	init_model(model, seed);
	for (int i = 0; i < n_steps; i++) {
		step(model);
		/* Always would take minutes; often enough that a step's trace is not lost. */
		if (i % 64 != 0 && i > 2000)
			continue;
		assert_model(model);
		for (int n = 0; n < N_NODES; n++)
			deepest = depth_of(model, n) > deepest ? depth_of(model, n) : deepest;
	}
	/* To the ground: what is left of each is what was added there. */
	for (int i = 0; i < N_NODES; i++) {
		batched_detach(&model->nodes[i]);
		model->parents[i] = NO_PARENT;
		assert_model(model);
	}
	/* Did it see what it is there for? */
	assert_int_equal(deepest, MAX_DEPTH);
	assert_true(model->n_apart > 10000 && model->n_overlapping > 10000);
	free(model);
}

static void test_batched_is_exact_and_in_range_on_random_trees(void **state)
{
	const char *seed = getenv("BATCHED_SEED");

	if (seed) {
		run_model(strtoull(seed, NULL, 0) | 1, 200000);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(seeds); i++)
		run_model(seeds[i], 100000);
}

static void test_add_moves_up_what_comes_to_a_batch(void **state)
{
	static const struct {
		int64_t batch;
		int64_t deltas[4];
		int64_t carry;
		int64_t passed_up;
	} cases[] = {
		{ 1, { 1, 1, -5 }, 0, -3 },
		{ 2, { 1 }, 1, 0 },
		{ 2, { 2 }, -1, 3 },
		{ 3, { 3 }, -1, 4 },
		{ 32, { 31 }, 31, 0 },
		{ 32, { 31, 1 }, -16, 48 },
		{ 32, { 31, 1, -15 }, -31, 48 },
		{ 32, { 31, 1, -16 }, 16, 0 },
		{ 32, { 32, 47 }, 31, 48 },
		{ 32, { 32, 47, 1 }, -16, 96 },
		{ 32, { -31 }, -31, 0 },
		{ 32, { -31, -1 }, 16, -48 },
		{ 32, { 31, -62 }, -31, 0 },
		{ 32, { 100 }, -16, 116 },
		{ 32, { -100 }, 16, -116 },
		{ 10, { 9, 9, -37 }, 5, -24 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct batched_node root, leaf;
		int64_t sum = 0;

		batched_init(&root, 1);
		batched_init(&leaf, cases[i].batch);
		batched_attach(&leaf, &root);
		for (size_t d = 0; d < ARRAY_SIZE(cases[i].deltas); d++) {
			batched_add(&leaf, BATCHED_OTHER, cases[i].deltas[d]);
			sum += cases[i].deltas[d];
		}
		assert_int_equal(batched_approx(&leaf, BATCHED_OTHER), sum);
		assert_int_equal(leaf.sums[BATCHED_OTHER].carry, cases[i].carry);
		assert_int_equal(batched_approx(&root, BATCHED_OTHER), cases[i].passed_up);
		assert_int_equal(batched_precise(&root, BATCHED_OTHER), sum);
		assert_int_equal(batched_precise(&root, BATCHED_ANON), 0);
	}
}

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

/* A lie below a shows whether anybody went to look. */
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
		cmocka_unit_test(test_batched_is_exact_and_in_range_on_random_trees),
		cmocka_unit_test(test_add_moves_up_what_comes_to_a_batch),
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
