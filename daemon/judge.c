/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* judge: the policies on the last sample, and whether stalls count. */
#include "daemon/judge.h"

#include "daemon/manager.h"

struct policy_reading judge_reading(const struct manager *m)
{
	return (struct policy_reading){
		.memory = &m->sampler.reading,
		.psi = m->probed.psi ? &m->sampler.psi : NULL,
		.reclaim = &m->sampler.reclaim,
		.stalls_are_explained = m->sampler.stalls.explained,
		.unswappable = m->sampler.unswappable,
		.page_size = m->machine.accuracy.page_size,
	};
}

enum report_event judge_policies(struct manager *m, usec_t now, struct policy_judgement *ret)
{
	struct policy_reading reading = judge_reading(m);
	enum stalls_answer answer;

	reading.stalls_are_explained = false;
	policy_judge(&m->config.policies, &reading, now, ret);
	if (!ret->policy || !policy_waits_for_pressure(ret->policy))
		return REPORT_NOTHING;
	answer = stalls_ask(m, ret->policy, now);
	if (answer == STALLS_COUNT)
		return REPORT_NOTHING;
	m->sampler.stalls.policy = ret->policy;
	reading.stalls_are_explained = true;
	policy_judge(&m->config.policies, &reading, now, ret);
	return answer == STALLS_EXPLAINED && !m->sampler.stalls.reported ? REPORT_EXPLAINED
									 : REPORT_NOTHING;
}

bool judge_kills(const struct manager *m)
{
	struct policy_reading reading = judge_reading(m);

	for (size_t i = 0; i < m->config.policies.n_policies; i++) {
		const struct policy *policy = &m->config.policies.policies[i];

		if (policy->action >= POLICY_ACTION_TERMINATE && policy_holds(policy, &reading))
			return true;
	}
	return false;
}
