/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reclaim: what the machine's reclaim did in the last seconds.
 *
 * Pure: a short history of the counters of /proc/vmstat, as psi_history is of pressure.  It tells
 * memory that is written out because it is not used (what is reclaimed is not asked for again) from
 * thrashing (it is), whatever the speed of the swap and the size of the machine.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/util.h"
#include "lib/sys/vmstat.h"

/* As fine and as long as the history of pressure. */
#define RECLAIM_SAMPLES	  128
#define RECLAIM_STEP_USEC (250 * USEC_PER_MSEC)

struct reclaim_history {
	struct {
		usec_t at;
		uint64_t scanned;
		uint64_t stalled;
		uint64_t stolen;
		uint64_t refaulted;
		uint64_t swapped_out;
		uint64_t available; /* bytes */
	} samples[RECLAIM_SAMPLES]; /* a ring */
	unsigned head;		    /* where the next sample goes */
	unsigned n_samples;
};

/* Remembers the counters as the newest sample, by the rules of psi_history_add(). */
void reclaim_history_add(struct reclaim_history *history, usec_t now,
			 const struct vmstat_counters *counters, uint64_t available);

/* Pages (stalled: allocations) in a span of time. */
struct reclaim_span {
	usec_t usec;
	uint64_t scanned;
	uint64_t stalled;
	uint64_t stolen;
	uint64_t refaulted;
	uint64_t swapped_out;
	uint64_t available_max; /* bytes, at any sample of it */
};

/* From the newest sample that is at least the window older than the last.  false: the history is
 * shorter than that, and nothing is known. */
bool reclaim_over(const struct reclaim_history *history, usec_t window_usec,
		  struct reclaim_span *ret);

/* How much of what was reclaimed was needed again, in permyriad, at most all of it; nothing was
 * reclaimed: 0. */
unsigned reclaim_refaulted_share(const struct reclaim_span *span);

/*
 * Is free swap of no use?  Memory was all but gone for all of the span, the machine looked for
 * memory to reclaim again and again, and next to nothing was swapped out: the kernel does not want
 * to, may not, or the swap is too slow.  How often it looked counts more than the time, which is
 * short on a machine that has no CPU time: before it begins to swap, a kernel was seen to look at
 * as many pages as there are, for two seconds.
 */
#define RECLAIM_SWAP_UNUSED_USEC      (3 * USEC_PER_SEC)
#define RECLAIM_SCANNED_TIMES	      4	   /* all of memory, at least */
#define RECLAIM_GONE_PERMYRIAD	      200U /* of memory available, at most */
#define RECLAIM_SWAPPED_OUT_PERMYRIAD 20U  /* of memory, at most */
bool reclaim_leaves_swap_unused(const struct reclaim_span *span, uint64_t memory_total,
				uint64_t page_size);

/* Did the machine have to reclaim at all?  What one cgroup reclaims because of its own limit is in
 * none of these counters. */
bool reclaim_moved(const struct reclaim_span *span);

/* Likewise of the last window.  A history that is shorter, as right after calm, tells that it
 * moved, but not that it did not. */
enum reclaim_answer {
	RECLAIM_NOT_MOVED,
	RECLAIM_MOVED,
	RECLAIM_UNKNOWN,
};
enum reclaim_answer reclaim_has_moved(const struct reclaim_history *history, usec_t window_usec);
