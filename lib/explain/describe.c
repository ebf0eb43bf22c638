/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* describe: builds the texts that describe policies, rules, memory and exclusions. */
#include "lib/explain/describe.h"

#include "lib/base/format.h"

static void add_threshold(struct format_text *text, const char *what,
			  const struct policy_threshold *threshold, uint64_t total)
{
	char bytes[FORMAT_BYTES_SIZE], cap[FORMAT_BYTES_SIZE];

	if (!threshold->set)
		return;
	format_bytes(policy_threshold_bytes(threshold, total), bytes);
	format_add(text, "%s%s <= ", text->n > 0 ? ", " : "", what);
	if (threshold->is_size)
		format_add(text, "%s", bytes);
	else if (threshold->cap > 0)
		format_add(text, "%g%% capped at %s (%s)", threshold->permyriad / 100.0,
			   format_bytes(threshold->cap, cap), bytes);
	else
		format_add(text, "%g%% (%s)", threshold->permyriad / 100.0, bytes);
}

/* Where the floor is the lower one. */
static void add_floor(struct format_text *text, const struct policy *policy, uint64_t total)
{
	uint64_t floor = policy_floor_bytes(total);
	bool has_line = policy->memory_available.set;
	char bytes[FORMAT_BYTES_SIZE];

	if (!policy_has_floor(policy) ||
	    (has_line && policy_threshold_bytes(&policy->memory_available, total) <= floor))
		return;
	format_add(text, "%s half of memory (%s)",
		   has_line ? " and <=" : "available <=", format_bytes(floor, bytes));
}

static void add_pressure(struct format_text *text, const char *what, unsigned permyriad)
{
	if (permyriad > 0)
		format_add(text, "%sPSI %s >= %g%%", text->n > 0 ? ", " : "", what,
			   permyriad / 100.0);
}

const char *describe_policy(const struct policy *policy, const struct memory_reading *memory,
			    char buf[static DESCRIBE_POLICY_SIZE])
{
	struct format_text text = { .buf = buf, .size = DESCRIBE_POLICY_SIZE };

	buf[0] = '\0';
	add_threshold(&text, "available", &policy->memory_available, memory->total);
	add_floor(&text, policy, memory->total);
	if (memory->swap_total > 0)
		add_threshold(&text, "swap free", &policy->swap_free, memory->swap_total);
	else if (policy->swap_free.set && !policy->memory_available.set)
		format_add(&text, "%sswap free (never: there is none)", text.n > 0 ? ", " : "");
	add_pressure(&text, "some", policy->pressure_some);
	add_pressure(&text, "full", policy->pressure_full);
	if (policy->thrashing > 0)
		format_add(&text, "%srefaulted >= %g%% of what was reclaimed",
			   text.n > 0 ? ", " : "", policy->thrashing / 100.0);
	if (policy->for_usec > 0)
		format_add(&text, " for %g s", (double)policy->for_usec / (double)USEC_PER_SEC);
	return buf;
}

const char *describe_memory(const struct memory_reading *reading,
			    char buf[static DESCRIBE_MEMORY_SIZE])
{
	struct format_text text = { .buf = buf, .size = DESCRIBE_MEMORY_SIZE };
	char total[FORMAT_BYTES_SIZE];

	format_add(&text, PERCENT_FORMAT " of %s available, ",
		   PERCENT_ARGS(memory_available_permyriad(reading)),
		   format_bytes(reading->total, total));
	if (reading->swap_total == 0)
		format_add(&text, "no swap");
	else
		format_add(&text, "swap " PERCENT_FORMAT " free",
			   PERCENT_ARGS(memory_swap_free_permyriad(reading)));
	return buf;
}

/* "init" is one; "reckond itself" is not listed. */
const char *describe_exclusions(const size_t n[static _ELIGIBILITY_MAX],
				char buf[static DESCRIBE_EXCLUSIONS_SIZE])
{
	struct format_text text = { .buf = buf, .size = DESCRIBE_EXCLUSIONS_SIZE };

	format_add(&text, "%s", n[ELIGIBILITY_INIT] > 0 ? "init" : "");
	for (unsigned i = ELIGIBILITY_ELIGIBLE + 1; i < _ELIGIBILITY_MAX; i++)
		if (n[i] > 0 && i != ELIGIBILITY_INIT && i != ELIGIBILITY_SELF)
			format_add(&text, "%s%zu %s", text.n > 0 ? ", " : "", n[i],
				   eligibility_to_noun((enum eligibility)i, n[i]));
	return buf;
}

const char *describe_rule_kind(const struct rule *rule)
{
	if (rule->kind == RULE_PROTECT && rule->protection == RULE_PROTECTION_RELUCTANT)
		return "reluctant";
	return rule_kind_to_string(rule->kind);
}

const char *describe_rule(const struct rule *rule, const char *user, char *buf, size_t size)
{
	struct format_text text = { .buf = buf, .size = size };

	buf[0] = '\0';
	if (rule->comm_pattern)
		format_add(&text, "Comm=%s", rule->comm_pattern);
	if (rule->cgroup)
		format_add(&text, "%sCgroup=%s", text.n > 0 ? " " : "", rule->cgroup);
	if (rule->unknown_user)
		format_add(&text, "%sUser=%s (no such user)", text.n > 0 ? " " : "",
			   rule->unknown_user);
	else if (rule->has_uid && user)
		format_add(&text, "%sUser=%s", text.n > 0 ? " " : "", user);
	if (rule->proof != RULE_PROOF_NONE)
		format_add(&text, " (executable is root's)");
	if (rule->kind == RULE_PROTECT && rule->above_ceiling != rule->protection)
		format_add(&text, " (to %u%% of memory)", ELIGIBILITY_CEILING_PERMYRIAD / 100);
	return buf;
}
