/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* forecast: measures the rate at which memory falls, and when a policy's thresholds are reached. */
#include "lib/domain/forecast.h"

/* How much was used in how long; negative: it was freed. */
struct rate {
	int64_t available;
	int64_t together; /* with free swap */
	usec_t usec;	  /* 0: not known */
};

static unsigned index_before(unsigned i, unsigned n)
{
	return (i + FORECAST_SAMPLES - n) % FORECAST_SAMPLES;
}

void forecast_reset(struct forecast *f)
{
	*f = (struct forecast){ 0 };
}

void forecast_add(struct forecast *f, usec_t now, const struct memory_reading *memory)
{
	unsigned newest = index_before(f->head, 1), before = index_before(f->head, 2);

	if (f->n_samples > 0 && now < f->samples[newest].at)
		forecast_reset(f);
	if (f->n_samples >= 2 &&
	    f->samples[newest].at - f->samples[before].at < FORECAST_STEP_USEC) {
		f->head = newest;
		f->n_samples--;
	}
	f->samples[f->head].at = now;
	f->samples[f->head].available = memory->available;
	f->samples[f->head].swap_free = memory->swap_free;
	f->head = (f->head + 1) % FORECAST_SAMPLES;
	if (f->n_samples < FORECAST_SAMPLES)
		f->n_samples++;
}

/* From the newest sample that is at least the window older than the last. */
static struct rate measure(const struct forecast *f)
{
	unsigned newest = index_before(f->head, 1);

	for (unsigned n = 2; n <= f->n_samples; n++) {
		unsigned then = index_before(f->head, n);
		int64_t available =
			(int64_t)(f->samples[then].available - f->samples[newest].available);
		int64_t swap = (int64_t)(f->samples[then].swap_free - f->samples[newest].swap_free);
		usec_t usec = f->samples[newest].at - f->samples[then].at;

		if (usec >= FORECAST_WINDOW_USEC)
			return (struct rate){ available, available + swap, usec };
	}
	return (struct rate){ 0 };
}

static usec_t time_to_go(uint64_t bytes, int64_t gone, usec_t in)
{
	__uint128_t usec;

	if (in == 0 || gone <= 0)
		return USEC_INFINITY;
	usec = (__uint128_t)bytes * in / (uint64_t)gone;
	return usec > FORECAST_MAX_USEC ? USEC_INFINITY : (usec_t)usec;
}

/* How far it is to the policy's thresholds, and how soon they are reached; false: there is none
 * left to reach. */
static bool foresee(const struct policy *policy, const struct memory_reading *memory,
		    const struct rate *rate, uint64_t *ret_bytes, usec_t *ret_usec)
{
	bool by_swap = policy->swap_free.set && memory->swap_total > 0;
	uint64_t bytes = policy_memory_headroom(policy, memory);
	uint64_t swap = policy_swap_headroom(policy, memory);

	if (policy->action == POLICY_ACTION_NONE || policy_waits_for_pressure(policy) ||
	    policy->thrashing > 0)
		return false;
	if (bytes + swap == 0 || swap == UINT64_MAX)
		return false;
	*ret_bytes = bytes + swap;
	*ret_usec = time_to_go(*ret_bytes, by_swap ? rate->together : rate->available, rate->usec);
	return true;
}

void forecast_next(const struct forecast *f, const struct policy_set *set,
		   const struct memory_reading *memory, struct forecast_next *ret)
{
	struct forecast_next next = { .usec = USEC_INFINITY };
	struct rate rate = measure(f);
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i < set->n_policies; i++) {
		const struct policy *policy = &set->policies[i];
		uint64_t bytes;
		usec_t usec;

		if (!foresee(policy, memory, &rate, &bytes, &usec) || usec > next.usec ||
		    (usec == next.usec && bytes >= least))
			continue;
		next = (struct forecast_next){ policy, usec };
		least = bytes;
	}
	*ret = next;
}
