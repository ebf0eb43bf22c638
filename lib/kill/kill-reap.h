/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill-reap: process_mrelease(2) on threads of its own, made at start.
 *
 * A reap takes as long as the memory is large and may wait for a lock of the victim: nothing for
 * the thread that decides.  kill_signal() pushes, as soon as all have their signal.
 */
#pragma once

#include "lib/base/util.h"

struct kill_ops;
struct kill_reapers;

/*
 * SCHED_FIFO priority of the reapers.  The lowest there is: higher than every ordinary process,
 * which makes a reap certain on a busy machine, and lower than everything that was given a
 * real-time priority on purpose.  The price: a reaper woken on the CPU of the thread that pushes
 * keeps it off that CPU until it is moved to another or the reap is done (24 to 30 ms seen for 512
 * MiB on two CPUs); so nothing is queued before the last signal is sent.
 */
#define KILL_REAPER_PRIORITY 1

/*
 * The reapers: n_threads threads, running and with their stacks in memory when this returns.
 * *ret_priority_error: 0 or -errno of SCHED_FIFO (they then run as the caller does).  Freeing
 * waits for a running reap to end and drops those not begun.
 */
int kill_reapers_new(const struct kill_ops *ops, unsigned n_threads, struct kill_reapers **ret,
		     int *ret_priority_error);
struct kill_reapers *kill_reapers_free(struct kill_reapers *reapers);

/*
 * Queues a reap of pidfd (duplicated inside).  0, -EAGAIN if KILL_REAP_QUEUE are waiting, or
 * another -errno of the duplication.  One thread pushes.  The queue is a ring of atomics and a
 * semaphore (a futex): no lock that a preempted thread could hold.
 */
#define KILL_REAP_QUEUE 64
int kill_reapers_push(struct kill_reapers *reapers, int pidfd);

struct kill_reap_stats {
	unsigned n_pushed;
	unsigned n_done;
	unsigned n_reaped;  /* mrelease said 0 */
	int last_result;    /* of the newest: 0, -ESRCH (already gone or exiting), -EINVAL ... */
	uint64_t last_usec; /* how long it took */
};
void kill_reapers_stats(const struct kill_reapers *reapers, struct kill_reap_stats *ret);
