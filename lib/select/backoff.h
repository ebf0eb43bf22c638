/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backoff: a process whose kill failed is not tried again at once, and one of a kind whose kill was
 * ineffective is skipped.
 *
 * Two small tables.  One of identities: processes that could not be killed, or that are still
 * exiting with their memory already reclaimed.  One of kinds: after a kill that freed little of
 * what was expected, processes that are likely to free as little.  An identity is not chosen for
 * some time, longer after each failure; a kind is skipped once, and only if another process is
 * worth it.
 *
 * Pure: what is seen of a process, and the time, are arguments.  Nothing is allocated.  The daemon
 * writes (daemon/kill/in-flight.c), victim reads.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/util.h"
#include "lib/config/eligibility.h"
#include "lib/sys/cgroup.h"

#define BACKOFF_MAX	    16
#define BACKOFF_SIMILAR_MAX 4

/* After the first failure; twice as long after each that follows, up to the longest. */
#define BACKOFF_FIRST_USEC   (30 * USEC_PER_SEC)
#define BACKOFF_LONGEST_USEC (600 * USEC_PER_SEC)
/* Of this only so much if its state is another than when it failed: what held it may be over, but a
 * process that thrashes is in another state at each poll. */
#define BACKOFF_CHANGED_SHARE 8

/* A kind is remembered for this long. */
#define BACKOFF_SIMILAR_USEC (60 * USEC_PER_SEC)
/* A process that starts so soon after the exit of one with its name is taken for the same again. */
#define BACKOFF_RESPAWN_USEC (10 * USEC_PER_SEC)

/* What is seen of a process. */
struct backoff_seen {
	pid_t pid;
	uint64_t start_ticks;
	char state; /* as in /proc/PID/stat */
	bool frozen;
	uint64_t footprint; /* bytes */
};

enum backoff_why {
	BACKOFF_UNKILLABLE,    /* signalled, not gone, and its memory is not reclaimed */
	BACKOFF_REFUSED,       /* it could not be opened or signalled */
	BACKOFF_STILL_EXITING, /* it is not gone, but its memory is reclaimed */
};

struct backoff_entry {
	struct backoff_seen failed; /* as it was then; pid 0: a free place */
	enum backoff_why why;
	unsigned n_failures;
	usec_t failed_at;
	unsigned turn; /* the number of the try, of all tries */
	bool changed;  /* its state, since */
};

struct backoff_kind {
	usec_t until; /* 0: a free place */
	uid_t uid;
	char comm[16];
	uint64_t born_from, born_to; /* start times by which it is the same again */
	/* Of the killed one, if its relatives hold the memory that was not reclaimed: they are not
	 * skipped.  code_pages 0: it shared none. */
	pid_t pid, ppid, session;
	unsigned code_pages;
	char cgroup[CGROUP_PATH_MAX];
};

/* What a killed process may have forked while it handled SIGTERM: they have its memory now. */
struct backoff_heirs {
	usec_t until; /* 0: none */
	uint64_t born_from, born_to;
	uid_t uid;
	pid_t session;
	pid_t ppid; /* its own, if that is of the same program and may have forked others */
	unsigned code_pages;
	uint64_t mapped;      /* bytes; 0: not known */
	uint64_t stack_start; /* 0: not known */
};

/* So many victims in succession may turn out, when they are confirmed, to be no longer what was
 * chosen (moved, or a path that cannot be read); from then on each counts as one that failed. */
#define BACKOFF_TRIES	   4
#define BACKOFF_TRIES_USEC (10 * USEC_PER_SEC)

/* All zeros: no process is under backoff. */
struct backoff {
	unsigned n_unconfirmed; /* in succession */
	usec_t unconfirmed_at;	/* the last */
	struct backoff_entry entries[BACKOFF_MAX];
	struct backoff_kind kinds[BACKOFF_SIMILAR_MAX];
	unsigned turn;		    /* victims tried */
	struct backoff_heirs heirs; /* of the last one that exited */
};

/*
 * Killing the identity was tried, with this result.  Returns for how long it is skipped.  If there
 * is no place, the entry that expires first is replaced.
 */
usec_t backoff_add(struct backoff *p, enum backoff_why why, const struct backoff_seen *seen,
		   usec_t now);

/* A victim could not be confirmed.  True: that was one try too many, and it is to be added. */
bool backoff_is_evasive(struct backoff *p, usec_t now);
/* One was. */
static inline void backoff_confirm(struct backoff *p)
{
	p->n_unconfirmed = 0;
}

/* A victim is gone: no process is the last to have failed any more. */
void backoff_succeed(struct backoff *p, pid_t pid, uint64_t start_ticks);

/*
 * The place i as it is seen now; NULL: it has vanished.  A process that could not be killed is
 * tried earlier when its state is another: running or waiting (R, S, I), uninterruptible (D),
 * stopped (T, t), or frozen.  A process that is still exiting is a candidate again when it has
 * grown.
 */
void backoff_observe(struct backoff *p, unsigned i, const struct backoff_seen *seen);

struct backoff_subject {
	pid_t pid;
	uint64_t start_ticks;
	uid_t uid;
	const char *comm;
	const char *cgroup;
	/* By which relatives are known (family.h); 0: not known. */
	pid_t ppid;
	pid_t session;
	unsigned code_pages;
	uint64_t mapped;      /* bytes; 0: not known */
	uint64_t stack_start; /* 0: not read */
	bool shares_memory;   /* of the killed one: much of its memory is shared */
	bool maps_shmem;      /* likewise, may be: its relatives may have touched it since */
};

/*
 * Killing this one was ineffective: its kind is known from now on.  That is every process in the
 * same cgroup (they may share what was not reclaimed, which cannot be known; the root cgroup does
 * not count), and every process that has its name and user and was started in that time, in ticks:
 * from the signal to BACKOFF_RESPAWN_USEC after its exit (restarted, perhaps in a cgroup of its
 * own).  Where it is known to have shared its memory, relatives and the others in its cgroup are
 * not of the kind: they may hold what was not freed, and are next.
 */
void backoff_add_kind(struct backoff *p, const struct backoff_subject *subject, uint64_t born_from,
		      uint64_t born_to, usec_t now);

/*
 * This one has exited after SIGTERM.  What was forked of it from the signal to its exit holds what
 * it held: it is of no kind.  And as it was to exit, but forked instead, the other is killed by
 * SIGKILL.  Known by program, user, session and start, and where that was read, by the address of
 * its stack, which a process has of its parent until it calls execve(2).  A sibling that the parent
 * of the killed one has forked meanwhile is none (forks_siblings: that is of the same program).
 * Parent and session do not matter of one that maps as much as the killed one did.
 */
void backoff_note_heirs(struct backoff *p, const struct backoff_subject *killed,
			bool forks_siblings, uint64_t born_from, uint64_t born_to, usec_t now);
bool backoff_is_heir(const struct backoff *p, const struct backoff_subject *subject, usec_t now);

/* Of which kinds it is, a bit for each. */
unsigned backoff_kinds(const struct backoff *p, const struct backoff_subject *subject, usec_t now);

/* These kinds were skipped, and are not skipped again. */
void backoff_spend(struct backoff *p, unsigned kinds);

enum backoff_verdict backoff_judge(const struct backoff *p, const struct backoff_subject *subject,
				   usec_t now);

/* Instead of one whose kind was ineffective: whose score is not tiny beside its own. */
#define BACKOFF_WORTH_SHARE 8
static inline bool backoff_is_worth(uint64_t score, uint64_t of_kind)
{
	return score >= of_kind / BACKOFF_WORTH_SHARE;
}

/*
 * Was a kill ineffective?  If less than this share of what was expected was reclaimed.
 *
 * freed is all that the whole machine has freed since the choice (memory_reading.freed, and the
 * rise of free swap).  It is the victim's and more: as much as is available now beyond what was,
 * and what was allocated again meanwhile, and what the kernel keeps in its per-CPU lists, up to an
 * eighth of memory from 6.7 on, which MemAvailable does not show (mm/page_alloc.c, nr_pcp_high()).
 * So neither another process that allocates fast nor these lists make an effective kill look
 * ineffective; where others free much, an ineffective kill is taken for an effective one, and no
 * process is skipped.
 *
 * For a victim smaller than the minimum it cannot be told: so much is freed all the time.
 */
#define BACKOFF_INEFFECTIVE_SHARE 8
#define BACKOFF_INEFFECTIVE_MIN	  (64 * MIB)
bool backoff_is_ineffective(uint64_t expected, uint64_t freed);
