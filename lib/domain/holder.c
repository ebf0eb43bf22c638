/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* holder: decides whether a holder is to be looked for, and whether one is killed. */
#include "lib/domain/holder.h"

/* In vain: less than this part of what was expected. */
#define FREED_SHARE 4

static bool was_in_vain(const struct holder_facts *facts)
{
	uint64_t expected = proc_reclaimable(&facts->expected);

	return !facts->is_holder && min_u64(facts->expected.shmem, expected) >= HOLDER_MIN &&
	       facts->expected.shmem >= expected / 2 && facts->freed < expected / FREED_SHARE;
}

enum holder_step holder_next(const struct holder_facts *facts)
{
	if (facts->ended_at == 0 || facts->now - facts->ended_at >= HOLDER_USEC ||
	    !was_in_vain(facts))
		return HOLDER_NONE;
	if (facts->asked_at < facts->ended_at)
		return HOLDER_ASK;
	if (facts->surveyed_at >= facts->asked_at)
		return HOLDER_COMPARE;
	return facts->now - facts->asked_at < HOLDER_WAIT_USEC ? HOLDER_WAIT : HOLDER_NONE;
}
