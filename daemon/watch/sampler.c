/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sampler: one sample of memory and pressure, added to those before. */
#include "daemon/watch/sampler.h"

#include "daemon/base/clock.h"
#include "daemon/base/config.h"
#include "daemon/base/machine.h"
#include "daemon/base/reserve.h"
#include "lib/sys/proc.h"

int sampler_read_memory(struct sampler *s, struct memory_reading *ret)
{
	return memory_sample(s->source, ret);
}

int sampler_read_levels(struct sampler *s, struct memory_reading *ret)
{
	return memory_sample_levels(s->source, ret);
}

bool sampler_note_totals(struct sampler *s, const struct memory_reading *reading)
{
	census_set_totals(&s->census, &reading->counters);
	/* (Not of the levels: free swap on zram counts for less there.) */
	return reading->counters.swap_free < reading->counters.swap_total;
}

int sampler_begin(struct sampler *s)
{
	const struct memory_reading *reading = &s->domain.reading;
	int r;

	stall_init(&s->stalls.walk, s->machine->cgroups.v2_fd);
	r = census_init(&s->census, s->machine->proc_fd, &s->machine->cgroups,
			&s->machine->accuracy, &s->config->policies);
	if (r < 0)
		return r;
	s->census.kept_fds_max = reserve_files_to_keep();
	return census_sweep(&s->census, clock_now(), reading->allocated,
			    sampler_note_totals(s, reading));
}

int sampler_refresh(struct sampler *s, usec_t slice, struct memory_reading *ret)
{
	usec_t now = clock_now();
	int r = sampler_read_memory(s, ret);

	if (r < 0)
		return r;
	return census_catch_up(&s->census, now, ret->allocated, sampler_note_totals(s, ret),
			       clock_now, clock_now() + slice);
}

void sampler_release(struct sampler *s)
{
	census_release_fds(&s->census);
}

bool sampler_read_process(struct sampler *s, pid_t pid, struct memory_reading *ret)
{
	struct proc_status status;

	if (proc_read_status(s->machine->proc_fd, pid, &status) != 0 ||
	    (status.tgid != 0 && status.tgid != pid) || sampler_read_memory(s, ret) < 0)
		return false;
	census_read_anew(&s->census, pid, clock_now(), ret->allocated);
	return true;
}

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

	r = calm ? sampler_read_levels(s, &s->domain.reading)
		 : sampler_read_memory(s, &s->domain.reading);
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
