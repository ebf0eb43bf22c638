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

/* Memory anew; also between ticks, and then into a reading of the caller's.  0, or -errno, and *ret
 * is as before.  The second: the levels only, which costs less. */
int sampler_read_memory(struct sampler *sampler, struct memory_reading *ret);
int sampler_read_levels(struct sampler *sampler, struct memory_reading *ret);

/* The first census: all processes in one piece, by domain.reading.  0, or -errno: census_done(). */
int sampler_begin(struct sampler *sampler);

/* The census is about to read processes: tells it how much memory there is in all, by this reading.
 * Is swap in use, so that their swap is to be read, too? */
bool sampler_note_totals(struct sampler *sampler, const struct memory_reading *reading);

/*
 * Between ticks, in calm, on request: memory anew, and one slice, of so long, of what brings the
 * census up to date.  1: it is, as of *ret, and room for a choice is to be made
 * (selection_reserve()); 0: more is to come; -errno.  sampler_release(): that is over.
 */
int sampler_refresh(struct sampler *sampler, usec_t slice, struct memory_reading *ret);
void sampler_release(struct sampler *sampler);

/* Between ticks: memory, and one process, which may be so new that the census has not seen it, or
 * have another name or cgroup since.  false: there is no such process (a number of a thread does
 * not count), or memory cannot be read; the census is as before. */
bool sampler_read_process(struct sampler *sampler, pid_t pid, struct memory_reading *ret);

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
