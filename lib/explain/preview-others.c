/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * preview-others: what is killed with a victim, and what all of it frees: by kill-set.h, as the
 * daemon does.
 */
#include <string.h>

#include "lib/explain/preview.h"
#include "lib/select/family.h"
#include "lib/select/kill-set.h"
#include "lib/select/sharers.h"

/* Of the relatives of one that is not the victim so many files are read: all those that are shown
 * are asked about in one turn of the daemon. */
#define OTHERS_READS 8

static struct kill_set set_of(const struct preview *o, const struct victim_candidate *candidate)
{
	bool is_victim = o->result.n_ranked > 0 && candidate->node == o->result.ranked[0].node;
	bool is_alone = candidate->cgroup || preview_is_by_cgroup(o, candidate->process);

	return (struct kill_set){
		.census = o->census,
		.request = &o->request,
		.choice = &o->result,
		.victim = candidate->process,
		.as_one = is_victim ? o->result.as_one : VICTIM_ALONE,
		.memory = &candidate->memory,
		.alone = candidate->alone,
		.is_unit = candidate->is_unit && !is_alone,
		.is_reluctant = victim_eligibility(o->census, candidate->node, &o->request) ==
				ELIGIBILITY_RELUCTANT,
		.group = is_victim ? o->group.path : "",
		.n_reads = is_victim ? KILL_TOGETHER_MAX : OTHERS_READS,
	};
}

/* What killing it frees, where it is not the victim. */
static void add_size(struct preview *o, const struct census_process *process)
{
	struct proc_memory memory = { 0 };
	struct interval size;

	kill_set_add(&memory, &process->memory);
	size = accuracy_interval(o->accuracy, proc_reclaimable(&memory), o->census->with_swap,
				 process->n_threads);
	o->frees = add_u64(o->frees, proc_reclaimable(&memory));
	o->size.lo = add_u64(o->size.lo, size.lo);
	o->size.hi = add_u64(o->size.hi, size.hi);
}

static bool has(const struct preview_others *others, const struct census_process *process)
{
	for (unsigned i = 0; i < others->n; i++)
		if (others->items[i] == process)
			return true;
	return false;
}

static bool add(struct preview_others *others, const struct census_process *process)
{
	if (others->n == ARRAY_SIZE(others->items) || has(others, process))
		return false;
	others->items[others->n++] = process;
	return true;
}

static void compare(pid_t tid, const pid_t *tids, unsigned n, int *ret, void *userdata)
{
	const struct preview *o = userdata;

	precise_compare(o->comparing, tid, tids, n, o->compare_budget, ret);
}

/* The process keeps what the victim has, so neither is killed. */
static bool withhold(struct preview *o, const struct census_process *process)
{
	o->withheld = o->result.ranked[0].process;
	o->withheld_for = process;
	return false;
}

/* false: one of them may not be killed, so the victim is not either. */
static bool find_sharers(struct preview *o, const struct kill_set *set)
{
	struct sharers sharers;

	if (!o->comparing)
		return true;
	/* (Of a cgroup, what was read is of all in it.) */
	sharers_find(set->census, set->victim,
		     o->result.ranked[0].cgroup ? &set->victim->memory : set->memory,
		     o->memory.allocated, compare, o, &sharers);
	for (unsigned i = 0; i < sharers.n; i++) {
		if (!kill_set_may_kill(set, sharers.items[i]))
			return withhold(o, sharers.items[i]);
		o->others.n_sharers += add(&o->others, sharers.items[i]);
	}
	return true;
}

struct relatives {
	struct preview_others *others; /* NULL: they are only counted */
	unsigned n;
	bool are_too_many; /* to be killed at once */
	uint64_t alone;
};

static bool take_relative(const struct census_process *process, void *userdata)
{
	struct relatives *relatives = userdata;

	relatives->are_too_many = relatives->n == KILL_TOGETHER_MAX;
	if (relatives->are_too_many)
		return false;
	if (relatives->others && !add(relatives->others, process))
		return true; /* a sharer */
	relatives->n++;
	if (process->memory.is_measured)
		relatives->alone = add_u64(relatives->alone, process->alone);
	return true;
}

/* What the candidate frees with its relatives, or without, if one of them is not killed:
 * *ret_refused, or NULL. */
static uint64_t with_relatives(const struct kill_set *set, struct relatives *relatives,
			       const struct census_process **ret_refused)
{
	struct proc_memory memory;

	*ret_refused = kill_set_relatives(set, take_relative, relatives);
	if (relatives->are_too_many)
		relatives->n = 0;
	memory = kill_set_frees(set, relatives->n > 0, relatives->alone);
	return proc_reclaimable(&memory);
}

/* false: one of them may not be killed, and without them it is not worth it. */
static bool find_relatives(struct preview *o, const struct kill_set *set)
{
	struct relatives relatives = { .others = &o->others };
	unsigned n_before = o->others.n;
	const struct census_process *refused;
	uint64_t frees = with_relatives(set, &relatives, &refused);

	if (relatives.n == 0)
		o->others.n = n_before;
	o->others.n_relatives = relatives.n;
	if (kill_set_common(set) == 0)
		return true;
	o->frees = o->size.lo = o->size.hi = frees;
	if (relatives.n > 0 || frees >= o->request.min_victim || set->as_one != VICTIM_ALONE)
		return true;
	return refused ? withhold(o, refused) : !relatives.are_too_many;
}

static bool take_sibling(const struct census_process *process, void *userdata)
{
	struct preview *o = userdata;

	if (o->others.n_siblings == KILL_OTHERS_MAX)
		return false;
	if (!add(&o->others, process))
		return true;
	o->others.n_siblings++;
	add_size(o, process);
	return true;
}

static bool take_member(const struct census_process *process, void *userdata)
{
	struct preview *o = userdata;
	const struct victim_candidate *victim = &o->result.ranked[0];

	o->group.n_processes++;
	/* (The victim and those with its memory are known, by a newer reading; a cgroup as a
	 * whole.) */
	if (!victim->cgroup && process != victim->process && !has(&o->others, process))
		add_size(o, process);
	return true;
}

/* false: the first may not be killed, as its cgroup may not. */
static bool find_group(struct preview *o, struct kill_set *set)
{
	const struct victim_candidate *victim = &o->result.ranked[0];
	struct preview_group *group = &o->group;
	const char *path = census_cgroup_path(victim->process);
	const char *own_path = o->own_cgroup ? o->own_cgroup : "/";

	if (preview_is_of_cgroups(o) && !victim->cgroup)
		return true; /* alone */
	group->is_repeated = o->result.as_one == VICTIM_AS_CGROUP;
	group->length =
		kill_set_find_group(o->census->cgroups, victim->cgroup || group->is_repeated, path,
				    o->policies->subtree, own_path);
	memcpy(group->path, path, group->length);
	group->path[group->length] = '\0';
	if (group->length == 0) {
		group->is_repeated = false; /* after repeated kills: the victim alone */
		return !preview_is_of_cgroups(o);
	}
	group->is_flagged = !preview_is_of_cgroups(o) && !group->is_repeated;
	kill_set_members(set, take_member, o);
	return true;
}

bool preview_find_others(struct preview *o)
{
	const struct victim_candidate *victim = &o->result.ranked[0];
	struct kill_set set = set_of(o, victim);

	o->group.length = o->group.n_processes = 0;
	o->group.path[0] = '\0';
	o->group.is_flagged = o->group.is_repeated = false;
	o->others = (struct preview_others){ 0 };
	o->frees = proc_reclaimable(&victim->memory);
	o->size = preview_size(o, victim);
	if (!find_sharers(o, &set))
		return false;
	if (!find_relatives(o, &set) || !find_group(o, &set))
		return false;
	kill_set_siblings(&set, take_sibling, o);
	return true;
}

uint64_t preview_frees(const struct preview *o, const struct victim_candidate *candidate,
		       unsigned *ret_relatives)
{
	struct kill_set set = set_of(o, candidate);
	struct relatives relatives = { 0 };
	const struct census_process *refused;
	uint64_t frees = with_relatives(&set, &relatives, &refused);

	*ret_relatives = relatives.n;
	return frees;
}

bool preview_is_victim(const struct preview *o, const struct census_process *process)
{
	const struct victim_candidate *victim = preview_victim(o);
	struct kill_set set;

	if (!victim)
		return false;
	if (process == victim->process || has(&o->others, process))
		return true;
	if (o->group.length == 0)
		return false;
	set = set_of(o, victim);
	return kill_set_has_member(&set, process);
}
