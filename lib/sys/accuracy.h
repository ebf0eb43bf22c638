/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * accuracy: how far a memory number of the kernel may be from the truth.
 *
 * The kernel keeps a process's counters split; a reader of an approximate one misses what the
 * parts hold.  To 6.1 each thread may hide up to TASK_RSS_EVENTS_THRESH (64) + 1 fault events;
 * from 6.2 (f1a7941243c1) each CPU up to batch - 1 pages a counter, batch = max(32, 2 x online
 * CPUs); statm sums precisely where the fix of 6.17 is in, which distributions backport.  So the
 * regime is probed, never taken from a version number.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/util.h"

enum accuracy_regime {
	ACCURACY_UNKNOWN,    /* not probed: the worst of the next two is assumed */
	ACCURACY_PER_THREAD, /* to 6.1 */
	ACCURACY_PER_CPU,    /* from 6.2 without the fix */
	ACCURACY_PRECISE,    /* statm is exact */
};

struct accuracy {
	enum accuracy_regime regime;
	unsigned n_cpus;    /* online, the largest number seen */
	unsigned batch;	    /* pages; the largest since boot */
	uint64_t page_size; /* bytes */
};

const char *accuracy_regime_to_string(enum accuracy_regime regime);

/* percpu_counter's batch for so many online CPUs (lib/percpu_counter.c, compute_batch_value). */
unsigned accuracy_batch(unsigned n_cpus);

/*
 * Where the truth may be, for a footprint read from statm (one counter, anonymous) and, if
 * with_swap, status (a second one), of a process with n_threads.  Ends never below 0.
 */
struct interval accuracy_interval(const struct accuracy *accuracy, uint64_t footprint_bytes,
				  bool with_swap, unsigned n_threads);

/*
 * "0-3,8" as in /sys/devices/system/cpu/online to a number; -EBADMSG.
 */
int accuracy_parse_cpu_list(const char *text, unsigned *ret_n);

/*
 * Finds the regime with a child process of its own: it lets pages hide in the counters, some on
 * each of a few allowed CPUs, then some in each of many sleeping threads on one CPU; statm is
 * compared with smaps_rollup after each.  sys_fd may be negative (the number of CPUs is then
 * asked of libc).  Takes some milliseconds.  To be called before the caller makes threads (it
 * forks).  0 with regime set (ACCURACY_UNKNOWN where it cannot be found out), or -errno where no
 * child could be made; *ret is filled in any case.
 */
int accuracy_probe(int proc_fd, int sys_fd, struct accuracy *ret);

/*
 * The pure part: what the differences (pages; precise minus shown) tell.  By threads: by how much
 * it grew while threads on one CPU touched at least 4 * batch pages.  By CPUs: the largest seen
 * while some CPUs touched batch pages each.
 */
enum accuracy_regime accuracy_classify(int64_t hidden_by_threads, int64_t hidden_by_cpus,
				       unsigned batch);
