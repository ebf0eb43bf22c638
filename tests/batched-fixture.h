/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * batched-fixture: a model of a tree of counters, and how the code under test is compared with it.
 */
#pragma once

#include <stdint.h>

#include "bench/batched.h"

#define N_NODES 96

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

/* xorshift64* */
static inline uint64_t draw(struct model *model)
{
	model->seed ^= model->seed >> 12;
	model->seed ^= model->seed << 25;
	model->seed ^= model->seed >> 27;
	return model->seed * 0x2545f4914f6cdd1d;
}

static inline int64_t draw_below(struct model *model, int64_t n)
{
	return (int64_t)(draw(model) % (uint64_t)n);
}
