/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sample: which sample is taken in a tick, full, light or none, and what follows from it. */
#include "daemon/watch/sample.h"

#include "daemon/base/clock.h"
#include "daemon/base/config.h"
#include "daemon/base/regime.h"
#include "daemon/log/log.h"
#include "daemon/watch/judge.h"
#include "daemon/watch/sampler.h"
#include "daemon/watch/stalls.h"
#include "daemon/watch/watch.h"
#include "lib/base/format.h"

/* Stalled so much of the time since the last sample: worth watching (the trigger's 70 ms in 1 s).
 */
#define WATCH_PRESSURE 700U

/* A turn that only continues a round of the census, or a walk over the cgroups: nothing can have
 * crossed a threshold since memory was read. */
static bool is_slice_only(const struct sampler *s, usec_t now)
{
	return (s->regime->state == REGIME_WATCH || s->regime->state == REGIME_STUCK) &&
	       now < s->due_at &&
	       (census_round_is_under_way(&s->census) || stall_is_walking(&s->stalls.walk));
}

/* A light one does no more than that: all that is kept besides waits for the next full one. */
static bool take_lightly(struct sampler *s, bool is_recording, usec_t now)
{
	struct policy_reading known = judge_reading(s);

	return s->regime->state == REGIME_WATCH && !watch_is_busy(s) && !is_recording &&
	       stalls_next(s) == USEC_INFINITY &&
	       sampler_take_lightly(s, &s->config->policies, &known, now);
}

static void log_gap(usec_t gap)
{
	char text[FORMAT_DURATION_SIZE];

	log_info("No sample for %s (stopped, suspended or starved): averages of pressure "
		 "and For= start anew.",
		 format_duration(gap, text));
}

int sample_take(struct sampler *s, bool is_recording, usec_t now)
{
	bool is_light;
	usec_t gap;
	int r;

	if (is_slice_only(s, now))
		return 0;
	gap = sampler_forget_before_gap(s, now, clock_asleep());
	if (gap > 0) {
		domain_forget(&s->domain);
		log_gap(gap);
	}
	is_light = take_lightly(s, is_recording, now);
	r = is_light ? 0 : sampler_take(s, s->regime->state == REGIME_CALM, now);
	if (r < 0)
		return r;
	if (!is_light && psi_history_some(&s->domain.psi, USEC_PER_SEC) >= WATCH_PRESSURE)
		s->regime->watch_until = now + WATCH_HOLD_USEC;
	s->due_at = now + sample_interval(s);
	return is_light;
}

usec_t sample_interval(const struct sampler *s)
{
	struct policy_reading reading = judge_reading(s);
	usec_t interval;

	if (s->regime->state == REGIME_CALM)
		return policy_interval(&s->config->policies, &s->domain.reading);
	interval = pace_interval(&s->pace, &s->config->policies, &reading);
	return s->regime->state == REGIME_STUCK ? min_u64(interval, STUCK_SOON_USEC) : interval;
}
