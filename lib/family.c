/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* family: see the header. */
#include "lib/family.h"

/* Generations of processes that fork and do not exec. */
#define DEPTH_MAX 16

static bool is_same_program(const struct census_process *a, const struct census_process *b)
{
	return !a->kthread && !b->kthread && a->uid == b->uid && a->code_pages != 0 &&
	       a->code_pages == b->code_pages;
}

static const struct census_process *find_oldest(const struct census *census,
						const struct census_process *process)
{
	for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
		const struct census_process *parent = census_find(census, process->ppid);

		/* A parent is never younger; a pid may have been given out again. */
		if (!parent || parent == process || !is_same_program(parent, process) ||
		    parent->start_ticks > process->start_ticks)
			break;
		process = parent;
	}
	return process;
}

static bool is_of(const struct census *census, const struct census_process *oldest,
		  const struct census_process *other)
{
	const struct census_process *other_oldest;

	if (!is_same_program(oldest, other))
		return false;
	other_oldest = find_oldest(census, other);
	return other_oldest == oldest ||
	       (oldest->session != 0 && other_oldest->session == oldest->session);
}

bool family_has_both(const struct census *census, const struct census_process *a,
		     const struct census_process *b)
{
	return a != b && is_of(census, find_oldest(census, a), b);
}

unsigned family_count(const struct census *census, const struct census_process *process,
		      bool (*counts)(const struct census_process *process, void *userdata),
		      void *userdata)
{
	const struct census_process *oldest = find_oldest(census, process), *other;
	unsigned n = 0;

	census_for_each(census, other)
		if (other != process && is_of(census, oldest, other) && counts(other, userdata))
			n++;
	return n;
}

/* It counts for what is its own and half of what is common. */
uint64_t family_common(const struct proc_memory *memory, uint64_t alone)
{
	return min_u64(sub_u64(proc_mapped(memory), alone),
		       2 * sub_u64(proc_reclaimable(memory), alone));
}
