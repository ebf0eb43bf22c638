/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * self: how large the daemon itself may become.
 *
 * Its memory is locked, and the kernel's OOM killer must not kill it.  At the limit of its own
 * cgroup (MemoryMax= of its unit) such a process does not die: measured with Linux 6.1, it faults
 * on the same page again and again, until the watchdog of the service manager kills it, 30 s later.
 * So it stops short of that limit by itself: allocations fail before, which is an error like
 * others; and when it is larger than anything that it keeps can explain, it exits and is started
 * again.
 */
#pragma once

#include <stdbool.h>

#include "daemon/base/reserve.h"
#include "lib/base/util.h"

struct machine;
struct regime;

struct self {
	usec_t checked_at;
	size_t n_processes;    /* the most that there were */
	uint64_t config_bytes; /* of the configuration in force, when it was loaded */
	struct reserve reserve;
	uint64_t started_usec; /* CLOCK_REALTIME */
};

/* RLIMIT_DATA by memory.max of its own cgroup (v2), if that has one. */
void self_limit(const struct machine *machine);

/* Has it become so large that it is to be started again?  Checked every ten seconds, and not while
 * a kill is in progress. */
bool self_is_too_large(struct self *self, const struct machine *machine,
		       const struct regime *regime, size_t n_processes, usec_t now);

/* What is allocated now, to tell what a call has allocated. */
uint64_t self_heap_used(void);

/* Returns what was allocated for very many processes to the kernel, where that is worth it.  In
 * calm.  is_locked: own memory is; -errno if it could not be locked again. */
int self_release_memory(bool is_locked);

/* The most that is explained by so many processes. */
uint64_t self_allowance(size_t n_processes);

/* Of RLIMIT_DATA: an eighth of the cgroup's memory is left to the kernel and to files.  used: of
 * memory.max; data: what counts for RLIMIT_DATA now.  0: no limit. */
uint64_t self_data_limit(uint64_t max, uint64_t used, uint64_t data);
