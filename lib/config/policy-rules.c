/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy-rules: which processes a rule matches; see policy.h.  Rules are matched against what the
 * census keeps of a process: once for each, and again when that has changed.
 */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/heap.h"
#include "lib/config/policy.h"
#include "lib/sys/cgroup.h"

/* What is special in a POSIX extended regular expression. */
#define REGEX_SPECIAL ".*+?()[]{}|\\^$"

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
 * What a pattern may come to at most: regcomp(3) copies what is repeated, and keeps for each
 * position all those that can be reached from it without a character, which are as many as are
 * optional: "a{1,15000}" takes 1.7 GB and two seconds with glibc 2.36, "((a{99}){99}){99}" all
 * memory there is, and nested "+" doubles at each level.  Repetitions of a group or of a repetition
 * multiply all that is before them, others add.
 */
struct regex_size {
	uint64_t nodes;	   /* some 400 bytes each */
	uint64_t optional; /* 8 bytes, squared */
};

/* More than a name of 15 bytes can need. */
#define REGEX_NODES_MAX	   4096
#define REGEX_OPTIONAL_MAX 512

#define REGEX_NODE_BYTES     400
#define REGEX_OPTIONAL_BYTES 8

/* Of what is at p, a quantifier: at most so many times; "+" is a copy and a repetition. */
static uint64_t repetitions(const char *p)
{
	uint64_t count;
	char *end;

	if (*p != '{')
		return *p == '+' ? 2 : 1;
	count = strtoul(p + 1, &end, 10);
	if (*end == ',')
		count = max_u64(count + 1, strtoul(end + 1, NULL, 10));
	return max_u64(1, count);
}

/* false: larger than a regular expression may be. */
static bool measure_regex(const char *pattern, struct regex_size *ret)
{
	uint64_t factor = 1, length = 0, optional = 0;

	for (const char *p = pattern; *p != '\0'; p++, length++) {
		bool nested = p > pattern && strchr(")}+*?", p[-1]);
		uint64_t count;

		if (*p == '\\' && p[1] != '\0') {
			p++;
			continue;
		}
		if (!strchr("+*?{", *p))
			continue;
		count = repetitions(p);
		if (count > REGEX_NODES_MAX)
			return false;
		length += nested ? 0 : count;
		factor *= nested ? count : 1;
		optional = nested ? (optional + 1) * count : optional + count;
		if (factor > REGEX_NODES_MAX || optional > REGEX_OPTIONAL_MAX)
			return false;
	}
	*ret = (struct regex_size){ .nodes = factor * length, .optional = optional };
	return ret->nodes <= REGEX_NODES_MAX;
}

unsigned rule_comm_cost(const char *pattern)
{
	_cleanup_free_ char *names = NULL;
	struct regex_size size;
	uint64_t bytes;

	if (names_new(pattern, &names) == 1 || !measure_regex(pattern, &size))
		return 0;
	bytes = size.nodes * REGEX_NODE_BYTES +
		size.optional * size.optional * REGEX_OPTIONAL_BYTES;
	return (unsigned)(1 + bytes / RULE_COST_BYTES);
}

/*
 * A regular expression, compiled.  regexec(3) keeps what it has found out, a few KiB for each new
 * prefix of a name, and never forgets: "(a|b)*a(a|b){12}$" has 15 MiB after 2,000 names.  Every
 * user can give processes names; so it is compiled anew when it has grown.
 */
struct rule_regex {
	regex_t regex;
	unsigned n_matches;
	uint64_t grown; /* an estimate */
};

static int regex_new(const char *pattern, char *error, size_t error_size, struct rule_regex **ret)
{
	_cleanup_free_ struct rule_regex *regex = NULL;
	struct regex_size size;
	int r;

	if (has_back_reference(pattern)) {
		snprintf(error, error_size, "Back-references are not supported");
		return -EINVAL;
	}
	if (!measure_regex(pattern, &size)) {
		snprintf(error, error_size, "Too many repetitions (a name has at most 15 bytes)");
		return -EINVAL;
	}
	regex = calloc(1, sizeof(*regex));
	if (!regex)
		return -ENOMEM;
	r = regcomp(&regex->regex, pattern, REG_EXTENDED | REG_NOSUB);
	if (r != 0) {
		regerror(r, &regex->regex, error, error_size);
		return r == REG_ESPACE ? -ENOMEM : -EINVAL;
	}
	*ret = take_ptr(regex);
	return 0;
}

/* One match of so many is measured. */
#define REGEX_MEASURED	16
#define REGEX_GROWN_MAX (256 * KIB)

/* Without memory for that it remains as it is. */
static void compile_anew(struct rule_regex *compiled, const char *pattern)
{
	regex_t regex;

	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return;
	regfree(&compiled->regex);
	*compiled = (struct rule_regex){ .regex = regex };
}

static bool regex_matches(const struct rule *rule, const char *comm)
{
	struct rule_regex *compiled = rule->comm;
	bool is_measured = compiled->n_matches++ % REGEX_MEASURED == 0;
	uint64_t before = is_measured ? heap_used() : 0;
	bool result = regexec(&compiled->regex, comm, 0, NULL, 0) == 0;

	if (!is_measured)
		return result;
	compiled->grown += sub_u64(heap_used(), before) * REGEX_MEASURED;
	if (compiled->grown > REGEX_GROWN_MAX)
		compile_anew(compiled, rule->comm_pattern);
	return result;
}

int rule_set_comm(struct rule *rule, const char *pattern, char *error, size_t error_size)
{
	_cleanup_free_ char *copy = NULL;
	_cleanup_free_ char *names = NULL;
	struct rule_regex *regex = NULL;
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
		regfree(&rule->comm->regex);
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
	return regex_matches(rule, comm);
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
