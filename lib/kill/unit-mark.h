/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unit-mark: reports to systemd that a unit's process is killed because memory is low.
 *
 * PID 1, and the manager of a user, count such kills by two extended attributes of the unit's
 * cgroup, as systemd-oomd writes them (cgroup v2, Linux 5.7 and later).  When a process of the unit
 * that is its child exits, and when the cgroup runs empty, the manager reads user.oomd_ooms.  If
 * that is more than when it was last read, it does what OOMPolicy= says, with the result oom-kill
 * whatever the exit status; user.oomd_kill, the number of processes, is for its message.  So the
 * first is written before the signal.
 *
 * An attribute is set under the lock of the cgroup's inode, which others may hold for long (a
 * process that makes a cgroup there, and has to wait).  So it is done on a thread, and the caller
 * waits for it no longer than its deadline.
 */
#pragma once

#include <stdbool.h>

#include "lib/base/util.h"

#define UNIT_MARK_OOMS	"user.oomd_ooms"
#define UNIT_MARK_KILLS "user.oomd_kill"

struct unit_marker;

/* v2_fd: the mount of cgroup v2, borrowed. */
int unit_marker_new(int v2_fd, struct unit_marker **ret);
/* Does not wait for a write that is under way: *marker is then left to its thread. */
struct unit_marker *unit_marker_free(struct unit_marker *marker);

/*
 * Before the signal: one more kill in the cgroup whose path is the first `length` bytes of path.
 * Allocates nothing.  0 or -errno of the write if that was over by the deadline (CLOCK_MONOTONIC);
 * else -EINPROGRESS: the write may still be done; -EBUSY: an earlier one is still under way, and
 * nothing is done.
 *
 * PID 1 of systemd 252 compares with the last number of the unit, also if that was in an earlier
 * cgroup of it, before a restart.  So the number is no less than the deadline, which only grows.
 */
int unit_mark(struct unit_marker *marker, const char *path, size_t length, usec_t deadline);

/* After it: so many processes of that cgroup were signalled.  Does not wait. */
void unit_mark_killed(struct unit_marker *marker, unsigned n_processes);

/* It was not killed after all: takes back the last unit_mark().  Does not wait. */
void unit_mark_cancel(struct unit_marker *marker);

/* The number that follows that of an attribute's text, where `n` more are counted, and no less than
 * `least`; pure.  What is no number counts as 0, as for systemd. */
uint64_t unit_mark_next(const char *text, uint64_t n, uint64_t least);
