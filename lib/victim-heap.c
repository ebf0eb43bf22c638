/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim-heap: see the header; and its storage, see victim.h. */
#include "lib/victim-heap.h"

#include <stdlib.h>

void victim_heap_push(struct victim_result *result, const struct census_node *node, uint64_t hi)
{
	struct victim_entry *heap = result->heap;
	size_t i = result->n_heap++;

	for (; i > 0 && heap[(i - 1) / 2].hi < hi; i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = (struct victim_entry){ .hi = hi, .node = node };
}

struct victim_entry victim_heap_pop(struct victim_result *result)
{
	struct victim_entry *heap = result->heap;
	struct victim_entry top = heap[0], moving = heap[--result->n_heap];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < result->n_heap) {
		if (child + 1 < result->n_heap && heap[child + 1].hi > heap[child].hi)
			child++;
		if (heap[child].hi <= moving.hi)
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = moving;
	return top;
}

int victim_reserve(struct victim_result *result, const struct census *census)
{
	size_t n = census->n_nodes + census->n_nodes / 2 + 256;
	struct victim_entry *grown;

	if (census->n_nodes <= result->n_allocated)
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
