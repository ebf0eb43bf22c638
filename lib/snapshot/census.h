/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * census: the kept snapshot: a tree of the machine, its cgroups, and all processes, with a tally at
 * every node.
 *
 * Processes hang on their cgroup, or where it has many, on bundles of CENSUS_BUNDLE under it;
 * cgroups under the cgroup above, the outermost under the machine, and where that has many, on
 * bundles as well, which only what skips them sees (census_for_each_below()).  Kernel threads are
 * not in the tree.  At each node: the tally of anonymous, swapped and shared bytes below; and a
 * bound on the score of any process below, by which a choice passes over a whole subtree
 * (victim.c).
 *
 * Kept fresh in four ways, each in its time: census_sweep() reads everybody (once, when watch
 * begins); census_find_new() looks at who has come since, by the pids given out since; a round of
 * census_refresh() reads the memory of those that are known, largest first, in slices; and
 * what changes without a trace is compared in turn.  Exits are noticed on the way.
 *
 * How old may a reading be?  Each carries the number of bytes that the machine had ever handed out
 * when it was read (pgalloc_* in /proc/vmstat).  No process can have gained more than the machine
 * was given since, so one number bounds the age of all:
 *
 *   footprint(now) <= reading + counting error + handed out since
 *
 * and, for a cgroup, tally + counting errors + handed out since the oldest reading, once.
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

/* So long a measured share bounds a process from above: relatives may exit meanwhile, and what was
 * shared with them is its own then. */
#define CENSUS_MEASURED_USEC (2 * USEC_PER_SEC)

/* RankBy=growth looks back over one to two of these. */
#define CENSUS_GROWTH_USEC (5 * USEC_PER_SEC)

/*
 * What changes with neither an exec nor memory (name, user, cgroup, oom_score_adj) nobody tells of.
 * In watch it is compared: of the CENSUS_LARGEST largest, and of everybody, at least so often; of
 * who has just come, three times more in the first seconds.  So it may be out of date by as much;
 * on machines with more than some 10,000 processes, or where looks are late, by more.  In calm not
 * at all, but for who asks (census_catch_up()).  Who is read in pass 2 (victim.h) is weighed by the
 * oom_score_adj of that moment, and who is chosen is compared before he is signalled.
 */
#define CENSUS_LARGEST	      64
#define CENSUS_LARGEST_USEC   (2 * USEC_PER_SEC)
#define CENSUS_EVERYBODY_USEC (20 * USEC_PER_SEC)

/* Those given out after `from` and up to `to` are to be compared so long after `since`. */
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
	pid_t last_pid;	     /* the newest given out, as far as we have looked; 0: not known */
	uint64_t oldest_allocated; /* when the oldest reading of all was taken */
	uint64_t largest;	   /* footprint, at the last sweep or round */

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
	pid_t looked_from; /* pids after this were looked at last time, perhaps too early; 0: none
			    */

	/* A round under way: everybody known at its start, largest first. */
	uint32_t *order; /* numbers of places */
	size_t n_order, i_order;
	uint64_t round_allocated; /* when the last one began, or the sweep */
	bool compares;		  /* it compares everybody, too; the next one will */
	bool compares_next;
	/* Of census_catch_up(). */
	int listing_fd;	    /* how far it has listed; -EBADF: not begun, or done */
	pid_t listing_last; /* the newest pid when the listing began */
	bool listed;	    /* the round is what is left to do */
	/* Of census_compare_some(). */
	usec_t compared_some_at;
	size_t n_by_size; /* so many of order[] are the largest still, but for those with pid 0 */
	size_t next_in_turn; /* as for census_next() */
	usec_t in_turn_at;   /* up to then, those before it had their turn */
	struct census_young young[CENSUS_N_YOUNG];
};

int census_init(struct census *census, int proc_fd, const struct cgroup_fs *cgroups,
		const struct accuracy *accuracy, const struct policy_set *policies);
void census_done(struct census *census);

/*
 * New rules, and a new subtree: the next sweep is due now, in which all processes are read.  Until
 * then what is known of them stands, as it may be that none can be read for now, and then there has
 * to be one to kill; their weights are those of the old rules, and whether a rule protects them is
 * asked before the signal (eligibility-read.h).  Those that a rule protected are forgotten with
 * that rule.
 */
void census_set_policies(struct census *census, const struct policy_set *policies);

/*
 * Reads everybody.  allocated: memory_reading.allocated at this moment; with_swap: is swap in use.
 * 0 or -errno (-ENOMEM, /proc cannot be listed); processes that vanish meanwhile are left out.
 * Ends a round that is under way.
 */
int census_sweep(struct census *census, usec_t now, uint64_t allocated, bool with_swap);

/*
 * One slice of a full listing, until *clock() has come to deadline: reads those that are not known,
 * or are new.  Begins one if none is under way.  1: the listing is done; 0: more is to come;
 * -errno. The first one makes the snapshot (swept_at is 0 until it is done).  Pids may have wrapped
 * around since the last look, or the last pid may not be what it seems, so census_find_new() alone
 * is not enough.
 */
int census_list(struct census *census, usec_t now, uint64_t allocated, bool with_swap,
		usec_t (*clock)(void), usec_t deadline);
static inline bool census_listing_is_under_way(const struct census *census)
{
	return census->listing_fd >= 0;
}

/*
 * Looks at who has come since the last time: by number where few pids were given out since
 * (threads count too).  One read of /proc/loadavg if there is none.  A pid that was given to a new
 * process is never taken for the old one: start times are compared.  Then compares some of those
 * that are known (CENSUS_EVERYBODY_USEC).  0; 1: many pids were given out, so none was looked up:
 * census_list() is due; -errno.
 */
int census_find_new(struct census *census, usec_t now, uint64_t allocated);

/*
 * One slice of a round: re-reads memory, largest first, until *clock() has come to deadline, but
 * of one process at least.  Starts a round if none is under way.  1: the round is done; 0: more is
 * to come; -errno.
 * Names, cgroups and what else may have changed are read too after an exec, and of everybody in the
 * first round after a rest.
 */
int census_refresh(struct census *census, usec_t now, uint64_t allocated, bool with_swap,
		   usec_t (*clock)(void), usec_t deadline);

/* Is a round worth it?  When so much was handed out since the last one that the largest could no
 * longer be told apart. */
bool census_is_stale(const struct census *census, uint64_t allocated);
static inline bool census_round_is_under_way(const struct census *census)
{
	return census->i_order < census->n_order;
}

/*
 * In calm, for somebody who asks: everybody who has come, then all of a round that compares
 * everybody, in slices like census_refresh().  1: the census is as good as new; 0: more is to come;
 * -errno.  What was begun and is not gone on with is forgotten by census_rest().
 */
int census_catch_up(struct census *census, usec_t now, uint64_t allocated, bool with_swap,
		    usec_t (*clock)(void), usec_t deadline);
void census_stop_catching_up(struct census *census);

/* There are no more descriptors: gives back those that are kept open, and keeps none from now on.
 */
void census_keep_none(struct census *census);

/* Back in calm: gives back what only watch needs (kept fds and what they pin in the kernel), and
 * the memory of those that are no more. */
void census_rest(struct census *census);

/* Keeps some processes in store, so that who comes in an emergency needs no memory. 0 or -ENOMEM.
 */
int census_reserve(struct census *census);

/* It is not who or where we thought, or it is gone: reads this one again, or drops it. */
void census_look_again(struct census *census, pid_t pid, usec_t now, uint64_t allocated);

/* The totals as they are now; before a sweep, a round or a choice. */
void census_set_totals(struct census *census, const struct memory_counters *counters);

/* Anonymous memory that the machine has, by census_set_totals(), and no process which is known:
 * some process is not known that has it (or is about to exit).  At least so much; 0 where processes
 * are hidden, or cannot be read. */
uint64_t census_unseen(const struct census *census);

/* A full reading (swap, shared memory and page tables too) that was taken for a choice. */
void census_count(struct census *census, struct census_process *process,
		  const struct proc_memory *memory, uint64_t allocated, usec_t now);

/* One process, read in full at little cost.  0, PROC_GONE (it is no longer in the census), -errno:
 * its reading stands. */
int census_reread(struct census *census, struct census_process *process, uint64_t allocated,
		  usec_t now);

/* The process has vanished, while nodes of the tree must stay: it is dropped at the next look. */
void census_note_gone(struct census *census, struct census_process *process);

/* What was measured of shares is void: a process was killed. */
static inline void census_forget_shares(struct census *census)
{
	census->shares_era++;
}

/* Somebody has read its oom_score_adj. */
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
 * Where the footprint may be now, when the machine has handed out `allocated` bytes in all:
 * [0, reading + counting error + what was handed out since].  If nothing was handed out since, the
 * lower end is that of the reading: it may have shrunk all the same, but has had no need to.
 *
 * Tried on 6.1, 6.12 and 6.18 by bench/age-bound (docs/benchmarks.md).  It holds for every way
 * found in which a process gets memory: faults, huge pages, MAP_POPULATE, mlock, brk, stack, zero
 * page and huge zero page written, MADV_DONTNEED and again, mremap, MADV_COLLAPSE, private copies
 * of files, copies after a fork, writes from outside (process_vm_writev, /proc/PID/mem, ptrace),
 * userfaultfd, io_uring, swap-in from disk, KSM unmerged, compaction, a CPU taken off line.
 * Swapping out and in moves a page between swap and resident and changes no footprint, handed out
 * or not (swap cache).
 *
 * It does not hold, and what is done about it:
 * - A child of fork() has its parent's resident pages at once: a new process is always read, never
 *   inferred.
 * - Processes that share one memory (CLONE_VM): each shows all of it, so the sum of a cgroup counts
 *   it twice; each by itself is right.
 * - A page handed out before a reading and mapped after it is in neither: for each thread that is
 *   in a fault at that moment a page, at most a huge one (8 MiB seen with 8 threads and huge
 * pages).
 * - Shared memory is not counted in a footprint, as ending the process does not give it back; but
 *   smaps_rollup counts swapped shared memory as swap when a process maps it, whoever had it
 *   swapped: a precise read may then be above the bound by that much.
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

/* The same for a cgroup, a bundle or the machine. */
struct interval census_node_interval(const struct census *census, const struct census_node *node,
				     uint64_t allocated);

/* What all processes below a cgroup, a bundle or the machine have mapped by their last readings. */
uint64_t census_node_mapped(const struct census_node *node);
