/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* respawn: chains of kills after each of which one program was started again. */
#include <string.h>

#include "lib/select/respawn.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define TENTH (USEC_PER_SEC / 10)

static const struct {
	const char *name;
	struct victim {
		unsigned started, at; /* at 0: the end */
		uint64_t hash;
		const char *comm;
		pid_t ppid, session;
		uint64_t stack;
	} victims[8];
	unsigned n, n_same; /* by the last one */
	bool is_loop;
} loads_started_again[] = {
	{ "a service with Restart=always",
	  { { 10, 50, 9, "leak", 1, 20, 1 },
	    { 51, 90, 9, "leak", 1, 21, 2 },
	    { 91, 130, 9, "leak", 1, 22, 3 },
	    { 131, 170, 9, "leak", 1, 23, 4 } },
	  3,
	  3,
	  true },
	{ "once less",
	  { { 10, 50, 9, "leak", 1, 20, 1 },
	    { 51, 90, 9, "leak", 1, 21, 2 },
	    { 91, 130, 9, "leak", 1, 22, 3 } },
	  2,
	  2,
	  false },
	{ "in a loop, below a shell each",
	  { { 10, 50, 9, "leak", 30, 7, 1 },
	    { 60, 90, 9, "leak", 31, 7, 2 },
	    { 100, 130, 9, "leak", 32, 7, 3 },
	    { 140, 170, 9, "leak", 33, 7, 4 } },
	  3,
	  3,
	  true },
	{ "its supervisor waits for five seconds",
	  { { 10, 50, 9, "leak", 7, 7, 1 },
	    { 100, 150, 9, "leak", 7, 7, 2 },
	    { 200, 250, 9, "leak", 7, 7, 3 },
	    { 300, 350, 9, "leak", 7, 7, 4 } },
	  3,
	  3,
	  true },
	{ "for longer: kills are spaced by that",
	  { { 10, 50, 9, "leak", 7, 7, 1 },
	    { 101, 150, 9, "leak", 7, 7, 2 },
	    { 201, 250, 9, "leak", 7, 7, 3 },
	    { 301, 350, 9, "leak", 7, 7, 4 } },
	  0,
	  0,
	  false },
	{ "it runs for half a minute each time",
	  { { 10, 50, 9, "leak", 7, 7, 1 },
	    { 51, 351, 9, "leak", 7, 7, 2 },
	    { 352, 652, 9, "leak", 7, 7, 3 },
	    { 653, 953, 9, "leak", 7, 7, 4 } },
	  3,
	  3,
	  true },
	{ "for longer: a kill gives time",
	  { { 10, 50, 9, "leak", 7, 7, 1 },
	    { 51, 352, 9, "leak", 7, 7, 2 },
	    { 353, 654, 9, "leak", 7, 7, 3 },
	    { 655, 956, 9, "leak", 7, 7, 4 } },
	  0,
	  0,
	  false },
	{ "a loop of which a round was done",
	  { { 10, 50, 9, "job", 7, 7, 1 },
	    { 51, 90, 9, "job", 7, 7, 2 },
	    { 151, 190, 9, "job", 7, 7, 3 }, /* from 91 on another one ran */
	    { 191, 230, 9, "job", 7, 7, 4 } },
	  1,
	  1,
	  false },
	{ "a queue: other arguments",
	  { { 10, 50, 1, "job", 7, 7, 1 },
	    { 51, 90, 2, "job", 7, 7, 2 },
	    { 91, 130, 3, "job", 7, 7, 3 },
	    { 131, 170, 4, "job", 7, 7, 4 } },
	  0,
	  0,
	  false },
	{ "the arguments of the first were not read",
	  { { 10, 50, 0, "leak", 7, 7, 1 },
	    { 51, 90, 9, "leak", 7, 7, 2 },
	    { 91, 130, 9, "leak", 7, 7, 3 },
	    { 131, 170, 9, "leak", 7, 7, 4 } },
	  3,
	  2,
	  true },
	{ "of two",
	  { { 10, 50, 0, "leak", 7, 7, 1 },
	    { 51, 90, 0, "leak", 7, 7, 2 },
	    { 91, 130, 9, "leak", 7, 7, 3 },
	    { 131, 170, 9, "leak", 7, 7, 4 } },
	  3,
	  1,
	  false },
	{ "nor were those of the last",
	  { { 10, 50, 9, "leak", 7, 7, 1 },
	    { 51, 90, 9, "leak", 7, 7, 2 },
	    { 91, 130, 9, "leak", 7, 7, 3 },
	    { 131, 170, 0, "leak", 7, 7, 4 } },
	  3,
	  0,
	  false },
	{ "none were read",
	  { { 10, 50, 0, "leak", 7, 7, 1 },
	    { 51, 90, 0, "leak", 7, 7, 2 },
	    { 91, 130, 0, "leak", 7, 7, 3 },
	    { 131, 170, 0, "leak", 7, 7, 4 } },
	  3,
	  0,
	  false },
	{ "started in the moment of the signal",
	  { { 10, 50, 9, "leak", 7, 7, 1 }, { 50, 90, 9, "leak", 7, 7, 2 } },
	  1,
	  1,
	  false },
	{ "forks: the next job of a queue looks the same",
	  { { 10, 50, 9, "python3", 7, 7, 1 },
	    { 51, 90, 9, "python3", 7, 7, 1 },
	    { 91, 130, 9, "python3", 7, 7, 1 },
	    { 131, 170, 9, "python3", 7, 7, 1 } },
	  0,
	  0,
	  false },
	{ "different programs",
	  { { 10, 50, 9, "a", 7, 7, 1 },
	    { 51, 90, 9, "b", 7, 7, 2 },
	    { 91, 130, 9, "a", 7, 7, 3 },
	    { 131, 170, 9, "b", 7, 7, 4 } },
	  1,
	  1,
	  false },
	{ "started by different parents",
	  { { 10, 50, 9, "leak", 7, 7, 1 },
	    { 51, 90, 9, "leak", 8, 8, 2 },
	    { 91, 130, 9, "leak", 9, 9, 3 },
	    { 131, 170, 9, "leak", 10, 10, 4 } },
	  0,
	  0,
	  false },
	{ "its age is not known",
	  { { 10, 50, 9, "leak", 7, 7, 1 },
	    { 51, 90, 9, "leak", 7, 7, 2 },
	    { 0, 130, 9, "leak", 7, 7, 3 } },
	  0,
	  0,
	  false },
};

/* One load after another: when each of its victims was started and killed, tenths of a second. */
static void test_a_program_that_is_started_again_is_told_from_jobs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(loads_started_again); i++) {
		static struct streak streak;
		struct respawn respawn = { 0 };

		streak = (struct streak){ 0 };
		for (const struct victim *v = loads_started_again[i].victims; v->at != 0; v++) {
			const struct streak_subject subject = {
				.cgroup = "/a",
				.comm = v->comm,
				.ppid = v->ppid,
				.session = v->session,
				.age = v->started == 0 ? 0 : (v->at - v->started) * TENTH,
				.stack_start = v->stack,
				.args_length = 20,
				.args_hash = v->hash,
			};

			respawn_count(&streak, &subject, v->at * TENTH, &respawn);
			streak_add(&streak, &subject, v->at * TENTH);
		}
		print_message("%s\n", loads_started_again[i].name);
		assert_int_equal(respawn.n, loads_started_again[i].n);
		assert_int_equal(respawn.n_same, loads_started_again[i].n_same);
		assert_int_equal(respawn_is_loop(&respawn), loads_started_again[i].is_loop);
	}
}

static void test_the_last_kill_is_told(void **state)
{
	static struct streak streak;
	struct streak_subject subject = { .cgroup = "/a", .comm = "leak", .ppid = 7, .age = 1 };
	struct respawn respawn;

	(void)state;
	for (unsigned i = 1; i <= STREAK_MAX + 4; i++)
		streak_add(&streak, &subject, i * TENTH);
	respawn_count(&streak, &subject, (STREAK_MAX + 5) * TENTH, &respawn);
	assert_int_equal(respawn.killed_at, (STREAK_MAX + 4) * TENTH);
	assert_int_equal(respawn.n, STREAK_MAX);
	subject.uid = 1;
	respawn_count(&streak, &subject, (STREAK_MAX + 5) * TENTH, &respawn);
	assert_int_equal(respawn.killed_at, 0);
}

static void test_is_small(void **state)
{
	(void)state;
	assert_true(respawn_is_small(2 * MIB, 16 * MIB));
	assert_false(respawn_is_small(2 * MIB + 1, 16 * MIB));
	assert_true(respawn_is_small(32 * MIB, GIB));
	assert_false(respawn_is_small(32 * MIB + 1, GIB));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_program_that_is_started_again_is_told_from_jobs),
		cmocka_unit_test(test_the_last_kill_is_told),
		cmocka_unit_test(test_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
