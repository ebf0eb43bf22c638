/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim-read: what a choice knows of one candidate, and how it reads more; see victim.h. */
#include <string.h>

#include "lib/kill/kill.h"
#include "lib/select/family.h"
#include "lib/select/victim-walk.h"

/* So many choices are made one after the other for one kill, and some more. */
#define RECENT_CHOICES 8

/* Only what is reclaimable is bounded by what was allocated; other scores are what they are once it
 * is read, and unbounded before. */
static bool is_bounded(const struct victim_request *request)
{
	return request->rank_by == POLICY_RANK_BY_FOOTPRINT;
}

static bool depends_on_share(const struct victim_request *request)
{
	return request->rank_by == POLICY_RANK_BY_FOOTPRINT ||
	       request->rank_by == POLICY_RANK_BY_GROWTH;
}

/*
 * Each page counts once in all there is, and the fair shares of those that map it are one page.  Of
 * a page that is shared, a fair share is at most half; so what is counted of a process twice by
 * fair share and once in full is its own.
 */
void victim_hold(struct choice *choice, const struct victim_candidate *candidate)
{
	uint64_t mapped = proc_mapped(&candidate->memory);
	uint64_t fair = min_u64(saturate_u64((double)candidate->process->fair_share), mapped);
	uint64_t alone = sub_u64(2 * fair, mapped);

	choice->held_fair += fair;
	choice->held_alone += alone;
	choice->held_besides = max_u64(choice->held_besides, mapped - alone);
}

/*
 * A process counts with its fair share, which is what the others leave; or with what is its own and
 * half of what it shares with its family, which those that were read may hold, too (see
 * victim_apply_share()).  In that case its own is what all that they map leaves, or the common half
 * and theirs leave room for it.
 */
uint64_t victim_rest(const struct choice *choice, uint64_t mapped)
{
	const struct census_totals *totals = &choice->census->totals;
	uint64_t all = totals->anon + totals->swap + totals->shmem + totals->pagetables, fair, own;
	uint64_t half;

	/* More than there is: the figures are of another machine than the processes. */
	if (!totals->is_known || choice->held_fair > all + CENSUS_SLACK)
		return mapped;
	all += CENSUS_SLACK;
	mapped = min_u64(mapped, all);
	fair = all - choice->held_fair;
	half = all - (choice->held_fair + choice->held_alone) / 2;
	own = sub_u64(all, max_u64(choice->held_fair, choice->held_alone + choice->held_besides));
	return min_u64(mapped, max_u64(fair, min_u64(half, (own + mapped) / 2)));
}

static uint64_t process_upper_end(const struct choice *choice, const struct census_process *process)
{
	const struct victim_request *request = choice->request;
	struct interval interval;

	if (!is_bounded(request))
		return victim_is_read(choice, process)
			       ? victim_score(process, request, &process->memory)
			       : UINT64_MAX;
	interval = census_interval(choice->census, process, request->allocated, request->now);
	if (!victim_is_read(choice, process))
		interval.hi = victim_rest(choice, interval.hi);
	return interval.hi < request->min_victim ? 0
						 : victim_weighted(process, request, interval.hi);
}

uint64_t victim_upper_end(const struct choice *choice, const struct census_node *node)
{
	const struct victim_request *request = choice->request;
	struct interval interval;

	if (node->kind == CENSUS_PROCESS)
		return process_upper_end(choice, (const struct census_process *)node);
	interval = census_node_interval(choice->census, node, request->allocated);
	return interval.hi < request->min_victim
		       ? 0
		       : victim_scale_up(
				 interval.hi,
				 victim_cgroup_weight(choice, (const struct census_cgroup *)node));
}

bool victim_is_allowed(const struct choice *choice, const struct census_node *node)
{
	return victim_eligibility(choice->census, node, choice->request) == choice->wanted;
}

bool victim_is_stale(const struct choice *choice, const struct census_node *node)
{
	const struct census_node *child;

	if (node->kind == CENSUS_PROCESS) {
		const struct census_process *process = (const struct census_process *)node;

		return process->choice != choice->census->choice && !process->is_gone;
	}
	census_for_each_child(child, node)
		if (victim_is_stale(choice, child))
			return true;
	return false;
}

/* Does what was measured of its share a moment ago still hold?  Much of what it shared then may be
 * its own by now. */
static bool share_holds(const struct choice *choice, const struct census_process *process)
{
	const struct victim_request *request = choice->request;
	struct interval interval =
		census_interval(choice->census, process, request->allocated, request->now);
	uint64_t bytes = proc_reclaimable(&process->memory) + process->counting_error;

	return census_share_is_current(choice->census, process, request->now) &&
	       sub_u64(interval.hi, bytes) <= VICTIM_NEAR(proc_mapped(&process->memory));
}

static void process_init(const struct choice *choice, struct victim_candidate *candidate)
{
	const struct victim_request *request = choice->request;
	const struct census_process *process = (const struct census_process *)candidate->node;
	struct interval interval =
		census_interval(choice->census, process, request->allocated, request->now);

	candidate->process = process;
	candidate->memory = process->memory;
	candidate->estimate = victim_score(process, request, &process->memory);
	candidate->is_read = victim_is_read(choice, process);
	candidate->precise = candidate->is_read && share_holds(choice, process);
	candidate->is_unit = candidate->precise && process->is_unit;
	candidate->alone = candidate->precise ? saturate_u64((double)process->alone) : 0;
	candidate->error = candidate->precise ? process->counting_error : 0;
	if (!is_bounded(request))
		candidate->score = (struct interval){ candidate->estimate, candidate->estimate };
	else
		candidate->score =
			(struct interval){ victim_weighted(process, request, interval.lo),
					   victim_weighted(process, request, interval.hi) };
}

void victim_candidate_init(const struct choice *choice, const struct census_node *node,
			   struct victim_candidate *ret)
{
	*ret = (struct victim_candidate){ .node = node, .verdict = VICTIM_UNDECIDED };
	if (node->kind == CENSUS_PROCESS)
		process_init(choice, ret);
	else
		victim_cgroup_init(choice, ret);
}

static void note_vanished(const struct choice *choice, const struct census_process *process)
{
	struct victim_result *result = choice->result;
	uint64_t score = victim_score(process, choice->request, &process->memory);

	if (result->vanished_pid != 0 && score <= result->vanished_score)
		return;
	result->vanished_pid = process->pid;
	result->vanished_score = score;
}

static void note_gone(struct choice *choice, struct census_process *process)
{
	note_vanished(choice, process);
	census_note_gone(choice->census, process);
}

static int reread_process(struct choice *choice, struct census_process *process)
{
	int r;

	if (!victim_is_stale(choice, &process->node))
		return 0;
	r = choice->reader->reread(choice->census, process, choice->reader->userdata);
	choice->result->is_cut = choice->result->is_cut || r == VICTIM_READ_LATE;
	choice->result->n_rereads += r != VICTIM_READ_LATE;
	if (r == VICTIM_READ_GONE)
		note_gone(choice, process);
	if (r <= 0) { /* (of one that could not be read, the old reading is kept) */
		process->choice = choice->census->choice;
		process->has_failed = r < 0;
		process->fair_is_assumed = false; /* it was, of what it had then */
	}
	return r;
}

/* Of a cgroup, those that were read in one of the last choices, or those that were not. */
static int reread_below(struct choice *choice, const struct census_node *node, bool are_recent)
{
	struct census_process *process = (struct census_process *)node;
	const struct census_node *child;
	bool is_recent;
	int r;

	if (node->kind == CENSUS_PROCESS) {
		is_recent = process->choice != 0 &&
			    choice->census->choice - process->choice <= RECENT_CHOICES;
		r = is_recent == are_recent ? reread_process(choice, process) : 0;
		return r == VICTIM_READ_LATE ? r : 0;
	}
	census_for_each_child(child, node) {
		r = reread_below(choice, child, are_recent);
		if (r == VICTIM_READ_LATE)
			return r;
	}
	return 0;
}

int victim_reread(struct choice *choice, const struct census_node *node)
{
	int r;

	if (node->kind == CENSUS_PROCESS)
		return reread_process(choice, (struct census_process *)node);
	/* Where one choice is too short for all, the next one begins with the others. */
	r = reread_below(choice, node, false);
	return r == 0 ? reread_below(choice, node, true) : r;
}

struct family_filter {
	const struct census *census;
	const struct victim_request *request;
};

static bool is_killable(const struct census_process *process, void *userdata)
{
	const struct family_filter *filter = userdata;

	return !eligibility_is_refused(victim_exclusion(filter->census, process, filter->request));
}

/* (How much of it is in its own memory does not matter: a single mapping that has touched none of
 * it keeps shared memory.) */
static bool keeps_common(const struct census_process *process, void *userdata)
{
	return !process->is_gone && proc_mapped(&process->memory) > 0 &&
	       !is_killable(process, userdata);
}

/*
 * What of the reading would not be freed?  Of a process by itself: what others share of it, by fair
 * shares.  Where most of it is shared with relatives that may be killed, they are killed together:
 * all that they have in common is freed by that, and each counts for half of it and for what it has
 * alone.  (For two of them that is the fair share.  It takes several kills, so a single process as
 * large is preferred.)  More than are killed at once are not killed for that.  Where one of them
 * may not be killed, what is shared is not freed.  Where the others are not known (a client's
 * buffers that a display server maps, the memory of a virtual machine), they may unmap it or keep
 * it: it counts by the fair share, as else nothing of it would ever be reclaimable, however much it
 * is.
 */
bool victim_apply_share(const struct census *census, const struct census_process *process,
			const struct victim_request *request, struct victim_reading *reading)
{
	const struct reclaimable *r = &reading->reclaimable;
	struct family_filter filter = { census, request };
	uint64_t mapped = proc_mapped(&reading->memory), fair = reclaimable_total(r);
	uint64_t shared = sub_u64(fair, r->alone), common, value = fair;
	bool is_unit = false, is_kept = false;
	unsigned n = 0;

	if (shared > r->alone / 4) {
		n = family_count(census, process, is_killable, &filter);
		is_kept = family_count(census, process, keeps_common, &filter) > 0;
	}
	common = min_u64(sub_u64(mapped, r->alone), shared * (n + 1));
	if (is_kept) {
		value = r->alone;
	} else if (n > 0 && n <= KILL_TOGETHER_MAX && common > r->alone) {
		is_unit = true;
		value = add_u64(r->alone, common / 2);
	}
	reading->memory.is_measured = true;
	/* (Shared memory that is swapped out is mapped, but in no count of status.) */
	reading->memory.shmem += sub_u64(value, mapped);
	reading->memory.kept = sub_u64(mapped, value);
	return is_unit;
}

/* There was no time to measure its share again: that of a moment ago holds. */
static void take_measured(struct victim_candidate *candidate)
{
	const struct census_process *process = candidate->process;

	candidate->memory = process->memory;
	candidate->is_unit = process->is_unit;
	candidate->alone = saturate_u64((double)process->alone);
}

/* From what its death frees for certain to all that it maps, where its share is assumed. */
static void set_interval(const struct victim_request *request, struct victim_candidate *candidate)
{
	uint64_t lo = proc_reclaimable(&candidate->memory), hi = lo;

	if (!candidate->precise) {
		lo = min_u64(lo, candidate->alone);
		hi = proc_mapped(&candidate->memory);
	}
	candidate->score = (struct interval){
		victim_weighted(candidate->process, request, sub_u64(lo, candidate->error)),
		victim_weighted(candidate->process, request, add_u64(hi, candidate->error)),
	};
}

/* Where its share is assumed, it may free more: that is left undecided. */
static bool is_too_small(struct choice *choice, const struct victim_candidate *candidate,
			 bool is_assumed)
{
	if (proc_reclaimable(&candidate->memory) >= choice->request->min_victim)
		return false;
	if (is_assumed)
		choice->unread = max_u64(choice->unread, victim_upper_end(choice, candidate->node));
	return true;
}

/* What was measured of its share, for this choice and for later ones. */
static void note_share(struct choice *choice, struct victim_candidate *candidate,
		       struct victim_reading *reading)
{
	struct census_process *process = (struct census_process *)candidate->process;

	candidate->is_unit = victim_apply_share(choice->census, process, choice->request, reading);
	candidate->alone = reading->reclaimable.alone;
	candidate->has_args = true;
	candidate->args_hash = reading->reclaimable.args_hash;
	process->is_unit = candidate->is_unit;
	process->alone = (float)candidate->alone;
}

bool victim_read_process(struct choice *choice, struct victim_candidate *candidate)
{
	const struct victim_request *request = choice->request;
	struct census_process *process = (struct census_process *)candidate->process;
	struct victim_reading reading = { 0 };
	bool is_assumed = false;
	int r;

	choice->result->n_reads++;
	r = choice->reader->precise(process, &reading, choice->reader->userdata);
	if (r == VICTIM_READ_GONE) {
		note_gone(choice, process);
		return false;
	}
	if (r < 0)
		choice->result->read_error = r;
	if (r != 0) { /* late, or unreadable: what was read at little cost stands */
		victim_assume_share(choice, candidate);
		return victim_is_allowed(choice, candidate->node);
	}
	census_adjust(choice->census, process->pid, reading.oom_score_adj);
	if (reading.has_reclaimable) {
		note_share(choice, candidate, &reading);
	} else {
		is_assumed = victim_assume(choice, candidate, &reading.memory) &&
			     depends_on_share(request);
	}
	candidate->memory = reading.memory;
	process->fair_is_assumed = false;
	process->fair_share =
		reading.has_reclaimable ? (float)reclaimable_total(&reading.reclaimable) : 0;
	census_set_memory(choice->census, process, &candidate->memory, request->allocated,
			  request->now);
	process->has_failed = false;
	process->choice = choice->census->choice;
	if (reading.has_reclaimable) {
		victim_note_measured(choice, process);
	} else if (share_holds(choice, process)) {
		is_assumed = false;
		take_measured(candidate);
	} else if (census_share_is_current(choice->census, process, request->now)) {
		is_assumed = true;
	}
	if (!victim_is_allowed(choice, candidate->node))
		return false;
	if (is_too_small(choice, candidate, is_assumed))
		return false;
	candidate->is_read = true;
	candidate->precise = !is_assumed;
	candidate->error = reading.error;
	candidate->estimate = victim_score(process, request, &candidate->memory);
	candidate->score = (struct interval){ candidate->estimate, candidate->estimate };
	if ((reading.error > 0 || is_assumed) && is_bounded(request))
		set_interval(request, candidate);
	return true;
}
