/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unowned: sums up what no process holds, and what was held when most was available. */
#include "daemon/select/unowned.h"

#include "daemon/select/selection.h"
#include "daemon/watch/sampler.h"
#include "lib/select/family.h"

/* So long is known how much was available at best, and once more. */
#define WINDOW_USEC (300 * USEC_PER_SEC)
/* What is below this share of memory may be needed soon. */
#define LOW_SHARE 5
/* All processes are read for the mark so often at most. */
#define MARK_USEC (100 * USEC_PER_MSEC)

/* Of one whose relatives map the same: its fair share, not what is freed with all of them. */
static uint64_t fair_shmem(const struct census_process *process)
{
	const struct proc_memory *memory = &process->memory;
	uint64_t own = add_u64(memory->anon, add_u64(memory->swap, memory->pagetables));

	return min_u64(memory->shmem, sub_u64(saturate_u64((double)process->fair_share), own));
}

/* Shared memory that is freed with it.  Where it was measured, without what is not: a file of a
 * tmpfs.  unit: one that was measured; its relatives are taken to map the same. */
static uint64_t freed_shmem(const struct census_process *process, const struct census_process *unit,
			    struct family *family)
{
	const struct proc_memory *memory = &process->memory;

	if (!memory->is_measured)
		return unit && family_has(family, process)
			       ? min_u64(memory->shmem, fair_shmem(unit))
			       : memory->shmem;
	return process->is_unit ? fair_shmem(process) : sub_u64(memory->shmem, memory->kept);
}

/* The one that maps most with its relatives, of those that were measured; or NULL. */
static const struct census_process *find_unit(const struct census *census)
{
	const struct census_process *largest = NULL, *process;

	census_for_each(census, process)
		if (process->memory.is_measured && process->is_unit &&
		    (!largest || process->memory.shmem > largest->memory.shmem))
			largest = process;
	return largest;
}

/* Of the processes that map at least so much. */
static uint64_t sum_freed(const struct selection *sel, uint64_t least)
{
	const struct census *census = &sel->sampler->census;
	const struct census_process *unit = find_unit(census), *process;
	struct family family;
	uint64_t sum = 0;

	if (unit)
		family_init(&family, census, unit, 0); /* by what the census knows */
	census_for_each(census, process)
		if (process->memory.shmem >= least)
			sum = add_u64(sum, freed_shmem(process, unit, &family));
	return sum;
}

/*
 * Shared memory that is freed with processes, by their shares where these are measured: of the
 * larger ones in watch.  What statm adds for small ones may be pages of files, and of many
 * processes that is much: a survey reads what it is.
 */
uint64_t unowned_mapped_shmem(const struct selection *sel)
{
	const struct stuck *s = &sel->stuck;

	if (!stuck_has_fresh_survey(s, sel->sampler->sampled_at) || s->surveyed.is_partial)
		return sum_freed(sel, 0);
	return add_u64(sum_freed(sel, WHERE_MAPPED_SMALL), s->surveyed.small_mapped_bytes);
}

static uint64_t swap_used(const struct selection *sel)
{
	const struct memory_counters *c = &sel->sampler->domain.reading.counters;

	return sub_u64(c->swap_total, c->swap_free);
}

static struct worth_holdings holdings_now(const struct selection *sel, uint64_t mapped)
{
	return (struct worth_holdings){
		.available = add_u64(sel->sampler->domain.reading.available,
				     sel->sampler->domain.reading.swap_free),
		.unowned = worth_unowned(&sel->sampler->domain.reading.counters, mapped),
		.swap_used = swap_used(sel),
	};
}

bool unowned_is_low(const struct selection *sel)
{
	return sel->sampler->domain.reading.available <
	       sel->sampler->domain.reading.total / LOW_SHARE;
}

/* Of the larger processes alone: what is known of the small ones changes with each survey.  While
 * no shortage is explained by what no process holds the mark is not used, and none is read. */
static uint64_t mapped_of_mark(const struct selection *sel)
{
	return unowned_growth_less(sel, 0) == 0 ? 0 : sum_freed(sel, WHERE_MAPPED_SMALL);
}

/* Without swap: what is swapped out of a tmpfs is in no figure of it. */
static struct worth_mark mark_now(const struct selection *sel)
{
	const struct memory_reading *reading = &sel->sampler->domain.reading;
	uint64_t unowned = worth_unowned(&reading->counters, mapped_of_mark(sel));

	return (struct worth_mark){
		.unowned = unowned,
		.room = add_u64(reading->available, unowned),
	};
}

void unowned_note(struct selection *sel)
{
	struct stuck *s = &sel->stuck;
	usec_t now = sel->sampler->sampled_at;
	struct worth_mark mark;

	if (s->marked_at != 0 && now - s->marked_at < MARK_USEC)
		return;
	s->marked_at = now;
	mark = mark_now(sel);
	worth_move_mark(&s->mark, &mark, sel->sampler->domain.reading.total);
}

/* As of a survey: what it found that processes hold by descriptors is theirs as well. */
void unowned_note_survey(struct selection *sel)
{
	struct stuck *s = &sel->stuck;
	struct worth_mark mark = mark_now(sel);
	uint64_t held = 0;

	for (unsigned i = 0; i < WHERE_UNMAPPED_MAX; i++)
		held = add_u64(held, add_u64(s->surveyed.unmapped[i].bytes,
					     s->surveyed.unmapped[i].together));
	held = min_u64(held, mark.unowned);
	mark.unowned -= held;
	mark.room -= held;
	s->held_now = mark;
	worth_move_mark(&s->held_mark, &mark, sel->sampler->domain.reading.total);
}

/* No process is known then: all shared memory is taken for held by none, so that less of it seems
 * to have been added since.  What fills memory slowly does so in calm too: the last sample before
 * watch would know the last part of it alone. */
void unowned_note_calm(struct selection *sel, usec_t now)
{
	struct stuck *s = &sel->stuck;
	struct worth_holdings holdings = holdings_now(sel, 0);

	if (unowned_is_low(sel)) /* started late: the first sample */
		return;
	if (now - s->window_began >= WINDOW_USEC) {
		s->best_earlier = s->best;
		s->best = holdings;
		s->window_began = now;
	} else if (holdings.available >= s->best.available) {
		s->best = holdings;
	}
}

/* Started late, so that calm was never seen: all that is used counts, but for huge pages. */
static struct worth_holdings holdings_before(const struct selection *sel)
{
	const struct stuck *s = &sel->stuck;

	if (s->best.available == 0)
		return (struct worth_holdings){
			.available = add_u64(sel->sampler->domain.reading.total,
					     sel->sampler->domain.reading.swap_total),
			.unowned = sel->sampler->domain.reading.counters.hugetlb,
		};
	return s->best_earlier.available > s->best.available ? s->best_earlier : s->best;
}

/* With what of a tmpfs has been swapped out, as far as a survey shows. */
static struct worth_holdings holdings_since(const struct selection *sel,
					    const struct worth_holdings *before, uint64_t mapped)
{
	const struct stuck *s = &sel->stuck;
	struct worth_holdings now = holdings_now(sel, mapped);

	if (stuck_has_fresh_survey(s, sel->sampler->sampled_at))
		now.unowned = add_u64(now.unowned,
				      worth_tmpfs_in_swap(&sel->sampler->domain.reading.counters,
							  s->surveyed.tmpfs_bytes, before));
	return now;
}

uint64_t unowned_growth_less(const struct selection *sel, uint64_t mapped)
{
	struct worth_holdings before = holdings_before(sel);
	struct worth_holdings holdings = holdings_since(sel, &before, mapped);

	return worth_unowned_growth(&before, &holdings, sel->sampler->domain.reading.total);
}

/* Mostly it is not so even if none of it were mapped: no process is read for that. */
static uint64_t growth(const struct selection *sel)
{
	return unowned_growth_less(sel, 0) == 0
		       ? 0
		       : unowned_growth_less(sel, unowned_mapped_shmem(sel));
}

/* A victim has to free half of it. */
static uint64_t limit_growth(uint64_t grown, uint64_t taken)
{
	return taken == 0 ? grown : min_u64(grown, taken / 8 * WORTH_TAKEN_EIGHTHS * 2);
}

uint64_t unowned_growth(const struct selection *sel)
{
	struct worth_mark now = mark_now(sel);
	uint64_t taken = worth_taken(&sel->stuck.mark, &now, sel->sampler->domain.reading.total);

	return limit_growth(growth(sel), taken);
}

uint64_t unowned_growth_of_holders(const struct selection *sel, uint64_t grown)
{
	const struct stuck *s = &sel->stuck;
	bool is_fresh = stuck_has_fresh_survey(s, sel->sampler->sampled_at);

	return limit_growth(grown, is_fresh ? worth_taken(&s->held_mark, &s->held_now,
							  sel->sampler->domain.reading.total)
					    : 0);
}

uint64_t unowned_since(const struct selection *sel)
{
	struct worth_holdings before = holdings_before(sel);

	return sub_u64(holdings_since(sel, &before, 0).unowned, before.unowned);
}

uint64_t unowned_may_be_held(const struct selection *sel)
{
	struct worth_holdings before = holdings_before(sel), now = holdings_since(sel, &before, 0);

	if (!worth_may_be_held(&before, &now, sel->sampler->domain.reading.total))
		return 0; /* even if none of it were mapped */
	now = holdings_since(sel, &before, unowned_mapped_shmem(sel));
	return worth_may_be_held(&before, &now, sel->sampler->domain.reading.total)
		       ? now.unowned - before.unowned
		       : 0;
}

/* (What processes share is in each of them: rather too little.) */
bool unowned_may_be_swapped(const struct selection *sel)
{
	const struct census *census = &sel->sampler->census;
	const struct census_process *process;
	struct worth_holdings before = { 0 }, now = { 0 };
	uint64_t memory = sel->sampler->domain.reading.total;

	before.unowned = holdings_before(sel).swap_used;
	now.unowned = sub_u64(swap_used(sel), sel->sampler->domain.reading.counters.swap_cached);
	if (!worth_may_be_held(&before, &now, memory) || census->n_hidden > 0 ||
	    census->n_unreadable > 0)
		return false;
	census_for_each(census, process)
		before.unowned = add_u64(before.unowned, process->memory.swap);
	return worth_may_be_held(&before, &now, memory);
}
