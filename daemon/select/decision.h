/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * decision: one decision, from the choice to its record: what is confirmed, carried out and
 * reported.  Holds no pointers into the census: that moves on.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/util.h"
#include "lib/config/policy.h"
#include "lib/kill/kill.h"
#include "lib/select/backoff.h"
#include "lib/select/victim.h"
#include "lib/sys/cgroup.h"
#include "lib/sys/memory.h"
#include "lib/sys/proc.h"

struct selection;

/* Which other processes are killed with the victim (kill-plan.h). */
struct decision_others {
	enum victim_as_one as_one; /* after a streak of kills */
	unsigned n_siblings;	   /* that are, for that */
	pid_t starter_pid;	   /* what has started it again: one of n_siblings then */
	char starter_comm[16];
	char group[CGROUP_PATH_MAX]; /* all of this cgroup; "": of none */
	bool is_flagged;	     /* by memory.oom.group, not by the policy */
	unsigned n_processes;	     /* killed: by the census, then those signalled */
	unsigned n_sharers;	     /* processes that share its memory */
	unsigned n_relatives;	     /* likewise: they share its memory copy on write */
	unsigned n_sharers_left;     /* beyond those: too many, or not examined */
	struct kill_rest rest;	     /* sharers and relatives that no pidfd is kept of */
	unsigned n_rest_gone;	     /* the first of them */
	int sharers_error;	     /* -errno: of some it is not known */
	pid_t spared_pid;	     /* a sharer that may not be killed, so none is; 0: none */
	char spared_comm[16];
};

/* The second in the ranking that is not killed with it. */
struct decision_next {
	pid_t pid; /* 0: there was none, or a cgroup */
	char comm[16];
	char group[128]; /* a cgroup: its path, perhaps cut */
	uint64_t footprint;
};

/* The one with the higher score that was skipped; of a cgroup: the largest in it. */
struct decision_skipped {
	pid_t pid; /* 0: there was none */
	char comm[16];
	char group[128]; /* a cgroup: its path, perhaps cut */
	enum backoff_verdict why;
	unsigned kinds; /* as in backoff_kinds() */
};

/* What became of it, from the signal to the record. */
struct decision_kill {
	int signal; /* the last one sent */
	usec_t signalled_at;
	usec_t signal_usec;	 /* from the start of the tick to the signal */
	struct kill_watch watch; /* of its memory, since SIGKILL */
	bool hastened;
	usec_t gone_at;		 /* seen to have exited; 0: not yet */
	uint64_t gone_available; /* memory and swap, then */
	usec_t finished_at;
	usec_t frozen_usec; /* since the signal, in which the victim could do nothing about it */
	unsigned n_thawed_again;  /* because its group was frozen again meanwhile */
	bool stays_frozen;	  /* it cannot be helped: there is nothing to wait for */
	bool cancelled_by_reload; /* no SIGKILL any more: the configuration is another */
	bool skips_term;	  /* SIGKILL in place of a SIGTERM that it could not have handled */
	bool unit_is_marked;	  /* its unit's manager was notified: unit.h */
	int unit_error;		  /* -errno of that */
	int refrozen;		  /* levels frozen again, or -errno */
	enum kill_progress outcome;
	usec_t backoff_usec; /* 0: not because it failed */
	uint64_t freed;	     /* bytes, by the whole machine, until it was over */
	bool ineffective;    /* little of what was expected was reclaimed: backoff.h */
};

struct decision {
	/* The victim; where a cgroup is killed as a whole, the largest in it or the one that was
	 * chosen. */
	pid_t pid;
	uint64_t start_ticks;
	uid_t uid;
	char comm[16];
	char cgroup[CGROUP_PATH_MAX];
	char v1_freezer[CGROUP_PATH_MAX];
	pid_t ppid, session;
	unsigned code_pages;
	uint64_t stack_start; /* when it was confirmed; 0: may not be read; likewise the next */
	uint64_t args_length;
	uint64_t args_hash;   /* when it was chosen; 0: not known */
	bool shares_memory;   /* much of it, with relatives (family.h) or others */
	unsigned n_respawned; /* it was started again after so many kills in succession */

	/* By the policy. */
	char policy[64];
	enum policy_target target;
	enum policy_action action;
	usec_t grace_usec;
	enum policy_thaw thaw;
	bool refreeze;
	bool dry_run;

	/* The choice. */
	bool is_reluctant;	   /* of those that are victims only if no other is worth killing */
	struct proc_memory memory; /* the reading that decided; of all of the cgroup */
	uint64_t held;		   /* of memory: by descriptors alone */
	uint64_t alone;		   /* what the victim alone frees, at least */
	bool is_unit;		   /* most of it is shared with relatives: kill-plan-family.c */
	size_t n_candidates;
	unsigned n_reads;
	bool approximate;
	struct memory_reading before; /* the machine, at the decision */
	unsigned pressure_full;	      /* permyriad, over the policy's time */
	unsigned n_reloads;	      /* the manager's, then */
	usec_t decided_at;
	usec_t choose_usec; /* from decided_at until it was chosen */
	struct decision_next next;
	struct decision_skipped skipped;

	struct decision_others others;
	int error; /* -errno of opening or signalling, 0 */
	struct decision_kill kill;
};

/* Records which process was chosen (sel->choice.ranked[0]) and why.  Allocates nothing. */
void decision_record(struct decision *d, const struct selection *sel, const struct policy *policy,
		     usec_t now);

/* Was a cgroup chosen, rather than a process with which one is killed? */
static inline bool decision_is_of_cgroup(const struct decision *d)
{
	return d->target == POLICY_TARGET_CGROUP && d->others.as_one == VICTIM_ALONE &&
	       !d->others.is_flagged;
}

/* Is no other process killed with the victim? */
static inline bool decision_is_of_one(const struct decision *d)
{
	return d->others.group[0] == '\0' &&
	       d->others.n_siblings + d->others.n_sharers + d->others.n_relatives == 0;
}

/* Is this one killed with the victim: in the group that is killed as a whole, or, where victim is
 * not NULL, among those that share its memory? */
bool decision_is_killed_with(const struct decision *d, const struct kill_victim *victim,
			     const struct victim_candidate *candidate);

/* The next victim: the second of the ranking, but for those that are killed with the victim. */
void decision_note_next(struct decision *d, const struct victim_result *result,
			const struct kill_victim *victim);

/* The killed process, for what is learned of others like it.  Points into d. */
struct backoff_subject decision_subject(const struct decision *d);
