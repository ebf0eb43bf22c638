/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preview-others: what is killed with a victim, beside its cgroup: siblings after repeated kills,
 * and relatives that share most of its memory copy on write.  As kill_plan_gather() of the daemon
 * does, by what the census knows.
 */
#include "lib/explain/preview.h"
#include "lib/kill/kill.h"
#include "lib/select/family.h"
#include "lib/select/victim-group.h"

static bool is_sibling(const struct preview *o, const struct census_process *process)
{
	const struct census_process *victim = o->result.ranked[0].process;

	if (o->result.as_one == VICTIM_WITH_STARTER)
		return o->group.length == 0 && process->pid == o->result.starter_pid;
	return o->result.as_one == VICTIM_AS_SIBLINGS && o->group.length == 0 &&
	       process != victim &&
	       victim_exclusion(o->census, process, &o->request) == ELIGIBILITY_ELIGIBLE &&
	       (victim_are_siblings(victim, process) ||
		victim_is_starter(o->census, &o->result, victim, process));
}

static bool is_unit(const struct preview *o, const struct victim_candidate *candidate)
{
	return candidate->process && !candidate->cgroup && candidate->is_unit &&
	       candidate->memory.kept > 0 && !preview_is_by_cgroup(o, candidate->process);
}

static bool is_relative(struct family *family, const struct victim_candidate *candidate,
			const struct census_process *process)
{
	return proc_mapped(&process->memory) >=
		       family_common(&candidate->memory, candidate->alone) / 2 &&
	       family_has(family, process);
}

/* A relative that is not killed keeps all that they have in common. */
static unsigned count_relatives(const struct preview *o, const struct victim_candidate *candidate,
				uint64_t *ret_alone)
{
	const struct census_process *process;
	struct family family;
	unsigned n = 0;

	*ret_alone = 0;
	family_init(&family, o->census, candidate->process, KILL_TOGETHER_MAX);
	census_for_each(o->census, process) {
		if (!is_relative(&family, candidate, process))
			continue;
		if (n == KILL_TOGETHER_MAX ||
		    eligibility_is_refused(victim_exclusion(o->census, process, &o->request)))
			return 0;
		n++;
		if (process->memory.is_measured)
			*ret_alone = add_u64(*ret_alone, process->alone);
	}
	return n;
}

uint64_t preview_frees(const struct preview *o, const struct victim_candidate *candidate,
		       unsigned *ret_relatives)
{
	uint64_t alone;

	*ret_relatives = 0;
	if (!is_unit(o, candidate))
		return proc_reclaimable(&candidate->memory);
	*ret_relatives = count_relatives(o, candidate, &alone);
	if (*ret_relatives == 0)
		return candidate->alone;
	return candidate->alone + family_common(&candidate->memory, candidate->alone) + alone;
}

void preview_count_others(struct preview *o)
{
	const struct victim_candidate *victim = preview_victim(o);
	const struct census_process *process;

	o->n_siblings = o->n_relatives = 0;
	o->siblings_footprint = 0;
	if (!victim || o->group.length > 0)
		return;
	census_for_each(o->census, process) {
		if (o->n_siblings == KILL_OTHERS_MAX || !is_sibling(o, process))
			continue;
		o->n_siblings++;
		o->siblings_footprint += proc_reclaimable(&process->memory);
	}
	(void)preview_frees(o, victim, &o->n_relatives);
}

bool preview_is_killed_with(const struct preview *o, const struct census_process *process)
{
	const struct victim_candidate *victim = &o->result.ranked[0];
	struct family family;

	if (o->n_siblings > 0 && is_sibling(o, process))
		return true;
	if (o->n_relatives == 0)
		return false;
	family_init(&family, o->census, victim->process, 1);
	return is_relative(&family, victim, process);
}
