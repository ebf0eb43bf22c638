/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/config/policy.c: when a policy holds. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/cleanup.h"
#include "lib/config/policy.h"
#include "lib/domain/domain.h"
#include "tests/policy-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void test_policy_holds_at_the_line_and_below(void **state)
{
	static const struct policy_threshold ten = { .set = true, .permyriad = 1000 };
	static const struct policy_threshold size = { .set = true, .is_size = true, .bytes = GIB };
	static const struct policy_threshold unset = {};
	static const struct {
		const struct policy_threshold *memory, *swap;
		uint64_t available, swap_total, swap_free;
		bool holds;
	} cases[] = {
		{ &ten, &unset, GIB, 0, 0, true },
		{ &ten, &unset, GIB + 1, 0, 0, false },
		{ &ten, &unset, 0, SWAP, SWAP, true },
		{ &size, &unset, GIB, 0, 0, true },
		{ &size, &unset, GIB + 1, 0, 0, false },
		{ &ten, &ten, GIB, SWAP, SWAP / 10, true },
		{ &ten, &ten, GIB, SWAP, SWAP / 10 + 1, false },
		{ &ten, &ten, GIB + 1, SWAP, 0, false },
		{ &ten, &size, GIB, SWAP, GIB, true },
		{ &ten, &size, GIB, SWAP, GIB + 1, false },
		/* no swap is swap exhausted */
		{ &ten, &ten, GIB, 0, 0, true },
		{ &ten, &size, GIB, 0, 0, true },
		{ &ten, &ten, GIB, 0, SWAP, true }, /* swapoff(8) between two readings */
		/* ... but not by itself: that is no shortage of memory */
		{ &unset, &ten, 0, 0, 0, false },
		{ &unset, &size, TOTAL, 0, SWAP, false },
		{ &unset, &ten, TOTAL, SWAP, SWAP / 10, true },
		{ &unset, &unset, TOTAL, SWAP, SWAP, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy policy = { .memory_available = *cases[i].memory,
					 .swap_free = *cases[i].swap };
		struct memory_reading memory =
			reading_of(cases[i].available, cases[i].swap_total, cases[i].swap_free);
		struct policy_reading reading = { .memory = &memory };

		if (policy_holds(&policy, &reading) != cases[i].holds)
			fail_msg("case %zu: not %d", i, cases[i].holds);
	}
}

static void test_line_bytes_are_the_lower_of_share_and_cap(void **state)
{
	static const struct {
		struct policy_threshold line;
		uint64_t total, bytes;
	} cases[] = {
		{ { .set = true, .permyriad = 1000, .cap = 4 * GIB }, 16 * GIB, 16 * GIB / 10 },
		{ { .set = true, .permyriad = 1000, .cap = 4 * GIB }, 40 * GIB, 4 * GIB },
		{ { .set = true, .permyriad = 1000, .cap = 4 * GIB }, 256 * GIB, 4 * GIB },
		{ { .set = true, .permyriad = 1000 }, 250 * GIB, 25 * GIB },
		{ { .set = true, .is_size = true, .bytes = GIB, .cap = 1 }, 250 * GIB, GIB },
		{ { .permyriad = 1000, .cap = 4 * GIB }, 40 * GIB, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(policy_threshold_bytes(&cases[i].line, cases[i].total),
				 cases[i].bytes);
}

static void test_line_bytes_rounds_down_and_does_not_overflow(void **state)
{
	struct policy_threshold line = { .permyriad = 1000, .bytes = 7 };

	assert_int_equal(policy_threshold_bytes(&line, TOTAL), 0);
	line.set = true;
	assert_int_equal(policy_threshold_bytes(&line, 99), 9);
	assert_true(policy_threshold_bytes(&line, UINT64_MAX) == UINT64_MAX / 10);
	line.is_size = true;
	assert_int_equal(policy_threshold_bytes(&line, TOTAL), 7);
}

static void test_policy_holds_on_pressure_over_its_time(void **state)
{
	static const struct {
		unsigned some, full; /* the policy's, permyriad */
		usec_t for_usec, watched;
		unsigned has_some, has_full; /* percent */
		bool holds;
	} cases[] = {
		{ 0, 4000, 5 * USEC_PER_SEC, 6 * USEC_PER_SEC, 50, 40, true },
		{ 0, 4000, 5 * USEC_PER_SEC, 6 * USEC_PER_SEC, 50, 39, false },
		{ 0, 4000, 5 * USEC_PER_SEC, 3 * USEC_PER_SEC, 90, 90, false },
		{ 4000, 0, 5 * USEC_PER_SEC, 6 * USEC_PER_SEC, 40, 0, true },
		{ 4000, 0, 5 * USEC_PER_SEC, 6 * USEC_PER_SEC, 39, 39, false },
		{ 4000, 2000, 5 * USEC_PER_SEC, 6 * USEC_PER_SEC, 50, 25, true },
		{ 4000, 2000, 5 * USEC_PER_SEC, 6 * USEC_PER_SEC, 50, 10, false },
		{ 4000, 2000, 5 * USEC_PER_SEC, 6 * USEC_PER_SEC, 30, 25, false },
		/* no time: 1 s */
		{ 0, 4000, 0, 2 * USEC_PER_SEC, 50, 50, true },
		{ 0, 4000, 0, 500 * USEC_PER_MSEC, 50, 50, false },
	};
	struct memory_reading memory = reading_of(TOTAL, SWAP, SWAP);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy policy = { .pressure_some = cases[i].some,
					 .pressure_full = cases[i].full,
					 .for_usec = cases[i].for_usec };
		struct psi_history history;
		struct policy_reading reading = { .memory = &memory, .psi = &history };

		stall(&history, 100 * USEC_PER_SEC, cases[i].watched, cases[i].has_some,
		      cases[i].has_full);
		if (policy_holds(&policy, &reading) != cases[i].holds)
			fail_msg("case %zu: not %d", i, cases[i].holds);
		reading.psi = NULL;
		assert_false(policy_holds(&policy, &reading));
	}
}

static void test_policy_holds_on_pressure_that_is_the_machines(void **state)
{
	static const struct {
		const char *what;
		bool knows_reclaim;
		unsigned pages;
		bool explained, holds;
	} cases[] = {
		{ "reclaim is not known", false, 0, false, true },
		{ "the machine reclaims", true, 1, false, true },
		{ "the machine does not reclaim", true, 0, false, false },
		{ "a cgroup's limit explains it", true, 1000, true, false },
	};
	struct memory_reading memory = reading_of(TOTAL / 100, SWAP, SWAP);
	struct policy policy = { .pressure_full = 4000, .for_usec = 5 * USEC_PER_SEC };
	struct reclaim_history reclaimed;
	struct psi_history history;

	stall(&history, 100 * USEC_PER_SEC, 10 * USEC_PER_SEC, 90, 90);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy_reading reading = {
			.memory = &memory,
			.psi = &history,
			.reclaim = cases[i].knows_reclaim ? &reclaimed : NULL,
			.stalls_are_explained = cases[i].explained,
		};

		reclaim(&reclaimed, 100 * USEC_PER_SEC, cases[i].pages, 0);
		if (policy_holds(&policy, &reading) != cases[i].holds)
			fail_msg("%s", cases[i].what);
		/* Those without pressure conditions do not use it. */
		policy.pressure_full = 0;
		assert_true(policy_holds(&policy, &reading));
		policy.pressure_full = 4000;
	}
}

/* Right after calm it is not known whether the machine reclaims: that is sampled in watch. */
static void test_policy_watches_before_pressure_counts(void **state)
{
	struct memory_reading memory = reading_of(TOTAL, SWAP, SWAP);
	struct policy policy = {
		.action = POLICY_ACTION_KILL,
		.pressure_full = 4000,
	};
	struct policy_set set = { .policies = &policy, .n_policies = 1 };
	struct reclaim_history reclaimed = { 0 };
	struct vmstat_counters c = { .allocated = 1 };
	struct psi_history history;
	struct policy_reading reading = {
		.memory = &memory,
		.psi = &history,
		.reclaim = &reclaimed,
	};
	struct policy_judgement judgement;
	usec_t now = 100 * USEC_PER_SEC, since = USEC_INFINITY;
	struct domain domain = { .holds_since = &since, .n_policies = 1 };

	stall(&history, now, 10 * USEC_PER_SEC, 90, 30);
	domain_judge(&domain, &set, &reading, now, &judgement);
	assert_false(judgement.watch); /* it would not hold anyway */
	stall(&history, now, 10 * USEC_PER_SEC, 90, 90);
	for (unsigned i = 0; i < 3; i++, now += RECLAIM_STEP_USEC) {
		domain_judge(&domain, &set, &reading, now, &judgement);
		assert_true(judgement.watch);
		assert_null(judgement.policy);
		reclaim_history_add(&reclaimed, now, &c, TOTAL);
	}
	c.scanned++;
	reclaim_history_add(&reclaimed, now, &c, TOTAL);
	domain_judge(&domain, &set, &reading, now, &judgement);
	assert_ptr_equal(judgement.policy, &policy);
}

static void test_policy_holds_on_thrashing(void **state)
{
	struct policy policy = { .thrashing = 3000 };
	struct memory_reading memory = reading_of(TOTAL / 100, SWAP, SWAP);
	struct policy_reading reading = { .memory = &memory };
	struct reclaim_history reclaimed;

	assert_false(policy_holds(&policy, &reading)); /* nothing is known of it */
	reading.reclaim = &reclaimed;
	reclaim(&reclaimed, 100 * USEC_PER_SEC, 1000, 29);
	assert_false(policy_holds(&policy, &reading));
	reclaim(&reclaimed, 100 * USEC_PER_SEC, 1000, 30);
	assert_true(policy_holds(&policy, &reading));
	reclaim(&reclaimed, 100 * USEC_PER_SEC, 0, 100);
	assert_false(policy_holds(&policy, &reading));
	/* Nor for the moment in which a shortage begins, before or behind a time without. */
	for (unsigned late = 0; late < 2; late++) {
		struct vmstat_counters c = { .allocated = 1 };

		policy.for_usec = 5 * USEC_PER_SEC;
		reclaimed = (struct reclaim_history){ 0 };
		for (unsigned i = 0; i <= 40; i++) {
			c.scanned += 1000;
			c.stolen += 1000;
			c.refaulted_file += (i > 30) == late ? 0 : 900;
			reclaim_history_add(&reclaimed, i * RECLAIM_STEP_USEC, &c, 0);
		}
		assert_false(policy_holds(&policy, &reading));
	}
	/* Not before it has been watched for long enough. */
	reclaim(&reclaimed, 100 * USEC_PER_SEC, 1000, 100);
	policy.for_usec = 20 * USEC_PER_SEC;
	assert_false(policy_holds(&policy, &reading));
}

static void test_policy_holds_where_swap_is_no_help(void **state)
{
	static const struct {
		const char *what;
		unsigned anon, unswappable; /* percent of memory */
		bool swap_is_unused, memory_only, holds;
	} cases[] = {
		{ "it may all be swapped", 80, 0, false, false, false },
		{ "a cgroup of some may not", 80, 40, false, false, false },
		{ "the leak may not, and others have little", 80, 75, false, false, true },
		{ "none may", 80, 100, false, false, true },
		{ "none may, but the policy goes by swap alone", 80, 100, false, true, false },
		{ "the kernel does not use it", 80, 0, true, false, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct memory_reading memory = reading_of(TOTAL / 100, SWAP, SWAP);
		struct policy policy = { .memory_available = { .set = true, .permyriad = 500 },
					 .swap_free = { .set = true, .permyriad = 500 } };
		struct policy_reading reading = { .memory = &memory, .page_size = 4096 };
		struct reclaim_history reclaimed;

		memory.counters.anon = TOTAL / 100 * cases[i].anon;
		reading.unswappable = TOTAL / 100 * cases[i].unswappable;
		policy.memory_available.set = !cases[i].memory_only;
		reclaim(&reclaimed, 100 * USEC_PER_SEC, 500000, 0);
		if (cases[i].swap_is_unused)
			reading.reclaim = &reclaimed;
		if (policy_holds(&policy, &reading) != cases[i].holds)
			fail_msg("%s", cases[i].what);
		/* Never above its line of memory. */
		memory.available = TOTAL / 2;
		assert_false(policy_holds(&policy, &reading));
	}
}

static void test_judge_takes_the_strongest_of_the_defaults(void **state)
{
	static const struct {
		unsigned available, swap_free; /* percent */
		bool no_swap, watch;
		const char *policy;
	} cases[] = {
		{ 50, 100, false, false, NULL },      { 31, 0, false, false, NULL },
		{ 30, 100, false, true, NULL },	      { 15, 26, false, true, NULL },
		{ 15, 25, false, true, "warn" },      { 10, 25, false, true, "warn" },
		{ 10, 10, false, true, "terminate" }, { 5, 10, false, true, "terminate" },
		{ 5, 5, false, true, "kill" },	      { 0, 0, false, true, "kill" },
		{ 16, 0, true, true, NULL },	      { 15, 0, true, true, "warn" },
		{ 10, 0, true, true, "terminate" },   { 5, 0, true, true, "kill" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(policy_set_done) struct policy_set set;
		uint64_t swap = cases[i].no_swap ? 0 : SWAP;
		struct memory_reading memory = reading_of(TOTAL * cases[i].available / 100, swap,
							  swap * cases[i].swap_free / 100);
		struct policy_reading reading = { .memory = &memory };
		_cleanup_(domain_done) struct domain domain = { 0 };
		struct policy_judgement judgement;
		const char *name;

		assert_int_equal(policy_set_init_defaults(&set), 0);
		assert_int_equal(domain_change_policies(&domain, &(struct policy_set){ 0 }, &set),
				 0);
		domain_judge(&domain, &set, &reading, 1000, &judgement);
		name = judgement.policy ? judgement.policy->name : "(none)";
		if (strcmp(name, cases[i].policy ? cases[i].policy : "(none)") != 0)
			fail_msg("case %zu: %s", i, name);
		if (judgement.watch != cases[i].watch)
			fail_msg("case %zu: watch is %d", i, judgement.watch);
	}
}

/* Nothing is killed by levels while more than half of memory is available. */
static void test_policy_does_not_kill_above_the_floor(void **state)
{
	static const struct policy_threshold unset = {},
					     all = { .set = true, .permyriad = PERMYRIAD };
	static const struct policy_threshold most = { .set = true, .permyriad = 9900 };
	static const struct policy_threshold large = { .set = true,
						       .is_size = true,
						       .bytes = TOTAL };
	static const struct policy_threshold capped = { .set = true,
							.permyriad = PERMYRIAD,
							.cap = TOTAL - 1 };
	static const struct policy_threshold little = { .set = true, .permyriad = 1000 };
	static const struct {
		const struct policy_threshold *memory, *swap;
		enum policy_action action;
		unsigned pressure_full;
		bool above, at; /* half of memory: does it hold? */
	} cases[] = {
		{ &most, &unset, POLICY_ACTION_KILL, 0, false, true },
		{ &most, &unset, POLICY_ACTION_TERMINATE, 0, false, true },
		{ &most, &unset, POLICY_ACTION_WARN, 0, true, true },
		{ &large, &unset, POLICY_ACTION_KILL, 0, false, true },
		{ &capped, &unset, POLICY_ACTION_KILL, 0, false, true },
		{ &most, &little, POLICY_ACTION_KILL, 0, false, true },
		{ &little, &little, POLICY_ACTION_KILL, 0, false, false },
		{ &unset, &little, POLICY_ACTION_KILL, 0, false, true },
		{ &unset, &little, POLICY_ACTION_WARN, 0, true, true },
		/* 100% is written only on purpose */
		{ &all, &unset, POLICY_ACTION_KILL, 0, true, true },
		{ &all, &little, POLICY_ACTION_KILL, 0, true, true },
		/* pressure shows a shortage, with a threshold in memory or alone */
		{ &most, &unset, POLICY_ACTION_KILL, 4000, true, true },
		{ &unset, &little, POLICY_ACTION_KILL, 4000, false, true },
		{ &unset, &unset, POLICY_ACTION_KILL, 4000, true, true },
	};
	struct psi_history psi;

	stall(&psi, 100 * USEC_PER_SEC, 10 * USEC_PER_SEC, 90, 90);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct policy policy = { .memory_available = *cases[i].memory,
					 .swap_free = *cases[i].swap,
					 .action = cases[i].action,
					 .pressure_full = cases[i].pressure_full };
		struct memory_reading memory = reading_of(TOTAL / 2 + 1, SWAP, 0);
		struct policy_reading reading = { .memory = &memory, .psi = &psi };

		if (policy_holds(&policy, &reading) != cases[i].above)
			fail_msg("case %zu, above: not %d", i, cases[i].above);
		memory.available = TOTAL / 2;
		if (policy_holds(&policy, &reading) != cases[i].at)
			fail_msg("case %zu, at: not %d", i, cases[i].at);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policy_holds_at_the_line_and_below),
		cmocka_unit_test(test_line_bytes_are_the_lower_of_share_and_cap),
		cmocka_unit_test(test_policy_does_not_kill_above_the_floor),
		cmocka_unit_test(test_line_bytes_rounds_down_and_does_not_overflow),
		cmocka_unit_test(test_policy_holds_on_pressure_over_its_time),
		cmocka_unit_test(test_policy_holds_on_pressure_that_is_the_machines),
		cmocka_unit_test(test_policy_watches_before_pressure_counts),
		cmocka_unit_test(test_policy_holds_on_thrashing),
		cmocka_unit_test(test_policy_holds_where_swap_is_no_help),
		cmocka_unit_test(test_judge_takes_the_strongest_of_the_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
