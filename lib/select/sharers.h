/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sharers: which other processes have the victim's memory.
 *
 * Processes share an address space after clone(2) with CLONE_VM and without CLONE_THREAD, and after
 * vfork(2) until the child has executed another program.  Such memory is freed only when all of
 * them are gone (process_mrelease(2) returns EINVAL until then).  Of all processes in the census,
 * only those are compared that may have what the victim has: a footprint whose upper end reaches
 * the victim's, and code of the same size.  Called by the daemon between the choice and the signal,
 * while the victim still has its memory: afterwards all have none, which is the same.
 */
#pragma once

#include <sys/types.h>

#include "lib/base/util.h"
#include "lib/kill/kill.h"
#include "lib/snapshot/census.h"

/* Killed with one victim at most.  A process beyond that has the memory, and so is chosen next. */
#define SHARERS_MAX KILL_TOGETHER_MAX
/* Compared at most.  Parents, children and siblings are first.  (To look for them takes 0.1 to 0.5
 * ms at 10,000 processes, a comparison 0.3 us.) */
#define SHARERS_COMPARED_MAX 512

/* Relatives are asked about so often, until there is an answer. */
#define SHARERS_TRIES 3

struct sharers {
	const struct census_process *items[SHARERS_MAX]; /* borrowed from the census */
	unsigned n;
	unsigned n_more; /* sharers beyond those, or processes not examined in time */
	int error; /* -errno if it is not known of some process: -EPERM, -ENOSYS, -ETIMEDOUT; of
		    * any, -ESRCH: the victim is gone or about to exit */
};

/* precise_compare() with its deadline; of at most SHARERS_COMPARED_MAX tasks. */
typedef void (*sharers_compare_fn)(pid_t tid, const pid_t *tids, unsigned n, int *ret,
				   void *userdata);

/*
 * memory: what the victim has by a reading just now; allocated: memory_reading.allocated now.
 * Allocates nothing.
 */
void sharers_find(const struct census *census, const struct census_process *victim,
		  const struct proc_memory *memory, uint64_t allocated, sharers_compare_fn compare,
		  void *userdata, struct sharers *ret);
