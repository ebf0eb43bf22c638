/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* passover: who is not tried again in vain, in tables of what is seen and when. */
#include <stdio.h>
#include <string.h>

#include "lib/select/passover.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define S     USEC_PER_SEC
#define START (1000 * S)

static struct passover_look look_of(pid_t pid)
{
	return (struct passover_look){
		.pid = pid,
		.start_ticks = 7,
		.state = 'D',
		.footprint = 100 * MIB,
	};
}

static usec_t add(struct passover *p, enum passover_why why, pid_t pid, usec_t now)
{
	struct passover_look look = look_of(pid);

	return passover_add(p, why, &look, now);
}

static enum passover_verdict judge(const struct passover *p, pid_t pid, usec_t now)
{
	struct passover_subject subject = {
		.pid = pid,
		.start_ticks = 7,
		.comm = "x",
		.cgroup = "/x",
	};

	return passover_judge(p, &subject, now);
}

static void test_add_waits_longer_each_time(void **state)
{
	static const usec_t expected[] = { 30, 60, 120, 240, 480, 600, 600, 600 };
	struct passover p = { 0 };
	usec_t now = START;

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		assert_int_equal(add(&p, PASSOVER_UNKILLABLE, 10, now), expected[i] * S);
		assert_int_equal(judge(&p, 10, now), PASSOVER_YES);
		assert_int_equal(judge(&p, 10, now + expected[i] * S - 1), PASSOVER_YES);
		assert_int_not_equal(judge(&p, 10, now + expected[i] * S), PASSOVER_YES);
		now += expected[i] * S;
	}
	for (unsigned i = 0; i < 100; i++) /* and never less again */
		assert_int_equal(add(&p, PASSOVER_REFUSED, 10, now), 600 * S);
}

static void test_judge_goes_by_identity(void **state)
{
	struct passover_subject another = {
		.pid = 10,
		.start_ticks = 8,
		.comm = "x",
		.cgroup = "/x",
	};
	struct passover p = { 0 };

	assert_int_equal(judge(&p, 10, START), PASSOVER_NOT);
	add(&p, PASSOVER_UNKILLABLE, 10, START);
	assert_int_equal(judge(&p, 10, START), PASSOVER_YES);
	assert_int_equal(judge(&p, 11, START), PASSOVER_NOT);
	assert_int_equal(passover_judge(&p, &another, START), PASSOVER_NOT);
}

static void test_judge_never_twice_in_a_row(void **state)
{
	struct passover p = { 0 };
	usec_t later = START + 100 * S;

	add(&p, PASSOVER_UNKILLABLE, 10, START);
	assert_int_equal(judge(&p, 10, later), PASSOVER_IN_A_ROW);
	add(&p, PASSOVER_REFUSED, 11, START + S); /* somebody else was tried */
	assert_int_equal(judge(&p, 10, later), PASSOVER_NOT);
	assert_int_equal(judge(&p, 11, later), PASSOVER_IN_A_ROW);
	passover_succeed(&p, 12, 7); /* somebody else is gone */
	assert_int_equal(judge(&p, 11, later), PASSOVER_NOT);
	/* It comes to nothing in the end, too: the next wait is the second one. */
	assert_int_equal(add(&p, PASSOVER_UNKILLABLE, 10, later), 60 * S);
	passover_succeed(&p, 10, 7);
	assert_int_equal(judge(&p, 10, later), PASSOVER_NOT);
	assert_int_equal(add(&p, PASSOVER_UNKILLABLE, 10, later), 30 * S);
}

static void test_observe_shortens_the_wait(void **state)
{
	static const struct {
		const char *name;
		enum passover_why why;
		char before, after;
		bool frozen_before, frozen_after;
		bool shortens;
	} rows[] = {
		{ "as it was", PASSOVER_UNKILLABLE, 'D', 'D', false, false, false },
		{ "out of D", PASSOVER_UNKILLABLE, 'D', 'S', false, false, true },
		{ "into D", PASSOVER_UNKILLABLE, 'R', 'D', false, false, true },
		{ "goes on", PASSOVER_UNKILLABLE, 'T', 'S', false, false, true },
		{ "let go by a tracer", PASSOVER_UNKILLABLE, 't', 'R', false, false, true },
		{ "stopped otherwise", PASSOVER_UNKILLABLE, 't', 'T', false, false, false },
		{ "runs and sleeps", PASSOVER_UNKILLABLE, 'S', 'R', false, false, false },
		{ "is idle", PASSOVER_UNKILLABLE, 'I', 'S', false, false, false },
		{ "exits", PASSOVER_UNKILLABLE, 'D', 'Z', false, false, true },
		{ "thawed (v1)", PASSOVER_UNKILLABLE, 'D', 'D', true, false, true },
		{ "thawed (v2)", PASSOVER_UNKILLABLE, 'S', 'S', true, false, true },
		{ "frozen", PASSOVER_UNKILLABLE, 'S', 'S', false, true, true },
		{ "still frozen", PASSOVER_UNKILLABLE, 'D', 'D', true, true, false },
		/* That has nothing to do with permission. */
		{ "refused", PASSOVER_REFUSED, 'D', 'S', true, false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct passover_look look = look_of(10);
		struct passover p = { 0 };
		usec_t eighth = START + 30 * S / 8;
		bool shortens;

		look.state = rows[i].before;
		look.frozen = rows[i].frozen_before;
		passover_add(&p, rows[i].why, &look, START);
		look.state = rows[i].after;
		look.frozen = rows[i].frozen_after;
		passover_observe(&p, 0, &look);
		assert_int_equal(judge(&p, 10, eighth - 1), PASSOVER_YES); /* not at once */
		shortens = judge(&p, 10, eighth) != PASSOVER_YES;
		if (shortens != rows[i].shortens)
			fail_msg("%s", rows[i].name);
		/* Tried early, in vain: the wait is longer, and begins anew. */
		if (shortens) {
			assert_int_equal(passover_add(&p, rows[i].why, &look, eighth), 60 * S);
			assert_int_equal(judge(&p, 10, eighth + 60 * S - 1), PASSOVER_YES);
		}
	}
}

static void test_observe_again_as_it_was(void **state)
{
	struct passover_look look = look_of(10);
	struct passover p = { 0 };

	passover_add(&p, PASSOVER_UNKILLABLE, &look, START);
	look.state = 'S';
	passover_observe(&p, 0, &look);
	look.state = 'D'; /* it only looked out of the window */
	passover_observe(&p, 0, &look);
	assert_int_equal(judge(&p, 10, START + 29 * S), PASSOVER_YES);
}

static void test_observe_forgets_who_is_gone(void **state)
{
	struct passover_look another = look_of(10);
	struct passover p = { 0 };

	add(&p, PASSOVER_UNKILLABLE, 10, START);
	passover_observe(&p, 0, NULL);
	assert_int_equal(judge(&p, 10, START), PASSOVER_NOT);
	assert_int_equal(p.entries[0].failed.pid, 0);
	add(&p, PASSOVER_UNKILLABLE, 10, START);
	another.start_ticks = 8; /* the pid is somebody else's */
	passover_observe(&p, 0, &another);
	assert_int_equal(p.entries[0].failed.pid, 0);
}

static void test_lingering_is_left_alone_until_it_grows(void **state)
{
	struct passover_look look = look_of(10);
	struct passover p = { 0 };

	look.footprint = 2 * MIB;
	passover_add(&p, PASSOVER_LINGERS, &look, START);
	assert_int_equal(judge(&p, 10, START + 3600 * S), PASSOVER_YES);
	look.footprint = 18 * MIB;
	look.state = 'S'; /* whatever it does meanwhile */
	passover_observe(&p, 0, &look);
	assert_int_equal(judge(&p, 10, START + 3600 * S), PASSOVER_YES);
	look.footprint = 18 * MIB + 1;
	passover_observe(&p, 0, &look);
	assert_int_equal(judge(&p, 10, START + 3600 * S), PASSOVER_NOT);
}

static void test_add_makes_room(void **state)
{
	struct passover p = { 0 };
	usec_t now = START;

	/* 100: tried thrice, so for 120 s from now + 90 s; the others for 30 s, one after another.
	 */
	add(&p, PASSOVER_UNKILLABLE, 100, now);
	add(&p, PASSOVER_UNKILLABLE, 100, now + 30 * S);
	add(&p, PASSOVER_UNKILLABLE, 100, now + 90 * S);
	now += 90 * S;
	for (pid_t i = 1; i < PASSOVER_MAX; i++)
		add(&p, PASSOVER_UNKILLABLE, 100 + i, now + (usec_t)i);
	for (pid_t i = 0; i < PASSOVER_MAX; i++)
		assert_int_equal(judge(&p, 100 + i, now + S), PASSOVER_YES);

	add(&p, PASSOVER_UNKILLABLE, 200, now + S);
	assert_int_equal(judge(&p, 200, now + S), PASSOVER_YES);
	assert_int_equal(judge(&p, 100, now + S), PASSOVER_YES);
	assert_int_equal(judge(&p, 101, now + S), PASSOVER_NOT); /* the soonest over */
	assert_int_equal(judge(&p, 102, now + S), PASSOVER_YES);

	/* A place of its own is not taken twice, and a free one comes first. */
	add(&p, PASSOVER_UNKILLABLE, 200, now + 2 * S);
	assert_int_equal(judge(&p, 102, now + S), PASSOVER_YES);
	passover_observe(&p, 0, NULL);
	add(&p, PASSOVER_UNKILLABLE, 201, now + 3 * S);
	assert_int_equal(judge(&p, 102, now + S), PASSOVER_YES);
	assert_int_equal(judge(&p, 201, now + 3 * S), PASSOVER_YES);
}

static void test_is_useless(void **state)
{
	static const struct {
		const char *name;
		uint64_t expected, freed; /* MiB */
		bool useless;
	} rows[] = {
		{ "all came back", 800, 800, false },
		{ "most came back", 800, 500, false },
		{ "5 of 800", 800, 5, true },
		{ "nothing", 800, 0, true },
		{ "others freed a little", 800, 5 + 40, true },
		{ "others freed enough to hide it", 800, 5 + 95, false },
		{ "just less than an eighth", 800, 99, true },
		{ "an eighth", 800, 100, false },
		{ "the smallest that can be told", 64, 7, true },
		{ "too small to tell", 63, 0, false },
		{ "nothing expected", 0, 0, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (passover_is_useless(rows[i].expected * MIB, rows[i].freed * MIB) !=
		    rows[i].useless)
			fail_msg("%s", rows[i].name);
	assert_false(passover_is_useless(800 * MIB, UINT64_MAX));
}

/* The useless one: "worker" of user 1000 in /pool, ended at 500 ticks; 100 ticks are a second. */
static void know_workers(struct passover *p)
{
	const struct passover_subject victim = {
		.pid = 10,
		.start_ticks = 400,
		.uid = 1000,
		.comm = "worker",
		.cgroup = "/pool",
	};

	passover_add_kind(p, &victim, 500, 1500, START);
}

static void test_judge_knows_the_kind(void **state)
{
	static const struct {
		const char *name;
		struct passover_subject subject;
		enum passover_verdict expected;
	} rows[] = {
		{ "a sibling", { 11, 401, 1000, "worker", "/pool" }, PASSOVER_KIND },
		{ "another in its cgroup", { 11, 1, 0, "master", "/pool" }, PASSOVER_KIND },
		{ "below its cgroup", { 11, 401, 1000, "worker", "/pool/1" }, PASSOVER_NOT },
		{ "beside its cgroup", { 11, 401, 1000, "worker", "/pool2" }, PASSOVER_NOT },
		{ "started again, elsewhere", { 11, 510, 1000, "worker", "/b" }, PASSOVER_KIND },
		{ "at the last moment", { 11, 1500, 1000, "worker", "/b" }, PASSOVER_KIND },
		{ "started later", { 11, 1501, 1000, "worker", "/b" }, PASSOVER_NOT },
		{ "started before", { 11, 499, 1000, "worker", "/b" }, PASSOVER_NOT },
		{ "another name", { 11, 510, 1000, "work", "/b" }, PASSOVER_NOT },
		{ "another user", { 11, 510, 1001, "worker", "/b" }, PASSOVER_NOT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct passover p = { 0 };

		assert_int_equal(passover_judge(&p, &rows[i].subject, START), PASSOVER_NOT);
		know_workers(&p);
		if (passover_judge(&p, &rows[i].subject, START) != rows[i].expected)
			fail_msg("%s", rows[i].name);
		assert_int_equal(passover_judge(&p, &rows[i].subject, START + 60 * S),
				 PASSOVER_NOT); /* it is forgotten */
	}
}

/* "server" of user 1000 in /pool had most of its memory in common with its relatives. */
static void test_judge_relatives_that_hold_the_memory_are_not_of_the_kind(void **state)
{
	static const struct {
		const char *name;
		struct passover_subject subject;
		enum passover_verdict shared, not_shared;
	} rows[] = {
		{ "its parent",
		  { 9, 1, 1000, "server", "/pool", 1, 9, 55 },
		  PASSOVER_NOT,
		  PASSOVER_KIND },
		{ "its child",
		  { 11, 401, 1000, "server", "/pool", 10, 9, 55 },
		  PASSOVER_NOT,
		  PASSOVER_KIND },
		{ "another child",
		  { 12, 401, 1000, "server", "/pool", 9, 8, 55 },
		  PASSOVER_NOT,
		  PASSOVER_KIND },
		{ "of its session",
		  { 13, 401, 1000, "server", "/pool", 1, 5, 55 },
		  PASSOVER_NOT,
		  PASSOVER_KIND },
		{ "another program",
		  { 14, 401, 1000, "server", "/pool", 9, 5, 56 },
		  PASSOVER_NOT,
		  PASSOVER_KIND },
		{ "another user's",
		  { 15, 401, 1001, "server", "/pool", 9, 5, 55 },
		  PASSOVER_NOT,
		  PASSOVER_KIND },
		{ "no relative",
		  { 16, 401, 1000, "server", "/pool", 7, 6, 55 },
		  PASSOVER_NOT,
		  PASSOVER_KIND },
		{ "not known",
		  { 17, 401, 1000, "server", "/pool", 9, 5, 0 },
		  PASSOVER_NOT,
		  PASSOVER_KIND },
		{ "started again",
		  { 18, 900, 1000, "server", "/pool", 7, 6, 56 },
		  PASSOVER_KIND,
		  PASSOVER_KIND },
	};
	struct passover_subject victim = { 10, 400, 1000, "server", "/pool", 9, 5, 55 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct passover shared = { 0 }, not_shared = { 0 };

		passover_add_kind(&not_shared, &victim, 500, 1500, START);
		victim.shares_memory = true;
		passover_add_kind(&shared, &victim, 500, 1500, START);
		victim.shares_memory = false;
		if (passover_judge(&shared, &rows[i].subject, START) != rows[i].shared ||
		    passover_judge(&not_shared, &rows[i].subject, START) != rows[i].not_shared)
			fail_msg("%s", rows[i].name);
	}
}

static void test_tries_are_counted(void **state)
{
	struct passover p = { 0 };

	for (unsigned i = 1; i < PASSOVER_TRIES; i++)
		assert_false(passover_is_evasive(&p, START + i));
	assert_true(passover_is_evasive(&p, START + S));
	assert_true(passover_is_evasive(&p, START + 2 * S)); /* another as well, at once */
	passover_confirm(&p);
	assert_false(passover_is_evasive(&p, START + 2 * S));
	for (unsigned i = 2; i < PASSOVER_TRIES; i++)
		assert_false(passover_is_evasive(&p, START + 3 * S));
	assert_false(passover_is_evasive(&p, START + 14 * S)); /* so long nothing of the kind */
}

static void test_judge_the_root_says_nothing(void **state)
{
	const struct passover_subject victim = { 10, 400, 1000, "worker", "/" };
	const struct passover_subject other = { 11, 510, 1000, "other", "/" };
	const struct passover_subject again = { 11, 510, 1000, "worker", "/" };
	struct passover p = { 0 };

	passover_add_kind(&p, &victim, 500, 1500, START);
	assert_int_equal(passover_judge(&p, &other, START), PASSOVER_NOT);
	assert_int_equal(passover_judge(&p, &again, START), PASSOVER_KIND);
}

static void test_spend_once(void **state)
{
	const struct passover_subject sibling = { 11, 401, 1000, "worker", "/pool" };
	const struct passover_subject elsewhere = { 12, 1, 0, "b", "/b" };
	struct passover p = { 0 };
	unsigned kinds;

	know_workers(&p);
	passover_add_kind(&p, &elsewhere, 0, 0, START);
	kinds = passover_kinds(&p, &sibling, START);
	assert_int_not_equal(kinds, 0);
	passover_spend(&p, kinds);
	assert_int_equal(passover_judge(&p, &sibling, START), PASSOVER_NOT);
	assert_int_equal(passover_judge(&p, &elsewhere, START), PASSOVER_KIND);
	know_workers(&p); /* useless again */
	assert_int_equal(passover_judge(&p, &sibling, START), PASSOVER_KIND);
}

static void test_add_kind_makes_room(void **state)
{
	struct passover p = { 0 };
	char path[16];
	struct passover_subject subject = { 10, 1, 0, "x", path };

	for (unsigned i = 0; i <= PASSOVER_KINDS_MAX; i++) {
		snprintf(path, sizeof(path), "/%u", i);
		passover_add_kind(&p, &subject, 0, 0, START + i);
		passover_add_kind(&p, &subject, 0, 0, START + i); /* known already */
	}
	for (unsigned i = 0; i <= PASSOVER_KINDS_MAX; i++) {
		snprintf(path, sizeof(path), "/%u", i);
		assert_int_equal(passover_judge(&p, &subject, START + S),
				 i == 0 ? PASSOVER_NOT : PASSOVER_KIND);
	}
}

/* What is certain comes before what is only likely. */
static void test_judge_says_the_worst(void **state)
{
	const struct passover_subject sibling = { 11, 7, 1000, "worker", "/pool" };
	struct passover p = { 0 };

	know_workers(&p);
	add(&p, PASSOVER_UNKILLABLE, 11, START);
	assert_int_equal(passover_judge(&p, &sibling, START), PASSOVER_YES);
	assert_int_equal(passover_judge(&p, &sibling, START + 31 * S), PASSOVER_IN_A_ROW);
	passover_succeed(&p, 99, 7);
	assert_int_equal(passover_judge(&p, &sibling, START + 31 * S), PASSOVER_KIND);
}

static void test_nothing_is_allocated(void **state)
{
	struct passover p = { 0 };

	if (!FAIL_MALLOC_WORKS) {
		print_message("SKIP: AddressSanitizer has its own malloc\n");
		skip();
	}
	n_mallocs = 0;
	fail_malloc = true;
	for (pid_t i = 0; i < 100; i++)
		add(&p, PASSOVER_UNKILLABLE, 100 + i, START);
	know_workers(&p);
	judge(&p, 100, START);
	fail_malloc = false;
	assert_int_equal(n_mallocs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_waits_longer_each_time),
		cmocka_unit_test(test_judge_goes_by_identity),
		cmocka_unit_test(test_judge_never_twice_in_a_row),
		cmocka_unit_test(test_observe_shortens_the_wait),
		cmocka_unit_test(test_observe_again_as_it_was),
		cmocka_unit_test(test_observe_forgets_who_is_gone),
		cmocka_unit_test(test_lingering_is_left_alone_until_it_grows),
		cmocka_unit_test(test_add_makes_room),
		cmocka_unit_test(test_is_useless),
		cmocka_unit_test(test_judge_knows_the_kind),
		cmocka_unit_test(test_judge_relatives_that_hold_the_memory_are_not_of_the_kind),
		cmocka_unit_test(test_tries_are_counted),
		cmocka_unit_test(test_judge_the_root_says_nothing),
		cmocka_unit_test(test_spend_once),
		cmocka_unit_test(test_add_kind_makes_room),
		cmocka_unit_test(test_judge_says_the_worst),
		cmocka_unit_test(test_nothing_is_allocated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
