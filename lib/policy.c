/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy: policies and rules as data, and the judgement over them.
 *
 * The judgement is a pure function of a reading, the pressure history and the time, but for one
 * memory: since when each policy's conditions on memory and swap have held.  Rules are matched
 * against what the census keeps of a process, once for each process and again after an exec.
 *
 * What is built in is policy-builtin.c.  Made by conf, used by census (rules) and by the daemon's
 * tick (judgement).
 */
#include "lib/policy.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cgroup.h"
#include "lib/cleanup.h"

/* What is special in a POSIX extended regular expression. */
#define REGEX_SPECIAL ".*+?()[]{}|\\^$"

/* Of a compiled pattern, in nodes of some 200 bytes: a megabyte or three. */
#define REGEX_SIZE_MAX 16384

/* Pressure over less than this is noise: one page fault from disk is a stall of 100 % for as long
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

const char *policy_rank_by_to_string(enum policy_rank_by rank_by)
{
	return rank_by_names[rank_by];
}

const char *policy_thaw_to_string(enum policy_thaw thaw)
{
	return thaw_names[thaw];
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
}

void policy_set_done(struct policy_set *set)
{
	for (size_t i = 0; i < set->n_policies; i++)
		free(set->policies[i].name);
	for (size_t i = 0; i < set->n_rules; i++)
		rule_done(&set->rules[i]);
	free(set->policies);
	free(set->rules);
	free(set->scope);
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
		.holds_since = USEC_INFINITY,
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

void policy_set_remove_rule(struct policy_set *set, struct rule *rule)
{
	size_t i = (size_t)(rule - set->rules);

	assert(i < set->n_rules);
	rule_done(rule);
	set->n_rules--;
	memmove(rule, rule + 1, (set->n_rules - i) * sizeof(*rule));
}

/*
 * Is it "^(one|two)$" or "^one$", of plain characters?  Then 1 and "one\0two\0", else 0 or -ENOMEM.
 * These are matched without regcomp(3): with glibc 2.36 a list of 40 names takes 85 KB compiled and
 * 215 KB after some matching, more than the daemon has for all its rules; and its regexec(3)
 * allocates.
 */
static int names_new(const char *pattern, char **ret)
{
	_cleanup_free_ char *names = calloc(1, strlen(pattern) + 2);
	char *name = names, *end = names;
	const char *p = pattern;
	bool is_group;

	if (!names)
		return -ENOMEM;
	if (*p++ != '^')
		return 0;
	is_group = *p == '(';
	for (p += is_group; *p != '\0' && *p != ')' && *p != '$'; p++) {
		if (*p == '|') {
			if (!is_group || end == name)
				return 0;
			*end++ = '\0';
			name = end;
			continue;
		}
		if (*p == '\\') {
			if (*++p == '\0' || !strchr(REGEX_SPECIAL, *p))
				return 0;
		} else if (strchr(REGEX_SPECIAL, *p)) {
			return 0;
		}
		*end++ = *p;
	}
	if (end == name || (is_group && *p++ != ')') || strcmp(p, "$") != 0)
		return 0;
	*ret = take_ptr(names);
	return 1;
}

static bool names_have(const char *names, const char *name)
{
	for (; *names != '\0'; names += strlen(names) + 1)
		if (*names == *name && strcmp(names, name) == 0)
			return true;
	return false;
}

/* glibc takes \1 in extended expressions too, and needs exponential time for some of them. */
static bool has_back_reference(const char *p)
{
	for (; *p != '\0'; p++) {
		if (*p != '\\')
			continue;
		if (*++p >= '1' && *p <= '9')
			return true;
		if (*p == '\0')
			break;
	}
	return false;
}

/*
 * regcomp(3) copies what is repeated, so "((a{99}){99}){99}" takes all memory there is, and nested
 * "+" doubles at each level.  Counts at most what it may come to: repetitions of a group or of a
 * repetition multiply, others add.
 */
static bool is_costly(const char *pattern)
{
	uint64_t factor = 1, length = 0;

	for (const char *p = pattern; *p != '\0'; p++, length++) {
		bool nested = p > pattern && strchr(")}+*?", p[-1]);
		uint64_t count = 2;

		if (*p == '\\' && p[1] != '\0') {
			p++;
			continue;
		}
		if (*p != '+' && *p != '{')
			continue;
		if (*p == '{') {
			char *end;

			count = max_u64(1, strtoul(p + 1, &end, 10));
			if (*end == ',')
				count = max_u64(count + 1, strtoul(end + 1, NULL, 10));
		}
		if (count > REGEX_SIZE_MAX)
			return true;
		length += nested ? 0 : count;
		factor *= nested ? count : 1;
		if (factor > REGEX_SIZE_MAX)
			return true;
	}
	return factor * length > REGEX_SIZE_MAX;
}

static int regex_new(const char *pattern, char *error, size_t error_size, regex_t **ret)
{
	_cleanup_free_ regex_t *regex = NULL;
	int r;

	if (has_back_reference(pattern)) {
		snprintf(error, error_size, "Back-references are not supported");
		return -EINVAL;
	}
	if (is_costly(pattern)) {
		snprintf(error, error_size, "Too many repetitions");
		return -EINVAL;
	}
	regex = calloc(1, sizeof(*regex));
	if (!regex)
		return -ENOMEM;
	r = regcomp(regex, pattern, REG_EXTENDED | REG_NOSUB);
	if (r != 0) {
		regerror(r, regex, error, error_size);
		return r == REG_ESPACE ? -ENOMEM : -EINVAL;
	}
	*ret = take_ptr(regex);
	return 0;
}

int rule_set_comm(struct rule *rule, const char *pattern, char *error, size_t error_size)
{
	_cleanup_free_ char *copy = NULL;
	_cleanup_free_ char *names = NULL;
	regex_t *regex = NULL;
	int r;

	if (pattern) {
		copy = strdup(pattern);
		r = copy ? names_new(pattern, &names) : -ENOMEM;
		if (r == 0)
			r = regex_new(pattern, error, error_size, &regex);
		if (r < 0)
			return r;
	}
	if (rule->comm) {
		regfree(rule->comm);
		free(rule->comm);
	}
	free(rule->comm_names);
	free(rule->comm_pattern);
	rule->comm = regex;
	rule->comm_names = take_ptr(names);
	rule->comm_pattern = take_ptr(copy);
	return 0;
}

static bool comm_matches(const struct rule *rule, const char *comm)
{
	if (rule->comm_names)
		return names_have(rule->comm_names, comm);
	return regexec(rule->comm, comm, 0, NULL, 0) == 0;
}

static bool cgroup_matches_any(const char *path, const char *globs)
{
	for (;;) {
		char glob[CGROUP_PATH_MAX];
		size_t length, literal;

		globs += strspn(globs, " \t");
		length = strcspn(globs, " \t");
		if (length == 0)
			return false;
		/* Whatever it matches begins with what it begins with; this spares nearly all
		 * calls of fnmatch(3). */
		literal = strcspn(globs, "*?[ \t");
		if (length < sizeof(glob) && strncmp(path, globs, literal) == 0) {
			memcpy(glob, globs, length);
			glob[length] = '\0';
			if (cgroup_path_matches(path, glob))
				return true;
		}
		globs += length;
	}
}

static bool rule_matches(const struct rule *rule, const struct rule_subject *subject)
{
	if (rule->disabled || (!rule->comm_pattern && !rule->cgroup && !rule->has_uid))
		return false;
	if (!subject->comm && (rule->comm_pattern || rule->has_uid))
		return false;
	if (rule->has_uid && rule->uid != subject->uid)
		return false;
	if (rule->cgroup && !cgroup_matches_any(subject->cgroup, rule->cgroup))
		return false;
	return !rule->comm_pattern || comm_matches(rule, subject->comm);
}

void policy_apply_rules(const struct policy_set *set, const struct rule_subject *subject,
			struct rule_verdict *ret)
{
	struct rule_verdict verdict = { .weight = 1 };

	for (size_t i = 0; i < set->n_rules; i++) {
		const struct rule *rule = &set->rules[i];

		if (rule->kind == RULE_PROTECT && verdict.protected_by)
			continue;
		if (!rule_matches(rule, subject))
			continue;
		if (rule->kind == RULE_PROTECT)
			verdict.protected_by = rule;
		else
			verdict.weight *= rule->weight;
	}
	/* (In a hundred rules it may have become infinite, or 0.) */
	if (verdict.weight > RULE_WEIGHT_MAX)
		verdict.weight = RULE_WEIGHT_MAX;
	else if (verdict.weight < RULE_WEIGHT_MIN)
		verdict.weight = RULE_WEIGHT_MIN;
	*ret = verdict;
}

uint64_t policy_line_bytes(const struct policy_line *line, uint64_t total)
{
	if (!line->set)
		return 0;
	if (line->is_size)
		return line->bytes;
	return (uint64_t)((__uint128_t)total * line->permyriad / PERMYRIAD);
}

/* How far available memory is above the line, and free swap above its line: 0 where the condition
 * is not set or holds. */
static uint64_t memory_headroom(const struct policy *policy, const struct memory_reading *memory)
{
	if (!policy->memory_available.set)
		return 0;
	return sub_u64(memory->available,
		       policy_line_bytes(&policy->memory_available, memory->total));
}

static uint64_t swap_headroom(const struct policy *policy, const struct memory_reading *memory)
{
	if (!policy->swap_free.set || memory->swap_total == 0)
		return 0;
	return sub_u64(memory->swap_free,
		       policy_line_bytes(&policy->swap_free, memory->swap_total));
}

static bool memory_holds(const struct policy *policy, const struct memory_reading *memory)
{
	return memory_headroom(policy, memory) == 0 && swap_headroom(policy, memory) == 0;
}

static bool pressure_holds(const struct policy *policy, const struct psi_history *psi)
{
	usec_t window = max_u64(policy->for_usec, PRESSURE_WINDOW_MIN_USEC);

	if (policy->pressure_some == 0 && policy->pressure_full == 0)
		return true;
	if (!psi)
		return false;
	if (policy->pressure_some > 0 && psi_history_some(psi, window) < policy->pressure_some)
		return false;
	return policy->pressure_full == 0 || psi_history_full(psi, window) >= policy->pressure_full;
}

bool policy_holds(const struct policy *policy, const struct policy_reading *reading)
{
	return memory_holds(policy, reading->memory) && pressure_holds(policy, reading->psi);
}

void policy_judge(struct policy_set *set, const struct policy_reading *reading, usec_t now,
		  struct policy_judgement *ret)
{
	const struct memory_reading *memory = reading->memory;
	struct policy_judgement judgement = {
		.watch = memory->available <= policy_line_bytes(&set->watch_below, memory->total),
	};

	for (size_t i = 0; i < set->n_policies; i++) {
		struct policy *policy = &set->policies[i];

		if (policy->action == POLICY_ACTION_NONE)
			continue;
		if (!memory_holds(policy, memory)) {
			policy->holds_since = USEC_INFINITY;
			continue;
		}
		if (policy->holds_since == USEC_INFINITY)
			policy->holds_since = now;
		if (policy->memory_available.set || policy->swap_free.set)
			judgement.watch = true;
		if (sub_u64(now, policy->holds_since) < policy->for_usec ||
		    !pressure_holds(policy, reading->psi))
			continue;
		if (!judgement.policy || policy->action > judgement.policy->action)
			judgement.policy = policy;
	}
	*ret = judgement;
}

static usec_t time_to_fill(uint64_t bytes, uint64_t bytes_per_sec)
{
	return (usec_t)((__uint128_t)bytes * USEC_PER_SEC / bytes_per_sec);
}

/* How soon the policy could act; USEC_INFINITY where that does not depend on memory any more. */
static usec_t time_to_policy(const struct policy *policy, const struct memory_reading *memory,
			     bool watch)
{
	usec_t fill = time_to_fill(memory_headroom(policy, memory), POLICY_FILL_BYTES_PER_SEC);
	usec_t swap = time_to_fill(swap_headroom(policy, memory), POLICY_SWAP_FILL_BYTES_PER_SEC);

	if (policy->action < POLICY_ACTION_TERMINATE)
		return USEC_INFINITY;
	if (watch)
		return memory_holds(policy, memory) ? USEC_INFINITY : max_u64(fill, swap);
	if (policy->memory_available.set)
		return fill + policy->for_usec / 2;
	return policy->swap_free.set ? swap + policy->for_usec / 2 : USEC_INFINITY;
}

usec_t policy_interval(const struct policy_set *set, const struct memory_reading *memory,
		       bool watch)
{
	usec_t interval = USEC_INFINITY;

	for (size_t i = 0; i < set->n_policies; i++)
		interval = min_u64(interval, time_to_policy(&set->policies[i], memory, watch));
	if (watch)
		return min_u64(max_u64(interval, POLICY_INTERVAL_WATCH_MIN_USEC),
			       POLICY_INTERVAL_WATCH_MAX_USEC);
	return min_u64(max_u64(interval, POLICY_INTERVAL_CALM_MIN_USEC),
		       POLICY_INTERVAL_CALM_MAX_USEC);
}
