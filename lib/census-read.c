/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * census-read: how the census learns of processes and of their memory; see census.h.
 *
 * By its own reads at a directory fd, attributes too, and not by libproc2: that reads the machine's
 * own /proc only (no fixture tree, no /proc of a container), takes 19 us for one new process where
 * this takes 8, and allocates, which a process that comes in an emergency must not cause.  New
 * processes are found by the last pid in /proc/loadavg; the count of forks is in /proc/stat alone,
 * which costs more with every CPU and interrupt, and would tell nothing that a second look at the
 * newest pids does not.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/census-tree.h"
#include "lib/cleanup.h"
#include "lib/io.h"

#define SCRATCH_SIZE (32 * KIB)

/* So many pids given out since the last look are looked up one by one (a microsecond each); more
 * are found by a full listing (0.2 to 0.9 us for each process there is). */
#define LOOK_UP_MAX 256

/* The largest keep their statm open in watch: three times as fast, and each pins a page in the
 * kernel. */
#define KEPT_FDS 256

/* A round is worth it after so much was handed out, at least; more where the largest is so large
 * that it would still stand out. */
#define STALE_MIN   (64 * MIB)
#define STALE_SHARE 8

struct sweep {
	struct census *census;
	usec_t now;
	uint64_t allocated;
	pid_t after, last; /* pids given out since: these may be somebody else's now */
	bool everybody;	   /* re-read those we know, too */
	bool compares;	   /* more than memory, of those we know */
	bool anew;	   /* all of it, as if the name were another */
};

static void take_stat(struct census_process *process, const struct proc_stat *stat)
{
	process->ppid = stat->ppid;
	process->session = stat->session;
	process->state = stat->state;
	process->n_threads = stat->n_threads;
	process->kthread = stat->flags & PROC_FLAG_KTHREAD;
	snprintf(process->comm, sizeof(process->comm), "%.15s", stat->comm);
}

/* One pread(2): a file of one record comes whole (single_open() in fs/seq_file.c). */
static bool read_statm(const struct census *census, const struct census_process *process,
		       char *text, size_t size)
{
	_cleanup_close_ int fd = -EBADF;
	char path[32];
	ssize_t n;

	if (process->statm_fd < 0) {
		snprintf(path, sizeof(path), "%d/statm", process->pid);
		fd = openat(census->proc_fd, path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return false;
	}
	n = pread(fd < 0 ? process->statm_fd : fd, text, size - 1, 0);
	text[n < 0 ? 0 : n] = '\0';
	return n > 0;
}

/* Anonymous and shared, and the size of the code; false if that is not all there is to know (it
 * ended, or has no memory). */
static bool read_shares(const struct census *census, const struct census_process *process,
			struct proc_memory *ret, unsigned *ret_code_pages)
{
	struct proc_statm statm;
	char text[256], *p = text;

	if (!read_statm(census, process, text, sizeof(text)) ||
	    proc_statm_parse(text, &statm) < 0 || statm.size == 0)
		return false;
	for (unsigned i = 0; i < 3; i++)
		p = strchr(p, ' ') + 1;
	*ret_code_pages = (unsigned)strtoul(p, NULL, 10);
	*ret = (struct proc_memory){
		.anon = sub_u64(statm.resident, statm.shared) * census->accuracy->page_size,
		.shared = statm.shared * census->accuracy->page_size,
	};
	return true;
}

static int read_memory(struct sweep *sweep, struct census_process *process,
		       const struct proc_stat *stat)
{
	struct census *census = sweep->census;
	struct proc_memory memory = { 0 };
	int r;

	if (process->kthread)
		return 0;
	if (!census->with_swap && read_shares(census, process, &memory, &process->code_pages))
		r = 0;
	else
		r = proc_read_memory(census->proc_fd, stat, true, census->accuracy->page_size,
				     &memory);
	if (r == PROC_GONE)
		return r;
	if (census_is_passing(r) && process->recent_at != 0)
		return 0; /* the old reading ages, and stands */
	census->n_unreadable += (r < 0) - (process->error < 0);
	process->error = r;
	census_count(census, process, &memory, sweep->allocated, sweep->now);
	return 0;
}

int census_reread(struct census *census, struct census_process *process, uint64_t allocated,
		  usec_t now)
{
	struct proc_memory memory;
	struct proc_stat stat;
	int r;

	r = proc_read_stat(census->proc_fd, process->pid, &stat);
	if (r == 0 && stat.start_ticks != process->start_ticks)
		return PROC_GONE;
	if (r == 0)
		r = proc_read_memory(census->proc_fd, &stat, true, census->accuracy->page_size,
				     &memory);
	if (r == 0)
		census_count(census, process, &memory, allocated, now);
	return r;
}

/* What is known of it stands; but who may not be looked at, or is not understood, is not chosen. */
static void note_unreadable(struct census *census, struct census_process *process, int error)
{
	process->generation = census->generation;
	if (census_is_passing(error))
		return;
	census->n_unreadable += !(process->error < 0);
	process->error = error;
	census_weigh(census, process);
}

/* All of one pid, known or not. */
static int read_process(struct sweep *sweep, pid_t pid)
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
	/* An exec changes the name, nearly always; uid and cgroup may have changed with it. */
	is_other = is_new || sweep->anew ||
		   strncmp(process->comm, stat.comm, sizeof(process->comm) - 1) != 0;
	take_stat(process, &stat);
	process->generation = census->generation;
	if (is_other || sweep->compares)
		r = census_read_attributes(census, process, is_other, sweep->now);
	if (r == 0)
		r = read_memory(sweep, process, &stat);
	if (r != 0)
		census_drop(census, process);
	return r == PROC_GONE ? 0 : r;
}

int census_compare(struct census *census, pid_t pid, usec_t now, uint64_t allocated)
{
	struct sweep sweep = {
		.census = census,
		.now = now,
		.allocated = allocated,
		.compares = true,
	};

	return read_process(&sweep, pid);
}

/* Was this pid given out since the last look?  (They wrap around.) */
static bool is_given_out_since(const struct sweep *sweep, pid_t pid)
{
	if (sweep->after <= sweep->last)
		return pid > sweep->after && pid <= sweep->last;
	return pid > sweep->after || pid <= sweep->last;
}

static int on_listed(pid_t pid, void *userdata)
{
	struct sweep *sweep = userdata;
	struct census_process *process = census_find(sweep->census, pid);

	if (sweep->everybody || !process || is_given_out_since(sweep, pid))
		return read_process(sweep, pid);
	process->generation = sweep->census->generation;
	return 0;
}

/* The fifth word of /proc/loadavg. */
pid_t census_read_last_pid(const struct census *census)
{
	char text[128];
	int pid;

	if (io_read_at(census->proc_fd, "loadavg", text, sizeof(text)) < 0 ||
	    sscanf(text, "%*s %*s %*s %*s %d", &pid) != 1 || pid < 0)
		return 0;
	return pid;
}

void census_begin_listing(struct census *census)
{
	census->n_unreadable -= census->n_hidden;
	census->n_hidden = 0;
}

int census_meet(struct census *census, pid_t pid, pid_t after, pid_t last, usec_t now,
		uint64_t allocated)
{
	struct sweep sweep = {
		.census = census,
		.now = now,
		.allocated = allocated,
		.after = after,
		.last = last,
	};

	return on_listed(pid, &sweep);
}

static int list(struct sweep *sweep)
{
	struct census *census = sweep->census;
	struct census_process *process, *next;
	int r;

	census->generation++;
	census_begin_listing(census);
	r = proc_list(census->proc_fd, census->scratch, SCRATCH_SIZE, on_listed, sweep);
	if (r < 0)
		return r;
	HASH_ITER(hh, census->by_pid, process, next)
		if (process->generation != census->generation)
			census_drop(census, process);
	return census_reserve(census);
}

int census_sweep(struct census *census, usec_t now, uint64_t allocated, bool with_swap)
{
	struct sweep sweep = {
		.census = census,
		.now = now,
		.allocated = allocated,
		.everybody = true,
		.compares = true,
	};
	pid_t last_pid =
		census_read_last_pid(census); /* before: who comes during the sweep is new */
	int r;

	census_stop_round(census);
	census->compares_next = false;
	census->round_allocated = allocated;
	census->with_swap = with_swap;
	r = list(&sweep);
	if (r < 0)
		return r;
	census->swept_at = now;
	census->last_pid = last_pid;
	census->looked_from = 0;
	census_begin_turns(census, now);
	census_tighten(census, allocated);
	return 0;
}

/* Reads those of the pids that are processes; a thread's number has a directory too. */
static int look_up(struct sweep *sweep)
{
	struct proc_status status;
	int r;

	for (pid_t pid = sweep->after + 1; pid <= sweep->last; pid++) {
		r = proc_read_status(sweep->census->proc_fd, pid, &status);
		if (r == PROC_GONE && !census_find(sweep->census, pid))
			continue;
		if (r == 0 && status.tgid != 0 && status.tgid != pid)
			continue;
		r = read_process(sweep, pid);
		if (r < 0)
			return r;
	}
	return 0;
}

static int find_new(struct census *census, usec_t now, uint64_t allocated)
{
	struct sweep sweep = { .census = census, .now = now, .allocated = allocated };
	pid_t last_pid = census_read_last_pid(census);
	int r;

	/* A number is given out a little before its process can be seen (alloc_pid() in
	 * kernel/pid.c); so what was looked at last time is looked at once more. */
	if (last_pid == census->last_pid && last_pid != 0 && census->looked_from == 0)
		return 0;
	sweep.after = census->looked_from ? census->looked_from : census->last_pid;
	sweep.last = last_pid;
	if (last_pid != 0 && census->last_pid != 0 && sweep.after <= last_pid &&
	    last_pid - sweep.after <= LOOK_UP_MAX) {
		r = look_up(&sweep);
		if (r == 0)
			r = census_reserve(census);
	} else {
		sweep.everybody = last_pid == 0;
		r = list(&sweep);
	}
	if (r < 0)
		return r;
	census->looked_from = last_pid == census->last_pid ? 0 : census->last_pid;
	census->last_pid = last_pid;
	return 0;
}

int census_find_new(struct census *census, usec_t now, uint64_t allocated)
{
	int r = find_new(census, now, allocated);

	return r < 0 ? r : census_compare_some(census, now, allocated);
}

void census_look_again(struct census *census, pid_t pid, usec_t now, uint64_t allocated)
{
	struct sweep sweep = {
		.census = census,
		.now = now,
		.allocated = allocated,
		.anew = true,
	};

	if (read_process(&sweep, pid) < 0)
		census->swept_at = 0;
}

/* 0 to 255, by size: exponent and two more bits. */
static unsigned size_class(const struct census_process *process)
{
	uint64_t size = proc_reclaimable(&process->memory) | 4;
	unsigned exponent = 63 - (unsigned)__builtin_clzll(size);

	return exponent << 2 | (unsigned)(size >> (exponent - 2) & 3);
}

/* Everybody, largest first, by counting. */
static void start_round(struct census *census, usec_t now, uint64_t allocated, bool with_swap)
{
	size_t starts[257] = { 0 }, n = 0;
	struct census_process *process;

	census_for_each(census, process)
		if (!process->kthread) {
			starts[255 - size_class(process) + 1]++;
			n++;
		}
	for (unsigned i = 1; i < ARRAY_SIZE(starts); i++)
		starts[i] += starts[i - 1];
	census_for_each(census, process)
		if (!process->kthread)
			census->order[starts[255 - size_class(process)]++] = process;
	census->n_order = census->n_by_size = n;
	census->i_order = 0;
	census->compares = census->compares_next;
	census->compares_next = false;
	if (census->compares)
		census_begin_turns(census, now);
	census->round_allocated = allocated;
	census->with_swap = with_swap;
}

void census_stop_round(struct census *census)
{
	census->n_order = census->i_order = 0;
	census_bury(census);
}

static void end_round(struct census *census)
{
	census_stop_round(census);
	census_tighten(census, census->round_allocated);
}

/* The first of the order keep theirs, the others give it back. */
static void keep_fd(struct census *census, struct census_process *process, bool keep)
{
	char path[32];

	if (keep == (process->statm_fd >= 0))
		return;
	if (!keep) {
		closep(&process->statm_fd);
		process->statm_fd = -EBADF;
		return;
	}
	snprintf(path, sizeof(path), "%d/statm", process->pid);
	process->statm_fd = openat(census->proc_fd, path, O_RDONLY | O_CLOEXEC);
}

/*
 * By statm alone where that is enough.  A kept fd is its process's for good; a path by pid could
 * have become another's, but pids given out since are all looked up (census_find_new()).
 */
static int reread(struct census *census, size_t i, usec_t now, uint64_t allocated)
{
	struct census_process *process = census->order[i];
	struct sweep sweep = {
		.census = census,
		.now = now,
		.allocated = allocated,
		.compares = census->compares,
	};
	bool by_thread = census->accuracy->regime == ACCURACY_PER_THREAD ||
			 census->accuracy->regime == ACCURACY_UNKNOWN;
	struct proc_memory memory;
	unsigned code_pages;

	if (process->pid == 0)
		return 0; /* dropped since the round began */
	keep_fd(census, process, i < KEPT_FDS);
	/* How many threads there are is part of the error, to 6.1. */
	if (census->with_swap || by_thread || process->n_threads == 0 || process->error < 0 ||
	    census->compares || !read_shares(census, process, &memory, &code_pages))
		return read_process(&sweep, process->pid);
	if (code_pages != process->code_pages) {
		sweep.anew = true;
		return read_process(&sweep, process->pid);
	}
	census_count_resident(census, process, memory.anon, memory.shared, allocated, now);
	return 0;
}

int census_refresh(struct census *census, usec_t now, uint64_t allocated, bool with_swap,
		   usec_t (*clock)(void), usec_t deadline)
{
	size_t began;
	int r;

	if (!census_round_is_under_way(census))
		start_round(census, now, allocated, with_swap);
	began = census->i_order;
	while (census_round_is_under_way(census)) {
		/* The clock costs a fraction of a read.  It is asked after the first: on a machine
		 * where each slice begins too late, the round would never end. */
		if (clock && census->i_order != began && census->i_order % 4 == 0 &&
		    clock() >= deadline)
			return 0;
		r = reread(census, census->i_order++, now, allocated);
		if (r < 0)
			return r;
	}
	end_round(census);
	return 1;
}

bool census_is_stale(const struct census *census, uint64_t allocated)
{
	uint64_t growth = sub_u64(allocated, census->round_allocated);

	return growth > max_u64(STALE_MIN, census->largest / STALE_SHARE);
}

void census_rest(struct census *census)
{
	struct census_process *process;

	census_stop_round(census);
	census->compares_next = true;
	census_stop_catching_up(census);
	census_for_each(census, process)
		keep_fd(census, process, false);
}
