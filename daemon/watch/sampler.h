/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sampler: what is known of the machine: readings of memory and pressure, what is kept of those
 * before (averages, rates, the forecast), and the census of processes, which watch.h keeps up to
 * date.  It owns the files that it reads.
 */
#pragma once

#include <stdbool.h>

#include "daemon/watch/stalls.h"
#include "daemon/watch/watch.h"
#include "lib/base/util.h"
#include "lib/config/policy.h"
#include "lib/domain/domain.h"
#include "lib/domain/forecast.h"
#include "lib/domain/gap.h"
#include "lib/domain/pace.h"
#include "lib/snapshot/census.h"
#include "lib/sys/memory.h"
#include "lib/sys/precise.h"
#include "lib/sys/psi.h"
#include "lib/sys/reclaim.h"

struct config;
struct machine;
struct regime;

/* Set up by manager_new(). */
struct sampler {
	/* Borrowed. */
	const struct machine *machine;
	const struct config *config;
	struct regime *regime;

	struct domain domain; /* the machine */
	struct memory_source *source;
	int psi_fd;		    /* pressure/memory; negative: no PSI */
	usec_t sampled_at;	    /* when domain.reading was taken */
	struct memory_reading full; /* the last that was not taken lightly */
	usec_t full_at;
	usec_t due_at;	/* until then no policy can come to hold */
	struct gap gap; /* between samples */
	struct forecast forecast;
	struct pace pace;
	struct stalls stalls;
	usec_t unswappable_at; /* when domain.unswappable was read, */
	pid_t unswappable_of;  /* and of which process; 0: none */

	struct census census;
	struct watch watch;	 /* how fresh it is */
	struct precise *precise; /* measures shares, on a thread of its own */
};

/* Before a sample.  asleep: for how long the machine was suspended since boot.  So long nothing was
 * sampled, far longer than was planned, and averages and rates begin anew; or 0. */
usec_t sampler_forget_before_gap(struct sampler *sampler, usec_t now, usec_t asleep);

/* Memory and pressure; calm: of memory the levels only, which costs less.  0, or -errno of reading
 * memory: all is as before. */
int sampler_take(struct sampler *sampler, bool calm, usec_t now);

/* The levels alone, if nothing has moved since the last full sample (pace_is_quiet()).  known: what
 * the policies are judged by besides memory.  False: nothing was taken. */
bool sampler_take_lightly(struct sampler *sampler, const struct policy_set *set,
			  const struct policy_reading *known, usec_t now);
