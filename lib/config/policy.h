/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy: policies and rules as data, and whether their conditions hold.
 *
 * A policy says when to act (all of its conditions must hold for its time) and how; a rule says
 * which processes may never be a victim, and which are ranked as if larger or smaller.  Everything
 * here is pure: readings are arguments; what has held since when is kept in the domain (domain.h).
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/util.h"
#include "lib/config/executable.h"
#include "lib/sys/memory.h"
#include "lib/sys/psi.h"
#include "lib/sys/reclaim.h"

enum policy_action {
	POLICY_ACTION_NONE,
	POLICY_ACTION_WARN,
	POLICY_ACTION_TERMINATE, /* SIGTERM, then SIGKILL after the grace */
	POLICY_ACTION_KILL,
};

enum policy_rank_by {
	POLICY_RANK_BY_FOOTPRINT,
	POLICY_RANK_BY_BADNESS, /* the kernel's formula */
	POLICY_RANK_BY_SWAP,
	POLICY_RANK_BY_GROWTH,
};

enum policy_target {
	POLICY_TARGET_PROCESS,
	POLICY_TARGET_CGROUP, /* one without cgroups below, with all in it */
};

/* What is thawed when the victim is frozen. */
enum policy_thaw {
	POLICY_THAW_GROUP,
	POLICY_THAW_VICTIM, /* the others remain frozen */
};

/* A threshold: a share of the total, perhaps with a cap in bytes, or a number of bytes. */
struct policy_threshold {
	bool set;
	bool is_size;
	unsigned permyriad;
	uint64_t bytes;
	uint64_t cap; /* of a share: the lower of the two counts; 0: none */
};

struct policy {
	char *name;
	struct policy_threshold memory_available; /* holds when available <= threshold */
	/* Holds when free <= threshold.  No swap: holds beside a threshold of memory, and never
	 * without. */
	struct policy_threshold swap_free;
	unsigned pressure_some; /* permyriad, over the policy's time; 0 is not set */
	unsigned pressure_full;
	/* Of what the kernel reclaimed over the policy's time so much was needed again: permyriad;
	 * 0 is not set. */
	unsigned thrashing;
	usec_t for_usec;
	enum policy_action action;
	enum policy_target target;
	enum policy_rank_by rank_by; /* of processes; cgroups are ranked by footprint */
	usec_t grace_usec;	     /* from SIGTERM to SIGKILL */
	enum policy_thaw thaw;
	bool refreeze; /* what was thawed for the victim, once it is gone */
};

enum rule_kind {
	RULE_PROTECT,
	RULE_PREFER,
	RULE_AVOID,
};

/* How strongly a Protect rule protects: strongest first. */
enum rule_protection {
	RULE_PROTECTION_NEVER,	   /* never killed */
	RULE_PROTECTION_RELUCTANT, /* only if no eligible process is worth killing */
	RULE_PROTECTION_AVOID,	   /* an ordinary candidate of RULE_WEIGHT_ABOVE_CEILING */
};

/* What has to be seen of a process, besides its name, before a built-in rule counts.  A process can
 * set its own name. */
enum rule_proof {
	RULE_PROOF_NONE,
	/* The file that it runs is root's alone to change; if the process is not root's, it also is
	 * in the file system of the system itself. */
	RULE_PROOF_FILE,
	RULE_PROOF_PROGRAM, /* and has one of the rule's names: no interpreter of a script */
};

/* From SIGTERM to SIGKILL where a policy does not say: long enough for an orderly exit, short
 * compared with the time between two thresholds. */
#define POLICY_GRACE_USEC (5 * USEC_PER_SEC)

#define RULE_WEIGHT_PREFER 2.0
#define RULE_WEIGHT_AVOID  0.5
/* Of a process that a rule protects up to the ceiling (eligibility.h), where it is above. */
#define RULE_WEIGHT_ABOVE_CEILING 0.25
/* Of all rules together: beyond that, the processes they match could no longer be told apart by
 * size, as all would have the highest possible score, or none. */
#define RULE_WEIGHT_MAX 1e6
#define RULE_WEIGHT_MIN 1e-6

struct rule_regex;

/* All conditions that are set must match; a rule without any matches nothing (and is refused by
 * conf). */
struct rule {
	enum rule_kind kind;
	char *name;
	double weight;		 /* PREFER: > 1, AVOID: < 1 */
	char *comm_pattern;	 /* as written, for people */
	char *comm_names;	 /* if it is a plain list: "one\0two\0", and an empty one */
	struct rule_regex *comm; /* if it is not */
	char *cgroup; /* globs with blanks between, one must match: cgroup_path_matches() */
	bool has_uid;
	uid_t uid;
	char *unknown_user; /* the name in place of uid: there is no such user, it matches nothing
			     */
	bool builtin;	    /* as built in: not touched by a configuration file */
	/* Of PROTECT.  All zeros, which is what a configuration file makes: never killed, of any
	 * size, without proof. */
	enum rule_protection protection;
	enum rule_protection above_ceiling;
	enum rule_proof proof;
	const char *place; /* globs as in cgroup: where a process with proof must be; "/" itself is
			    * always allowed; not owned; NULL: anywhere */
	bool disabled;	   /* matches nothing; conf removes it in the end */
};

struct policy_set {
	bool dry_run;
	char *subtree;	    /* cgroup path, "/" is everything */
	char *subtree_file; /* the file that sets it, for messages; NULL: none */
	unsigned subtree_line;
	struct policy_threshold watch_below;
	struct policy_threshold min_victim; /* a process that frees less is not killed; not set: a
					     * default that depends on the machine's memory */
	usec_t kill_timeout_usec;	    /* SIGKILL to "unkillable" */

	struct policy *policies;
	size_t n_policies;
	struct rule *rules;
	size_t n_rules;
};

/* The built-in policies (warn, terminate, kill, stall, thrash) and rules (what carries the session
 * and the machine): policy-builtin.c.  0 or -ENOMEM. */
int policy_set_init_defaults(struct policy_set *set);
void policy_set_done(struct policy_set *set);

/*
 * For conf: the policy (or rule, by kind and name), made with defaults, without conditions, and
 * put last if there is none of that name yet.  NULL: no memory.  The pointer is good until the
 * next call.
 */
struct policy *policy_set_policy(struct policy_set *set, const char *name);
struct rule *policy_set_rule(struct policy_set *set, enum rule_kind kind, const char *name);
void policy_set_remove_policy(struct policy_set *set, struct policy *policy);
void policy_set_remove_rule(struct policy_set *set, struct rule *rule);
/* A configuration file changes the rule: it is the administrator's from now on. */
void rule_take_over(struct rule *rule);

/* Compiles pattern (POSIX extended, no back-references) into the rule, in place of an older one;
 * NULL removes it.  0, -ENOMEM, or -EINVAL with the reason in error; the older one is then kept. */
int rule_set_comm(struct rule *rule, const char *pattern, char *error, size_t error_size);

/* What it takes to compile the pattern: 0 for a plain list of names, and for what is refused
 * without being compiled; else in units of at most so much memory, and of some 50 us. */
#define RULE_COST_BYTES (64 * KIB)
unsigned rule_comm_cost(const char *pattern);

/* The names that configuration files use; -EINVAL for others. */
int policy_action_from_string(const char *text, enum policy_action *ret);
int policy_target_from_string(const char *text, enum policy_target *ret);
int policy_rank_by_from_string(const char *text, enum policy_rank_by *ret);
int policy_thaw_from_string(const char *text, enum policy_thaw *ret);
const char *policy_action_to_string(enum policy_action action);
const char *policy_target_to_string(enum policy_target target);
const char *policy_rank_by_to_string(enum policy_rank_by rank_by);
/* The ranking in effect now: cgroups, and processes beside them, are ranked by footprint.  Where no
 * swap is in use, processes could not be told apart by it, and none would be worth a kill; the
 * footprint counts then. */
enum policy_rank_by policy_rank_by_now(const struct policy *policy,
				       const struct memory_reading *memory);
const char *rule_kind_to_string(enum rule_kind kind);

/* What rules are matched against. */
struct rule_subject {
	const char *comm; /* NULL: a whole cgroup, which no name and no user matches */
	const char *cgroup;
	uid_t uid;
	const struct executable *executable; /* NULL: not read yet */
};

struct rule_verdict {
	/* The strongest PROTECT rule that matches, of equals the first, or NULL. */
	const struct rule *protected_by;
	/* The product of all PREFER and AVOID that match, in [RULE_WEIGHT_MIN, RULE_WEIGHT_MAX],
	 * and of the protection above the ceiling. */
	double weight;
	/* A rule asks for what the process runs.  Without subject->executable it did not match:
	 * executable_apply_rules(). */
	bool asks_executable;
};

/* Not between decision and signal: regexec(3) allocates, if a rule of the user has a pattern that
 * is not a plain list of names.  The built-in rules are plain lists. */
void policy_apply_rules(const struct policy_set *set, const struct rule_subject *subject,
			struct rule_verdict *ret);

/* What a policy judges. */
struct policy_reading {
	const struct memory_reading *memory;
	const struct psi_history *psi;	       /* NULL: this machine has no PSI */
	const struct reclaim_history *reclaim; /* NULL: not known */
	uint64_t unswappable;	   /* anonymous bytes that may not be swapped out (swap-room.h) */
	uint64_t page_size;	   /* for reclaim; 0: swap is taken to be in use */
	bool stalls_are_explained; /* by the limit of a cgroup: pressure does not count (stall.h) */
};

/* Thrashing over less than this cannot be distinguished from the start of any shortage, in which
 * some of what the kernel reclaims is needed again (docs/defaults.md). */
#define POLICY_THRASHING_WINDOW_USEC (2 * USEC_PER_SEC)

/*
 * Free swap is no help, and a condition on it counts as met, in a policy that has one on memory
 * too, where
 * - all but so much of the anonymous memory as the policy's threshold of swap, taken of memory, may
 *   not be swapped out, or
 * - memory has been all but gone for some seconds, and the kernel has not used it
 *   (reclaim_leaves_swap_unused()).
 */
bool policy_swap_is_no_help(const struct policy *policy, const struct policy_reading *reading);
/* Its conditions on memory and swap alone. */
bool policy_memory_holds(const struct policy *policy, const struct policy_reading *reading);
bool policy_waits_for_pressure(const struct policy *policy);
/* Those on pressure and thrashing alone. */
bool policy_activity_holds(const struct policy *policy, const struct policy_reading *reading);
/* That on pressure would hold, but it is not known yet whether the machine reclaims memory: that is
 * sampled in watch, and not in calm. */
bool policy_is_worth_watching(const struct policy *policy, const struct policy_reading *reading);
/*
 * Do the policy's conditions hold now?  Those on memory and swap at this reading; those on
 * pressure on the average over the policy's time (1 s at least), and only if the machine had to
 * reclaim memory in that time, as far as that is known.  No PSI: they never hold.  Thrashing in
 * both halves of the policy's time (2 s at least), as any shortage begins with some; where nothing
 * is known of reclaim it never holds.
 */
bool policy_holds(const struct policy *policy, const struct policy_reading *reading);

/* The threshold in bytes on this machine; 0 where it is not set. */
uint64_t policy_threshold_bytes(const struct policy_threshold *threshold, uint64_t total);
/* 100%: it always holds, whatever is available. */
bool policy_threshold_is_all(const struct policy_threshold *threshold);

/*
 * The floor: a policy that terminates or kills by levels of memory and swap does not hold while
 * more than half of memory is available: no process is short of it, and a kill would change nothing
 * that the policy depends on.  Exempt are a threshold of memory of 100%, which makes a policy hold
 * always, and one beside a condition on pressure or thrashing, as that shows the shortage.
 */
bool policy_has_floor(const struct policy *policy);
uint64_t policy_floor_bytes(uint64_t total);

/* How far available memory is above the threshold (and the floor), and free swap above its
 * threshold: 0 where the condition is not set or holds, UINT64_MAX where it never does. */
uint64_t policy_memory_headroom(const struct policy *policy, const struct memory_reading *memory);
uint64_t policy_swap_headroom(const struct policy *policy, const struct memory_reading *memory);

/*
 * How fast memory could plausibly be allocated.  Measured on a two-core guest of 6.18: 0.8-1.6
 * GiB/s by one thread that touches fresh 4 KiB pages, 1.5-2.3 GiB/s by two, 2.2-7.3 GiB/s with huge
 * pages.  What is faster than this crosses a threshold between two polls; the pressure trigger is
 * then earlier.
 */
#define POLICY_FILL_BYTES_PER_SEC (3 * GIB)
/* Swap is written at most at a disk's speed, or a compressor's: earlyoom saw 0.4-0.8 GiB/s (2.2 at
 * the peak) on zram. */
#define POLICY_SWAP_FILL_BYTES_PER_SEC (1 * GIB)

/* At that rate 20 ms fill 60 MiB, the distance between the thresholds of a 1 GiB machine; 250 ms is
 * the resolution of the history of pressure (PSI_STEP_USEC).  10 s: six wake-ups a minute where
 * memory is plenty; 100 ms: below that, watch polls instead. */
#define POLICY_INTERVAL_CALM_MIN_USEC  (100 * USEC_PER_MSEC)
#define POLICY_INTERVAL_CALM_MAX_USEC  (10 * USEC_PER_SEC)
#define POLICY_INTERVAL_WATCH_MIN_USEC (20 * USEC_PER_MSEC)
#define POLICY_INTERVAL_WATCH_MAX_USEC (250 * USEC_PER_MSEC)

/*
 * How long until the next poll in calm: until available could reach the threshold of a policy that
 * terminates or kills, and half of the time for which it then has to hold (which counts from the
 * poll; so much later it may act at worst, where no other policy has required a poll).  In watch
 * it is pace_interval().
 */
usec_t policy_interval(const struct policy_set *set, const struct memory_reading *memory);

/*
 * The interval, or as much longer as is needed for polls to take no more than this part of a CPU,
 * where the last one has taken so much CPU time: on a slow machine (emulated, overcommitted) they
 * would keep a victim from exiting.  But no longer than this for that.
 */
#define POLICY_POLL_PART     8
#define POLICY_POLL_MAX_USEC (250 * USEC_PER_MSEC)
usec_t policy_pause(usec_t interval, usec_t spent);
