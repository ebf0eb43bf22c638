/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* eligibility: the predicate, and for each verdict its row of consequences and names. */
#include "lib/config/eligibility.h"

#include "lib/base/errors.h"

static bool is_kthread(const struct eligibility_subject *s)
{
	return s->kthread;
}

static bool is_init(const struct eligibility_subject *s)
{
	return s->pid == 1;
}

static bool is_self(const struct eligibility_subject *s)
{
	return s->pid == s->self;
}

static bool is_adj_min(const struct eligibility_subject *s)
{
	return s->oom_score_adj <= -1000;
}

static bool is_outside_subtree(const struct eligibility_subject *s)
{
	return !s->in_subtree;
}

static bool is_above_ceiling(const struct eligibility_subject *s)
{
	return s->total > 0 &&
	       s->reclaimable > s->total / PERMYRIAD * ELIGIBILITY_CEILING_PERMYRIAD;
}

/* That the matching rule gives at this size; RULE_PROTECTION_AVOID where there is none. */
static enum rule_protection protection_of(const struct eligibility_subject *s)
{
	if (!s->protected_by)
		return RULE_PROTECTION_AVOID;
	return is_above_ceiling(s) ? s->protected_by->above_ceiling : s->protected_by->protection;
}

static bool is_protected(const struct eligibility_subject *s)
{
	return protection_of(s) == RULE_PROTECTION_NEVER && !s->protected_by->builtin;
}

static bool is_protected_builtin(const struct eligibility_subject *s)
{
	return protection_of(s) == RULE_PROTECTION_NEVER && s->protected_by->builtin;
}

/* A transient error says nothing about the process: it is read again. */
static bool is_unreadable(const struct eligibility_subject *s)
{
	return s->error < 0 && !error_is_transient(s->error);
}

static bool has_no_memory(const struct eligibility_subject *s)
{
	return !s->has_memory;
}

static bool is_skipped(const struct eligibility_subject *s)
{
	return s->backoff == BACKOFF_SKIP;
}

static bool is_reluctant(const struct eligibility_subject *s)
{
	return s->oom_score_adj < ELIGIBILITY_RELUCTANT_ADJ ||
	       protection_of(s) == RULE_PROTECTION_RELUCTANT;
}

static const struct {
	bool (*holds)(const struct eligibility_subject *s);
	bool is_spared; /* with others that are killed */
	bool forbids_group;
	const char *text, *key, *one, *more;
} reasons[_ELIGIBILITY_MAX] = {
	[ELIGIBILITY_ELIGIBLE] = { .text = "eligible", .one = "eligible", .more = "eligible" },
	[ELIGIBILITY_KTHREAD] = { is_kthread, true, true, "a kernel thread", "kernel_thread",
				  "kernel thread", "kernel threads" },
	[ELIGIBILITY_INIT] = { is_init, true, true, "the init process", "init", "init", "init" },
	[ELIGIBILITY_SELF] = { is_self, true, true, "reckond itself", "self", "reckond itself",
			       "reckond itself" },
	[ELIGIBILITY_ADJ_MIN] = { is_adj_min, true, true, "its oom_score_adj is -1000",
				  "oom_score_adj_min", "with oom_score_adj -1000",
				  "with oom_score_adj -1000" },
	[ELIGIBILITY_PROTECTED] = { is_protected, true, false, "protected by a rule", "protected",
				    "protected", "protected" },
	[ELIGIBILITY_PROTECTED_BUILTIN] = { is_protected_builtin, true, false,
					    "protected by a built-in rule", "protected",
					    "protected by built-in rules",
					    "protected by built-in rules" },
	[ELIGIBILITY_OUTSIDE_SUBTREE] = { is_outside_subtree, true, true, "outside the subtree",
					  "outside_subtree", "outside the subtree",
					  "outside the subtree" },
	[ELIGIBILITY_UNREADABLE] = { is_unreadable, false, false, "its memory may not be read",
				     "unreadable", "unreadable", "unreadable" },
	[ELIGIBILITY_NO_MEMORY] = { has_no_memory, false, false, "has no memory left (a zombie)",
				    "zombie", "zombie", "zombies" },
	[ELIGIBILITY_SKIPPED] = { is_skipped, false, false, "could not be killed a moment ago",
				  "skipped", "skipped", "skipped" },
	[ELIGIBILITY_RELUCTANT] = { is_reluctant, true, false,
				    "killed only if no eligible process is worth killing",
				    "reluctant", "reluctant", "reluctant" },
};

enum eligibility eligibility_judge(const struct eligibility_subject *subject)
{
	for (unsigned i = ELIGIBILITY_ELIGIBLE + 1; i < _ELIGIBILITY_MAX; i++)
		if (reasons[i].holds(subject))
			return (enum eligibility)i;
	return ELIGIBILITY_ELIGIBLE;
}

bool eligibility_is_ruled_out(const struct eligibility_subject *subject)
{
	struct eligibility_subject largest = *subject;

	largest.has_memory = true;
	largest.backoff = BACKOFF_NONE;
	largest.total = largest.reclaimable = PERMYRIAD;
	return eligibility_is_refused(eligibility_judge(&largest));
}

bool eligibility_is_spared(enum eligibility e, bool reluctantly)
{
	if (e == ELIGIBILITY_RELUCTANT && reluctantly)
		return false;
	return reasons[e].is_spared;
}

bool eligibility_forbids_group(enum eligibility e)
{
	return reasons[e].forbids_group;
}

enum eligibility eligibility_join(enum eligibility a, enum eligibility b)
{
	if (eligibility_forbids_group(a) || eligibility_forbids_group(b))
		return eligibility_forbids_group(a) ? a : b;
	if (a == ELIGIBILITY_ELIGIBLE || b == ELIGIBILITY_ELIGIBLE)
		return ELIGIBILITY_ELIGIBLE;
	return b == ELIGIBILITY_RELUCTANT ? b : a;
}

const char *eligibility_to_string(enum eligibility e)
{
	return reasons[e].text;
}

const char *eligibility_to_key(enum eligibility e)
{
	return reasons[e].key;
}

const char *eligibility_to_noun(enum eligibility e, size_t n)
{
	return n == 1 ? reasons[e].one : reasons[e].more;
}
