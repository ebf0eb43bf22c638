/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-set: the sharers by fork, siblings and cgroup members that are killed with the victim. */
#include "lib/select/kill-set.h"

#include <string.h>

#include "lib/kill/kill.h"
#include "lib/select/family.h"
#include "lib/select/victim-group.h"

size_t kill_set_find_group(const struct cgroup_fs *fs, bool is_whole, const char *path,
			   const char *subtree, const char *own_path)
{
	return is_whole ? kill_group_find_whole(fs, path, subtree, own_path)
			: kill_group_find_flagged(fs, path, subtree, own_path);
}

bool kill_set_may_kill(const struct kill_set *set, const struct census_process *process)
{
	return !eligibility_is_spared(victim_exclusion(set->census, process, set->request),
				      set->is_reluctant);
}

/* The census's node of the group; NULL: the victim is not in it. */
static const struct census_node *find_node(const struct kill_set *set)
{
	const struct census_cgroup *cgroup = census_cgroup_of(set->victim);
	const struct census_node *node = cgroup ? &cgroup->node : NULL;

	for (; node && node->kind == CENSUS_CGROUP;
	     node = census_above((const struct census_cgroup *)node))
		if (strcmp(((const struct census_cgroup *)node)->path, set->group) == 0)
			return node;
	return NULL;
}

static bool is_killed_as_member(const struct kill_set *set, const struct census_process *process)
{
	enum eligibility e = victim_exclusion(set->census, process, set->request);

	return e != ELIGIBILITY_NO_MEMORY && !eligibility_is_spared(e, set->is_reluctant);
}

static bool each_member(const struct kill_set *set, const struct census_node *node, kill_set_fn f,
			void *userdata)
{
	const struct census_process *process = (const struct census_process *)node;
	const struct census_node *child;

	if (node->kind == CENSUS_PROCESS)
		return !is_killed_as_member(set, process) || f(process, userdata);
	census_for_each_child(child, node)
		if (!each_member(set, child, f, userdata))
			return false;
	return true;
}

void kill_set_members(const struct kill_set *set, kill_set_fn f, void *userdata)
{
	const struct census_node *node = set->group[0] != '\0' ? find_node(set) : NULL;

	if (node)
		(void)each_member(set, node, f, userdata);
}

bool kill_set_has_member(const struct kill_set *set, const struct census_process *process)
{
	return set->group[0] != '\0' &&
	       cgroup_path_is_below(census_cgroup_path(process), set->group) &&
	       is_killed_as_member(set, process);
}

static bool is_eligible(const struct kill_set *set, const struct census_process *process)
{
	return victim_exclusion(set->census, process, set->request) == ELIGIBILITY_ELIGIBLE;
}

void kill_set_siblings(const struct kill_set *set, kill_set_fn f, void *userdata)
{
	const struct census_process *starter = NULL, *process;

	if (set->group[0] != '\0')
		return;
	if (set->as_one == VICTIM_WITH_STARTER)
		starter = census_find(set->census, set->choice->starter_pid);
	if (set->as_one == VICTIM_AS_SIBLINGS)
		starter = census_find(set->census, set->victim->ppid);
	if (starter && set->as_one == VICTIM_AS_SIBLINGS &&
	    !victim_is_starter(set->census, set->choice, set->victim, starter))
		starter = NULL;
	if (starter && is_eligible(set, starter) && !f(starter, userdata))
		return;
	if (set->as_one != VICTIM_AS_SIBLINGS)
		return;
	census_for_each(set->census, process)
		if (process != set->victim && process != starter &&
		    victim_are_siblings(set->victim, process) && is_eligible(set, process) &&
		    !f(process, userdata))
			return;
}

uint64_t kill_set_common(const struct kill_set *set)
{
	return set->is_unit && set->memory->kept > 0 ? family_common(set->memory, set->alone) : 0;
}

static const struct census_process *find_refused(const struct kill_set *set, struct family *family)
{
	const struct census_process *other;

	census_for_each(set->census, other)
		if (proc_mapped(&other->memory) > 0 &&
		    eligibility_is_refused(victim_exclusion(set->census, other, set->request)) &&
		    family_has(family, other))
			return other;
	return NULL;
}

/* 0: it has exited, or cannot be read. */
static uint64_t read_mapped(const struct census *census, const struct census_process *process)
{
	struct proc_memory memory;
	struct proc_stat stat;

	if (proc_read_stat(census->proc_fd, process->pid, &stat) != 0 ||
	    stat.start_ticks != process->start_ticks ||
	    proc_read_memory(census->proc_fd, &stat, true, census->accuracy->page_size, &memory) !=
		    0)
		return 0;
	return proc_mapped(&memory);
}

/* By a reading that is made now, of so many at most. */
static bool has_touched_it_since(const struct census *census, const struct census_process *process,
				 struct family *family, uint64_t common, unsigned *n_left)
{
	if (process->is_gone || proc_mapped(&process->memory) >= common / 2 || *n_left == 0 ||
	    !family_has(family, process))
		return false;
	--*n_left;
	return read_mapped(census, process) >= common / 2;
}

const struct census_process *kill_set_relatives(const struct kill_set *set, kill_set_fn f,
						void *userdata)
{
	unsigned n_left = (unsigned)min_u64(set->n_reads, FAMILY_READS);
	const struct census_process *other, *refused;
	uint64_t common = kill_set_common(set);
	struct family family;

	if (common == 0)
		return NULL;
	family_init(&family, set->census, set->victim, set->n_reads);
	refused = find_refused(set, &family);
	if (refused)
		return refused;
	census_for_each(set->census, other)
		if (proc_mapped(&other->memory) >= common / 2 && family_has(&family, other) &&
		    !f(other, userdata))
			return NULL;
	census_for_each(set->census, other)
		if (has_touched_it_since(set->census, other, &family, common, &n_left) &&
		    !f(other, userdata))
			return NULL;
	return NULL;
}

struct proc_memory kill_set_frees(const struct kill_set *set, bool are_all, uint64_t alone)
{
	struct proc_memory memory = *set->memory;
	uint64_t common = kill_set_common(set);

	if (common == 0)
		return memory;
	memory.kept = sub_u64(proc_mapped(&memory), set->alone);
	if (are_all) {
		memory.kept = sub_u64(memory.kept, common);
		memory.anon = add_u64(memory.anon, alone);
	}
	return memory;
}

/* Until it is measured, what is shared may be another's. */
void kill_set_add(struct proc_memory *all, const struct proc_memory *memory)
{
	all->anon = add_u64(all->anon, memory->anon);
	all->swap = add_u64(all->swap, memory->swap);
	all->pagetables = add_u64(all->pagetables, memory->pagetables);
	if (!memory->is_measured)
		return;
	all->shmem = add_u64(all->shmem, memory->shmem);
	all->kept = add_u64(all->kept, memory->kept);
}
