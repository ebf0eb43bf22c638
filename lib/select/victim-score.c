/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * victim-score: which processes may be a victim at all, and the score of each; see victim.h.  No
 * process is compared with another here.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/select/victim.h"

static struct backoff_subject subject_of(const struct census_process *process)
{
	return (struct backoff_subject){
		.pid = process->pid,
		.start_ticks = process->start_ticks,
		.uid = process->uid,
		.comm = process->comm,
		.cgroup = census_cgroup_path(process),
		.ppid = process->ppid,
		.session = process->session,
		.code_pages = process->code_pages,
		.mapped = proc_mapped(&process->memory),
	};
}

enum backoff_verdict victim_backoff(const struct census_process *process,
				    const struct victim_request *request)
{
	struct backoff_subject subject = subject_of(process);

	if (!request->backoff)
		return BACKOFF_NONE;
	return backoff_judge(request->backoff, &subject, request->now);
}

unsigned victim_kinds(const struct census_process *process, const struct victim_request *request)
{
	struct backoff_subject subject = subject_of(process);

	return backoff_kinds(request->backoff, &subject, request->now);
}

enum eligibility victim_exclusion(const struct census *census, const struct census_process *process,
				  const struct victim_request *request)
{
	struct eligibility_subject subject = census_subject(census, process);

	subject.self = request->self;
	subject.total = request->memory;
	subject.backoff = victim_backoff(process, request);
	return eligibility_judge(&subject);
}

enum eligibility victim_eligibility(const struct census *census, const struct census_node *node,
				    const struct victim_request *request)
{
	enum eligibility joined = ELIGIBILITY_NO_MEMORY;
	const struct census_node *child;

	if (node->kind == CENSUS_PROCESS)
		return victim_exclusion(census, (const struct census_process *)node, request);
	census_for_each_child(child, node) {
		joined = eligibility_join(joined, victim_eligibility(census, child, request));
		if (eligibility_forbids_group(joined))
			break;
	}
	return joined;
}

struct victim_request victim_request_of(const struct policy *policy,
					const struct memory_reading *reading, usec_t now)
{
	return (struct victim_request){
		.rank_by = policy ? policy_rank_by_now(policy, reading) : POLICY_RANK_BY_FOOTPRINT,
		.target = policy ? policy->target : POLICY_TARGET_PROCESS,
		.allocated = reading->allocated,
		.total = reading->counters.total + reading->counters.swap_total,
		.memory = reading->total,
		.now = now,
		.self = getpid(),
	};
}

bool victim_is_top(const struct census *census, const struct census_node *node)
{
	const char *path = ((const struct census_cgroup *)node)->path;

	return node->kind == CENSUS_CGROUP &&
	       (strcmp(path, "/") == 0 || strcmp(path, census->policies->subtree) == 0);
}

const char *victim_verdict_to_string(enum victim_verdict verdict)
{
	static const char *const strings[] = {
		[VICTIM_UNDECIDED] = "undecided",
		[VICTIM_CHOSEN] = "chosen",
		[VICTIM_SMALLER] = "smaller",
	};

	return strings[verdict];
}

/* A zombie has no memory. */
const struct census_process *victim_largest_below(const struct census_node *node)
{
	const struct census_process *largest = NULL, *process;
	const struct census_node *child;

	if (node->kind == CENSUS_PROCESS)
		return (const struct census_process *)node;
	census_for_each_child(child, node) {
		process = victim_largest_below(child);
		if (process && (!largest || proc_reclaimable(&process->memory) >
						    proc_reclaimable(&largest->memory)))
			largest = process;
	}
	return largest;
}

/* Of those that were measured, one is compared with what the others are taken to be by it. */
static uint64_t member_size(const struct census_process *process)
{
	uint64_t bytes = proc_reclaimable(&process->memory);

	return process->fair_is_assumed ? min_u64(bytes, saturate_u64((double)process->fair_share))
					: bytes;
}

static const struct census_process *find_leader(const struct census *census,
						const struct victim_request *request,
						const struct census_node *node, bool reluctantly)
{
	const struct census_process *leader = NULL, *process;
	const struct census_node *child;

	if (node->kind == CENSUS_PROCESS) {
		process = (const struct census_process *)node;
		return eligibility_is_spared(victim_exclusion(census, process, request),
					     reluctantly)
			       ? NULL
			       : process;
	}
	census_for_each_child(child, node) {
		process = find_leader(census, request, child, reluctantly);
		if (process && (!leader || member_size(process) > member_size(leader)))
			leader = process;
	}
	return leader;
}

const struct census_process *victim_leader(const struct census *census,
					   const struct victim_request *request,
					   const struct census_node *node)
{
	const struct census_process *leader = NULL;

	if (node->kind != CENSUS_PROCESS)
		leader = find_leader(census, request, node,
				     victim_eligibility(census, node, request) ==
					     ELIGIBILITY_RELUCTANT);
	return leader ? leader : victim_largest_below(node);
}

/* oom_badness() of mm/oom_kill.c in bytes; what would be negative is 0. */
static uint64_t badness(const struct census_process *process, const struct victim_request *request,
			const struct proc_memory *memory)
{
	uint64_t points = memory->anon + memory->swap + memory->shared + memory->pagetables;
	uint64_t shift = request->total / 1000 * (uint64_t)abs(process->oom_score_adj);

	return process->oom_score_adj < 0 ? sub_u64(points, shift) : add_u64(points, shift);
}

/* A hint makes a process look larger or smaller than it is; by itself it never makes a small one
 * outrank a large one, as the kernel's additive formula does. */
uint64_t victim_weighted(const struct census_process *process, const struct victim_request *request,
			 uint64_t bytes)
{
	int factor = 1000 + process->oom_score_adj;

	if (request->reluctantly)
		return bytes;
	return saturate_u64((double)bytes * (factor < 1 ? 1 : factor) / 1000 *
			    (double)process->weight);
}

/*
 * How much it has grown in the last seconds, by what it maps: what of that is reclaimable may have
 * been measured meanwhile.  What is younger than that, or was first seen a moment ago, is taken to
 * have grown evenly since its start.
 */
static uint64_t growth(const struct census_process *process, const struct victim_request *request,
		       const struct proc_memory *memory)
{
	usec_t window = 2 * CENSUS_GROWTH_USEC, age;
	uint64_t bytes = proc_reclaimable(memory);
	uint64_t grown = min_u64(bytes, sub_u64(proc_mapped(memory), process->earlier_footprint));

	if (process->is_watched || request->ticks_now <= process->start_ticks)
		return grown;
	age = (request->ticks_now - process->start_ticks) * USEC_PER_TICK;
	if (age <= window)
		return bytes;
	return max_u64(grown, saturate_u64((double)bytes * (double)window / (double)age));
}

uint64_t victim_score(const struct census_process *process, const struct victim_request *request,
		      const struct proc_memory *memory)
{
	uint64_t bytes = proc_reclaimable(memory);

	switch (request->rank_by) {
	case POLICY_RANK_BY_BADNESS:
		return saturate_u64((double)badness(process, request, memory) *
				    (double)process->weight);
	case POLICY_RANK_BY_SWAP:
		return victim_weighted(process, request, memory->swap);
	case POLICY_RANK_BY_GROWTH:
		return victim_weighted(process, request, growth(process, request, memory));
	case POLICY_RANK_BY_FOOTPRINT:
		break;
	}
	return victim_weighted(process, request, bytes);
}

void victim_count_exclusions(const struct census *census, const struct victim_request *request,
			     size_t ret[static _ELIGIBILITY_MAX])
{
	const struct census_process *process;

	memset(ret, 0, _ELIGIBILITY_MAX * sizeof(ret[0]));
	census_for_each(census, process)
		ret[victim_exclusion(census, process, request)]++;
}
