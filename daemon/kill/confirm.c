/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* confirm: the last check of the chosen process, before the signal. */
#include "daemon/kill/confirm.h"

#include <string.h>
#include <unistd.h>

#include "daemon/base/config.h"
#include "daemon/base/machine.h"
#include "daemon/kill/in-flight.h"
#include "daemon/kill/kill-plan.h"
#include "daemon/select/decision.h"
#include "daemon/watch/sampler.h"
#include "lib/base/errors.h"
#include "lib/select/eligibility-read.h"

/* (uid_t)-1 if it cannot be read, as in the census. */
static uid_t uid_of(int proc_fd, pid_t pid)
{
	struct proc_status status;

	return proc_read_status(proc_fd, pid, &status) == 0 ? status.uid : (uid_t)-1;
}

/* The victim's cgroup and user now; false if it has vanished.  What cannot be read for now is taken
 * to be unchanged; a path too long to be read is taken for the root, as in the census. */
static bool reread(struct in_flight *f, bool *ret_moved)
{
	struct decision *d = &f->decision;
	char cgroup[CGROUP_PATH_MAX], known[CGROUP_PATH_MAX];
	int r;

	r = cgroup_of_process(&f->machine->cgroups, f->machine->proc_fd, d->pid, cgroup,
			      sizeof(cgroup));
	if (error_is_transient(r))
		memcpy(cgroup, d->cgroup, sizeof(cgroup));
	else if (r < 0)
		strcpy(cgroup, "/");
	if (r == PROC_GONE)
		return false;
	memcpy(known, cgroup, sizeof(known));
	census_cut_path(known);
	*ret_moved = strcmp(known, d->cgroup) != 0;
	memcpy(d->cgroup, cgroup, sizeof(d->cgroup));
	d->uid = uid_of(f->machine->proc_fd, d->pid);
	r = cgroup_of_process_v1_freezer(&f->machine->cgroups, f->machine->proc_fd, d->pid,
					 d->v1_freezer, sizeof(d->v1_freezer));
	if (r < 0)
		strcpy(d->v1_freezer, "/");
	return r != PROC_GONE;
}

/* Is much of what it was chosen for freed?  An exec keeps pid and start time, and can keep the
 * name. */
static bool has_shrunk(const struct in_flight *f, const struct proc_stat *stat)
{
	const struct decision *d = &f->decision;
	struct proc_memory now;

	return proc_read_memory(f->machine->proc_fd, stat, true, f->machine->accuracy.page_size,
				&now) == 0 &&
	       proc_mapped(&now) < sub_u64(proc_mapped(&d->memory), d->held) / 2;
}

enum report_event confirm_victim(struct in_flight *f, const struct policy *policy,
				 const struct policy_reading *reading)
{
	struct decision *d = &f->decision;
	struct kill_target target = { .pid = d->pid, .start_ticks = d->start_ticks };
	struct proc_stat stat;
	bool moved, has_stat;

	d->error = kill_open(f->machine->kill_ops, f->machine->proc_fd, &target, &f->victim);
	if (d->error < 0)
		return REPORT_CANNOT_OPEN;
	if (d->error == KILL_GONE || !reread(f, &moved))
		return REPORT_VANISHED;
	if (kill_is_gone(&f->victim)) /* by itself: a zombie can still be opened */
		return REPORT_VANISHED;
	has_stat = proc_read_stat(f->machine->proc_fd, d->pid, &stat) == 0;
	d->stack_start = has_stat ? stat.stack_start : 0;
	d->args_length = has_stat ? stat.args_length : 0;
	if (!confirm_may_kill(f, d->pid, f->config->policies.subtree) ||
	    (!decision_is_of_cgroup(d) && has_stat && has_shrunk(f, &stat)))
		return REPORT_CHANGED;
	/* It was a cgroup that was chosen, not the one where it is now. */
	if (moved && d->target == POLICY_TARGET_CGROUP)
		return REPORT_CHANGED;
	if (sampler_read_memory(f->sampler, &f->sampler->domain.reading) == 0 &&
	    !policy_holds(policy, reading))
		return REPORT_CANCELLED;
	return kill_plan_gather(f, policy);
}

bool confirm_may_kill(const struct in_flight *f, pid_t pid, const char *within)
{
	struct eligibility_source source = {
		.proc_fd = f->machine->proc_fd,
		.cgroups = &f->machine->cgroups,
		.policies = &f->config->policies,
		.census = &f->sampler->census,
		.subtree = within,
		.page_size = f->machine->accuracy.page_size,
		.total = f->sampler->domain.reading.total,
		.self = getpid(),
	};
	struct eligibility_subject subject;
	int r;

	r = eligibility_read(&source, pid, &subject);
	if (r != 0)
		return r == PROC_GONE;
	return !eligibility_is_spared(eligibility_judge(&subject), f->decision.is_reluctant);
}
