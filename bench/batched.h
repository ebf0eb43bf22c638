/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * batched: a hierarchical counter over a tree of any shape, after the kernel's percpu_counter_tree
 * (lib/percpu_counter_tree.c in linux-mm).
 *
 * Every node counts what lies below it.  An update stays where it was made until what has gathered
 * there comes to the node's batch; then it moves one level up, with half a batch more than there
 * is (batched.c says why), and so on.  A node is thus an approximation with a guaranteed error, an
 * update costs amortised O(1), and the exact sum is there for whoever pays for a walk.  Nodes are
 * embedded in what they count (a process, a cgroup, the machine) and linked where they lie: no
 * allocation here, and a node with a parent or with children must stay at its address.
 *
 * At all times, for each counter, "below" meaning at any depth:
 *
 *   approx     = added at this node + passed up by its children
 *   passed up  = approx - carry;  |carry| < batch where there is a parent, carry = approx at a root
 *   precise    = approx + the carries of all nodes below it = all that was added here and below
 *   under, over = sum of (batch - 1) over all nodes below it
 *   precise - under <= approx <= precise + over
 *
 * So a leaf is exact, and a subtree that goes takes with it what it has ever passed up, and its
 * share of the range: every ancestor is as if it had never been there.  Sums are modulo 2^64: one
 * that does not fit into an int64_t is neither undefined nor lost, it is right again once it fits.
 *
 * For an error that is the same at each level, give a node its children's batch times the number of
 * children.  One thread at a time.
 *
 * The snapshot counted by it once; what that cost beside exact sums (lib/snapshot/tally.h) is
 * measured by tally-cost, and how far it is off beside the kernel's counters by tally-sim.
 */
#pragma once

#include <stdint.h>

enum batched_counter {
	BATCHED_ANON, /* swapped, too */
	BATCHED_OTHER,
	BATCHED_N_COUNTERS,
};

/* With 2^22 nodes of it, as many as there can be processes, a range still fits. */
#define BATCHED_BATCH_MAX (INT64_C(1) << 40)

/* To be read, and written by batched_ functions only. */
struct batched_node {
	struct batched_node *parent;
	int64_t batch;
	struct batched_sum {
		int64_t approx;
		int64_t carry;
	} sums[BATCHED_N_COUNTERS];
	int64_t slack; /* under and over */
	struct batched_node *first_child;
	struct batched_node *next;  /* sibling */
	struct batched_node **link; /* what points to us: first_child or the sibling's next */
};

/* A tree of one, at zero.  batch: 1 (nothing is kept back) to BATCHED_BATCH_MAX. */
void batched_init(struct batched_node *node, int64_t batch);

/* Node, a root, with all that is below it, becomes a child of parent: O(depth), as is detaching. */
void batched_attach(struct batched_node *node, struct batched_node *parent);

/* Node, with all that is below it, becomes a root; nothing happens if it is one. */
void batched_detach(struct batched_node *node);

/* At any node, though meant for leaves; delta of either sign. */
void batched_add(struct batched_node *node, enum batched_counter counter, int64_t delta);

static inline int64_t batched_approx(const struct batched_node *node, enum batched_counter counter)
{
	return node->sums[counter].approx;
}

/* Visits every node below: O(1) at a leaf. */
int64_t batched_precise(const struct batched_node *node, enum batched_counter counter);

/* How far approx may lie under and over precise; all counters of a node have the same range. */
static inline void batched_range(const struct batched_node *node, int64_t *ret_under,
				 int64_t *ret_over)
{
	*ret_under = node->slack;
	*ret_over = node->slack;
}

/* -1, 0, 1 as a is less than, equal to, more than b.  From the ranges where these are apart, O(1);
 * by precise sums where they are not. */
int batched_compare(const struct batched_node *a, const struct batched_node *b,
		    enum batched_counter counter);

/* The same from the ranges alone: 0 says that they overlap. */
int batched_compare_approx(const struct batched_node *a, const struct batched_node *b,
			   enum batched_counter counter);
