/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * precise: reads that may block, on a thread of their own.
 *
 * smaps_rollup takes the process's mmap lock and hangs for as long as a thrashing process holds
 * it; kcmp(2) waits for an exec that is under way.  Two ways to ask:
 *
 * - precise_read() and precise_compare() wait, no longer than their deadline.  A read that hangs
 *   keeps the thread busy: further requests return PRECISE_LATE at once until it returns, and its
 *   late answer is dropped.
 * - precise_measure() only queues; precise_collect() returns what is finished.  A waiting request
 *   is served before all that is queued: at most the one measurement under way is waited for.
 *
 * The thread runs at nice -20 for waiting requests and at nice 0 for queued ones.  Not lower: it
 * holds the mmap lock of the process it reads, which would wait for it as long as others have the
 * CPU.  If a request is made during a measurement, the caller raises it; so does precise_hurry().
 *
 * All functions are for one caller at a time.  Only precise_new() and precise_replace() allocate.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/util.h"
#include "lib/sys/proc.h"
#include "lib/sys/reclaimable.h"

enum { PRECISE_LATE = 2 };

struct precise;

/* proc_fd is duplicated inside: a read that never ends may outlive the caller's. */
int precise_new(int proc_fd, struct precise **ret);
/* Waits for a read under way for up to a second, then detaches the thread: it frees what is left
 * when its read returns. */
struct precise *precise_free(struct precise *precise);

/* 0 with *ret, PROC_GONE, PRECISE_LATE, or -errno (-EACCES: no CAP_SYS_PTRACE).  The deadline is
 * a length of time from now. */
int precise_read(struct precise *precise, pid_t pid, usec_t deadline, struct reclaimable *ret);

#define PRECISE_QUEUE_MAX 16

/*
 * Asks for a process by its start time, and never waits.  0, or -EBUSY: as many are queued, under
 * way or finished and not collected, or the thread is known to hang (a request was late and it has
 * not returned since).
 */
int precise_measure(struct precise *precise, pid_t pid, uint64_t start_ticks);

/*
 * Which process is the thread reading?  0: it is idle.  *ret_n_done differs once it has made
 * progress.
 */
pid_t precise_is_at(struct precise *precise, unsigned *ret_n_done);

/*
 * A read can hang for ever: a process can hold its own mmap lock (mmap(2) of a file on FUSE waits
 * for the server).  The thread is abandoned, and another one replaces it; what was queued is
 * dropped.  Until that read returns, precise_read() of the process is late, and precise_measure()
 * of it has no answer.  0; -EUSERS: so many are left already; -errno: no other can be started.  Not
 * between choice and signal: this allocates.
 */
#define PRECISE_LEFT_MAX 16
int precise_replace(struct precise **precise);

/*
 * The next finished one, in the order in which they were asked for: 1 with pid, start_ticks and
 * *ret_result: 0 with *ret, PROC_GONE (also: the pid is another process's), or -errno.  0: none.
 */
int precise_collect(struct precise *precise, pid_t *ret_pid, uint64_t *ret_start_ticks,
		    int *ret_result, struct reclaimable *ret);

/*
 * The process was killed.  Is it being read, or is that next?  Then its memory is kept until the
 * read is over, and the thread is raised: at nice 0 it can take seconds beside busy processes.
 * precise may be NULL.
 */
bool precise_hurry(struct precise *precise, pid_t pid);

/* CPU time that the thread has spent on what was queued. */
usec_t precise_spent(const struct precise *precise);

/* May measurements be repeated, where so much CPU time was spent on them in so long a time?  No
 * more than this part of it: one takes 3 ms for each GiB. */
#define PRECISE_REPEAT_PART 200
#define PRECISE_REPEAT_MIN  (50 * USEC_PER_MSEC)
static inline bool precise_may_repeat(usec_t spent, usec_t elapsed)
{
	return spent <= PRECISE_REPEAT_MIN + elapsed / PRECISE_REPEAT_PART;
}

/* May more be measured for the first time, beyond the largest few?  As many as a server has workers
 * that share its memory, in a second or so, and from then on a hundredth of the time. */
#define PRECISE_MORE_PART 100
#define PRECISE_MORE_MIN  (1 * USEC_PER_SEC)
static inline bool precise_may_measure_more(usec_t spent, usec_t elapsed)
{
	return spent <= PRECISE_MORE_MIN + elapsed / PRECISE_MORE_PART;
}

/* One comparison is asked about so many tasks at most. */
#define PRECISE_COMPARE_MAX 512

/*
 * Which of n tasks have the same address space as tid (kcmp(2), KCMP_VM)?  ret[i]: 1 the same, 0
 * another, or -errno: not known (-ESRCH gone, -EPERM and -ENOSYS not permitted or not there,
 * -ETIMEDOUT not compared before the deadline).  Two tasks that have none are the same, too.
 */
void precise_compare(struct precise *precise, pid_t tid, const pid_t *tids, unsigned n,
		     usec_t deadline, int *ret);
