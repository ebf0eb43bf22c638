/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dumped-machine: a machine of files in a temporary directory (/proc and cgroups), and a manager
 * that runs on it: no root, no cgroups, no bus, no journal, no threads.
 *
 * The clock is the test's.  Signals are noted, not sent; processes exit when the test says so.
 * Precise readings are made at once, from the files.  A program that uses it is linked with
 * DUMPED_MACHINE_WRAPS of Makefile.am.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "daemon/record/report.h"
#include "tests/manager-parts.h"

#define DUMPED_PROCESSES_MAX 128
#define DUMPED_CGROUPS_MAX   16
#define DUMPED_TEXT_SIZE     16384

#define DUMPED_TOTAL 8192U /* MiB */
#define DUMPED_SELF  200   /* the daemon's pid there */
/* When the first reading is taken. */
#define DUMPED_BEGIN (1000 * USEC_PER_SEC)

/* Memory is in MiB.  What is 0 is the usual: pid, no uid 0 but 1000, parent 1, a sleeping process.
 */
struct dumped_process {
	pid_t pid;
	const char *comm;
	const char *cgroup;
	unsigned anon; /* resident; of that, what is shared copy on write by so many processes */
	unsigned cow, n_cow;
	unsigned swap;
	unsigned shmem;
	bool shmem_stays; /* it is a file that has a name */
	int oom_score_adj;
	pid_t ppid;
	pid_t mm; /* of the process whose address space it has */
	uint64_t start_ticks;
	char state;
	bool as_root;
};

/* One row of a recorded series.  What is counted is what was added since the last one. */
struct dumped_reading {
	unsigned at;	    /* ms since DUMPED_BEGIN */
	unsigned available; /* MiB, likewise the others */
	unsigned swap_free;
	unsigned tmpfs;	      /* files that no process maps */
	unsigned churn;	      /* allocated, and freed again */
	unsigned stalled;     /* ms, all of it "full" */
	unsigned reclaimed;   /* by the whole machine */
	unsigned refaulted;   /* of that */
	unsigned swapped_out; /* likewise */
};

/* What a test reads and sets. */
extern struct dumped_machine {
	struct manager *manager;
	usec_t now, asleep;
	unsigned swap_total; /* MiB */
	bool has_no_psi, has_no_cgroups, has_no_survey;
	bool survey_hangs;

	/* Opening this file below /proc for reading fails. */
	const char *failing;
	int error;
	/* Before that pidfd is opened, once. */
	void (*on_pidfd_open)(void);
	int pidfd_error;	    /* no pidfd can be opened */
	pid_t refused;		    /* a signal to it is not permitted */
	void (*on_signalled)(void); /* after each report of that */

	char sent[DUMPED_TEXT_SIZE]; /* "KILL 300, TERM 301, KILL-GROUP, " */
	char said[DUMPED_TEXT_SIZE]; /* a line each */
	char plan[DUMPED_TEXT_SIZE]; /* of the last kill: see dumped_machine_tick() */
	pid_t watched;		     /* its exit is */
	enum report_event event;     /* the last one in a tick but REPORT_NOTHING */
	unsigned n_turns, n_choices; /* of the last dumped_machine_tick() */
} dumped;

/* 0, or -errno; dumped is all zeros but for the directory. */
int dumped_machine_new(void);
void dumped_machine_free(void);

/* Makes it, or all of it anew. */
void dumped_machine_put(const struct dumped_process *process);
/* It has exited, and its parent has waited for it. */
void dumped_machine_exit(pid_t pid);
/* As it was put last. */
struct dumped_process *dumped_machine_find(pid_t pid);
void dumped_machine_cgroup(const char *path, const char *file, const char *text);
void dumped_machine_read(const struct dumped_reading *reading);

/* As manager_new() does, after a first reading. */
void dumped_machine_start(const char *config);
/* The next SIGHUP is with that. */
void dumped_machine_configure(const char *config);

/*
 * One tick, and those that the daemon wants at once after it (a choice or a listing that goes on).
 * What is planned, when it is signalled: the victim, "+301" of those that are killed with it, as
 * many as there are pidfds of, "=301" of sharers of its memory, "~301" of those without, and the
 * cgroup.  Returns how long until the next one, in ms.
 */
unsigned dumped_machine_tick(void);
