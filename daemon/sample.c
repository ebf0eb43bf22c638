/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sample: which sample is taken in a tick, full, light or none, and what follows from it. */
#include "daemon/sample.h"

#include "daemon/clock.h"
#include "daemon/judge.h"
#include "daemon/manager.h"
#include "daemon/recorder.h"
#include "daemon/report.h"

/* Stalled so much of the time since the last sample: worth watching (the trigger's 70 ms in 1 s).
 */
#define WATCH_PRESSURE 700U

/* A turn that only continues a round of the census, or a walk over the cgroups: nothing can have
 * crossed a threshold since memory was read. */
static bool is_slice_only(const struct manager *m, usec_t now)
{
	return (m->regime.state == MANAGER_WATCH || m->regime.state == MANAGER_STUCK) &&
	       now < m->sampler.due_at &&
	       (census_round_is_under_way(&m->sampler.census) ||
		stall_is_walking(&m->sampler.stalls.walk));
}

/* A light one does no more than that: all that is kept besides waits for the next full one. */
static bool take_lightly(struct manager *m, usec_t now)
{
	struct policy_reading known = judge_reading(m);

	return m->regime.state == MANAGER_WATCH && !watch_is_busy(m) &&
	       !recorder_is_open(m->recorder) && stalls_next(m) == USEC_INFINITY &&
	       sampler_take_lightly(&m->sampler, &m->config.policies, &known, now);
}

int sample_take(struct manager *m, usec_t now)
{
	struct sampler *s = &m->sampler;
	bool is_light;
	usec_t gap;
	int r;

	if (is_slice_only(m, now))
		return 0;
	gap = sampler_forget_before_gap(s, now, clock_asleep());
	if (gap > 0) {
		policy_forget(&m->config.policies);
		report_gap(gap);
	}
	is_light = take_lightly(m, now);
	r = is_light ? 0 : sampler_take(s, m->regime.state == MANAGER_CALM, now);
	if (r < 0)
		return r;
	if (!is_light && psi_history_some(&s->psi, USEC_PER_SEC) >= WATCH_PRESSURE)
		m->regime.watch_until = now + WATCH_HOLD_USEC;
	s->due_at = now + sample_interval(m);
	return is_light;
}

usec_t sample_interval(const struct manager *m)
{
	struct policy_reading reading = judge_reading(m);
	usec_t interval;

	if (m->regime.state == MANAGER_CALM)
		return policy_interval(&m->config.policies, &m->sampler.reading);
	interval = pace_interval(&m->sampler.pace, &m->config.policies, &reading);
	return m->regime.state == MANAGER_STUCK ? min_u64(interval, STUCK_SOON_USEC) : interval;
}
