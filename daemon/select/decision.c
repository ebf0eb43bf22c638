/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* decision: records a choice as a decision, and what may be killed with it. */
#include "daemon/select/decision.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/config.h"
#include "daemon/select/selection.h"
#include "daemon/watch/sampler.h"

static void record_skipped(struct decision *d, const struct selection *sel)
{
	const struct victim_result *result = &sel->choice;
	const struct victim_candidate *skipped = &result->skipped;
	const struct census_process *process;

	d->skipped.kinds = result->skipped_kinds;
	d->skipped.why = result->skipped_for;
	if (!skipped->node)
		return;
	process = victim_leader(&sel->sampler->census, &sel->request, skipped->node);
	d->skipped.pid = process->pid;
	memcpy(d->skipped.comm, process->comm, sizeof(d->skipped.comm));
	if (skipped->cgroup)
		snprintf(d->skipped.group, sizeof(d->skipped.group), "%.*s",
			 (int)sizeof(d->skipped.group) - 1, skipped->cgroup->path);
}

void decision_record(struct decision *d, const struct selection *sel, const struct policy *policy,
		     usec_t now)
{
	const struct victim_result *result = &sel->choice;
	const struct victim_candidate *victim = &result->ranked[0];
	const struct census_process *process =
		victim_leader(&sel->sampler->census, &sel->request, victim->node);

	*d = (struct decision){
		.pid = process->pid,
		.start_ticks = process->start_ticks,
		.uid = process->uid,
		.target = victim->cgroup || result->as_one == VICTIM_AS_CGROUP
				  ? POLICY_TARGET_CGROUP
				  : POLICY_TARGET_PROCESS,
		.others.as_one = result->as_one,
		.n_respawned = result->n_respawned,
		.others.starter_pid = result->starter_pid,
		.ppid = process->ppid,
		.session = process->session,
		.code_pages = process->code_pages,
		.shares_memory =
			victim->process &&
			(victim->is_unit || victim->memory.kept > proc_mapped(&victim->memory) / 4),
		.others.n_processes = 1,
		.action = policy->action,
		.grace_usec = policy->grace_usec,
		.thaw = policy->thaw,
		.refreeze = policy->refreeze,
		.dry_run = sel->config->policies.dry_run,
		.memory = victim->memory,
		.held = victim->held,
		.is_unit = victim->is_unit,
		.alone = victim->alone,
		.args_hash = victim->args_hash,
		.n_candidates = result->n_candidates,
		.n_reads = result->n_reads,
		.approximate = result->approximate,
		.before = sel->sampler->domain.reading,
		.pressure_full = psi_history_full(&sel->sampler->domain.psi,
						  max_u64(policy->for_usec, USEC_PER_SEC)),
		.n_reloads = sel->config->n_reloads,
		.is_reluctant = victim_eligibility(&sel->sampler->census, victim->node,
						   &sel->request) == ELIGIBILITY_RELUCTANT,
		.decided_at = now,
	};
	memcpy(d->comm, process->comm, sizeof(d->comm));
	snprintf(d->cgroup, sizeof(d->cgroup), "%s", census_cgroup_path(process));
	snprintf(d->policy, sizeof(d->policy), "%s", policy->name);
	decision_note_next(d, result, NULL);
	record_skipped(d, sel);
}

bool decision_is_killed_with(const struct decision *d, const struct kill_victim *victim,
			     const struct victim_candidate *candidate)
{
	const char *cgroup = candidate->process ? census_cgroup_path(candidate->process)
						: candidate->cgroup->path;

	if (d->others.group[0] != '\0' && cgroup_path_is_below(cgroup, d->others.group))
		return true;
	for (unsigned i = 0; victim && candidate->process && i < victim->n_others; i++)
		if (victim->others[i].pid == candidate->process->pid)
			return true;
	return victim && candidate->process &&
	       kill_rest_has(&d->others.rest, candidate->process->pid);
}

void decision_note_next(struct decision *d, const struct victim_result *result,
			const struct kill_victim *victim)
{
	d->next.pid = 0;
	d->next.group[0] = '\0';
	for (unsigned i = 1; i < result->n_ranked; i++) {
		const struct victim_candidate *next = &result->ranked[i];

		if (decision_is_killed_with(d, victim, next))
			continue;
		if (next->process) {
			d->next.pid = next->process->pid;
			memcpy(d->next.comm, next->process->comm, sizeof(d->next.comm));
		} else {
			snprintf(d->next.group, sizeof(d->next.group), "%.*s",
				 (int)sizeof(d->next.group) - 1, next->cgroup->path);
		}
		d->next.footprint = proc_reclaimable(&next->memory);
		return;
	}
}

struct backoff_subject decision_subject(const struct decision *d)
{
	return (struct backoff_subject){
		.pid = d->pid,
		.start_ticks = d->start_ticks,
		.uid = d->uid,
		.comm = d->comm,
		.cgroup = d->cgroup,
		.ppid = d->ppid,
		.session = d->session,
		.code_pages = d->code_pages,
		.mapped = proc_mapped(&d->memory),
		.stack_start = d->stack_start,
		.shares_memory = d->shares_memory,
		.maps_shmem = d->memory.shmem > proc_mapped(&d->memory) / 4,
	};
}
