/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim-kin: what a choice takes a process to share that it could not measure; see victim.h. */
#include "lib/select/family.h"
#include "lib/select/victim-walk.h"

/* All processes are searched this often for a relative that was measured. */
#define KIN_SEARCHES_MAX 16

void victim_note_measured(struct choice *choice, const struct census_process *process)
{
	if (process->memory.kept > 0 && choice->n_measured < ARRAY_SIZE(choice->measured))
		choice->measured[choice->n_measured++] = process;
}

/* By those that were measured in this choice or, seldom, a moment ago. */
static uint64_t kept_of_kin(struct choice *choice, const struct census_process *process)
{
	const struct census_process *other, *most = NULL;
	uint64_t kept = 0;

	for (unsigned i = 0; i < choice->n_measured; i++)
		if (!choice->measured[i]->is_gone &&
		    family_has_both(choice->census, process, choice->measured[i]))
			kept = max_u64(kept, choice->measured[i]->memory.kept);
	if (kept > 0 || choice->n_searches++ >= KIN_SEARCHES_MAX)
		return kept;
	census_for_each(choice->census, other)
		if (!other->is_gone && other->memory.kept > kept &&
		    census_share_is_current(choice->census, other, choice->request->now) &&
		    family_has_both(choice->census, process, other)) {
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
bool victim_assume_kept(struct choice *choice, const struct census_process *process,
			struct proc_memory *memory)
{
	uint64_t kept = memory->is_measured ? 0 : kept_of_kin(choice, process);
	uint64_t mapped = proc_mapped(memory);

	if (kept == 0)
		return false;
	memory->kept = min_u64(add_u64(kept, mapped / 8), mapped);
	return true;
}

void victim_assume_share(struct choice *choice, struct victim_candidate *candidate)
{
	if (candidate->process &&
	    victim_assume_kept(choice, candidate->process, &candidate->memory))
		candidate->estimate =
			victim_score(candidate->process, choice->request, &candidate->memory);
}
