/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * latency: how late the samples of memory are, and what the daemon was waiting for meanwhile.
 *
 * Counts by powers of two, and the largest.  Why one was late is found from what the kernel counts
 * of the daemon's own thread, read before and after.  Pure: the caller reads the clock and the
 * files.
 */
#pragma once

#include "lib/base/util.h"

/* Under 1 ms, 2 ms, 4 ms and so on to 1024 ms; the last has all that are longer. */
#define LATENCY_BUCKETS 12
/* From here on a sample is late.  (Where it signals a victim, it may take half of that.) */
#define LATENCY_LATE_USEC (64 * USEC_PER_MSEC)

enum latency_cause {
	LATENCY_UNKNOWN,
	LATENCY_BUSY,	/* its own work */
	LATENCY_CPU,	/* it was runnable, and had no CPU */
	LATENCY_PAGING, /* its own memory was read from disk */
	LATENCY_KERNEL, /* it slept in the kernel: a lock, a file */
	_LATENCY_CAUSE_MAX,
};
/* "cpu", as on the bus. */
const char *latency_cause_to_string(enum latency_cause cause);
/* "there was no CPU for it" */
const char *latency_cause_text(enum latency_cause cause);

struct latency {
	uint64_t counts[LATENCY_BUCKETS];
	usec_t max;
	enum latency_cause cause; /* of the last that was late */
};

/* Counts it; true: it is late. */
bool latency_count(struct latency *latency, usec_t usec);
/* How many were late. */
uint64_t latency_n_late(const struct latency *latency);

/* What the kernel has counted of a thread until then. */
struct latency_usage {
	bool is_known;
	usec_t ran;	/* on a CPU */
	usec_t waited;	/* for a CPU */
	uint64_t major; /* faults that had to read */
};

/* /proc/PID/schedstat: nanoseconds on a CPU, nanoseconds on a run queue, time slices.  -EBADMSG. */
int latency_parse_schedstat(const char *text, struct latency_usage *ret);

/* It was so late, and this was counted before and after.  What makes up half of that time is the
 * cause; else it slept. */
enum latency_cause latency_find_cause(const struct latency_usage *before,
				      const struct latency_usage *after, usec_t late);
