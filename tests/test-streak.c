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
	assert_int_equal(streak_of_siblings(&streak, &subject, START + 60 * S + 1), 1);
	assert_int_equal(streak_of_siblings(&streak, &subject, START + 60 * S + 2), 0);
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

	assert_int_equal(count_streaks(&streak, "", S), 0); /* a second after the boot */
	add(&streak, "/a", "x", 1, START);
	add(&streak, "/a", "x", 1, START + S);
	add(&streak, "/b", "x", 1, START + S);
	assert_int_equal(count_streaks(&streak, "/a", START + S), 0);
	add(&streak, "/a", "x", 1, START + 2 * S);
	assert_int_equal(count_streaks(&streak, "/a", START + 2 * S), 1);
	assert_int_equal(count_streaks(&streak, "/b", START + 2 * S), 0);
	assert_int_equal(count_streaks(&streak, "/a", START + 59 * S), 1);
	assert_int_equal(count_streaks(&streak, "/a", START + 60 * S), 0);
	for (unsigned i = 0; i < 2 * STREAK_KILLS; i++)
		add(&streak, i % 2 ? "/a" : "/b", "x", 1, START + 200 * S);
	assert_int_equal(count_streaks(&streak, "/a", START + 200 * S), 1);
	assert_int_equal(count_streaks(&streak, "/b", START + 200 * S), 1);
	/* When the ring has gone round, old ones are behind it. */
	for (unsigned i = 0; i < STREAK_MAX; i++)
		add(&streak, "/a", "x", 1, START + 300 * S);
	for (unsigned i = 0; i < STREAK_MAX - 1; i++)
		add(&streak, "/a", "x", 1, START + 400 * S);
	assert_int_equal(count_streaks(&streak, "/a", START + 400 * S), 1);
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
	assert_false(streak_is_enough(2, 0, 12 * MIB, GIB));
	assert_true(streak_is_enough(3, 0, 12 * MIB, GIB));
	assert_true(streak_is_enough(3, 0, 64 * MIB, GIB));
	assert_false(streak_is_enough(3, 0, 64 * MIB + 1, GIB));
	assert_false(streak_is_enough(STREAK_KILLS_LARGE - 1, 0, 150 * MIB, GIB));
	assert_true(streak_is_enough(STREAK_KILLS_LARGE, 0, 150 * MIB, GIB));
	/* ... but not where each is replaced at once */
	assert_false(streak_is_enough(6, STREAK_REPLACED - 1, 150 * MIB, GIB));
	assert_true(streak_is_enough(6, STREAK_REPLACED, 150 * MIB, GIB));
	assert_true(STREAK_KILLS_LARGE <= STREAK_MAX);
}

/* A unit: not where none was replaced, however many were killed. */
static void test_is_enough_for_unit(void **state)
{
	assert_false(streak_is_enough_for_unit(3, 0, 12 * MIB, GIB));
	assert_false(streak_is_enough_for_unit(STREAK_MAX, 0, 12 * MIB, GIB));
	assert_false(streak_is_enough_for_unit(STREAK_MAX, 0, 150 * MIB, GIB));
	assert_false(streak_is_enough_for_unit(2, 1, 12 * MIB, GIB));
	assert_true(streak_is_enough_for_unit(3, 1, 12 * MIB, GIB));
	assert_false(streak_is_enough_for_unit(3, 1, 150 * MIB, GIB));
	assert_true(streak_is_enough_for_unit(STREAK_KILLS_LARGE, 1, 150 * MIB, GIB));
	assert_true(streak_is_enough_for_unit(4, STREAK_REPLACED, 150 * MIB, GIB));
}

static void test_age(void **state)
{
	assert_int_equal(streak_age(1000, 1250), 2500 * USEC_PER_MSEC);
	assert_int_equal(streak_age(1000, 1000), 1);
	assert_int_equal(streak_age(1001, 1000), 1); /* never "not known" */
}

static const struct load {
	const char *name;
	struct victim {
		unsigned at, started; /* tenths of a second; 0: the end */
		const char *comm;
		pid_t ppid, session;
		const char *cgroup;
	} victims[16];
	unsigned alone; /* so many are killed one by one before all are; 0: all */
} loads_undone[] = {
	/* eight at a time, 150 MiB in 5 s: of each wave of eight half are killed */
	{ "a build",
	  { { 134, 100, "cc1", 7, 7, "/b" },
	    { 138, 100, "cc1", 7, 7, "/b" },
	    { 142, 100, "cc1", 7, 7, "/b" },
	    { 146, 100, "cc1", 7, 7, "/b" },
	    { 186, 146, "cc1", 7, 7, "/b" },
	    { 190, 142, "cc1", 7, 7, "/b" },
	    { 194, 138, "cc1", 7, 7, "/b" },
	    { 198, 160, "cc1", 7, 7, "/b" } },
	  6 },
	/* each below a driver and a shell of its own */
	{ "a build, by session",
	  { { 134, 100, "cc1", 20, 7, "/" },
	    { 138, 134, "cc1", 21, 7, "/" },
	    { 142, 138, "cc1", 22, 7, "/" },
	    { 146, 142, "cc1", 23, 7, "/" } },
	  3 },
	/* on a slow machine, as it was seen in a VM */
	{ "a build, slowly",
	  { { 1424, 1374, "cc1", 7, 7, "/b" },
	    { 1437, 1374, "cc1", 7, 7, "/b" },
	    { 1460, 1374, "cc1", 7, 7, "/b" },
	    { 1477, 1374, "cc1", 7, 7, "/b" },
	    { 1508, 1374, "cc1", 7, 7, "/b" },
	    { 1596, 1480, "cc1", 7, 7, "/b" },
	    { 1614, 1500, "cc1", 7, 7, "/b" },
	    { 1631, 1520, "cc1", 7, 7, "/b" } },
	  7 },
	/* the server takes 10 s to start another, which then grows */
	{ "a pool of workers",
	  { { 100, 1, "worker", 7, 7, "/s" },
	    { 520, 200, "worker", 7, 7, "/s" },
	    { 940, 620, "worker", 7, 7, "/s" },
	    { 1360, 1040, "worker", 7, 7, "/s" } },
	  0 },
	/* all were there before the first kill */
	{ "renderers",
	  { { 200, 50, "tab", 7, 7, "/f" },
	    { 202, 60, "tab", 7, 7, "/f" },
	    { 204, 70, "tab", 7, 7, "/f" },
	    { 206, 80, "tab", 7, 7, "/f" },
	    { 208, 90, "tab", 7, 7, "/f" } },
	  0 },
	{ "different programs of one session",
	  { { 200, 50, "a", 7, 7, "/session-1.scope" },
	    { 210, 201, "b", 7, 7, "/session-1.scope" },
	    { 220, 211, "c", 7, 7, "/session-1.scope" },
	    { 230, 221, "d", 7, 7, "/session-1.scope" },
	    { 240, 231, "e", 7, 7, "/session-1.scope" } },
	  0 },
	{ "one name, started by different parents in different sessions",
	  { { 200, 50, "python3", 7, 7, "/" },
	    { 210, 201, "python3", 8, 8, "/" },
	    { 220, 211, "python3", 9, 9, "/" },
	    { 230, 221, "python3", 10, 10, "/" },
	    { 240, 231, "python3", 11, 11, "/" } },
	  0 },
};

/*
 * One load after another: when which of it would be killed, and when that was started.  Kills do
 * not help a build that starts a compiler for each that is killed; they help everywhere else.
 */
static void test_kills_that_are_undone_are_told_from_those_that_help(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(loads_undone); i++) {
		static struct streak streak;
		unsigned alone = 0, in_cgroup = 0;

		streak = (struct streak){ 0 };
		for (const struct victim *v = loads_undone[i].victims; v->at != 0; v++) {
			usec_t now = v->at * S / 10;
			const struct streak_subject subject = {
				v->cgroup, v->comm,    v->ppid,
				1000,	   v->session, now - v->started * S / 10,
			};

			if (alone == 0 &&
			    streak_replaced_siblings(&streak, &subject, now) >= STREAK_REPLACED)
				alone = (unsigned)(v - loads_undone[i].victims);
			if (in_cgroup == 0 &&
			    streak_replaced_in_cgroup(&streak, &subject, now) >= STREAK_REPLACED)
				in_cgroup = (unsigned)(v - loads_undone[i].victims);
			streak_add(&streak, &subject, now);
		}
		if (alone != loads_undone[i].alone)
			fail_msg("%s: all after %u kills", loads_undone[i].name, alone);
		if (in_cgroup != loads_undone[i].alone)
			fail_msg("%s: all of the cgroup after %u", loads_undone[i].name, in_cgroup);
	}
}

static const struct {
	const char *name;
	struct streak_subject killed, next;
	bool replaced;
} replacements[] = {
	{ "a worker is executed again",
	  { "/a", "worker", 7, 1000, 7, 1, 0x7f1000, 40 },
	  { "/a", "worker", 7, 1000, 7, 1, 0x7f2000, 40 },
	  true },
	{ "the next compiler of a build",
	  { "/a", "cc1plus", 7, 1000, 7, 1, 0x7f1000, 812 },
	  { "/a", "cc1plus", 7, 1000, 7, 1, 0x7f2000, 836 },
	  false },
	{ "the next job of a queue, whose arguments are as long",
	  { "/a", "convert", 7, 1000, 7, 1, 0x7f1000, 40, 111 },
	  { "/a", "convert", 7, 1000, 7, 1, 0x7f2000, 40, 112 },
	  false },
	{ "a worker is executed again, its arguments were read",
	  { "/a", "worker", 7, 1000, 7, 1, 0x7f1000, 40, 111 },
	  { "/a", "worker", 7, 1000, 7, 1, 0x7f2000, 40, 111 },
	  true },
	{ "the arguments of one of them were not",
	  { "/a", "worker", 7, 1000, 7, 1, 0x7f1000, 40, 0 },
	  { "/a", "worker", 7, 1000, 7, 1, 0x7f2000, 40, 112 },
	  true },
	{ "the same, each below a driver of its own",
	  { "/a", "cc1plus", 20, 1000, 7, 1, 0x7f1000, 812 },
	  { "/a", "cc1plus", 21, 1000, 7, 1, 0x7f2000, 836 },
	  false },
	{ "a worker is forked again",
	  { "/a", "server", 7, 1000, 7, 1, 0x7f1000, 40 },
	  { "/a", "server", 7, 1000, 7, 1, 0x7f1000, 40 },
	  true },
	{ "a child is forked, and takes a name of its own",
	  { "/a", "n1", 7, 1000, 7, 1, 0x7f1000, 40 },
	  { "/a", "n2", 7, 1000, 7, 1, 0x7f1000, 40 },
	  true },
	{ "different programs, arguments of one length",
	  { "/a", "cc1", 7, 1000, 7, 1, 0x7f1000, 40 },
	  { "/a", "as", 7, 1000, 7, 1, 0x7f2000, 40 },
	  false },
	{ "different programs, nothing may be read",
	  { "/a", "cc1", 7, 1000, 7, 1, 0, 0 },
	  { "/a", "as", 7, 1000, 7, 1, 0, 0 },
	  false },
	{ "of one of them nothing may be read",
	  { "/a", "worker", 7, 1000, 7, 1, 0, 0 },
	  { "/a", "worker", 7, 1000, 7, 1, 0x7f2000, 40 },
	  true },
	{ "another user's, of one family",
	  { "/a", "server", 7, 1000, 7, 1, 0x7f1000, 40 },
	  { "/a", "server", 7, 1001, 7, 1, 0x7f1000, 40 },
	  false },
	{ "of another parent and session",
	  { "/a", "worker", 7, 1000, 7, 1, 0x7f1000, 40 },
	  { "/a", "worker", 8, 1000, 8, 1, 0x7f1000, 40 },
	  false },
};

/* Started and killed soon after the kill of another: in its place, or because it was its turn? */
static void test_a_replacement_is_told_from_the_next_job(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(replacements); i++) {
		static struct streak streak;

		streak = (struct streak){ 0 };
		streak_add(&streak, &replacements[i].killed, START);
		if (streak_replaced_siblings(&streak, &replacements[i].next, START + S) !=
		    replacements[i].replaced)
			fail_msg("%s", replacements[i].name);
		/* It counts as well when it has been killed itself. */
		streak_add(&streak, &replacements[i].next, START + S);
		if (streak_replaced_in_cgroup(&streak, &(struct streak_subject){ "/a", "" },
					      START + 2 * S) != replacements[i].replaced)
			fail_msg("%s: of its cgroup", replacements[i].name);
	}
}

/* Of those that had replaced another. */
static void test_which_replacements_count(void **state)
{
	static const struct {
		const char *label;
		struct streak_subject subject;
		usec_t after; /* the last kill */
		unsigned in_cgroup, siblings;
	} rows[] = {
		{ "the same", { "/a", "x", 7, 1000, 7 }, S, 2, 2 },
		{ "in another cgroup", { "/b", "x", 7, 1000, 7 }, S, 0, 2 },
		{ "of another name", { "/a", "y", 7, 1000, 7 }, S, 2, 0 },
		{ "of another parent and session", { "/a", "x", 8, 1000, 8 }, S, 2, 0 },
		{ "within a minute of one", { "/a", "x", 7, 1000, 7 }, 60 * S - 1, 1, 1 },
		{ "later", { "/a", "x", 7, 1000, 7 }, 60 * S, 0, 0 },
	};
	static struct streak streak;

	for (unsigned i = 0; i < 3; i++)
		streak_add(&streak, &(struct streak_subject){ "/a", "x", 7, 1000, 7, i * S },
			   START + i * S);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		usec_t now = START + 2 * S + rows[i].after;

		print_message("%s\n", rows[i].label);
		assert_int_equal(streak_replaced_in_cgroup(&streak, &rows[i].subject, now),
				 rows[i].in_cgroup);
		assert_int_equal(streak_replaced_siblings(&streak, &rows[i].subject, now),
				 rows[i].siblings);
	}
}

static void test_what_is_replaced_slowly_or_of_unknown_age_is_no_replacement(void **state)
{
	static const struct {
		usec_t killed, age; /* after the first kill */
		bool replaced;
	} rows[] = {
		{ 5 * S, 4 * S, true },
		{ 5 * S, 5 * S, true }, /* started in that moment */
		{ 5 * S, 5 * S + 1, false },
		{ 40 * S, STREAK_REPLACED_USEC, true },
		{ 40 * S, STREAK_REPLACED_USEC + 1, false }, /* the kill gave time */
		{ 60 * S + S - 1, S, true },
		{ 60 * S + S, S, false }, /* started much later */
		{ 5 * S, 0, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		static struct streak streak;
		struct streak_subject subject = { "/a", "x", 7, 1000, 7, 60 * S };

		streak = (struct streak){ 0 };
		streak_add(&streak, &subject, START);
		assert_int_equal(streak_replaced_siblings(&streak, &subject, START), 0);
		subject.age = rows[i].age;
		if (streak_replaced_siblings(&streak, &subject, START + rows[i].killed) !=
		    rows[i].replaced)
			fail_msg("row %zu", i);
	}
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
		{ "/", "/plain", false },
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
		cmocka_unit_test(test_is_enough_for_unit),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_kills_that_are_undone_are_told_from_those_that_help),
		cmocka_unit_test(test_a_replacement_is_told_from_the_next_job),
		cmocka_unit_test(test_which_replacements_count),
		cmocka_unit_test(test_what_is_replaced_slowly_or_of_unknown_age_is_no_replacement),
		cmocka_unit_test(test_is_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
