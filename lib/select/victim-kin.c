/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim-kin: what a choice takes a process to share that it could not measure; see victim.h. */
#include "lib/select/family.h"
#include "lib/select/share-bound.h"
#include "lib/select/victim-walk.h"

/* All processes are searched this often for a relative that was measured. */
#define KIN_SEARCHES_MAX 16
/* Of so many pairs files are read to tell whether they are relatives, all in all: some ms. */
#define KIN_READ_MAX 256

void victim_note_measured(struct choice *choice, const struct census_process *process)
{
	if (process->memory.kept > 0 && choice->n_measured < ARRAY_SIZE(choice->measured))
		choice->measured[choice->n_measured++] = process;
}

/* Where thousands are to be asked, those that seem to be relatives are taken for that. */
static bool are_kin(struct choice *choice, const struct census_process *a,
		    const struct census_process *b)
{
	return choice->n_kin_asked++ < KIN_READ_MAX ? family_has_both(choice->census, a, b)
						    : family_may_have_both(choice->census, a, b);
}

/* By those that were measured in this choice or, seldom, a moment ago. */
static uint64_t kept_of_kin(struct choice *choice, const struct census_process *process)
{
	const struct census_process *other, *most = NULL;
	uint64_t kept = 0;

	for (unsigned i = 0; i < choice->n_measured; i++)
		if (!choice->measured[i]->is_gone && are_kin(choice, process, choice->measured[i]))
			kept = max_u64(kept, choice->measured[i]->memory.kept);
	if (kept > 0 || choice->n_searches++ >= KIN_SEARCHES_MAX)
		return kept;
	census_for_each(choice->census, other)
		if (!other->is_gone && other->memory.kept > kept &&
		    census_share_is_current(choice->census, other, choice->request->now) &&
		    are_kin(choice, process, other)) {
			kept = other->memory.kept;
			most = other;
		}
	if (most)
		victim_note_measured(choice, most);
	return kept;
}

/*
 * What it shares was not measured, for lack of time or of reads: as much as a relative does that
 * was.  To count all of it would rank any of a large family before a larger process.  It counts for
 * a little less than its relative, as it is with that one that the family is killed.
 */
static bool assume_kept(struct choice *choice, const struct census_process *process,
			struct proc_memory *memory)
{
	uint64_t kept = memory->is_measured ? 0 : kept_of_kin(choice, process);
	uint64_t mapped = proc_mapped(memory);

	if (kept == 0)
		return false;
	memory->kept = min_u64(add_u64(kept, mapped / 8), mapped);
	return true;
}

/* Of less than that it is mostly a guess whether it is shared memory, or of files. */
#define SHMEM_LARGE (16 * MIB)

/* What all processes that are known share, by what the machine has. */
static void find_shared_by_all(const struct choice *choice, uint64_t shmem, struct share_facts *ret)
{
	const struct census *census = choice->census;
	uint64_t grown = sub_u64(choice->request->allocated, census->oldest_allocated);
	uint64_t off = add_u64(add_u64(grown, census_error_of(&census->machine)), CENSUS_SLACK);

	ret->machine = UINT64_MAX;
	if (!census->totals.is_known || census->n_hidden > 0 || census->n_unreadable > 0)
		return;
	ret->machine = share_bound_of_machine(census->anon, off, census->totals.anon);
	ret->seen = add_u64(sub_u64(census->anon, census->totals.anon),
			    sub_u64(shmem, census->totals.shmem));
}

/* A relative: as it is now, where that is not too much to read. */
static void add_relative(struct choice *choice, struct census_process *other, unsigned *n_left,
			 struct share_facts *facts)
{
	uint64_t all = add_u64(facts->memory.anon, facts->memory.swap);

	if (facts->relatives < all && choice->reader->reread && !choice->result->is_cut &&
	    *n_left > 0) {
		(*n_left)--;
		(void)victim_reread(choice, &other->node);
	}
	if (other->is_gone)
		return;
	facts->relatives =
		add_u64(facts->relatives, add_u64(other->memory.anon, other->memory.swap));
	if (eligibility_is_refused(victim_exclusion(choice->census, other, choice->request)))
		facts->refused = add_u64(facts->refused, proc_mapped(&other->memory));
	else
		facts->n_alike += proc_mapped(&other->memory) >= proc_mapped(&facts->memory) / 2;
}

/* Looks at every process, as family_count() does. */
static void find_facts(struct choice *choice, const struct census_process *process,
		       const struct proc_memory *memory, struct share_facts *ret)
{
	unsigned n_left = FAMILY_READS;
	struct census_process *other;
	struct family family;
	uint64_t shmem = 0;

	*ret = (struct share_facts){ .memory = *memory };
	family_init(&family, choice->census, process, FAMILY_READS);
	census_for_each(choice->census, other) {
		if (!other->is_gone && family_has(&family, other))
			add_relative(choice, other, &n_left, ret);
		if (!other->is_gone && other->memory.shmem >= SHMEM_LARGE)
			shmem = add_u64(shmem, other->memory.shmem);
	}
	find_shared_by_all(choice, shmem, ret);
}

/* What was measured earlier is kept still, but for what may have been written to since. */
static uint64_t still_kept(const struct choice *choice, const struct census_process *process)
{
	if (!process->memory.is_measured || process->shares_era != choice->census->shares_era)
		return 0;
	return sub_u64(process->memory.kept,
		       sub_u64(choice->request->allocated, process->measured_at_allocated));
}

/* No relative was measured: by what they map. */
static bool assume_bound(struct choice *choice, struct victim_candidate *candidate,
			 struct proc_memory *memory)
{
	struct share_facts facts;
	struct share_bound bound;

	find_facts(choice, candidate->process, memory, &facts);
	share_bound(&facts, &bound);
	if (bound.is_exact)
		return false;
	memory->kept =
		max_u64(bound.kept, min_u64(still_kept(choice, candidate->process), bound.shared));
	candidate->is_unit = bound.is_unit;
	candidate->alone = proc_mapped(memory) - bound.shared;
	return true;
}

bool victim_assume(struct choice *choice, struct victim_candidate *candidate,
		   struct proc_memory *memory)
{
	return assume_kept(choice, candidate->process, memory) ||
	       assume_bound(choice, candidate, memory);
}

void victim_assume_share(struct choice *choice, struct victim_candidate *candidate)
{
	if (!candidate->process || /* it is too small with all that it maps */
	    proc_reclaimable(&candidate->memory) < choice->request->min_victim)
		return;
	if (assume_kept(choice, candidate->process, &candidate->memory) ||
	    (!candidate->memory.is_measured && choice->n_searches++ < KIN_SEARCHES_MAX &&
	     assume_bound(choice, candidate, &candidate->memory)))
		candidate->estimate =
			victim_score(candidate->process, choice->request, &candidate->memory);
}
