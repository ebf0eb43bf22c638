/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * batched: counts in batches: updates are added to a node, and passed up when it is full.
 *
 * The kernel's rule passes up the multiples of the batch that a value crosses.  What a node keeps
 * back is then anywhere from 0 to batch - 1: the approximation is low by half its range on average
 * whatever happens, and a value that swings about a multiple carries at every update.  Here a
 * node that is full passes up half a batch more than it has.  What it keeps back when memory grows
 * in small steps, as it does, then runs from -batch/2 to batch - 1: the guaranteed range is the
 * same, the error less than half on average (bench/tally-sim), and no less than half a batch of
 * updates lies between two moves.
 */
#include "bench/batched.h"

#include <assert.h>
#include <stddef.h>

static int64_t wrapping_add(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int64_t wrapping_sub(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

void batched_init(struct batched_node *node, int64_t batch)
{
	assert(batch >= 1 && batch <= BATCHED_BATCH_MAX);
	*node = (struct batched_node){ .batch = batch };
}

void batched_add(struct batched_node *node, enum batched_counter counter, int64_t delta)
{
	for (;;) {
		struct batched_sum *sum = &node->sums[counter];
		int64_t kept;

		sum->approx = wrapping_add(sum->approx, delta);
		sum->carry = wrapping_add(sum->carry, delta);
		if (!node->parent || (sum->carry < node->batch && sum->carry > -node->batch))
			return;
		kept = sum->carry > 0 ? -(node->batch / 2) : node->batch / 2;
		delta = wrapping_sub(sum->carry, kept);
		sum->carry = kept;
		node = node->parent;
	}
}

static void widen(struct batched_node *node, int64_t slack)
{
	for (; node; node = node->parent)
		node->slack += slack;
}

static int64_t share_of_slack(const struct batched_node *node)
{
	return node->slack + node->batch - 1;
}

void batched_attach(struct batched_node *node, struct batched_node *parent)
{
	assert(parent && !node->parent);
	for (const struct batched_node *above = parent; above; above = above->parent)
		assert(above != node);

	node->parent = parent;
	node->next = parent->first_child;
	if (node->next)
		node->next->link = &node->next;
	node->link = &parent->first_child;
	parent->first_child = node;

	widen(parent, share_of_slack(node));
	/* A root's carry is all it has: this passes up what is too much to keep. */
	for (int i = 0; i < BATCHED_N_COUNTERS; i++)
		batched_add(node, i, 0);
}

void batched_detach(struct batched_node *node)
{
	struct batched_node *parent = node->parent;

	if (!parent)
		return;
	*node->link = node->next;
	if (node->next)
		node->next->link = node->link;
	node->parent = NULL;
	node->next = NULL;
	node->link = NULL;

	widen(parent, -share_of_slack(node));
	for (int i = 0; i < BATCHED_N_COUNTERS; i++) {
		struct batched_sum *sum = &node->sums[i];

		batched_add(parent, i, wrapping_sub(sum->carry, sum->approx));
		sum->carry = sum->approx;
	}
}

/* The next node below top, parents first; NULL after the last.  No recursion: cgroups may be nested
 * without limit. */
static const struct batched_node *next_below(const struct batched_node *node,
					     const struct batched_node *top)
{
	if (node->first_child)
		return node->first_child;
	while (node != top && !node->next)
		node = node->parent;
	return node == top ? NULL : node->next;
}

int64_t batched_precise(const struct batched_node *node, enum batched_counter counter)
{
	const struct batched_node *below = node;
	int64_t sum = node->sums[counter].approx;

	while ((below = next_below(below, node)))
		sum = wrapping_add(sum, below->sums[counter].carry);
	return sum;
}

int batched_compare_approx(const struct batched_node *a, const struct batched_node *b,
			   enum batched_counter counter)
{
	__int128 difference = (__int128)batched_approx(a, counter) - batched_approx(b, counter);
	int64_t a_under, a_over, b_under, b_over;

	batched_range(a, &a_under, &a_over);
	batched_range(b, &b_under, &b_over);
	if (difference > (__int128)a_over + b_under)
		return 1;
	if (-difference > (__int128)a_under + b_over)
		return -1;
	return 0;
}

int batched_compare(const struct batched_node *a, const struct batched_node *b,
		    enum batched_counter counter)
{
	int order = batched_compare_approx(a, b, counter);
	int64_t precise_a, precise_b;

	if (order != 0)
		return order;
	precise_a = batched_precise(a, counter);
	precise_b = batched_precise(b, counter);
	return precise_a < precise_b ? -1 : precise_a > precise_b;
}
