/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/base/latency.c: buckets, what is late, and what it was waiting for. */
#include <string.h>

#include "lib/base/latency.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define MS USEC_PER_MSEC
#define S  USEC_PER_SEC

static void test_count(void **state)
{
	static const struct {
		usec_t usec;
		unsigned bucket;
		bool is_late;
	} cases[] = {
		{ 0, 0, false },	  { 999, 0, false },	  { 1 * MS, 1, false },
		{ 2 * MS - 1, 1, false }, { 2 * MS, 2, false },	  { 4 * MS, 3, false },
		{ 20 * MS, 5, false },	  { 32 * MS, 6, false },  { 64 * MS - 1, 6, false },
		{ 64 * MS, 7, true },	  { 512 * MS, 10, true }, { 1024 * MS - 1, 10, true },
		{ 1024 * MS, 11, true },  { 3600 * S, 11, true }, { USEC_INFINITY, 11, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct latency latency = { 0 };

		if (latency_count(&latency, cases[i].usec) != cases[i].is_late ||
		    latency.counts[cases[i].bucket] != 1 || latency.max != cases[i].usec ||
		    latency_n_late(&latency) != cases[i].is_late)
			fail_msg("case %zu", i);
	}
}

static void test_count_many(void **state)
{
	struct latency latency = { 0 };

	for (usec_t usec = 0; usec < 100 * MS; usec += MS)
		(void)latency_count(&latency, usec);
	(void)latency_count(&latency, MS);
	assert_int_equal(latency.max, 99 * MS);
	assert_int_equal(latency.counts[0], 1);
	assert_int_equal(latency.counts[1], 2);
	assert_int_equal(latency.counts[2], 2);
	assert_int_equal(latency.counts[6], 32);
	assert_int_equal(latency_n_late(&latency), 36);
}

static void test_find_cause(void **state)
{
	static const struct {
		struct latency_usage before, after;
		usec_t late;
		enum latency_cause cause;
	} cases[] = {
		{ { true, 0, 0, 0 }, { true, 90 * MS, 5 * MS, 0 }, 100 * MS, LATENCY_BUSY },
		{ { true, S, S, 7 }, { true, S + 5 * MS, S + 90 * MS, 7 }, 100 * MS, LATENCY_CPU },
		{ { true, 0, 0, 0 }, { true, 45 * MS, 55 * MS, 0 }, 100 * MS, LATENCY_CPU },
		/* half is enough; the faults were on the way */
		{ { true, 0, 0, 0 }, { true, 0, 50 * MS, 3 }, 100 * MS, LATENCY_CPU },
		{ { true, 0, 0, 0 }, { true, 49 * MS, 49 * MS, 0 }, 100 * MS, LATENCY_KERNEL },
		{ { true, 0, 0, 4 }, { true, 2 * MS, 3 * MS, 5 }, 100 * MS, LATENCY_PAGING },
		{ { true, 0, 0, 4 }, { true, 2 * MS, 3 * MS, 4 }, 100 * MS, LATENCY_KERNEL },
		{ { false, 0, 0, 0 }, { true, S, 0, 0 }, 100 * MS, LATENCY_UNKNOWN },
		{ { true, 0, 0, 0 }, { false, S, 0, 0 }, 100 * MS, LATENCY_UNKNOWN },
		/* counters that go back say nothing */
		{ { true, S, S, 9 }, { true, 0, 0, 0 }, 100 * MS, LATENCY_KERNEL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (latency_find_cause(&cases[i].before, &cases[i].after, cases[i].late) !=
		    cases[i].cause)
			fail_msg("case %zu", i);
}

static void test_parse(void **state)
{
	struct latency_usage usage = { 0 };

	assert_int_equal(latency_parse_schedstat("1234567890 4000 17\n", &usage), 0);
	assert_int_equal(usage.ran, 1234567);
	assert_int_equal(usage.waited, 4);
	assert_int_equal(latency_parse_schedstat("", &usage), -EBADMSG);
	assert_int_equal(latency_parse_schedstat("1 2\n", &usage), -EBADMSG);
	assert_int_equal(latency_parse_schedstat("run 2 3\n", &usage), -EBADMSG);
}

static void test_words(void **state)
{
	for (unsigned i = 0; i < _LATENCY_CAUSE_MAX; i++) {
		assert_true(strlen(latency_cause_to_string(i)) > 0);
		assert_true(strlen(latency_cause_text(i)) > 0);
	}
	assert_string_equal(latency_cause_to_string(LATENCY_CPU), "cpu");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_count),	   cmocka_unit_test(test_count_many),
		cmocka_unit_test(test_find_cause), cmocka_unit_test(test_parse),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
