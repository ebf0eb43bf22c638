/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sampler: one sample of memory and pressure, added to those before. */
#include "daemon/sampler.h"

/* What happened in a gap is not known, and may be over. */
static usec_t forget_before_gap(struct sampler *s, usec_t now, usec_t asleep)
{
	usec_t gap = gap_find(&s->gap, now, asleep);

	if (gap == 0)
		return 0;
	psi_history_reset(&s->psi);
	s->reclaim = (struct reclaim_history){ 0 };
	forecast_reset(&s->forecast);
	return gap;
}

int sampler_sample(struct sampler *s, bool calm, usec_t now, usec_t asleep, usec_t *ret_gap)
{
	struct psi_reading psi;
	int r;

	*ret_gap = 0;
	r = calm ? memory_sample_levels(s->source, &s->reading)
		 : memory_sample(s->source, &s->reading);
	if (r < 0)
		return r;
	s->sampled_at = now;
	*ret_gap = forget_before_gap(s, now, asleep);
	if (!calm)
		reclaim_history_add(&s->reclaim, now, &s->reading.counters.events,
				    s->reading.available);
	else if (s->reclaim.n_samples > 0) /* of an earlier watch */
		s->reclaim = (struct reclaim_history){ 0 };
	forecast_add(&s->forecast, now, &s->reading);
	if (s->psi_fd >= 0 && psi_read_fd(s->psi_fd, &psi) == 0)
		psi_history_add(&s->psi, now, &psi);
	return 0;
}
