/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * census: the kept snapshot: a tree of the machine, its cgroups, and all processes, with a tally at
 * every node.
 *
 * Processes are attached to their cgroup, or where it has many, to buckets of CENSUS_BUCKET below
 * it; cgroups to the cgroup above, the outermost to the machine, and where that has many, to
 * buckets as well, which are visible only to code that skips them (census_for_each_below()).
 * Kernel threads are not in the tree.  At each node: the tally of anonymous, swapped and shared
 * bytes below; and a bound on the score of any process below, by which a choice skips a whole
 * subtree (victim.c).
 *
 * Kept fresh in four ways, each in its time: census_sweep() reads all processes (once, when watch
 * begins); census_find_new() reads new processes, by the pids allocated since; a round of
 * census_refresh() re-reads the memory of known processes, largest first, in slices; and what
 * changes without a trace is revalidated in turn.  Exits are noticed on the way.
 *
 * How old may a reading be?  Each carries the number of bytes that the machine had ever allocated
 * when it was read (pgalloc_* in /proc/vmstat).  No process can have gained more than the machine
 * has allocated since, so one number bounds the age of all:
 *
 *   footprint(now) <= reading + counting error + allocated since
 *
 * and, for a cgroup, tally + counting errors + allocated since the oldest reading, once.
 * See the list of what holds and what does not at census_interval().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/base/util.h"
#include "lib/config/eligibility.h"
#include "lib/config/policy.h"
#include "lib/snapshot/census-index.h"
#include "lib/snapshot/census-node.h"
#include "lib/snapshot/tally.h"
#include "lib/sys/accuracy.h"
#include "lib/sys/cgroup.h"
#include "lib/sys/memory.h"
#include "lib/sys/proc.h"

/* For this long a measured share bounds a process from above: relatives may exit meanwhile, and
 * what was shared with them is then its own. */
#define CENSUS_MEASURED_USEC (2 * USEC_PER_SEC)

/* RankBy=growth looks back over one to two of these. */
#define CENSUS_GROWTH_USEC (5 * USEC_PER_SEC)

/*
 * There is no notification of what changes with neither an exec nor memory (name, user, cgroup,
 * oom_score_adj).  In watch it is revalidated at these intervals at least: of the CENSUS_LARGEST
 * largest processes, but not of those below CENSUS_LARGEST_MIN or 1 / CENSUS_LARGEST_SHARE of the
 * very largest, until a round finds that they have grown to that; and of all; of a new process
 * three times more in its first seconds.  So it may be out of date by as much; on machines with
 * more than some 10,000 processes, or where polls are late, by more.  In calm it is revalidated
 * only on request (census_catch_up()).  A process that is read in pass 2 (victim.h) is scored with
 * the oom_score_adj of that moment, and the chosen one is revalidated before it is signalled.
 */
#define CENSUS_LARGEST	     64
#define CENSUS_LARGEST_SHARE 64
#define CENSUS_LARGEST_MIN   (1 * MIB)
#define CENSUS_LARGEST_USEC  (2 * USEC_PER_SEC)
#define CENSUS_ALL_USEC	     (20 * USEC_PER_SEC)

/* Pids allocated after `from` and up to `to` are to be revalidated so long after `since`. */
#define CENSUS_N_YOUNG 3
struct census_young {
	pid_t from, to;
	usec_t since;
};

/* Counters by CPU in the kernel make AnonPages and the like lag behind (vmstat_refresh() in
 * mm/vmstat.c): each of some hundred zones and CPUs by at most 125 pages. */
#define CENSUS_SLACK (16 * MIB)

/* What all processes together hold, by /proc/meminfo, bytes: no process can hold more. */
struct census_totals {
	bool is_known;
	uint64_t anon;	/* resident */
	uint64_t swap;	/* in use */
	uint64_t shmem; /* resident, and what is locked: some of that is in anon, too */
	uint64_t pagetables;
	bool knows_swapped;   /* the next two are */
	uint64_t swapped;     /* in and out, since boot */
	uint64_t swap_cached; /* in memory and in swap at once */
};

/* Where swap is in use, statm is read in a round instead of status as long as no process can have
 * more, or less, in swap than when its status was read by more than this.  See census_swap_off().
 */
#define CENSUS_SWAP_OFF_MAX (32 * MIB)

struct census {
	union {
		struct census_node machine;
		struct census_branch root;
	};
	struct census_totals totals;
	struct census_totals status_totals; /* when all statuses were to be read anew */
	uint8_t shares_era;		    /* shares measured in another one are void */
	unsigned walk;	     /* the number of the last walk, of all choices: victim.c */
	unsigned choice;     /* of the last choice */
	size_t n_gone;	     /* seen to have vanished in a choice, and to be dropped after it */
	size_t n_processes;  /* kernel threads too */
	size_t n_nodes;	     /* of the tree */
	uint64_t anon;	     /* resident, of all processes in the tree */
	size_t n_candidates; /* that may be a victim, as far as the census can tell */
	size_t n_unreadable; /* processes that may not be read: never chosen */
	size_t n_hidden;     /* of these, known by number only, since the last listing */
	bool with_swap;	     /* swap was in use at the last sweep or round */
	bool keeps_status;   /* status is read in a round, and kept open; else statm */
	bool keeps_none;     /* there were too few descriptors */
	usec_t swept_at;     /* 0: all are to be read again */
	pid_t last_pid;	     /* the newest allocated, up to the last poll; 0: not known */
	uint64_t oldest_allocated; /* when the oldest reading of all was taken */
	uint64_t largest;	   /* footprint, at the last sweep or round */

	int loadavg_fd; /* kept open; -EXDEV: it tells nothing about this pid namespace */

	/* Borrowed, set once. */
	int proc_fd;
	const struct cgroup_fs *cgroups;
	const struct accuracy *accuracy;
	const struct policy_set *policies;

	/* Places for processes, numbered from 1; and those with a hash, by pid: a list by
	 * next_by_pid begins with by_pid[pid % n_by_pid]. */
	struct census_process **blocks;
	size_t n_blocks;
	uint32_t *by_pid;
	size_t n_by_pid;	   /* a power of two */
	uint32_t spare;		   /* a list too; filled in calm and watch */
	uint32_t dead;		   /* dropped while a round is under way */
	struct census_paths paths; /* the cgroups */
	unsigned kept_fds_max;	   /* statm files that are kept open; 0: 256 */
	uint8_t generation;
	pid_t lookup_from; /* pids after this were looked up last time, perhaps too early; 0: none
			    */

	/* A round under way: all processes known at its start, largest first. */
	uint32_t *order; /* numbers of places */
	size_t n_order, i_order;
	uint64_t round_allocated; /* when the last one began, or the sweep */
	bool compares;		  /* it revalidates all, too; the next one will */
	bool compares_next;
	/* Of census_catch_up(). */
	int listing_fd;	    /* how far it has listed; -EBADF: not begun, or done */
	pid_t listing_last; /* the newest pid when the listing began */
	bool listed;	    /* the round is what is left to do */
	/* Of census_revalidate_some(). */
	usec_t compared_some_at;
	size_t n_by_size; /* so many of order[] are still the largest, but for those with pid 0 */
	size_t next_in_turn; /* as for census_next() */
	usec_t in_turn_at;   /* up to then, those before it had their turn */
	struct census_young young[CENSUS_N_YOUNG];
	uint64_t newest_start; /* of all that were ever read, in clock ticks */
	uint64_t
		settled_before; /* started before that: not young when first listed; 0: not known */
};

int census_init(struct census *census, int proc_fd, const struct cgroup_fs *cgroups,
		const struct accuracy *accuracy, const struct policy_set *policies);
void census_done(struct census *census);

/*
 * New rules, and a new subtree: the next sweep is due now, in which all processes are read.  Until
 * then what is known of them is kept, as it may be that none can be read for now, and a victim must
 * still be available; their weights are those of the old rules, and whether a rule protects them is
 * checked before the signal (eligibility-read.h).  Processes that a rule protected are dropped with
 * that rule.
 */
void census_set_policies(struct census *census, const struct policy_set *policies);

/*
 * Reads all processes.  allocated: memory_reading.allocated at this moment; with_swap: is swap in
 * use. 0 or -errno (-ENOMEM, /proc cannot be listed); processes that vanish meanwhile are left out.
 * Aborts a round that is under way.
 */
int census_sweep(struct census *census, usec_t now, uint64_t allocated, bool with_swap);

/*
 * One slice of a full listing, until *clock() has reached deadline: reads processes that are not
 * known, or are new.  Begins one if none is under way.  1: the listing is done; 0: more is to come;
 * -errno. The first one makes the snapshot (swept_at is 0 until it is done).  Pids may have wrapped
 * around since the last poll, or the last pid may not be what it seems, so census_find_new() alone
 * is not enough.
 */
int census_list(struct census *census, usec_t now, uint64_t allocated, bool with_swap,
		usec_t (*clock)(void), usec_t deadline);
static inline bool census_listing_is_under_way(const struct census *census)
{
	return census->listing_fd >= 0;
}

/*
 * Reads processes that are new since the last call: by number where few pids were allocated since
 * (threads count too).  One read of /proc/loadavg if there is none.  A pid that was reused by a new
 * process is never taken for the old one: start times are compared.  Then revalidates some of the
 * known ones (CENSUS_ALL_USEC).  0; 1: many pids were allocated, so none was looked up:
 * census_list() is due; -errno.
 */
int census_find_new(struct census *census, usec_t now, uint64_t allocated);

/*
 * One slice of a round: re-reads memory, largest first, until *clock() has reached deadline, but of
 * one process at least.  Starts a round if none is under way.  1: the round is done; 0: more is to
 * come; -errno.  Names, cgroups and what else may have changed are read too after an exec, and of
 * all processes in the first round after census_release_fds().
 */
int census_refresh(struct census *census, usec_t now, uint64_t allocated, bool with_swap,
		   usec_t (*clock)(void), usec_t deadline);

/* Is a round worth it?  When so much was allocated since the last one that the largest could no
 * longer be told apart. */
bool census_is_stale(const struct census *census, uint64_t allocated);
static inline bool census_round_is_under_way(const struct census *census)
{
	return census->i_order < census->n_order;
}

/*
 * In calm, on request: reads all new processes, then makes a round that revalidates all, in slices
 * like census_refresh().  1: the census is up to date; 0: more is to come; -errno.
 * census_release_fds() aborts what was begun and not continued.
 */
int census_catch_up(struct census *census, usec_t now, uint64_t allocated, bool with_swap,
		    usec_t (*clock)(void), usec_t deadline);
void census_stop_catching_up(struct census *census);

/* There are no more descriptors: closes those that are kept open, and keeps none from now on. */
void census_keep_none(struct census *census);

/* Back in calm: releases what only watch needs (kept fds and what they pin in the kernel), and
 * frees the memory of processes that have exited. */
void census_release_fds(struct census *census);

/* Keeps some free places, so that a new process in an emergency needs no allocation.  0 or
 * -ENOMEM. */
int census_reserve(struct census *census);

/* The process is another one, has moved, or is gone: re-reads it, or drops it. */
void census_read_anew(struct census *census, pid_t pid, usec_t now, uint64_t allocated);

/* The totals as they are now; before a sweep, a round or a choice. */
void census_set_totals(struct census *census, const struct memory_counters *counters);

/* Anonymous memory of the machine, by census_set_totals(), that no known process has: it belongs to
 * a process that is not known (or is about to exit).  A lower bound; 0 where processes are hidden,
 * or cannot be read. */
uint64_t census_unseen(const struct census *census);

/* A full reading (swap, shared memory and page tables too) that was taken for a choice. */
void census_set_memory(struct census *census, struct census_process *process,
		       const struct proc_memory *memory, uint64_t allocated, usec_t now);

/* Reads one process in full at little cost.  0, PROC_GONE (it is no longer in the census), -errno:
 * its last reading is kept. */
int census_reread(struct census *census, struct census_process *process, uint64_t allocated,
		  usec_t now);

/* The process has vanished, while nodes of the tree must not be freed: it is dropped at the next
 * poll. */
void census_note_gone(struct census *census, struct census_process *process);

/* What was measured of shares is void: a process was killed. */
static inline void census_forget_shares(struct census *census)
{
	census->shares_era++;
}

/* Its oom_score_adj was read elsewhere. */
void census_adjust(struct census *census, pid_t pid, int oom_score_adj);

/* NULL if there is none. */
struct census_process *census_find(const struct census *census, pid_t pid);

/* The next process after so many places, in the order of these; *i is 0 before the first, and the
 * number of the process afterwards.  NULL: that was the last.  Any may be dropped meanwhile. */
struct census_process *census_next(const struct census *census, size_t *i);

#define CENSUS_PASTE_(a, b) a##b
#define CENSUS_PASTE(a, b)  CENSUS_PASTE_(a, b)
#define census_for_each_(census, process, i)                                                       \
	for (size_t i = 0; ((process) = census_next(census, &(i)));)
#define census_for_each(census, process)                                                           \
	census_for_each_(census, process, CENSUS_PASTE(census_i_, __LINE__))

/* "/" for kernel threads. */
const char *census_cgroup_path(const struct census_process *process);
/* Cuts the path of a cgroup to what census_cgroup_path() is of a process in it. */
void census_cut_path(char *path);
bool census_is_in_subtree(const struct census *census, const struct census_process *process);

/* What eligibility_judge() judges, but for self, backoff and total, which the census does not
 * know. */
struct eligibility_subject census_subject(const struct census *census,
					  const struct census_process *process);

/*
 * Where the footprint may be now, when the machine has allocated `allocated` bytes in all: [0,
 * reading + counting error + what was allocated since].  If nothing was allocated since, the lower
 * end is that of the reading: it may have shrunk all the same, but has had no need to.
 *
 * Tried on 6.1, 6.12 and 6.18 by bench/age-bound (docs/benchmarks.md).  It holds for every way
 * found in which a process gets memory: faults, huge pages, MAP_POPULATE, mlock, brk, stack, zero
 * page and huge zero page written, MADV_DONTNEED and again, mremap, MADV_COLLAPSE, private copies
 * of files, copies after a fork, writes from outside (process_vm_writev, /proc/PID/mem, ptrace),
 * userfaultfd, io_uring, swap-in from disk, KSM unmerged, compaction, a CPU taken off line.
 * Swapping out and in moves a page between swap and resident and changes no footprint, allocated or
 * not (swap cache).
 *
 * It does not hold, and what is done about it:
 * - A child of fork() has its parent's resident pages at once: a new process is always read, never
 *   inferred.
 * - Processes that share one memory (CLONE_VM): each shows all of it, so the sum of a cgroup counts
 *   it twice; each by itself is right.
 * - A page allocated before a reading and mapped after it is in neither: for each thread that is in
 *   a fault at that moment a page, at most a huge one (8 MiB seen with 8 threads and huge
 *   pages).
 * - Shared memory is not counted in a footprint, as killing the process does not free it; but
 *   smaps_rollup counts swapped shared memory as swap when a process maps it, whichever process had
 *   it swapped out: a precise read may then be above the bound by that much.
 */
struct interval census_interval(const struct census *census, const struct census_process *process,
				uint64_t allocated, usec_t now);

/* The upper end of that, whatever its share of it is. */
uint64_t census_mapped_at_most(const struct census *census, const struct census_process *process,
			       uint64_t allocated);

/* Was its share measured a moment ago, and does it still hold?  Not if what it maps has changed by
 * more than 1 / CENSUS_MEASURED_OFF since: what is kept is not what is kept of that. */
#define CENSUS_MEASURED_OFF 32
bool census_share_is_current(const struct census *census, const struct census_process *process,
			     usec_t now);

/* The same for a cgroup, a bucket or the machine. */
struct interval census_node_interval(const struct census *census, const struct census_node *node,
				     uint64_t allocated);

/* What all processes below a cgroup, a bucket or the machine have mapped by their last readings. */
uint64_t census_node_mapped(const struct census_node *node);
