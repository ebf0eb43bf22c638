/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * census-read: how the census learns of processes and of their memory; see census.h.
 *
 * By its own reads at a directory fd, attributes too, and not by libproc2: that reads the machine's
 * own /proc only (no fixture tree, no /proc of a container), takes 19 us for one new process where
 * this takes 8, and allocates, which a new process must not cause in an emergency.  New processes
 * are found by the last pid in /proc/loadavg; the count of forks is in /proc/stat alone, which
 * costs more with every CPU and interrupt, and would tell nothing that a second lookup of the
 * newest pids does not.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/errors.h"
#include "lib/base/io.h"
#include "lib/snapshot/census-tree.h"
#include "lib/sys/proc-virtual.h"

/* Up to so many pids allocated since the last poll are looked up one by one (a microsecond each);
 * more are found by a full listing (0.2 to 0.9 us for each process there is). */
#define LOOK_UP_MAX 256

/* Some 150 names at a time. */
#define LISTING_SIZE (4 * KIB)

static void take_stat(struct census_process *process, const struct proc_stat *stat)
{
	process->ppid = stat->ppid;
	process->session = stat->session;
	process->state = stat->state;
	process->n_threads = stat->n_threads;
	process->kthread = stat->flags & PROC_FLAG_KTHREAD;
	snprintf(process->comm, sizeof(process->comm), "%.15s", stat->comm);
}

/* A failed read says something about the process, unless the failure is ours. */
static void note_error(struct census *census, struct census_process *process, int error)
{
	census->n_unreadable += (error < 0) - (process->error < 0);
	process->error = (short)error;
}

static int read_memory(struct census_sweep *sweep, struct census_process *process,
		       const struct proc_stat *stat)
{
	struct census *census = sweep->census;
	struct proc_memory memory = { 0 };
	int r;

	if (process->kthread)
		return 0;
	r = census_read_by_status(census, process, &sweep->status, sweep->allocated, sweep->now);
	if (r == 0) {
		note_error(census, process, 0);
		census_update_eligibility(census, process);
		return 0;
	}
	if (r == CENSUS_READ_ELSEWHERE)
		r = proc_read_memory(census->proc_fd, stat, true, census->accuracy->page_size,
				     &memory);
	if (r == PROC_GONE)
		return r;
	if (error_is_transient(r)) {
		/* The old reading is kept, and ages.  If there is none, the process may hold all
		 * that was ever allocated. */
		if (process->recent_at != 0)
			return 0;
		census_set_memory(census, process, &memory, 0, sweep->now);
		process->recent_at = 0;
		return 0;
	}
	note_error(census, process, r);
	if (r < 0 && process->recent_at != 0) {
		census_update_eligibility(census, process);
		return 0;
	}
	census_set_memory(census, process, &memory, sweep->allocated, sweep->now);
	return 0;
}

/* What is known of it is kept; but a process that may not be read, or cannot be parsed, is not
 * chosen. */
static void note_unreadable(struct census *census, struct census_process *process, int error)
{
	process->generation = census->generation;
	if (error_is_transient(error))
		return;
	note_error(census, process, error);
	census_update_eligibility(census, process);
}

/* A process has forked: what was measured of its share is that of before. */
static void forget_share_of_parent(struct census *census, const struct census_process *child)
{
	struct census_process *parent = census_find(census, child->ppid);

	if (parent && child->code_pages != 0 && parent->code_pages == child->code_pages)
		parent->shares_era = (uint8_t)(census->shares_era - 1);
}

static int read_process(struct census_sweep *sweep, pid_t pid)
{
	struct census *census = sweep->census;
	struct census_process *process = census_find(census, pid);
	bool is_new, is_other;
	struct proc_stat stat;
	int r;

	r = proc_read_stat(census->proc_fd, pid, &stat);
	if (process && (r == PROC_GONE || (r == 0 && process->start_ticks != stat.start_ticks))) {
		census_drop(census, process);
		process = NULL;
	}
	if (r != 0 && process) {
		note_unreadable(census, process, r);
		return 0;
	}
	if (r != 0) {
		census->n_hidden += r < 0;
		census->n_unreadable += r < 0;
		return 0;
	}
	is_new = !process;
	if (is_new)
		process = census_add(census, pid, stat.start_ticks);
	if (!process)
		return -ENOMEM;
	census->newest_start = max_u64(census->newest_start, stat.start_ticks);
	/* An exec changes the name, nearly always; uid and cgroup may have changed with it. */
	is_other = is_new || sweep->anew ||
		   strncmp(process->comm, stat.comm, sizeof(process->comm) - 1) != 0;
	take_stat(process, &stat);
	process->generation = census->generation;
	if (is_other || sweep->compares || process->compared_at == 0)
		r = census_read_attributes(census, process, is_other, &sweep->status, sweep->now);
	if (r == 0)
		r = read_memory(sweep, process, &stat);
	if (r != 0)
		census_drop(census, process);
	else if (is_new)
		forget_share_of_parent(census, process);
	return r == PROC_GONE ? 0 : r;
}

/* All of one pid, known or not. */
int census_read_process(struct census_sweep *sweep, pid_t pid)
{
	int r = read_process(sweep, pid);

	sweep->status.is_read = false; /* the next one is another's */
	return r;
}

int census_revalidate(struct census *census, pid_t pid, usec_t now, uint64_t allocated)
{
	struct census_sweep sweep = {
		.census = census,
		.now = now,
		.allocated = allocated,
		.compares = true,
	};

	return census_read_process(&sweep, pid);
}

/* Was this pid allocated since the last poll?  (Pids wrap around.) */
static bool is_allocated_since(const struct census_sweep *sweep, pid_t pid)
{
	if (sweep->after <= sweep->last)
		return pid > sweep->after && pid <= sweep->last;
	return pid > sweep->after || pid <= sweep->last;
}

static int on_listed(pid_t pid, void *userdata)
{
	struct census_sweep *sweep = userdata;
	struct census_process *process = census_find(sweep->census, pid);

	if (sweep->rereads_all || !process || process->compared_at == 0 ||
	    is_allocated_since(sweep, pid))
		return census_read_process(sweep, pid);
	process->generation = sweep->census->generation;
	return 0;
}

/* lxcfs gives the last pid of the host's pid namespace, which says nothing about this one. */
static int open_loadavg(struct census *census)
{
	if (census->loadavg_fd >= 0 || census->loadavg_fd == -EXDEV)
		return census->loadavg_fd;
	if (proc_is_virtualised(census->proc_fd, "loadavg"))
		census->loadavg_fd = -EXDEV;
	else /* or, later, once more */
		census->loadavg_fd = openat(census->proc_fd, "loadavg", O_RDONLY | O_CLOEXEC);
	return census->loadavg_fd;
}

/* The fifth word of /proc/loadavg, which the kernel makes anew for each pread(2); 0 if that is not
 * known. */
pid_t census_read_last_pid(struct census *census)
{
	char text[128];
	int pid;

	if (io_read_record_fd(open_loadavg(census), text, sizeof(text)) < 0 ||
	    sscanf(text, "%*s %*s %*s %*s %d", &pid) != 1 || pid < 0)
		return 0;
	return pid;
}

void census_begin_listing(struct census *census)
{
	census->n_unreadable -= census->n_hidden;
	census->n_hidden = 0;
}

int census_visit(struct census *census, pid_t pid, pid_t after, pid_t last, usec_t now,
		 uint64_t allocated)
{
	struct census_sweep sweep = {
		.census = census,
		.now = now,
		.allocated = allocated,
		.after = after,
		.last = last,
		.rereads_all = last == 0, /* any pid may have been allocated since */
	};

	return on_listed(pid, &sweep);
}

void census_drop_unlisted(struct census *census)
{
	struct census_process *process;

	census_for_each(census, process)
		if (process->generation != census->generation)
			census_drop(census, process);
}

static int list(struct census_sweep *sweep)
{
	struct census *census = sweep->census;
	char buf[LISTING_SIZE] __attribute__((aligned(8)));
	int r;

	census->generation++;
	census_begin_listing(census);
	r = proc_list(census->proc_fd, buf, sizeof(buf), on_listed, sweep);
	if (r < 0)
		return r;
	census_drop_unlisted(census);
	return census_reserve(census);
}

void census_begin(struct census *census, uint64_t allocated, bool with_swap)
{
	census_stop_round(census);
	census_drop_gone(census);
	census->compares_next = false;
	census->round_allocated = allocated;
	census->with_swap = with_swap;
	census_begin_statuses(census);
}

int census_sweep(struct census *census, usec_t now, uint64_t allocated, bool with_swap)
{
	struct census_sweep sweep = {
		.census = census,
		.now = now,
		.allocated = allocated,
		.rereads_all = true,
		.compares = true,
	};
	/* First: a process that starts during the sweep is new. */
	pid_t last_pid = census_read_last_pid(census);
	int r;

	census_begin(census, allocated, with_swap);
	r = list(&sweep);
	if (r < 0)
		return r;
	census->swept_at = now;
	census->last_pid = last_pid;
	census->lookup_from = 0;
	census_begin_turns(census, now);
	census_recompute_bounds(census, allocated);
	return 0;
}

/* Reads those of the pids that are processes; a thread's number has a directory too. */
static int look_up(struct census_sweep *sweep)
{
	struct census_status *status = &sweep->status;
	int r;

	for (pid_t pid = sweep->after + 1; pid <= sweep->last; pid++) {
		r = proc_read_status(sweep->census->proc_fd, pid, &status->status);
		if (r == PROC_GONE && !census_find(sweep->census, pid))
			continue;
		if (r == 0 && status->status.tgid != 0 && status->status.tgid != pid)
			continue;
		status->is_read = r == 0; /* else once more: it may be for now */
		status->result = status->status.is_oversized ? -E2BIG : 0;
		r = census_read_process(sweep, pid);
		if (r < 0)
			return r;
	}
	return 0;
}

static int find_new(struct census *census, usec_t now, uint64_t allocated)
{
	struct census_sweep sweep = { .census = census, .now = now, .allocated = allocated };
	pid_t last_pid = census_read_last_pid(census);
	int r;

	/* A pid is allocated a little before its process can be seen (alloc_pid() in kernel/pid.c);
	 * so the pids that were looked up last time are looked up once more. */
	if (last_pid == census->last_pid && last_pid != 0 && census->lookup_from == 0)
		return 0;
	sweep.after = census->lookup_from ? census->lookup_from : census->last_pid;
	sweep.last = last_pid;
	if (last_pid == 0 || census->last_pid == 0 || sweep.after > last_pid ||
	    last_pid - sweep.after > LOOK_UP_MAX)
		return 1;
	r = look_up(&sweep);
	if (r == 0)
		r = census_reserve(census);
	if (r < 0)
		return r;
	census->lookup_from = last_pid == census->last_pid ? 0 : census->last_pid;
	census->last_pid = last_pid;
	return 0;
}

int census_find_new(struct census *census, usec_t now, uint64_t allocated)
{
	int r, compared;

	census_drop_gone(census);
	r = find_new(census, now, allocated);
	compared = r < 0 ? 0 : census_revalidate_some(census, now, allocated);
	return compared < 0 ? compared : r;
}

void census_read_anew(struct census *census, pid_t pid, usec_t now, uint64_t allocated)
{
	struct census_sweep sweep = {
		.census = census,
		.now = now,
		.allocated = allocated,
		.anew = true,
	};

	if (census_read_process(&sweep, pid) < 0)
		census->swept_at = 0;
}
