/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pace: how long until the next sample in watch.
 *
 * Three bounds, of which the shortest counts, for each policy that terminates or kills:
 *
 * - from a standstill: memory may begin to be taken right after a sample, as fast as is plausible
 *   (POLICY_FILL_BYTES_PER_SEC).  In the time until the next one that takes what lies above the
 *   threshold and a quarter of what lies below it, so that three quarters are left for the choice
 *   and the kill: on a machine of 8 GiB at 10% 205 MiB are lost, which are 67 ms, and 614 left;
 * - at the present rate: a quarter of the time in which the threshold is reached by it, so that it
 *   is not passed by more than one shortest interval;
 * - POLICY_INTERVAL_WATCH_MAX_USEC, and never less than POLICY_INTERVAL_WATCH_MIN_USEC.
 *
 * The first is longer where samples cost much: on a small machine (1 GiB: 8 ms) they would take
 * some per cent of a CPU without end, and on a slow one (emulated, overcommitted), where memory is
 * filled as much more slowly, far more.  From a standstill samples need no more than
 * 1 / PACE_SAMPLE_PART of a CPU, as long as they are not more than PACE_SLOWEST_USEC apart for
 * that.
 *
 * And not each sample reads all that is known of the machine: where nothing has moved since the
 * last one that did, the levels alone will do in between (pace_is_quiet()).
 *
 * Pure: the time and what a sample costs are arguments.  Nothing is allocated.
 */
#pragma once

#include "lib/base/util.h"
#include "lib/config/policy.h"
#include "lib/sys/memory.h"

/* So much of what lies below a threshold may be gone at the next sample. */
#define PACE_LOST_SHARE 4
/* A fall is sampled so often before its threshold. */
#define PACE_LOOKS_AHEAD 4
/* What is seen in less time than that is no rate; and a rate that is not seen again is forgotten
 * in about so long. */
#define PACE_STEP_USEC	 (10 * USEC_PER_MSEC)
#define PACE_FORGET_USEC (1 * USEC_PER_SEC)
/* The sample itself is a third of what it costs, the wake-up the rest: 1% in all. */
#define PACE_SAMPLE_PART  256
#define PACE_SLOWEST_USEC (100 * USEC_PER_MSEC)

/* All zeros: nothing is known, and nothing falls. */
struct pace {
	usec_t at; /* of the last reading; 0: there was none */
	uint64_t available;
	uint64_t swap_free;
	uint64_t memory_rate; /* at which they fall, bytes per second */
	uint64_t swap_rate;
	usec_t sample_usec; /* CPU time that one takes; an average */
};

/* After a gap: what fell in it is no rate. */
void pace_reset(struct pace *pace);

/* A reading; now is not 0. */
void pace_add(struct pace *pace, usec_t now, const struct memory_reading *memory);

/* A sample has taken so much CPU time. */
void pace_note_sample(struct pace *pace, usec_t spent);

/*
 * What is read in slices takes so much of one turn of the loop.  Where a turn by itself takes
 * longer than that (emulated, overcommitted), turns would take more of the CPU than what is read in
 * them: a slice is as long as a sample there.  spent: by this turn so far, of which alone is known
 * what it takes when watch begins.
 */
#define PACE_SLICE_USEC	     (1 * USEC_PER_MSEC)
#define PACE_SLICE_SLOW_USEC (5 * USEC_PER_MSEC)
usec_t pace_slice(const struct pace *pace, usec_t spent);

/* How far it is to a policy, in bytes. */
struct pace_distance {
	uint64_t memory; /* above its thresholds; 0: reached */
	uint64_t swap;
	uint64_t below; /* what is available below that of memory */
};

/* Until one policy has to be judged; USEC_INFINITY: it does not wait for memory or swap. */
usec_t pace_delay(const struct pace *pace, const struct pace_distance *distance);

/* At the present rate no memory, or no swap, is left after PACE_FALL_USEC. */
#define PACE_FALL_USEC (20 * USEC_PER_SEC)
bool pace_falls(const struct pace *pace);

/* Until the next sample in watch, for all policies that terminate or kill. */
usec_t pace_interval(const struct pace *pace, const struct policy_set *set,
		     const struct policy_reading *reading);

/* All is read so often; in between the levels alone are. */
#define PACE_FULL_USEC (250 * USEC_PER_MSEC)
/* Not where this share of what is available is on the CPUs' lists, nor after it has fallen by this
 * share of memory, or swap by as much. */
#define PACE_LISTS_SHARE 8
#define PACE_MOVED_SHARE 128

/* May the sample after a full one read the levels alone, with that one's lists? */
bool pace_may_be_light(const struct policy_set *set, const struct policy_reading *full,
		       usec_t since);

/* Has nothing happened since for which all has to be read? */
bool pace_is_quiet(const struct policy_set *set, const struct policy_reading *full,
		   const struct memory_reading *light);
