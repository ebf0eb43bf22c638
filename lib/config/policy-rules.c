/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy-rules: which processes a rule matches; see policy.h.  Rules are matched against what the
 * census keeps of a process: once for each, and again when that has changed.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/config/policy.h"
#include "lib/sys/cgroup.h"

/* What is special in a POSIX extended regular expression. */
#define REGEX_SPECIAL ".*+?()[]{}|\\^$"

/* Of a compiled pattern, in nodes of some 200 bytes: a megabyte or three. */
#define REGEX_SIZE_MAX 16384

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
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a process has a name */
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
		/* Whatever it matches has the same literal prefix; comparing that first saves
		 * nearly all calls of fnmatch(3). */
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

void rule_take_over(struct rule *rule)
{
	rule->builtin = false;
	rule->protection = rule->above_ceiling = RULE_PROTECTION_NEVER;
	rule->proof = RULE_PROOF_NONE;
	rule->place = NULL;
}

static bool is_in_place(const struct rule *rule, const char *cgroup)
{
	return !rule->place || strcmp(cgroup, "/") == 0 || cgroup_matches_any(cgroup, rule->place);
}

/* Where the executable may not be read, the name of root's processes is trusted. */
static bool executable_proves(const struct rule *rule, const struct rule_subject *subject)
{
	const struct executable *executable = subject->executable;

	if (!executable->known)
		return subject->uid == 0;
	if (!executable->is_roots || (subject->uid != 0 && !executable->is_of_system))
		return false;
	return rule->proof == RULE_PROOF_FILE || names_have(rule->comm_names, executable->name);
}

/* All that the census keeps matches; what is missing is the proof, which costs system calls. */
static bool is_proven(const struct rule *rule, const struct rule_subject *subject, bool *ret_asks)
{
	if (rule->proof == RULE_PROOF_NONE)
		return true;
	if (!subject->comm || !is_in_place(rule, subject->cgroup))
		return false;
	*ret_asks = true;
	return subject->executable && executable_proves(rule, subject);
}

/* (A plain list of names is the cheapest to ask.) */
static bool rule_matches(const struct rule *rule, const struct rule_subject *subject)
{
	if (rule->disabled || (!rule->comm_pattern && !rule->cgroup && !rule->has_uid))
		return false;
	if (!subject->comm && (rule->comm_pattern || rule->has_uid))
		return false;
	if (rule->has_uid && (rule->unknown_user || rule->uid != subject->uid))
		return false;
	if (rule->comm_names && !names_have(rule->comm_names, subject->comm))
		return false;
	if (rule->cgroup && !cgroup_matches_any(subject->cgroup, rule->cgroup))
		return false;
	return !rule->comm_pattern || comm_matches(rule, subject->comm);
}

static bool is_stronger(const struct rule *a, const struct rule *b)
{
	if (!b)
		return true;
	if (a->protection != b->protection)
		return a->protection < b->protection;
	return a->above_ceiling < b->above_ceiling;
}

void policy_apply_rules(const struct policy_set *set, const struct rule_subject *subject,
			struct rule_verdict *ret)
{
	struct rule_verdict verdict = { .weight = 1 };

	for (size_t i = 0; i < set->n_rules; i++) {
		const struct rule *rule = &set->rules[i];

		if (rule->kind == RULE_PROTECT && !is_stronger(rule, verdict.protected_by))
			continue;
		if (!rule_matches(rule, subject) ||
		    !is_proven(rule, subject, &verdict.asks_executable))
			continue;
		if (rule->kind == RULE_PROTECT)
			verdict.protected_by = rule;
		else
			verdict.weight *= rule->weight;
	}
	if (verdict.protected_by && verdict.protected_by->above_ceiling == RULE_PROTECTION_AVOID)
		verdict.weight *= RULE_WEIGHT_ABOVE_CEILING;
	/* (In a hundred rules it may have become infinite, or 0.) */
	if (verdict.weight > RULE_WEIGHT_MAX)
		verdict.weight = RULE_WEIGHT_MAX;
	else if (verdict.weight < RULE_WEIGHT_MIN)
		verdict.weight = RULE_WEIGHT_MIN;
	*ret = verdict;
}
