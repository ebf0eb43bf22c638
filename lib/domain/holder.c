/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* holder: decides whether a holder is to be searched for, and whether one is killed. */
#include "lib/domain/holder.h"

/* In vain: less than this part of what was expected. */
#define FREED_SHARE 4

/* Others free memory all the time; of shared memory there is less than before only if the kill
 * freed some, or another process did. */
static uint64_t freed_shmem(const struct holder_facts *facts)
{
	if (facts->shmem_before == 0)
		return facts->freed;
	return min_u64(facts->freed, sub_u64(facts->shmem_before, facts->shmem_now));
}

uint64_t holder_missing(const struct holder_facts *facts)
{
	uint64_t shmem = min_u64(facts->expected.shmem, proc_reclaimable(&facts->expected));

	return sub_u64(facts->is_holder ? facts->missing : shmem, freed_shmem(facts));
}

/* A holder was killed, and something of what was missing then is still held. */
static bool was_in_part(const struct holder_facts *facts)
{
	return freed_shmem(facts) >= proc_reclaimable(&facts->expected) / FREED_SHARE &&
	       holder_missing(facts) >= HOLDER_MIN;
}

static bool was_in_vain(const struct holder_facts *facts)
{
	uint64_t expected = proc_reclaimable(&facts->expected);

	return min_u64(facts->expected.shmem, expected) >= HOLDER_MIN &&
	       facts->expected.shmem >= expected / 2 && freed_shmem(facts) < expected / FREED_SHARE;
}

bool holder_is_waited_for(usec_t asked_at, usec_t cpu_time, usec_t now)
{
	return cpu_time < HOLDER_WAIT_USEC && now - asked_at < HOLDER_STARVED_USEC;
}

enum holder_step holder_next(const struct holder_facts *facts)
{
	if (facts->finished_at == 0 || facts->now - facts->finished_at >= HOLDER_USEC ||
	    !(facts->is_holder ? was_in_part(facts) : was_in_vain(facts)))
		return HOLDER_NONE;
	if (facts->asked_at < facts->finished_at)
		return HOLDER_ASK;
	if (facts->surveyed_at >= facts->asked_at)
		return HOLDER_COMPARE;
	return holder_is_waited_for(facts->asked_at, facts->cpu_time, facts->now) ? HOLDER_WAIT
										  : HOLDER_NONE;
}

enum holder_step holder_before(const struct holder_doubt *doubt)
{
	uint64_t much = doubt->memory / HOLDER_GROWN_SHARE;

	if (doubt->grown < much || doubt->grown <= doubt->chosen)
		return HOLDER_NONE;
	if (doubt->asked_at == 0)
		return HOLDER_ASK;
	if (doubt->is_under_way &&
	    holder_is_waited_for(doubt->asked_at, doubt->cpu_time, doubt->now))
		return HOLDER_WAIT;
	if (!doubt->is_under_way && doubt->killed_at > doubt->surveyed_from)
		return HOLDER_ASK;
	if (!doubt->is_under_way && sub_u64(doubt->grown, doubt->grown_asked) >= much &&
	    (doubt->regrown_at == 0 || doubt->now - doubt->regrown_at >= doubt->pause))
		return HOLDER_ASK_AGAIN;
	if (!doubt->is_under_way && doubt->is_fresh)
		return HOLDER_NONE;
	return doubt->now - doubt->asked_at >= doubt->pause ? HOLDER_ASK : HOLDER_NONE;
}
