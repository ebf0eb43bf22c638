/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* decision: see the header. */
#include "daemon/decision.h"

#include <stdio.h>
#include <string.h>

#include "daemon/manager.h"

static void record_avoided(struct decision *d, const struct victim_result *result)
{
	const struct census_process *avoided = result->avoided.process;

	d->avoided_kinds = result->avoided_kinds;
	if (!result->avoided.node || !avoided)
		return;
	d->avoided_pid = avoided->pid;
	memcpy(d->avoided_comm, avoided->comm, sizeof(d->avoided_comm));
}

void decision_record(struct decision *d, const struct manager *m, const struct policy *policy,
		     const struct victim_result *result, usec_t now)
{
	const struct victim_candidate *victim = &result->ranked[0];
	const struct census_process *process = victim->process;

	*d = (struct decision){
		.pid = process->pid,
		.start_ticks = process->start_ticks,
		.uid = process->uid,
		.action = policy->action,
		.grace_usec = policy->grace_usec,
		.dry_run = m->policies.dry_run,
		.memory = victim->memory,
		.n_candidates = result->n_candidates,
		.n_reads = result->n_reads,
		.approximate = result->approximate,
		.before = m->reading,
		.pressure_full = psi_history_full(&m->psi, max_u64(policy->for_usec, USEC_PER_SEC)),
		.decided_at = now,
	};
	memcpy(d->comm, process->comm, sizeof(d->comm));
	snprintf(d->cgroup, sizeof(d->cgroup), "%s", census_cgroup_path(process));
	snprintf(d->policy, sizeof(d->policy), "%s", policy->name);
	if (result->n_ranked > 1) {
		const struct victim_candidate *next = &result->ranked[1];

		d->next_pid = next->process->pid;
		memcpy(d->next_comm, next->process->comm, sizeof(d->next_comm));
		d->next_footprint = census_footprint(&next->memory);
	}
	record_avoided(d, result);
}

bool decision_is_forbidden(const struct decision *d, const struct manager *m, const char *comm)
{
	char short_comm[16];
	struct rule_subject subject = { .comm = short_comm, .cgroup = d->cgroup, .uid = d->uid };
	struct rule_verdict verdict;

	snprintf(short_comm, sizeof(short_comm), "%.15s", comm);
	policy_apply_rules(&m->policies, &subject, &verdict);
	return verdict.protected_by || !cgroup_path_is_below(d->cgroup, m->policies.scope);
}
