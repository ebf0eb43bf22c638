/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * victim: the walks of a choice.  Nodes of the census wait in a heap.  The top one is either opened
 * (its children are pushed) or, if it is a candidate itself, processed.  Three walks make one: by
 * estimate (lead), by upper end (close), and by estimate again for people (rank_rest).
 */
#include "lib/select/victim.h"

#include <string.h>

#include "lib/select/victim-group.h"
#include "lib/select/victim-heap.h"
#include "lib/select/victim-walk.h"

enum order { BY_ESTIMATE, BY_UPPER_END };

/* A cgroup with processes of its own, with or without cgroups below it. */
static bool is_candidate(const struct choice *choice, const struct census_node *node)
{
	if (choice->request->target == POLICY_TARGET_PROCESS || node->kind != CENSUS_CGROUP)
		return node->kind == CENSUS_PROCESS;
	return !victim_is_top(choice->census, node) && census_has_processes(node);
}

/*
 * Of a node that is no candidate itself: what bounds those below.  Only what is reclaimable of a
 * process has such bounds.  0: no candidate below is worth it.
 */
static uint64_t key_below(const struct choice *choice, const struct census_node *node,
			  enum order order)
{
	const struct victim_request *request = choice->request;
	uint64_t furthest;

	if (request->rank_by != POLICY_RANK_BY_FOOTPRINT)
		return UINT64_MAX;
	furthest = (uint64_t)(node->reach_max + (int64_t)request->allocated);
	if (furthest < request->min_victim)
		return 0;
	if (order == BY_ESTIMATE)
		return saturate_u64((double)node->estimate_max);
	return saturate_u64((double)victim_rest(choice, furthest) * (double)node->weight_max *
			    (1 + 1e-6));
}

/* The score by its last reading, or the readings of all that is in it. */
static uint64_t estimate_of(const struct choice *choice, const struct census_node *node)
{
	struct victim_candidate candidate;

	victim_candidate_init(choice, node, &candidate);
	return candidate.estimate;
}

static uint64_t key_of(const struct choice *choice, const struct census_node *node,
		       enum order order)
{
	if (!is_candidate(choice, node))
		return key_below(choice, node, order);
	return order == BY_UPPER_END ? victim_upper_end(choice, node) : estimate_of(choice, node);
}

/* Among equals the youngest process is first: it has the least to lose; a process is before a
 * cgroup.  Never by chance. */
static bool is_younger(const struct victim_candidate *a, const struct victim_candidate *b)
{
	if (a->cgroup || b->cgroup)
		return !a->cgroup || (b->cgroup && strcmp(a->cgroup->path, b->cgroup->path) < 0);
	if (a->process->start_ticks != b->process->start_ticks)
		return a->process->start_ticks > b->process->start_ticks;
	return a->process->pid > b->process->pid;
}

/* By insertion: there are few, and qsort(3) may allocate.  The last is dropped. */
static void rank(struct victim_result *result, const struct victim_candidate *candidate)
{
	unsigned i = result->n_ranked;

	for (; i > 0; i--) {
		const struct victim_candidate *above = &result->ranked[i - 1];

		if (above->estimate > candidate->estimate ||
		    (above->estimate == candidate->estimate && is_younger(above, candidate)))
			break;
		if (i < VICTIM_RANKED_MAX)
			result->ranked[i] = *above;
	}
	if (i == VICTIM_RANKED_MAX)
		return;
	result->ranked[i] = *candidate;
	result->n_ranked += result->n_ranked < VICTIM_RANKED_MAX;
}

/* On the heap, if it can exceed at_least. */
static void push_by(const struct choice *choice, const struct census_node *node, uint64_t key,
		    uint64_t at_least)
{
	if (key > at_least && choice->result->n_heap < choice->result->n_allocated)
		victim_heap_push(choice->result, node, key);
}

static void push(const struct choice *choice, const struct census_node *node, enum order order,
		 uint64_t at_least)
{
	if (node->weight_max > 0) /* else there is no candidate below */
		push_by(choice, node, key_of(choice, node, order), at_least);
}

static void open_node(const struct choice *choice, const struct census_node *node, enum order order,
		      uint64_t at_least)
{
	const struct census_node *child;

	census_for_each_below(child, node) {
		choice->result->n_visited++;
		push(choice, child, order, at_least);
	}
}

/* The highest of all below, and their kinds. */
static enum backoff_verdict judge_below(const struct choice *choice, const struct census_node *node,
					unsigned *kinds)
{
	enum backoff_verdict verdict = BACKOFF_NONE;
	const struct census_node *child;

	if (node->kind == CENSUS_PROCESS) {
		const struct census_process *process = (const struct census_process *)node;

		verdict = victim_backoff(process, choice->request);
		if (verdict == BACKOFF_SIMILAR)
			*kinds |= victim_kinds(process, choice->request);
		return verdict;
	}
	census_for_each_child(child, node) {
		enum backoff_verdict other = judge_below(choice, child, kinds);

		verdict = other > verdict ? other : verdict;
	}
	return verdict;
}

static void keep_larger(struct victim_candidate *largest, const struct victim_candidate *candidate)
{
	if (!largest->node || candidate->estimate > largest->estimate)
		*largest = *candidate;
}

/* Is the candidate skipped in this walk?  By the last reading: it is not worth a new one. */
static bool is_refused(struct choice *choice, const struct census_node *node)
{
	struct victim_candidate candidate;
	enum backoff_verdict verdict;
	unsigned kinds = 0;

	if (!choice->request->backoff)
		return false;
	verdict = judge_below(choice, node, &kinds);
	if (verdict < choice->refused)
		return false;
	choice->refused_any = true;
	victim_candidate_init(choice, node, &candidate);
	if (verdict != BACKOFF_SIMILAR) {
		keep_larger(&choice->failed, &candidate);
		return true;
	}
	keep_larger(&choice->similar, &candidate);
	for (unsigned i = 0; i < BACKOFF_SIMILAR_MAX; i++)
		if (kinds & 1U << i)
			choice->kind_largest[i] =
				max_u64(choice->kind_largest[i], candidate.estimate);
	return true;
}

/* It is not read, though it could be the best: its score is not known. */
static void leave(struct choice *choice, uint64_t upper_end)
{
	choice->undecided = max_u64(choice->undecided, upper_end);
}

/*
 * One candidate from the heap, for which key > mark.  First it is read at little cost, and pushed
 * again with what it has now; the second time it is read precisely.
 */
static void take_candidate(struct choice *choice, const struct victim_entry *top, enum order order)
{
	struct victim_result *result = choice->result;
	struct victim_candidate candidate;
	bool is_stale = victim_is_stale(choice, top->node), is_assumed = false;
	int r = 0;

	if (is_stale && choice->reader->reread && !result->is_cut) {
		r = victim_reread(choice, top->node);
		if (r == 0) {
			victim_heap_push(result, top->node, key_of(choice, top->node, order));
			return;
		}
		if (r == VICTIM_READ_GONE || (r < 0 && !victim_is_allowed(choice, top->node)))
			return;
	}
	victim_candidate_init(choice, top->node, &candidate);
	if (candidate.cgroup && candidate.precise) { /* all in it were read at little cost */
		victim_measure_cgroup(choice, &candidate);
		result->n_reads += result->n_reads == 0;
		is_assumed = victim_assume_cgroup(choice, &candidate);
		if (is_assumed)
			leave(choice, candidate.score.hi);
	}
	if (!candidate.precise && !is_assumed) {
		if (!victim_may_read(choice)) {
			leave(choice, victim_upper_end(choice, top->node));
			victim_assume_share(choice, &candidate);
		} else if (!victim_read(choice, &candidate))
			return;
		else if (candidate.cgroup && !candidate.precise) /* read in part */
			leave(choice, victim_upper_end(choice, top->node));
		if (!candidate.precise) /* no answer: its last reading is kept */
			choice->unread =
				max_u64(choice->unread, victim_upper_end(choice, top->node));
	}
	((struct census_node *)top->node)->walk = choice->walk;
	if (proc_reclaimable(&candidate.memory) < choice->request->min_victim)
		return;
	if (candidate.precise && candidate.process)
		victim_hold(choice, &candidate);
	if (candidate.is_read)
		choice->mark = max_u64(choice->mark, candidate.estimate);
	rank(result, &candidate);
}

/*
 * A cgroup waits by a bound on its estimate, which is its counter, so that the processes of most
 * are never added up.  Those of one that comes off the heap are: if its estimate is less, it goes
 * back by that.
 */
static bool goes_back(const struct choice *choice, const struct victim_entry *top)
{
	uint64_t key;

	if (top->node->kind != CENSUS_CGROUP)
		return false;
	key = estimate_of(choice, top->node);
	if (key < top->key)
		push_by(choice, top->node, key, choice->mark);
	return key < top->key;
}

/* All cgroups that are candidates, nested or not; of a top its processes. */
static void push_cgroups(const struct choice *choice, const struct census_node *node,
			 enum order order)
{
	const struct census_node *child;
	bool is_opened = victim_is_top(choice->census, node);

	choice->result->n_visited++;
	if (!is_opened && node->kind == CENSUS_CGROUP && census_has_processes(node))
		push_by(choice, node,
			order == BY_ESTIMATE ? victim_estimate_at_most(choice, node)
					     : victim_upper_end(choice, node),
			choice->mark);
	census_for_each_child(child, node)
		if (child->kind == CENSUS_CGROUP && child->weight_max > 0)
			push_cgroups(choice, child, order);
		else if (child->kind != CENSUS_CGROUP && is_opened)
			push(choice, child, order, choice->mark);
}

static void begin(struct choice *choice, enum order order)
{
	const struct census_node *root = choice->request->root;

	if (!root)
		root = &choice->census->machine;
	choice->result->n_heap = 0;
	if (choice->request->target == POLICY_TARGET_CGROUP)
		push_cgroups(choice, root, order);
	else
		open_node(choice, root, order, choice->mark);
}

/* Pops until nothing is left that could exceed the mark. */
static void walk_by(struct choice *choice, enum order order)
{
	struct victim_result *result = choice->result;

	begin(choice, order);
	while (result->n_heap > 0 && result->heap[0].key > choice->mark) {
		struct victim_entry top = victim_heap_pop(result);

		if (!is_candidate(choice, top.node)) {
			if (key_below(choice, top.node, order) <= choice->mark)
				continue; /* it was more before the mark was read */
			open_node(choice, top.node, order, choice->mark);
			continue;
		}
		if (top.node->walk == choice->walk ||
		    (order == BY_ESTIMATE && goes_back(choice, &top)) ||
		    !victim_is_allowed(choice, top.node) || is_refused(choice, top.node))
			continue;
		if (result->is_cut && order == BY_UPPER_END) {
			leave(choice, top.key);
			break;
		}
		take_candidate(choice, &top, order);
	}
}

/* For people: those that follow, by their last reading. */
static void rank_rest(struct choice *choice)
{
	const struct victim_request *request = choice->request;
	struct victim_result *result = choice->result;
	size_t began = result->n_visited;

	if (result->n_ranked >= request->n_wanted)
		return;
	choice->mark = 0;
	begin(choice, BY_ESTIMATE);
	while (result->n_heap > 0 &&
	       result->n_ranked < min_u64(request->n_wanted, VICTIM_RANKED_MAX) &&
	       (request->node_budget == 0 || result->n_visited - began < request->node_budget)) {
		struct victim_entry top = victim_heap_pop(result);
		struct victim_candidate candidate;

		if (!is_candidate(choice, top.node)) {
			open_node(choice, top.node, BY_ESTIMATE, 0);
			continue;
		}
		if (top.node->walk == choice->walk || goes_back(choice, &top) ||
		    !victim_is_allowed(choice, top.node) || is_refused(choice, top.node))
			continue;
		victim_candidate_init(choice, top.node, &candidate);
		rank(result, &candidate);
	}
}

/* The youngest of those that are nearly equal to the best is ranked first: it is read, too. */
static void prefer_youngest(struct choice *choice)
{
	struct victim_result *result = choice->result;
	unsigned youngest = 0;
	struct victim_candidate candidate;
	uint64_t best;

	if (result->n_ranked < 2 || choice->request->target == POLICY_TARGET_CGROUP)
		return;
	best = result->ranked[0].estimate;
	for (unsigned i = 1; i < result->n_ranked; i++)
		if (result->ranked[i].estimate >= best - VICTIM_NEAR(best) &&
		    is_younger(&result->ranked[i], &result->ranked[youngest]))
			youngest = i;
	candidate = result->ranked[youngest];
	if (youngest == 0)
		return;
	if (!candidate.is_read || !candidate.precise) {
		choice->n_reserved = 0;
		if (!victim_may_read(choice) || !victim_read(choice, &candidate) ||
		    candidate.estimate < best - VICTIM_NEAR(best))
			return;
	}
	memmove(&result->ranked[1], &result->ranked[0], youngest * sizeof(candidate));
	result->ranked[0] = candidate;
}

/* One that was not read, or is reported though it would free too little, cannot be the victim. */
static void put_read_first(const struct choice *choice)
{
	struct victim_result *result = choice->result;
	struct victim_candidate first;

	for (unsigned i = 0; i < result->n_ranked; i++) {
		if (!result->ranked[i].is_read ||
		    proc_reclaimable(&result->ranked[i].memory) < choice->request->min_victim)
			continue;
		first = result->ranked[i];
		memmove(&result->ranked[1], &result->ranked[0], i * sizeof(first));
		result->ranked[0] = first;
		return;
	}
	result->n_ranked = 0;
	result->approximate = result->approximate || choice->unread > 0;
}

/* All walks, but for those that are skipped by this verdict. */
static void walk(struct choice *choice, enum backoff_verdict refused)
{
	struct victim_result *result = choice->result;

	choice->walk = ++choice->census->walk;
	choice->refused = refused;
	choice->refused_any = false;
	choice->similar = choice->failed = (struct victim_candidate){ 0 };
	memset(choice->kind_largest, 0, sizeof(choice->kind_largest));
	choice->mark = choice->undecided = choice->unread = 0;
	choice->held_fair = choice->held_alone = choice->held_besides = 0;
	choice->n_reserved = 1;
	result->n_ranked = 0;
	walk_by(choice, BY_ESTIMATE);
	walk_by(choice, BY_UPPER_END);
	rank_rest(choice);
	prefer_youngest(choice);
	put_read_first(choice);
}

static void set_verdicts(const struct choice *choice)
{
	struct victim_result *result = choice->result;
	uint64_t best, bar;

	if (result->n_ranked == 0)
		return;
	best = max_u64(result->ranked[0].estimate, choice->group_score);
	bar = add_u64(best, VICTIM_NEAR(best));
	result->ranked[0].verdict = VICTIM_CHOSEN;
	result->is_cut = result->is_cut || choice->undecided > bar;
	result->approximate = result->approximate || !result->ranked[0].precise ||
			      max_u64(choice->undecided, choice->unread) > bar;
	for (unsigned i = 1; i < result->n_ranked; i++) {
		struct victim_candidate *candidate = &result->ranked[i];

		if (candidate->precise || candidate->score.hi <= bar)
			candidate->verdict = VICTIM_SMALLER;
	}
}

/* Is there a candidate instead of those that were skipped? */
static bool is_enough(const struct choice *choice)
{
	const struct victim_result *result = choice->result;
	uint64_t best;

	if (!choice->refused_any)
		return true;
	best = result->n_ranked > 0 ? result->ranked[0].estimate : 0;
	return best > 0 && backoff_is_worth(best, choice->similar.estimate);
}

/* Where no other is left, one whose kind was ineffective before one that failed last. */
static void walk_tier(struct choice *choice)
{
	enum backoff_verdict refused = BACKOFF_SIMILAR;

	do
		walk(choice, refused++);
	while (refused <= BACKOFF_SKIP && !is_enough(choice));
}

static void note_skipped(const struct choice *choice)
{
	struct victim_result *result = choice->result;
	bool is_kind = choice->similar.estimate >= choice->failed.estimate;
	uint64_t best = result->n_ranked > 0 ? result->ranked[0].estimate : UINT64_MAX;

	result->skipped = is_kind ? choice->similar : choice->failed;
	result->skipped_for = is_kind ? BACKOFF_SIMILAR : BACKOFF_CONSECUTIVE;
	result->skipped_kinds = 0;
	if (result->skipped.estimate <= best) {
		result->skipped = (struct victim_candidate){ 0 };
		result->skipped_for = BACKOFF_NONE;
	}
	for (unsigned i = 0; i < BACKOFF_SIMILAR_MAX; i++)
		if (choice->kind_largest[i] > best)
			result->skipped_kinds |= 1U << i;
}

void victim_choose(struct census *census, const struct victim_request *request,
		   const struct victim_reader *reader, struct victim_result *result)
{
	struct victim_request tier = *request;
	struct choice choice = {
		.census = census,
		.request = &tier,
		.reader = reader,
		.result = result,
		.wanted = ELIGIBILITY_ELIGIBLE,
	};

	census->choice++;
	result->n_visited = result->n_reads = result->n_rereads = result->n_summed = 0;
	result->approximate = result->is_cut = result->is_reluctant = false;
	result->vanished_pid = result->read_error = 0;
	result->vanished_score = 0;
	result->n_candidates = census->n_candidates;
	walk_tier(&choice);
	if (result->n_ranked == 0 && !result->is_cut) {
		choice.wanted = ELIGIBILITY_RELUCTANT;
		tier.reluctantly = true;
		walk_tier(&choice);
		result->is_reluctant = result->n_ranked > 0;
	}
	victim_prefer_group(&choice);
	note_skipped(&choice);
	set_verdicts(&choice);
}
