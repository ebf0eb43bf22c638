/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* worth: computes the minimum from past kills, what is missing, and what no process holds. */
#include "lib/domain/worth.h"

bool worth_is_conclusive(unsigned n_sharers, unsigned n_left)
{
	return n_sharers == 0 || n_left == 0;
}

void worth_note(struct worth *worth, uint64_t expected, uint64_t freed)
{
	if (freed >= expected / WORTH_EFFECTIVE_SHARE) {
		worth_reset(worth);
		return;
	}
	worth->expected[worth->n_kills++ % WORTH_SPREE] = expected;
}

void worth_reset(struct worth *worth)
{
	*worth = (struct worth){ 0 };
}

bool worth_is_spree(const struct worth *worth)
{
	return worth->n_kills >= WORTH_SPREE;
}

uint64_t worth_unaccounted(const struct memory_counters *c)
{
	const uint64_t known[] = {
		c->free,	 c->free_listed, c->cached,	 c->buffers, c->swap_cached,
		c->anon,	 c->slab,	 c->page_tables, c->percpu,  c->hugetlb,
		c->kernel_stack, c->arc_size,	 c->zram_used,
	};
	uint64_t rest = c->total;

	if (c->anon == 0) /* not known: in some containers */
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		rest = sub_u64(rest, known[i]);
	return rest;
}

/* Pages of files that no reclaim takes, as they are locked: too low where there is lazily freed
 * memory, which is on the same lists. */
static uint64_t locked_file(const struct memory_counters *c)
{
	uint64_t evictable = add_u64(c->shmem, add_u64(c->active_file, c->inactive_file));

	return min_u64(c->mlocked, sub_u64(add_u64(c->cached, c->buffers), evictable));
}

uint64_t worth_unowned_shmem(const struct memory_counters *c, uint64_t mapped_shmem)
{
	return sub_u64(add_u64(c->shmem, locked_file(c)), mapped_shmem);
}

uint64_t worth_unowned(const struct memory_counters *c, uint64_t mapped_shmem)
{
	uint64_t kernel = add_u64(c->slab_unreclaimable, add_u64(c->percpu, c->hugetlb));

	return add_u64(add_u64(worth_unowned_shmem(c, mapped_shmem), worth_unaccounted(c)), kernel);
}

uint64_t worth_tmpfs_in_swap(const struct memory_counters *c, uint64_t tmpfs,
			     const struct worth_holdings *before)
{
	uint64_t used = sub_u64(c->swap_total, c->swap_free);

	return min_u64(sub_u64(tmpfs, c->shmem), sub_u64(used, before->swap_used));
}

uint64_t worth_unowned_growth(const struct worth_holdings *before, const struct worth_holdings *now,
			      uint64_t memory)
{
	uint64_t fall = sub_u64(before->available, now->available);
	uint64_t growth = sub_u64(now->unowned, before->unowned);

	if (fall < memory / WORTH_FALL_SHARE || growth < fall / 4 * WORTH_UNOWNED_QUARTERS)
		return 0;
	return growth;
}

void worth_move_mark(struct worth_mark *mark, const struct worth_mark *now, uint64_t memory)
{
	if (mark->room == 0 || now->unowned >= add_u64(mark->unowned, memory / WORTH_STEP_SHARE) ||
	    add_u64(now->unowned, memory / WORTH_FREED_SHARE) <= mark->unowned)
		*mark = *now;
	else
		mark->room = max_u64(mark->room, now->room);
}

uint64_t worth_taken(const struct worth_mark *mark, const struct worth_mark *now, uint64_t memory)
{
	uint64_t taken = sub_u64(mark->room, now->room);

	/* It has grown since the mark was moved. */
	if (now->unowned >= add_u64(mark->unowned, memory / WORTH_STEP_SHARE))
		return 0;
	return taken >= memory / WORTH_FALL_SHARE ? taken : 0;
}

bool worth_may_be_held(const struct worth_holdings *before, const struct worth_holdings *now,
		       uint64_t memory)
{
	return sub_u64(now->unowned, before->unowned) >= memory / WORTH_HELD_SHARE;
}

uint64_t worth_min_victim(const struct policy_threshold *threshold, uint64_t memory)
{
	if (threshold->set)
		return policy_threshold_bytes(threshold, memory);
	return max_u64(WORTH_MIN_BYTES, memory / WORTH_MIN_SHARE);
}

/* One condition that does not hold any more is enough. */
uint64_t worth_missing(const struct policy *policy, const struct memory_reading *reading)
{
	uint64_t least = UINT64_MAX;

	if (policy->memory_available.set && !policy_threshold_is_all(&policy->memory_available))
		least = sub_u64(policy_threshold_bytes(&policy->memory_available, reading->total),
				reading->available);
	if (policy->swap_free.set && reading->swap_total > 0)
		least = min_u64(least, sub_u64(policy_threshold_bytes(&policy->swap_free,
								      reading->swap_total),
					       reading->swap_free));
	return least == UINT64_MAX ? 0 : least;
}

static uint64_t most_promised(const struct worth *worth)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < WORTH_SPREE; i++)
		most = max_u64(most, worth->expected[i]);
	return most;
}

uint64_t worth_minimum(const struct worth *worth, uint64_t min_victim, uint64_t missing,
		       uint64_t unowned_growth)
{
	uint64_t least = max_u64(min_victim, unowned_growth / WORTH_UNOWNED_SHARE);

	if (worth->n_kills >= WORTH_INEFFECTIVE_MAX)
		least = max_u64(least, missing / WORTH_MISSING_SHARE);
	if (worth_is_spree(worth))
		least = max_u64(least, most_promised(worth) * WORTH_SPREE_FACTOR);
	return least;
}

uint64_t worth_holder_minimum(const struct worth *worth, uint64_t min_victim, uint64_t missing,
			      uint64_t unowned_growth)
{
	return worth_minimum(worth, min_victim, missing, unowned_growth / WORTH_HOLDERS);
}
