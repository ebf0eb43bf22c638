/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy-levels: the conditions on levels, of memory and of swap; see policy.h.
 *
 * A shortage of swap alone is none of memory: where there is no swap (or none any more, after
 * swapoff(8)), it counts as used up only for a policy that has a condition on memory too.
 */
#include "lib/config/policy.h"

/* A kill while more than this is available frees memory that was not short, so the condition still
 * holds and the next kill follows. */
#define FLOOR_SHARE 2

uint64_t policy_threshold_bytes(const struct policy_threshold *threshold, uint64_t total)
{
	uint64_t bytes;

	if (!threshold->set)
		return 0;
	if (threshold->is_size)
		return threshold->bytes;
	bytes = (uint64_t)((__uint128_t)total * threshold->permyriad / PERMYRIAD);
	return threshold->cap > 0 ? min_u64(bytes, threshold->cap) : bytes;
}

bool policy_threshold_is_all(const struct policy_threshold *threshold)
{
	return threshold->set && !threshold->is_size && threshold->permyriad == PERMYRIAD &&
	       threshold->cap == 0;
}

bool policy_has_floor(const struct policy *policy)
{
	bool is_shown = policy_waits_for_pressure(policy) || policy->thrashing > 0;

	if (policy->action < POLICY_ACTION_TERMINATE ||
	    policy_threshold_is_all(&policy->memory_available))
		return false;
	if (policy->memory_available.set)
		return !is_shown;
	return policy->swap_free.set;
}

uint64_t policy_floor_bytes(uint64_t total)
{
	return total / FLOOR_SHARE;
}

uint64_t policy_memory_headroom(const struct policy *policy, const struct memory_reading *memory)
{
	uint64_t threshold = UINT64_MAX;

	if (policy->memory_available.set)
		threshold = policy_threshold_bytes(&policy->memory_available, memory->total);
	if (policy_has_floor(policy))
		threshold = min_u64(threshold, policy_floor_bytes(memory->total));
	return sub_u64(memory->available, threshold);
}

uint64_t policy_swap_headroom(const struct policy *policy, const struct memory_reading *memory)
{
	if (!policy->swap_free.set)
		return 0;
	if (memory->swap_total == 0)
		return policy->memory_available.set ? 0 : UINT64_MAX;
	return sub_u64(memory->swap_free,
		       policy_threshold_bytes(&policy->swap_free, memory->swap_total));
}
