/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of ctl/screen.c, ctl/bar.c and ctl/table.c: what comes out at which width. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/bar.h"
#include "ctl/screen.h"
#include "ctl/table.h"
#include "lib/base/cleanup.h"
#include "lib/base/util.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* A screen in memory. */
struct paper {
	struct screen screen;
	char *text;
	size_t n;
};

static void paper_init(struct paper *paper, unsigned width, bool has_colour, bool is_utf8)
{
	paper->screen = (struct screen){
		.file = open_memstream(&paper->text, &paper->n),
		.width = width,
		.has_colour = has_colour,
		.is_utf8 = is_utf8,
	};
	assert_non_null(paper->screen.file);
}

/* What is on it is exactly this; it is thrown away. */
static void paper_assert(struct paper *paper, const char *text)
{
	fclose(paper->screen.file);
	assert_string_equal(paper->text, text);
	free(paper->text);
}

static void set_locale(const char *name)
{
	if (!setlocale(LC_CTYPE, name)) {
		print_message("no locale %s here\n", name);
		skip();
	}
}

static void test_init_knows_a_file_from_a_terminal(void **state)
{
	_cleanup_fclose_ FILE *f = tmpfile();
	struct screen screen;

	setenv("COLUMNS", "40", 1);
	setenv("TERM", "xterm", 1);
	screen_init(&screen, f);
	assert_int_equal(screen.width, 0);
	assert_false(screen.has_colour);
}

static void test_text_width_is_in_columns(void **state)
{
	static const struct {
		const char *text;
		unsigned width, in_c;
	} cases[] = {
		{ "", 0, 0 },
		{ "abc", 3, 3 },
		{ "\u00e9", 1, 1 },
		{ "e\u0301", 1, 2 }, /* an accent of its own */
		{ "\u6f22\u5b57", 4, 2 },
		{ "a\u2588b", 3, 3 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		setlocale(LC_CTYPE, "C");
		assert_int_equal(screen_text_width(cases[i].text), cases[i].in_c);
		set_locale("C.UTF-8");
		assert_int_equal(screen_text_width(cases[i].text), cases[i].width);
	}
}

static void test_fit_breaks_between_words(void **state)
{
	static const struct {
		const char *text;
		unsigned width;
		size_t n;
		const char *next;
	} cases[] = {
		{ "one two", 7, 7, "" },
		{ "one two", 8, 7, "" },
		{ "one two", 6, 3, "two" },
		{ "one two", 3, 3, "two" },
		{ "one two", 2, 2, "e two" },
		{ "one  two", 4, 3, "two" },
		{ "onetwo", 4, 4, "wo" },
		{ "has 12 MiB", 9, 3, "12 MiB" },
		{ "has 12 %", 7, 3, "12 %" },
		{ "has 12 34", 8, 6, "34" },
		{ "", 4, 0, "" },
		{ "one ", 3, 4, "" },		    /* a blank at the end is not seen */
		{ "\u6f22\u5b57", 3, 3, "\u5b57" }, /* no half character */
		{ "\u6f22\u5b57", 1, 3, "\u5b57" }, /* and never nothing */
	};

	set_locale("C.UTF-8");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *next;

		assert_int_equal(screen_fit(cases[i].text, cases[i].width, &next), cases[i].n);
		assert_string_equal(next, cases[i].next);
	}
}

static void test_foreign_is_ascii_on_a_terminal_without_utf8(void **state)
{
	/* U+011B is c4 9b, whose second byte is CSI to a terminal of eight bits. */
	static const struct {
		unsigned width;
		bool is_utf8;
		const char *text;
	} cases[] = {
		{ 80, true, "a\u011b?[2J" },
		{ 80, false, "a??[2J" },
		{ 0, false, "a\u011b?[2J" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct screen screen = { .width = cases[i].width, .is_utf8 = cases[i].is_utf8 };
		char buf[64];

		assert_string_equal(screen_foreign(&screen, "a\u011b\033[2J", buf, sizeof(buf)),
				    cases[i].text);
	}
}

static void test_item_continues_below_its_text(void **state)
{
	static const struct {
		unsigned width;
		const char *text;
	} cases[] = {
		{ 0, "Label           one two three four\n" },
		{ 80, "Label           one two three four\n" },
		{ 29, "Label           one two three\n                four\n" },
		{ 28, "Label           one two\n                three four\n" },
		{ 24, "Label           one two three four\n" }, /* too narrow to lay out */
	};

	set_locale("C.UTF-8");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct paper paper;

		paper_init(&paper, cases[i].width, false, true);
		screen_item(&paper.screen, "Label", SCREEN_RED, "one two %s", "three four");
		paper_assert(&paper, cases[i].text);
	}
}

static void test_colour_ends_with_each_line(void **state)
{
	struct paper paper;

	set_locale("C.UTF-8");
	paper_init(&paper, 20, true, true);
	screen_say(&paper.screen, SCREEN_DIM, "eighteen columns ..and more");
	paper_assert(&paper, "\033[2meighteen columns\033[0m\n\033[2m..and more\033[0m\n");
}

static void test_text_is_cut_where_it_does_not_fit(void **state)
{
	struct screen_text text = { .n = 0 };

	for (unsigned i = 0; i < 1000; i++)
		screen_text_add(&text, "%s", "0123456789");
	assert_int_equal(text.n, sizeof(text.text) - 1);
	assert_int_equal(strlen(text.text), sizeof(text.text) - 1);
}

/* Of three bytes each: a piece of one does not reach a terminal, whatever it is cut after. */
static void test_text_is_cut_between_characters(void **state)
{
	for (unsigned n_before = 0; n_before < 3; n_before++) {
		struct screen_text text = { .n = 0 };
		unsigned n_whole = (sizeof(text.text) - 1 - n_before) / 3;

		screen_text_add(&text, "%.*s", (int)n_before, "ab");
		for (unsigned i = 0; i < 3000; i++)
			screen_text_add(&text, "\u6f22");
		assert_int_equal(text.n, n_before + 3 * n_whole);
		assert_int_equal(strlen(text.text), text.n);
	}
}

static void test_bar_shows_shares_and_marks(void **state)
{
	static const struct bar_mark marks[] = {
		{ 8500, 'w', SCREEN_YELLOW },
		{ 9000, 't', SCREEN_RED },
		{ 10000, 'k', SCREEN_RED },
	};
	static const struct {
		unsigned width, permyriad;
		size_t n_marks;
		bool is_utf8;
		const char *text;
	} cases[] = {
		{ 12, 0, 0, false, "[..........]\n" },
		{ 12, 10000, 0, false, "[##########]\n" },
		{ 12, 4400, 0, false, "[####......]\n" },
		{ 12, 4500, 0, false, "[#####.....]\n" },
		{ 12, 5000, 3, false, "[#####...wk]\n" }, /* t and k meet: the last is seen */
		{ 22, 9300, 3, false, "[#################wtk]\n" },
		{ 3, 5000, 3, false, "[k]\n" },
		{ 6, 5000, 0, true, "[\u2588\u2588\u2591\u2591]\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct paper paper;

		paper_init(&paper, 80, false, cases[i].is_utf8);
		bar_print(&paper.screen, cases[i].width, cases[i].permyriad, SCREEN_GREEN, marks,
			  cases[i].n_marks);
		paper_assert(&paper, cases[i].text);
	}
}

static void test_bar_changes_colour_only_where_it_differs(void **state)
{
	static const struct bar_mark mark = { 5000, 'k', SCREEN_RED };
	struct paper paper;

	paper_init(&paper, 80, true, false);
	bar_print(&paper.screen, 8, 3334, SCREEN_GREEN, &mark, 1);
	paper_assert(&paper,
		     "[\033[32m##\033[0m\033[2m.\033[0m\033[1;31mk\033[0m\033[2m..\033[0m]\n");
}

static void test_table_is_laid_out_for_its_width(void **state)
{
	static const char *const titles[] = { "PID", "NAME", "CGROUP" };
	static const bool right[] = { true, false, false };
	static const struct {
		unsigned width;
		const char *text;
	} cases[] = {
		{ 0, "  PID  NAME  CGROUP\n    1  \u6f22\u5b57  /user.slice/one two.scope\n"
		     "  812  b     /\n" },
		{ 30, "  PID  NAME  CGROUP\n    1  \u6f22\u5b57  /user.slice/one\n"
		      "             two.scope\n  812  b     /\n" },
		/* The last begins below where it would have less than 16 columns. */
		{ 28, "  PID  NAME\n      CGROUP\n    1  \u6f22\u5b57\n      /user.slice/one\n"
		      "      two.scope\n  812  b\n      /\n" },
		{ 11, "  PID  NAME\n      CGROU\n      P\n    1  \u6f22\u5b57\n      /user\n"
		      "      .slic\n      e/one\n      two.s\n      cope\n  812  b\n      /\n" },
		/* And where the others do not fit either it is a list. */
		{ 10, "  PID     1\n  NAME    \u6f22\u5b57\n  CGROUP  /user.slice/one two.scope\n\n"
		      "  PID     812\n  NAME    b\n  CGROUP  /\n" },
	};

	set_locale("C.UTF-8");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(table_done) struct table table = {
			.titles = titles,
			.to_the_right = right,
			.n_columns = ARRAY_SIZE(titles),
		};
		struct paper paper;

		table_add(&table, "%d", 1);
		table_add(&table, "\u6f22\u5b57");
		table_add(&table, "/user.slice/one two.scope");
		table_add(&table, "%d", 812);
		table_add(&table, "b");
		table_add(&table, "/");
		paper_init(&paper, cases[i].width, false, true);
		assert_int_equal(table_print(&table, 2, &paper.screen), 0);
		paper_assert(&paper, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_knows_a_file_from_a_terminal),
		cmocka_unit_test(test_text_width_is_in_columns),
		cmocka_unit_test(test_fit_breaks_between_words),
		cmocka_unit_test(test_foreign_is_ascii_on_a_terminal_without_utf8),
		cmocka_unit_test(test_item_continues_below_its_text),
		cmocka_unit_test(test_colour_ends_with_each_line),
		cmocka_unit_test(test_text_is_cut_where_it_does_not_fit),
		cmocka_unit_test(test_text_is_cut_between_characters),
		cmocka_unit_test(test_bar_shows_shares_and_marks),
		cmocka_unit_test(test_bar_changes_colour_only_where_it_differs),
		cmocka_unit_test(test_table_is_laid_out_for_its_width),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
