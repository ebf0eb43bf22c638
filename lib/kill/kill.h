/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill: kills one victim, in ordered steps: open, boost, signal, reap, thaw; then watch.
 *
 * A victim is a process and the others that are killed with it: those that share its memory
 * (sharers.h), or all of a cgroup (kill-group.h).  Each step is done for all of them before the
 * next one begins.
 *
 * Every system call goes through an ops table, so that a test can record and disturb each step.
 * Nothing here allocates, takes a lock of the victim on the caller's thread, or waits: reaping
 * (process_mrelease(2), which takes as long as the memory is large) runs on threads of its own,
 * made at start, SCHED_FIFO where that is permitted.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/util.h"
#include "lib/kill/freezer.h"
#include "lib/kill/kill-group.h"
#include "lib/kill/kill-reap.h"
#include "lib/sys/proc.h"

typedef int (*kill_list_fn)(pid_t pid, void *userdata);

/*
 * Each returns 0 (or an fd) or -errno.  kill_ops_system is the real one.  boost, thaw (with
 * read_cgroups) and process_mrelease may be NULL: that step is then not needed.
 */
struct kill_ops {
	int (*pidfd_open)(pid_t pid);
	int (*pidfd_send_signal)(int pidfd, int signal);
	int (*process_mrelease)(int pidfd);
	/* 0 with *ret, PROC_GONE (proc.h), or -errno. */
	int (*read_start)(int proc_fd, pid_t pid, uint64_t *ret_start_ticks);
	/* SCHED_OTHER, nice -20, for every thread: a starved victim frees nothing. */
	int (*boost)(int proc_fd, pid_t pid);
	int (*thaw)(const struct cgroup_fs *fs, const char *v2_path, const char *v1_path,
		    struct freezer_thawed *thawed);
	/* 0 with both paths, each of up to size bytes, PROC_GONE, or -errno. */
	int (*read_cgroups)(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *v2_path,
			    char *v1_path, size_t size);
	/*
	 * Of a group (kill-group.h): all processes in it and below, until f returns anything but 0,
	 * which is then returned; SIGKILL to all at once; freeze (1: it was already) or thaw; is
	 * there a process in it (0: no, or it is gone)?
	 */
	int (*group_list)(int dir_fd, kill_list_fn f, void *userdata);
	int (*group_kill)(int dir_fd);
	int (*group_freeze)(int dir_fd, bool freeze);
	int (*group_is_populated)(int dir_fd);
	usec_t (*now)(void); /* when a step was over; NULL: not needed */
};
extern const struct kill_ops kill_ops_system;

/* Threads boosted at most: at 2.5 us each they delay the signal by 10 ms; threads that are not
 * boosted exit all the same, only later. */
#define KILL_BOOST_MAX_THREADS 4096

enum kill_step {
	KILL_STEP_OPEN, /* of the victim itself */
	KILL_STEP_BOOST,
	KILL_STEP_SIGNAL,
	KILL_STEP_REAP, /* queued for a reaper */
	KILL_STEP_THAW,
	_KILL_STEP_MAX,
};
const char *kill_step_to_string(enum kill_step step);

/*
 * Those for which there is no place among the others: each is signalled through a pidfd that is
 * open for this alone, after a comparison of start times.  Nothing watches them.
 */
#define KILL_REST_MAX 448

struct kill_rest {
	struct {
		pid_t pid;
		uint64_t start_ticks;
	} items[KILL_REST_MAX];
	unsigned n;
};

/* false: it is full. */
bool kill_rest_add(struct kill_rest *rest, pid_t pid, uint64_t start_ticks);
bool kill_rest_has(const struct kill_rest *rest, pid_t pid);

struct kill_target {
	pid_t pid;
	uint64_t start_ticks;
	const char *v2_path; /* borrowed for the call; "/" if unknown */
	const char *v1_path; /* of the v1 freezer; NULL: none */
	/* Of a group: is this member left alone?  NULL: none is. */
	bool (*spares)(pid_t pid, void *userdata);
	void *userdata;
	const struct kill_rest *rest; /* NULL: there is none */
	/* Neither boost nor reap yet: kill_hasten() does, if it turns out to be needed. */
	bool without_haste;
};

struct kill_other {
	pid_t pid;
	uint64_t start_ticks;
	int pidfd;
};

#define KILL_OTHERS_MAX	  63
#define KILL_TOGETHER_MAX (KILL_OTHERS_MAX + KILL_REST_MAX)

/* One victim from the first step until it is accounted for. */
struct kill_victim {
	pid_t pid;
	uint64_t start_ticks;
	int pidfd;
	struct kill_other others[KILL_OTHERS_MAX]; /* killed with it; of a group the largest */
	unsigned n_others;
	bool is_family; /* SIGTERM is sent to the others, too: they hold the memory together */
	struct kill_group group;
	int signal; /* the last one sent, 0: none yet */
	struct freezer_thawed thawed;
	/* Of each step: the first -errno, else 0; 1 = not needed. */
	int step_result[_KILL_STEP_MAX];
	usec_t step_at[_KILL_STEP_MAX]; /* by ops->now, when it was last taken; 0: never */
};

void kill_victim_init(struct kill_victim *victim);
void kill_victim_done(struct kill_victim *victim); /* closes fds, does not refreeze */
/* All but the first n of the others: they are not killed with it. */
void kill_victim_drop_others(struct kill_victim *victim, unsigned n);

enum { KILL_GONE = 1 };

/* Opens the pidfd and compares start times: from here on a reused pid cannot be mistaken for it.
 * 0, KILL_GONE (vanished, or the pid was reused), or -errno. */
int kill_open(const struct kill_ops *ops, int proc_fd, const struct kill_target *target,
	      struct kill_victim *victim);

/* One more that is killed with the victim: the same, and -errno (-EPERM) if it may not be
 * signalled, -ENOSPC. */
int kill_open_other(const struct kill_ops *ops, int proc_fd, pid_t pid, uint64_t start_ticks,
		    struct kill_victim *victim);

/*
 * Signals (SIGTERM or SIGKILL), after a boost if it is SIGKILL, then (SIGKILL) queues for reaping
 * if reapers is not NULL, then thaws the whole group.  SIGKILL is sent to the others (and the rest)
 * too, SIGTERM to the victim alone: a process that is asked to exit may need them for it; all
 * members of a group get either.  SIGKILL before the thaw: a killed victim must not run on.  The
 * reap before the thaw, which it does not need (process_mrelease(2) frees the memory of a frozen
 * process): a thaw may wait for programs which move or make cgroups, and a victim that runs has
 * detached its memory within 100 us and then frees it by itself.  May be called again to escalate;
 * what the first call thawed is still known, and processes that have exited meanwhile are skipped.
 * 0; KILL_GONE: none is left; or the -errno of the signal (-EPERM; nothing more is done then).
 * What failed besides (a boost, a reap, a thaw, the signal to another) is in step_result and does
 * not stop it.
 */
int kill_signal(const struct kill_ops *ops, int proc_fd, const struct cgroup_fs *fs,
		const struct kill_target *target, int signal, struct kill_reapers *reapers,
		struct kill_victim *victim);

/*
 * For a victim that has had SIGKILL without haste and is starved: boosts and reaps it and the
 * others.  Both take CPU time from the rest of the machine, at its worst moment: a reap at
 * SCHED_FIFO delayed others by up to 50 ms on two CPUs, where a victim that gets its share of them
 * exits as soon by itself.
 */
void kill_hasten(const struct kill_ops *ops, int proc_fd, struct kill_reapers *reapers,
		 struct kill_victim *victim);

/* If nothing of a killed victim's memory was reclaimed for this long, it is starved, or cannot
 * run. */
#define KILL_STARVED_USEC (20 * USEC_PER_MSEC)

/* When memory of the victim was last reclaimed, and how much until then; all 0: the signal was sent
 * just now. */
struct kill_watch {
	usec_t moved_at;
	uint64_t reclaimed;
};

/*
 * Is a killed victim starved?  reclaimed: by how much more is available now than before; expected:
 * its footprint.  Pure, but for *watch, which it keeps.  Progress is a 64th of what is expected, or
 * 1 MiB if that is more.
 */
bool kill_is_starved(struct kill_watch *watch, usec_t now, uint64_t reclaimed, uint64_t expected);

/* Have all of them exited?  Polls the pidfds without waiting.  (With a group, ask for that too:
 * kill_group_is_gone().) */
bool kill_is_gone(const struct kill_victim *victim);

/* Watching: pure. */
enum kill_progress {
	KILL_PROGRESS_WAIT,
	KILL_PROGRESS_EXITED,	  /* exited */
	KILL_PROGRESS_RECLAIMED,  /* still exiting, but its memory was reclaimed */
	KILL_PROGRESS_ESCALATE,	  /* now SIGKILL */
	KILL_PROGRESS_CANCELLED,  /* asked to exit, did not, but the emergency is over */
	KILL_PROGRESS_UNKILLABLE, /* try the next */
};
const char *kill_progress_to_string(enum kill_progress progress);

struct kill_facts {
	int signal; /* the last one sent, 0: none yet */
	bool gone;
	usec_t since_signal;	   /* since the last signal */
	usec_t grace;		   /* SIGTERM to SIGKILL */
	usec_t timeout;		   /* SIGKILL to unkillable */
	bool emergency_holds;	   /* the policy's conditions hold now */
	bool next_level;	   /* a policy with action kill demands to act */
	uint64_t expected_bytes;   /* the footprint, at the choice */
	uint64_t available_before; /* MemAvailable + swap free, bytes, before the signal */
	uint64_t available_now;
	uint64_t footprint_now; /* of the victim, by a fresh reading; UINT64_MAX: not known */
};

/*
 * The memory is reclaimed when available has risen by this share of what was expected (others go on
 * allocating meanwhile).  Of a victim smaller than the minimum it cannot be told from the rest of
 * the machine: only its exit counts.
 */
#define KILL_RECLAIMED_PERMYRIAD 8750
#define KILL_RECLAIMED_MIN	 (16 * MIB)

/*
 * First row that holds:
 *
 * SIGKILL	exited						EXITED
 *		memory reclaimed				RECLAIMED
 *		before the timeout				WAIT
 *		its footprint is down to what need not be freed		RECLAIMED
 *		otherwise					UNKILLABLE
 * SIGTERM	exited						EXITED
 *		next level					ESCALATE
 *		emergency over, memory reclaimed		RECLAIMED
 *		within the grace				WAIT
 *		emergency holds					ESCALATE
 *		otherwise					CANCELLED
 *
 * "Memory reclaimed" takes both: available has risen (the footprint alone shows 0 as soon as the
 * victim has detached its address space, which may be long before the pages are free: exit_mmap()
 * in mm/mmap.c), and the footprint, where it is known, has fallen (what became available may be
 * another's).
 */
enum kill_progress kill_judge(const struct kill_facts *facts);

/*
 * The victim has exited so long ago, and little was freed.  Is it still to be waited for?  The last
 * of its pages are freed by others: page tables after a grace period of RCU (tlb_remove_table() in
 * mm/mmu_gather.c), seconds late on a machine that is short of CPU time; what was in flight, by its
 * holder.  So for KILL_LATE_USEC; and for ten times as long while nothing is lost by it, that is,
 * while available memory (and swap) has fallen by less than an eighth.  Where most of what is
 * expected are page tables, for a hundred times as long: with emulated CPUs 680 MiB of them took
 * more than a second.  While a thread of our own is reading the process (precise.h) its memory is
 * kept by that, and will surely be freed.
 */
#define KILL_LATE_USEC	      (100 * USEC_PER_MSEC)
#define KILL_LATE_MAX_USEC    (1 * USEC_PER_SEC)
#define KILL_LATE_TABLES_USEC (10 * USEC_PER_SEC)
struct kill_late {
	const struct proc_memory *expected;
	usec_t since_gone;
	uint64_t available_then, available_now;
	bool is_read;
};

bool kill_may_free_more(const struct kill_late *late);
