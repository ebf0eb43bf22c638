/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * conf-traps: policies that always or never hold, or never before another; rules that match every
 * process.  They are valid, and warned of.  Called by conf when all files have been read.
 *
 * The machine is not known here: only what is so on each is a trap.
 */
#include <string.h>

#include "lib/config/conf-loader.h"

static bool has_activity(const struct policy *policy)
{
	return policy_waits_for_pressure(policy) || policy->thrashing > 0;
}

/* Does `threshold` hold whenever `other` does, whatever the total? */
static bool covers(const struct policy_threshold *threshold, const struct policy_threshold *other)
{
	if (!threshold->set)
		return true;
	if (!other->set)
		return false;
	if (threshold->is_size)
		return other->is_size ? other->bytes <= threshold->bytes
				      : other->cap > 0 && other->cap <= threshold->bytes;
	return !other->is_size && other->permyriad <= threshold->permyriad &&
	       (threshold->cap == 0 || (other->cap > 0 && other->cap <= threshold->cap));
}

/* Is the weaker of the two never the first to act? */
static bool comes_first(const struct policy *strong, const struct policy *weak)
{
	if (strong->action <= weak->action || weak->action == POLICY_ACTION_NONE ||
	    strong->for_usec > weak->for_usec || has_activity(strong) || has_activity(weak))
		return false;
	/* Swap alone never holds where there is none; swap beside memory does. */
	if (strong->swap_free.set && !strong->memory_available.set && weak->memory_available.set)
		return false;
	return covers(&strong->memory_available, &weak->memory_available) &&
	       covers(&strong->swap_free, &weak->swap_free);
}

/* Above the floor (policy_has_floor()), by percentage: the size of the machine is not known. */
static bool is_above_floor(const struct policy *policy)
{
	const struct policy_threshold *threshold = &policy->memory_available;

	return threshold->set && !threshold->is_size && threshold->cap == 0 &&
	       policy_threshold_bytes(threshold, PERMYRIAD) > policy_floor_bytes(PERMYRIAD);
}

static void check_always(struct conf_loader *loader, const struct policy *policy)
{
	const struct policy_threshold *threshold = &policy->memory_available;

	if (policy->action < POLICY_ACTION_TERMINATE || has_activity(policy) ||
	    !is_above_floor(policy))
		return;
	if (policy_threshold_is_all(threshold))
		conf_warning(loader,
			     "[Policy %s] with MemoryAvailable=100%% holds always: it kills one "
			     "process after another, however much memory is available",
			     policy->name);
	else
		conf_warning(
			loader,
			"[Policy %s] with MemoryAvailable=%g%% would kill while most of memory is "
			"available: it does not hold above half of memory",
			policy->name, threshold->permyriad / 100.0);
}

static void check_never(struct conf_loader *loader, const struct policy *policy)
{
	const struct policy_threshold *threshold = &policy->memory_available;

	if (threshold->set && !threshold->is_size && threshold->permyriad == 0)
		conf_warning(
			loader,
			"[Policy %s] with MemoryAvailable=0%% never holds in time: the kernel's "
			"OOM killer acts before",
			policy->name);
}

static bool is_touched(const struct conf_loader *loader, size_t index)
{
	for (size_t i = 0; i < loader->n_items; i++)
		if (loader->items[i].section == CONF_SECTION_POLICY &&
		    loader->items[i].index == index)
			return true;
	return false;
}

/* Reported once for two: for the stronger one, if both were changed. */
static void check_order(struct conf_loader *loader, size_t index)
{
	const struct policy_set *set = &loader->set;
	const struct policy *policy = &set->policies[index];

	for (size_t i = 0; i < set->n_policies; i++) {
		const struct policy *other = &set->policies[i];

		if (comes_first(policy, other) && !is_above_floor(policy)) {
			conf_warning(loader,
				     "[Policy %s] holds whenever [Policy %s] does: that one can "
				     "never act first",
				     policy->name, other->name);
			return;
		}
		if (comes_first(other, policy) && !is_above_floor(other) &&
		    !is_touched(loader, i)) {
			conf_warning(loader,
				     "[Policy %s] can never act first: [Policy %s] holds whenever "
				     "it does",
				     policy->name, other->name);
			return;
		}
	}
}

void conf_check_policy_traps(struct conf_loader *loader, size_t index)
{
	const struct policy *policy = &loader->set.policies[index];

	check_never(loader, policy);
	check_always(loader, policy);
	check_order(loader, index);
}

/* Names and places as there are on machines, from one byte to the longest. */
static const char *const some_names[] = {
	"abcdefghijklmno", "ABCDEFGHIJKLMNO", "000000000000000", "(sd-pam)",
	"tmux: server",	   "kworker/0:1",     "x.y_z-1@a+b",	 "~",
};
static const char *const some_cgroups[] = {
	"/init.scope",
	"/system.slice/cron.service",
	"/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox-1.scope",
	"/user.slice/user-1000.slice/session-1.scope",
	"/machine.slice/libpod-0123.scope",
	"/docker/0123",
};

static bool matches(const struct rule *rule, const char *comm, const char *cgroup)
{
	/* (A set is not changed by that.) */
	struct policy_set set = { .rules = (struct rule *)rule, .n_rules = 1 };
	struct rule_subject subject = { .comm = comm, .cgroup = cgroup };
	struct rule_verdict verdict;

	policy_apply_rules(&set, &subject, &verdict);
	return verdict.protected_by || verdict.weight < 1 || verdict.weight > 1;
}

static bool matches_every_process(const struct rule *rule)
{
	char name[2] = "";

	if (rule->has_uid || rule->unknown_user)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(some_cgroups); i++)
		if (!matches(rule, some_names[0], some_cgroups[i]))
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(some_names); i++)
		if (!matches(rule, some_names[i], some_cgroups[0]))
			return false;
	for (name[0] = '!'; name[0] <= '~'; name[0]++)
		if (!matches(rule, name, some_cgroups[0]))
			return false;
	return true;
}

void conf_check_rule_traps(struct conf_loader *loader, size_t index)
{
	const struct rule *rule = &loader->set.rules[index];

	if (rule->disabled || !matches_every_process(rule))
		return;
	if (rule->kind == RULE_PROTECT)
		conf_warning(loader, "[Protect %s] protects every process: none can be killed",
			     rule->name);
	else
		conf_warning(loader, "[%s %s] matches every process: it changes nothing",
			     rule->kind == RULE_PREFER ? "Prefer" : "Avoid", rule->name);
}
