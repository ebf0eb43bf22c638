/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pace: the interval for each policy, and which samples read the levels alone. */
#include "lib/domain/pace.h"

/* The average is over about so many samples. */
#define SAMPLES_AVERAGED 16

/* USEC_INFINITY where it is not taken at all. */
static usec_t time_to_take(uint64_t bytes, uint64_t bytes_per_sec)
{
	__uint128_t usec;

	if (bytes == 0)
		return 0;
	if (bytes_per_sec == 0)
		return USEC_INFINITY;
	usec = (__uint128_t)bytes * USEC_PER_SEC / bytes_per_sec;
	return usec > USEC_INFINITY ? USEC_INFINITY : (usec_t)usec;
}

/* The old rate fades; a faster one counts at once. */
static uint64_t rate_of(uint64_t old, uint64_t before, uint64_t now, usec_t usec)
{
	uint64_t lost = sub_u64(before, now);
	uint64_t rate = (uint64_t)((__uint128_t)lost * USEC_PER_SEC / usec);
	usec_t left = sub_u64(PACE_FORGET_USEC, usec);

	return max_u64(rate, (uint64_t)((__uint128_t)old * left / PACE_FORGET_USEC));
}

void pace_reset(struct pace *pace)
{
	*pace = (struct pace){ .sample_usec = pace->sample_usec };
}

void pace_add(struct pace *pace, usec_t now, const struct memory_reading *memory)
{
	usec_t usec = sub_u64(now, pace->at);

	if (pace->at != 0 && now >= pace->at && usec < PACE_STEP_USEC)
		return;
	if (pace->at != 0 && usec > 0) {
		pace->memory_rate =
			rate_of(pace->memory_rate, pace->available, memory->available, usec);
		pace->swap_rate =
			rate_of(pace->swap_rate, pace->swap_free, memory->swap_free, usec);
	}
	pace->at = now;
	pace->available = memory->available;
	pace->swap_free = memory->swap_free;
}

void pace_note_sample(struct pace *pace, usec_t spent)
{
	if (pace->sample_usec == 0)
		pace->sample_usec = spent;
	else
		pace->sample_usec =
			(pace->sample_usec * (SAMPLES_AVERAGED - 1) + spent) / SAMPLES_AVERAGED;
}

usec_t pace_slice(const struct pace *pace, usec_t spent)
{
	return min_u64(max_u64(max_u64(pace->sample_usec, spent), PACE_SLICE_USEC),
		       PACE_SLICE_SLOW_USEC);
}

static usec_t from_standstill(const struct pace *pace, const struct pace_distance *d)
{
	usec_t memory = time_to_take(d->memory, POLICY_FILL_BYTES_PER_SEC);
	usec_t swap = time_to_take(d->swap, POLICY_SWAP_FILL_BYTES_PER_SEC);
	usec_t below = time_to_take(d->below / PACE_LOST_SHARE, POLICY_FILL_BYTES_PER_SEC);
	usec_t affordable = min_u64(PACE_SAMPLE_PART * pace->sample_usec, PACE_SLOWEST_USEC);

	return max_u64(add_u64(max_u64(memory, swap), below), affordable);
}

static usec_t at_present_rate(const struct pace *pace, const struct pace_distance *d)
{
	usec_t memory = time_to_take(d->memory, pace->memory_rate);
	usec_t swap = time_to_take(d->swap, pace->swap_rate);
	usec_t usec = max_u64(memory, swap);

	return usec == USEC_INFINITY ? usec : usec / PACE_LOOKS_AHEAD;
}

usec_t pace_delay(const struct pace *pace, const struct pace_distance *d)
{
	if (d->memory == 0 && d->swap == 0)
		return USEC_INFINITY;
	return min_u64(from_standstill(pace, d), at_present_rate(pace, d));
}

bool pace_falls(const struct pace *pace)
{
	return time_to_take(pace->available, pace->memory_rate) < PACE_FALL_USEC ||
	       (pace->swap_rate > 0 &&
		time_to_take(pace->swap_free, pace->swap_rate) < PACE_FALL_USEC);
}

/* Swap that is no help does not have to be filled first. */
static struct pace_distance distance_to(const struct policy *policy,
					const struct policy_reading *reading)
{
	const struct memory_reading *memory = reading->memory;
	struct pace_distance distance = { .memory = policy_memory_headroom(policy, memory) };

	if (!policy_swap_is_no_help(policy, reading))
		distance.swap = policy_swap_headroom(policy, memory);
	distance.below = sub_u64(memory->available, distance.memory);
	return distance;
}

usec_t pace_interval(const struct pace *pace, const struct policy_set *set,
		     const struct policy_reading *reading)
{
	usec_t interval = USEC_INFINITY;

	for (size_t i = 0; i < set->n_policies; i++) {
		struct pace_distance distance = distance_to(&set->policies[i], reading);

		if (set->policies[i].action >= POLICY_ACTION_TERMINATE)
			interval = min_u64(interval, pace_delay(pace, &distance));
	}
	return min_u64(max_u64(interval, POLICY_INTERVAL_WATCH_MIN_USEC),
		       POLICY_INTERVAL_WATCH_MAX_USEC);
}

/* (What waits for pressure, too, waits for the next full sample.) */
static bool any_holds(const struct policy_set *set, const struct policy_reading *reading)
{
	for (size_t i = 0; i < set->n_policies; i++) {
		const struct policy *policy = &set->policies[i];

		if (policy->action >= POLICY_ACTION_TERMINATE &&
		    !policy_waits_for_pressure(policy) && policy->thrashing == 0 &&
		    policy_memory_holds(policy, reading))
			return true;
	}
	return false;
}

bool pace_may_be_light(const struct policy_set *set, const struct policy_reading *full,
		       usec_t since)
{
	return since < PACE_FULL_USEC &&
	       full->memory->counters.free_listed <= full->memory->available / PACE_LISTS_SHARE &&
	       !any_holds(set, full);
}

bool pace_is_quiet(const struct policy_set *set, const struct policy_reading *full,
		   const struct memory_reading *light)
{
	struct policy_reading reading = *full;
	uint64_t moved = full->memory->total / PACE_MOVED_SHARE;

	reading.memory = light;
	return sub_u64(full->memory->available, light->available) <= moved &&
	       sub_u64(full->memory->swap_free, light->swap_free) <= moved &&
	       !any_holds(set, &reading);
}
