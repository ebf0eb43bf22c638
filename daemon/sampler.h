/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sampler: readings of memory and pressure, and what is kept of those before: averages, rates and
 * the forecast.  It owns the files that it reads.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/util.h"
#include "lib/domain/forecast.h"
#include "lib/domain/gap.h"
#include "lib/sys/memory.h"
#include "lib/sys/psi.h"
#include "lib/sys/reclaim.h"

/* Set up by manager_new(). */
struct sampler {
	struct memory_source *source;
	int psi_fd; /* pressure/memory; negative: no PSI */
	struct memory_reading reading;
	usec_t sampled_at; /* when it was taken */
	usec_t due_at;	   /* until then the conditions of no policy can hold */
	struct gap gap;	   /* between samples */
	struct forecast forecast;
	struct psi_history psi;
	struct reclaim_history reclaim; /* not added to in calm */
};

/*
 * One sample.  calm: of the levels of memory only, which costs less.  asleep: for how long the
 * machine was suspended since boot.  *ret_gap: so long nothing was sampled, far longer than was
 * planned, and averages and rates begin anew; or 0.  0, or -errno of reading memory: all is as
 * before.
 */
int sampler_sample(struct sampler *sampler, bool calm, usec_t now, usec_t asleep, usec_t *ret_gap);
