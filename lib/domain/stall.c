/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stall: the decision over what a walk finds; pure.  The walk is in stall-walk.c. */
#include "lib/domain/stall.h"

/* The kernel reclaims down to a batch below the limit; at this share it is at it. */
#define AT_LIMIT_PERMYRIAD 9800U
/* It was at its limit before, and is still so near that it will be again. */
#define NEAR_LIMIT_PERMYRIAD 7500U

bool stall_is_limited(const struct stall_limits *l)
{
	unsigned used;

	if (l->delegated && l->n_events > 0)
		return true;
	if (l->limit == UINT64_MAX)
		return false;
	used = l->limit > 0 ? permyriad_of(l->current, l->limit) : PERMYRIAD;
	return used >= AT_LIMIT_PERMYRIAD || (used >= NEAR_LIMIT_PERMYRIAD && l->n_events > 0);
}

static unsigned max_share(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

static unsigned sub_share(unsigned a, unsigned b)
{
	return a > b ? a - b : 0;
}

static unsigned add_share(unsigned a, unsigned b)
{
	return a + b < PERMYRIAD ? a + b : PERMYRIAD;
}

struct stall_share stall_unexplained(const struct stall_node *node)
{
	struct stall_share share = node->greatest;

	if (node->limited)
		return (struct stall_share){ 0 };
	if (node->delegated && node->has_children)
		return share;
	if (!node->has_limited)
		return node->share;
	/* Never more than the sum of those below: what is missing is at least this. */
	share.some = max_share(share.some, sub_share(node->share.some, node->below.some));
	share.full = max_share(share.full, sub_share(node->share.full, node->below.full));
	return share;
}

static bool is_explained(unsigned unexplained, unsigned machine, unsigned wanted)
{
	return unexplained < (machine < wanted ? machine : wanted) / 2;
}

bool stall_explains(const struct stall_verdict *v, unsigned some, unsigned full)
{
	if (v->at == 0 || v->limited[0] == '\0')
		return false;
	return (some > 0 && is_explained(v->unexplained.some, v->machine.some, some)) ||
	       (full > 0 && is_explained(v->unexplained.full, v->machine.full, full));
}

void stall_add_child(struct stall_node *node, const struct stall_node *child)
{
	struct stall_share share = stall_unexplained(child);

	node->has_children = true;
	node->below.some = add_share(node->below.some, child->share.some);
	node->below.full = add_share(node->below.full, child->share.full);
	node->greatest.some = max_share(node->greatest.some, share.some);
	node->greatest.full = max_share(node->greatest.full, share.full);
	/* What is delegated may hide one: its own share is no evidence, for those above neither. */
	node->has_limited = node->has_limited || child->limited || child->has_limited ||
			    (child->delegated && child->has_children);
}
