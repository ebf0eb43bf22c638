/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * precise: reads that may block, with a deadline.
 *
 * smaps_rollup takes the process's mmap lock and hangs for as long as a thrashing process holds
 * it; kcmp(2) waits for an exec that is under way.  Both are asked on a thread of its own; the
 * caller waits no longer than the deadline.  A read that hangs keeps the thread busy: further
 * requests answer PRECISE_LATE at once until it comes back, and its late answer is dropped.
 * Allocates nothing after precise_new().
 */
#pragma once

#include "lib/proc.h"
#include "lib/util.h"

enum { PRECISE_LATE = 2 };

struct precise;

/* proc_fd is duplicated inside: a read that never ends may outlive the caller's. */
int precise_new(int proc_fd, struct precise **ret);
/* Waits for a read under way for up to a second, then leaves the thread to itself: it frees what
 * is left when its read comes back. */
struct precise *precise_free(struct precise *precise);

/*
 * 0 with *ret, PROC_GONE, PRECISE_LATE, or -errno (-EACCES: no CAP_SYS_PTRACE).  The deadline is
 * a length of time from now.  For one caller at a time.
 */
int precise_read(struct precise *precise, pid_t pid, usec_t deadline, struct proc_memory *ret);

/* One comparison is asked about so many tasks at most. */
#define PRECISE_COMPARE_MAX 256

/*
 * Which of n tasks have the same address space as tid (kcmp(2), KCMP_VM)?  ret[i]: 1 the same, 0
 * another, or -errno: not known (-ESRCH gone, -EPERM and -ENOSYS not permitted or not there,
 * -ETIMEDOUT not compared before the deadline).  Two tasks that have none are the same, too.
 */
void precise_compare(struct precise *precise, pid_t tid, const pid_t *tids, unsigned n,
		     usec_t deadline, int *ret);
