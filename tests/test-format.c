/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/base/format.c: what people are shown, of numbers and of hostile text. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/format.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

static void test_bytes_has_three_digits_or_so(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0 B" },
		{ 1023, "1023 B" },
		{ KIB, "1.0 KiB" },
		{ 1536, "1.5 KiB" },
		{ 100 * KIB - 1, "100.0 KiB" },
		{ 100 * KIB, "100 KiB" },
		{ MIB - 1, "1024 KiB" },
		{ 780 * MIB, "780 MiB" },
		{ GIB + 410 * MIB, "1.4 GiB" },
		{ 500 * GIB, "500 GiB" },
		{ UINT64_MAX, "17179869184 GiB" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[FORMAT_BYTES_SIZE];

		assert_string_equal(format_bytes(cases[i].bytes, buf), cases[i].text);
	}
}

static void test_interval_names_a_common_unit_once(void **state)
{
	static const struct {
		struct interval interval;
		const char *text;
	} cases[] = {
		{ { GIB, GIB }, "1.0 GiB" },
		{ { GIB, GIB + MIB }, "1.0 GiB" },
		{ { 1331 * MIB, 1536 * MIB }, "1.3 - 1.5 GiB" },
		{ { 900 * MIB, 1126 * MIB }, "900 MiB - 1.1 GiB" },
		{ { 0, 0 }, "0 B" },
		{ { 0, 4096 }, "0 B - 4.0 KiB" },
		{ { UINT64_MAX / 2, UINT64_MAX }, "8589934592 - 17179869184 GiB" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[FORMAT_INTERVAL_SIZE];

		assert_string_equal(format_interval(cases[i].interval, buf), cases[i].text);
	}
}

#define REPLACED "\xef\xbf\xbd"

static void test_duration_has_two_units_at_most(void **state)
{
	static const struct {
		usec_t duration;
		const char *text;
	} cases[] = {
		{ 0, "0 us" },
		{ 999, "999 us" },
		{ 1000, "1.0 ms" },
		{ 2450, "2.4 ms" },
		{ 9999, "9.9 ms" },
		{ 43 * USEC_PER_MSEC, "43 ms" },
		{ USEC_PER_SEC - 1, "999 ms" },
		{ 1500 * USEC_PER_MSEC, "1.5 s" },
		{ 10 * USEC_PER_SEC, "10 s" },
		{ 60 * USEC_PER_SEC - 1, "59 s" },
		{ 60 * USEC_PER_SEC, "1 min" },
		{ 303 * USEC_PER_SEC, "5 min 3 s" },
		{ 3600 * USEC_PER_SEC, "1 h" },
		{ 3659 * USEC_PER_SEC, "1 h" },
		{ 11520 * USEC_PER_SEC, "3 h 12 min" },
		{ 53 * 3600 * USEC_PER_SEC, "2 d 5 h" },
		{ UINT64_MAX, "213503982 d 8 h" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[FORMAT_DURATION_SIZE];

		assert_string_equal(format_duration(cases[i].duration, buf), cases[i].text);
	}
}

static void test_text_of_other_programs_is_made_harmless(void **state)
{
	static const struct {
		const char *text;
		const char *foreign;
		const char *utf8;
	} cases[] = {
		{ "", "", "" },
		{ "tmux: server", "tmux: server", "tmux: server" },
		{ "a\nb", "a?b", "a\nb" },
		{ "\x1b[2J\r\t\x7f", "?[2J???", "\x1b[2J\r\t\x7f" },
		{ "caf\xc3\xa9", "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "\xe2\x82\xac \xf0\x9f\x90\xa7", "\xe2\x82\xac \xf0\x9f\x90\xa7",
		  "\xe2\x82\xac \xf0\x9f\x90\xa7" },
		/* C1 as a character (CSI) and as a byte, the override, the separator */
		{ "\xc2\x9b", "?", "\xc2\x9b" },
		{ "\x9b", "?", REPLACED },
		{ "\xe2\x80\xae", "?", "\xe2\x80\xae" },
		{ "\xe2\x80\xa8", "?", "\xe2\x80\xa8" },
		{ "\xe2\x81\xa7", "?", "\xe2\x81\xa7" },
		/* half of a character, at the end as the kernel cuts it, and before others */
		{ "ab\xc3", "ab?", "ab" REPLACED },
		{ "\xe2\x82", "??", REPLACED REPLACED },
		{ "\xf0\x9f\x90x", "???x", REPLACED REPLACED REPLACED "x" },
		/* longer than need be, surrogates, beyond Unicode, never a beginning */
		{ "\xc0\xaf", "??", REPLACED REPLACED },
		{ "\xe0\x80\xaf", "???", REPLACED REPLACED REPLACED },
		{ "\xed\xa0\x80", "???", REPLACED REPLACED REPLACED },
		{ "\xf4\x90\x80\x80", "????", REPLACED REPLACED REPLACED REPLACED },
		{ "\xf8\xff\xfe", "???", REPLACED REPLACED REPLACED },
		/* noncharacters, which sd-bus refuses: U+FDD0, U+FDEF, U+FFFE, U+FFFF, U+1FFFE,
		 * U+10FFFF; and what is beside them */
		{ "x\xef\xb7\x90y", "x???y", "x" REPLACED REPLACED REPLACED "y" },
		{ "\xef\xb7\xaf", "???", REPLACED REPLACED REPLACED },
		{ "\xef\xbf\xbe", "???", REPLACED REPLACED REPLACED },
		{ "\xef\xbf\xbf", "???", REPLACED REPLACED REPLACED },
		{ "\xf0\x9f\xbf\xbe", "????", REPLACED REPLACED REPLACED REPLACED },
		{ "\xf4\x8f\xbf\xbf", "????", REPLACED REPLACED REPLACED REPLACED },
		{ "\xef\xb7\x8f\xef\xb7\xb0", "\xef\xb7\x8f\xef\xb7\xb0",
		  "\xef\xb7\x8f\xef\xb7\xb0" },
		{ "\xef\xbf\xbd\xf0\x9f\xbf\xbd", "\xef\xbf\xbd\xf0\x9f\xbf\xbd",
		  "\xef\xbf\xbd\xf0\x9f\xbf\xbd" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t length = strlen(cases[i].text);
		char *text = malloc(length + 1), *buf = malloc(FORMAT_UTF8_SIZE(length));

		/* of that size, for the sanitizer */
		assert_non_null(text);
		assert_non_null(buf);
		strcpy(text, cases[i].text);
		assert_string_equal(format_utf8(text, buf, FORMAT_UTF8_SIZE(length)),
				    cases[i].utf8);
		assert_string_equal(format_foreign(text, buf, length + 1), cases[i].foreign);
		free(buf);
		free(text);
	}
}

static void test_text_is_cut_between_characters(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		const char *foreign;
		const char *utf8;
	} cases[] = {
		{ "abc", 4, "abc", "abc" },
		{ "abc", 3, "ab", "ab" },
		{ "abc", 1, "", "" },
		{ "a\xc3\xa9", 3, "a", "a" },
		{ "a\xc3\xa9", 4, "a\xc3\xa9", "a\xc3\xa9" },
		{ "a\xff", 3, "a?", "a" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *buf = malloc(cases[i].size);

		assert_non_null(buf);
		assert_string_equal(format_foreign(cases[i].text, buf, cases[i].size),
				    cases[i].foreign);
		assert_string_equal(format_utf8(cases[i].text, buf, cases[i].size), cases[i].utf8);
		free(buf);
	}
}

/* Piece by piece; what follows the end is lost, and nothing is written behind it. */
static void test_a_text_grows_to_the_end_of_its_buffer(void **state)
{
	static const struct {
		size_t size;
		const char *pieces[3];
		const char *text;
	} cases[] = {
		{ 8, { "ab", "cd", "" }, "abcd" },
		{ 8, { "abcdefg", "", "" }, "abcdefg" },
		{ 8, { "abcdefgh", "ij", "" }, "abcdefg" },
		{ 8, { "abcd", "efghi", "jk" }, "abcdefg" },
		{ 1, { "a", "b", "" }, "" },
		{ 8, { "abcdef", "\xc3\xa9", "" }, "abcdef" },
		{ 8, { "abcdef", "\xc3\xa9", "g" }, "abcdefg" },
		{ 9, { "abcdef", "\xc3\xa9", "g" }, "abcdef\xc3\xa9" },
		{ 8, { "abcde\xf0\x9f\x98\x80", "", "" }, "abcde" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct format_text text = { .buf = malloc(cases[i].size), .size = cases[i].size };

		assert_non_null(text.buf);
		for (size_t k = 0; k < ARRAY_SIZE(cases[i].pieces); k++)
			format_add(&text, "%s", cases[i].pieces[k]);
		assert_string_equal(text.buf, cases[i].text);
		assert_int_equal(text.n, strlen(cases[i].text));
		free(text.buf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_has_three_digits_or_so),
		cmocka_unit_test(test_interval_names_a_common_unit_once),
		cmocka_unit_test(test_duration_has_two_units_at_most),
		cmocka_unit_test(test_text_of_other_programs_is_made_harmless),
		cmocka_unit_test(test_text_is_cut_between_characters),
		cmocka_unit_test(test_a_text_grows_to_the_end_of_its_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
