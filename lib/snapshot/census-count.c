/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * census-count: sets a process's memory from a reading, and how far that may be off by now: what
 * was allocated since, what was measured earlier, and what may be in swap.
 */
#include "lib/base/cleanup.h"
#include "lib/snapshot/census-tree.h"

static void remember_growth(struct census_process *process, usec_t now)
{
	uint64_t footprint = proc_mapped(&process->memory);

	if (process->recent_at == 0) {
		process->earlier_footprint = process->recent_footprint = footprint;
		process->recent_at = census_stamp(now);
	} else if (census_since(process->recent_at, now) >= CENSUS_GROWTH_USEC) {
		process->is_watched = true;
		process->earlier_footprint = process->recent_footprint;
		process->recent_footprint = footprint;
		process->recent_at = census_stamp(now);
	}
}

/*
 * All that it can have mapped when memory was read, its share of it whatever it is.  Page tables
 * and shared memory may have been read earlier than the rest.  Page tables are allocated like all
 * else, so they have grown by no more than was allocated between; shared memory that was there
 * before can be mapped at any time, but is resident, and in all not more than the machine has.
 */
static uint64_t mapped_at_most(const struct census *census, const struct census_process *process,
			       struct proc_memory memory)
{
	const struct census_totals *totals = &census->totals;
	uint64_t grown = saturate_u64((double)process->status_behind);

	if (totals->is_known)
		grown = min_u64(grown, sub_u64(totals->pagetables, memory.pagetables));
	memory.pagetables = add_u64(memory.pagetables, grown);
	if (process->shmem_is_guessed)
		memory.shmem =
			totals->is_known ? min_u64(memory.shared, totals->shmem) : memory.shared;
	return proc_mapped(&memory);
}

/* off: how much of it may be in swap besides, or not any more. */
static void put_memory(struct census *census, struct census_process *process,
		       const struct proc_memory *memory, uint64_t off, uint64_t allocated,
		       usec_t now)
{
	uint64_t mapped = proc_mapped(memory);
	struct interval interval =
		accuracy_interval(census->accuracy, mapped, census->with_swap, process->n_threads);
	uint64_t error =
		interval.hi - mapped + mapped_at_most(census, process, *memory) - mapped + off;

	process->read_at_allocated = allocated;
	census_put_memory(census, process, memory, error);
	remember_growth(process, now);
}

static uint64_t difference(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/*
 * What was measured holds for what it has mapped since then, but is never more than all.  How far
 * it may be off: what was mapped and unmapped since may have been shared or not.  Where all
 * counted, only shared memory that was mapped since may be kept.
 */
static void keep_measured(struct census_process *process, struct proc_memory *memory)
{
	const struct proc_memory *old = &process->memory;
	uint64_t off = difference(memory->shmem, old->shmem);
	float lost;

	if (old->kept > proc_mapped(memory) / CENSUS_MEASURED_OFF)
		off += difference(memory->anon + memory->swap, old->anon + old->swap);
	process->share_off += (float)off;
	lost = (float)sub_u64(proc_mapped(old), proc_mapped(memory));
	process->fair_share -= lost < process->fair_share ? lost : process->fair_share;
	memory->is_measured = old->is_measured;
	memory->kept = min_u64(old->kept, proc_mapped(memory));
}

void census_set_memory(struct census *census, struct census_process *process,
		       const struct proc_memory *memory, uint64_t allocated, usec_t now)
{
	struct proc_memory full = *memory;

	if (full.is_measured) {
		process->measured_at = census_stamp(now);
		process->shares_era = census->shares_era;
		process->measured_at_allocated = allocated;
		process->share_off = 0;
	} else {
		keep_measured(process, &full);
	}
	process->shmem_is_guessed = false;
	process->status_behind = 0;
	put_memory(census, process, &full, 0, allocated, now);
}

void census_set_resident(struct census *census, struct census_process *process, uint64_t anon,
			 uint64_t shared, uint64_t allocated, usec_t now)
{
	struct proc_memory memory = process->memory;
	uint64_t file = sub_u64(memory.shared, memory.shmem);
	uint64_t off = census->with_swap ? census_swap_off(census) : 0;

	/* What was mapped since status was read is taken for shared memory: that is soon re-read
	 * (census-read.c), and mapped files grow slowly. */
	memory.shmem = sub_u64(shared, file);
	memory.shared = shared;
	memory.anon = anon;
	keep_measured(process, &memory);
	process->shmem_is_guessed = true;
	process->status_behind =
		census_round_up((double)process->status_behind +
				(double)sub_u64(allocated, process->read_at_allocated));
	put_memory(census, process, &memory, min_u64(off, CENSUS_SWAP_OFF_MAX), allocated, now);
}

void census_set_totals(struct census *census, const struct memory_counters *counters)
{
	census->totals = (struct census_totals){
		.is_known = counters->anon > 0,
		.anon = counters->anon,
		.swap = sub_u64(counters->swap_total, counters->swap_free),
		.shmem = add_u64(counters->shmem, counters->mlocked),
		.pagetables = counters->page_tables,
		.knows_swapped = counters->events.has_zswap && !counters->virtualised,
		.swapped = counters->events.swapped_in + counters->events.swapped_out +
			   counters->events.swapped_within,
		.swap_cached = counters->swap_cached,
	};
	if (census->totals.knows_swapped)
		census->totals.swapped *= census->accuracy->page_size;
}

uint64_t census_swap_off(const struct census *census)
{
	const struct census_totals *then = &census->status_totals, *now = &census->totals;
	/* Each CPU keeps back so many pages at most (MAX_THRESHOLD in mm/vmstat.c). */
	uint64_t lag = 2 * UINT64_C(125) * census->accuracy->n_cpus * census->accuracy->page_size;

	if (!then->knows_swapped || !now->knows_swapped || now->swapped < then->swapped)
		return UINT64_MAX;
	return add_u64(now->swapped - then->swapped + lag,
		       add_u64(then->swap_cached, now->swap_cached));
}

void census_begin_statuses(struct census *census)
{
	struct census_process *process;

	census_for_each(census, process)
		process->status_is_new = false;
	census->status_totals = census->totals;
}

/* What is shared copy on write is counted in each process: the sum is rather too high. */
uint64_t census_unseen(const struct census *census)
{
	if (!census->totals.is_known || census->n_hidden > 0 || census->n_unreadable > 0)
		return 0;
	return sub_u64(census->totals.anon, add_u64(census->anon, CENSUS_SLACK));
}

bool census_share_is_current(const struct census *census, const struct census_process *process,
			     usec_t now)
{
	return process->memory.is_measured && process->shares_era == census->shares_era &&
	       census_since(process->measured_at, now) <= CENSUS_MEASURED_USEC &&
	       /* NOLINTNEXTLINE(bugprone-integer-division): bytes are exact enough */
	       process->share_off <= (float)(proc_mapped(&process->memory) / CENSUS_MEASURED_OFF);
}

uint64_t census_mapped_at_most(const struct census *census, const struct census_process *process,
			       uint64_t allocated)
{
	return add_u64(add_u64(proc_mapped(&process->memory), process->counting_error),
		       sub_u64(allocated, process->read_at_allocated));
}

struct interval census_interval(const struct census *census, const struct census_process *process,
				uint64_t allocated, usec_t now)
{
	uint64_t growth = sub_u64(allocated, process->read_at_allocated);
	uint64_t error = process->counting_error, hi = proc_mapped(&process->memory);
	bool is_current = census_share_is_current(census, process, now);

	/* What is kept depends on how much is its own, which may be another part by now: a page
	 * that was shared becomes its own when it is written to, which allocates one. */
	if (is_current)
		hi = sub_u64(hi, sub_u64(process->memory.kept,
					 sub_u64(allocated, process->measured_at_allocated)));
	/* It may have shrunk at any time, and grown by no more than all that was allocated. */
	return (struct interval){
		.lo = growth > 0 || !is_current
			      ? 0
			      : sub_u64(proc_reclaimable(&process->memory), error),
		.hi = add_u64(add_u64(hi, error), growth),
	};
}

uint64_t census_node_mapped(const struct census_node *node)
{
	const struct tally_node *tally = &((const struct census_branch *)node)->tally;

	return tally_sum(tally, TALLY_ANON) + tally_sum(tally, TALLY_OTHER);
}

struct interval census_node_interval(const struct census *census, const struct census_node *node,
				     uint64_t allocated)
{
	uint64_t growth = sub_u64(allocated, census->oldest_allocated);
	uint64_t mapped = census_node_mapped(node), error = census_error_of(node);

	return (struct interval){
		.lo = growth > 0 ? 0 : sub_u64(mapped, error),
		.hi = add_u64(add_u64(mapped, error), growth),
	};
}
