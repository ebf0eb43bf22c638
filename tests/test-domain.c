/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* domain: what is kept of each policy.  Which one holds: test-policy-judge.c. */
#include <errno.h>
#include <stddef.h>

#include "lib/base/cleanup.h"
#include "lib/domain/domain.h"
#include "tests/fail-malloc.h"
#include "tests/policy-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static const struct policy_set none;

static struct policy policy_of(const char *name, enum policy_action action, unsigned permyriad)
{
	return (struct policy){
		.name = (char *)(uintptr_t)name,
		.action = action,
		.memory_available = { .set = true, .permyriad = permyriad },
	};
}

/* By name, wherever they are; but not if they hold under other conditions. */
static void test_what_is_known_of_policies_stays_with_them(void **state)
{
	_cleanup_(domain_done) struct domain domain = { 0 };
	struct policy old[] = {
		policy_of("a", POLICY_ACTION_KILL, 100),
		policy_of("b", POLICY_ACTION_KILL, 200),
		policy_of("level", POLICY_ACTION_KILL, 300),
		policy_of("swap", POLICY_ACTION_KILL, 300),
		policy_of("act", POLICY_ACTION_WARN, 300),
		policy_of("psi", POLICY_ACTION_KILL, 300),
	};
	struct policy new[] = {
		policy_of("new", POLICY_ACTION_KILL, 100),
		policy_of("psi", POLICY_ACTION_KILL, 300),
		policy_of("act", POLICY_ACTION_KILL, 300),
		policy_of("swap", POLICY_ACTION_KILL, 300),
		policy_of("b", POLICY_ACTION_KILL, 200),
		policy_of("level", POLICY_ACTION_KILL, 301),
		policy_of("a", POLICY_ACTION_KILL, 100),
	};
	const struct policy_set before = { .policies = old, .n_policies = ARRAY_SIZE(old) };
	const struct policy_set after = { .policies = new, .n_policies = ARRAY_SIZE(new) };

	new[1].pressure_full = 1000;
	new[3].swap_free.set = true;
	new[4].for_usec = USEC_PER_SEC; /* no condition */
	assert_int_equal(domain_change_policies(&domain, &none, &before), 0);
	for (size_t i = 0; i < ARRAY_SIZE(old); i++) {
		assert_true(domain.holds_since[i] == USEC_INFINITY);
		domain.holds_since[i] = i + 1;
	}
	assert_int_equal(domain_change_policies(&domain, &before, &after), 0);
	assert_int_equal(domain.n_policies, ARRAY_SIZE(new));
	for (size_t i = 0; i < ARRAY_SIZE(new); i++)
		assert_true(domain.holds_since[i] == (i == 4 ? 2 : i == 6 ? 1 : USEC_INFINITY));
	domain.holds_since[0] = 1;
	domain_forget(&domain);
	for (size_t i = 0; i < ARRAY_SIZE(new); i++)
		assert_true(domain.holds_since[i] == USEC_INFINITY);
	assert_int_equal(domain_change_policies(&domain, &after, &none), 0);
	assert_int_equal(domain.n_policies, 0);
}

/* Each of its conditions alone; nothing else. */
static void test_which_changes_of_a_policy_begin_its_time_anew(void **state)
{
	static const struct policy base = {
		.action = POLICY_ACTION_KILL,
		.memory_available = { .set = true, .permyriad = 300, .bytes = MIB, .cap = GIB },
		.pressure_some = 100,
		.pressure_full = 100,
		.thrashing = 100,
	};
	struct policy changed[16], old;
	size_t n = 0, n_conditions;
	const struct policy_set before = { .policies = &old, .n_policies = 1 };

	for (size_t i = 0; i < ARRAY_SIZE(changed); i++)
		changed[i] = base;
	changed[n++].action = POLICY_ACTION_TERMINATE;
	changed[n++].pressure_some++;
	changed[n++].pressure_full++;
	changed[n++].thrashing++;
	changed[n++].memory_available.set = false;
	changed[n++].memory_available.is_size = true;
	changed[n++].memory_available.permyriad++;
	changed[n++].memory_available.bytes++;
	changed[n++].memory_available.cap++;
	changed[n++].swap_free.set = true;
	n_conditions = n;
	changed[n++].for_usec++;
	changed[n++].grace_usec++;
	changed[n++].target = POLICY_TARGET_CGROUP;
	changed[n++].rank_by = POLICY_RANK_BY_SWAP;
	changed[n++].thaw = POLICY_THAW_VICTIM;
	changed[n++].refreeze = true;
	assert_int_equal(n, ARRAY_SIZE(changed));
	for (size_t i = 0; i < n; i++) {
		_cleanup_(domain_done) struct domain domain = { 0 };
		const struct policy_set after = { .policies = &changed[i], .n_policies = 1 };

		old = base;
		old.name = changed[i].name = (char *)(uintptr_t) "x";
		assert_int_equal(domain_change_policies(&domain, &none, &before), 0);
		domain.holds_since[0] = 7;
		assert_int_equal(domain_change_policies(&domain, &before, &after), 0);
		if (domain.holds_since[0] != (i < n_conditions ? USEC_INFINITY : 7))
			fail_msg("change %zu", i);
	}
}

static void test_time_is_forgotten_alone(void **state)
{
	usec_t since[] = { 7, USEC_INFINITY };
	struct domain domain = {
		.has_psi = true,
		.unswappable = MIB,
		.holds_since = since,
		.n_policies = ARRAY_SIZE(since),
	};

	stall(&domain.psi, 100 * USEC_PER_SEC, 10 * USEC_PER_SEC, 90, 90);
	domain_forget(&domain);
	assert_true(since[0] == USEC_INFINITY && since[1] == USEC_INFINITY);
	assert_true(psi_history_full(&domain.psi, USEC_PER_SEC) > 0);
	assert_int_equal(domain.unswappable, MIB);
}

static void test_activity_is_forgotten_alone(void **state)
{
	usec_t since = 7, now = 100 * USEC_PER_SEC;
	struct domain domain = {
		.has_psi = true,
		.unswappable = MIB,
		.holds_since = &since,
		.n_policies = 1,
	};

	stall(&domain.psi, now, 10 * USEC_PER_SEC, 90, 90);
	reclaim(&domain.reclaim, now, 1000, 50);
	assert_true(psi_history_full(&domain.psi, USEC_PER_SEC) > 0);
	domain_forget_activity(&domain);
	assert_int_equal(psi_history_full(&domain.psi, USEC_PER_SEC), 0);
	assert_int_equal(domain.reclaim.n_samples, 0);
	assert_true(domain.has_psi);
	assert_int_equal(domain.unswappable, MIB);
	assert_int_equal(domain.holds_since[0], 7);
}

static void test_without_memory_all_is_as_before(void **state)
{
	_cleanup_(domain_done) struct domain domain = { 0 };
	struct policy policies[] = {
		policy_of("a", POLICY_ACTION_KILL, 100),
		policy_of("b", POLICY_ACTION_KILL, 200),
	};
	const struct policy_set one = { .policies = policies, .n_policies = 1 };
	const struct policy_set both = { .policies = policies, .n_policies = 2 };

	if (!FAIL_MALLOC_WORKS) {
		print_message("SKIP: AddressSanitizer has its own malloc\n");
		skip();
	}
	assert_int_equal(domain_change_policies(&domain, &none, &one), 0);
	domain.holds_since[0] = 7;
	fail_malloc = true;
	assert_int_equal(domain_change_policies(&domain, &one, &both), -ENOMEM);
	fail_malloc = false;
	assert_int_equal(domain.n_policies, 1);
	assert_int_equal(domain.holds_since[0], 7);
}

/* Two policies have memories of their own, and so have two domains with the same policies. */
static void test_each_policy_of_each_domain_has_its_own_time(void **state)
{
	struct policy policies[] = {
		{
			.action = POLICY_ACTION_WARN,
			.memory_available = { .set = true, .permyriad = 1000 },
			.for_usec = 10,
		},
		{
			.action = POLICY_ACTION_KILL,
			.memory_available = { .set = true, .permyriad = 500 },
			.for_usec = 10,
		},
	};
	const struct policy_set set = { .policies = policies, .n_policies = 2 };
	_cleanup_(domain_done) struct domain machine = { 0 }, other = { 0 };
	struct memory_reading low = reading_of(TOTAL / 15, 0, 0);
	struct memory_reading lower = reading_of(TOTAL / 50, 0, 0);
	struct memory_reading high = reading_of(TOTAL, 0, 0);
	struct policy_judgement judgement;

	assert_int_equal(domain_change_policies(&machine, &none, &set), 0);
	assert_int_equal(domain_change_policies(&other, &none, &set), 0);
	domain_judge(&machine, &set, &(struct policy_reading){ .memory = &low }, 100, &judgement);
	assert_null(judgement.policy);
	domain_judge(&machine, &set, &(struct policy_reading){ .memory = &lower }, 110, &judgement);
	assert_ptr_equal(judgement.policy, &policies[0]); /* the second only since now */
	domain_judge(&other, &set, &(struct policy_reading){ .memory = &lower }, 110, &judgement);
	assert_null(judgement.policy);
	domain_judge(&machine, &set, &(struct policy_reading){ .memory = &lower }, 120, &judgement);
	assert_ptr_equal(judgement.policy, &policies[1]);
	domain_judge(&machine, &set, &(struct policy_reading){ .memory = &high }, 121, &judgement);
	assert_null(judgement.policy);
	domain_judge(&other, &set, &(struct policy_reading){ .memory = &lower }, 120, &judgement);
	assert_ptr_equal(judgement.policy, &policies[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_known_of_policies_stays_with_them),
		cmocka_unit_test(test_which_changes_of_a_policy_begin_its_time_anew),
		cmocka_unit_test(test_time_is_forgotten_alone),
		cmocka_unit_test(test_activity_is_forgotten_alone),
		cmocka_unit_test(test_without_memory_all_is_as_before),
		cmocka_unit_test(test_each_policy_of_each_domain_has_its_own_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
