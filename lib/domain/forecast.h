/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * forecast: which policy is next, and how soon at the present rate.
 *
 * Pure: a short history of what is available and of free swap, as psi_history is of pressure, and a
 * straight line through its ends.  For people and programs that could free memory in time; nothing
 * is decided by it.
 */
#pragma once

#include "lib/base/util.h"
#include "lib/config/policy.h"
#include "lib/sys/memory.h"

/* How fine the history is.  The rate is that of the last two seconds: in less, one large
 * allocation looks like a trend; where memory is read less often, of as long as it takes. */
#define FORECAST_SAMPLES     16
#define FORECAST_STEP_USEC   (250 * USEC_PER_MSEC)
#define FORECAST_WINDOW_USEC (2 * USEC_PER_SEC)
/* What is further away than this is noise. */
#define FORECAST_MAX_USEC (3600 * USEC_PER_SEC)

struct forecast {
	struct {
		usec_t at;
		uint64_t available;
		uint64_t swap_free;
	} samples[FORECAST_SAMPLES]; /* a ring */
	unsigned head;		     /* place of the next sample */
	unsigned n_samples;
};

/* Starts anew: after a gap in the samples no rate is known. */
void forecast_reset(struct forecast *forecast);

/* Remembers a reading as the newest sample; the newest is replaced by the next as long as it is
 * closer than FORECAST_STEP_USEC to the one before it.  Starts anew when now decreases. */
void forecast_add(struct forecast *forecast, usec_t now, const struct memory_reading *memory);

struct forecast_next {
	const struct policy *policy; /* borrowed from the set; NULL: there is none left to reach */
	usec_t usec; /* until its threshold is reached; USEC_INFINITY: that cannot be foreseen */
};

/*
 * The policy whose thresholds of memory and swap are reached first, counted from the newest sample:
 * where none is being approached, the one nearest to its thresholds.  Available memory and free
 * swap count together where a policy has a threshold of both, as the kernel takes from either.
 * Policies that wait for pressure are left out: pressure has no trend.
 */
void forecast_next(const struct forecast *forecast, const struct policy_set *set,
		   const struct memory_reading *memory, struct forecast_next *ret);
