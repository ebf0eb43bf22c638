/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sampler: one sample of memory and pressure, added to those before. */
#include "daemon/watch/sampler.h"

/* What happened in a gap is not known, and may be over. */
usec_t sampler_forget_before_gap(struct sampler *s, usec_t now, usec_t asleep)
{
	usec_t gap = gap_find(&s->gap, now, asleep);

	if (gap == 0)
		return 0;
	domain_forget_activity(&s->domain);
	forecast_reset(&s->forecast);
	pace_reset(&s->pace);
	return gap;
}

static void note_levels(struct sampler *s, usec_t now)
{
	s->sampled_at = now;
	forecast_add(&s->forecast, now, &s->domain.reading);
	pace_add(&s->pace, now, &s->domain.reading);
}

int sampler_take(struct sampler *s, bool calm, usec_t now)
{
	struct psi_reading psi;
	int r;

	r = calm ? memory_sample_levels(s->source, &s->domain.reading)
		 : memory_sample(s->source, &s->domain.reading);
	if (r < 0)
		return r;
	s->full = s->domain.reading;
	s->full_at = now;
	note_levels(s, now);
	if (!calm)
		reclaim_history_add(&s->domain.reclaim, now, &s->domain.reading.counters.events,
				    s->domain.reading.available);
	else if (s->domain.reclaim.n_samples > 0) /* of an earlier watch */
		s->domain.reclaim = (struct reclaim_history){ 0 };
	if (s->psi_fd >= 0 && psi_read_fd(s->psi_fd, &psi) == 0)
		psi_history_add(&s->domain.psi, now, &psi);
	return 0;
}

bool sampler_take_lightly(struct sampler *s, const struct policy_set *set,
			  const struct policy_reading *known, usec_t now)
{
	struct memory_reading reading = s->domain.reading;
	struct policy_reading full = *known;

	full.memory = &s->full;
	if (!pace_may_be_light(set, &full, sub_u64(now, s->full_at)) ||
	    memory_sample_lightly(s->source, &reading) < 0 || !pace_is_quiet(set, &full, &reading))
		return false;
	s->domain.reading = reading;
	note_levels(s, now);
	return true;
}
