/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gap: was there a time in which nothing was sampled?
 *
 * A daemon that was stopped (SIGSTOP), suspended with the machine or starved of CPU knows nothing
 * of what happened meanwhile; averages and "has held since" that span the gap would include stalls
 * that may long be over.  Where gap_find() says so, they start anew.
 *
 * Pure: the caller reads the clocks.  CLOCK_MONOTONIC stops in a suspend, CLOCK_BOOTTIME does not:
 * their difference is the time asleep.
 */
#pragma once

#include "lib/base/util.h"

/* So much later than planned: a gap.  (A daemon at nice -20 is late by milliseconds.) */
#define GAP_LATE_USEC (2 * USEC_PER_SEC)
/* The two clocks are read one after the other. */
#define GAP_ASLEEP_MIN_USEC (100 * USEC_PER_MSEC)

struct gap {
	bool has_begun;
	usec_t at;	/* the last sample */
	usec_t asleep;	/* at that time */
	usec_t planned; /* how long after it the next was planned */
	usec_t last;	/* the gap before it; 0: there was none */
};

/* Now a sample is taken, of a machine that was asleep for so long in all.  The length of the gap
 * since the last one, or 0. */
usec_t gap_find(struct gap *gap, usec_t now, usec_t asleep);

/*
 * The next sample is planned so long after the last.  Where each is late, as on a machine that
 * thrashes without end, being late is the rule: only a longer gap than the last one is a gap again,
 * or pressure could never be seen there.
 */
void gap_plan(struct gap *gap, usec_t interval);
