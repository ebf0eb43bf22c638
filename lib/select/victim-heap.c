/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim-heap: push, pop and order of the heap; and its storage, see victim.h. */
#include "lib/select/victim-heap.h"

#include <stdlib.h>
#include <string.h>

/*
 * Which is popped first?  Of equal keys a node that is to be opened, so that all with that key are
 * on the heap before one is taken; then the youngest process; cgroups by their path.  So the order
 * in which they were pushed does not matter.
 */
static bool is_above(const struct victim_entry *a, const struct victim_entry *b)
{
	const struct census_process *pa, *pb;

	if (a->key != b->key)
		return a->key > b->key;
	if (a->node->kind != b->node->kind)
		return a->node->kind < b->node->kind;
	if (a->node->kind == CENSUS_CGROUP)
		return strcmp(((const struct census_cgroup *)a->node)->path,
			      ((const struct census_cgroup *)b->node)->path) < 0;
	if (a->node->kind != CENSUS_PROCESS)
		return false;
	pa = (const struct census_process *)a->node;
	pb = (const struct census_process *)b->node;
	return pa->start_ticks != pb->start_ticks ? pa->start_ticks > pb->start_ticks
						  : pa->pid > pb->pid;
}

void victim_heap_push(struct victim_result *result, const struct census_node *node, uint64_t key)
{
	struct victim_entry *heap = result->heap, entry = { .key = key, .node = node };
	size_t i = result->n_heap++;

	for (; i > 0 && is_above(&entry, &heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = entry;
}

struct victim_entry victim_heap_pop(struct victim_result *result)
{
	struct victim_entry *heap = result->heap;
	struct victim_entry top = heap[0], moving = heap[--result->n_heap];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < result->n_heap) {
		if (child + 1 < result->n_heap && is_above(&heap[child + 1], &heap[child]))
			child++;
		if (!is_above(&heap[child], &moving))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = moving;
	return top;
}

/*
 * The entries on the heap at a time have no process in common: a branch is popped before what is
 * below it is pushed, and of nested cgroups each stands for its own processes alone.  None is
 * empty, so there are no more of them than processes.
 */
int victim_reserve(struct victim_result *result, const struct census *census)
{
	size_t n = census->n_processes + census->n_processes / 32 + 128;
	struct victim_entry *grown;

	if (census->n_processes <= result->n_allocated)
		return 0;
	grown = realloc(result->heap, n * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	result->heap = grown;
	result->n_allocated = n;
	return 0;
}

void victim_done(struct victim_result *result)
{
	free(result->heap);
	*result = (struct victim_result){ 0 };
}
