/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/domain/domain.c: what several policies come to; and of lib/config/policy.c: how long
 * until the next sample.
 */
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

static struct policy *find_policy(struct policy_set *set, const char *name)
{
	for (size_t i = 0; i < set->n_policies; i++)
		if (strcmp(set->policies[i].name, name) == 0)
			return &set->policies[i];
	fail_msg("no policy %s", name);
	return NULL;
}

/* What judge() is given of reclaim. */
static struct reclaim_history reclaimed_then;
static struct domain machine;

static void init_defaults(struct policy_set *set)
{
	assert_int_equal(policy_set_init_defaults(set), 0);
	domain_forget(&machine);
}

/* Since when its conditions on memory and swap hold. */
static usec_t holds_since(struct policy_set *set, const char *name)
{
	return machine.holds_since[find_policy(set, name) - set->policies];
}

static const char *judge(struct policy_set *set, const struct memory_reading *memory,
			 const struct psi_history *psi, usec_t now, bool *ret_watch)
{
	struct policy_reading reading = {
		.memory = memory,
		.psi = psi,
		.reclaim = &reclaimed_then,
	};
	struct policy_judgement judgement;

	if (machine.n_policies != set->n_policies)
		assert_int_equal(domain_change_policies(&machine, &(struct policy_set){ 0 }, set),
				 0);
	domain_judge(&machine, set, &reading, now, &judgement);
	if (ret_watch)
		*ret_watch = judgement.watch;
	return judgement.policy ? judgement.policy->name : "(none)";
}

/* What is built in, by the size of the machine: what percentages come to, or their caps. */
static void test_the_defaults_scale_to_large_machines(void **state)
{
	static const struct {
		uint64_t total, available;
		const char *policy;
		bool watch;
	} cases[] = {
		{ 8 * GIB, 8 * GIB * 31 / 100, "(none)", false },
		{ 8 * GIB, 8 * GIB * 29 / 100, "(none)", true },
		{ 8 * GIB, GIB, "warn", true },
		{ 8 * GIB, 800 * MIB, "terminate", true },
		{ 8 * GIB, 400 * MIB, "kill", true },
		{ 40 * GIB, 4 * GIB, "terminate", true },
		{ 40 * GIB, 2 * GIB, "kill", true },
		{ 256 * GIB, 65 * GIB, "(none)", false },
		{ 256 * GIB, 25 * GIB, "(none)", true },
		{ 256 * GIB, 6 * GIB, "warn", true },
		{ 256 * GIB, 5 * GIB, "warn", true },
		{ 256 * GIB, 4 * GIB, "terminate", true },
		{ 256 * GIB, 2 * GIB, "kill", true },
		{ 6144 * GIB, 65 * GIB, "(none)", true }, /* by the lines of thrash */
		{ 6144 * GIB, 2 * GIB + 1, "terminate", true },
		{ 6144 * GIB, 2 * GIB, "kill", true },
	};
	_cleanup_(policy_set_done) struct policy_set set;

	init_defaults(&set);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct memory_reading memory = {
			.total = cases[i].total,
			.available = cases[i].available,
		};
		bool watch;
		const char *name = judge(&set, &memory, NULL, 1, &watch);

		if (strcmp(name, cases[i].policy) != 0 || watch != cases[i].watch)
			fail_msg("case %zu: %s, %d", i, name, watch);
		/* Swap is capped alike. */
		memory.swap_total = cases[i].total;
		memory.swap_free = 11 * GIB;
		if (cases[i].total > 110 * GIB)
			assert_string_equal(judge(&set, &memory, NULL, 1, &watch), "(none)");
	}
}

static void test_judge_waits_for_the_time_without_a_break(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set;
	struct memory_reading low = reading_of(TOTAL / 25, 0, 0);
	struct memory_reading high = reading_of(TOTAL / 2, 0, 0);

	init_defaults(&set);
	find_policy(&set, "kill")->for_usec = 100;
	find_policy(&set, "terminate")->action = POLICY_ACTION_NONE;
	assert_string_equal(judge(&set, &low, NULL, 1000, NULL), "warn");
	assert_string_equal(judge(&set, &low, NULL, 1099, NULL), "warn");
	assert_string_equal(judge(&set, &low, NULL, 1100, NULL), "kill");
	assert_string_equal(judge(&set, &high, NULL, 1101, NULL), "(none)");
	assert_true(holds_since(&set, "kill") == USEC_INFINITY);
	/* from the beginning again */
	assert_string_equal(judge(&set, &low, NULL, 1102, NULL), "warn");
	assert_string_equal(judge(&set, &low, NULL, 1201, NULL), "warn");
	assert_string_equal(judge(&set, &low, NULL, 1202, NULL), "kill");
	/* after a gap, too */
	domain_forget(&machine);
	assert_string_equal(judge(&set, &low, NULL, 5000, NULL), "warn");
	assert_string_equal(judge(&set, &low, NULL, 5100, NULL), "kill");
}

static void test_judge_thrash_needs_scarcity_pressure_and_time(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set;
	struct memory_reading scarce = reading_of(TOTAL / 5, SWAP, SWAP);
	struct memory_reading ample = reading_of(TOTAL / 5 + 1, SWAP, SWAP);
	usec_t now = 100 * USEC_PER_SEC;
	struct psi_history stalled, calm;
	bool watch;

	init_defaults(&set);
	stall(&stalled, now, 10 * USEC_PER_SEC, 80, 60);
	stall(&calm, now, 10 * USEC_PER_SEC, 80, 30);
	reclaim(&reclaimed_then, now, 1000, 12);
	assert_string_equal(judge(&set, &ample, &stalled, now, &watch), "(none)");
	/* scarce from here on */
	assert_string_equal(judge(&set, &scarce, &stalled, now, &watch), "(none)");
	assert_true(watch);
	now += 5 * USEC_PER_SEC;
	assert_string_equal(judge(&set, &scarce, &stalled, now - 1, NULL), "(none)");
	assert_string_equal(judge(&set, &scarce, &stalled, now, NULL), "thrash");
	assert_string_equal(judge(&set, &scarce, &calm, now, NULL), "(none)");
	assert_string_equal(judge(&set, &scarce, NULL, now, NULL), "(none)");
	/* the average over its time is what says "for 5 s" of pressure: no second wait */
	assert_string_equal(judge(&set, &scarce, &stalled, now, NULL), "thrash");
	assert_string_equal(judge(&set, &ample, &stalled, now, NULL), "(none)");
	assert_string_equal(judge(&set, &scarce, &stalled, now, NULL), "(none)");
	now += 5 * USEC_PER_SEC;
	assert_string_equal(judge(&set, &scarce, &stalled, now, NULL), "thrash");
	/* What is written out is not needed: no thrashing, as much as all may wait for it. */
	reclaim(&reclaimed_then, now, 1000, 9);
	assert_string_equal(judge(&set, &scarce, &stalled, now, NULL), "(none)");
}

/*
 * Figures of loads that were recorded in a VM of 1 GiB (docs/defaults.md), over 5 s: those that
 * must not be killed for, and beside each those that must.
 */
static void test_judge_tells_thrashing_from_writing_out(void **state)
{
	static const struct {
		const char *load;
		unsigned available, full, pages, refaulted; /* percent; a step of 250 ms */
		const char *policy;
	} loads[] = {
		{ "cold growth, disk, 40 MiB/s", 1, 56, 2700, 3, "(none)" },
		{ "cold growth, disk, 200 MiB/s", 0, 54, 2800, 0, "(none)" },
		{ "cold growth, zram, 20 MiB/s", 0, 91, 2100, 4, "(none)" },
		{ "cold growth, zram, 200 MiB/s", 0, 92, 2600, 6, "(none)" },
		{ "hot growth, disk", 0, 64, 240, 15, "stall" },
		{ "hot growth, disk, in part", 0, 36, 300, 20, "stall" },
		{ "hot growth, zram", 0, 50, 2000, 38, "stall" },
		{ "a mapped file, zram", 17, 79, 2000, 69, "thrash" },
		{ "a mapped file, disk", 20, 32, 4700, 90, "(none)" },
		{ "files read again and again", 35, 14, 5000, 95, "(none)" },
	};
	usec_t now = 100 * USEC_PER_SEC;

	for (size_t i = 0; i < ARRAY_SIZE(loads); i++) {
		_cleanup_(policy_set_done) struct policy_set set;
		struct memory_reading memory =
			reading_of(TOTAL * loads[i].available / 100, SWAP, SWAP * 3 / 4);
		struct psi_history history;
		const char *name;

		init_defaults(&set);
		stall(&history, now, 10 * USEC_PER_SEC, loads[i].full, loads[i].full);
		reclaim(&reclaimed_then, now, loads[i].pages, loads[i].refaulted);
		(void)judge(&set, &memory, &history, now - 5 * USEC_PER_SEC, NULL);
		name = judge(&set, &memory, &history, now, NULL);
		if (strcmp(name, loads[i].policy) != 0)
			fail_msg("%s: %s", loads[i].load, name);
	}
}

static void test_judge_takes_the_first_of_equals(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set = {};
	struct memory_reading memory = reading_of(0, 0, 0);
	static const char *const names[] = { "warning", "one", "two" };

	domain_forget(&machine);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct policy *policy = policy_set_policy(&set, names[i]);

		assert_non_null(policy);
		policy->action = i == 0 ? POLICY_ACTION_WARN : POLICY_ACTION_TERMINATE;
		policy->memory_available =
			(struct policy_threshold){ .set = true, .permyriad = 100 };
	}
	assert_string_equal(judge(&set, &memory, NULL, 1, NULL), "one");
	find_policy(&set, "two")->action = POLICY_ACTION_KILL;
	assert_string_equal(judge(&set, &memory, NULL, 1, NULL), "two");
	find_policy(&set, "one")->action = POLICY_ACTION_KILL;
	find_policy(&set, "two")->action = POLICY_ACTION_TERMINATE;
	assert_string_equal(judge(&set, &memory, NULL, 1, NULL), "one");
	find_policy(&set, "one")->action = POLICY_ACTION_NONE;
	find_policy(&set, "two")->action = POLICY_ACTION_NONE;
	assert_string_equal(judge(&set, &memory, NULL, 1, NULL), "warning");
}

static void test_judge_watches_where_a_policy_above_the_watch_line_holds(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set;
	struct memory_reading memory = reading_of(TOTAL / 2, 0, 0);
	struct psi_history history;
	struct policy *policy;
	bool watch;

	init_defaults(&set);
	judge(&set, &memory, NULL, 1, &watch);
	assert_false(watch);
	policy = policy_set_policy(&set, "high");
	assert_non_null(policy);
	policy->memory_available = (struct policy_threshold){ .set = true, .permyriad = 6000 };
	judge(&set, &memory, NULL, 1, &watch);
	assert_false(watch); /* Action=none */
	policy->action = POLICY_ACTION_WARN;
	policy->for_usec = 1000;
	assert_string_equal(judge(&set, &memory, NULL, 1, &watch), "(none)");
	assert_true(watch);
	/* on pressure alone there is nothing to watch by memory */
	policy->memory_available.set = false;
	policy->pressure_some = 10;
	judge(&set, &memory, NULL, 1, &watch);
	assert_false(watch);
	/* but where it holds, and reclaim has not been read, as in calm */
	stall(&history, 100 * USEC_PER_SEC, 10 * USEC_PER_SEC, 90, 90);
	reclaimed_then = (struct reclaim_history){ 0 };
	judge(&set, &memory, &history, 100 * USEC_PER_SEC, &watch);
	assert_true(watch);
	/* by swap alone */
	policy->pressure_some = 0;
	policy->swap_free = (struct policy_threshold){ .set = true, .permyriad = 6000 };
	memory = reading_of(TOTAL / 2, SWAP, SWAP);
	judge(&set, &memory, NULL, 1, &watch);
	assert_false(watch);
	memory = reading_of(TOTAL / 2, SWAP, SWAP / 2);
	judge(&set, &memory, NULL, 1, &watch);
	assert_true(watch);
}

static void test_judge_watches_from_the_watch_line_on(void **state)
{
	const struct policy_set set = { .watch_below = { .set = true, .permyriad = 2500 } };
	struct policy_judgement judgement;
	struct domain domain = { 0 };

	for (unsigned above = 0; above < 2; above++) {
		struct memory_reading memory = reading_of(TOTAL / 4 + above, 0, 0);

		domain_judge(&domain, &set, &(struct policy_reading){ .memory = &memory }, 1,
			     &judgement);
		assert_int_equal(judgement.watch, !above);
	}
}

static void test_interval_follows_headroom(void **state)
{
	static const struct {
		uint64_t available, swap_total, swap_free;
		usec_t usec;
	} cases[] = {
		/* to terminate, 1 GiB, at 3 GiB/s; thrash, 2 GiB, has to hold for 5 s */
		{ 8 * GIB, 0, 0, 2333333 },	    { 8 * GIB, SWAP, SWAP, 2333333 },
		{ 4 * GIB, 0, 0, USEC_PER_SEC },    { GIB + 100 * MIB, 0, 0, 100 * USEC_PER_MSEC },
		{ GIB, 0, 0, 100 * USEC_PER_MSEC }, { 200 * GIB, 0, 0, 10 * USEC_PER_SEC },
	};
	_cleanup_(policy_set_done) struct policy_set set;

	init_defaults(&set);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct memory_reading memory =
			reading_of(cases[i].available, cases[i].swap_total, cases[i].swap_free);
		usec_t usec = policy_interval(&set, &memory);

		/* sizes that percentages do not hit to the byte */
		if (usec > cases[i].usec + 10 || usec + 10 < cases[i].usec)
			fail_msg("case %zu: %llu", i, (unsigned long long)usec);
	}
}

/* Samples take an eighth of a CPU at most, but are no later for that than a quarter of a second. */
static void test_pause_is_longer_where_samples_take_long(void **state)
{
	static const struct {
		usec_t interval, spent, pause; /* us */
	} rows[] = {
		{ 20000, 0, 20000 },	      { 20000, 300, 20000 },	  { 20000, 2857, 20000 },
		{ 20000, 2858, 20006 },	      { 20000, 10000, 70000 },	  { 20000, 40000, 250000 },
		{ 10000000, 1000, 10000000 }, { 500000, 100000, 500000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(policy_pause(rows[i].interval, rows[i].spent), rows[i].pause);
}

static void test_interval_is_the_longest_where_nothing_can_act(void **state)
{
	_cleanup_(policy_set_done) struct policy_set set = {};
	struct memory_reading memory = reading_of(MIB, SWAP, SWAP / 2);
	struct policy *policy = policy_set_policy(&set, "only");

	assert_non_null(policy);
	assert_int_equal(policy_interval(&set, &memory), 10 * USEC_PER_SEC);
	policy->memory_available = (struct policy_threshold){ .set = true, .permyriad = 5000 };
	policy->action = POLICY_ACTION_WARN;
	assert_int_equal(policy_interval(&set, &memory), 10 * USEC_PER_SEC);
	/* on pressure alone: the trigger's business */
	policy->memory_available.set = false;
	policy->pressure_full = 100;
	policy->action = POLICY_ACTION_KILL;
	assert_int_equal(policy_interval(&set, &memory), 10 * USEC_PER_SEC);
	/* on swap alone: 1 GiB above its line, at 1 GiB/s */
	policy->swap_free = (struct policy_threshold){ .set = true, .is_size = true, .bytes = GIB };
	assert_int_equal(policy_interval(&set, &memory), USEC_PER_SEC);
	/* ... and on memory, of which half is the floor: 6 GiB above it, at 3 GiB/s */
	memory.available = TOTAL / 2 + 6 * GIB;
	assert_int_equal(policy_interval(&set, &memory), 2 * USEC_PER_SEC);
	/* without swap it never holds */
	memory = reading_of(MIB, 0, 0);
	assert_int_equal(policy_interval(&set, &memory), 10 * USEC_PER_SEC);
	memory = reading_of(MIB, SWAP, SWAP / 2);
	/* for which it has to hold 4 s, found at most 2 s late */
	policy->for_usec = 4 * USEC_PER_SEC;
	assert_int_equal(policy_interval(&set, &memory), 3 * USEC_PER_SEC);
}

static int teardown(void **state)
{
	domain_done(&machine);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_defaults_scale_to_large_machines),
		cmocka_unit_test(test_judge_waits_for_the_time_without_a_break),
		cmocka_unit_test(test_judge_tells_thrashing_from_writing_out),
		cmocka_unit_test(test_judge_thrash_needs_scarcity_pressure_and_time),
		cmocka_unit_test(test_judge_takes_the_first_of_equals),
		cmocka_unit_test(test_judge_watches_where_a_policy_above_the_watch_line_holds),
		cmocka_unit_test(test_judge_watches_from_the_watch_line_on),
		cmocka_unit_test(test_interval_follows_headroom),
		cmocka_unit_test(test_interval_is_the_longest_where_nothing_can_act),
		cmocka_unit_test(test_pause_is_longer_where_samples_take_long),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
