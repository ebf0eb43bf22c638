/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* outlook: see the header. */
#include "lib/outlook.h"

#include <unistd.h>

static void find_policy(struct outlook *o)
{
	struct policy_reading reading = { .memory = &o->memory, .psi = o->psi };

	for (size_t i = 0; i < o->policies->n_policies; i++) {
		const struct policy *policy = &o->policies->policies[i];
		bool holds = policy_holds(policy, &reading);

		if (policy->action == POLICY_ACTION_WARN && holds && !o->warning)
			o->warning = policy;
		if (policy->action < POLICY_ACTION_TERMINATE)
			continue;
		if (!o->policy || (holds && !o->policy_holds) ||
		    (holds && policy->action > o->policy->action)) {
			o->policy = policy;
			o->policy_holds = holds;
		}
	}
}

static int read_noted(const struct census_process *process, struct proc_memory *ret,
		      uint64_t *ret_error, void *userdata)
{
	struct outlook *o = userdata;
	int r;

	r = reader_read(process, ret, ret_error, &o->reader);
	if (r == 0 && o->n_reads < ARRAY_SIZE(o->reads))
		o->reads[o->n_reads++] = (struct outlook_read){ process->pid, *ret_error };
	return r;
}

void outlook_choose(struct outlook *o)
{
	o->policy = o->warning = NULL;
	o->policy_holds = false;
	o->n_reads = 0;
	find_policy(o);
	o->reader = (struct reader){
		.proc_fd = o->proc_fd,
		.accuracy = o->accuracy,
		.precise = o->precise,
		.left = o->budget,
		.now = o->now,
	};
	o->request = (struct victim_request){
		.n_wanted = VICTIM_RANKED_MAX,
		.rank_by = o->policy ? o->policy->rank_by : POLICY_RANK_BY_FOOTPRINT,
		.allocated = o->memory.allocated,
		.total = o->memory.counters.total + o->memory.counters.swap_total,
		.now = o->now(),
		.self = getpid(),
		.passover = o->passover,
	};
	victim_choose(o->census, &o->request, read_noted, o, &o->result);
	victim_count_exclusions(o->census, &o->request, o->n_excluded);
}

const char *outlook_user(const struct outlook *o, uid_t uid)
{
	return o->user(uid, o->userdata);
}

const struct victim_candidate *outlook_victim(const struct outlook *o)
{
	return o->result.n_ranked > 0 ? &o->result.ranked[0] : NULL;
}

uint64_t outlook_read_error(const struct outlook *o)
{
	uint64_t error = 0;

	for (unsigned i = 0; i < o->n_reads; i++)
		error = max_u64(error, o->reads[i].error);
	return error;
}

struct interval outlook_size(const struct outlook *o, const struct victim_candidate *candidate)
{
	uint64_t footprint = census_footprint(&candidate->memory);

	if (candidate->precise)
		for (unsigned i = 0; i < o->n_reads; i++)
			if (o->reads[i].pid == candidate->process->pid)
				return (struct interval){
					sub_u64(footprint, o->reads[i].error),
					add_u64(footprint, o->reads[i].error),
				};
	return accuracy_interval(o->accuracy, footprint, o->census->with_swap,
				 candidate->process->n_threads);
}

/* The score, were the footprint this. */
static uint64_t score_at(const struct outlook *o, const struct census_process *process,
			 struct proc_memory memory, uint64_t footprint)
{
	memory.anon = 0;
	memory.swap = footprint;
	return victim_score(process, &o->request, &memory);
}

/* Behind all that were ranked, and behind those that count for more. */
static size_t rank_of(const struct outlook *o, uint64_t score)
{
	const struct census_process *other;
	size_t rank = 1;

	census_for_each(o->census, other) {
		if (victim_exclusion(o->census, other, &o->request) == VICTIM_ELIGIBLE &&
		    victim_score(other, &o->request, &other->memory) > score)
			rank++;
	}
	return max_u64(rank, o->result.n_ranked + 1);
}

int outlook_candidate(struct outlook *o, const struct census_process *process,
		      struct victim_candidate *ret, size_t *ret_rank)
{
	struct victim_candidate candidate = {
		.node = &process->node,
		.process = process,
		.memory = process->memory,
	};
	struct interval size;
	uint64_t error;
	int r;

	for (unsigned i = 0; i < o->result.n_ranked; i++) {
		if (o->result.ranked[i].process != process)
			continue;
		*ret = o->result.ranked[i];
		*ret_rank = i + 1;
		return 0;
	}
	/* May be asked again and again: the last place is for the newest. */
	o->n_reads = (unsigned)min_u64(o->n_reads, VICTIM_MAX_READS);
	r = read_noted(process, &candidate.memory, &error, o);
	if (r == VICTIM_READ_GONE)
		return PROC_GONE;
	candidate.precise = r == 0;
	candidate.verdict = r == 0 ? VICTIM_SMALLER : VICTIM_UNDECIDED;
	size = outlook_size(o, &candidate);
	candidate.score.lo = score_at(o, process, candidate.memory, size.lo);
	candidate.score.hi = score_at(o, process, candidate.memory, size.hi);
	candidate.estimate = victim_score(process, &o->request, &candidate.memory);
	*ret = candidate;
	*ret_rank = rank_of(o, candidate.estimate);
	return 0;
}
