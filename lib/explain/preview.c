/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* preview: makes the choice over a given census. */
#include "lib/explain/preview.h"

#include <string.h>
#include <unistd.h>

#include "lib/domain/worth.h"

/* At most; of a process it is VICTIM_MAX_READS. */
#define READS_MAX 512
/* Re-reading at little cost, where the budget is less: some 1,000 processes. */
#define REREAD_MIN_USEC (5 * USEC_PER_MSEC)

struct policy_reading preview_reading(const struct preview *o)
{
	return (struct policy_reading){
		.memory = &o->memory,
		.psi = o->psi,
		.reclaim = o->reclaim,
		.stalls_are_explained = o->stalls_are_explained,
		.unswappable = o->unswappable,
		.page_size = o->accuracy->page_size,
	};
}

static void find_policy(struct preview *o)
{
	struct policy_reading reading = preview_reading(o);

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

/* Of a cgroup all processes are read, which must not take long where the daemon is asked. */
static int read_some(const struct census_process *process, struct victim_reading *ret,
		     void *userdata)
{
	struct preview *o = userdata;

	if (o->n_reads == READS_MAX)
		return VICTIM_READ_LATE;
	o->n_reads++;
	return reader_read(process, ret, &o->reader);
}

static int reread_some(struct census *census, struct census_process *process, void *userdata)
{
	struct preview *o = userdata;

	return reader_reread(census, process, &o->reader);
}

/* Skips the first, as the daemon does with one that may not be killed. */
static void skip_first(struct victim_result *result)
{
	result->as_one = VICTIM_ALONE;
	result->n_ranked--;
	memmove(&result->ranked[0], &result->ranked[1],
		result->n_ranked * sizeof(result->ranked[0]));
	result->ranked[0].verdict = VICTIM_CHOSEN;
}

static uint64_t min_victim(const struct preview *o)
{
	return o->min_victim && o->policy
		       ? o->min_victim(o->policy, o->userdata)
		       : worth_min_victim(&o->policies->min_victim, o->memory.total);
}

void preview_choose(struct preview *o)
{
	const struct victim_reader reader = {
		.precise = read_some,
		.reread = reread_some,
		.userdata = o,
	};

	o->policy = o->warning = NULL;
	o->policy_holds = false;
	o->n_reads = 0;
	o->group = (struct preview_group){ 0 };
	o->others = (struct preview_others){ 0 };
	o->withheld = o->withheld_for = NULL;
	find_policy(o);
	o->reader = (struct reader){
		.proc_fd = o->proc_fd,
		.accuracy = o->accuracy,
		.precise = o->precise,
		.left = o->budget,
		.now = o->now,
		.reread_until = add_u64(o->now(), max_u64(o->budget, REREAD_MIN_USEC)),
		.allocated = o->memory.allocated,
		.sampled_at = o->now(),
	};
	census_set_totals(o->census, &o->memory.counters);
	o->request = victim_request_of(o->policy, &o->memory, o->now());
	o->request.n_wanted = VICTIM_RANKED_MAX;
	o->request.min_victim = min_victim(o);
	o->request.ticks_now = o->ticks_now;
	o->request.backoff = o->backoff;
	o->request.streak = o->streak;
	o->request.own_cgroup = o->own_cgroup;
	victim_choose(o->census, &o->request, &reader, &o->result);
	o->request.own_cgroup = NULL; /* it need not live as long */
	for (unsigned i = 0; i < o->result.n_ranked; i++)
		o->result.ranked[i].process =
			victim_leader(o->census, &o->request, o->result.ranked[i].node);
	if (o->result.skipped.node)
		o->result.skipped.process =
			victim_leader(o->census, &o->request, o->result.skipped.node);
	while (o->result.n_ranked > 0 && !preview_find_others(o))
		skip_first(&o->result);
	victim_count_exclusions(o->census, &o->request, o->n_excluded);
}

const char *preview_user(const struct preview *o, uid_t uid)
{
	return o->user(uid, o->userdata);
}

const struct victim_candidate *preview_victim(const struct preview *o)
{
	return o->result.n_ranked > 0 ? &o->result.ranked[0] : NULL;
}

bool preview_is_of_cgroups(const struct preview *o)
{
	return o->request.target == POLICY_TARGET_CGROUP;
}

bool preview_is_by_cgroup(const struct preview *o, const struct census_process *process)
{
	const struct census_cgroup *cgroup = census_cgroup_of(process);

	return preview_is_of_cgroups(o) && !(cgroup && victim_is_top(o->census, &cgroup->node));
}

static unsigned count_below(const struct census_node *node)
{
	const struct census_node *child;
	unsigned n = 0;

	if (node->kind == CENSUS_PROCESS)
		return 1;
	census_for_each_child(child, node)
		n += count_below(child);
	return n;
}

unsigned preview_processes(const struct victim_candidate *candidate)
{
	return count_below(candidate->node);
}

double preview_weight(const struct victim_candidate *candidate)
{
	return (double)(candidate->cgroup ? candidate->weight : candidate->process->weight);
}

uint64_t preview_read_error(const struct preview *o)
{
	uint64_t error = 0;

	for (unsigned i = 0; i < o->result.n_ranked; i++)
		error = max_u64(error, o->result.ranked[i].error);
	return error;
}

struct interval preview_size(const struct preview *o, const struct victim_candidate *candidate)
{
	uint64_t footprint = proc_reclaimable(&candidate->memory);
	uint64_t error = candidate->precise ? candidate->error : census_error_of(candidate->node);

	if (candidate->precise || candidate->cgroup)
		return (struct interval){ sub_u64(footprint, error), add_u64(footprint, error) };
	return accuracy_interval(o->accuracy, footprint, o->census->with_swap,
				 candidate->process->n_threads);
}

/* The score, were the footprint this. */
static uint64_t score_at(const struct preview *o, const struct census_process *process,
			 struct proc_memory memory, uint64_t footprint)
{
	memory.anon = 0;
	memory.swap = footprint;
	return victim_score(process, &o->request, &memory);
}

/* As defined in the header. */
static size_t rank_of_cgroup(const struct preview *o, const struct census_process *process)
{
	const struct census_cgroup *cgroup = census_cgroup_of(process);

	for (unsigned i = 0; i < o->result.n_ranked; i++)
		if (cgroup && cgroup == o->result.ranked[i].cgroup)
			return i + 1;
	if (cgroup && cgroup == o->result.skipped.cgroup)
		return o->result.n_ranked + 1;
	return o->result.n_ranked == VICTIM_RANKED_MAX ? VICTIM_RANKED_MAX + 1 : 0;
}

/* Behind all that were ranked, and behind those with a higher score. */
static size_t rank_of(const struct preview *o, uint64_t score)
{
	const struct census_process *other;
	size_t rank = 1;

	census_for_each(o->census, other) {
		if (victim_exclusion(o->census, other, &o->request) == ELIGIBILITY_ELIGIBLE &&
		    victim_score(other, &o->request, &other->memory) > score)
			rank++;
	}
	return max_u64(rank, o->result.n_ranked + 1);
}

/* By the reading that it has. */
static void score(const struct preview *o, struct victim_candidate *candidate)
{
	const struct census_process *process = candidate->process;
	struct interval size = preview_size(o, candidate);

	candidate->score.lo = score_at(o, process, candidate->memory, size.lo);
	candidate->score.hi = score_at(o, process, candidate->memory, size.hi);
	candidate->estimate = victim_score(process, &o->request, &candidate->memory);
}

static const struct victim_candidate *find_ranked(const struct preview *o,
						  const struct census_process *process)
{
	for (unsigned i = 0; i < o->result.n_ranked; i++)
		if (!o->result.ranked[i].cgroup && o->result.ranked[i].process == process)
			return &o->result.ranked[i];
	return NULL;
}

void preview_known(const struct preview *o, const struct census_process *process,
		   struct victim_candidate *ret)
{
	const struct victim_candidate *ranked = find_ranked(o, process);

	if (ranked) {
		*ret = *ranked;
		return;
	}
	*ret = (struct victim_candidate){
		.node = &process->node,
		.process = process,
		.memory = process->memory,
	};
	if (census_share_is_current(o->census, process, o->request.now)) {
		ret->is_unit = process->is_unit;
		ret->alone = process->alone;
	}
	score(o, ret);
}

enum backoff_verdict preview_skipped(const struct preview *o,
				     const struct victim_candidate *candidate)
{
	const struct victim_candidate *victim = preview_victim(o);

	if (!victim || candidate->estimate <= victim->estimate)
		return BACKOFF_NONE;
	if (preview_is_of_cgroups(o))
		return candidate->node == o->result.skipped.node ? o->result.skipped_for
								 : BACKOFF_NONE;
	return victim_backoff(candidate->process, &o->request);
}

/* What would not be freed: measured now, or a moment ago. */
static void apply_share(const struct preview *o, const struct census_process *process,
			struct victim_reading *reading, struct victim_candidate *candidate)
{
	if (reading->has_reclaimable) {
		candidate->is_unit = victim_apply_share(o->census, process, &o->request, reading);
		candidate->alone = reading->reclaimable.alone;
	} else if (census_share_is_current(o->census, process, o->request.now)) {
		reading->memory.kept = min_u64(process->memory.kept, proc_mapped(&reading->memory));
		reading->memory.is_measured = true;
		candidate->is_unit = process->is_unit;
		candidate->alone = process->alone;
	}
}

/* Its rank stands, but what it shares can be measured. */
static bool is_to_be_read(const struct preview *o, const struct victim_candidate *ranked)
{
	return !ranked || (o->precise && !ranked->memory.is_measured);
}

int preview_candidate(struct preview *o, const struct census_process *process,
		      struct victim_candidate *ret, size_t *ret_rank)
{
	struct victim_candidate candidate = {
		.node = &process->node,
		.process = process,
		.memory = process->memory,
	};
	const struct victim_candidate *ranked = find_ranked(o, process);
	struct victim_reading reading;
	int r;

	if (!is_to_be_read(o, ranked)) {
		*ret = *ranked;
		*ret_rank = (size_t)(ranked - o->result.ranked) + 1;
		return 0;
	}
	r = reader_read(process, &reading, &o->reader);
	if (r == VICTIM_READ_GONE)
		return PROC_GONE;
	if (r == 0) {
		census_adjust(o->census, process->pid, reading.oom_score_adj);
		apply_share(o, process, &reading, &candidate);
		candidate.memory = reading.memory;
		candidate.error = reading.error;
	}
	candidate.precise = r == 0;
	candidate.verdict = ranked ? ranked->verdict : r == 0 ? VICTIM_SMALLER : VICTIM_UNDECIDED;
	score(o, &candidate);
	*ret = candidate;
	if (ranked)
		*ret_rank = (size_t)(ranked - o->result.ranked) + 1;
	else
		*ret_rank = preview_is_by_cgroup(o, process) ? rank_of_cgroup(o, process)
							     : rank_of(o, candidate.estimate);
	return 0;
}
