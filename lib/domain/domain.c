/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* domain: which policy holds, and for how long it has. */
#include "lib/domain/domain.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void domain_done(struct domain *domain)
{
	free(domain->holds_since);
	*domain = (struct domain){ 0 };
}

void domain_forget_activity(struct domain *domain)
{
	psi_history_reset(&domain->psi);
	domain->reclaim = (struct reclaim_history){ 0 };
}

void domain_forget(struct domain *domain)
{
	for (size_t i = 0; i < domain->n_policies; i++)
		domain->holds_since[i] = USEC_INFINITY;
}

static bool is_same_threshold(const struct policy_threshold *a, const struct policy_threshold *b)
{
	return a->set == b->set && a->is_size == b->is_size && a->permyriad == b->permyriad &&
	       a->bytes == b->bytes && a->cap == b->cap;
}

/* All that policy_memory_holds() depends on. */
static bool has_same_conditions(const struct policy *a, const struct policy *b)
{
	return a->action == b->action && a->pressure_some == b->pressure_some &&
	       a->pressure_full == b->pressure_full && a->thrashing == b->thrashing &&
	       is_same_threshold(&a->memory_available, &b->memory_available) &&
	       is_same_threshold(&a->swap_free, &b->swap_free);
}

static usec_t since_before(const struct domain *domain, const struct policy_set *before,
			   const struct policy *policy)
{
	for (size_t i = 0; i < before->n_policies; i++)
		if (strcmp(before->policies[i].name, policy->name) == 0)
			return has_same_conditions(&before->policies[i], policy)
				       ? domain->holds_since[i]
				       : USEC_INFINITY;
	return USEC_INFINITY;
}

int domain_change_policies(struct domain *domain, const struct policy_set *before,
			   const struct policy_set *after)
{
	usec_t *holds_since = calloc(after->n_policies + 1, sizeof(*holds_since));

	assert(before->n_policies <= domain->n_policies);
	if (!holds_since)
		return -ENOMEM;
	for (size_t i = 0; i < after->n_policies; i++)
		holds_since[i] = since_before(domain, before, &after->policies[i]);
	free(domain->holds_since);
	domain->holds_since = holds_since;
	domain->n_policies = after->n_policies;
	return 0;
}

void domain_judge(struct domain *domain, const struct policy_set *set,
		  const struct policy_reading *reading, usec_t now, struct policy_judgement *ret)
{
	const struct memory_reading *memory = reading->memory;
	struct policy_judgement judgement = {
		.watch = memory->available <=
			 policy_threshold_bytes(&set->watch_below, memory->total),
	};

	assert(set->n_policies <= domain->n_policies);
	for (size_t i = 0; i < set->n_policies; i++) {
		const struct policy *policy = &set->policies[i];
		usec_t *holds_since = &domain->holds_since[i];

		if (policy->action == POLICY_ACTION_NONE)
			continue;
		if (!policy_memory_holds(policy, reading)) {
			*holds_since = USEC_INFINITY;
			continue;
		}
		if (*holds_since == USEC_INFINITY)
			*holds_since = now;
		if (policy->memory_available.set || policy->swap_free.set)
			judgement.watch = true;
		judgement.watch = judgement.watch || policy_is_worth_watching(policy, reading);
		if (sub_u64(now, *holds_since) < policy->for_usec ||
		    !policy_activity_holds(policy, reading))
			continue;
		if (!judgement.policy || policy->action > judgement.policy->action)
			judgement.policy = policy;
	}
	*ret = judgement;
}
