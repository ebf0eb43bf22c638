/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim-cgroup: what a choice knows of a whole cgroup, and how it reads more; see victim.h. */
#include "lib/select/family.h"
#include "lib/select/victim-walk.h"

/* Of a cgroup only the rules that go by cgroup alone can be asked: once for each. */
float victim_cgroup_weight(const struct choice *choice, const struct census_cgroup *cgroup)
{
	struct rule_subject subject = { .comm = NULL, .cgroup = cgroup->path };
	struct rule_verdict verdict;

	if (cgroup->weight <= 0) {
		policy_apply_rules(choice->census->policies, &subject, &verdict);
		((struct census_cgroup *)cgroup)->weight = (float)verdict.weight;
	}
	return cgroup->weight;
}

/*
 * What a process adds to its cgroup.  All of the cgroup is killed at once, so what its processes
 * share with each other is freed, but once: each adds its fair share, of all that map a page, if
 * that was measured, and all that it has mapped or written to since.
 */
static struct proc_memory member_memory(const struct choice *choice,
					const struct census_process *process)
{
	struct proc_memory memory = process->memory;
	uint64_t mapped = proc_mapped(&memory), fair;
	bool is_measured = memory.is_measured && process->shares_era == choice->census->shares_era;

	if ((is_measured && process->is_unit) ||
	    (process->fair_is_assumed && victim_is_read(choice, process))) {
		fair = saturate_u64((double)process->fair_share +
				    (is_measured ? (double)process->share_off : 0));
		memory.kept = sub_u64(mapped, fair);
	}
	return memory;
}

/* Where shares are not known, pages count more than once; but no more is freed than there is.  (The
 * order of those that count more is left as it is.) */
static void cap_by_machine(const struct choice *choice, struct proc_memory *memory)
{
	const struct census_totals *totals = &choice->census->totals;
	uint64_t all, bytes = proc_reclaimable(memory);

	if (!totals->is_known)
		return;
	all = totals->anon + totals->swap + totals->shmem + totals->pagetables + CENSUS_SLACK;
	memory->kept = add_u64(memory->kept, sub_u64(bytes, all));
}

static void add_memory(struct proc_memory *sum, const struct proc_memory *memory)
{
	sum->anon += memory->anon;
	sum->swap += memory->swap;
	sum->shared += memory->shared;
	sum->shmem += memory->shmem;
	sum->pagetables += memory->pagetables;
	sum->kept += memory->kept;
}

/* The eligible processes in it.  Cgroups below are candidates of their own: they do not add to the
 * size of the one above, though they are killed with it. */
static void add_below(const struct choice *choice, const struct census_node *node,
		      struct victim_candidate *candidate)
{
	const struct census_process *process = (const struct census_process *)node;
	const struct census_node *child;
	struct proc_memory memory;

	if (node->kind != CENSUS_PROCESS) {
		census_for_each_child(child, node)
			if (child->kind != CENSUS_CGROUP)
				add_below(choice, child, candidate);
		return;
	}
	if (victim_exclusion(choice->census, process, choice->request) != ELIGIBILITY_ELIGIBLE &&
	    victim_exclusion(choice->census, process, choice->request) != choice->wanted)
		return;
	memory = member_memory(choice, process);
	add_memory(&candidate->memory, &memory);
	candidate->error += process->counting_error;
	candidate->is_read = candidate->is_read || victim_is_read(choice, process);
	candidate->precise = candidate->precise && victim_is_read(choice, process);
}

void victim_cgroup_init(const struct choice *choice, struct victim_candidate *candidate)
{
	uint64_t bytes;

	candidate->cgroup = (const struct census_cgroup *)candidate->node;
	candidate->precise = true;
	choice->result->n_summed++;
	add_below(choice, candidate->node, candidate);
	candidate->weight = victim_cgroup_weight(choice, candidate->cgroup);
	bytes = proc_reclaimable(&candidate->memory);
	cap_by_machine(choice, &candidate->memory);
	candidate->estimate = saturate_u64((double)bytes * (double)candidate->weight);
	candidate->score.lo =
		saturate_u64((double)sub_u64(bytes, candidate->error) * (double)candidate->weight);
	candidate->score.hi = candidate->precise ? victim_scale_up(add_u64(bytes, candidate->error),
								   candidate->weight)
						 : victim_upper_end(choice, candidate->node);
}

uint64_t victim_estimate_at_most(const struct choice *choice, const struct census_node *node)
{
	return victim_scale_up(census_node_mapped(node),
			       victim_cgroup_weight(choice, (const struct census_cgroup *)node));
}

/* Without a reread function each process in it is read precisely.  Else status was read of each,
 * but of those for which there was no more time, or which cannot be read: their last reading is
 * kept. */
static bool read_cgroup(struct choice *choice, struct victim_candidate *candidate,
			const struct census_node *node)
{
	const struct census_node *child;
	struct victim_candidate member;
	bool any_left = false;

	if (node->kind != CENSUS_PROCESS) {
		census_for_each_child(child, node)
			any_left = read_cgroup(choice, candidate, child) || any_left;
		return any_left;
	}
	if (victim_is_read(choice, (const struct census_process *)node))
		return !((const struct census_process *)node)->is_gone;
	if (choice->reader->reread)
		return victim_is_allowed(choice, node);
	victim_candidate_init(choice, node, &member);
	return victim_read_process(choice, &member) || victim_is_allowed(choice, node);
}

/* The shares of so many of a cgroup are measured in a choice, if they are not known. */
#define MEASURED_MAX 4
/* A member of less is not asked for a share. */
#define MEMBER_MIN (1 * MIB)

struct members {
	const struct census_process *largest[MEASURED_MAX]; /* whose shares are not known */
	unsigned n;
	uint64_t unknown; /* mapped by all of those */
};

static bool share_is_known(const struct choice *choice, const struct census_process *process)
{
	return (process->memory.is_measured && process->shares_era == choice->census->shares_era) ||
	       (process->fair_is_assumed && victim_is_read(choice, process));
}

static void find_unknown(const struct choice *choice, const struct census_node *node,
			 struct members *members)
{
	const struct census_process *process = (const struct census_process *)node;
	const struct census_node *child;
	uint64_t mapped;
	unsigned i;

	if (node->kind != CENSUS_PROCESS) {
		census_for_each_child(child, node)
			if (child->kind != CENSUS_CGROUP)
				find_unknown(choice, child, members);
		return;
	}
	mapped = proc_mapped(&process->memory);
	if (process->is_gone || mapped < MEMBER_MIN || share_is_known(choice, process))
		return;
	members->unknown = add_u64(members->unknown, mapped);
	i = members->n < MEASURED_MAX ? members->n++ : MEASURED_MAX;
	for (; i > 0 && proc_mapped(&members->largest[i - 1]->memory) < mapped; i--)
		if (i < MEASURED_MAX)
			members->largest[i] = members->largest[i - 1];
	if (i < MEASURED_MAX)
		members->largest[i] = process;
}

/* The others hold in common with each other as much as this one does. */
static void assume_shares(const struct choice *choice, const struct census_node *node,
			  struct family *family)
{
	struct census_process *process = (struct census_process *)node;
	const struct census_process *like = family->process;
	const struct census_node *child;
	uint64_t kept = sub_u64(proc_mapped(&like->memory), saturate_u64((double)like->fair_share));

	if (node->kind != CENSUS_PROCESS) {
		census_for_each_child(child, node)
			if (child->kind != CENSUS_CGROUP)
				assume_shares(choice, child, family);
		return;
	}
	if (process->is_gone || !victim_is_read(choice, process) ||
	    share_is_known(choice, process) || proc_mapped(&process->memory) < MEMBER_MIN ||
	    !family_has(family, process))
		return;
	process->fair_share = (float)sub_u64(proc_mapped(&process->memory), kept);
	process->fair_is_assumed = true;
}

/* Those that were measured in an earlier choice, or in watch. */
static void assume_by_known(struct choice *choice, const struct census_node *root,
			    const struct census_node *node, unsigned *n_left)
{
	const struct census_process *process = (const struct census_process *)node;
	const struct census_node *child;
	struct family family;

	if (node->kind != CENSUS_PROCESS) {
		census_for_each_child(child, node)
			if (child->kind != CENSUS_CGROUP && *n_left > 0)
				assume_by_known(choice, root, child, n_left);
		return;
	}
	if (process->is_gone || process->fair_share <= 0 || process->memory.kept < MEMBER_MIN ||
	    !census_share_is_current(choice->census, process, choice->request->now))
		return;
	(*n_left)--;
	family_init(&family, choice->census, process, FAMILY_READS);
	assume_shares(choice, root, &family);
}

/* Does much of the size depend on shares that are not known? */
static bool is_unknown(const struct choice *choice, const struct victim_candidate *candidate,
		       struct members *members)
{
	*members = (struct members){ 0 };
	find_unknown(choice, candidate->node, members);
	return members->unknown > proc_reclaimable(&candidate->memory) / 8;
}

static bool may_depend_on_shares(const struct choice *choice,
				 const struct victim_candidate *candidate)
{
	return candidate->precise && choice->reader->reread &&
	       choice->request->rank_by == POLICY_RANK_BY_FOOTPRINT;
}

void victim_measure_cgroup(struct choice *choice, struct victim_candidate *candidate)
{
	struct members members;
	struct victim_candidate member;
	struct family family;
	unsigned n_left = MEASURED_MAX;

	if (!may_depend_on_shares(choice, candidate) || !is_unknown(choice, candidate, &members))
		return;
	assume_by_known(choice, candidate->node, candidate->node, &n_left);
	victim_candidate_init(choice, candidate->node, candidate);
	if (!is_unknown(choice, candidate, &members))
		return;
	if (victim_may_read(choice))
		choice->result->n_reads++; /* what is read is the cgroup */
	for (unsigned i = 0; i < members.n && victim_may_read(choice); i++) {
		if (share_is_known(choice, members.largest[i]))
			continue; /* it is like one before it */
		victim_candidate_init(choice, &members.largest[i]->node, &member);
		(void)victim_read_process(choice, &member);
		choice->result->n_reads--;
		choice->n_members_read++;
		if (members.largest[i]->is_gone || !members.largest[i]->memory.is_measured ||
		    members.largest[i]->fair_share <= 0)
			continue;
		family_init(&family, choice->census, members.largest[i], FAMILY_READS);
		assume_shares(choice, candidate->node, &family);
	}
	victim_candidate_init(choice, candidate->node, candidate);
}

/* What the relatives of this one map in the cgroup, less what the largest of them does. */
struct common {
	const struct choice *choice;
	struct family family;
	uint64_t mapped, largest;
};

static void add_common(struct common *common, const struct census_node *node)
{
	const struct census_process *process = (const struct census_process *)node;
	const struct census_node *child;
	uint64_t mapped;

	if (node->kind != CENSUS_PROCESS) {
		census_for_each_child(child, node)
			if (child->kind != CENSUS_CGROUP)
				add_common(common, child);
		return;
	}
	if (process->is_gone || share_is_known(common->choice, process) ||
	    (process != common->family.process && !family_has(&common->family, process)))
		return;
	mapped = proc_mapped(&process->memory);
	common->mapped = add_u64(common->mapped, mapped);
	common->largest = max_u64(common->largest, mapped);
}

bool victim_assume_cgroup(const struct choice *choice, struct victim_candidate *candidate)
{
	uint64_t may_be_common = 0, bytes = proc_reclaimable(&candidate->memory);
	const struct census_process *seen[MEASURED_MAX];
	struct members members;
	unsigned n_seen = 0;

	if (victim_may_read(choice) || !may_depend_on_shares(choice, candidate) ||
	    !is_unknown(choice, candidate, &members))
		return false;
	for (unsigned i = 0; i < members.n; i++) {
		struct common common = { .choice = choice };
		bool is_like = false;

		for (unsigned k = 0; k < n_seen && !is_like; k++)
			is_like = family_has_both(choice->census, seen[k], members.largest[i]);
		if (is_like)
			continue;
		seen[n_seen++] = members.largest[i];
		family_init(&common.family, choice->census, members.largest[i], FAMILY_READS);
		add_common(&common, candidate->node);
		may_be_common = add_u64(may_be_common, common.mapped - common.largest);
	}
	if (may_be_common <= bytes / 8)
		return false;
	candidate->precise = false;
	candidate->memory.kept = add_u64(candidate->memory.kept, min_u64(may_be_common, bytes));
	candidate->estimate = saturate_u64((double)proc_reclaimable(&candidate->memory) *
					   (double)candidate->weight);
	candidate->score.lo = min_u64(candidate->score.lo, candidate->estimate);
	return true;
}

bool victim_read(struct choice *choice, struct victim_candidate *candidate)
{
	unsigned n_reads = choice->result->n_reads;

	if (candidate->process)
		return victim_read_process(choice, candidate);
	if (!read_cgroup(choice, candidate, candidate->node) ||
	    !victim_is_allowed(choice, candidate->node))
		return false;
	if (!choice->reader->reread)
		choice->result->n_reads = n_reads + 1;
	victim_candidate_init(choice, candidate->node, candidate);
	victim_measure_cgroup(choice, candidate);
	return !candidate->precise ||
	       proc_reclaimable(&candidate->memory) >= choice->request->min_victim;
}
