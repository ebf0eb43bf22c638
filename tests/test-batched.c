/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of bench/batched.c.  The properties are held against a model that knows nothing of
 * carries: a parent and what was added for each node.  BATCHED_SEED=N runs the random ones on
 * another seed.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bench/batched.h"
#include "lib/base/util.h"
#include "tests/batched-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define MAX_DEPTH 8
#define NO_PARENT (-1)

static const uint64_t seeds[] = { 1, 2, 3, 0x9e3779b97f4a7c15 };

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batched_is_exact_and_in_range_on_random_trees),
		cmocka_unit_test(test_add_moves_up_what_comes_to_a_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
