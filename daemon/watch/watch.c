/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch: keeps the census and the measured shares up to date while memory is low. */
#include "daemon/watch/watch.h"

#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/config.h"
#include "daemon/base/regime.h"
#include "daemon/log/log.h"
#include "daemon/watch/sampler.h"
#include "lib/select/victim.h"

/* Reading takes so much of one turn of the loop when it is about to be needed; else less
 * (pace_slice()). */
#define SLICE_NEAR_USEC (20 * USEC_PER_MSEC)
/* A round at least so often: what was not allocated by memory changes too. */
#define ROUND_USEC (10 * USEC_PER_SEC)
/* And not more often than this. */
#define ROUND_MIN_USEC (250 * USEC_PER_MSEC)
/* A full listing likewise: pids wrap around, and last_pid is that of one pid namespace. */
#define LISTING_USEC (10 * USEC_PER_SEC)
/* A kill waits for the first listing, or for one because there are many new ones, no longer. */
#define INCOMPLETE_USEC (500 * USEC_PER_MSEC)

/* So many of the largest are examined for a share that is not known, a few in each turn, and the
 * first of them again and again.  A server may have hundreds of workers that map the same memory:
 * of one that is not measured, all of it counts. */
#define SHARES_LOOKED_AT 512
#define SHARES_REPEATED	 64
#define SHARES_ASKED	 4
/* A measured share is measured again after so long, and of no process below this size. */
#define SHARE_AGAIN_USEC (5 * USEC_PER_SEC)
#define SHARE_SIZE_MIN	 (16 * MIB)
/* A reading that has used no CPU time for so long hangs. */
#define HANGS_USEC (1 * USEC_PER_SEC)

/* Rounds take at most so much of the time, unless one is needed now.  With the samples that is 1%
 * of a CPU at 1,000 processes where memory is allocated and freed without an end, but does not
 * fall (bench/watch). */
#define ROUND_SHARE_FALLING 100
#define ROUND_SHARE	    300

static bool is_worth_a_round(const struct sampler *s, bool near, usec_t now)
{
	unsigned share = pace_falls(&s->pace) ? ROUND_SHARE_FALLING : ROUND_SHARE;

	if (census_round_is_under_way(&s->census))
		return true;
	if (!near &&
	    now - s->watch.refreshed_at < max_u64(ROUND_MIN_USEC, share * s->watch.round_usec))
		return false;
	return census_is_stale(&s->census, s->domain.reading.allocated) ||
	       now - s->watch.refreshed_at >= ROUND_USEC;
}

/* One slice of it. */
static int read_round(struct sampler *s, usec_t now, bool with_swap, usec_t deadline)
{
	usec_t began = clock_now();
	int r;

	if (!census_round_is_under_way(&s->census)) {
		s->watch.refreshed_at = now;
		s->watch.round_usec = 0;
	}
	r = census_refresh(&s->census, now, s->domain.reading.allocated, with_swap, clock_now,
			   deadline);
	s->watch.round_usec += clock_now() - began;
	return r;
}

/* What the helper thread has found since. */
static void take_shares(struct sampler *s, const struct victim_request *request, usec_t now)
{
	struct victim_reading reading = { .has_reclaimable = true };
	struct census_process *process;
	uint64_t start_ticks;
	pid_t pid;
	int result;

	while (precise_collect(s->precise, &pid, &start_ticks, &result, &reading.reclaimable)) {
		process = census_find(&s->census, pid);
		if (!process || process->start_ticks != start_ticks)
			continue;
		process->share_asked_at = census_stamp(now);
		if (result != 0)
			continue; /* unreadable, or exited: the next reading shows it */
		reading.memory = reading.reclaimable.full;
		process->is_unit = victim_apply_share(&s->census, process, request, &reading);
		victim_note_args(s->watch.args, process, reading.reclaimable.args_hash);
		process->alone = reading.reclaimable.alone;
		process->fair_is_assumed = false;
		process->fair_share = reclaimable_total(&reading.reclaimable);
		census_set_memory(&s->census, process, &reading.memory, s->domain.reading.allocated,
				  now);
	}
}

/* The helper thread has been at one process all this time: it may hang for ever. */
static void replace_what_hangs(struct sampler *s, usec_t now)
{
	unsigned n_done;
	pid_t pid = precise_is_at(s->precise, &n_done);
	int r;

	if (pid == 0 || pid != s->watch.precise_at || n_done != s->watch.precise_done) {
		s->watch.precise_at = pid;
		s->watch.precise_done = n_done;
		s->watch.precise_since = now;
		return;
	}
	if (now - s->watch.precise_since < HANGS_USEC)
		return;
	s->watch.precise_since = now;
	r = precise_replace(&s->precise);
	if (r == 0)
		log_notice(
			"Pid %d: its memory cannot be read, as its address space is locked; another "
			"thread reads that of others.",
			pid);
}

/* How much may be measured in this turn. */
struct shares_budget {
	bool may_repeat;
	bool may_measure_more;
};

/* i: by size. */
static bool is_share_due(const struct census_process *process, size_t i,
			 const struct shares_budget *budget, usec_t now)
{
	if (process->pid == 0 || process->error < 0 ||
	    proc_mapped(&process->memory) < SHARE_SIZE_MIN)
		return false;
	if (process->share_asked_at == 0)
		return i < SHARES_REPEATED || budget->may_measure_more;
	return i < SHARES_REPEATED && budget->may_repeat &&
	       census_since(process->share_asked_at, now) >= SHARE_AGAIN_USEC;
}

/* The largest whose share is not known, or was measured long ago. */
static void ask_for_shares(struct sampler *s, usec_t now)
{
	const struct census *census = &s->census;
	usec_t spent = sub_u64(precise_spent(s->precise), s->watch.spent_before);
	const struct shares_budget budget = {
		.may_repeat = precise_may_repeat(spent, now - s->watch.since),
		.may_measure_more = precise_may_measure_more(spent, now - s->watch.since),
	};
	size_t n = min_u64(census->n_by_size, SHARES_LOOKED_AT);
	unsigned n_asked = 0;

	for (size_t i = 0; i < n && n_asked < SHARES_ASKED; i++) {
		struct census_process *process = census_at(census, census->order[i]);

		if (!is_share_due(process, i, &budget, now))
			continue;
		if (precise_measure(s->precise, process->pid, process->start_ticks) < 0)
			break;
		process->share_asked_at = census_stamp(now);
		n_asked++;
	}
}

static int keep(struct sampler *s, const struct victim_request *request, usec_t now, bool near)
{
	bool with_swap = sampler_note_totals(s, &s->domain.reading);
	usec_t began = clock_now();
	usec_t slice = near ? SLICE_NEAR_USEC : pace_slice(&s->pace, sub_u64(began, now));
	usec_t deadline = began + slice;
	struct census *census = &s->census;
	bool lists = census->swept_at == 0 || s->watch.listed_at == 0 ||
		     now - s->watch.listed_at >= LISTING_USEC ||
		     census_listing_is_under_way(census);
	int r = 0;

	take_shares(s, request, now);
	replace_what_hangs(s, now);
	if (s->watch.since == 0) {
		s->watch.since = now;
		s->watch.spent_before = precise_spent(s->precise);
	}
	if (!lists) {
		r = census_find_new(census, now, s->domain.reading.allocated);
		lists = r > 0;
		if (lists)
			s->watch.many_new_at = now;
	}
	if (lists) {
		r = census_list(census, now, s->domain.reading.allocated, with_swap, clock_now,
				deadline);
		if (r > 0) {
			s->watch.listed_at = now;
			s->watch.many_new_at = 0;
		}
	}
	if (r >= 0 && census->swept_at != 0 && is_worth_a_round(s, near, now))
		r = read_round(s, now, with_swap, deadline);
	if (r == -EMFILE || r == -ENFILE) /* what is kept open is a convenience; seeing is not */
		census_keep_none(census);
	ask_for_shares(s, now);
	if (r < 0 || (!near && now < s->due_at))
		return r;
	/* What was allocated meanwhile counts too. */
	return sampler_read_memory(s, &s->domain.reading);
}

bool watch_is_busy(const struct sampler *s)
{
	return census_round_is_under_way(&s->census) || census_listing_is_under_way(&s->census);
}

bool watch_is_incomplete(const struct sampler *s, usec_t now)
{
	bool is_first = s->watch.listed_at == 0 || s->census.swept_at == 0;
	usec_t since = is_first ? s->watch.since : s->watch.many_new_at;

	return (is_first || s->watch.many_new_at != 0) && census_listing_is_under_way(&s->census) &&
	       now - since < INCOMPLETE_USEC;
}

void watch_release(struct sampler *s)
{
	sampler_release(s);
	s->watch.listed_at = s->watch.since = s->watch.many_new_at = 0;
}

int watch_keep(struct sampler *s, const struct victim_request *request, usec_t now, bool near)
{
	int r;

	if (s->regime->state == REGIME_KILLING)
		return 0;
	if (s->regime->state == REGIME_CALM && !near && now >= s->regime->watch_until &&
	    s->domain.reading.available > policy_threshold_bytes(&s->config->policies.watch_below,
								 s->domain.reading.total))
		return 0;
	if (s->regime->state == REGIME_CALM) { /* so far only the levels are known */
		r = sampler_read_memory(s, &s->domain.reading);
		if (r < 0)
			return r;
	}
	return keep(s, request, now, near);
}
