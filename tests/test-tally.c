/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/snapshot/tally.c, held against a model: a parent and what was added for each node.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/util.h"
#include "lib/snapshot/tally.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define N_NODES	  64
#define NO_PARENT (-1)

struct model {
	uint64_t seed;
	struct tally_node nodes[N_NODES];
	int parents[N_NODES];
	struct tally_sums own[N_NODES];
};

/* xorshift64*: 0 to n - 1 */
static int draw_below(struct model *model, int n)
{
	model->seed ^= model->seed >> 12;
	model->seed ^= model->seed << 25;
	model->seed ^= model->seed >> 27;
	return (int)((model->seed * 0x2545f4914f6cdd1d >> 32) % (uint64_t)n);
}

static bool is_below(const struct model *model, int node, int top)
{
	while (node != NO_PARENT && node != top)
		node = model->parents[node];
	return node == top;
}

static void add_at(struct model *model, int node)
{
	struct tally_sums delta;

	for (int c = 0; c < TALLY_N_COUNTERS; c++) {
		/* nothing, more, less, and so much that sums do not fit */
		const uint64_t deltas[] = { 0, 4096, 0 - UINT64_C(4096), UINT64_MAX / 2 };

		delta.of[c] = deltas[draw_below(model, ARRAY_SIZE(deltas))];
		model->own[node].of[c] += delta.of[c];
	}
	tally_add(&model->nodes[node], &delta);
}

static void step(struct model *model)
{
	int node = draw_below(model, N_NODES), parent = draw_below(model, N_NODES);

	switch (draw_below(model, 4)) {
	case 0:
		tally_detach(&model->nodes[node]);
		model->parents[node] = NO_PARENT;
		break;
	case 1:
		if (model->parents[node] == NO_PARENT && !is_below(model, parent, node)) {
			tally_attach(&model->nodes[node], &model->nodes[parent]);
			model->parents[node] = parent;
		}
		break;
	default:
		add_at(model, node);
		break;
	}
}

/* Returns the depth of the deepest. */
static int check(const struct model *model)
{
	struct tally_sums truth[N_NODES];
	int deepest = 0;

	memcpy(truth, model->own, sizeof(truth));
	for (int i = 0; i < N_NODES; i++) {
		int depth = 0;

		for (int up = model->parents[i]; up != NO_PARENT; up = model->parents[up]) {
			for (int c = 0; c < TALLY_N_COUNTERS; c++)
				truth[up].of[c] += model->own[i].of[c];
			depth++;
		}
		deepest = depth > deepest ? depth : deepest;
	}
	for (int i = 0; i < N_NODES; i++)
		for (int c = 0; c < TALLY_N_COUNTERS; c++)
			assert_true(tally_sum(&model->nodes[i], c) == truth[i].of[c]);
	return deepest;
}

static void test_sums_are_exact_on_random_trees(void **state)
{
	struct model model = { .seed = 20260114 };
	int deepest = 0;

	for (int i = 0; i < N_NODES; i++) {
		tally_init(&model.nodes[i]);
		model.parents[i] = NO_PARENT;
	}
	for (int i = 0; i < 20000; i++) {
		int depth;

		step(&model);
		depth = check(&model);
		deepest = depth > deepest ? depth : deepest;
	}
	assert_true(deepest >= 6);
	/* What is left of each is what was added there. */
	for (int i = 0; i < N_NODES; i++) {
		tally_detach(&model.nodes[i]);
		model.parents[i] = NO_PARENT;
		(void)check(&model);
		assert_null(model.nodes[i].parent);
	}
}

static void test_children_are_linked(void **state)
{
	struct tally_node root, nodes[3];

	tally_init(&root);
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		tally_init(&nodes[i]);
		tally_attach(&nodes[i], &root);
	}
	assert_ptr_equal(root.first_child, &nodes[2]);
	tally_detach(&nodes[1]);
	tally_detach(&nodes[1]);
	assert_ptr_equal(root.first_child, &nodes[2]);
	assert_ptr_equal(nodes[2].next, &nodes[0]);
	assert_null(nodes[0].next);
	tally_detach(&nodes[2]);
	assert_ptr_equal(root.first_child, &nodes[0]);
	tally_detach(&nodes[0]);
	assert_null(root.first_child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums_are_exact_on_random_trees),
		cmocka_unit_test(test_children_are_linked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
