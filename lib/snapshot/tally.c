/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tally: updates, attaching and detaching of the hierarchical counter. */
#include "lib/snapshot/tally.h"

#include <assert.h>
#include <stddef.h>

void tally_init(struct tally_node *node)
{
	*node = (struct tally_node){ .parent = NULL };
}

void tally_add(struct tally_node *node, const struct tally_sums *delta)
{
	uint64_t any = 0;

	for (int i = 0; i < TALLY_N_COUNTERS; i++)
		any |= delta->of[i];
	if (any == 0)
		return;
	for (; node; node = node->parent)
		for (int i = 0; i < TALLY_N_COUNTERS; i++)
			node->sums.of[i] += delta->of[i];
}

void tally_attach(struct tally_node *node, struct tally_node *parent)
{
	assert(parent && !node->parent);
	for (const struct tally_node *above = parent; above; above = above->parent)
		assert(above != node);

	node->parent = parent;
	node->next = parent->first_child;
	if (node->next)
		node->next->link = &node->next;
	node->link = &parent->first_child;
	parent->first_child = node;
	tally_add(parent, &node->sums);
}

void tally_detach(struct tally_node *node)
{
	struct tally_node *parent = node->parent;
	struct tally_sums negative;

	if (!parent)
		return;
	*node->link = node->next;
	if (node->next)
		node->next->link = node->link;
	node->parent = NULL;
	node->next = NULL;
	node->link = NULL;
	for (int i = 0; i < TALLY_N_COUNTERS; i++)
		negative.of[i] = 0 - node->sums.of[i];
	tally_add(parent, &negative);
}
