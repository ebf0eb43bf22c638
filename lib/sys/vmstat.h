/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vmstat: what the kernel has counted since boot (/proc/vmstat), in pages.
 *
 * Read here and not by libproc2, whose names are older than some of the counters: refaults are
 * counted apart for anonymous and file pages since 5.9, and then its item for them reads 0.  One
 * pass over the text is also a third of what libproc2 takes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vmstat_counters {
	uint64_t allocated;	 /* allocated by the page allocator (pgalloc_*) */
	uint64_t freed;		 /* freed to it (pgfree) */
	uint64_t oom_kills;	 /* by the kernel (oom_kill) */
	uint64_t scanned;	 /* scanned for reclaim, by the machine (pgscan_kswapd, _direct) */
	uint64_t stolen;	 /* reclaimed thus (pgsteal_kswapd, _direct) */
	uint64_t stalled;	 /* allocations that had to reclaim first (allocstall_*) */
	uint64_t refaulted_anon; /* evicted while in use, and needed again (workingset_refault_*) */
	uint64_t refaulted_file;
	uint64_t swapped_in; /* pswpin, pswpout */
	uint64_t swapped_out;
	uint64_t swapped_within; /* in or out of memory itself: zswap's, and pages of zeros */
	bool has_zswap;		 /* if zswap swaps, it is counted: from 5.19 */
};

/* What is not in the text is 0.  -EBADMSG unless it is that of vmstat. */
int vmstat_parse(const char *text, struct vmstat_counters *ret);

/* From an open fd; 0 or negative errno. */
int vmstat_read_fd(int fd, struct vmstat_counters *ret);
