/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-cgroups: ListCgroups(): the largest cgroups by the tallies of the census, those with others
 * below them too.
 */
#include <string.h>

#include "daemon/bus/bus-internal.h"
#include "lib/base/cleanup.h"

#define CGROUPS_STANDARD 32
#define CGROUPS_MAX	 256

struct item {
	const struct census_node *node;
	uint64_t estimate;
	uint32_t n_processes;
};

struct largest {
	struct item items[CGROUPS_MAX]; /* largest first */
	uint32_t n, limit;
};

static uint64_t estimate(const struct census_node *node)
{
	return tally_sum(&((const struct census_branch *)node)->tally, TALLY_ANON);
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
	uint32_t n_processes = ((const struct census_branch *)node)->n_processes;

	census_for_each_child(child, node) {
		if (child->kind == CENSUS_CGROUP)
			n_processes += take(largest, child);
		else if (child->kind == CENSUS_BUCKET_OF)
			n_processes += ((const struct census_branch *)child)->n_processes;
	}
	/* The root of the cgroups has all of them below it: it is the machine. */
	if (node->kind == CENSUS_MACHINE ||
	    strcmp(((const struct census_cgroup *)node)->path, "/") != 0)
		insert(largest, node, n_processes);
	return n_processes;
}

static const char *path_of(const struct census_node *node)
{
	return node->kind == CENSUS_MACHINE ? "/" : ((const struct census_cgroup *)node)->path;
}

/* "a{sv}" */
static int append(struct bus *b, sd_bus_message *reply, const struct item *item)
{
	struct interval interval =
		census_node_interval(&b->subject.sampler->census, item->node, b->reading.allocated);
	int r;

	r = sd_bus_message_open_container(reply, 'a', "{sv}");
	if (r >= 0)
		r = bus_append_foreign_member(b, reply, "Cgroup", path_of(item->node));
	if (r >= 0)
		r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "MinBytes", "t", interval.lo,
					  "MaxBytes", "t", interval.hi, "EstimateBytes", "t",
					  item->estimate, "Processes", "u", item->n_processes);
	b->n_bytes += 192;
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_list_cgroups(struct bus *b, sd_bus_message *call)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct largest largest = { .n = 0 };
	struct bus_page page;
	int r;

	r = bus_read_page(call, CGROUPS_STANDARD, CGROUPS_MAX, &page);
	if (r >= 0)
		r = sampler_read_memory(b->subject.sampler, &b->reading);
	if (r < 0)
		return r;
	largest.limit = (uint32_t)min_u64((uint64_t)page.first + page.limit, CGROUPS_MAX);
	take(&largest, b->subject.sampler->domain.root);
	r = sd_bus_message_new_method_return(call, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "a{sv}");
	for (uint32_t i = page.first; r >= 0 && i < largest.n && !bus_page_is_full(b); i++)
		r = append(b, reply, &largest.items[i]);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}
