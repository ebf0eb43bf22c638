/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-plan: opens the sharers, relatives and cgroup members that are killed with the victim. */
#include "daemon/kill/kill-plan.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/config.h"
#include "daemon/base/machine.h"
#include "daemon/kill/confirm.h"
#include "daemon/kill/in-flight.h"
#include "daemon/select/decision.h"
#include "daemon/select/selection.h"
#include "daemon/watch/sampler.h"
#include "lib/base/errors.h"
#include "lib/select/kill-set.h"
#include "lib/select/sharers.h"

/* All comparisons together: usually some microseconds, but an exec can hold one up, and on a busy
 * machine the thread that makes them may have to wait for a CPU. */
#define COMPARE_BUDGET_USEC (50 * USEC_PER_MSEC)
#define COMPARE_PAUSE_NSEC  2000000

/* Those beyond KILL_OTHERS_MAX are looked at for so long: each takes some 30 us, and several times
 * that on a busy machine. */
#define GATHER_BUDGET_USEC (10 * USEC_PER_MSEC)

/* While the thread is in something else, there is no answer at once. */
static void compare(pid_t tid, const pid_t *tids, unsigned n, int *ret, void *userdata)
{
	const struct timespec pause = { .tv_nsec = COMPARE_PAUSE_NSEC };
	usec_t now = clock_now(), until = now + COMPARE_BUDGET_USEC;
	const struct in_flight *f = userdata;

	for (;;) {
		precise_compare(f->sampler->precise, tid, tids, n, until - now, ret);
		now = clock_now();
		if (ret[0] != -ETIMEDOUT || now >= until)
			return;
		(void)nanosleep(&pause, NULL);
	}
}

/* None of the plan is killed if one of it is spared; so the first one is enough to know. */
void kill_plan_spare(struct decision *d, const struct census_process *process)
{
	if (d->others.spared_pid > 0)
		return;
	d->others.spared_pid = process->pid;
	d->error = -EPERM;
	memcpy(d->others.spared_comm, process->comm, sizeof(d->others.spared_comm));
}

int kill_plan_open(struct in_flight *f, const struct census_process *process)
{
	if (f->victim.n_others < KILL_OTHERS_MAX)
		return kill_open_other(f->machine->kill_ops, f->machine->proc_fd, process->pid,
				       process->start_ticks, &f->victim);
	return kill_rest_add(&f->decision.others.rest, process->pid, process->start_ticks)
		       ? 0
		       : -ENOSPC;
}

bool kill_plan_is_late(const struct in_flight *f)
{
	return f->victim.n_others == KILL_OTHERS_MAX &&
	       sub_u64(clock_now(), f->gather_began) >= GATHER_BUDGET_USEC;
}

bool kill_plan_has(const struct in_flight *f, pid_t pid)
{
	const struct kill_victim *victim = &f->victim;

	for (unsigned i = 0; i < victim->n_others; i++)
		if (victim->others[i].pid == pid)
			return true;
	return victim->pid == pid || kill_rest_has(&f->decision.others.rest, pid);
}

bool kill_plan_may_kill(const struct in_flight *f, const struct kill_set *set,
			const struct census_process *process)
{
	if (!kill_plan_is_late(f))
		return confirm_may_kill(f, process->pid, f->config->policies.subtree);
	return kill_set_may_kill(set, process);
}

static void open_sharer(struct in_flight *f, const struct kill_set *set,
			const struct census_process *process)
{
	struct decision *d = &f->decision;
	int r;

	if (!kill_plan_may_kill(f, set, process)) {
		kill_plan_spare(d, process);
		return;
	}
	r = kill_plan_open(f, process);
	if (r == 0)
		d->others.n_sharers++;
	else if (r == -ENOSPC)
		d->others.n_sharers_left++;
	else if (r == -EPERM)
		kill_plan_spare(d, process);
	else if (r < 0)
		d->others.sharers_error = r;
}

/* memory: the victim's own. */
static void find_sharers(struct in_flight *f, const struct kill_set *set,
			 const struct proc_memory *memory)
{
	struct decision *d = &f->decision;
	struct sharers sharers;

	sharers_find(set->census, set->victim, memory, f->sampler->domain.reading.allocated,
		     compare, f, &sharers);
	d->others.sharers_error = sharers.error;
	d->others.n_sharers_left = sharers.n_more;
	f->gather_began = clock_now();
	for (unsigned i = 0; i < sharers.n; i++)
		open_sharer(f, set, sharers.items[i]);
}

/* Which cgroup is killed as a whole?  The length of its path; 0: none, with the reason. */
static size_t find_group(const struct in_flight *f, int *ret_error)
{
	const struct decision *d = &f->decision;
	char own_path[CGROUP_PATH_MAX];
	int r;

	r = cgroup_of_process(&f->machine->cgroups, f->machine->proc_fd, getpid(), own_path,
			      sizeof(own_path));
	*ret_error = error_is_transient(r) ? r : -EPERM;
	if (r != 0)
		return 0;
	return kill_set_find_group(&f->machine->cgroups, d->target == POLICY_TARGET_CGROUP,
				   d->cgroup, f->config->policies.subtree, own_path);
}

/* The members of the group: all are counted, the largest are kept. */
struct members {
	const struct in_flight *f;
	const struct census_process *largest[KILL_OTHERS_MAX];
	unsigned n_largest;
	unsigned n;
	struct proc_memory memory; /* besides the victim and its sharers, which have one */
};

static void keep_if_large(struct members *members, const struct census_process *process)
{
	uint64_t footprint = proc_reclaimable(&process->memory);
	unsigned i = members->n_largest;

	for (; i > 0 && proc_reclaimable(&members->largest[i - 1]->memory) < footprint; i--)
		if (i < KILL_OTHERS_MAX)
			members->largest[i] = members->largest[i - 1];
	if (i == KILL_OTHERS_MAX)
		return;
	members->largest[i] = process;
	members->n_largest += members->n_largest < KILL_OTHERS_MAX;
}

static bool count_member(const struct census_process *process, void *userdata)
{
	struct members *members = userdata;

	members->n++;
	if (kill_plan_has(members->f, process->pid))
		return true;
	kill_set_add(&members->memory, &process->memory);
	keep_if_large(members, process);
	return true;
}

/* Those whose memory is worth a reap of their own, and how much it is in all. */
static void open_members(struct in_flight *f, const struct kill_set *set)
{
	struct decision *d = &f->decision;
	struct members members = { .f = f };

	kill_set_members(set, count_member, &members);
	if (members.n > 0)
		d->others.n_processes = members.n;
	if (d->others.is_flagged ||
	    d->others.as_one == VICTIM_AS_CGROUP) /* one process was chosen, and read */
		kill_set_add(&d->memory, &members.memory);
	for (unsigned i = 0; i < members.n_largest; i++)
		(void)kill_open_other(f->machine->kill_ops, f->machine->proc_fd,
				      members.largest[i]->pid, members.largest[i]->start_ticks,
				      &f->victim);
}

/* 0, KILL_GONE, or -errno: it may not be killed as a whole. */
static int open_group(struct in_flight *f, const struct kill_set *set)
{
	struct decision *d = &f->decision;
	bool is_of_cgroup = decision_is_of_cgroup(d);
	size_t length;
	int r;

	length = find_group(f, &r);
	if (length == 0) {
		if (is_of_cgroup)
			return r;
		d->target = POLICY_TARGET_PROCESS; /* the victim alone, if it was to be more */
		return 0;
	}
	memcpy(d->others.group, d->cgroup, length);
	d->others.group[length] = '\0';
	r = kill_group_open(&f->machine->cgroups, d->others.group, &f->victim.group);
	if (r != 0)
		return r;
	d->others.is_flagged = d->target == POLICY_TARGET_PROCESS;
	d->target = POLICY_TARGET_CGROUP;
	open_members(f, set);
	return 0;
}

/* As many as there is room for. */
static bool open_sibling(const struct census_process *process, void *userdata)
{
	struct in_flight *f = userdata;
	struct decision *d = &f->decision;

	if (f->victim.n_others == KILL_OTHERS_MAX)
		return false;
	if (kill_plan_has(f, process->pid) ||
	    !confirm_may_kill(f, process->pid, f->config->policies.subtree) ||
	    kill_open_other(f->machine->kill_ops, f->machine->proc_fd, process->pid,
			    process->start_ticks, &f->victim) != 0)
		return true;
	d->others.n_siblings++;
	d->others.n_processes++;
	kill_set_add(&d->memory, &process->memory);
	if (d->others.as_one == VICTIM_WITH_STARTER)
		memcpy(d->others.starter_comm, process->comm, sizeof(d->others.starter_comm));
	return true;
}

static_assert(HELD_OTHERS_MAX <= KILL_TOGETHER_MAX, "one kill takes all holders");

/* Relatives that hold open what the victim does (stuck.h): it is freed with the last of them. */
static void open_holders(struct in_flight *f, const struct kill_set *set)
{
	const struct stuck *s = &f->selection->stuck;

	for (unsigned i = 0; f->decision.held > 0 && i < s->n_together; i++) {
		const struct census_process *process =
			census_find(&f->sampler->census, s->together[i]);

		if (!process || kill_plan_has(f, process->pid))
			continue;
		if (!kill_plan_may_kill(f, set, process))
			kill_plan_spare(&f->decision, process);
		else if (kill_plan_open(f, process) == 0)
			f->decision.others.n_relatives++;
	}
	f->victim.is_family = f->victim.is_family || f->decision.others.n_relatives > 0;
}

static struct kill_set set_of(const struct in_flight *f, const struct census_process *victim)
{
	const struct decision *d = &f->decision;

	return (struct kill_set){
		.census = &f->sampler->census,
		.request = &f->selection->request,
		.choice = &f->selection->choice,
		.victim = victim,
		.as_one = d->others.as_one,
		.memory = &d->memory,
		.alone = d->alone,
		.is_unit = d->is_unit,
		.is_reluctant = d->is_reluctant,
		.group = d->others.group,
		.n_reads = KILL_TOGETHER_MAX,
	};
}

enum report_event kill_plan_gather(struct in_flight *f, const struct policy *policy)
{
	struct decision *d = &f->decision;
	const struct census_process *victim = census_find(&f->sampler->census, d->pid);
	enum report_event event = REPORT_NOTHING;
	struct kill_set set;

	if (!victim || victim->start_ticks != d->start_ticks)
		return REPORT_VANISHED;
	set = set_of(f, victim);
	find_sharers(f, &set, decision_is_of_cgroup(d) ? &victim->memory : &d->memory);
	open_holders(f, &set);
	if (d->others.spared_pid > 0)
		return REPORT_SPARED;
	if (!decision_is_of_cgroup(d))
		event = kill_plan_gather_family(f, &set);
	if (event != REPORT_NOTHING)
		return event;
	/* Where the policy kills cgroups, one that is directly in a top is killed alone: the top is
	 * not killed as a whole, whatever its flag is. */
	if (decision_is_of_cgroup(d) || policy->target == POLICY_TARGET_PROCESS)
		d->error = open_group(f, &set);
	if (d->error < 0)
		return REPORT_CANNOT_OPEN;
	if (d->error == KILL_GONE)
		return REPORT_VANISHED;
	kill_set_siblings(&set, open_sibling, f);
	decision_note_next(d, &f->selection->choice, &f->victim);
	return REPORT_NOTHING;
}

static bool spares(pid_t pid, void *userdata)
{
	const struct in_flight *f = userdata;

	return !confirm_may_kill(f, pid, f->decision.others.group);
}

struct kill_target kill_plan_target(struct in_flight *f)
{
	struct decision *d = &f->decision;

	return (struct kill_target){
		.pid = d->pid,
		.start_ticks = d->start_ticks,
		.v2_path = d->cgroup,
		.v1_path = d->v1_freezer,
		.spares = spares,
		.userdata = f,
		.rest = &d->others.rest,
		.without_haste = true,
	};
}

/* A process that was seen to have exited is not examined again. */
static bool rest_is_gone(struct in_flight *f)
{
	struct decision *d = &f->decision;

	for (; d->others.n_rest_gone < d->others.rest.n; d->others.n_rest_gone++) {
		struct proc_stat stat;

		if (proc_read_stat(f->machine->proc_fd,
				   d->others.rest.items[d->others.n_rest_gone].pid, &stat) == 0 &&
		    stat.start_ticks == d->others.rest.items[d->others.n_rest_gone].start_ticks &&
		    (stat.state != 'Z' || stat.n_threads > 1))
			return false;
	}
	return true;
}

bool kill_plan_is_gone(struct in_flight *f)
{
	struct kill_target target = kill_plan_target(f);

	return kill_is_gone(&f->victim) && rest_is_gone(f) &&
	       kill_group_is_gone(f->machine->kill_ops, f->machine->proc_fd, &target,
				  &f->victim.group);
}

uint64_t kill_plan_footprint_of(const struct in_flight *f, pid_t pid, uint64_t start_ticks)
{
	struct proc_memory memory;
	struct proc_stat stat;

	if (proc_read_stat(f->machine->proc_fd, pid, &stat) != 0 ||
	    stat.start_ticks != start_ticks ||
	    proc_read_memory(f->machine->proc_fd, &stat, true, f->machine->accuracy.page_size,
			     &memory) != 0)
		return UINT64_MAX;
	return proc_reclaimable(&memory);
}

/* Two of the same memory: the one that is left has it all. */
static uint64_t larger(uint64_t a, uint64_t b)
{
	if (a == UINT64_MAX || b == UINT64_MAX)
		return min_u64(a, b);
	return max_u64(a, b);
}

uint64_t kill_plan_footprint(const struct in_flight *f)
{
	const struct kill_victim *victim = &f->victim;
	uint64_t footprint = kill_plan_footprint_of(f, victim->pid, victim->start_ticks);

	for (unsigned i = 0; i < victim->n_others; i++) {
		const struct kill_other *other = &victim->others[i];
		uint64_t more = kill_plan_footprint_of(f, other->pid, other->start_ticks);

		if (i < f->decision.others.n_sharers || footprint == UINT64_MAX ||
		    more == UINT64_MAX)
			footprint = larger(footprint, more);
		else
			footprint = add_u64(footprint, more);
	}
	return footprint;
}
