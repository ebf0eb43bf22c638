/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * census: see the header.  A sweep builds the new list beside the old one, so that what does not
 * change is copied, not read.
 */
#include "lib/census.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/hash.h"
#include "lib/io.h"

#define SCRATCH_SIZE  (32 * KIB)
#define PROCESSES_MIN 512

/* A process can be moved to another cgroup without any sign; each is looked up again once in so
 * many sweeps (and once more before it is ended). */
#define CGROUP_REREAD_SWEEPS 16

struct census_cgroup {
	bool in_scope;
	unsigned generation; /* of the last sweep that saw a member */
	UT_hash_handle hh;
	char path[];
};

struct sweep {
	struct census *census;
	usec_t now;
	uint64_t allocated;
	size_t n_new;
	bool unsorted;
};

int census_init(struct census *census, int proc_fd, const struct cgroup_fs *cgroups,
		const struct accuracy *accuracy, const struct policy_set *policies)
{
	*census = (struct census){
		.proc_fd = proc_fd,
		.cgroups = cgroups,
		.accuracy = accuracy,
		.policies = policies,
	};
	census->scratch = malloc(SCRATCH_SIZE);
	return census->scratch ? 0 : -ENOMEM;
}

void census_done(struct census *census)
{
	struct census_cgroup *cgroup, *next;

	HASH_ITER(hh, census->cgroup_table, cgroup, next)
	{
		HASH_DEL(census->cgroup_table, cgroup);
		free(cgroup);
	}
	free(census->processes);
	free(census->spare);
	free(census->scratch);
	*census = (struct census){ .proc_fd = -EBADF };
}

void census_set_policies(struct census *census, const struct policy_set *policies)
{
	struct census_cgroup *cgroup, *next;

	census->policies = policies;
	HASH_ITER(hh, census->cgroup_table, cgroup, next)
	cgroup->in_scope = cgroup_path_is_below(cgroup->path, policies->scope);
	/* The rules of old are gone: nobody is kept who points to one. */
	census->n_processes = 0;
	census->swept_at = 0;
}

static struct census_cgroup *find_or_add_cgroup(struct census *census, const char *path)
{
	struct census_cgroup *cgroup;
	size_t length = strlen(path);

	HASH_FIND(hh, census->cgroup_table, path, length, cgroup);
	if (cgroup)
		return cgroup;
	cgroup = calloc(1, sizeof(*cgroup) + length + 1);
	if (!cgroup)
		return NULL;
	memcpy(cgroup->path, path, length + 1);
	cgroup->in_scope = cgroup_path_is_below(path, census->policies->scope);
	HASH_ADD(hh, census->cgroup_table, path, length, cgroup);
	if (!hash_has(cgroup)) {
		free(cgroup);
		return NULL;
	}
	return cgroup;
}

/* What rules look at: 0, PROC_GONE or -errno. */
static int read_cgroup(struct census *census, struct census_process *process)
{
	char path[CGROUP_PATH_MAX];
	int r;

	r = cgroup_of_process(census->cgroups, census->proc_fd, process->pid, path, sizeof(path));
	if (r == PROC_GONE)
		return r;
	process->cgroup = find_or_add_cgroup(census, r < 0 ? "/" : path);
	return process->cgroup ? 0 : -ENOMEM;
}

static void apply_rules(struct census *census, struct census_process *process)
{
	struct rule_subject subject = {
		.comm = process->comm,
		.cgroup = process->cgroup->path,
		.uid = process->uid,
	};
	struct rule_verdict verdict;

	policy_apply_rules(census->policies, &subject, &verdict);
	process->protected_by = verdict.protected_by;
	process->weight = (float)verdict.weight;
}

static int read_attributes(struct census *census, struct census_process *process)
{
	struct proc_status status;
	int r;

	r = proc_read_status(census->proc_fd, process->pid, &status);
	if (r == PROC_GONE)
		return r;
	process->uid = r < 0 ? (uid_t)-1 : status.uid;
	r = read_cgroup(census, process);
	if (r != 0)
		return r;
	apply_rules(census, process);
	return 0;
}

static void remember_growth(struct census_process *process, bool is_new, usec_t now)
{
	uint64_t footprint = census_footprint(&process->memory);

	if (is_new) {
		process->earlier_footprint = process->recent_footprint = footprint;
		process->recent_at = now;
	} else if (now - process->recent_at >= CENSUS_GROWTH_USEC) {
		process->earlier_footprint = process->recent_footprint;
		process->recent_footprint = footprint;
		process->recent_at = now;
	}
}

static int read_process(struct sweep *sweep, pid_t pid, struct census_process *process)
{
	struct census *census = sweep->census;
	const struct census_process *old = census_find(census, pid);
	struct proc_stat stat;
	bool is_new;
	int r, adj;

	r = proc_read_stat(census->proc_fd, pid, &stat);
	if (r != 0)
		return r;
	is_new = !old || old->start_ticks != stat.start_ticks;
	if (!is_new)
		*process = *old;
	else
		*process = (struct census_process){ .pid = pid, .start_ticks = stat.start_ticks };
	process->ppid = stat.ppid;
	process->state = stat.state;
	process->n_threads = stat.n_threads;
	process->kthread = stat.flags & PROC_FLAG_KTHREAD;

	/* An exec changes comm, nearly always; uid and cgroup may have changed with it. */
	if (is_new || strncmp(process->comm, stat.comm, sizeof(process->comm) - 1) != 0) {
		snprintf(process->comm, sizeof(process->comm), "%.15s", stat.comm);
		r = read_attributes(census, process);
	} else if ((unsigned)pid % CGROUP_REREAD_SWEEPS ==
		   census->generation % CGROUP_REREAD_SWEEPS) {
		r = read_attributes(census, process);
	}
	if (r != 0)
		return r;
	process->cgroup->generation = census->generation;
	process->in_scope = process->cgroup->in_scope;
	if (process->kthread)
		return 0;

	r = proc_read_oom_score_adj(census->proc_fd, pid, &adj);
	if (r == PROC_GONE)
		return r;
	process->oom_score_adj = r < 0 ? 0 : (short)adj;
	r = proc_read_memory(census->proc_fd, &stat, census->with_swap, census->accuracy->page_size,
			     &process->memory);
	if (r == PROC_GONE)
		return r;
	process->error = r;
	census->n_unreadable += r < 0;
	process->read_at_allocated = sweep->allocated;
	process->read_at = sweep->now;
	remember_growth(process, is_new, sweep->now);
	return 0;
}

/* Room for one more, in both buffers. */
static int reserve(struct census *census, size_t n)
{
	struct census_process *grown;
	size_t n_wanted;

	if (n <= census->n_allocated)
		return 0;
	n_wanted = max_u64(PROCESSES_MIN, n + n / 2);
	grown = realloc(census->spare, n_wanted * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	census->spare = grown;
	grown = realloc(census->processes, n_wanted * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	census->processes = grown;
	census->n_allocated = n_wanted;
	return 0;
}

static int on_pid(pid_t pid, void *userdata)
{
	struct sweep *sweep = userdata;
	struct census *census = sweep->census;
	int r;

	r = reserve(census, sweep->n_new + 1);
	if (r < 0)
		return r;
	r = read_process(sweep, pid, &census->spare[sweep->n_new]);
	if (r == -ENOMEM)
		return r;
	/* Gone, or not to be read at all (hidepid): as if it were not there. */
	if (r < 0)
		census->n_unreadable++;
	if (r != 0)
		return 0;
	if (sweep->n_new > 0 && census->spare[sweep->n_new - 1].pid > pid)
		sweep->unsorted = true;
	sweep->n_new++;
	return 0;
}

static int compare_pids(const void *a, const void *b)
{
	const struct census_process *pa = a, *pb = b;

	return pa->pid < pb->pid ? -1 : pa->pid > pb->pid;
}

static void forget_empty_cgroups(struct census *census)
{
	struct census_cgroup *cgroup, *next;

	HASH_ITER(hh, census->cgroup_table, cgroup, next)
	{
		if (cgroup->generation == census->generation)
			continue;
		HASH_DEL(census->cgroup_table, cgroup);
		free(cgroup);
	}
}

/* The newest pid given out in our pid namespace: the fifth word of /proc/loadavg. */
static pid_t read_last_pid(const struct census *census)
{
	char text[128];
	int pid;

	if (io_read_at(census->proc_fd, "loadavg", text, sizeof(text)) < 0 ||
	    sscanf(text, "%*s %*s %*s %*s %d", &pid) != 1)
		return 0;
	return pid;
}

bool census_has_new(const struct census *census)
{
	return census->last_pid == 0 || read_last_pid(census) != census->last_pid;
}

int census_sweep(struct census *census, usec_t now, uint64_t allocated, bool with_swap)
{
	struct sweep sweep = { .census = census, .now = now, .allocated = allocated };
	struct census_process *processes;
	pid_t last_pid = read_last_pid(census); /* before: who comes during the sweep is new */
	int r;

	census->generation++;
	census->with_swap = with_swap;
	census->n_unreadable = 0;
	r = proc_list(census->proc_fd, census->scratch, SCRATCH_SIZE, on_pid, &sweep);
	if (r < 0)
		return r;
	/* proc(5) promises no order, though proc_pid_readdir() has always ascended. */
	if (sweep.unsorted)
		qsort(census->spare, sweep.n_new, sizeof(*census->spare), compare_pids);
	processes = census->spare;
	census->spare = census->processes;
	census->processes = processes;
	census->n_processes = sweep.n_new;
	census->swept_at = now;
	census->last_pid = last_pid;
	forget_empty_cgroups(census);
	return 0;
}

const struct census_process *census_find(const struct census *census, pid_t pid)
{
	size_t lo = 0, hi = census->n_processes;

	while (lo < hi) {
		size_t middle = lo + (hi - lo) / 2;

		if (census->processes[middle].pid < pid)
			lo = middle + 1;
		else
			hi = middle;
	}
	if (lo < census->n_processes && census->processes[lo].pid == pid)
		return &census->processes[lo];
	return NULL;
}

void census_forget(struct census *census, pid_t pid)
{
	struct census_process *process = (struct census_process *)census_find(census, pid);

	if (process)
		process->start_ticks = UINT64_MAX; /* nobody's */
	census->swept_at = 0;
}

const char *census_cgroup_path(const struct census_cgroup *cgroup)
{
	return cgroup->path;
}

uint64_t census_footprint(const struct proc_memory *memory)
{
	return memory->anon + memory->swap;
}

struct interval census_interval(const struct census *census, const struct census_process *process,
				uint64_t allocated)
{
	uint64_t growth = sub_u64(allocated, process->read_at_allocated);
	struct interval interval =
		accuracy_interval(census->accuracy, census_footprint(&process->memory),
				  census->with_swap, process->n_threads);

	/* It may have shrunk at any time, and grown by no more than all that was handed out. */
	if (growth > 0)
		interval.lo = 0;
	interval.hi = add_u64(interval.hi, growth);
	return interval;
}
