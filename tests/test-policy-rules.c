/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/config/policy-rules.c: which rules apply to a process, and what comes of several. */
#include <regex.h>
#include <stddef.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/base/heap.h"
#include "lib/base/sanitizer.h"
#include "lib/config/policy.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static bool apply_protects(struct policy_set *set, const char *comm, const char *cgroup, uid_t uid)
{
	struct rule_subject subject = { .comm = comm, .cgroup = cgroup, .uid = uid };
	struct rule_verdict verdict;

	policy_apply_rules(set, &subject, &verdict);
	return verdict.protected_by;
}

static struct rule *add_rule(struct policy_set *set, enum rule_kind kind, const char *name,
			     const char *comm)
{
	struct rule *rule = policy_set_rule(set, kind, name);
	char error[128];

	assert_non_null(rule);
	assert_int_equal(rule_set_comm(rule, comm, error, sizeof(error)), 0);
	return rule;
}

static void test_apply_rules_takes_the_strongest_protector(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set = {};
	struct rule_subject subject = { .comm = "abc", .cgroup = "/" };
	static const struct {
		const char *name;
		enum rule_protection protection, above_ceiling;
	} rules[] = {
		{ "soft", RULE_PROTECTION_RELUCTANT, RULE_PROTECTION_AVOID },
		{ "other", RULE_PROTECTION_RELUCTANT, RULE_PROTECTION_AVOID },
		{ "harder", RULE_PROTECTION_NEVER, RULE_PROTECTION_AVOID },
		{ "locker", RULE_PROTECTION_NEVER, RULE_PROTECTION_RELUCTANT },
		{ "never", RULE_PROTECTION_NEVER, RULE_PROTECTION_NEVER },
		{ "late", RULE_PROTECTION_RELUCTANT, RULE_PROTECTION_AVOID },
	};
	static const char *const strongest[] = {
		"soft", "soft", "harder", "locker", "never", "never",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		struct rule *rule = add_rule(&set, RULE_PROTECT, rules[i].name, "abc");
		struct rule_verdict verdict;

		rule->protection = rules[i].protection;
		rule->above_ceiling = rules[i].above_ceiling;
		policy_apply_rules(&set, &subject, &verdict);
		assert_string_equal(verdict.protected_by->name, strongest[i]);
		/* What it is worth above the ceiling. */
		assert_int_equal(verdict.weight < 1,
				 verdict.protected_by->above_ceiling == RULE_PROTECTION_AVOID);
	}
}

/* What a plain list matches must be what regcomp(3) would have matched. */
static void test_rule_set_comm_matches_as_regcomp_does(void **state)
{
	static const struct {
		const char *pattern;
		bool list;
	} patterns[] = {
		{ "^one$", true },
		{ "^(one)$", true },
		{ "^(one|two|three)$", true },
		{ "^(on|one|ones)$", true },
		{ "^\\(sd-pam\\)$", true },
		{ "^(a\\.b|\\$c)$", true },
		{ "^(tmux: server)$", true },
		{ "^one|two$", false },
		{ "one", false },
		{ "^one", false },
		{ "one$", false },
		{ "^(one|)$", false },
		{ "^(|one)$", false },
		{ "^$", false },
		{ "^()$", false },
		{ "^o.e$", false },
		{ "^(one|t.*)$", false },
		{ "^on\\w$", false },
		{ "^((one)|two)$", false },
		{ "^(one)(two)$", false },
		{ "^(one)?$", false },
		{ "^one+$", false },
		{ "^[ot]ne$", false },
		{ "^(one|^two)$", false },
		{ "", false },
		{ "^", false },
		{ "^o{1}ne$", false },
	};
	static const char *const names[] = {
		"",	"one",		"two",		"three", "on",	     "ones",	"xone",
		"onex", "onetwo",	"two",		"t",	 "(sd-pam)", "sd-pam",	"a.b",
		"axb",	"$c",		"tmux: server", "twox",	 "o",	     "one|two", "(one)",
		"one$", "\\(sd-pam\\)", "onee",		"tone",
	};

	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		_cleanup_(policy_set_done) struct policy_set set = {};
		const struct rule *rule = add_rule(&set, RULE_PROTECT, "rule", patterns[i].pattern);
		regex_t regex;

		if (!rule->comm != patterns[i].list)
			fail_msg("%s: a list? %d", patterns[i].pattern, !rule->comm);
		assert_int_equal(regcomp(&regex, patterns[i].pattern, REG_EXTENDED | REG_NOSUB), 0);
		for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
			bool expected = regexec(&regex, names[k], 0, NULL, 0) == 0;

			if (apply_protects(&set, names[k], "/", 0) != expected)
				fail_msg("%s against '%s': not %d", patterns[i].pattern, names[k],
					 expected);
		}
		regfree(&regex);
	}
}

static void test_rule_set_comm_reports_what_is_wrong(void **state)
{
	static const struct {
		const char *pattern, *error;
	} cases[] = {
		{ "^(one", "nmatched" },
		{ "[a", "nmatched" },
		{ "*", "nvalid" },
		{ "a\\", "railing" },
		{ "a{2,1}", "nvalid" },
		{ "(a)\\1", "Back-references" },
		{ "(a)\\\\\\1", "Back-references" },
		{ "a\\\\1", NULL },
		/* regcomp(3) would take gigabytes */
		{ "((((a{99}){99}){99}){99}){99}", "repetitions" },
		{ "((((a{,99}){2,99}){99}){99}){99}", "repetitions" },
		{ "a{99}{99}{99}{99}", "repetitions" },
		{ "a{32767}", "repetitions" },
		{ "a{9999}b{9999}", "repetitions" },
		{ "((((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)", "repetitions" },
		{ "^((foo|bar)+-)+[a-z]{1,15}x+y+z+\\{99}$", NULL },
		/* what is optional is squared */
		{ "a{1,15000}", "repetitions" },
		{ "a{1,100}{1,100}", "repetitions" },
		{ "((a?){1,30}){1,30}", "repetitions" },
		{ "^x.{0,64}y$", NULL },
	};
	_cleanup_(policy_set_done) struct policy_set set = {};
	struct rule *rule = add_rule(&set, RULE_PROTECT, "rule", "^keep");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char error[128] = "";
		int r = rule_set_comm(rule, cases[i].pattern, error, sizeof(error));

		if (!cases[i].error) {
			assert_int_equal(r, 0);
			assert_string_equal(rule->comm_pattern, cases[i].pattern);
			assert_int_equal(rule_set_comm(rule, "^keep", error, sizeof(error)), 0);
			continue;
		}
		assert_int_equal(r, -EINVAL);
		if (!strstr(error, cases[i].error))
			fail_msg("%s: '%s'", cases[i].pattern, error);
		assert_string_equal(rule->comm_pattern, "^keep");
		assert_true(apply_protects(&set, "keeper", "/", 0));
	}
	assert_int_equal(rule_set_comm(rule, NULL, NULL, 0), 0);
	assert_null(rule->comm_pattern);
	assert_null(rule->comm);
	assert_false(apply_protects(&set, "keeper", "/", 0));
}

/* Any user can give processes names.  The pattern: an 'a' in the thirteenth place from the end, and
 * what regexec(3) remembers of that. */
static void test_names_do_not_make_it_grow(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set = {};
	uint64_t before = heap_used(), most = 0;
	unsigned seed = 1;

	add_rule(&set, RULE_PROTECT, "rule", "^(a|b)*a(a|b){12}$");
	for (unsigned i = 0; i < 5000; i++) {
		char name[16] = "";

		for (unsigned k = 0; k < 15; k++) {
			seed = seed * 1103515245 + 12345;
			name[k] = seed >> 16 & 1 ? 'a' : 'b';
		}
		assert_int_equal(apply_protects(&set, name, "/", 0), name[2] == 'a');
		most = max_u64(most, sub_u64(heap_used(), before));
	}
	if (!HAS_SHADOW_MEMORY) /* mallinfo2() is not its own */
		assert_true(most > 0);
	print_message("%llu KiB at most\n", (unsigned long long)(most / KIB));
	assert_true(most < 2 * MIB);
}

/* Plain lists are free, and what is refused is not compiled. */
static void test_what_patterns_cost(void **state)
{
	static const struct {
		const char *pattern;
		unsigned least, most;
	} cases[] = {
		{ "^(one|two)$", 0, 0 },   { "a{9999}{9999}", 0, 0 }, { "^app-[a-z]+$", 1, 1 },
		{ "^x.{0,64}y$", 1, 2 },   { "a{500}", 20, 40 },      { "(a?){1,200}", 20, 40 },
		{ "(ab){300}b*", 20, 40 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_in_range(rule_comm_cost(cases[i].pattern), cases[i].least, cases[i].most);
}

static void test_apply_rules_wants_all_conditions(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set = {};
	struct rule *rule = add_rule(&set, RULE_PROTECT, "rule", NULL);

	/* none: matches nothing */
	assert_false(apply_protects(&set, "a", "/x", 0));
	rule->has_uid = true;
	rule->uid = 7;
	assert_true(apply_protects(&set, "a", "/x", 7));
	assert_false(apply_protects(&set, "a", "/x", 0));
	rule->cgroup = strdup(" /no/*.where\t/x/*.slice  /y ");
	assert_non_null(rule->cgroup);
	assert_true(apply_protects(&set, "a", "/x/1.slice", 7));
	assert_true(apply_protects(&set, "a", "/x/1.slice/below", 7));
	assert_true(apply_protects(&set, "a", "/y", 7));
	assert_true(apply_protects(&set, "a", "/y/below", 7));
	assert_false(apply_protects(&set, "a", "/yy", 7));
	assert_false(apply_protects(&set, "a", "/x/1.scope", 7));
	assert_false(apply_protects(&set, "a", "/", 7));
	assert_false(apply_protects(&set, "a", "/y", 8));
	assert_int_equal(rule_set_comm(rule, "^a", NULL, 0), 0);
	assert_true(apply_protects(&set, "ab", "/y", 7));
	assert_false(apply_protects(&set, "ba", "/y", 7));
	rule->disabled = true;
	assert_false(apply_protects(&set, "ab", "/y", 7));
}

static void test_apply_rules_multiplies_weights_and_names_the_first_protector(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set = {};
	struct rule_subject subject = { .comm = "abc", .cgroup = "/" };
	struct rule_verdict verdict;

	policy_apply_rules(&set, &subject, &verdict);
	assert_null(verdict.protected_by);
	assert_true(verdict.weight >= 1 && verdict.weight <= 1);

	add_rule(&set, RULE_PREFER, "large", "^a");
	add_rule(&set, RULE_AVOID, "small", "b");
	add_rule(&set, RULE_PREFER, "other", "x")->weight = 100;
	policy_apply_rules(&set, &subject, &verdict);
	assert_true(verdict.weight >= 1 && verdict.weight <= 1); /* 2 * 0.5 */

	add_rule(&set, RULE_PREFER, "three", "c$")->weight = 3;
	add_rule(&set, RULE_PROTECT, "miss", "x");
	add_rule(&set, RULE_PROTECT, "first", "b");
	add_rule(&set, RULE_PROTECT, "second", "b");
	policy_apply_rules(&set, &subject, &verdict);
	assert_true(verdict.weight >= 3 && verdict.weight <= 3);
	assert_non_null(verdict.protected_by);
	assert_string_equal(verdict.protected_by->name, "first");
}

static void test_apply_rules_bounds_the_product_of_weights(void **state)
{
	static const struct {
		unsigned n_rules;
		double weight, expected;
	} rows[] = {
		{ 2, 1000, 1e6 },   { 5, 1000, 1e6 },  { 14, 1000, 1e6 }, /* beyond a float */
		{ 110, 1000, 1e6 },					  /* beyond a double */
		{ 1, 1e-6, 1e-6 },  { 8, 1e-6, 1e-6 }, /* 0 as a float: not to be killed */
		{ 60, 1e-6, 1e-6 },		       /* 0 as a double */
	};
	struct rule_subject subject = { .comm = "abc", .cgroup = "/" };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(policy_set_done) struct policy_set set = {};
		struct rule_verdict verdict;
		char name[16];

		for (unsigned n = 0; n < rows[i].n_rules; n++) {
			snprintf(name, sizeof(name), "rule-%u", n);
			add_rule(&set, RULE_PREFER, name, "abc")->weight = rows[i].weight;
		}
		policy_apply_rules(&set, &subject, &verdict);
		if (verdict.weight < rows[i].expected || verdict.weight > rows[i].expected)
			fail_msg("row %zu: %g", i, verdict.weight);
	}
}

static void test_policy_set_finds_adds_and_removes(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set = {};
	struct policy *policy;

	for (int i = 0; i < 50; i++) {
		char name[16];

		snprintf(name, sizeof(name), "n%d", i);
		add_rule(&set, i % 2 ? RULE_AVOID : RULE_PREFER, name, i % 3 ? "^a.*" : "^a$");
		policy = policy_set_policy(&set, name);
		assert_non_null(policy);
		assert_int_equal(policy->action, POLICY_ACTION_NONE);
		assert_int_equal(policy->grace_usec, POLICY_GRACE_USEC);
	}
	assert_int_equal(set.n_rules, 50);
	assert_ptr_equal(policy_set_rule(&set, RULE_AVOID, "n7"), &set.rules[7]);
	assert_ptr_equal(policy_set_policy(&set, "n7"), &set.policies[7]);
	assert_true(set.rules[7].weight < 1);
	/* a rule is found by kind and name */
	assert_non_null(policy_set_rule(&set, RULE_PREFER, "n7"));
	assert_int_equal(set.n_rules, 51);
	assert_true(set.rules[50].weight > 1);
	policy_set_remove_rule(&set, &set.rules[50]);
	policy_set_remove_rule(&set, &set.rules[0]);
	assert_int_equal(set.n_rules, 49);
	assert_string_equal(set.rules[0].name, "n1");
	assert_string_equal(set.rules[48].name, "n49");
	assert_int_equal(set.n_policies, 50);
}

static void test_strings_name_all_values(void **state)
{
	enum policy_action action;
	enum policy_rank_by rank_by;

	for (int i = POLICY_ACTION_NONE; i <= POLICY_ACTION_KILL; i++) {
		assert_int_equal(policy_action_from_string(
					 policy_action_to_string((enum policy_action)i), &action),
				 0);
		assert_int_equal(action, i);
	}
	for (int i = POLICY_RANK_BY_FOOTPRINT; i <= POLICY_RANK_BY_GROWTH; i++) {
		assert_int_equal(
			policy_rank_by_from_string(policy_rank_by_to_string((enum policy_rank_by)i),
						   &rank_by),
			0);
		assert_int_equal(rank_by, i);
	}
	assert_int_equal(policy_action_from_string("Kill", &action), -EINVAL);
	for (int i = POLICY_TARGET_PROCESS; i <= POLICY_TARGET_CGROUP; i++) {
		enum policy_target target = (enum policy_target) - 1;

		assert_int_equal(policy_target_from_string(
					 policy_target_to_string((enum policy_target)i), &target),
				 0);
		assert_int_equal(target, i);
	}
	assert_int_equal(policy_target_from_string("slice", &(enum policy_target){ 0 }), -EINVAL);
	assert_int_equal(policy_rank_by_from_string("", &rank_by), -EINVAL);
	assert_string_equal(rule_kind_to_string(RULE_AVOID), "avoid");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_apply_rules_takes_the_strongest_protector),
		cmocka_unit_test(test_rule_set_comm_matches_as_regcomp_does),
		cmocka_unit_test(test_rule_set_comm_reports_what_is_wrong),
		cmocka_unit_test(test_names_do_not_make_it_grow),
		cmocka_unit_test(test_what_patterns_cost),
		cmocka_unit_test(test_apply_rules_wants_all_conditions),
		cmocka_unit_test(test_apply_rules_multiplies_weights_and_names_the_first_protector),
		cmocka_unit_test(test_apply_rules_bounds_the_product_of_weights),
		cmocka_unit_test(test_policy_set_finds_adds_and_removes),
		cmocka_unit_test(test_strings_name_all_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
