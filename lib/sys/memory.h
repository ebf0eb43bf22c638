/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory: one reading of the machine.
 *
 * memory_sample() asks libproc2 (its *_select calls allocate nothing once warm) and, where they
 * exist, ZFS's arcstats and zram's mm_stat.  memory_evaluate() is pure: it turns what the kernel
 * says into what a policy means by "available", "swap free" and "of how much".
 *
 * Neither MemFree nor MemAvailable counts the pages on the CPUs' own free lists.  From 6.7 on these
 * lists grow when much is freed at a time, up to an eighth of a zone in all, and shrink by some 8
 * MiB a second (nr_pcp_high(), decay_pcp_high() in mm/page_alloc.c): all of a victim of 1 GiB was
 * seen to be kept there for minutes.  The kernel allocates them before it kills a process
 * (__alloc_pages_direct_reclaim() drains them), and so they count here; else the next victim would
 * be killed for nothing.
 *
 * In a container /proc/meminfo may be lxcfs's, while zoneinfo, arcstats, vmstat and some items of
 * meminfo itself are the host's.  These say nothing of the container, and are left out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/util.h"
#include "lib/sys/vmstat.h"

/* As the kernel reports it; 0: it does not.  In bytes, except the counts of pages. */
struct memory_counters {
	uint64_t total;
	uint64_t available;
	uint64_t free;
	uint64_t free_listed; /* on the CPUs' own lists of free pages, in none of the others */
	uint64_t anon;
	uint64_t shmem;
	uint64_t active_anon; /* this and the next: on the LRU lists, tmpfs and other shmem too */
	uint64_t inactive_anon;
	uint64_t active_file; /* this and the next: lazily freed anonymous memory too (MADV_FREE) */
	uint64_t inactive_file;
	uint64_t cached; /* the page cache, tmpfs and other shmem in it, the swap cache not */
	uint64_t buffers;
	uint64_t swap_cached; /* in memory and in swap at once */
	uint64_t page_tables; /* of processes; SecPageTables is unknown to libproc2 4.0.2 */
	uint64_t kernel_stack;
	uint64_t unevictable;
	uint64_t mlocked;
	uint64_t swap_total;
	uint64_t swap_free;
	uint64_t hugetlb; /* the huge-page pool, used or not */
	uint64_t slab;	  /* both kinds */
	uint64_t slab_reclaimable;
	uint64_t slab_unreclaimable;
	uint64_t kernel_reclaimable; /* slab and other; 0 before 4.20 */
	uint64_t percpu;
	uint64_t arc_size; /* ZFS: 0 where there is none */
	uint64_t arc_min;
	uint64_t zram_disksize;	  /* sums over zram devices that are in use as swap */
	uint64_t zram_stored;	  /* bytes of pages stored, before compression */
	uint64_t zram_used;	  /* memory they take */
	uint64_t zram_barred;	  /* of disksize: not to be filled, for their mem_limit */
	uint64_t allocated_pages; /* allocated by the page allocator since boot (pgalloc_*) */
	uint64_t freed_pages;	  /* freed to it since boot (pgfree) */
	uint64_t oom_kills;	  /* by the kernel, since boot (oom_kill in /proc/vmstat) */
	bool virtualised;	  /* /proc/meminfo is not the kernel's own: see proc-virtual.h */
	struct vmstat_counters events; /* all that /proc/vmstat gave */
};

/* Figures that cannot be true as they stand, and what was made of them. */
enum memory_doubt {
	/* meminfo is a container's: what only the host's files and items report does not count.
	 * Detected by the mount, or by items that exceed MemTotal. */
	MEMORY_DOUBT_ORIGIN = 1 << 0,
	/* MemAvailable above free memory, file cache and reclaimable slab together: if that is due
	 * to shmem, which reclaim does not free, it does not count. */
	MEMORY_DOUBT_AVAILABLE = 1 << 1,
	/* SwapFree above SwapTotal: all of it counts as free; none if it was computed below zero,
	 * for then more is used than there is. */
	MEMORY_DOUBT_SWAP = 1 << 2,
	/* There is no vmstat: nothing is known of what was allocated, freed or reclaimed. */
	MEMORY_DOUBT_EVENTS = 1 << 3,
};
#define MEMORY_DOUBTS 4
/* For people. */
const char *memory_doubt_to_string(enum memory_doubt doubt);

/* What policies judge.  Bytes. */
struct memory_reading {
	uint64_t total;	     /* MemTotal less what no kill can free */
	uint64_t available;  /* MemAvailable, what ARC would shrink by, and the CPUs' lists */
	uint64_t swap_total; /* zram counts for what storing there frees */
	uint64_t swap_free;
	uint64_t allocated; /* bytes ever allocated: two readings bound every growth between */
	uint64_t freed;	    /* bytes ever freed */
	unsigned doubts;    /* enum memory_doubt */
	struct memory_counters counters;
};

/*
 * Makes figures that contradict each other agree, in favour of the reliable ones, and returns the
 * doubts about them (bits).  What is known to be another machine's becomes 0, which is "not
 * reported".  Pure; memory_sample() does it before memory_evaluate().
 */
unsigned memory_reconcile(struct memory_counters *counters);

void memory_evaluate(const struct memory_counters *counters, uint64_t page_size,
		     struct memory_reading *ret);

unsigned memory_available_permyriad(const struct memory_reading *reading);
/* 0 where there is no swap: no swap counts as swap exhausted. */
unsigned memory_swap_free_permyriad(const struct memory_reading *reading);

struct memory_source;

/*
 * Opens what is read.  proc_fd (a proc file system) and sys_fd (sysfs; may be negative) are
 * borrowed and must outlive the source; libproc2 itself always reads the machine's own /proc.
 * -ENOENT or the like if /proc cannot be read.
 */
int memory_source_new(int proc_fd, int sys_fd, struct memory_source **ret);
struct memory_source *memory_source_free(struct memory_source *source);

/* One reading; 0 or negative errno.  Its figures are reconciled.  No allocation after the first
 * call. */
int memory_sample(struct memory_source *source, struct memory_reading *ret);

/* The same without /proc/vmstat, which costs more than all the rest, and, while much is available,
 * without the lists: what was allocated and freed is left unchanged in *reading.  For calm, where
 * growth is not needed.  (Two readings to be subtracted are to be of memory_sample().) */
int memory_sample_levels(struct memory_source *source, struct memory_reading *reading);

/* Likewise, but with the lists of *reading: what is taken of them is not seen, as MemFree does not
 * count them either, so that available is too high by all of them at most. */
int memory_sample_lightly(struct memory_source *source, struct memory_reading *reading);
