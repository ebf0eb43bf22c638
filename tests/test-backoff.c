/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* backoff: what is not tried again without effect, in tables of what is seen and when. */
#include <stdio.h>
#include <string.h>

#include "lib/select/backoff.h"
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

static struct backoff_seen seen_of(pid_t pid)
{
	return (struct backoff_seen){
		.pid = pid,
		.start_ticks = 7,
		.state = 'D',
		.footprint = 100 * MIB,
	};
}

static usec_t add(struct backoff *p, enum backoff_why why, pid_t pid, usec_t now)
{
	struct backoff_seen seen = seen_of(pid);

	return backoff_add(p, why, &seen, now);
}

static enum backoff_verdict judge(const struct backoff *p, pid_t pid, usec_t now)
{
	struct backoff_subject subject = {
		.pid = pid,
		.start_ticks = 7,
		.comm = "x",
		.cgroup = "/x",
	};

	return backoff_judge(p, &subject, now);
}

static void test_add_waits_longer_each_time(void **state)
{
	static const usec_t expected[] = { 30, 60, 120, 240, 480, 600, 600, 600 };
	struct backoff p = { 0 };
	usec_t now = START;

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		assert_int_equal(add(&p, BACKOFF_UNKILLABLE, 10, now), expected[i] * S);
		assert_int_equal(judge(&p, 10, now), BACKOFF_SKIP);
		assert_int_equal(judge(&p, 10, now + expected[i] * S - 1), BACKOFF_SKIP);
		assert_int_not_equal(judge(&p, 10, now + expected[i] * S), BACKOFF_SKIP);
		now += expected[i] * S;
	}
	for (unsigned i = 0; i < 100; i++) /* and never less again */
		assert_int_equal(add(&p, BACKOFF_REFUSED, 10, now), 600 * S);
}

static void test_judge_compares_identity(void **state)
{
	struct backoff_subject another = {
		.pid = 10,
		.start_ticks = 8,
		.comm = "x",
		.cgroup = "/x",
	};
	struct backoff p = { 0 };

	assert_int_equal(judge(&p, 10, START), BACKOFF_NONE);
	add(&p, BACKOFF_UNKILLABLE, 10, START);
	assert_int_equal(judge(&p, 10, START), BACKOFF_SKIP);
	assert_int_equal(judge(&p, 11, START), BACKOFF_NONE);
	assert_int_equal(backoff_judge(&p, &another, START), BACKOFF_NONE);
}

static void test_judge_never_for_two_consecutive_ones(void **state)
{
	struct backoff p = { 0 };
	usec_t later = START + 100 * S;

	add(&p, BACKOFF_UNKILLABLE, 10, START);
	assert_int_equal(judge(&p, 10, later), BACKOFF_CONSECUTIVE);
	add(&p, BACKOFF_REFUSED, 11, START + S); /* another process was tried */
	assert_int_equal(judge(&p, 10, later), BACKOFF_NONE);
	assert_int_equal(judge(&p, 11, later), BACKOFF_CONSECUTIVE);
	backoff_succeed(&p, 12, 7); /* another process has exited */
	assert_int_equal(judge(&p, 11, later), BACKOFF_NONE);
	/* It comes to nothing in the end, too: the next wait is the second one. */
	assert_int_equal(add(&p, BACKOFF_UNKILLABLE, 10, later), 60 * S);
	backoff_succeed(&p, 10, 7);
	assert_int_equal(judge(&p, 10, later), BACKOFF_NONE);
	assert_int_equal(add(&p, BACKOFF_UNKILLABLE, 10, later), 30 * S);
}

static void test_observe_shortens_the_wait(void **state)
{
	static const struct {
		const char *name;
		enum backoff_why why;
		char before, after;
		bool frozen_before, frozen_after;
		bool shortens;
	} rows[] = {
		{ "as it was", BACKOFF_UNKILLABLE, 'D', 'D', false, false, false },
		{ "out of D", BACKOFF_UNKILLABLE, 'D', 'S', false, false, true },
		{ "into D", BACKOFF_UNKILLABLE, 'R', 'D', false, false, true },
		{ "continues", BACKOFF_UNKILLABLE, 'T', 'S', false, false, true },
		{ "let go by a tracer", BACKOFF_UNKILLABLE, 't', 'R', false, false, true },
		{ "stopped otherwise", BACKOFF_UNKILLABLE, 't', 'T', false, false, false },
		{ "runs and sleeps", BACKOFF_UNKILLABLE, 'S', 'R', false, false, false },
		{ "is idle", BACKOFF_UNKILLABLE, 'I', 'S', false, false, false },
		{ "exits", BACKOFF_UNKILLABLE, 'D', 'Z', false, false, true },
		{ "thawed (v1)", BACKOFF_UNKILLABLE, 'D', 'D', true, false, true },
		{ "thawed (v2)", BACKOFF_UNKILLABLE, 'S', 'S', true, false, true },
		{ "frozen", BACKOFF_UNKILLABLE, 'S', 'S', false, true, true },
		{ "still frozen", BACKOFF_UNKILLABLE, 'D', 'D', true, true, false },
		/* That has nothing to do with permission. */
		{ "refused", BACKOFF_REFUSED, 'D', 'S', true, false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct backoff_seen seen = seen_of(10);
		struct backoff p = { 0 };
		usec_t eighth = START + 30 * S / 8;
		bool shortens;

		seen.state = rows[i].before;
		seen.frozen = rows[i].frozen_before;
		backoff_add(&p, rows[i].why, &seen, START);
		seen.state = rows[i].after;
		seen.frozen = rows[i].frozen_after;
		backoff_observe(&p, 0, &seen);
		assert_int_equal(judge(&p, 10, eighth - 1), BACKOFF_SKIP); /* not at once */
		shortens = judge(&p, 10, eighth) != BACKOFF_SKIP;
		if (shortens != rows[i].shortens)
			fail_msg("%s", rows[i].name);
		/* Tried early, in vain: the wait is longer, and begins anew. */
		if (shortens) {
			assert_int_equal(backoff_add(&p, rows[i].why, &seen, eighth), 60 * S);
			assert_int_equal(judge(&p, 10, eighth + 60 * S - 1), BACKOFF_SKIP);
		}
	}
}

static void test_observe_again_as_it_was(void **state)
{
	struct backoff_seen seen = seen_of(10);
	struct backoff p = { 0 };

	backoff_add(&p, BACKOFF_UNKILLABLE, &seen, START);
	seen.state = 'S';
	backoff_observe(&p, 0, &seen);
	seen.state = 'D'; /* it was out of sight for a moment */
	backoff_observe(&p, 0, &seen);
	assert_int_equal(judge(&p, 10, START + 29 * S), BACKOFF_SKIP);
}

static void test_observe_drops_what_has_exited(void **state)
{
	struct backoff_seen another = seen_of(10);
	struct backoff p = { 0 };

	add(&p, BACKOFF_UNKILLABLE, 10, START);
	backoff_observe(&p, 0, NULL);
	assert_int_equal(judge(&p, 10, START), BACKOFF_NONE);
	assert_int_equal(p.entries[0].failed.pid, 0);
	add(&p, BACKOFF_UNKILLABLE, 10, START);
	another.start_ticks = 8; /* the pid is another process's */
	backoff_observe(&p, 0, &another);
	assert_int_equal(p.entries[0].failed.pid, 0);
}

static void test_still_exiting_is_skipped_until_it_grows(void **state)
{
	struct backoff_seen seen = seen_of(10);
	struct backoff p = { 0 };

	seen.footprint = 2 * MIB;
	backoff_add(&p, BACKOFF_STILL_EXITING, &seen, START);
	assert_int_equal(judge(&p, 10, START + 3600 * S), BACKOFF_SKIP);
	seen.footprint = 18 * MIB;
	seen.state = 'S'; /* whatever it does meanwhile */
	backoff_observe(&p, 0, &seen);
	assert_int_equal(judge(&p, 10, START + 3600 * S), BACKOFF_SKIP);
	seen.footprint = 18 * MIB + 1;
	backoff_observe(&p, 0, &seen);
	assert_int_equal(judge(&p, 10, START + 3600 * S), BACKOFF_NONE);
}

static void test_add_makes_room(void **state)
{
	struct backoff p = { 0 };
	usec_t now = START;

	/* 100: tried thrice, so for 120 s from now + 90 s; the others for 30 s, one after another.
	 */
	add(&p, BACKOFF_UNKILLABLE, 100, now);
	add(&p, BACKOFF_UNKILLABLE, 100, now + 30 * S);
	add(&p, BACKOFF_UNKILLABLE, 100, now + 90 * S);
	now += 90 * S;
	for (pid_t i = 1; i < BACKOFF_MAX; i++)
		add(&p, BACKOFF_UNKILLABLE, 100 + i, now + (usec_t)i);
	for (pid_t i = 0; i < BACKOFF_MAX; i++)
		assert_int_equal(judge(&p, 100 + i, now + S), BACKOFF_SKIP);

	add(&p, BACKOFF_UNKILLABLE, 200, now + S);
	assert_int_equal(judge(&p, 200, now + S), BACKOFF_SKIP);
	assert_int_equal(judge(&p, 100, now + S), BACKOFF_SKIP);
	assert_int_equal(judge(&p, 101, now + S), BACKOFF_NONE); /* the soonest over */
	assert_int_equal(judge(&p, 102, now + S), BACKOFF_SKIP);

	/* A place of its own is not taken twice, and a free one comes first. */
	add(&p, BACKOFF_UNKILLABLE, 200, now + 2 * S);
	assert_int_equal(judge(&p, 102, now + S), BACKOFF_SKIP);
	backoff_observe(&p, 0, NULL);
	add(&p, BACKOFF_UNKILLABLE, 201, now + 3 * S);
	assert_int_equal(judge(&p, 102, now + S), BACKOFF_SKIP);
	assert_int_equal(judge(&p, 201, now + 3 * S), BACKOFF_SKIP);
}

static void test_is_ineffective(void **state)
{
	static const struct {
		const char *name;
		uint64_t expected, freed; /* MiB */
		bool ineffective;
	} rows[] = {
		{ "all reclaimed", 800, 800, false },
		{ "most reclaimed", 800, 500, false },
		{ "5 of 800", 800, 5, true },
		{ "nothing", 800, 0, true },
		{ "others freed a little", 800, 5 + 40, true },
		{ "others freed enough to hide it", 800, 5 + 95, false },
		{ "just less than an eighth", 800, 99, true },
		{ "an eighth", 800, 100, false },
		{ "the smallest that counts", 64, 7, true },
		{ "too small to tell", 63, 0, false },
		{ "nothing expected", 0, 0, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (backoff_is_ineffective(rows[i].expected * MIB, rows[i].freed * MIB) !=
		    rows[i].ineffective)
			fail_msg("%s", rows[i].name);
	assert_false(backoff_is_ineffective(800 * MIB, UINT64_MAX));
}

/* The ineffective one: "worker" of user 1000 in /pool, killed at 500 ticks; 100 ticks are a second.
 */
static void know_workers(struct backoff *p)
{
	const struct backoff_subject victim = {
		.pid = 10,
		.start_ticks = 400,
		.uid = 1000,
		.comm = "worker",
		.cgroup = "/pool",
	};

	backoff_add_kind(p, &victim, 500, 1500, START);
}

static void test_judge_knows_the_kind(void **state)
{
	static const struct {
		const char *name;
		struct backoff_subject subject;
		enum backoff_verdict expected;
	} rows[] = {
		{ "a sibling", { 11, 401, 1000, "worker", "/pool" }, BACKOFF_SIMILAR },
		{ "another in its cgroup", { 11, 1, 0, "master", "/pool" }, BACKOFF_SIMILAR },
		{ "below its cgroup", { 11, 401, 1000, "worker", "/pool/1" }, BACKOFF_NONE },
		{ "beside its cgroup", { 11, 401, 1000, "worker", "/pool2" }, BACKOFF_NONE },
		{ "started again, elsewhere", { 11, 510, 1000, "worker", "/b" }, BACKOFF_SIMILAR },
		{ "at the last moment", { 11, 1500, 1000, "worker", "/b" }, BACKOFF_SIMILAR },
		{ "started later", { 11, 1501, 1000, "worker", "/b" }, BACKOFF_NONE },
		{ "started before", { 11, 499, 1000, "worker", "/b" }, BACKOFF_NONE },
		{ "another name", { 11, 510, 1000, "work", "/b" }, BACKOFF_NONE },
		{ "another user", { 11, 510, 1001, "worker", "/b" }, BACKOFF_NONE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct backoff p = { 0 };

		assert_int_equal(backoff_judge(&p, &rows[i].subject, START), BACKOFF_NONE);
		know_workers(&p);
		if (backoff_judge(&p, &rows[i].subject, START) != rows[i].expected)
			fail_msg("%s", rows[i].name);
		assert_int_equal(backoff_judge(&p, &rows[i].subject, START + 60 * S),
				 BACKOFF_NONE); /* it is forgotten */
	}
}

/* "server" of user 1000 in /pool had most of its memory in common with its relatives. */
static void test_judge_relatives_that_hold_the_memory_are_not_of_the_kind(void **state)
{
	static const struct {
		const char *name;
		struct backoff_subject subject;
		enum backoff_verdict shared, not_shared;
	} rows[] = {
		{ "its parent",
		  { 9, 1, 1000, "server", "/pool", 1, 9, 55 },
		  BACKOFF_NONE,
		  BACKOFF_SIMILAR },
		{ "its child",
		  { 11, 401, 1000, "server", "/pool", 10, 9, 55 },
		  BACKOFF_NONE,
		  BACKOFF_SIMILAR },
		{ "another child",
		  { 12, 401, 1000, "server", "/pool", 9, 8, 55 },
		  BACKOFF_NONE,
		  BACKOFF_SIMILAR },
		{ "of its session",
		  { 13, 401, 1000, "server", "/pool", 1, 5, 55 },
		  BACKOFF_NONE,
		  BACKOFF_SIMILAR },
		{ "another program",
		  { 14, 401, 1000, "server", "/pool", 9, 5, 56 },
		  BACKOFF_NONE,
		  BACKOFF_SIMILAR },
		{ "another user's",
		  { 15, 401, 1001, "server", "/pool", 9, 5, 55 },
		  BACKOFF_NONE,
		  BACKOFF_SIMILAR },
		{ "no relative",
		  { 16, 401, 1000, "server", "/pool", 7, 6, 55 },
		  BACKOFF_NONE,
		  BACKOFF_SIMILAR },
		{ "not known",
		  { 17, 401, 1000, "server", "/pool", 9, 5, 0 },
		  BACKOFF_NONE,
		  BACKOFF_SIMILAR },
		{ "started again",
		  { 18, 900, 1000, "server", "/pool", 7, 6, 56 },
		  BACKOFF_SIMILAR,
		  BACKOFF_SIMILAR },
	};
	struct backoff_subject victim = { 10, 400, 1000, "server", "/pool", 9, 5, 55 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct backoff shared = { 0 }, not_shared = { 0 };

		backoff_add_kind(&not_shared, &victim, 500, 1500, START);
		victim.shares_memory = true;
		backoff_add_kind(&shared, &victim, 500, 1500, START);
		victim.shares_memory = false;
		if (backoff_judge(&shared, &rows[i].subject, START) != rows[i].shared ||
		    backoff_judge(&not_shared, &rows[i].subject, START) != rows[i].not_shared)
			fail_msg("%s", rows[i].name);
	}
}

/* Its relatives had touched nothing of it when its share was measured; they may have since. */
static void test_relatives_of_one_that_maps_shared_memory(void **state)
{
	struct backoff_subject victim = { 10, 400, 1000, "server", "/pool", 9, 5, 55 };
	const struct backoff_subject child = { 11, 401, 1000, "server", "/pool", 10, 5, 55 };
	const struct backoff_subject other = { 12, 401, 1000, "server", "/pool", 7, 6, 55 };
	struct backoff p = { 0 };

	victim.maps_shmem = true;
	backoff_add_kind(&p, &victim, 500, 1500, START);
	assert_int_equal(backoff_judge(&p, &child, START), BACKOFF_NONE);
	assert_int_equal(backoff_judge(&p, &other, START), BACKOFF_SIMILAR);
}

static void test_tries_are_counted(void **state)
{
	struct backoff p = { 0 };

	for (unsigned i = 1; i < BACKOFF_TRIES; i++)
		assert_false(backoff_is_evasive(&p, START + i));
	assert_true(backoff_is_evasive(&p, START + S));
	assert_true(backoff_is_evasive(&p, START + 2 * S)); /* another as well, at once */
	backoff_confirm(&p);
	assert_false(backoff_is_evasive(&p, START + 2 * S));
	for (unsigned i = 2; i < BACKOFF_TRIES; i++)
		assert_false(backoff_is_evasive(&p, START + 3 * S));
	assert_false(backoff_is_evasive(&p, START + 14 * S)); /* so long nothing of the kind */
}

static void test_judge_ignores_the_root(void **state)
{
	const struct backoff_subject victim = { 10, 400, 1000, "worker", "/" };
	const struct backoff_subject other = { 11, 510, 1000, "other", "/" };
	const struct backoff_subject again = { 11, 510, 1000, "worker", "/" };
	struct backoff p = { 0 };

	backoff_add_kind(&p, &victim, 500, 1500, START);
	assert_int_equal(backoff_judge(&p, &other, START), BACKOFF_NONE);
	assert_int_equal(backoff_judge(&p, &again, START), BACKOFF_SIMILAR);
}

static void test_spend_once(void **state)
{
	const struct backoff_subject sibling = { 11, 401, 1000, "worker", "/pool" };
	const struct backoff_subject elsewhere = { 12, 1, 0, "b", "/b" };
	struct backoff p = { 0 };
	unsigned kinds;

	know_workers(&p);
	backoff_add_kind(&p, &elsewhere, 0, 0, START);
	kinds = backoff_kinds(&p, &sibling, START);
	assert_int_not_equal(kinds, 0);
	backoff_spend(&p, kinds);
	assert_int_equal(backoff_judge(&p, &sibling, START), BACKOFF_NONE);
	assert_int_equal(backoff_judge(&p, &elsewhere, START), BACKOFF_SIMILAR);
	know_workers(&p); /* ineffective again */
	assert_int_equal(backoff_judge(&p, &sibling, START), BACKOFF_SIMILAR);
}

static void test_add_kind_makes_room(void **state)
{
	struct backoff p = { 0 };
	char path[16];
	struct backoff_subject subject = { 10, 1, 0, "x", path };

	for (unsigned i = 0; i <= BACKOFF_SIMILAR_MAX; i++) {
		snprintf(path, sizeof(path), "/%u", i);
		backoff_add_kind(&p, &subject, 0, 0, START + i);
		backoff_add_kind(&p, &subject, 0, 0, START + i); /* known already */
	}
	for (unsigned i = 0; i <= BACKOFF_SIMILAR_MAX; i++) {
		snprintf(path, sizeof(path), "/%u", i);
		assert_int_equal(backoff_judge(&p, &subject, START + S),
				 i == 0 ? BACKOFF_NONE : BACKOFF_SIMILAR);
	}
}

/* What is certain comes before what is only likely. */
static void test_judge_returns_the_worst(void **state)
{
	const struct backoff_subject sibling = { 11, 7, 1000, "worker", "/pool" };
	struct backoff p = { 0 };

	know_workers(&p);
	add(&p, BACKOFF_UNKILLABLE, 11, START);
	assert_int_equal(backoff_judge(&p, &sibling, START), BACKOFF_SKIP);
	assert_int_equal(backoff_judge(&p, &sibling, START + 31 * S), BACKOFF_CONSECUTIVE);
	backoff_succeed(&p, 99, 7);
	assert_int_equal(backoff_judge(&p, &sibling, START + 31 * S), BACKOFF_SIMILAR);
}

static void test_nothing_is_allocated(void **state)
{
	struct backoff p = { 0 };

	if (!FAIL_MALLOC_WORKS) {
		print_message("SKIP: AddressSanitizer has its own malloc\n");
		skip();
	}
	n_mallocs = 0;
	fail_malloc = true;
	for (pid_t i = 0; i < 100; i++)
		add(&p, BACKOFF_UNKILLABLE, 100 + i, START);
	know_workers(&p);
	judge(&p, 100, START);
	fail_malloc = false;
	assert_int_equal(n_mallocs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_waits_longer_each_time),
		cmocka_unit_test(test_judge_compares_identity),
		cmocka_unit_test(test_judge_never_for_two_consecutive_ones),
		cmocka_unit_test(test_observe_shortens_the_wait),
		cmocka_unit_test(test_observe_again_as_it_was),
		cmocka_unit_test(test_observe_drops_what_has_exited),
		cmocka_unit_test(test_still_exiting_is_skipped_until_it_grows),
		cmocka_unit_test(test_add_makes_room),
		cmocka_unit_test(test_is_ineffective),
		cmocka_unit_test(test_judge_knows_the_kind),
		cmocka_unit_test(test_judge_relatives_that_hold_the_memory_are_not_of_the_kind),
		cmocka_unit_test(test_relatives_of_one_that_maps_shared_memory),
		cmocka_unit_test(test_tries_are_counted),
		cmocka_unit_test(test_judge_ignores_the_root),
		cmocka_unit_test(test_spend_once),
		cmocka_unit_test(test_add_kind_makes_room),
		cmocka_unit_test(test_judge_returns_the_worst),
		cmocka_unit_test(test_nothing_is_allocated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
