/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proc: reading one process.
 *
 * proc_fd is a directory fd of a proc file system (a fixture tree in tests).  A process is
 * identified by its pid and start time; a pid alone is never an identity.  A process that has
 * vanished is an outcome (PROC_GONE), not an error.  Memory comes from statm (precise where the
 * kernel can be, and the cheapest), never from field 24 of stat.  See proc(5).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/util.h"

#define PROC_COMM_SIZE 64 /* 15 bytes for processes; kernel threads have longer ones */
#define PROC_GONE      1

struct proc_stat {
	pid_t pid;
	char comm[PROC_COMM_SIZE]; /* may hold any byte but NUL */
	char state;
	pid_t ppid;
	pid_t pgrp;
	pid_t session;
	int tty;	/* its controlling terminal; 0: none */
	unsigned flags; /* PF_*, see PROC_FLAG_* */
	unsigned n_threads;
	uint64_t start_ticks; /* since boot */
	uint64_t stack_start; /* address: a child has its parent's until one calls execve(2);
				 0: not reported */
	uint64_t args_length; /* of the arguments of its execve(2), bytes; 0: not reported */
};

/* PF_EXITING and PF_KTHREAD, include/linux/sched.h */
#define PROC_FLAG_EXITING 0x00000004U
#define PROC_FLAG_KTHREAD 0x00200000U

struct proc_statm {
	uint64_t size;	   /* pages */
	uint64_t resident; /* pages; resident - shared is anonymous */
	uint64_t shared;   /* file and shmem pages */
};

struct proc_status {
	pid_t tgid; /* differs from the requested pid: that was a thread's; 0: not reported */
	pid_t ppid;
	uid_t uid;  /* effective: decides permissions, and what rules match */
	char state; /* '\0': not reported */
	unsigned n_threads;
	bool has_mm;  /* it has memory of its own: no zombie, no kernel thread */
	bool has_rss; /* the kernel reports rss_*: from 4.5 */
	/* The list of groups fills more than what is read at once.  The kernel has written all of
	 * it by then (5 ms for 65,536 groups; reading on takes 1% of that): do not ask often. */
	bool is_oversized;
	uint64_t rss_anon;
	uint64_t rss_file;
	uint64_t rss_shmem;
	uint64_t swap_bytes;
	uint64_t pagetable_bytes;
	uint64_t code_bytes;   /* of the executable: as the fourth number of statm */
	uint64_t locked_bytes; /* VmLck: the size of its locked mappings, resident or not */
};

/*
 * What a process maps, in full, and how much of that its death would not free.  Bytes.
 *
 * Resident anonymous pages and swap are counted in full in each process that maps them, also where
 * copy-on-write pages are shared after a fork.  Shared memory is freed only with its last mapping,
 * and only where nothing else names it.  `kept` is what is known of that (reclaimable.h): until it
 * was measured it is 0, and what is reclaimable is an upper bound.
 */
struct proc_memory {
	uint64_t anon;
	uint64_t swap;
	uint64_t shared; /* file + shmem, resident; shown to people */
	uint64_t shmem;	 /* shared memory, tmpfs and locked pages of files, which are no cache as
			    long as they are mapped; part of shared; where only statm was read: a
			    guess */
	uint64_t pagetables;
	uint64_t kept : 63;	  /* of anon + swap + shmem + pagetables, what is not freed */
	uint64_t is_measured : 1; /* kept was */
};

/* Resident pages of locked file mappings, at most: it may be these that are locked, and not
 * anonymous memory.  Too much then, until it is measured (reclaimable.h), but never more than its
 * files. */
static inline uint64_t proc_locked_file(const struct proc_status *status)
{
	return min_u64(status->locked_bytes, status->rss_file);
}

/* All that killing the process could free. */
static inline uint64_t proc_mapped(const struct proc_memory *memory)
{
	return add_u64(add_u64(memory->anon, memory->swap),
		       add_u64(memory->shmem, memory->pagetables));
}

/* What killing it frees, as far as that is known. */
static inline uint64_t proc_reclaimable(const struct proc_memory *memory)
{
	return sub_u64(proc_mapped(memory), memory->kept);
}

/*
 * Parsers, for hostile input too: -EBADMSG for what the kernel would not write, *ret is then left
 * alone.  A text that was cut is refused or read without what is missing (the Vm lines of status,
 * which a process without memory has not either); it never gives a wrong number.
 */
int proc_stat_parse(const char *text, struct proc_stat *ret);
int proc_statm_parse(const char *text, struct proc_statm *ret);
int proc_status_parse(const char *text, struct proc_status *ret);
/* "Rss:", "Anonymous:" and "Swap:" of a smaps_rollup.  Its swap also counts shared memory that is
 * swapped out (fs/proc/task_mmu.c, smap_gather_stats()), which VmSwap of status does not. */
int proc_rollup_parse(const char *text, struct proc_memory *ret);

/* Each: 0, PROC_GONE, or negative errno (-EACCES, -EBADMSG, ...). */
int proc_read_stat(int proc_fd, pid_t pid, struct proc_stat *ret);
int proc_read_status(int proc_fd, pid_t pid, struct proc_status *ret); /* reads on: all of it */
/* By one read of a (kept) fd in most cases.  -E2BIG for what is oversized: *ret then holds state,
 * tgid, ppid and uid alone, which stand before the groups. */
int proc_read_status_fd(int fd, struct proc_status *ret);
int proc_read_status_all_fd(int fd, struct proc_status *ret); /* reads on */
int proc_read_oom_score_adj(int proc_fd, pid_t pid, int *ret);

/*
 * The memory of a process by statm or, if with_swap, by status, which also has swap, page tables
 * and shmem.  Where the leader is a zombie with living threads, statm of the leader reads 0: a
 * living thread's is read.  stat is of this process (its state and n_threads decide that).  A
 * process without memory (zombie, kernel thread) reads as zeros.
 */
int proc_read_memory(int proc_fd, const struct proc_stat *stat, bool with_swap, uint64_t page_size,
		     struct proc_memory *ret);

/* Exact on every kernel, slow (22 ms for 8 GiB), and takes the process's mmap lock: it can block
 * for as long as the process thrashes.  Not for the loop: see precise.h.  PROC_GONE too for what
 * has no memory: zombie, kernel thread. */
int proc_read_rollup(int proc_fd, pid_t pid, struct proc_memory *ret);

/*
 * Calls f for each pid in numerical order of the directory (ascending on Linux).  f returns 0 to
 * continue; anything else stops the listing and is returned.  buf is scratch space for getdents64
 * (32 KiB serve well), aligned for struct dirent64; nothing is allocated.
 */
typedef int (*proc_list_fn)(pid_t pid, void *userdata);
int proc_list(int proc_fd, void *buf, size_t size, proc_list_fn f, void *userdata);

/* The same, in parts: continues at the position of fd (a directory opened for this alone), by as
 * much as buf holds.  *ret_end: that was the last. */
int proc_list_part(int fd, void *buf, size_t size, proc_list_fn f, void *userdata, bool *ret_end);

/* Lowest-numbered thread of pid that is alive (not zombie, not dead): 0, PROC_GONE, -errno. */
int proc_find_live_thread(int proc_fd, pid_t pid, pid_t *ret_tid);
