/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/domain/gap.c: which distances between samples are gaps. */
#include "lib/domain/gap.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define MS USEC_PER_MSEC
#define S  USEC_PER_SEC

static void test_find_by_what_was_planned(void **state)
{
	static const struct {
		usec_t planned, elapsed, slept;
		usec_t gap;
	} cases[] = {
		{ 20 * MS, 20 * MS, 0, 0 },
		{ 20 * MS, 0, 0, 0 },
		{ 20 * MS, 2020 * MS, 0, 0 }, /* busy, but not gone */
		{ 20 * MS, 2021 * MS, 0, 2021 * MS },
		{ 250 * MS, 2250 * MS, 0, 0 },
		{ 250 * MS, 30 * S, 0, 30 * S },
		/* in calm, samples are far apart */
		{ 10 * S, 10 * S, 0, 0 },
		{ 10 * S, 12 * S, 0, 0 },
		{ 10 * S, 12 * S + 1, 0, 12 * S + 1 },
		/* earlier than planned: a trigger */
		{ 10 * S, 3 * S, 0, 0 },
		/* the machine slept; CLOCK_MONOTONIC did too */
		{ 10 * S, 3 * S, 100 * MS, 0 },
		{ 10 * S, 3 * S, 3600 * S, 3603 * S },
		{ 20 * MS, 20 * MS, 101 * MS, 121 * MS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct gap gap = { 0 };
		usec_t found;

		assert_int_equal(gap_find(&gap, 100 * S, 7 * S), 0); /* the first */
		gap_plan(&gap, cases[i].planned);
		found = gap_find(&gap, 100 * S + cases[i].elapsed, 7 * S + cases[i].slept);
		if (found != cases[i].gap)
			fail_msg("case %zu: %llu", i, (unsigned long long)found);
	}
}

/* Where all samples are late, they are what there is. */
static void test_find_is_used_to_being_late(void **state)
{
	static const struct {
		usec_t elapsed;
		bool is_gap;
	} samples[] = {
		{ 20 * MS, false }, { 3 * S, true },  { 3 * S, false },	  { 4 * S, false },
		{ 5 * S, false },   { 11 * S, true }, { 9 * S, false },	  { 3 * S, false },
		{ 20 * MS, false }, { 3 * S, true },  { 20 * MS, false }, { 2 * S, false },
		{ 3 * S, true },
	};
	struct gap gap = { 0 };
	usec_t now = 0;

	gap_find(&gap, now, 0);
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		gap_plan(&gap, 20 * MS);
		now += samples[i].elapsed;
		if ((gap_find(&gap, now, 0) > 0) != samples[i].is_gap)
			fail_msg("sample %zu: not %d", i, samples[i].is_gap);
	}
}

static void test_find_bears_clocks_that_are_set_back(void **state)
{
	struct gap gap = { 0 };

	gap_find(&gap, 100 * S, 10 * S);
	gap_plan(&gap, 20 * MS);
	assert_int_equal(gap_find(&gap, 90 * S, 9 * S), 0);
	gap_plan(&gap, 20 * MS);
	assert_int_equal(gap_find(&gap, 93 * S, 9 * S), 3 * S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find_by_what_was_planned),
		cmocka_unit_test(test_find_is_used_to_being_late),
		cmocka_unit_test(test_find_bears_clocks_that_are_set_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
