/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill-watch: when is the memory freed?  A thread with a real-time priority above the reapers',
 * so that it is on time on a busy machine, reads what a cgroup is charged for (or MemFree) every
 * quarter of a millisecond.
 */
#pragma once

#include <stdbool.h>

#include "bench/kill-places.h"

struct watch;

/* NULL if out of memory.  The places are borrowed. */
struct watch *watch_new(const struct places *places, int proc_fd);
void watch_free(struct watch *watch);

/* How memory is counted, for the table's heading. */
const char *watch_source(const struct watch *watch);

/* What is in use now, bytes; counted from an arbitrary point. */
int64_t watch_read(const struct watch *watch);

/* Samples from now on whether use has come down to that; gives up at the deadline. */
void watch_begin(struct watch *watch, int64_t down_to, usec_t deadline);
/* Waits for that.  The time at which it was seen, or 0: not before the deadline. */
usec_t watch_end(struct watch *watch);

usec_t watch_now(void); /* CLOCK_MONOTONIC */
/* CPU time of the process without this thread's. */
usec_t watch_cpu_of_others(const struct watch *watch);
