/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stall: which cgroup stalls, and whether its own limit explains that.
 *
 * A cgroup that is throttled by its memory.high, or that thrashes at its memory.max, makes the
 * whole machine's pressure rise with most of its memory free.  Killing a process elsewhere does not
 * help it.  So the machine's pressure counts only if some cgroup stalls that much which is not at a
 * limit, be it its own or that of a cgroup above it.
 *
 * A walk descends from the root by the total= of memory.pressure: below a cgroup whose total did
 * not move nothing stalled.  The first walk only remembers the totals; each later one gives a
 * verdict over the time since the one before.  A walk is taken in slices and has no step that is
 * unbounded: the number of cgroups, the depth, and how much of a delegated subtree is read.
 *
 * A delegated subtree is one whose directory belongs to another user than the root's does.  Its
 * owner can write memory.high, memory.max and cgroup.pressure of the cgroups in it and can make as
 * many as it likes, so what it reports of itself is not trusted: a cgroup there that was ever
 * throttled or at its maximum (the counters of memory.events cannot be written) counts as limited,
 * and a stall of it counts only where a cgroup without children is found that stalled.  With that
 * its owner can hide the stalls of its own subtree, and no others; and it cannot add any that are
 * by its own limit.
 *
 * Thresholds and shares in permyriad of the time since the walk before.  The cgroup's directory fd
 * is borrowed, and time is an argument.
 */
#pragma once

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/util.h"

/* Cgroups are entered down to this depth: a service of a user's session in a container is at 8. */
#define STALL_DEPTH 16
/* At most so many cgroups are remembered, 32 bytes each, twice as many places. */
#define STALL_CGROUPS_MAX 8192
/* At most so many in one delegated subtree. */
#define STALL_DELEGATED_MAX 1024
/* A cgroup that stalled for less than this share of the time is not entered. */
#define STALL_LEAST 100U
/* A walk gives a verdict over at least so long. */
#define STALL_WINDOW_USEC (500 * USEC_PER_MSEC)

#define STALL_PATH_MAX 512

/* What a cgroup reports of its own limits. */
struct stall_limits {
	uint64_t current;
	uint64_t limit; /* the lower of memory.max and memory.high; UINT64_MAX: none */
	/* How often it was throttled or at its maximum, ever.  Of a delegated one without children:
	 * it or a cgroup in it that has been removed. */
	uint64_t n_events;
	bool delegated;
};

/* Is it at its limit?  Of a delegated one: may it have been? */
bool stall_is_limited(const struct stall_limits *limits);

/* How much of the time some and all of its tasks stalled. */
struct stall_share {
	unsigned some;
	unsigned full;
};

/* One cgroup of a walk, and what was found below it. */
struct stall_node {
	struct stall_share share;
	bool limited;
	bool delegated;
	bool has_children;
	struct stall_share below;    /* the sum of those directly below, each up to all the time */
	struct stall_share greatest; /* of those below that are at no limit */
	bool has_limited;	     /* one below that moved is at its limit */
};

/* Adds to a node a child of which all is known. */
void stall_add_child(struct stall_node *node, const struct stall_node *child);

/*
 * The greatest share of the time that one cgroup in the node (itself included) stalled which is not
 * at a limit:
 *
 * at its limit                    none
 * delegated, with children        the greatest below
 * nothing below is at a limit     its own share
 * otherwise                       the greatest below, or what its children together do not account
 *                                 for (tasks of its own, a cgroup that was removed)
 */
struct stall_share stall_unexplained(const struct stall_node *node);

struct stall_verdict {
	usec_t at;   /* when the walk was over; 0: there is none yet */
	usec_t over; /* how long the time was that it is about, for the root */
	struct stall_share machine;
	struct stall_share unexplained;
	/* The limited cgroup that stalled most, if there is one, and how much; or a delegated one
	 * that hides why it stalls. */
	char limited[STALL_PATH_MAX]; /* its path; the end of it if that is too long */
	struct stall_share limited_share;
	size_t n_read; /* cgroups */
};

/*
 * Is a pressure condition that holds explained by the limit of a cgroup?  It is if there is one,
 * and no other cgroup stalled half as much as the machine did meanwhile, or as the condition asks
 * for (0: it does not).  Others do not stall at all beside a cgroup that is at its own limit, and
 * all that run stall where the machine is short of memory.
 */
bool stall_explains(const struct stall_verdict *verdict, unsigned some, unsigned full);

struct stall_entry {
	uint64_t id; /* the cgroup's inode; 0: a free place */
	uint64_t some;
	uint64_t full;
	usec_t at;
};

struct stall_level {
	int fd;
	off_t position; /* in the directory, after the child that was entered */
	size_t path_length;
	struct stall_node node;
};

struct stall {
	int root_fd; /* of the v2 hierarchy, borrowed */
	struct stall_entry *entries;
	size_t n_places; /* a power of two, or 0 */
	size_t n_entries;
	size_t max_entries; /* STALL_CGROUPS_MAX, but in tests */

	struct stall_verdict verdict; /* of the last walk that was over */

	uid_t owner; /* of the root */

	/* The walk under way: its stack of directories. */
	unsigned n_levels; /* 0: there is none */
	struct stall_level levels[STALL_DEPTH];
	struct stall_verdict draft;
	char path[PATH_MAX];
	unsigned delegated_at; /* the level of the first delegated directory; 0: none */
	size_t n_delegated;
	usec_t began_at;
	usec_t last_began_at; /* 0: there was no walk */
	usec_t busy_usec;     /* what it has taken so far */
	usec_t cost_usec;     /* what the last one took */
};

void stall_init(struct stall *stall, int root_fd);
/* Forgets what was seen and frees its memory. */
void stall_clear(struct stall *stall);

static inline bool stall_is_walking(const struct stall *stall)
{
	return stall->n_levels > 0;
}

/*
 * Begins a walk, or continues the one under way, until it is over or the clock has reached
 * until_usec (one directory entry is always read).  1: it is over, stall->verdict is new (but for
 * the first).  0: it is not.  -errno: it could not be made, and what was seen is forgotten.
 */
int stall_walk(struct stall *stall, usec_t (*clock_now)(void), usec_t until_usec);

/* So long after its beginning the next walk is due: every 2 s, and at most 1% of the time. */
usec_t stall_period(const struct stall *stall);
