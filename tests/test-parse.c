/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of lib/base/parse.c: every form that is taken, for each what comes close and is not, and
 * that a failure leaves *ret alone.
 */
#include "lib/base/parse.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* What *ret must still be after a failure. */
#define UNTOUCHED 0x5a5aU

static void expect(const char *text, int r, int expected_r, uint64_t value, uint64_t expected)
{
	if (r == expected_r && value == (r == 0 ? expected : UNTOUCHED))
		return;
	fail_msg("'%s': %d, %llu instead of %d, %llu", text, r, (unsigned long long)value,
		 expected_r, (unsigned long long)expected);
}

static void test_parse_bool_takes_words_in_any_case(void **state)
{
	static const struct {
		const char *text;
		int r;
		bool value;
	} cases[] = {
		{ "no", 0, false },	 { "off", 0, false }, { "false", 0, false },
		{ "0", 0, false },	 { "yes", 0, true },  { "on", 0, true },
		{ "true", 0, true },	 { "1", 0, true },    { "YES", 0, true },
		{ "oFF", 0, false },	 { "", -EINVAL },     { "2", -EINVAL },
		{ "y", -EINVAL },	 { "yes ", -EINVAL }, { " no", -EINVAL },
		{ "true yes", -EINVAL }, { "none", -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (int before = 0; before < 2; before++) {
			bool value = before;
			int r = parse_bool(cases[i].text, &value);

			if (r != cases[i].r || value != (r == 0 ? cases[i].value : (bool)before))
				fail_msg("'%s': %d, %d", cases[i].text, r, value);
		}
	}
}

static void test_parse_unsigned_takes_digits_up_to_max(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		int r;
		uint64_t value;
	} cases[] = {
		{ "0", 0, 0, 0 },
		{ "42", 42, 0, 42 },
		{ "43", 42, -ERANGE },
		{ "007", 10, 0, 7 },
		{ "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX, -ERANGE },
		{ "99999999999999999999999", UINT64_MAX, -ERANGE },
		{ "", 9, -EINVAL },
		{ "-1", 9, -EINVAL },
		{ "+1", 9, -EINVAL },
		{ " 1", 9, -EINVAL },
		{ "1 ", 9, -EINVAL },
		{ "1.0", 9, -EINVAL },
		{ "1.", 9, -EINVAL },
		{ "0x1", 9, -EINVAL },
		{ "1e0", 9, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t value = UNTOUCHED;
		int r = parse_unsigned(cases[i].text, cases[i].max, &value);

		expect(cases[i].text, r, cases[i].r, value, cases[i].value);
	}
}

/* A level without a share. */
static int parse_size(const char *text, uint64_t *ret)
{
	struct parse_level level;
	int r = parse_level(text, &level);

	if (r < 0)
		return r;
	if (level.has_share)
		return -EINVAL;
	*ret = level.bytes;
	return 0;
}

static void test_parse_size_scales_by_1024(void **state)
{
	static const struct {
		const char *text;
		int r;
		uint64_t value;
	} cases[] = {
		{ "0", 0, 0 },
		{ "4096", 0, 4096 },
		{ "64K", 0, 64 * KIB },
		{ "512M", 0, 512 * MIB },
		{ "3G", 0, 3 * GIB },
		{ "2T", 0, 2048 * GIB },
		{ "1.5G", 0, 1536 * MIB },
		{ "0.5K", 0, 512 },
		{ "0.000001M", 0, 1 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "16777215T", 0, 16777215 * (uint64_t)(1024 * GIB) },
		{ "16777216T", -ERANGE },
		{ "18446744073709551616", -ERANGE },
		{ "", -EINVAL },
		{ "K", -EINVAL },
		{ "1.5", -EINVAL },
		{ "1.G", -EINVAL },
		{ ".5G", -EINVAL },
		{ "1.0000001G", -EINVAL },
		{ "1k", -EINVAL },
		{ "1KB", 0, KIB },
		{ "1KiB", 0, KIB },
		{ "1 G", 0, GIB },
		{ "1 \t GiB", 0, GIB },
		{ "2.4 GiB", 0, 2576980377 },
		{ "512 B", 0, 512 },
		{ "512B", 0, 512 },
		{ "1.5MiB", 0, 1536 * KIB },
		{ "2048 kB", 0, 2 * MIB },
		{ "100MB", 0, 100 * MIB },
		{ "1kiB", -EINVAL },
		{ "1Ki", -EINVAL },
		{ "1iB", -EINVAL },
		{ "1KBB", -EINVAL },
		{ "1 ", -EINVAL },
		{ "1G ", -EINVAL },
		{ "1G 1G", -EINVAL },
		{ "1G,", -EINVAL },
		{ "1.5 B 10%", -EINVAL },
		{ "-1G", -EINVAL },
		{ "1,5G", -EINVAL },
		{ "10%", -EINVAL },
		{ "0x10", -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t value = UNTOUCHED;
		int r = parse_size(cases[i].text, &value);

		expect(cases[i].text, r, cases[i].r, value, cases[i].value);
	}
}

static void test_parse_permyriad_takes_percent_with_two_digits(void **state)
{
	static const struct {
		const char *text;
		int r;
		unsigned value;
	} cases[] = {
		{ "0%", 0, 0 },
		{ "10%", 0, 1000 },
		{ "12.5%", 0, 1250 },
		{ "0.01%", 0, 1 },
		{ "99.99%", 0, 9999 },
		{ "100%", 0, 10000 },
		{ "100.00%", 0, 10000 },
		{ "100.01%", -ERANGE },
		{ "101%", -ERANGE },
		{ "99999999999999999999%", -ERANGE },
		{ "184467440737095517%", -ERANGE },
		{ "", -EINVAL },
		{ "%", -EINVAL },
		{ "10", -EINVAL },
		{ "10 %", 0, 1000 },
		{ "9.8\t %", 0, 980 },
		{ "10% 10%", -EINVAL },
		{ "10% 2G", -EINVAL },
		{ "10%%", -EINVAL },
		{ "0.001%", -EINVAL },
		{ "1.%", -EINVAL },
		{ "-1%", -EINVAL },
		{ "10% ", -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned value = UNTOUCHED;
		int r = parse_permyriad(cases[i].text, &value);

		expect(cases[i].text, r, cases[i].r, value, cases[i].value);
	}
}

static void test_parse_level_takes_a_share_a_size_or_both(void **state)
{
	static const struct {
		const char *text;
		int r;
		struct parse_level level;
	} cases[] = {
		{ "10%", 0, { true, 1000, false, 0, false } },
		{ "2G", 0, { false, 0, true, 2 * GIB, false } },
		{ "10% 2G", 0, { true, 1000, true, 2 * GIB, false } },
		{ "10%,2G", 0, { true, 1000, true, 2 * GIB, false } },
		{ "10 % , 2 GiB", 0, { true, 1000, true, 2 * GIB, false } },
		{ "2.5 GiB, 10 %", 0, { true, 1000, true, 2560 * MIB, false } },
		{ "2G\t10%", 0, { true, 1000, true, 2 * GIB, false } },
		{ "0% 0", 0, { true, 0, true, 0, false } },
		{ "4096 10%", 0, { true, 1000, true, 4096, false } },
		{ "10% 500MB", 0, { true, 1000, true, 500 * MIB, true } },
		{ "500 KB 10%", 0, { true, 1000, true, 500 * KIB, true } },
		{ "500 kB", 0, { false, 0, true, 500 * KIB, false } },
		{ "10%2G", -EINVAL, {} },
		{ "2G10%", -EINVAL, {} },
		{ "10%,,2G", -EINVAL, {} },
		{ "10%,", -EINVAL, {} },
		{ ",10%", -EINVAL, {} },
		{ "10% 2G 10%", -EINVAL, {} },
		{ "10% or 2G", -EINVAL, {} },
		{ "10%/2G", -EINVAL, {} },
		{ "1G 2G", -EINVAL, {} },
		{ "101% 2G", -ERANGE, {} },
		{ "10% 16777216T", -ERANGE, {} },
		{ "", -EINVAL, {} },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct parse_level level = { .bytes = UNTOUCHED }, expected = cases[i].level;
		int r = parse_level(cases[i].text, &level);

		if (r < 0)
			expected.bytes = UNTOUCHED;
		if (r != cases[i].r || level.has_share != expected.has_share ||
		    level.permyriad != expected.permyriad || level.has_size != expected.has_size ||
		    level.bytes != expected.bytes || level.is_loose != expected.is_loose)
			fail_msg("'%s': %d, %u, %llu, %d", cases[i].text, r, level.permyriad,
				 (unsigned long long)level.bytes, level.is_loose);
	}
}

static void test_parse_duration_sums_units(void **state)
{
	static const struct {
		const char *text;
		int r;
		usec_t value;
	} cases[] = {
		{ "0", 0, 0 },
		{ "5", 0, 5 * USEC_PER_SEC },
		{ "5s", 0, 5 * USEC_PER_SEC },
		{ "1.5s", 0, 1500 * USEC_PER_MSEC },
		{ "1.5", 0, 1500 * USEC_PER_MSEC },
		{ "250ms", 0, 250 * USEC_PER_MSEC },
		{ "0.25ms", 0, 250 },
		{ "7us", 0, 7 },
		{ "0.5us", 0, 0 },
		{ "1min 30s", 0, 90 * USEC_PER_SEC },
		{ "1min30s", 0, 90 * USEC_PER_SEC },
		{ "1min  \t30s", 0, 90 * USEC_PER_SEC },
		{ "2h", 0, 7200 * USEC_PER_SEC },
		{ "1d 1h", 0, 25 * 3600 * USEC_PER_SEC },
		{ "213503982d", 0, 213503982ULL * 24 * 3600 * USEC_PER_SEC },
		{ "213503983d", -ERANGE },
		{ "213503982d 8h 1min 49.551615s", -ERANGE }, /* USEC_INFINITY */
		{ "213503982d 8h 1min 49.551614s", 0, USEC_INFINITY - 1 },
		{ "213503982d 1d", -ERANGE },
		{ "", -EINVAL },
		{ " 5s", -EINVAL },
		{ "5s ", -EINVAL },
		{ "5 s", 0, 5 * USEC_PER_SEC },
		{ "5 seconds", 0, 5 * USEC_PER_SEC },
		{ "1second", 0, USEC_PER_SEC },
		{ "2 minutes 1 sec", 0, 121 * USEC_PER_SEC },
		{ "5 min 3 s", 0, 303 * USEC_PER_SEC },
		{ "3 h 12 min", 0, 11520 * USEC_PER_SEC },
		{ "1 day 1 hour", 0, 25 * 3600 * USEC_PER_SEC },
		{ "2.4 ms", 0, 2400 },
		{ "340 us", 0, 340 },
		{ "7 usec 1 msec", 0, 1007 },
		{ "5 ", -EINVAL },
		{ "5 x", -EINVAL },
		{ "1min 30", -EINVAL },
		{ "30 1min", -EINVAL },
		{ "5m", -EINVAL },
		{ "5sec", 0, 5 * USEC_PER_SEC },
		{ "5secs", -EINVAL },
		{ "5S", -EINVAL },
		{ "s", -EINVAL },
		{ "1.s", -EINVAL },
		{ "1.0000001s", -EINVAL },
		{ "-5s", -EINVAL },
		{ "1e3s", -EINVAL },
		{ "5s;", -EINVAL },
		{ "infinity", -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		usec_t value = UNTOUCHED;
		int r = parse_duration(cases[i].text, &value);

		expect(cases[i].text, r, cases[i].r, value, cases[i].value);
	}
}

static void test_parse_weight_takes_positive_factors(void **state)
{
	static const struct {
		const char *text;
		int r;
		double value;
	} cases[] = {
		{ "2", 0, 2 },
		{ "0.25", 0, 0.25 },
		{ "1.5", 0, 1.5 },
		{ "1000", 0, 1000 },
		{ "0.000001", 0, 0.000001 },
		{ "1000.000001", -ERANGE },
		{ "0", -ERANGE },
		{ "0.0", -ERANGE },
		{ "99999999999999999999", -ERANGE },
		{ "", -EINVAL },
		{ "-1", -EINVAL },
		{ "1e2", -EINVAL },
		{ "0x1p1", -EINVAL },
		{ "inf", -EINVAL },
		{ "nan", -EINVAL },
		{ "1,5", -EINVAL },
		{ "2 ", -EINVAL },
		{ ".5", -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		double value = -1;
		int r = parse_weight(cases[i].text, &value);

		if (r != cases[i].r || value < (r == 0 ? cases[i].value : -1) ||
		    value > (r == 0 ? cases[i].value : -1))
			fail_msg("'%s': %d, %g", cases[i].text, r, value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_bool_takes_words_in_any_case),
		cmocka_unit_test(test_parse_unsigned_takes_digits_up_to_max),
		cmocka_unit_test(test_parse_size_scales_by_1024),
		cmocka_unit_test(test_parse_permyriad_takes_percent_with_two_digits),
		cmocka_unit_test(test_parse_level_takes_a_share_a_size_or_both),
		cmocka_unit_test(test_parse_duration_sums_units),
		cmocka_unit_test(test_parse_weight_takes_positive_factors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
