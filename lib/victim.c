/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * victim: see the header.  Candidates wait in a heap by the upper end of their score; pass 2 takes
 * them from the top.
 */
#include "lib/victim.h"

#include <stdlib.h>
#include <string.h>

enum victim_exclusion victim_exclusion(const struct census_process *process,
				       const struct victim_request *request)
{
	if (process->kthread)
		return VICTIM_IS_KTHREAD;
	if (process->pid == 1)
		return VICTIM_IS_INIT;
	if (process->pid == request->self)
		return VICTIM_IS_SELF;
	if (process->oom_score_adj <= -1000)
		return VICTIM_IS_ADJ_MIN;
	if (!process->in_scope)
		return VICTIM_IS_OUT_OF_SCOPE;
	if (process->protected_by)
		return VICTIM_IS_PROTECTED;
	if (process->error < 0)
		return VICTIM_IS_UNREADABLE;
	if (process->state == 'Z' && census_footprint(&process->memory) == 0)
		return VICTIM_HAS_NO_MEMORY;
	for (size_t i = 0; i < request->n_passed_over; i++) {
		const struct victim_passed_over *over = &request->passed_over[i];

		if (over->pid == process->pid && over->start_ticks == process->start_ticks &&
		    request->now < over->until)
			return VICTIM_IS_PASSED_OVER;
	}
	return VICTIM_ELIGIBLE;
}

const char *victim_exclusion_to_string(enum victim_exclusion exclusion)
{
	static const char *const strings[] = {
		[VICTIM_ELIGIBLE] = "a candidate",
		[VICTIM_IS_KTHREAD] = "a kernel thread",
		[VICTIM_IS_INIT] = "the init process",
		[VICTIM_IS_SELF] = "reckond itself",
		[VICTIM_IS_ADJ_MIN] = "its oom_score_adj is -1000",
		[VICTIM_IS_PROTECTED] = "protected by a rule",
		[VICTIM_IS_OUT_OF_SCOPE] = "outside the scope",
		[VICTIM_IS_PASSED_OVER] = "could not be ended a moment ago",
		[VICTIM_IS_UNREADABLE] = "its memory may not be read",
		[VICTIM_HAS_NO_MEMORY] = "has no memory left (a zombie)",
	};

	return strings[exclusion];
}

const char *victim_verdict_to_string(enum victim_verdict verdict)
{
	static const char *const strings[] = {
		[VICTIM_UNDECIDED] = "undecided",
		[VICTIM_CHOSEN] = "chosen",
		[VICTIM_SMALLER] = "smaller",
		[VICTIM_CANNOT_REACH] = "cannot-reach",
	};

	return strings[verdict];
}

/* oc_badness() of mm/oom_kill.c in bytes; what would be negative is 0. */
static uint64_t badness(const struct census_process *process, const struct victim_request *request,
			const struct proc_memory *memory)
{
	uint64_t points = census_footprint(memory) + memory->shared + memory->pagetables;
	uint64_t shift = request->total / 1000 * (uint64_t)abs(process->oom_score_adj);

	return process->oom_score_adj < 0 ? sub_u64(points, shift) : add_u64(points, shift);
}

/* A hint makes a process look larger or smaller than it is; by itself it never makes a small one
 * outrank a large one, as the kernel's additive formula does. */
static uint64_t weighted(const struct census_process *process, uint64_t bytes)
{
	int factor = 1000 + process->oom_score_adj;

	return (uint64_t)((double)bytes * (factor < 1 ? 1 : factor) / 1000 *
			  (double)process->weight);
}

uint64_t victim_score(const struct census_process *process, const struct victim_request *request,
		      const struct proc_memory *memory)
{
	uint64_t footprint = census_footprint(memory);

	switch (request->rank_by) {
	case POLICY_RANK_BY_BADNESS:
		return (uint64_t)((double)badness(process, request, memory) *
				  (double)process->weight);
	case POLICY_RANK_BY_SWAP:
		return weighted(process, memory->swap);
	case POLICY_RANK_BY_GROWTH:
		return weighted(process, sub_u64(footprint, process->earlier_footprint));
	case POLICY_RANK_BY_FOOTPRINT:
		break;
	}
	return weighted(process, footprint);
}

/* The score at one end of the footprint's interval.  All of it may be in swap by now, or none. */
static uint64_t score_at(const struct census_process *process, const struct victim_request *request,
			 uint64_t footprint)
{
	struct proc_memory memory = process->memory;

	memory.anon = 0;
	memory.swap = footprint;
	return victim_score(process, request, &memory);
}

static void candidate_init(struct victim_candidate *candidate, const struct census *census,
			   const struct census_process *process,
			   const struct victim_request *request)
{
	struct interval footprint = census_interval(census, process, request->allocated);

	*candidate = (struct victim_candidate){
		.process = process,
		.estimate = victim_score(process, request, &process->memory),
		.memory = process->memory,
		.verdict = VICTIM_UNDECIDED,
		.score = { .lo = score_at(process, request, footprint.lo),
			   .hi = score_at(process, request, footprint.hi) },
	};
	if (request->rank_by == POLICY_RANK_BY_SWAP)
		candidate->score.lo = 0;
}

/* Among equals the youngest goes: it has the least to lose.  Never by chance. */
static bool is_younger(const struct census_process *a, const struct census_process *b)
{
	if (a->start_ticks != b->start_ticks)
		return a->start_ticks > b->start_ticks;
	return a->pid > b->pid;
}

static bool reaches_higher(const struct victim_candidate *a, const struct victim_candidate *b)
{
	if (a->score.hi != b->score.hi)
		return a->score.hi > b->score.hi;
	if (a->estimate != b->estimate)
		return a->estimate > b->estimate;
	return is_younger(a->process, b->process);
}

/* By insertion: there are few, and qsort(3) may allocate. */
static void rank(struct victim_result *result, const struct victim_candidate *candidate)
{
	unsigned i = result->n_ranked++;

	for (; i > 0; i--) {
		const struct victim_candidate *above = &result->ranked[i - 1];

		if (above->estimate > candidate->estimate ||
		    (above->estimate == candidate->estimate &&
		     is_younger(above->process, candidate->process)))
			break;
		result->ranked[i] = *above;
	}
	result->ranked[i] = *candidate;
}

static void heap_sift_down(struct victim_candidate *heap, size_t n, size_t i)
{
	struct victim_candidate moving = heap[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= n)
			break;
		if (child + 1 < n && reaches_higher(&heap[child + 1], &heap[child]))
			child++;
		if (!reaches_higher(&heap[child], &moving))
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = moving;
}

static struct victim_candidate heap_pop(struct victim_candidate *heap, size_t *n)
{
	struct victim_candidate top = heap[0];

	heap[0] = heap[--*n];
	if (*n > 0)
		heap_sift_down(heap, *n, 0);
	return top;
}

/* Pass 1: who may go, and between which ends its score lies. No file is opened. */
static size_t collect(const struct census *census, const struct victim_request *request,
		      struct victim_result *result)
{
	size_t n = 0;

	for (size_t i = 0; i < census->n_processes && n < result->n_allocated; i++) {
		const struct census_process *process = &census->processes[i];
		enum victim_exclusion exclusion = victim_exclusion(process, request);

		result->n_excluded[exclusion]++;
		if (exclusion == VICTIM_ELIGIBLE)
			candidate_init(&result->heap[n++], census, process, request);
	}
	for (size_t i = n / 2; i-- > 0;)
		heap_sift_down(result->heap, n, i);
	return n;
}

/* Reads one candidate; false if it is gone. */
static bool read_candidate(struct victim_candidate *candidate, const struct victim_request *request,
			   victim_read_fn read_precise, void *userdata)
{
	struct proc_memory memory;
	uint64_t error, footprint;
	int r;

	r = read_precise(candidate->process, &memory, &error, userdata);
	if (r == VICTIM_READ_GONE)
		return false;
	if (r != 0)
		return true; /* late or not permitted: its interval and estimate stand */
	footprint = census_footprint(&memory);
	candidate->memory = memory;
	candidate->precise = true;
	candidate->estimate = victim_score(candidate->process, request, &memory);
	candidate->score = (struct interval){ candidate->estimate, candidate->estimate };
	if (error > 0 && request->rank_by != POLICY_RANK_BY_SWAP)
		candidate->score = (struct interval){
			score_at(candidate->process, request, sub_u64(footprint, error)),
			score_at(candidate->process, request, add_u64(footprint, error)),
		};
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

void victim_choose(const struct census *census, const struct victim_request *request,
		   victim_read_fn read_precise, void *userdata, struct victim_result *result)
{
	uint64_t mark = 0; /* the best score read so far */
	size_t n;

	memset(result->n_excluded, 0, sizeof(result->n_excluded));
	result->n_ranked = result->n_reads = 0;
	result->approximate = false;
	result->n_candidates = n = collect(census, request, result);

	/* Pass 2.  What comes off the heap cannot be exceeded by what is left on it. */
	while (n > 0 && result->n_ranked < VICTIM_RANKED_MAX) {
		struct victim_candidate candidate = heap_pop(result->heap, &n);

		if (candidate.score.hi >= mark && result->n_reads < VICTIM_MAX_READS) {
			result->n_reads++;
			if (!read_candidate(&candidate, request, read_precise, userdata)) {
				result->n_candidates--;
				continue;
			}
			if (candidate.precise)
				mark = max_u64(mark, candidate.estimate);
		}
		rank(result, &candidate);
	}
	pronounce(result, n > 0 ? result->heap[0].score.hi : 0);
}

int victim_reserve(struct victim_result *result, size_t n)
{
	struct victim_candidate *grown;

	if (n <= result->n_allocated)
		return 0;
	grown = realloc(result->heap, n * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	result->heap = grown;
	result->n_allocated = n;
	return 0;
}

void victim_done(struct victim_result *result)
{
	free(result->heap);
	*result = (struct victim_result){ 0 };
}
