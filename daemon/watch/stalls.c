/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stalls: walks over the cgroups in slices, and keeps the verdict. */
#include "daemon/watch/stalls.h"

#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/machine.h"
#include "daemon/base/regime.h"
#include "daemon/log/log.h"
#include "daemon/watch/sampler.h"
#include "lib/base/errors.h"

/* A walk takes so much of one turn of the loop; more while a policy waits for it. */
#define SLICE_USEC	 (1 * USEC_PER_MSEC)
#define SLICE_ASKED_USEC (10 * USEC_PER_MSEC)
/* The next slice. */
#define NEXT_SLICE_USEC (4 * USEC_PER_MSEC)
/* A verdict is good for so long. */
#define FRESH_USEC USEC_PER_SEC
/* No policy waits longer than this for a verdict. */
#define ASKED_MAX_USEC (1500 * USEC_PER_MSEC)
/* Some stalled for so much of the last second: a policy may need a verdict soon. */
#define PRESSURE  500U
#define HOLD_USEC (10 * USEC_PER_SEC)

static bool can_walk(const struct sampler *sampler)
{
	return sampler->machine->cgroups.v2_has_memory && !sampler->stalls.unusable;
}

/* 1: it is over; 0: it is not; -errno. */
static int walk(struct sampler *sampler, usec_t slice)
{
	struct stalls *s = &sampler->stalls;
	int r = stall_walk(&s->walk, clock_now, clock_now() + slice);

	if (r < 0 && !error_is_transient(r)) {
		s->unusable = true;
		log_notice("The pressure of cgroups cannot be read (%s): which cgroup stalls is "
			   "not known.",
			   strerror(-r));
	}
	return r;
}

static bool is_due(const struct stall *stall, usec_t now)
{
	return stall_is_walking(stall) || stall->last_began_at == 0 ||
	       now - stall->last_began_at >= stall_period(stall);
}

void stalls_sample(struct sampler *sampler, usec_t now)
{
	struct stalls *s = &sampler->stalls;

	if (!can_walk(sampler) || sampler->regime->state == REGIME_KILLING)
		return;
	if (sampler->domain.has_psi &&
	    psi_history_some(&sampler->domain.psi, PSI_STEP_USEC) >= PRESSURE)
		s->until = now + HOLD_USEC;
	if (now < s->until) {
		if (is_due(&s->walk, now))
			(void)walk(sampler, SLICE_USEC);
	} else if (s->walk.entries) {
		stall_clear(&s->walk);
		s->explained = s->reported = false;
		s->asked_at = 0;
	}
}

static enum stalls_answer answer(struct stalls *s, const struct policy *policy)
{
	s->asked_at = 0;
	s->explained =
		stall_explains(&s->walk.verdict, policy->pressure_some, policy->pressure_full);
	s->n_ignored += s->explained;
	return s->explained ? STALLS_EXPLAINED : STALLS_COUNT;
}

static bool is_fresh(const struct stall *stall, usec_t now)
{
	return stall->verdict.at != 0 && sub_u64(now, stall->verdict.at) < FRESH_USEC;
}

enum stalls_answer stalls_ask(struct sampler *sampler, const struct policy *policy, usec_t now)
{
	struct stalls *s = &sampler->stalls;

	if (!can_walk(sampler))
		return STALLS_COUNT;
	s->until = now + HOLD_USEC;
	if (is_fresh(&s->walk, now))
		return answer(s, policy);
	if (s->asked_at == 0)
		s->asked_at = now;
	/* Two walks close to each other say little. */
	if (stall_is_walking(&s->walk) || s->walk.last_began_at == 0 ||
	    now - s->walk.last_began_at >= STALL_WINDOW_USEC)
		(void)walk(sampler, SLICE_ASKED_USEC);
	if (is_fresh(&s->walk, clock_now()))
		return answer(s, policy);
	if (can_walk(sampler) && now - s->asked_at < ASKED_MAX_USEC)
		return STALLS_UNKNOWN;
	s->asked_at = 0;
	s->explained = false;
	return STALLS_COUNT;
}

usec_t stalls_next(const struct sampler *sampler)
{
	const struct stalls *s = &sampler->stalls;

	return stall_is_walking(&s->walk) || s->asked_at != 0 ? NEXT_SLICE_USEC : USEC_INFINITY;
}
