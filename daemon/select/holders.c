/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* holders: compares the processes that a survey names, with what they have besides. */
#include "daemon/select/holders.h"

#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/select/selection.h"
#include "daemon/select/unowned.h"
#include "daemon/watch/sampler.h"
#include "lib/select/family.h"

/* The process of this name, if it is eligible; NULL: it is not, or by what is known of it it is too
 * small: most are, and are not read for that.  (The survey has no start time: the
 * name has to do for it, and the fresh reading.) */
static struct census_process *find_holder(struct selection *sel, const struct where_holder *holder,
					  const struct victim_reader *reader)
{
	struct census_process *process = census_find(&sel->sampler->census, holder->pid);
	uint64_t held = add_u64(holder->bytes, holder->together);

	if (!process || strcmp(process->comm, holder->comm) != 0 ||
	    !victim_would_be_first(&sel->choice, &sel->request, process,
				   add_u64(held, proc_mapped(&process->memory))) ||
	    reader->reread(&sel->sampler->census, process, reader->userdata) != 0 ||
	    victim_exclusion(&sel->sampler->census, process, &sel->request) != ELIGIBILITY_ELIGIBLE)
		return NULL;
	return process;
}

/* Has one of them the descriptors of the other by fork(2)? */
static bool are_related(struct family *family, const struct census_process *other)
{
	return family_descends(family->census, other, family->process) ||
	       family_descends(family->census, family->process, other) || family_has(family, other);
}

/* What relatives hold as well is freed if all of them are killed with it.  Is one of them no
 * relative, or not to be killed? */
static bool has_stranger(const struct selection *sel, struct family *family,
			 const struct where_holder *holder)
{
	const struct census *census = &sel->sampler->census;

	for (unsigned i = 0; i < holder->n_others; i++) {
		const struct census_process *other = census_find(census, holder->others[i]);

		if (!other || !are_related(family, other) ||
		    victim_exclusion(census, other, &sel->request) != ELIGIBILITY_ELIGIBLE)
			return true;
	}
	return false;
}

static bool is_listed(const struct where_holder *holder, pid_t pid)
{
	for (unsigned i = 0; i < holder->n_others; i++)
		if (holder->others[i] == pid)
			return true;
	return false;
}

/* What has forked since the survey, and executed nothing, has inherited all descriptors.  False:
 * one may not be killed, or they are too many. */
static bool add_young(const struct selection *sel, struct family *family,
		      struct where_holder *holder, uint64_t since)
{
	const struct census *census = &sel->sampler->census;
	const struct census_process *other;

	census_for_each(census, other) {
		if (other->start_ticks < since || other->is_gone || !family_has(family, other) ||
		    is_listed(holder, other->pid))
			continue;
		if (holder->n_others == HELD_OTHERS_MAX ||
		    victim_exclusion(census, other, &sel->request) != ELIGIBILITY_ELIGIBLE)
			return false;
		holder->others[holder->n_others++] = other->pid;
		holder->together = add_u64(holder->together, holder->bytes);
		holder->bytes = 0;
	}
	return true;
}

/* All that is freed with it and those that are killed with it: holder->others. */
static uint64_t held_with_relatives(const struct selection *sel,
				    const struct census_process *process,
				    struct where_holder *holder, usec_t now)
{
	uint64_t since = clock_ticks_before(sub_u64(now, sel->stuck.surveyed_from));
	struct family family;

	family_init(&family, &sel->sampler->census, process, FAMILY_READS);
	if (has_stranger(sel, &family, holder)) {
		holder->n_others = 0;
		holder->together = 0;
	}
	if (!add_young(sel, &family, holder, since))
		return 0;
	return add_u64(holder->bytes, holder->together);
}

/* If most of what has been added is held by such, each of them may be a victim; but not where
 * others (a tmpfs) have filled memory.  And others may map what could not be measured. */
static uint64_t least_of(const struct stuck *s, const struct where_holder *holders, unsigned n,
			 const struct where_holder *holder)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < n; i++)
		all = add_u64(all, add_u64(holders[i].bytes, holders[i].together));
	return holder->unmeasured > 0 || all < s->held_growth / 2 ? s->minimum : s->holder_minimum;
}

static void take_others(struct stuck *s, const struct where_holder *holder)
{
	s->n_together = holder->n_others;
	memcpy(s->together, holder->others, sizeof(s->together));
}

struct census_process *holders_find_best(struct selection *sel, bool for_certain,
					 const struct victim_reader *reader, usec_t now,
					 uint64_t *ret_held)
{
	const struct memory_counters *c = &sel->sampler->reading.counters;
	struct where_holder holders[WHERE_HOLDERS_MAX];
	uint64_t mapped = unowned_mapped_shmem(sel), bytes, held, most = 0;
	uint64_t unowned = add_u64(add_u64(worth_unowned_shmem(c, mapped), worth_unaccounted(c)),
				   sub_u64(c->swap_total, c->swap_free));
	unsigned n = where_holders(&sel->stuck.surveyed, c, mapped, holders);
	struct census_process *best = NULL, *process;

	for (unsigned i = 0; i < n; i++) {
		process = find_holder(sel, &holders[i], reader);
		if (!process)
			continue;
		held = held_with_relatives(sel, process, &holders[i], now);
		if (for_certain) /* and no more than is held still */
			held = min_u64(sub_u64(held, holders[i].unmeasured), unowned);
		if (held == 0 || add_u64(held, proc_reclaimable(&process->memory)) <= most)
			continue;
		bytes = victim_with_held(&sel->sampler->census, process, reader, now, held,
					 &sel->choice);
		if (bytes < least_of(&sel->stuck, holders, n, &holders[i]) || bytes <= most ||
		    !victim_would_be_first(&sel->choice, &sel->request, process, bytes))
			continue;
		best = process;
		most = bytes;
		*ret_held = held;
		take_others(&sel->stuck, &holders[i]);
	}
	return best;
}
