/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy: policies and rules as data, and the judgement over them.
 *
 * The judgement is a pure function of a reading, the pressure history and the time, but for one
 * memory: since when each policy's conditions on memory and swap have held.
 *
 * Rules are matched in policy-rules.c; what is built in is policy-builtin.c.  Made by conf, used by
 * census (rules) and by the daemon's tick (judgement).
 */
#include "lib/config/policy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"

/* Pressure over less than this is noise: one page fault from disk is a stall of 100% for as long
 * as it lasts. */
#define PRESSURE_WINDOW_MIN_USEC USEC_PER_SEC

static const char *const action_names[] = {
	[POLICY_ACTION_NONE] = "none",
	[POLICY_ACTION_WARN] = "warn",
	[POLICY_ACTION_TERMINATE] = "terminate",
	[POLICY_ACTION_KILL] = "kill",
};

static const char *const target_names[] = {
	[POLICY_TARGET_PROCESS] = "process",
	[POLICY_TARGET_CGROUP] = "cgroup",
};

static const char *const rank_by_names[] = {
	[POLICY_RANK_BY_FOOTPRINT] = "footprint",
	[POLICY_RANK_BY_BADNESS] = "badness",
	[POLICY_RANK_BY_SWAP] = "swap",
	[POLICY_RANK_BY_GROWTH] = "growth",
};

static const char *const thaw_names[] = {
	[POLICY_THAW_GROUP] = "group",
	[POLICY_THAW_VICTIM] = "victim",
};

static const char *const rule_kind_names[] = {
	[RULE_PROTECT] = "protect",
	[RULE_PREFER] = "prefer",
	[RULE_AVOID] = "avoid",
};

static int index_of(const char *const *names, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], text) == 0)
			return (int)i;
	return -EINVAL;
}

int policy_action_from_string(const char *text, enum policy_action *ret)
{
	int r = index_of(action_names, ARRAY_SIZE(action_names), text);

	if (r < 0)
		return r;
	*ret = (enum policy_action)r;
	return 0;
}

int policy_target_from_string(const char *text, enum policy_target *ret)
{
	int r = index_of(target_names, ARRAY_SIZE(target_names), text);

	if (r < 0)
		return r;
	*ret = (enum policy_target)r;
	return 0;
}

int policy_rank_by_from_string(const char *text, enum policy_rank_by *ret)
{
	int r = index_of(rank_by_names, ARRAY_SIZE(rank_by_names), text);

	if (r < 0)
		return r;
	*ret = (enum policy_rank_by)r;
	return 0;
}

int policy_thaw_from_string(const char *text, enum policy_thaw *ret)
{
	int r = index_of(thaw_names, ARRAY_SIZE(thaw_names), text);

	if (r < 0)
		return r;
	*ret = (enum policy_thaw)r;
	return 0;
}

const char *policy_action_to_string(enum policy_action action)
{
	return action_names[action];
}

const char *policy_target_to_string(enum policy_target target)
{
	return target_names[target];
}

enum policy_rank_by policy_rank_by_now(const struct policy *policy,
				       const struct memory_reading *memory)
{
	if (policy->target == POLICY_TARGET_CGROUP)
		return POLICY_RANK_BY_FOOTPRINT;
	if (policy->rank_by == POLICY_RANK_BY_SWAP && memory->swap_free >= memory->swap_total)
		return POLICY_RANK_BY_FOOTPRINT;
	return policy->rank_by;
}

const char *policy_rank_by_to_string(enum policy_rank_by rank_by)
{
	return rank_by_names[rank_by];
}

const char *rule_kind_to_string(enum rule_kind kind)
{
	return rule_kind_names[kind];
}

static void rule_done(struct rule *rule)
{
	free(rule->name);
	rule_set_comm(rule, NULL, NULL, 0);
	free(rule->cgroup);
	free(rule->unknown_user);
}

void policy_set_done(struct policy_set *set)
{
	for (size_t i = 0; i < set->n_policies; i++)
		free(set->policies[i].name);
	for (size_t i = 0; i < set->n_rules; i++)
		rule_done(&set->rules[i]);
	free(set->policies);
	free(set->rules);
	free(set->subtree);
	free(set->subtree_file);
	*set = (struct policy_set){};
}

struct policy *policy_set_policy(struct policy_set *set, const char *name)
{
	_cleanup_free_ char *copy = NULL;
	struct policy *grown;

	for (size_t i = 0; i < set->n_policies; i++)
		if (strcmp(set->policies[i].name, name) == 0)
			return &set->policies[i];
	copy = strdup(name);
	if (!copy)
		return NULL;
	grown = reallocarray(set->policies, set->n_policies + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	set->policies = grown;
	grown[set->n_policies] = (struct policy){
		.name = take_ptr(copy),
		.grace_usec = POLICY_GRACE_USEC,
		.refreeze = true,
	};
	return &grown[set->n_policies++];
}

static double default_weight(enum rule_kind kind)
{
	if (kind == RULE_PREFER)
		return RULE_WEIGHT_PREFER;
	return kind == RULE_AVOID ? RULE_WEIGHT_AVOID : 1;
}

struct rule *policy_set_rule(struct policy_set *set, enum rule_kind kind, const char *name)
{
	_cleanup_free_ char *copy = NULL;
	struct rule *grown;

	for (size_t i = 0; i < set->n_rules; i++)
		if (set->rules[i].kind == kind && strcmp(set->rules[i].name, name) == 0)
			return &set->rules[i];
	copy = strdup(name);
	if (!copy)
		return NULL;
	grown = reallocarray(set->rules, set->n_rules + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	set->rules = grown;
	grown[set->n_rules] = (struct rule){
		.kind = kind,
		.name = take_ptr(copy),
		.weight = default_weight(kind),
	};
	return &grown[set->n_rules++];
}

void policy_set_remove_policy(struct policy_set *set, struct policy *policy)
{
	size_t i = (size_t)(policy - set->policies);

	assert(i < set->n_policies);
	free(policy->name);
	set->n_policies--;
	memmove(policy, policy + 1, (set->n_policies - i) * sizeof(*policy));
}

void policy_set_remove_rule(struct policy_set *set, struct rule *rule)
{
	size_t i = (size_t)(rule - set->rules);

	assert(i < set->n_rules);
	rule_done(rule);
	set->n_rules--;
	memmove(rule, rule + 1, (set->n_rules - i) * sizeof(*rule));
}

bool policy_swap_is_no_help(const struct policy *policy, const struct policy_reading *reading)
{
	const struct memory_reading *memory = reading->memory;
	struct reclaim_span span;

	if (!policy->memory_available.set || !policy->swap_free.set || memory->swap_total == 0)
		return false;
	if (reading->unswappable > 0 &&
	    sub_u64(memory->counters.anon, reading->unswappable) <=
		    policy_threshold_bytes(&policy->swap_free, memory->total))
		return true;
	return reading->reclaim && reading->page_size > 0 &&
	       reclaim_over(reading->reclaim, RECLAIM_SWAP_UNUSED_USEC, &span) &&
	       reclaim_leaves_swap_unused(&span, memory->total, reading->page_size);
}

bool policy_memory_holds(const struct policy *policy, const struct policy_reading *reading)
{
	return policy_memory_headroom(policy, reading->memory) == 0 &&
	       (policy_swap_headroom(policy, reading->memory) == 0 ||
		policy_swap_is_no_help(policy, reading));
}

bool policy_waits_for_pressure(const struct policy *policy)
{
	return policy->pressure_some > 0 || policy->pressure_full > 0;
}

static usec_t pressure_window(const struct policy *policy)
{
	return max_u64(policy->for_usec, PRESSURE_WINDOW_MIN_USEC);
}

static bool psi_holds(const struct policy *policy, const struct policy_reading *reading)
{
	const struct psi_history *psi = reading->psi;
	usec_t window = pressure_window(policy);

	if (!psi || reading->stalls_are_explained)
		return false;
	if (policy->pressure_some > 0 && psi_history_some(psi, window) < policy->pressure_some)
		return false;
	return policy->pressure_full == 0 || psi_history_full(psi, window) >= policy->pressure_full;
}

/* Stalls of one cgroup at its own limit are in PSI of the machine, too; but there the machine has
 * nothing to reclaim. */
static enum reclaim_answer reclaim_moves(const struct policy *policy,
					 const struct policy_reading *reading)
{
	return reading->reclaim ? reclaim_has_moved(reading->reclaim, pressure_window(policy))
				: RECLAIM_MOVED;
}

static bool pressure_holds(const struct policy *policy, const struct policy_reading *reading)
{
	return !policy_waits_for_pressure(policy) ||
	       (psi_holds(policy, reading) && reclaim_moves(policy, reading) == RECLAIM_MOVED);
}

bool policy_is_worth_watching(const struct policy *policy, const struct policy_reading *reading)
{
	return policy_waits_for_pressure(policy) && psi_holds(policy, reading) &&
	       reclaim_moves(policy, reading) == RECLAIM_UNKNOWN;
}

static bool thrashing_holds(const struct policy *policy, const struct reclaim_history *reclaim)
{
	usec_t window = max_u64(policy->for_usec, POLICY_THRASHING_WINDOW_USEC);
	struct reclaim_span early, late;

	if (policy->thrashing == 0)
		return true;
	if (!reclaim || !reclaim_over(reclaim, window, &early) ||
	    !reclaim_over(reclaim, window / 2, &late))
		return false;
	early.stolen -= late.stolen;
	early.refaulted -= late.refaulted;
	return reclaim_refaulted_share(&early) >= policy->thrashing &&
	       reclaim_refaulted_share(&late) >= policy->thrashing;
}

bool policy_activity_holds(const struct policy *policy, const struct policy_reading *reading)
{
	return pressure_holds(policy, reading) && thrashing_holds(policy, reading->reclaim);
}

bool policy_holds(const struct policy *policy, const struct policy_reading *reading)
{
	return policy_memory_holds(policy, reading) && policy_activity_holds(policy, reading);
}

static usec_t time_to_fill(uint64_t bytes, uint64_t bytes_per_sec)
{
	return (usec_t)((__uint128_t)bytes * USEC_PER_SEC / bytes_per_sec);
}

/* How soon the policy could act; USEC_INFINITY where that does not depend on memory. */
static usec_t time_to_policy(const struct policy *policy, const struct memory_reading *memory)
{
	usec_t fill =
		time_to_fill(policy_memory_headroom(policy, memory), POLICY_FILL_BYTES_PER_SEC);
	usec_t swap =
		time_to_fill(policy_swap_headroom(policy, memory), POLICY_SWAP_FILL_BYTES_PER_SEC);

	if (policy->action < POLICY_ACTION_TERMINATE)
		return USEC_INFINITY;
	if (policy->memory_available.set)
		return fill + policy->for_usec / 2;
	return policy->swap_free.set ? max_u64(fill, swap) + policy->for_usec / 2 : USEC_INFINITY;
}

usec_t policy_interval(const struct policy_set *set, const struct memory_reading *memory)
{
	usec_t interval = USEC_INFINITY;

	for (size_t i = 0; i < set->n_policies; i++)
		interval = min_u64(interval, time_to_policy(&set->policies[i], memory));
	return min_u64(max_u64(interval, POLICY_INTERVAL_CALM_MIN_USEC),
		       POLICY_INTERVAL_CALM_MAX_USEC);
}

usec_t policy_pause(usec_t interval, usec_t spent)
{
	return max_u64(interval, min_u64((POLICY_POLL_PART - 1) * spent, POLICY_POLL_MAX_USEC));
}
