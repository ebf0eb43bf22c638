/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * where: an account of the machine's memory that no kill frees, for people.
 *
 * where_survey() reads what /proc/meminfo does not tell: which tmpfs holds how much, and which
 * processes hold memfds and pipes by a descriptor, and how much shared memory small processes map.
 * It may block (a path through a file system that hangs), so it is for a thread that no other
 * thread waits for. Only file systems that mountinfo lists as tmpfs are read, and those of other
 * mount namespaces are not seen.  where_account() is pure: with the machine's counters it makes
 * rows of it, largest first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/base/util.h"
#include "lib/domain/held-files.h"
#include "lib/sys/memory.h"

#define WHERE_TMPFS_MAX 5
#define WHERE_PATH_MAX	128
/* A process that alone has both ends of so many pipes is named. */
#define WHERE_PIPES_MIN	   64
#define WHERE_UNMAPPED_MAX 8

struct where_tmpfs {
	char path[WHERE_PATH_MAX]; /* the mount point; what is longer is cut */
	uint64_t bytes;		   /* in memory or swapped out */
};

/* The process that holds most of a kind. */
struct where_holder {
	pid_t pid; /* 0: none */
	char comm[16];
	uint64_t bytes; /* of memfds: each counts once in a process; of pipes: what is in them */
	unsigned n;	/* of pipes: those of which it has both ends */
	/* Of these it could not be seen whether processes map them, or hold them as well. */
	uint64_t unmeasured;
	/* Besides, of unmapped: what these others hold as well, which is freed with all of them. */
	uint64_t together;
	pid_t others[HELD_OTHERS_MAX];
	unsigned n_others;
	/* Of all this: files that another user has created, but for root.  It may have been sent
	 * them to be killed for it. */
	uint64_t foreign;
	uid_t creator;	      /* of most of that */
	uid_t uid;	      /* (uid_t)-1: not known */
	uint64_t start_ticks; /* 0: likewise */
};

/* A process to whose sockets files were sent that it has not received. */
struct where_receiver {
	pid_t pid;
	char comm[16];
	unsigned n_files;
	uid_t uid;
	uint64_t start_ticks;
};

#define WHERE_RECEIVERS_MAX 16

struct where_survey {
	struct where_tmpfs tmpfs[WHERE_TMPFS_MAX]; /* the largest, largest first */
	unsigned n_tmpfs;
	uint64_t tmpfs_bytes; /* of all */
	struct where_holder memfds, pipes;
	/* Which alone hold most that no process maps, of memfds and of deleted files of a tmpfs,
	 * largest first: the first ones may not be eligible. */
	struct where_holder unmapped[WHERE_UNMAPPED_MAX];
	uint64_t held_bytes; /* all that is held by descriptors and that no process maps */
	struct where_receiver receivers[WHERE_RECEIVERS_MAX];
	unsigned n_receivers;
	bool has_more_receivers; /* or may have: not all sockets could be read */
	/* If there are any: what all tmpfs of other mount namespaces hold at most. */
	uint64_t hidden_tmpfs;
	/* A process uses a graphics device, whose buffers may be such memory, or io_uring, which
	 * may keep files that are no descriptors. */
	bool has_other_holders;
	uint64_t sysv_bytes; /* of System V segments to which no process is attached */
	/* Shared memory of the processes that map less than WHERE_MAPPED_SMALL; what several map
	 * counts with each. */
	uint64_t small_mapped_bytes;
	usec_t took_usec; /* by now() of where_survey() */
	bool is_partial;  /* a limit was reached, or something could not be read */
};

#define WHERE_MAPPED_SMALL (16 * MIB)

/* Limits of one survey. */
#define WHERE_MOUNTINFO_BYTES (1 * MIB)
#define WHERE_PROCESSES_MAX   20000U
#define WHERE_LINKS_MAX	      200000U
#define WHERE_MAPPINGS_MAX    1000000U
#define WHERE_SOCKETS_MAX     10000U /* 50 ms */

/* A smaller mapping is not examined. */
#define WHERE_MAPPING_MIN (64 * KIB)

/* Of one process so many pipes and memfds are told apart; one that has more is counted low. */
#define WHERE_INODES_MAX 4096
/* Distinct mounts of tmpfs: what is mounted twice counts once. */
#define WHERE_DEVICES_MAX    256
#define WHERE_NAMESPACES_MAX 256

/* Too large for a small stack; of one survey at a time.  All zeros before the first. */
struct where_scratch {
	dev_t devices[WHERE_DEVICES_MAX], hidden_devices[WHERE_DEVICES_MAX];
	ino_t namespaces[WHERE_NAMESPACES_MAX];
	uint64_t pipes[WHERE_INODES_MAX],
		memfds[WHERE_INODES_MAX]; /* of the process that is read */
	struct held_files files;	  /* of all */
	/* From one survey to the next, so that each process has its turn where they are too many:
	 * where the last one was cut; 0: it was not. */
	pid_t descriptors_from, mappings_from;
	unsigned turn;
};

/* When a survey is cut.  Where memory is short a thread waits for the CPU and for reclaim most of
 * the time: it is the CPU time that says what it has done. */
struct where_limits {
	usec_t (*now)(void);
	usec_t deadline;
	usec_t (*cpu_time)(void); /* of this thread; NULL: without a limit */
	usec_t cpu_deadline;
	/* Of processes of which so much is mapped and not resident, the files without a name that
	 * they map count as held, too; 0: of none.  That waits for their mmap locks, which a
	 * process can hold forever: for another thread than the one of surveys without it. */
	uint64_t least_untouched;
	/* A process that is not read, 0: none.  While one thread measures a file it has it open:
	 * another thread would take its process for one that holds it. */
	pid_t skipped;
};

/* proc_fd: a proc file system; root_fd: the directory "/" of the mount points in its
 * self/mountinfo.  Returns early, with a partial result, when a clock has reached its deadline. */
void where_survey(int proc_fd, int root_fd, const struct where_limits *limits,
		  struct where_scratch *scratch, struct where_survey *ret);

enum where_kind {
	WHERE_PROCESSES, /* anonymous memory and page tables of processes */
	WHERE_TMPFS,
	WHERE_MEMFDS,
	WHERE_SYSV,
	WHERE_SHMEM, /* the rest of Shmem, of which processes map some */
	WHERE_SLAB,  /* unreclaimable */
	WHERE_HUGETLB,
	WHERE_KERNEL_STACK,
	WHERE_PERCPU,
	WHERE_ZRAM,
	WHERE_UNACCOUNTED,
	_WHERE_MAX,
};
/* For programs: "page_tables". */
const char *where_kind_to_string(enum where_kind kind);

struct where_row {
	enum where_kind kind;
	uint64_t bytes;
	const char *text;	   /* for people */
	char path[WHERE_PATH_MAX]; /* of a tmpfs; else "" */
	pid_t pid;		   /* that is likely to hold it; 0: not known */
	char comm[16];
};

#define WHERE_ROWS_MAX (_WHERE_MAX + WHERE_TMPFS_MAX)

struct where_account {
	struct where_row rows[WHERE_ROWS_MAX]; /* largest first */
	unsigned n_rows;
	uint64_t total;	  /* of memory */
	bool is_surveyed; /* else: of /proc/meminfo alone */
	bool is_partial;
};

#define WHERE_HOLDERS_MAX (WHERE_UNMAPPED_MAX + 2)

/*
 * What the death of each of these processes alone would free of what it holds by descriptors:
 * .bytes, largest first; .unmeasured: of that, what is not known for certain.  Returns how many
 * there are.  A file can be mapped by others, which keep it then (a compositor has
 * descriptors of the buffers of all its clients): only what no process maps counts.  Memfds of
 * which that could not be seen count up to the shared memory that no process maps and that lies on
 * no tmpfs.  Where the survey is partial, a tmpfs may be missing from it: then only if that is
 * nearly all of it.  mapped_shmem: as for worth_unowned().
 */
unsigned where_holders(const struct where_survey *survey, const struct memory_counters *counters,
		       uint64_t mapped_shmem, struct where_holder ret[static WHERE_HOLDERS_MAX]);

/* Shared memory that neither a mapping nor a tmpfs nor a descriptor explains: so much at most is in
 * files that no process has received.  0, too, where others may explain it. */
uint64_t where_unexplained(const struct where_survey *survey,
			   const struct memory_counters *counters, uint64_t mapped_shmem);

/* survey: NULL if there is none.  What is less than a 256th of memory is left out, but for the
 * largest. */
#define WHERE_ROW_SHARE 256
void where_account(const struct memory_counters *counters, const struct where_survey *survey,
		   struct where_account *ret);

/* Is it worth another report?  If a kind (of tmpfs: one mount point) has changed by an eighth of
 * memory, or the largest row is another. */
#define WHERE_CHANGE_SHARE 8
bool where_has_changed(const struct where_account *before, const struct where_account *now);

/* "tmpfs /dev/shm", "not accounted for by any process, e.g. pipe and socket buffers; likely held by
 * x (pid 7)".  For a terminal or a log.  Returns buf. */
#define WHERE_ROW_SIZE 320
const char *where_row_text(const struct where_row *row, char buf[static WHERE_ROW_SIZE]);

/* "850 MiB in tmpfs /tmp, 60 MiB in ...", the largest rows, in one line.  Returns buf. */
#define WHERE_LINE_ROWS 5
const char *where_line(const struct where_account *account, char *buf, size_t size);
