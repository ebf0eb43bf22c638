/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/config/eligibility.c, by tables: every reason, every pair of them, ceilings. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/util.h"
#include "lib/config/eligibility.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static const struct rule of_the_admin = { .kind = RULE_PROTECT };

static const struct rule built_in = { .kind = RULE_PROTECT, .builtin = true };
static const struct rule reluctant_rule = {
	.kind = RULE_PROTECT,
	.builtin = true,
	.protection = RULE_PROTECTION_RELUCTANT,
	.above_ceiling = RULE_PROTECTION_AVOID,
};
static const struct rule user_rule = {
	.kind = RULE_PROTECT,
	.builtin = true,
	.above_ceiling = RULE_PROTECTION_AVOID,
};
static const struct rule locker_rule = {
	.kind = RULE_PROTECT,
	.builtin = true,
	.above_ceiling = RULE_PROTECTION_RELUCTANT,
};

static struct eligibility_subject plain(void)
{
	return (struct eligibility_subject){
		.pid = 50,
		.self = 77,
		.in_subtree = true,
		.has_memory = true,
		.reclaimable = 100,
		.total = 10000,
	};
}

/* What makes the reason hold, and no other. */
static void make(struct eligibility_subject *s, enum eligibility e)
{
	switch (e) {
	case ELIGIBILITY_KTHREAD:
		s->kthread = true;
		break;
	case ELIGIBILITY_INIT:
		s->pid = 1;
		break;
	case ELIGIBILITY_SELF:
		s->self = s->pid;
		break;
	case ELIGIBILITY_ADJ_MIN:
		s->oom_score_adj = -1000;
		break;
	case ELIGIBILITY_PROTECTED:
		s->protected_by = &of_the_admin;
		break;
	case ELIGIBILITY_PROTECTED_BUILTIN:
		s->protected_by = &built_in;
		break;
	case ELIGIBILITY_OUTSIDE_SUBTREE:
		s->in_subtree = false;
		break;
	case ELIGIBILITY_UNREADABLE:
		s->error = -EACCES;
		break;
	case ELIGIBILITY_NO_MEMORY:
		s->has_memory = false;
		break;
	case ELIGIBILITY_SKIPPED:
		s->backoff = BACKOFF_SKIP;
		break;
	case ELIGIBILITY_RELUCTANT:
		if (s->protected_by)
			s->oom_score_adj = -950;
		else
			s->protected_by = &reluctant_rule;
		break;
	case ELIGIBILITY_ELIGIBLE:
	case _ELIGIBILITY_MAX:
		break;
	}
}

/* Both are in the same member, so only one of them can hold. */
static bool exclude_each_other(unsigned i, unsigned j)
{
	return i == ELIGIBILITY_PROTECTED && j == ELIGIBILITY_PROTECTED_BUILTIN;
}

static void test_each_reason_and_each_pair_of_them(void **state)
{
	struct eligibility_subject s = plain();

	assert_int_equal(eligibility_judge(&s), ELIGIBILITY_ELIGIBLE);
	for (unsigned i = 1; i < _ELIGIBILITY_MAX; i++) {
		s = plain();
		make(&s, i);
		if (eligibility_judge(&s) != i)
			fail_msg("%u: %s", i, eligibility_to_string(eligibility_judge(&s)));
		for (unsigned j = i + 1; j < _ELIGIBILITY_MAX; j++) {
			struct eligibility_subject both = s;

			if (exclude_each_other(i, j))
				continue;
			make(&both, j);
			if (eligibility_judge(&both) != i)
				fail_msg("%u before %u: %s", i, j,
					 eligibility_to_string(eligibility_judge(&both)));
		}
	}
}

static void test_adj_near_the_end_is_reluctant(void **state)
{
	static const struct {
		int adj;
		enum eligibility expected;
	} rows[] = {
		{ 1000, ELIGIBILITY_ELIGIBLE },	 { 0, ELIGIBILITY_ELIGIBLE },
		{ -899, ELIGIBILITY_ELIGIBLE },	 { -900, ELIGIBILITY_ELIGIBLE },
		{ -901, ELIGIBILITY_RELUCTANT }, { -997, ELIGIBILITY_RELUCTANT },
		{ -999, ELIGIBILITY_RELUCTANT }, { -1000, ELIGIBILITY_ADJ_MIN },
		{ -32768, ELIGIBILITY_ADJ_MIN },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct eligibility_subject s = plain();

		s.oom_score_adj = rows[i].adj;
		assert_int_equal(eligibility_judge(&s), rows[i].expected);
	}
}

static void test_protection_has_a_ceiling(void **state)
{
	static const struct {
		const struct rule *rule;
		uint64_t reclaimable, total;
		enum eligibility expected;
	} rows[] = {
		{ &reluctant_rule, 0, 10000, ELIGIBILITY_RELUCTANT },
		{ &reluctant_rule, 2500, 10000, ELIGIBILITY_RELUCTANT },
		{ &reluctant_rule, 2501, 10000, ELIGIBILITY_ELIGIBLE },
		{ &reluctant_rule, UINT64_MAX, UINT64_MAX, ELIGIBILITY_ELIGIBLE },
		{ &reluctant_rule, UINT64_MAX, 0, ELIGIBILITY_RELUCTANT }, /* not known */
		{ &user_rule, 2500, 10000, ELIGIBILITY_PROTECTED_BUILTIN },
		{ &user_rule, 2501, 10000, ELIGIBILITY_ELIGIBLE },
		{ &locker_rule, 2500, 10000, ELIGIBILITY_PROTECTED_BUILTIN },
		{ &locker_rule, 2501, 10000, ELIGIBILITY_RELUCTANT },
		{ &built_in, UINT64_MAX, 10000, ELIGIBILITY_PROTECTED_BUILTIN },
		{ &of_the_admin, UINT64_MAX, 10000, ELIGIBILITY_PROTECTED },
		{ NULL, UINT64_MAX, 10000, ELIGIBILITY_ELIGIBLE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct eligibility_subject s = plain();

		s.protected_by = rows[i].rule;
		s.reclaimable = rows[i].reclaimable;
		s.total = rows[i].total;
		if (eligibility_judge(&s) != rows[i].expected)
			fail_msg("row %zu: %s", i, eligibility_to_string(eligibility_judge(&s)));
	}
}

static void test_a_transient_error_is_no_verdict(void **state)
{
	static const int transient[] = { -EMFILE, -ENFILE, -ENOMEM, -EINTR, -EAGAIN };
	static const int final[] = { -EACCES, -EPERM, -EBADMSG, -EIO };
	struct eligibility_subject s = plain();

	for (size_t i = 0; i < ARRAY_SIZE(transient); i++) {
		s.error = transient[i];
		assert_int_equal(eligibility_judge(&s), ELIGIBILITY_ELIGIBLE);
	}
	for (size_t i = 0; i < ARRAY_SIZE(final); i++) {
		s.error = final[i];
		assert_int_equal(eligibility_judge(&s), ELIGIBILITY_UNREADABLE);
	}
}

/* By attributes that do not change: not by memory, nor by what failed, nor by size. */
static void test_ruled_out_is_by_attributes(void **state)
{
	static const struct rule *const changing[] = { &reluctant_rule, &user_rule, &locker_rule };
	struct eligibility_subject s;

	for (unsigned i = 0; i < _ELIGIBILITY_MAX; i++) {
		s = plain();
		make(&s, i);
		assert_int_equal(eligibility_is_ruled_out(&s), eligibility_is_refused(i) &&
								       i != ELIGIBILITY_NO_MEMORY &&
								       i != ELIGIBILITY_SKIPPED);
	}
	for (size_t i = 0; i < ARRAY_SIZE(changing); i++) {
		s = plain();
		s.protected_by = changing[i];
		s.total = 0;
		assert_false(eligibility_is_ruled_out(&s));
	}
}

static void test_what_is_spared_besides_a_victim(void **state)
{
	static const struct {
		enum eligibility e;
		bool spared, spared_reluctantly;
	} rows[] = {
		{ ELIGIBILITY_ELIGIBLE, false, false },
		{ ELIGIBILITY_KTHREAD, true, true },
		{ ELIGIBILITY_INIT, true, true },
		{ ELIGIBILITY_SELF, true, true },
		{ ELIGIBILITY_ADJ_MIN, true, true },
		{ ELIGIBILITY_OUTSIDE_SUBTREE, true, true },
		{ ELIGIBILITY_PROTECTED, true, true },
		{ ELIGIBILITY_PROTECTED_BUILTIN, true, true },
		{ ELIGIBILITY_UNREADABLE, false, false },
		{ ELIGIBILITY_NO_MEMORY, false, false },
		{ ELIGIBILITY_SKIPPED, false, false },
		{ ELIGIBILITY_RELUCTANT, true, false },
	};

	assert_int_equal(ARRAY_SIZE(rows), _ELIGIBILITY_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(rows[i].e, i);
		assert_int_equal(eligibility_is_spared(i, false), rows[i].spared);
		assert_int_equal(eligibility_is_spared(i, true), rows[i].spared_reluctantly);
	}
}

static void test_a_group_is_judged_by_its_members(void **state)
{
	/* Each counts before those that follow, whatever the order in which they are met. */
	static const enum eligibility order[] = {
		ELIGIBILITY_ADJ_MIN,
		ELIGIBILITY_ELIGIBLE,
		ELIGIBILITY_RELUCTANT,
		ELIGIBILITY_NO_MEMORY,
	};
	static const bool forbids[_ELIGIBILITY_MAX] = {
		[ELIGIBILITY_KTHREAD] = true,
		[ELIGIBILITY_INIT] = true,
		[ELIGIBILITY_SELF] = true,
		[ELIGIBILITY_ADJ_MIN] = true,
		[ELIGIBILITY_OUTSIDE_SUBTREE] = true,
	};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		for (size_t j = 0; j < ARRAY_SIZE(order); j++)
			assert_int_equal(eligibility_join(order[i], order[j]),
					 order[i < j ? i : j]);
	for (unsigned i = 0; i < _ELIGIBILITY_MAX; i++) {
		enum eligibility joined = eligibility_join(i, ELIGIBILITY_ELIGIBLE);

		assert_int_equal(eligibility_forbids_group(i), forbids[i]);
		assert_int_equal(joined, forbids[i] ? i : ELIGIBILITY_ELIGIBLE);
		/* What forbids the group is spared itself. */
		assert_true(!forbids[i] || eligibility_is_spared(i, true));
	}
	/* With none in it that is eligible or reluctant it is refused. */
	assert_true(eligibility_is_refused(
		eligibility_join(ELIGIBILITY_PROTECTED_BUILTIN, ELIGIBILITY_SKIPPED)));
}

static void test_each_has_words(void **state)
{
	for (unsigned i = 0; i < _ELIGIBILITY_MAX; i++) {
		assert_non_null(eligibility_to_string(i));
		assert_non_null(eligibility_to_noun(i, 1));
		assert_non_null(eligibility_to_noun(i, 2));
		assert_int_equal(!eligibility_to_key(i), i == ELIGIBILITY_ELIGIBLE);
	}
	assert_string_equal(eligibility_to_noun(ELIGIBILITY_KTHREAD, 1), "kernel thread");
	assert_string_equal(eligibility_to_noun(ELIGIBILITY_KTHREAD, 0), "kernel threads");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_reason_and_each_pair_of_them),
		cmocka_unit_test(test_adj_near_the_end_is_reluctant),
		cmocka_unit_test(test_protection_has_a_ceiling),
		cmocka_unit_test(test_a_transient_error_is_no_verdict),
		cmocka_unit_test(test_ruled_out_is_by_attributes),
		cmocka_unit_test(test_what_is_spared_besides_a_victim),
		cmocka_unit_test(test_a_group_is_judged_by_its_members),
		cmocka_unit_test(test_each_has_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
