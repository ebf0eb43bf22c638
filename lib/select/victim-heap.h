/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * victim-heap: the nodes that wait in a choice, the one with the highest upper end on top:
 * result->heap[0].  For victim.c.
 */
#pragma once

#include "lib/select/victim.h"

/* There is room: see victim_reserve(). */
void victim_heap_push(struct victim_result *result, const struct census_node *node, uint64_t key);
/* result->n_heap > 0. */
struct victim_entry victim_heap_pop(struct victim_result *result);
