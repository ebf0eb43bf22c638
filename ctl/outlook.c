/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* outlook: see the header. */
#include "ctl/outlook.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/check.h"
#include "lib/cleanup.h"

/* Nobody waits in an emergency: ten times what the daemon allows itself. */
#define PRECISE_BUDGET_USEC USEC_PER_SEC

static usec_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

static enum ctl_status open_machine(const struct ctl_options *options, struct outlook *o)
{
	int r;

	o->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (o->proc_fd < 0)
		return ctl_fail(options, CTL_FAILURE, "cannot open /proc: %s", strerror(errno));
	o->sys_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* without it: no zram */
	r = memory_source_new(o->proc_fd, o->sys_fd, &o->memory_source);
	if (r == 0)
		r = memory_sample(o->memory_source, &o->memory);
	if (r < 0)
		return ctl_fail(options, CTL_FAILURE,
				"cannot read /proc/meminfo and /proc/vmstat: %s", strerror(-r));
	if (cgroup_fs_open(o->proc_fd, &o->cgroups) < 0)
		cgroup_fs_init(&o->cgroups, -EBADF, -EBADF);
	return CTL_OK;
}

static enum ctl_status check_scope(const struct ctl_options *options, const struct outlook *o)
{
	const char *scope = o->policies.scope;
	int mount_fd = o->cgroups.v2_fd >= 0 ? o->cgroups.v2_fd : o->cgroups.v1_freezer_fd;
	_cleanup_close_ int fd = -EBADF;

	if (strcmp(scope, "/") == 0)
		return CTL_OK;
	if (scope[0] != '/')
		return ctl_fail(options, CTL_BAD_USAGE,
				"scope %s: a cgroup's path begins with '/', as in /proc/PID/cgroup",
				scope);
	if (mount_fd < 0)
		return ctl_fail(options, CTL_FAILURE, "scope %s: there are no cgroups here", scope);
	fd = cgroup_open(mount_fd, scope);
	if (fd < 0)
		return ctl_fail(options, CTL_FAILURE, "scope %s: %s", scope, strerror(-fd));
	return CTL_OK;
}

/*
 * Policies ask for the pressure of the seconds before now, in which nobody was watching: the
 * kernel's averages stand in for a history.
 */
static void imagine_history(struct outlook *o, usec_t at)
{
	static const struct {
		usec_t age;
		bool by_avg60;
	} samples[] = { { 60 * USEC_PER_SEC, true }, { 10 * USEC_PER_SEC, false }, { 0, false } };

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct psi_reading *p = &o->pressure;
		usec_t age = samples[i].age;
		unsigned some = samples[i].by_avg60 ? p->some.avg60 : p->some.avg10;
		unsigned full = samples[i].by_avg60 ? p->full.avg60 : p->full.avg10;
		struct psi_reading then = {
			.some.total = sub_u64(p->some.total, age / PERMYRIAD * some),
			.full.total = sub_u64(p->full.total, age / PERMYRIAD * full),
		};

		if (age <= at)
			psi_history_add(&o->psi, at - age, &then);
	}
}

static void find_policy(struct outlook *o)
{
	struct policy_reading reading = {
		.memory = &o->memory,
		.psi = o->has_psi ? &o->psi : NULL,
	};

	for (size_t i = 0; i < o->policies.n_policies; i++) {
		const struct policy *policy = &o->policies.policies[i];
		bool holds = policy_holds(policy, &reading);

		if (policy->action == POLICY_ACTION_WARN && holds && !o->warning)
			o->warning = policy;
		if (policy->action < POLICY_ACTION_TERMINATE)
			continue;
		if (!o->policy || (holds && !o->policy_holds) ||
		    (holds && policy->action > o->policy->action)) {
			o->policy = policy;
			o->policy_holds = holds;
		}
	}
}

/* Everybody; and memory once more, so that what was handed out during the sweep is known. */
static int take_census(struct outlook *o)
{
	const struct memory_counters *c = &o->memory.counters;
	int r;

	r = accuracy_probe(o->proc_fd, o->sys_fd, &o->accuracy);
	if (r < 0)
		o->accuracy.regime = ACCURACY_UNKNOWN;
	r = census_init(&o->census, o->proc_fd, &o->cgroups, &o->accuracy, &o->policies);
	if (r < 0)
		return r;
	r = memory_sample(o->memory_source, &o->memory);
	if (r == 0)
		r = census_sweep(&o->census, now(), o->memory.allocated,
				 c->swap_free < c->swap_total);
	if (r == 0)
		r = victim_reserve(&o->result, &o->census);
	return r < 0 ? r : memory_sample(o->memory_source, &o->memory);
}

static int read_noted(const struct census_process *process, struct proc_memory *ret,
		      uint64_t *ret_error, void *userdata)
{
	struct outlook *o = userdata;
	int r;

	r = reader_read(process, ret, ret_error, &o->reader);
	if (r == 0 && o->n_reads < ARRAY_SIZE(o->reads))
		o->reads[o->n_reads++] = (struct outlook_read){ process->pid, *ret_error };
	return r;
}

static void choose(struct outlook *o)
{
	o->reader = (struct reader){
		.proc_fd = o->proc_fd,
		.accuracy = &o->accuracy,
		.precise = o->precise,
		.left = PRECISE_BUDGET_USEC,
		.now = now,
	};
	o->request = (struct victim_request){
		.n_wanted = VICTIM_RANKED_MAX,
		.rank_by = o->policy ? o->policy->rank_by : POLICY_RANK_BY_FOOTPRINT,
		.allocated = o->memory.allocated,
		.total = o->memory.counters.total + o->memory.counters.swap_total,
		.now = now(),
		.self = getpid(),
	};
	victim_choose(&o->census, &o->request, read_noted, o, &o->result);
	victim_count_exclusions(&o->census, &o->request, o->n_excluded);
}

enum ctl_status outlook_new(const struct ctl_options *options, struct outlook **ret)
{
	_cleanup_(outlook_freep) struct outlook *o = calloc(1, sizeof(*o));
	enum ctl_status status;
	int r;

	if (!o)
		return ctl_fail(options, CTL_FAILURE, "no memory");
	o->proc_fd = o->sys_fd = -EBADF;
	cgroup_fs_init(&o->cgroups, -EBADF, -EBADF);
	status = check_load(options, &o->policies);
	if (status == CTL_OK)
		status = open_machine(options, o);
	if (status == CTL_OK)
		status = check_scope(options, o);
	if (status != CTL_OK)
		return status;

	r = take_census(o);
	if (r == 0)
		r = precise_new(o->proc_fd, &o->precise);
	if (r < 0)
		return ctl_fail(options, CTL_FAILURE, "cannot read memory or processes: %s",
				strerror(-r));
	o->has_psi = psi_read(o->proc_fd, "pressure/memory", &o->pressure) == 0;
	if (o->has_psi)
		imagine_history(o, now());
	o->hides_others = !census_find(&o->census, 1);
	find_policy(o);
	choose(o);
	*ret = take_ptr(o);
	return CTL_OK;
}

struct outlook *outlook_free(struct outlook *o)
{
	if (!o)
		return NULL;
	precise_free(o->precise);
	census_done(&o->census);
	victim_done(&o->result);
	memory_source_free(o->memory_source);
	cgroup_fs_done(&o->cgroups);
	closep(&o->proc_fd);
	closep(&o->sys_fd);
	policy_set_done(&o->policies);
	free(o);
	return NULL;
}

const struct victim_candidate *outlook_victim(const struct outlook *o)
{
	return o->result.n_ranked > 0 ? &o->result.ranked[0] : NULL;
}

uint64_t outlook_read_error(const struct outlook *o)
{
	uint64_t error = 0;

	for (unsigned i = 0; i < o->n_reads; i++)
		error = max_u64(error, o->reads[i].error);
	return error;
}

struct interval outlook_size(const struct outlook *o, const struct victim_candidate *candidate)
{
	uint64_t footprint = census_footprint(&candidate->memory);

	if (candidate->precise)
		for (unsigned i = 0; i < o->n_reads; i++)
			if (o->reads[i].pid == candidate->process->pid)
				return (struct interval){
					sub_u64(footprint, o->reads[i].error),
					add_u64(footprint, o->reads[i].error),
				};
	return accuracy_interval(&o->accuracy, footprint, o->census.with_swap,
				 candidate->process->n_threads);
}

/* The score, were the footprint this. */
static uint64_t score_at(const struct outlook *o, const struct census_process *process,
			 struct proc_memory memory, uint64_t footprint)
{
	memory.anon = 0;
	memory.swap = footprint;
	return victim_score(process, &o->request, &memory);
}

/* Behind all that were ranked, and behind those that count for more. */
static size_t rank_of(const struct outlook *o, uint64_t score)
{
	const struct census_process *other;
	size_t rank = 1;

	census_for_each(&o->census, other) {
		if (victim_exclusion(&o->census, other, &o->request) == VICTIM_ELIGIBLE &&
		    victim_score(other, &o->request, &other->memory) > score)
			rank++;
	}
	return max_u64(rank, o->result.n_ranked + 1);
}

int outlook_candidate(struct outlook *o, const struct census_process *process,
		      struct victim_candidate *ret, size_t *ret_rank)
{
	struct victim_candidate candidate = {
		.node = &process->node,
		.process = process,
		.memory = process->memory,
	};
	struct interval size;
	uint64_t error;
	int r;

	for (unsigned i = 0; i < o->result.n_ranked; i++) {
		if (o->result.ranked[i].process != process)
			continue;
		*ret = o->result.ranked[i];
		*ret_rank = i + 1;
		return 0;
	}
	r = read_noted(process, &candidate.memory, &error, o);
	if (r == VICTIM_READ_GONE)
		return PROC_GONE;
	candidate.precise = r == 0;
	candidate.verdict = r == 0 ? VICTIM_SMALLER : VICTIM_UNDECIDED;
	size = outlook_size(o, &candidate);
	candidate.score.lo = score_at(o, process, candidate.memory, size.lo);
	candidate.score.hi = score_at(o, process, candidate.memory, size.hi);
	candidate.estimate = victim_score(process, &o->request, &candidate.memory);
	*ret = candidate;
	*ret_rank = rank_of(o, candidate.estimate);
	return 0;
}
