/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/explain/describe.c: conditions in words. */
#include <string.h>

#include "lib/explain/describe.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define PERCENT(p)                                                                                 \
	{                                                                                          \
		.set = true, .permyriad = (p)*100                                                  \
	}
#define CAPPED(p, b)                                                                               \
	{                                                                                          \
		.set = true, .permyriad = (p)*100, .cap = (b)                                      \
	}
#define SIZE(b)                                                                                    \
	{                                                                                          \
		.set = true, .is_size = true, .bytes = (b)                                         \
	}

static void test_policy_names_each_condition(void **state)
{
	static const struct {
		struct policy policy;
		const char *with_swap, *without;
	} cases[] = {
		{ { 0 }, "", "" },
		{ { .memory_available = PERCENT(10) },
		  "available <= 10% (102 MiB)",
		  "available <= 10% (102 MiB)" },
		{ { .memory_available = SIZE(200 * MIB), .swap_free = PERCENT(25) },
		  "available <= 200 MiB, swap free <= 25% (128 MiB)",
		  "available <= 200 MiB" },
		{ { .swap_free = SIZE(MIB) },
		  "swap free <= 1.0 MiB",
		  "swap free (never: there is none)" },
		{ { .memory_available = CAPPED(10, 4 * GIB), .swap_free = CAPPED(50, 100 * MIB) },
		  "available <= 10% capped at 4.0 GiB (102 MiB), "
		  "swap free <= 50% capped at 100 MiB (100 MiB)",
		  "available <= 10% capped at 4.0 GiB (102 MiB)" },
		/* the floor, where it counts */
		{ { .memory_available = PERCENT(50), .action = POLICY_ACTION_KILL },
		  "available <= 50% (512 MiB)",
		  "available <= 50% (512 MiB)" },
		{ { .memory_available = PERCENT(99), .action = POLICY_ACTION_KILL },
		  "available <= 99% (1014 MiB) and <= half of memory (512 MiB)",
		  "available <= 99% (1014 MiB) and <= half of memory (512 MiB)" },
		{ { .memory_available = PERCENT(99), .action = POLICY_ACTION_WARN },
		  "available <= 99% (1014 MiB)",
		  "available <= 99% (1014 MiB)" },
		{ { .swap_free = PERCENT(10), .action = POLICY_ACTION_TERMINATE },
		  "available <= half of memory (512 MiB), swap free <= 10% (51.2 MiB)",
		  "available <= half of memory (512 MiB), swap free (never: there is none)" },
		{ { .memory_available = PERCENT(20),
		    .pressure_full = 4050,
		    .for_usec = 5 * USEC_PER_SEC },
		  "available <= 20% (205 MiB), PSI full >= 40.5% for 5 s",
		  "available <= 20% (205 MiB), PSI full >= 40.5% for 5 s" },
		{ { .memory_available = PERCENT(20), .thrashing = 3000, .for_usec = USEC_PER_SEC },
		  "available <= 20% (205 MiB), refaulted >= 30% of what was reclaimed for 1 s",
		  "available <= 20% (205 MiB), refaulted >= 30% of what was reclaimed for 1 s" },
		{ { .pressure_some = 700, .pressure_full = 100, .for_usec = 500 * USEC_PER_MSEC },
		  "PSI some >= 7%, PSI full >= 1% for 0.5 s",
		  "PSI some >= 7%, PSI full >= 1% for 0.5 s" },
	};
	struct memory_reading memory = { .total = GIB };
	char buf[DESCRIBE_POLICY_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		memory.swap_total = GIB / 2;
		assert_string_equal(describe_policy(&cases[i].policy, &memory, buf),
				    cases[i].with_swap);
		memory.swap_total = 0;
		assert_string_equal(describe_policy(&cases[i].policy, &memory, buf),
				    cases[i].without);
	}
}

static void test_rule_names_each_condition(void **state)
{
	static const struct {
		struct rule rule;
		const char *user;
		const char *text;
	} cases[] = {
		{ { 0 }, "alice", "" },
		{ { .comm_pattern = (char *)"^(a|b)$" }, NULL, "Comm=^(a|b)$" },
		{ { .cgroup = (char *)"/a /b", .has_uid = true },
		  "root",
		  "Cgroup=/a /b User=root" },
		{ { .comm_pattern = (char *)"x", .cgroup = (char *)"/c", .has_uid = true },
		  "1000",
		  "Comm=x Cgroup=/c User=1000" },
		{ { .comm_pattern = (char *)"x",
		    .proof = RULE_PROOF_FILE,
		    .above_ceiling = RULE_PROTECTION_AVOID },
		  NULL,
		  "Comm=x (executable is root's) (to 25% of memory)" },
		{ { .cgroup = (char *)"/c",
		    .protection = RULE_PROTECTION_AVOID,
		    .above_ceiling = RULE_PROTECTION_AVOID },
		  NULL,
		  "Cgroup=/c" },
	};
	char buf[64];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(describe_rule(&cases[i].rule, cases[i].user, buf, sizeof(buf)),
				    cases[i].text);
}

static void test_rule_kind_shows_whether_it_is_reluctant(void **state)
{
	struct rule rule = { .kind = RULE_PROTECT };

	assert_string_equal(describe_rule_kind(&rule), "protect");
	rule.above_ceiling = RULE_PROTECTION_AVOID;
	assert_string_equal(describe_rule_kind(&rule), "protect");
	rule.protection = RULE_PROTECTION_RELUCTANT;
	assert_string_equal(describe_rule_kind(&rule), "reluctant");
	rule.kind = RULE_AVOID;
	assert_string_equal(describe_rule_kind(&rule), "avoid");
}

static void test_rule_is_cut_where_the_buffer_ends(void **state)
{
	struct rule rule = { .comm_pattern = (char *)"0123456789", .cgroup = (char *)"/c" };
	char buf[8 + 1];

	memset(buf, 'z', sizeof(buf));
	assert_string_equal(describe_rule(&rule, NULL, buf, 8), "Comm=01");
	assert_int_equal(buf[8], 'z');
}

static void test_exclusions_are_counted_in_words(void **state)
{
	static const struct {
		size_t n[_ELIGIBILITY_MAX];
		const char *text;
	} rows[] = {
		{ { 0 }, "" },
		{ { [ELIGIBILITY_ELIGIBLE] = 7, [ELIGIBILITY_SELF] = 1 }, "" },
		{ { [ELIGIBILITY_PROTECTED] = 3, [ELIGIBILITY_OUTSIDE_SUBTREE] = 26 },
		  "26 outside the subtree, 3 protected" },
		{ { [ELIGIBILITY_PROTECTED] = 3,
		    [ELIGIBILITY_PROTECTED_BUILTIN] = 40,
		    [ELIGIBILITY_RELUCTANT] = 12 },
		  "3 protected, 40 protected by built-in rules, 12 reluctant" },
		{ { [ELIGIBILITY_INIT] = 1,
		    [ELIGIBILITY_KTHREAD] = 1,
		    [ELIGIBILITY_NO_MEMORY] = 1 },
		  "init, 1 kernel thread, 1 zombie" },
		{ { [ELIGIBILITY_KTHREAD] = 65,
		    [ELIGIBILITY_ADJ_MIN] = 2,
		    [ELIGIBILITY_UNREADABLE] = 4,
		    [ELIGIBILITY_SKIPPED] = 5,
		    [ELIGIBILITY_NO_MEMORY] = 6 },
		  "65 kernel threads, 2 with oom_score_adj -1000, 4 unreadable, "
		  "6 zombies, 5 skipped" },
	};
	size_t most[_ELIGIBILITY_MAX];
	char text[DESCRIBE_EXCLUSIONS_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(describe_exclusions(rows[i].n, text), rows[i].text);
	for (size_t i = 0; i < _ELIGIBILITY_MAX; i++)
		most[i] = SIZE_MAX; /* what does not fit is cut off */
	assert_true(strlen(describe_exclusions(most, text)) < sizeof(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policy_names_each_condition),
		cmocka_unit_test(test_rule_names_each_condition),
		cmocka_unit_test(test_rule_kind_shows_whether_it_is_reluctant),
		cmocka_unit_test(test_exclusions_are_counted_in_words),
		cmocka_unit_test(test_rule_is_cut_where_the_buffer_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
