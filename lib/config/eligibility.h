/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * eligibility: may this process be killed?  The only predicate.
 *
 * It judges a subject, which is filled from the snapshot (census_subject()) or from a live read
 * (eligibility_read()), and opens nothing itself.  A new reason not to kill is one enumerator here
 * and its row in eligibility.c; all code that kills, counts or explains takes it from there.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/config/policy.h"

/* What earlier attempts say of it (backoff.h), in this order. */
enum backoff_verdict {
	BACKOFF_NONE,	     /* no earlier attempt failed */
	BACKOFF_SIMILAR,     /* not if another process is worth it */
	BACKOFF_CONSECUTIVE, /* was the last to fail: not if there is any other process */
	BACKOFF_SKIP,
};

/* The first reason that holds, in this order, is the one that counts. */
enum eligibility {
	ELIGIBILITY_ELIGIBLE,
	ELIGIBILITY_KTHREAD,
	ELIGIBILITY_INIT, /* of the daemon's own pid namespace, which is that of its /proc */
	ELIGIBILITY_SELF,
	ELIGIBILITY_ADJ_MIN, /* oom_score_adj is -1000 */
	ELIGIBILITY_OUTSIDE_SUBTREE,
	ELIGIBILITY_PROTECTED,	       /* by a rule of the administrator's */
	ELIGIBILITY_PROTECTED_BUILTIN, /* by a rule that is built in */
	ELIGIBILITY_UNREADABLE,
	ELIGIBILITY_NO_MEMORY, /* a zombie */
	ELIGIBILITY_SKIPPED,   /* an earlier attempt failed: backoff.h */
	/* Not refused: a victim only if no eligible process is worth killing, ranked by raw size.
	 */
	ELIGIBILITY_RELUCTANT,
	_ELIGIBILITY_MAX,
};

/* Below this, the owner of a process asks for it to be kept, and the product of size and weight
 * says little about it: a leak at -999 would count as a thousandth of its size. */
#define ELIGIBILITY_RELUCTANT_ADJ (-900)

/* A built-in rule protects a process of a user only up to this share of memory; whatever its name
 * is, its user can make it allocate (LD_PRELOAD, ptrace). */
#define ELIGIBILITY_CEILING_PERMYRIAD 2500U

struct eligibility_subject {
	pid_t pid;
	pid_t self; /* the daemon's; 0: not asked for */
	bool kthread;
	bool in_subtree;
	bool has_memory;
	int oom_score_adj;
	int error;			 /* negative errno of reading its memory; 0 */
	const struct rule *protected_by; /* the strongest Protect rule that matches, or NULL */
	enum backoff_verdict backoff;
	uint64_t reclaimable; /* bytes that killing it would free */
	uint64_t total;	      /* memory of the machine; 0: not known, and no ceiling is passed */
};

enum eligibility eligibility_judge(const struct eligibility_subject *subject);

/* Neither eligible nor reluctant. */
static inline bool eligibility_is_refused(enum eligibility e)
{
	return e != ELIGIBILITY_ELIGIBLE && e != ELIGIBILITY_RELUCTANT;
}

/* Would it be refused whatever its memory is, and whatever failed before?  By its attributes
 * alone. */
bool eligibility_is_ruled_out(const struct eligibility_subject *subject);

/*
 * Is it spared where its cgroup is killed as a whole, or a process that shares its memory?  What
 * was skipped, cannot be read or is a zombie is signalled with the others.  reluctantly: the victim
 * is a reluctant one itself.
 */
bool eligibility_is_spared(enum eligibility e, bool reluctantly);

/* As a member, does it forbid that its cgroup is killed?  What a rule protects, is reluctant,
 * cannot be read, was skipped or is a zombie is spared, or signalled, but no reason to spare the
 * others. */
bool eligibility_forbids_group(enum eligibility e);

/* Of a cgroup that is killed as a whole, by that of its members, in any order: what one of them
 * forbids; else eligible if one is, else reluctant if one is. */
enum eligibility eligibility_join(enum eligibility a, enum eligibility b);

/* For people: "a kernel thread". */
const char *eligibility_to_string(enum eligibility e);
/* For programs: "kernel_thread"; NULL for an eligible one. */
const char *eligibility_to_key(enum eligibility e);
/* For a count: "kernel threads". */
const char *eligibility_to_noun(enum eligibility e, size_t n);
