/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sample: what is read of the machine in each tick, and when the next sample is due. */
#include "daemon/sample.h"

#include "daemon/clock.h"
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
	return (m->state == MANAGER_WATCH || m->state == MANAGER_STUCK) &&
	       now < m->sampler.due_at &&
	       (census_round_is_under_way(&m->census) || stall_is_walking(&m->stalls.walk));
}

/* Does nothing else need a full sample? */
static bool may_be_light(const struct manager *m)
{
	return m->state == MANAGER_WATCH && !watch_is_busy(m) && !recorder_is_open(m->recorder);
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
		policy_forget(&m->policies);
		report_gap(gap);
	}
	is_light = may_be_light(m) && sampler_take_lightly(s, &m->policies, now);
	r = is_light ? 0 : sampler_take(s, m->state == MANAGER_CALM, now);
	if (r < 0)
		return r;
	if (!is_light && psi_history_some(&s->psi, USEC_PER_SEC) >= WATCH_PRESSURE)
		m->watch_until = now + WATCH_HOLD_USEC;
	s->due_at = now + sample_interval(m);
	return is_light;
}

usec_t sample_interval(const struct manager *m)
{
	if (m->state == MANAGER_CALM)
		return policy_interval(&m->policies, &m->sampler.reading);
	return pace_interval(&m->sampler.pace, &m->policies, &m->sampler.reading);
}
