/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-cgroups: GetCgroups(): the largest cgroups by the tallies of the census, those with others
 * below them too.
 */
#include <string.h>

#include "daemon/bus-internal.h"
#include "lib/cleanup.h"

#define CGROUPS_STANDARD 32
#define CGROUPS_MAX	 256

struct largest {
	struct {
		const struct census_node *node;
		uint64_t estimate;
		uint32_t n_processes;
	} items[CGROUPS_MAX]; /* largest first */
	uint32_t n, limit;
};

static uint64_t estimate(const struct census_node *node)
{
	int64_t approx =
		tally_approx(&node->tally, TALLY_ANON) + tally_approx(&node->tally, TALLY_SWAP);

	return approx > 0 ? (uint64_t)approx : 0;
}

static void insert(struct largest *largest, const struct census_node *node, uint32_t n_processes)
{
	uint64_t bytes = estimate(node);
	uint32_t i = largest->n;

	if (largest->n == largest->limit && bytes <= largest->items[largest->n - 1].estimate)
		return;
	if (largest->n < largest->limit)
		largest->n++;
	else
		i--;
	for (; i > 0 && largest->items[i - 1].estimate < bytes; i--)
		largest->items[i] = largest->items[i - 1];
	largest->items[i].node = node;
	largest->items[i].estimate = bytes;
	largest->items[i].n_processes = n_processes;
}

/* Takes the cgroup and all below; returns how many processes there are.  The depth is that of the
 * tree of cgroups, which a path bounds. */
static uint32_t take(struct largest *largest, const struct census_node *node)
{
	const struct census_node *child;
	uint32_t n_processes = 0;

	census_for_each_child(child, node) {
		if (child->kind == CENSUS_CGROUP)
			n_processes += take(largest, child);
		else if (child->kind == CENSUS_BUNDLE_OF)
			n_processes += ((const struct census_bundle *)child)->n_processes;
	}
	/* The root of the cgroups has all of them below it: it is the machine. */
	if (node->kind == CENSUS_MACHINE ||
	    strcmp(((const struct census_cgroup *)node)->path, "/") != 0)
		insert(largest, node, n_processes);
	return n_processes;
}

static int append(struct bus *b, sd_bus_message *reply, const struct census_node *node,
		  uint64_t bytes, uint32_t n_processes)
{
	struct interval interval =
		census_node_interval(&b->manager->census, node, b->reading.allocated);
	const char *path =
		node->kind == CENSUS_MACHINE ? "/" : ((const struct census_cgroup *)node)->path;
	int r;

	r = sd_bus_message_open_container(reply, 'r', "stttu");
	if (r >= 0)
		r = bus_append_foreign(reply, path);
	if (r >= 0)
		r = sd_bus_message_append(reply, "tttu", interval.lo, interval.hi, bytes,
					  n_processes);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_answer_cgroups(struct bus *b, sd_bus_message *call)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct largest largest = { .n = 0 };
	int r;

	r = bus_read_limit(call, CGROUPS_STANDARD, CGROUPS_MAX, &largest.limit);
	if (r >= 0)
		r = memory_sample(b->manager->memory, &b->reading);
	if (r < 0)
		return r;
	take(&largest, &b->manager->census.machine);
	r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(stttu)");
	for (uint32_t i = 0; r >= 0 && i < largest.n; i++)
		r = append(b, reply, largest.items[i].node, largest.items[i].estimate,
			   largest.items[i].n_processes);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(b->bus, reply, NULL);
}
