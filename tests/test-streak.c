/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* streak: kills within a minute, and which cgroups may be killed as one. */
#include <string.h>

#include "lib/select/streak.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define S     USEC_PER_SEC
#define START (1000 * S)

static void add(struct streak *streak, const char *cgroup, const char *comm, pid_t ppid, usec_t now)
{
	const struct streak_subject subject = { cgroup, comm, ppid, 1000 };

	streak_add(streak, &subject, now);
}

static void test_kills_of_a_cgroup_within_a_minute_count(void **state)
{
	static struct streak streak;

	add(&streak, "/a", "x", 1, START);
	add(&streak, "/b", "x", 1, START + 10 * S);
	add(&streak, "/a", "y", 2, START + 20 * S);
	assert_int_equal(streak_of_cgroup(&streak, "/a", START + 20 * S), 2);
	assert_int_equal(streak_of_cgroup(&streak, "/b", START + 20 * S), 1);
	assert_int_equal(streak_of_cgroup(&streak, "/c", START + 20 * S), 0);
	assert_int_equal(streak_of_cgroup(&streak, "/a", START + 60 * S - 1), 2);
	assert_int_equal(streak_of_cgroup(&streak, "/a", START + 60 * S), 1);
	assert_int_equal(streak_of_cgroup(&streak, "/a", START + 80 * S), 0);
}

static void test_siblings_have_one_name_and_user_and_a_parent_or_session(void **state)
{
	static struct streak streak;
	struct streak_subject subject = { "", "x", 7, 1000 };

	for (unsigned i = 0; i < 3; i++)
		add(&streak, i % 2 ? "/a" : "/b", "x", 7, START + i);
	assert_int_equal(streak_of_siblings(&streak, &subject, START + S), 3);
	subject.ppid = 8;
	assert_int_equal(streak_of_siblings(&streak, &subject, START + S), 0);
	subject.session = 9;
	assert_int_equal(streak_of_siblings(&streak, &subject, START + S), 0);
	streak_add(&streak, &(struct streak_subject){ "", "x", 5, 1000, 9 }, START);
	assert_int_equal(streak_of_siblings(&streak, &subject, START + S), 1);
	subject = (struct streak_subject){ "", "x", 7, 1001 };
	assert_int_equal(streak_of_siblings(&streak, &subject, START + S), 0);
	subject = (struct streak_subject){ "", "xy", 7, 1000 };
	assert_int_equal(streak_of_siblings(&streak, &subject, START + S), 0);
}

static unsigned count_streaks(const struct streak *streak, const char *cgroup, usec_t now)
{
	unsigned n = 0;

	for (unsigned i = 0; i < STREAK_MAX; i++) {
		const char *path = streak_cgroup(streak, i, now);

		n += path && strcmp(path, cgroup) == 0;
	}
	return n;
}

static void test_a_cgroup_with_a_streak_is_found_once(void **state)
{
	static struct streak streak;

	assert_int_equal(count_streaks(&streak, "", START), 0);
	add(&streak, "/a", "x", 1, START);
	add(&streak, "/a", "x", 1, START + S);
	add(&streak, "/b", "x", 1, START + S);
	assert_int_equal(count_streaks(&streak, "/a", START + S), 0);
	add(&streak, "/a", "x", 1, START + 2 * S);
	assert_int_equal(count_streaks(&streak, "/a", START + 2 * S), 1);
	assert_int_equal(count_streaks(&streak, "/b", START + 2 * S), 0);
	assert_int_equal(count_streaks(&streak, "/a", START + 59 * S), 1);
	assert_int_equal(count_streaks(&streak, "/a", START + 60 * S), 0);
}

static void test_the_oldest_makes_room(void **state)
{
	static struct streak streak;

	add(&streak, "/old", "x", 1, START);
	for (unsigned i = 0; i < STREAK_MAX; i++)
		add(&streak, "/new", "x", 1, START + i);
	assert_int_equal(streak_of_cgroup(&streak, "/old", START + S), 0);
	assert_int_equal(streak_of_cgroup(&streak, "/new", START + S), STREAK_MAX);
}

/* Many small ones need three kills; large ones are given time. */
static void test_is_enough(void **state)
{
	assert_false(streak_is_enough(2, 12 * MIB, GIB));
	assert_true(streak_is_enough(3, 12 * MIB, GIB));
	assert_true(streak_is_enough(3, 64 * MIB, GIB));
	assert_false(streak_is_enough(3, 64 * MIB + 1, GIB));
	assert_false(streak_is_enough(STREAK_KILLS_LARGE - 1, 150 * MIB, GIB));
	assert_true(streak_is_enough(STREAK_KILLS_LARGE, 150 * MIB, GIB));
	assert_true(STREAK_KILLS_LARGE <= STREAK_MAX);
}

static void test_is_unit(void **state)
{
	static const struct {
		const char *cgroup;
		const char *subtree;
		bool expected;
	} rows[] = {
		{ "/", "/", false },
		{ "/system.slice", "/", false },
		{ "/system.slice/batch.service", "/", true },
		{ "/system.slice/batch.service/workers", "/", true },
		{ "/system.slice/docker-1234.scope", "/", true },
		{ "/init.scope", "/", false },
		{ "/user.slice/user-1000.slice/session-2.scope", "/", false },
		{ "/user.slice/user-1000.slice/user@1000.service", "/", false },
		{ "/user.slice/user-1000.slice/user@1000.service/app.slice/build.scope", "/",
		  true },
		{ "/plain", "/", true },
		{ "/plain", "/plain", false },
		{ "/plain/below", "/plain", true },
		/* with this daemon in it */
		{ "/machine", "/", false },
		{ "/machine/daemon", "/", false },
		{ "/machine/other", "/", true },
		/* outside of the namespace */
		{ "/../other", "/", false },
		{ "", "/", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (streak_is_unit(rows[i].cgroup, rows[i].subtree, "/machine/daemon") !=
		    rows[i].expected)
			fail_msg("%s below %s", rows[i].cgroup, rows[i].subtree);
	assert_true(streak_is_unit("/machine", "/", NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kills_of_a_cgroup_within_a_minute_count),
		cmocka_unit_test(test_siblings_have_one_name_and_user_and_a_parent_or_session),
		cmocka_unit_test(test_a_cgroup_with_a_streak_is_found_once),
		cmocka_unit_test(test_the_oldest_makes_room),
		cmocka_unit_test(test_is_enough),
		cmocka_unit_test(test_is_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
