/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reclaimable: what one process holds, and what its death frees.
 *
 * The resident size shows neither: a page of a copy-on-write family counts in full in each member,
 * and a file on tmpfs survives the process that maps it.  smaps_rollup divides each page by the
 * number of its mappings (Pss), so that the members of a family add up to what the family holds;
 * maps tells which shared memory dies with its last mapping.
 *
 * Shared memory dies where its backing has no name: memfd, MAP_SHARED | MAP_ANONYMOUS, deleted
 * files on tmpfs, System V segments marked for removal.  It is kept where it has one: linked files
 * on tmpfs, other System V segments (a segment survives its last detach until it is removed).
 * Segments are looked up by their number in sysvipc/shm, which is that of the reader's own IPC
 * namespace: those of another namespace count as kept.
 *
 * What cannot be known from here, and is counted as if it died: a memfd or a deleted file that
 * another process holds by an fd without mapping it.  Not counted at all: hugetlb pages (their pool
 * keeps them), pages in pipes and sockets, memfds held by fd alone.  An address space that several
 * processes share (CLONE_VM) is freed only when all of them die.  Swapped shared memory is known
 * per mapping, not per process: its share is taken to be that of the mapping's resident pages, and
 * of a private mapping it is not counted.
 *
 * Locked pages of files count with the shared memory that dies: they are no cache as long as a
 * locked mapping has them, and cache afterwards.  smaps_rollup does not tell what is locked: where
 * that matters, smaps does.
 *
 * What the process has released by madvise(2), MADV_FREE, does not count: the kernel has it with
 * the cache of files, and so with what is available, until the process writes to it again.
 *
 * Takes the mmap lock of the process: not for the loop, see precise.h.  Allocates nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/sys/proc.h"

/* Bytes. */
struct reclaimable {
	uint64_t anon;	/* its fair share of resident anonymous memory: Pss_Anon, less LazyFree */
	uint64_t swap;	/* its fair share of anonymous swap: SwapPss */
	uint64_t shmem; /* its fair share of shared memory whose backing dies with the last
			   mapping, resident and swapped, and of locked files */
	uint64_t pagetables; /* VmPTE */
	uint64_t alone;	     /* what the death of this process alone frees for certain: see
				reclaimable_sum() */
	uint64_t rss_anon;   /* resident anonymous pages in full, as status counted them then */
	uint64_t rss_shmem;  /* RssShmem in full */
	uint64_t all_swap;   /* VmSwap in full */
	/* All it maps, as smaps_rollup counts it: exact where a kernel's status is not.  .shmem
	 * includes what of .shmem above is swapped or of locked files, so that nothing above is
	 * larger than its part here. */
	struct proc_memory full;
	uint64_t args_hash; /* of its arguments, as long as they are; 0: could not be read */
};

/* anon + swap + shmem + pagetables */
uint64_t reclaimable_total(const struct reclaimable *reclaimable);

/*
 * 0, PROC_GONE (also for what has no memory: zombie, kernel thread), or -errno: -EACCES,
 * -EOPNOTSUPP (a kernel without smaps_rollup, or whose smaps_rollup has no Pss_Anon: before 5.4),
 * -EBADMSG.  *ret is left alone unless it is 0.  Opens four files at a time at most, reads at most
 * 14 MiB (of a process with very many mappings) and uses 20 KiB of stack.
 */
int reclaimable_read(int proc_fd, pid_t pid, struct reclaimable *ret);

/* The pure parts of it. */

struct reclaimable_rollup {
	uint64_t rss;
	uint64_t pss_anon;
	uint64_t pss_file;
	uint64_t pss_shmem;
	uint64_t private_clean;
	uint64_t private_dirty;
	uint64_t anonymous;
	uint64_t swap;	    /* anonymous, and all that is swapped of the shared memory mapped */
	uint64_t swap_pss;  /* anonymous alone */
	uint64_t locked;    /* by share, of all kinds; 0: not reported */
	uint64_t lazy_free; /* of anonymous, in full: MADV_FREE; 0: not reported */
};

/* 0; -EOPNOTSUPP: well-formed, but without Pss_Anon; -EBADMSG: also where the numbers contradict
 * each other. */
int reclaimable_rollup_parse(const char *text, struct reclaimable_rollup *ret);

/* What is known of the shared memory. */
struct reclaimable_shmem {
	enum {
		RECLAIMABLE_NONE_DIES,
		RECLAIMABLE_ALL_DIES, /* the numbers of the rollup hold; the rest is not used */
		RECLAIMABLE_SUMMED,   /* pss, private, swap and swap_mapped: by smaps */
		RECLAIMABLE_PRORATED, /* permyriad, by size: more mappings than are read */
	} how;
	unsigned permyriad;   /* of the shared memory dies */
	uint64_t pss;	      /* fair share of what dies, resident */
	uint64_t private;     /* of it, what has no other mapping */
	uint64_t swap;	      /* its share of what dies, swapped */
	uint64_t swap_mapped; /* the swapped shared memory in rollup.swap, dying or not */

	bool knows_locked;	 /* the next two are, by smaps; else they are bounded */
	uint64_t locked_file;	 /* fair share of locked pages of files */
	uint64_t locked_private; /* of it, what has no other mapping */
};

/*
 * reclaimable.alone is a lower bound, as the kernel does not tell how much anonymous memory is
 * private.  A private page counts in full in Pss, a shared one at most half:
 *   private anonymous >= 2 * Pss_Anon - Anonymous
 * and Private_* counts what is private of all three kinds, of which file and shared memory are at
 * most their Pss:
 *   private anonymous >= Private_Clean + Private_Dirty - Pss_File - Pss_Shmem
 * The larger of both is taken, likewise for swap (2 * SwapPss - Swap).  Private shared memory is
 * that of smaps, or, where all of it dies, what is private less Pss_File.  Swapped shared memory
 * and what is prorated is left out.  Page tables are in.
 */
void reclaimable_sum(const struct reclaimable_rollup *rollup, const struct proc_status *status,
		     const struct reclaimable_shmem *shmem, struct reclaimable *ret);
