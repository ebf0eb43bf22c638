/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim-starter: which process starts siblings again that were killed; see victim-group.h. */
#include "lib/select/family.h"
#include "lib/select/victim-group.h"
#include "lib/select/victim.h"

/* It has other children too, up to this share of them: one that has not called execve(2) yet, or
 * what a build links with. */
#define OTHERS_SHARE 4

/* A session leader is a login shell, a terminal or the main process of a service; what is in
 * another cgroup or another user's is the manager of more than these. */
static bool may_be_starter(const struct census_process *victim, const struct census_process *parent)
{
	return parent->pid != parent->session && parent->uid == victim->uid &&
	       parent->session == victim->session && parent->start_ticks <= victim->start_ticks &&
	       census_cgroup_of(parent) == census_cgroup_of(victim);
}

static bool does_nothing_else(const struct census *census, const struct census_process *victim,
			      const struct census_process *parent)
{
	const struct census_process *process;
	unsigned n_siblings = 0, n_children = 0;

	census_for_each(census, process) {
		if (process->ppid != parent->pid || process->is_gone || process->state == 'Z')
			continue;
		n_children++;
		n_siblings += victim_are_siblings(victim, process);
	}
	return n_children - n_siblings <= n_children / OTHERS_SHARE;
}

bool victim_is_starter(const struct census *census, const struct victim_result *result,
		       const struct census_process *victim, const struct census_process *process)
{
	if (process->pid != victim->ppid)
		return false;
	if (result->is_replaced && (result->is_undone || process->pid != process->session) &&
	    family_has_both(census, victim, process))
		return true;
	return result->is_undone && may_be_starter(victim, process) &&
	       does_nothing_else(census, victim, process);
}
