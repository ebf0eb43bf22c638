/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * victim: see the header.  Nodes of the census wait in a heap by their upper ends.  What comes off
 * the top is either opened (its children go on the heap) or, if it is a candidate itself, read.
 */
#include "lib/victim.h"

#include <string.h>

#include "lib/victim-heap.h"

struct choice {
	struct census *census;
	const struct victim_request *request;
	victim_read_fn read_precise;
	void *userdata;
	struct victim_result *result;
	uint64_t mark;	 /* the best score read so far */
	size_t n_needed; /* nodes looked at when last somebody could reach it */

	/* Who is passed over if there is somebody else: from this verdict on, in this walk. */
	enum passover_verdict refused;
	bool refused_any;
	struct victim_candidate avoided;	   /* the largest that was refused for its kind */
	uint64_t kind_largest[PASSOVER_KINDS_MAX]; /* likewise, its score */
	struct victim_candidate failed;		   /* the largest of those that failed last */
};

/* The score at one end of the footprint's interval.  All of it may be in swap by now, or none. */
static uint64_t score_at(const struct census_process *process, const struct victim_request *request,
			 uint64_t footprint)
{
	struct proc_memory memory = process->memory;

	memory.anon = 0;
	memory.swap = footprint;
	return victim_score(process, request, &memory);
}

/* A node's weight is a float, rounded; its bound must not be too low by that. */
static uint64_t scale_up(uint64_t bytes, float weight)
{
	return saturate_u64((double)bytes * (double)weight * (1 + 1e-6));
}

/*
 * The highest score that anybody below the node can have.  Two bounds, and the lower one counts:
 * all that is below together (the tally), and the furthest that any one can reach.
 */
static uint64_t upper_end_below(const struct choice *choice, const struct census_node *node)
{
	const struct victim_request *request = choice->request;
	uint64_t together, furthest;

	if (request->target != POLICY_TARGET_PROCESS ||
	    request->rank_by != POLICY_RANK_BY_FOOTPRINT)
		return UINT64_MAX; /* these are not bounded by a process's footprint */
	together = census_node_interval(choice->census, node, request->allocated).hi;
	furthest = (uint64_t)(node->reach_max + (int64_t)request->allocated);
	return scale_up(min_u64(together, furthest), node->weight_max);
}

/* Of a cgroup only the rules that go by cgroup alone can be asked. */
static float cgroup_weight(const struct choice *choice, const struct census_cgroup *cgroup)
{
	struct rule_subject subject = { .comm = NULL, .cgroup = cgroup->path };
	struct rule_verdict verdict;

	policy_apply_rules(choice->census->policies, &subject, &verdict);
	return (float)verdict.weight;
}

static bool has_cgroups_below(const struct census_node *node)
{
	const struct census_node *child;

	census_for_each_child(child, node)
		if (child->kind == CENSUS_CGROUP)
			return true;
	return false;
}

static bool is_root(const struct census_node *node)
{
	return strcmp(((const struct census_cgroup *)node)->path, "/") == 0;
}

static bool is_candidate(const struct choice *choice, const struct census_node *node)
{
	if (choice->request->target == POLICY_TARGET_PROCESS)
		return node->kind == CENSUS_PROCESS;
	return node->kind == CENSUS_CGROUP && !is_root(node) && !has_cgroups_below(node);
}

static uint64_t upper_end(const struct choice *choice, const struct census_node *node)
{
	const struct victim_request *request = choice->request;
	struct interval interval;

	if (!is_candidate(choice, node))
		return upper_end_below(choice, node);
	if (node->kind == CENSUS_PROCESS) {
		const struct census_process *process = (const struct census_process *)node;

		interval = census_interval(choice->census, process, request->allocated);
		return score_at(process, request, interval.hi);
	}
	interval = census_node_interval(choice->census, node, request->allocated);
	return scale_up(interval.hi, cgroup_weight(choice, (const struct census_cgroup *)node));
}

/* A cgroup is killed with all in it, so none of them may be refused. */
static bool may_go(const struct choice *choice, const struct census_node *node)
{
	return victim_eligibility(choice->census, node, choice->request) == ELIGIBILITY_ELIGIBLE;
}

static void process_init(struct victim_candidate *candidate, const struct choice *choice)
{
	const struct victim_request *request = choice->request;
	const struct census_process *process = (const struct census_process *)candidate->node;
	struct interval interval = census_interval(choice->census, process, request->allocated);

	candidate->process = process;
	candidate->memory = process->memory;
	candidate->estimate = victim_score(process, request, &process->memory);
	if (request->rank_by != POLICY_RANK_BY_SWAP) /* it may all be resident */
		candidate->score.lo = score_at(process, request, interval.lo);
}

static void cgroup_init(struct victim_candidate *candidate, const struct choice *choice)
{
	const struct tally_node *tally = &candidate->node->tally;

	candidate->cgroup = (const struct census_cgroup *)candidate->node;
	candidate->memory = (struct proc_memory){
		.anon = (uint64_t)tally_precise(tally, TALLY_ANON),
		.swap = (uint64_t)tally_precise(tally, TALLY_SWAP),
		.shared = (uint64_t)tally_precise(tally, TALLY_SHARED),
	};
	candidate->weight = cgroup_weight(choice, candidate->cgroup);
	candidate->estimate = saturate_u64((double)census_footprint(&candidate->memory) *
					   (double)candidate->weight);
}

static void candidate_init(struct victim_candidate *candidate, const struct choice *choice,
			   const struct victim_entry *entry)
{
	*candidate = (struct victim_candidate){
		.node = entry->node,
		.score.hi = entry->hi,
		.verdict = VICTIM_UNDECIDED,
	};
	if (choice->request->target == POLICY_TARGET_PROCESS)
		process_init(candidate, choice);
	else
		cgroup_init(candidate, choice);
}

/* Among equals the youngest process goes: it has the least to lose.  Never by chance. */
static bool goes_first(const struct victim_candidate *a, const struct victim_candidate *b)
{
	if (a->cgroup && b->cgroup)
		return strcmp(a->cgroup->path, b->cgroup->path) < 0;
	if (a->process->start_ticks != b->process->start_ticks)
		return a->process->start_ticks > b->process->start_ticks;
	return a->process->pid > b->process->pid;
}

/* By insertion: there are few, and qsort(3) may allocate. */
static void rank(struct victim_result *result, const struct victim_candidate *candidate)
{
	unsigned i = result->n_ranked++;

	for (; i > 0; i--) {
		const struct victim_candidate *above = &result->ranked[i - 1];

		if (above->estimate > candidate->estimate ||
		    (above->estimate == candidate->estimate && goes_first(above, candidate)))
			break;
		result->ranked[i] = *above;
	}
	result->ranked[i] = *candidate;
}

/* Pass 1, one step: what is below goes on the heap, but for what cannot reach at_least. */
static void open_node(const struct choice *choice, const struct census_node *node,
		      uint64_t at_least)
{
	struct victim_result *result = choice->result;
	const struct census_node *child;

	census_for_each_child(child, node) {
		uint64_t hi;

		result->n_visited++;
		if (child->weight_max <= 0) /* nobody below may go */
			continue;
		hi = upper_end(choice, child);
		if (hi >= at_least && result->n_heap < result->n_allocated)
			victim_heap_push(result, child, hi);
	}
}

/* What was read of one candidate: of all its processes, if it is a cgroup. */
struct precise_sum {
	struct proc_memory memory;
	uint64_t error;
	bool any_left;
	bool all_read;
};

static void read_below(const struct choice *choice, const struct census_node *node,
		       struct precise_sum *sum)
{
	const struct census_process *process = (const struct census_process *)node;
	const struct census_node *child;
	struct victim_reading reading;
	int r;

	if (node->kind != CENSUS_PROCESS) {
		census_for_each_child(child, node)
			read_below(choice, child, sum);
		return;
	}
	r = choice->read_precise(process, &reading, choice->userdata);
	if (r == VICTIM_READ_GONE)
		return;
	sum->any_left = true;
	sum->all_read = sum->all_read && r == 0;
	if (r != 0)
		return;
	census_adjust(choice->census, process->pid, reading.oom_score_adj);
	sum->memory.anon += reading.memory.anon;
	sum->memory.swap += reading.memory.swap;
	sum->memory.shared += reading.memory.shared;
	sum->memory.pagetables += reading.memory.pagetables;
	sum->error += reading.error;
}

/* Pass 2, one step; false if the candidate is gone, or may not go any more.  Of one that is late or
 * may not be read the interval and the estimate stand. */
static bool read_candidate(struct choice *choice, struct victim_candidate *candidate)
{
	const struct victim_request *request = choice->request;
	const struct census_process *process = candidate->process;
	struct precise_sum sum = { .all_read = true };
	uint64_t footprint, lo, hi;

	choice->result->n_reads++;
	read_below(choice, candidate->node, &sum);
	if (!sum.any_left || !may_go(choice, candidate->node))
		return false;
	if (!sum.all_read)
		return true;
	footprint = census_footprint(&sum.memory);
	lo = sub_u64(footprint, sum.error);
	hi = add_u64(footprint, sum.error);
	candidate->memory = sum.memory;
	candidate->precise = true;
	candidate->error = sum.error;
	if (!process) {
		candidate->estimate = saturate_u64((double)footprint * (double)candidate->weight);
		candidate->score = (struct interval){
			saturate_u64((double)lo * (double)candidate->weight),
			scale_up(hi, candidate->weight),
		};
	} else {
		candidate->estimate = victim_score(process, request, &sum.memory);
		candidate->score = (struct interval){ candidate->estimate, candidate->estimate };
		if (sum.error > 0 && request->rank_by != POLICY_RANK_BY_SWAP)
			candidate->score = (struct interval){ score_at(process, request, lo),
							      score_at(process, request, hi) };
	}
	choice->mark = max_u64(choice->mark, candidate->estimate);
	return true;
}

/* next_hi: the highest upper end among those that were not ranked. */
static void pronounce(struct victim_result *result, uint64_t next_hi)
{
	uint64_t best;

	if (result->n_ranked == 0)
		return;
	best = result->ranked[0].estimate;
	result->ranked[0].verdict = VICTIM_CHOSEN;
	result->approximate = !result->ranked[0].precise || next_hi > best;
	for (unsigned i = 1; i < result->n_ranked; i++) {
		struct victim_candidate *candidate = &result->ranked[i];

		if (candidate->precise)
			candidate->verdict = VICTIM_SMALLER;
		else if (candidate->score.hi <= best)
			candidate->verdict = VICTIM_CANNOT_REACH;
		else
			result->approximate = true;
	}
}

/* The highest of all below, and their kinds. */
static enum passover_verdict judge_below(const struct choice *choice,
					 const struct census_node *node, unsigned *kinds)
{
	enum passover_verdict verdict = PASSOVER_NOT;
	const struct census_node *child;

	if (node->kind == CENSUS_PROCESS) {
		const struct census_process *process = (const struct census_process *)node;

		verdict = victim_passover(process, choice->request);
		if (verdict == PASSOVER_KIND)
			*kinds |= victim_kinds(process, choice->request);
		return verdict;
	}
	census_for_each_child(child, node) {
		enum passover_verdict other = judge_below(choice, child, kinds);

		verdict = other > verdict ? other : verdict;
	}
	return verdict;
}

static void keep_larger(struct victim_candidate *largest, const struct victim_candidate *candidate)
{
	if (!largest->node || candidate->estimate > largest->estimate)
		*largest = *candidate;
}

/* Is the candidate passed over in this walk?  By the last reading: it is not worth a new one. */
static bool is_refused(struct choice *choice, const struct victim_entry *entry)
{
	struct victim_candidate candidate;
	enum passover_verdict verdict;
	unsigned kinds = 0;

	if (!choice->request->passover)
		return false;
	verdict = judge_below(choice, entry->node, &kinds);
	if (verdict < choice->refused)
		return false;
	choice->refused_any = true;
	candidate_init(&candidate, choice, entry);
	if (verdict != PASSOVER_KIND) {
		keep_larger(&choice->failed, &candidate);
		return true;
	}
	keep_larger(&choice->avoided, &candidate);
	for (unsigned i = 0; i < PASSOVER_KINDS_MAX; i++)
		if (kinds & 1U << i)
			choice->kind_largest[i] =
				max_u64(choice->kind_largest[i], candidate.estimate);
	return true;
}

/* Is all ranked that is to be?  Those who cannot reach the mark are for people alone. */
static bool is_told(const struct choice *choice)
{
	const struct victim_request *request = choice->request;
	const struct victim_result *result = choice->result;

	return result->n_ranked >= min_u64(request->n_wanted, VICTIM_RANKED_MAX) ||
	       (request->n_looks > 0 && result->n_visited - choice->n_needed >= request->n_looks);
}

/* Both passes, but for those who are passed over by this verdict. */
static void walk(struct choice *choice, enum passover_verdict refused)
{
	struct victim_result *result = choice->result;

	choice->refused = refused;
	choice->refused_any = false;
	choice->avoided = choice->failed = (struct victim_candidate){ 0 };
	memset(choice->kind_largest, 0, sizeof(choice->kind_largest));
	choice->mark = 0;
	choice->n_needed = 0;
	result->n_heap = result->n_ranked = result->n_reads = 0;
	victim_heap_push(result, &choice->census->machine, UINT64_MAX);

	/* What comes off the heap cannot be exceeded by what is left on it. */
	while (result->n_heap > 0 && result->n_ranked < VICTIM_RANKED_MAX) {
		struct victim_candidate candidate;
		struct victim_entry top;

		if (result->heap[0].hi >= choice->mark)
			choice->n_needed = result->n_visited;
		else if (is_told(choice))
			break;
		top = victim_heap_pop(result);
		if (!is_candidate(choice, top.node)) {
			open_node(choice, top.node, is_told(choice) ? choice->mark : 0);
			continue;
		}
		if (!may_go(choice, top.node) || is_refused(choice, &top))
			continue;
		candidate_init(&candidate, choice, &top);
		if (top.hi >= choice->mark && result->n_reads < VICTIM_MAX_READS &&
		    !read_candidate(choice, &candidate))
			continue;
		rank(result, &candidate);
	}
}

/* Is there somebody instead of those who were passed over? */
static bool is_enough(const struct choice *choice)
{
	const struct victim_result *result = choice->result;
	uint64_t best;

	if (!choice->refused_any)
		return true;
	best = result->n_ranked > 0 ? result->ranked[0].estimate : 0;
	return best > 0 && passover_is_worth(best, choice->avoided.estimate);
}

static void note_avoided(const struct choice *choice)
{
	struct victim_result *result = choice->result;
	bool is_kind = choice->avoided.estimate >= choice->failed.estimate;
	uint64_t best = result->n_ranked > 0 ? result->ranked[0].estimate : UINT64_MAX;

	result->avoided = is_kind ? choice->avoided : choice->failed;
	result->avoided_for = is_kind ? PASSOVER_KIND : PASSOVER_IN_A_ROW;
	result->avoided_kinds = 0;
	if (result->avoided.estimate <= best) {
		result->avoided = (struct victim_candidate){ 0 };
		result->avoided_for = PASSOVER_NOT;
	}
	for (unsigned i = 0; i < PASSOVER_KINDS_MAX; i++)
		if (choice->kind_largest[i] > best)
			result->avoided_kinds |= 1U << i;
}

void victim_choose(struct census *census, const struct victim_request *request,
		   victim_read_fn read_precise, void *userdata, struct victim_result *result)
{
	struct choice choice = {
		.census = census,
		.request = request,
		.read_precise = read_precise,
		.userdata = userdata,
		.result = result,
	};
	/* Where nobody else is left, who was useless before who failed last. */
	enum passover_verdict refused = PASSOVER_KIND;

	result->n_visited = 0;
	result->approximate = false;
	result->n_candidates = census->n_candidates;
	do
		walk(&choice, refused++);
	while (refused <= PASSOVER_YES && !is_enough(&choice));
	note_avoided(&choice);
	pronounce(result, result->n_heap > 0 ? result->heap[0].hi : 0);
}
