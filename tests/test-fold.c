/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of ctl/fold.c: consecutive kills of one unit are one line. */
#include <string.h>

#include "ctl/fold.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define ROWS_MAX 6
#define DB	 "/system.slice/mydb.service"
#define USER	 "/user.slice/user-1000.slice/user@1000.service/app.slice/app.scope"
#define OTHER	 "/user.slice/user-1001.slice/user@1001.service/app.slice/app.scope"

struct row {
	const char *kind, *cgroup;
	unsigned seconds;
};

static json_t *entries_of(const struct row *rows)
{
	json_t *entries = json_array();

	for (size_t i = 0; i < ROWS_MAX && rows[i].kind; i++)
		json_array_append_new(entries,
				      json_pack("{s:s, s:s, s:I}", "kind", rows[i].kind, "cgroup",
						rows[i].cgroup, "time_usec",
						(json_int_t)(rows[i].seconds * USEC_PER_SEC)));
	return entries;
}

static void test_folds_consecutive_kills_of_one_unit(void **state)
{
	static const struct {
		struct row rows[ROWS_MAX]; /* newest first */
		size_t n;
		const char *text;
	} cases[] = {
		{ { { "killed", DB, 140 },
		    { "killed", DB, 130 },
		    { "killed", DB "/worker", 115 },
		    { "killed", DB, 100 } },
		  4,
		  "mydb.service: killed 4 times in 40 s" },
		/* one alone, another between, another after */
		{ { { "killed", DB, 140 } }, 1, NULL },
		{ { { "killed", DB, 140 },
		    { "killed", "/a.slice/b.service", 130 },
		    { "killed", DB, 120 } },
		  1,
		  NULL },
		{ { { "killed", DB, 140 },
		    { "killed", DB, 130 },
		    { "killed", "/a.slice/b.service", 120 } },
		  2,
		  "mydb.service: killed 2 times in 10 s" },
		/* what was no kill ends it, and is none */
		{ { { "killed", DB, 140 }, { "dry-run", DB, 130 }, { "killed", DB, 120 } },
		  1,
		  NULL },
		{ { { "cancelled", DB, 140 }, { "cancelled", DB, 130 } }, 1, NULL },
		/* too long ago to be the same trouble; each counts from the next */
		{ { { "killed", DB, 5000 }, { "killed", DB, 4399 } }, 1, NULL },
		{ { { "killed", DB, 5000 }, { "killed", DB, 4400 }, { "killed", DB, 3800 } },
		  3,
		  "mydb.service: killed 3 times in 20 min" },
		/* units of users: the same name is not the same unit */
		{ { { "killed", USER, 140 }, { "killed", USER, 130 } },
		  2,
		  "app.scope: killed 2 times in 10 s" },
		{ { { "killed", USER, 140 }, { "killed", OTHER, 130 } }, 1, NULL },
		/* of no unit */
		{ { { "killed", "/docker/a", 140 }, { "killed", "/docker/a", 130 } }, 1, NULL },
		{ { { "killed", "", 140 }, { "killed", "", 130 } }, 1, NULL },
		/* the clock was set back */
		{ { { "killed", DB, 100 }, { "killed", DB, 130 } },
		  2,
		  "mydb.service: killed 2 times in 0 us" },
	};
	char text[FOLD_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *entries = entries_of(cases[i].rows);
		struct fold fold;

		fold_find(entries, 0, &fold);
		assert_int_equal(fold.n, cases[i].n);
		if (cases[i].text)
			assert_string_equal(fold_text(&fold, text), cases[i].text);
		json_decref(entries);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_folds_consecutive_kills_of_one_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
