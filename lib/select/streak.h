/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * streak: are kills repeated in one unit, or among siblings?
 *
 * A ring of the last kills.  Where several of them, within a minute, were of one cgroup, or of one
 * name and user with one parent or session, a single process is not what fills memory: they are
 * compared as one (victim-group.h).
 *
 * Kills help where what was killed does not come back at once: the workers of a server that grow
 * slowly, different programs that are killed one after the other, the compilers of a
 * build of which some end meanwhile.  They do not help where the parent starts another in its place
 * that has filled memory as soon again.  So a victim that is a replacement is told from others: it
 * was started after another of its kin was killed, and is to be killed soon itself.
 *
 * The next job of a queue (a compiler, which would have been started anyway) is none.  A process
 * that is started again has the same arguments; the next job has others.  To read them may block on
 * the memory lock of the process, or on swap: they are compared where they were read together with
 * what it shares (reclaimable.h), else only their length is.  Where both are by fork(2) of one
 * program, which have one stack address (family.h), even the names may differ.
 *
 * Pure: the time is an argument.  Nothing is allocated.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/util.h"
#include "lib/sys/cgroup.h"

#define STREAK_USEC (60 * USEC_PER_SEC)
/* So many kills within that time are a streak. */
#define STREAK_KILLS 3
/* So many where each of the processes is large: the kill of one helps for some time, and the others
 * may finish meanwhile (the compilers of a build). */
#define STREAK_KILLS_LARGE 12
#define STREAK_MAX	   16
/* A victim that was started after a kill of its kin, and is to be killed no later than this after
 * it was started, has replaced what was killed and undone that kill. */
#define STREAK_REPLACED_USEC (30 * USEC_PER_SEC)
/* So many such victims show that kills of one by one do not help, however large each is. */
#define STREAK_REPLACED 3

struct streak_subject {
	const char *cgroup;
	const char *comm;
	pid_t ppid;
	uid_t uid;
	pid_t session;			   /* 0: not known */
	usec_t age;			   /* since it was started; 0: not known */
	uint64_t stack_start, args_length; /* proc_stat's; 0: not known */
	uint64_t args_hash;		   /* struct reclaimable's; 0: not known */
	unsigned n_alike; /* that are there, with it (queue.h); 0: others were killed with it */
};

struct streak_kill {
	usec_t at;	   /* 0: a free place */
	usec_t started_at; /* 0: long ago, or not known */
	pid_t ppid;
	pid_t session;
	uid_t uid;
	uint64_t stack_start, args_length, args_hash;
	unsigned n_alike;
	char comm[16];
	char cgroup[CGROUP_PATH_MAX];
};

/* All zeros: there was no kill. */
struct streak {
	struct streak_kill kills[STREAK_MAX];
	unsigned next;
};

/* By its start and the time now, both in ticks since boot; never 0. */
usec_t streak_age(uint64_t start_ticks, uint64_t ticks_now);

/* now is not 0. */
void streak_add(struct streak *streak, const struct streak_subject *subject, usec_t now);

/* When it was started, by the same clock as now; 0: not known. */
usec_t streak_started_at(const struct streak_subject *subject, usec_t now);

/* Within STREAK_USEC. */
bool streak_is_recent(const struct streak_kill *kill, usec_t now);
/* Of one user, and of one parent or session. */
bool streak_is_near(const struct streak_kill *kill, const struct streak_subject *subject);
/* And of one name: as victim_are_siblings(). */
bool streak_is_kin(const struct streak_kill *kill, const struct streak_subject *subject);
/* Both by fork(2) of one program: family.h. */
bool streak_is_forked(const struct streak_kill *kill, const struct streak_subject *subject);
/* Kin with the same arguments, as far as these are known. */
bool streak_may_be_again(const struct streak_kill *kill, const struct streak_subject *subject);

/* Kills within STREAK_USEC: of this cgroup; of siblings (victim_are_siblings()). */
unsigned streak_of_cgroup(const struct streak *streak, const char *cgroup, usec_t now);
unsigned streak_of_siblings(const struct streak *streak, const struct streak_subject *subject,
			    usec_t now);

/* Those of them that had replaced another which was killed; with the subject, if it has and were to
 * be killed now (in_cgroup: of subject->cgroup). */
unsigned streak_replaced_in_cgroup(const struct streak *streak,
				   const struct streak_subject *subject, usec_t now);
unsigned streak_replaced_siblings(const struct streak *streak, const struct streak_subject *subject,
				  usec_t now);

/* Of the place i: its cgroup, if that has a streak and no newer place has the same; else NULL. */
const char *streak_cgroup(const struct streak *streak, unsigned i, usec_t now);

/* Are so many kills enough, so many of them of replacements, where the largest of the processes has
 * so much of so much memory? */
bool streak_is_enough(unsigned n_kills, unsigned n_replaced, uint64_t largest, uint64_t memory);

/* The same for all of a unit, of which some may have no part in it: one at least of those that were
 * killed is to have been replaced. */
bool streak_is_enough_for_unit(unsigned n_kills, unsigned n_replaced, uint64_t largest,
			       uint64_t memory);

/*
 * May this cgroup be killed as one because of a streak?  By its name alone: not the root, a slice,
 * the scope of a login session or all that systemd runs for a user (each holds more than one
 * program), nor a cgroup with own_cgroup (the daemon's) in it.  subtree: not that one itself.
 */
bool streak_is_unit(const char *cgroup, const char *subtree, const char *own_cgroup);
