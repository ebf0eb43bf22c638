/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* holders: compares the processes that a survey names, with what they have besides. */
#include "daemon/select/holders.h"

#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/select/selection.h"
#include "daemon/select/unowned.h"
#include "daemon/watch/sampler.h"
#include "lib/domain/holder.h"
#include "lib/select/family.h"

/* So many processes that may be the successor of one are read. */
#define SUCCESSOR_READS 64

static uint64_t ticks_of_survey(const struct selection *sel, usec_t now)
{
	return clock_ticks_before(sub_u64(now, sel->stuck.surveyed_from));
}

static bool is_eligible_now(struct selection *sel, struct census_process *process,
			    const struct victim_reader *reader, int *ret)
{
	*ret = reader->reread(&sel->sampler->census, process, reader->userdata);
	return *ret == 0 && victim_exclusion(&sel->sampler->census, process, &sel->request) ==
				    ELIGIBILITY_ELIGIBLE;
}

/* It has exited, and what it had forked goes on: a process of that name and user that was started
 * since.  NULL: there is none, it may be one of several, or is not eligible.  (The census may have
 * some that have exited since.) */
static struct census_process *find_successor(struct selection *sel,
					     const struct where_holder *holder,
					     const struct victim_reader *reader, uint64_t since)
{
	struct census_process *process, *found = NULL;
	bool is_eligible = false;
	unsigned n_reads = 0;
	int r;

	census_for_each(&sel->sampler->census, process) {
		if (process->start_ticks < since || process->is_gone ||
		    process->uid != holder->uid || strcmp(process->comm, holder->comm) != 0)
			continue;
		if (n_reads++ == SUCCESSOR_READS)
			return NULL;
		is_eligible = is_eligible_now(sel, process, reader, &r) || is_eligible;
		if (r == VICTIM_READ_GONE)
			continue;
		if (found)
			return NULL;
		found = process;
	}
	return is_eligible ? found : NULL;
}

/* Whatever its name is by now; not if another has its pid, as far as that is known. */
static struct census_process *find_surveyed(const struct census *census,
					    const struct where_holder *holder)
{
	struct census_process *process = census_find(census, holder->pid);

	return process && process->start_ticks == holder->start_ticks ? process : NULL;
}

/* The process that was surveyed, or its successor, if it is eligible; NULL: it is not, or by what
 * is known of it it is too small: most are, and are not read for that. */
static struct census_process *find_holder(struct selection *sel, const struct where_holder *holder,
					  const struct victim_reader *reader, usec_t now)
{
	struct census_process *process = find_surveyed(&sel->sampler->census, holder);
	uint64_t held = add_u64(holder->bytes, holder->together);
	int r = VICTIM_READ_GONE;

	if (process && !victim_would_be_first(&sel->choice, &sel->request, process,
					      add_u64(held, proc_mapped(&process->memory))))
		return NULL;
	if (process && is_eligible_now(sel, process, reader, &r))
		return process;
	if (r != VICTIM_READ_GONE)
		return NULL;
	return find_successor(sel, holder, reader, ticks_of_survey(sel, now));
}

/* A daemon's first process has exited, and it has a session of its own: the program is all that is
 * left to know it by. */
static bool is_same_program(const struct census_process *a, const struct census_process *b)
{
	return a->code_pages != 0 && a->code_pages == b->code_pages && a->uid == b->uid;
}

/* Has one of them the descriptors of the other by fork(2)? */
static bool are_related(struct family *family, const struct census_process *other)
{
	return is_same_program(family->process, other) ||
	       family_descends(family->census, other, family->process) ||
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
	struct family family;

	family_init(&family, &sel->sampler->census, process, FAMILY_READS);
	if (has_stranger(sel, &family, holder)) {
		holder->n_others = 0;
		holder->together = 0;
	}
	if (!add_young(sel, &family, holder, ticks_of_survey(sel, now)))
		return 0;
	return add_u64(holder->bytes, holder->together);
}

/* As login.defs(5) has it: below are root and the users of services. */
#define USER_UID_MIN 1000
/* So many ancestors are examined. */
#define ANCESTORS_MAX 16

/* Did the creator of what it holds start it, or what has started it?  Then it has another user on
 * purpose. */
static bool was_started_by(const struct census *census, const struct census_process *process,
			   uid_t creator)
{
	for (unsigned i = 0; process && i < ANCESTORS_MAX; i++) {
		if (process->uid == creator)
			return true;
		process = process->ppid > 0 ? census_find(census, process->ppid) : NULL;
	}
	return false;
}

/* What another user has sent to it may be there to have it killed. */
static uint64_t own_of(const struct selection *sel, const struct census_process *process,
		       const struct where_holder *holder, uint64_t held)
{
	if (holder->foreign == 0 || was_started_by(&sel->sampler->census, process, holder->creator))
		return held;
	return sub_u64(held, holder->foreign);
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

/* as_last_resort: with what other users have sent to them. */
static struct census_process *find_best(struct selection *sel, bool for_certain,
					bool as_last_resort, const struct victim_reader *reader,
					usec_t now, uint64_t *ret_held)
{
	const struct memory_counters *c = &sel->sampler->domain.reading.counters;
	struct where_holder holders[WHERE_HOLDERS_MAX];
	uint64_t mapped = unowned_mapped_shmem(sel), bytes, held, most = 0;
	uint64_t unowned = add_u64(add_u64(worth_unowned_shmem(c, mapped), worth_unaccounted(c)),
				   sub_u64(c->swap_total, c->swap_free));
	unsigned n = where_holders(&sel->stuck.surveyed, c, mapped, holders);
	struct census_process *best = NULL, *process;

	for (unsigned i = 0; i < n; i++) {
		process = find_holder(sel, &holders[i], reader, now);
		if (!process)
			continue;
		held = held_with_relatives(sel, process, &holders[i], now);
		if (!as_last_resort)
			held = own_of(sel, process, &holders[i], held);
		if (for_certain || process->pid != holders[i].pid) /* no more than is held still */
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

struct census_process *holders_find_best(struct selection *sel, bool for_certain,
					 const struct victim_reader *reader, usec_t now,
					 uint64_t *ret_held)
{
	struct census_process *best = find_best(sel, for_certain, false, reader, now, ret_held);

	return best || sel->choice.n_ranked > 0
		       ? best
		       : find_best(sel, for_certain, true, reader, now, ret_held);
}

static bool is_killed(const struct stuck *s, const struct census_process *victim,
		      const struct census_process *process)
{
	for (unsigned i = 0; process != victim && i < s->n_together; i++)
		if (s->together[i] == process->pid)
			return true;
	return process == victim;
}

/* Was it started by one that is to be killed, or by what that has started? */
static bool is_heir(const struct selection *sel, const struct census_process *victim,
		    const struct census_process *process)
{
	for (unsigned i = 0; i < ANCESTORS_MAX; i++) {
		const struct census_process *parent =
			census_find(&sel->sampler->census, process->ppid);

		if (!parent || parent == process || parent->start_ticks > process->start_ticks)
			return false;
		if (is_killed(&sel->stuck, victim, parent))
			return true;
		process = parent;
	}
	return false;
}

bool holders_have_heirs(const struct selection *sel, const struct census_process *victim,
			usec_t now)
{
	uint64_t since = ticks_of_survey(sel, now);
	const struct census_process *process;

	census_for_each(&sel->sampler->census, process)
		if (process->start_ticks >= since && !process->is_gone &&
		    !is_killed(&sel->stuck, victim, process) && is_heir(sel, victim, process))
			return true;
	return false;
}

/* As the one of them that was started first, with the others. */
static struct where_holder as_holder(const struct where_survey *survey, pid_t first)
{
	struct where_holder holder = { .pid = first };

	for (unsigned i = 0; i < survey->n_receivers; i++) {
		const struct where_receiver *receiver = &survey->receivers[i];

		if (receiver->pid != first) {
			holder.others[holder.n_others++] = receiver->pid;
			continue;
		}
		memcpy(holder.comm, receiver->comm, sizeof(holder.comm));
		holder.uid = receiver->uid;
		holder.start_ticks = receiver->start_ticks;
	}
	return holder;
}

/* It is not known that they have the same files: only what has forked and executed nothing since is
 * taken for one. */
static bool has_other_receiver(const struct selection *sel, struct family *family,
			       const struct where_holder *holder)
{
	const struct census *census = &sel->sampler->census;

	for (unsigned i = 0; i < holder->n_others; i++) {
		const struct census_process *other = census_find(census, holder->others[i]);

		if (!other || !family_has(family, other) ||
		    victim_exclusion(census, other, &sel->request) != ELIGIBILITY_ELIGIBLE)
			return true;
	}
	return false;
}

struct census_process *holders_find_receiver(struct selection *sel,
					     const struct victim_reader *reader, usec_t now,
					     uint64_t *ret_held)
{
	const struct where_survey *survey = &sel->stuck.surveyed;
	const struct memory_reading *reading = &sel->sampler->domain.reading;
	uint64_t held = where_unexplained(survey, &reading->counters, unowned_mapped_shmem(sel));
	struct where_holder holder = as_holder(survey, sel->stuck.receiver.pid);
	struct census_process *process = find_surveyed(&sel->sampler->census, &holder);
	struct family family;
	int r;

	if (!process || held < max_u64(sel->stuck.minimum, reading->total / HOLDER_GROWN_SHARE) ||
	    process->uid < USER_UID_MIN || strcmp(process->comm, holder.comm) != 0 ||
	    !is_eligible_now(sel, process, reader, &r))
		return NULL;
	family_init(&family, &sel->sampler->census, process, FAMILY_READS);
	if (has_other_receiver(sel, &family, &holder) ||
	    !add_young(sel, &family, &holder, ticks_of_survey(sel, now)))
		return NULL;
	take_others(&sel->stuck, &holder);
	*ret_held = held;
	return process;
}
