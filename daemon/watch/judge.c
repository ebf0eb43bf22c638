/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* judge: the policies on the last sample, and whether stalls count. */
#include "daemon/watch/judge.h"

#include "daemon/base/config.h"
#include "daemon/base/machine.h"
#include "daemon/watch/sampler.h"

struct policy_reading judge_reading(const struct sampler *s)
{
	return (struct policy_reading){
		.memory = &s->domain.reading,
		.psi = s->domain.has_psi ? &s->domain.psi : NULL,
		.reclaim = &s->domain.reclaim,
		.stalls_are_explained = s->stalls.explained,
		.unswappable = s->domain.unswappable,
		.page_size = s->machine->accuracy.page_size,
	};
}

enum report_event judge_policies(struct sampler *s, usec_t now, struct policy_judgement *ret)
{
	struct policy_reading reading = judge_reading(s);
	enum stalls_answer answer;

	reading.stalls_are_explained = false;
	domain_judge(&s->domain, &s->config->policies, &reading, now, ret);
	if (!ret->policy || !policy_waits_for_pressure(ret->policy))
		return REPORT_NOTHING;
	answer = stalls_ask(s, ret->policy, now);
	if (answer == STALLS_COUNT)
		return REPORT_NOTHING;
	s->stalls.policy = ret->policy;
	reading.stalls_are_explained = true;
	domain_judge(&s->domain, &s->config->policies, &reading, now, ret);
	return answer == STALLS_EXPLAINED && !s->stalls.reported ? REPORT_CGROUP_LIMIT
								 : REPORT_NOTHING;
}

bool judge_kills(const struct sampler *s)
{
	struct policy_reading reading = judge_reading(s);

	for (size_t i = 0; i < s->config->policies.n_policies; i++) {
		const struct policy *policy = &s->config->policies.policies[i];

		if (policy->action >= POLICY_ACTION_TERMINATE && policy_holds(policy, &reading))
			return true;
	}
	return false;
}
