/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/domain/stall.c, by tables: which stalls are explained by a limit. */
#include <stddef.h>
#include <stdint.h>

#include "lib/domain/stall.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void test_limits(void **state)
{
	static const struct {
		const char *what;
		struct stall_limits limits;
		bool is_limited;
	} cases[] = {
		{ "no limit", { 100, UINT64_MAX, 0, false }, false },
		{ "no limit, but it had one", { 100, UINT64_MAX, 9, false }, false },
		{ "far below", { 50, 100, 0, false }, false },
		{ "far below by now", { 50, 100, 9, false }, false },
		{ "near, never there", { 80, 100, 0, false }, false },
		{ "near, and was there", { 80, 100, 1, false }, true },
		{ "at it", { 98, 100, 0, false }, true },
		{ "above memory.high", { 130, 100, 0, false }, true },
		{ "a limit of nothing", { 0, 0, 0, false }, true },
		{ "delegated, no limit", { 100, UINT64_MAX, 0, true }, false },
		{ "delegated, took its limit away", { 100, UINT64_MAX, 1, true }, true },
		{ "delegated, raised its limit", { 10, 1000, 1, true }, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (stall_is_limited(&cases[i].limits) != cases[i].is_limited)
			fail_msg("%s", cases[i].what);
}

/* A parent with up to three children. */
static void test_unexplained(void **state)
{
	static const struct {
		const char *what;
		struct stall_node parent, children[3];
		unsigned full;
	} cases[] = {
		{ "nothing below", { .share = { 5000, 4000 } }, { { .limited = false } }, 4000 },
		{ "at its own limit",
		  { .share = { 5000, 4000 }, .limited = true },
		  { { .limited = false } },
		  0 },
		{ "children at no limit: all of them together",
		  { .share = { 5000, 4000 } },
		  { { .share = { 3000, 2000 } }, { .share = { 3000, 2000 } } },
		  4000 },
		{ "one child at its limit does all of it",
		  { .share = { 9000, 8000 } },
		  { { .share = { 9000, 8500 }, .limited = true }, { .share = { 100, 50 } } },
		  50 },
		{ "another stalls as much",
		  { .share = { 9000, 8000 } },
		  { { .share = { 9000, 8500 }, .limited = true }, { .share = { 7000, 6000 } } },
		  6000 },
		{ "one that is no more must have stalled too",
		  { .share = { 9000, 8000 } },
		  { { .share = { 2000, 1500 }, .limited = true }, { .share = { 100, 50 } } },
		  6450 },
		{ "a limit further below",
		  { .share = { 9000, 8000 } },
		  { { .share = { 9000, 8000 }, .has_limited = true, .below = { 9000, 8000 } } },
		  0 },
		{ "delegated: only what is found below",
		  { .share = { 9000, 8000 }, .delegated = true },
		  { { .share = { 200, 100 }, .delegated = true } },
		  100 },
		{ "delegated, nothing below",
		  { .share = { 9000, 8000 }, .delegated = true },
		  { { .limited = false } },
		  8000 },
		{ "delegated below: it may hide a limit",
		  { .share = { 9000, 8000 } },
		  { { .share = { 9000, 8000 }, .delegated = true, .has_children = true } },
		  0 },
		{ "delegated below, and another stalls",
		  { .share = { 9000, 8000 } },
		  { { .share = { 9000, 8000 }, .delegated = true, .has_children = true },
		    { .share = { 5000, 4500 } } },
		  4500 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct stall_node parent = cases[i].parent;

		for (size_t c = 0; c < 3; c++)
			if (cases[i].children[c].share.some > 0)
				stall_add_child(&parent, &cases[i].children[c]);
		if (stall_unexplained(&parent).full != cases[i].full)
			fail_msg("%s: %u", cases[i].what, stall_unexplained(&parent).full);
	}
}

static void test_explains(void **state)
{
	static const struct {
		const char *what;
		struct stall_verdict verdict;
		unsigned some, full;
		bool explains;
	} cases[] = {
		{ "no walk yet", { .limited = "/a", .machine = { 9000, 9000 } }, 0, 4000, false },
		{ "no limit anywhere", { .at = 1, .machine = { 9000, 9000 } }, 0, 4000, false },
		{ "a limit, and others do not stall",
		  { .at = 1,
		    .limited = "/a",
		    .machine = { 9000, 9000 },
		    .unexplained = { 900, 100 } },
		  0,
		  4000,
		  true },
		{ "a limit, and others stall too",
		  { .at = 1,
		    .limited = "/a",
		    .machine = { 9000, 9000 },
		    .unexplained = { 9000, 4000 } },
		  0,
		  4000,
		  false },
		{ "less than asked for, but so is the machine by now",
		  { .at = 1,
		    .limited = "/a",
		    .machine = { 3000, 3000 },
		    .unexplained = { 2000, 1600 } },
		  0,
		  4000,
		  false },
		{ "some of the tasks",
		  { .at = 1, .limited = "/a", .machine = { 9000, 0 }, .unexplained = { 100, 0 } },
		  4000,
		  0,
		  true },
		{ "some of the tasks, others too",
		  { .at = 1, .limited = "/a", .machine = { 9000, 0 }, .unexplained = { 2000, 0 } },
		  4000,
		  0,
		  false },
		{ "nothing stalls any more",
		  { .at = 1, .limited = "/a", .machine = { 0, 0 } },
		  0,
		  4000,
		  false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (stall_explains(&cases[i].verdict, cases[i].some, cases[i].full) !=
		    cases[i].explains)
			fail_msg("%s", cases[i].what);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_unexplained),
		cmocka_unit_test(test_explains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
