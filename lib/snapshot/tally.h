/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tally: sums over a tree of any shape, exact at each node.
 *
 * What is added at a node is added to all nodes above it, so that the sum of each is there at once,
 * and sums are compared as they are.  Nodes are embedded in what they count (a cgroup, the machine)
 * and linked where they lie: no allocation here, and a node with a parent or with children must
 * not be moved in memory.  A subtree that is detached takes its sums with it.  Sums are modulo
 * 2^64.
 *
 * The kernel's hierarchical counter (percpu_counter_tree) keeps updates back until they come to a
 * batch, because CPUs contend for what is above.  Here one thread counts, and cgroups are some five
 * levels deep: to keep back, and to know by how much a sum may be off, took more instructions than
 * to add (bench/tally-cost, docs/benchmarks.md).  bench/batched.h is what was here before.
 */
#pragma once

#include <stdint.h>

enum tally_counter {
	TALLY_ANON, /* swapped, too */
	TALLY_OTHER,
	TALLY_ERROR, /* by how much these may be too low: counting errors */
	TALLY_N_COUNTERS,
};

/* Negative ones are modulo 2^64. */
struct tally_sums {
	uint64_t of[TALLY_N_COUNTERS];
};

/* May be read, but written by tally_ functions only. */
struct tally_node {
	struct tally_node *parent;
	struct tally_sums sums;
	struct tally_node *first_child;
	struct tally_node *next;  /* sibling */
	struct tally_node **link; /* what points to us: first_child or the sibling's next */
};

/* A tree of one, at zero. */
void tally_init(struct tally_node *node);

/* Node, a root, with all that is below it, becomes a child of parent: O(depth), as is detaching. */
void tally_attach(struct tally_node *node, struct tally_node *parent);

/* Node, with all that is below it, becomes a root; nothing happens if it is one. */
void tally_detach(struct tally_node *node);

/* O(depth); O(1) if there is nothing to add. */
void tally_add(struct tally_node *node, const struct tally_sums *delta);

static inline uint64_t tally_sum(const struct tally_node *node, enum tally_counter counter)
{
	return node->sums.of[counter];
}
