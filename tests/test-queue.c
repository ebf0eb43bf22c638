/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* queue: jobs that finish are told from workers that are replaced. */
#include <string.h>

#include "lib/select/queue.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define S     USEC_PER_SEC
#define START (1000 * S)

static const struct streak_subject JOB = {
	.cgroup = "/q",
	.comm = "job",
	.ppid = 7,
	.uid = 1000,
	.session = 5,
	.stack_start = 1,
};

static const struct {
	const char *name;
	struct {
		unsigned at, age; /* seconds; at 0: the end */
		unsigned n_alike; /* 0: others were killed with it */
		const char *comm; /* NULL: as the others */
	} kills[6];
	unsigned now, n_left;
	unsigned n_finished;
	bool is_queue;
} rows_of_finished[] = {
	{ "no kill", { { 0 } }, 10, 5, 0, false },
	{ "nothing else has happened", { { 10, 9, 8 } }, 11, 7, 0, false },
	{ "a server: each start is for a kill",
	  { { 10, 9, 8 }, { 12, 11, 8 }, { 14, 3, 8 }, { 16, 1, 8 } },
	  17,
	  6,
	  0,
	  false },
	{ "one of the workers has exited by itself",
	  { { 10, 9, 8 }, { 12, 11, 8 }, { 14, 3, 8 }, { 16, 1, 8 } },
	  17,
	  5,
	  1,
	  false },
	{ "two have: one for two kills",
	  { { 10, 9, 8 }, { 12, 11, 8 }, { 14, 3, 8 }, { 16, 1, 8 } },
	  17,
	  4,
	  2,
	  true },
	{ "one kill, one is done", { { 10, 9, 8 } }, 11, 6, 1, true },
	{ "a storm: none exits", { { 10, 9, 40 }, { 12, 11, 80 } }, 13, 38, 0, false },
	{ "more are left than were known", { { 10, 9, 8 } }, 11, 12, 0, false },
	{ "the first kill is long ago", { { 10, 9, 8 }, { 65, 64, 8 } }, 71, 5, 2, true },
	{ "many were killed with one: from then on",
	  { { 10, 9, 8 }, { 12, 11, 0 }, { 14, 1, 4 } },
	  15,
	  2,
	  1,
	  true },
	{ "started in the moment of the first kill",
	  { { 10, 9, 8 }, { 12, 2, 8 } },
	  13,
	  5,
	  1,
	  true },
	{ "another program was killed, too", { { 10, 9, 8 }, { 12, 11, 8, "x" } }, 13, 6, 1, true },
	{ "many of another program were", { { 10, 9, 8 }, { 12, 11, 0, "x" } }, 13, 6, 1, true },
	{ "many with the last", { { 10, 9, 8 }, { 12, 11, 0 } }, 13, 0, 0, false },
};

/* Kills, and how many of those of the first one are left. */
static void test_finished(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows_of_finished); i++) {
		static struct streak streak;
		struct queue queue;

		print_message("%s\n", rows_of_finished[i].name);
		streak = (struct streak){ 0 };
		for (unsigned j = 0; rows_of_finished[i].kills[j].at != 0; j++) {
			struct streak_subject subject = JOB;

			subject.age = rows_of_finished[i].kills[j].age * S;
			subject.n_alike = rows_of_finished[i].kills[j].n_alike;
			if (rows_of_finished[i].kills[j].comm) {
				subject.comm = rows_of_finished[i].kills[j].comm;
				subject.stack_start = 2;
			}
			streak_add(&streak, &subject, START + rows_of_finished[i].kills[j].at * S);
		}
		queue_since(&streak, &JOB, START + rows_of_finished[i].now * S, &queue);
		assert_int_equal(queue_finished(&queue, rows_of_finished[i].n_left),
				 rows_of_finished[i].n_finished);
		assert_int_equal(queue_is_one(&queue, rows_of_finished[i].n_left),
				 rows_of_finished[i].is_queue);
	}
}

static void test_which_kills_count(void **state)
{
	static const struct {
		const char *name;
		struct streak_subject subject;
		bool counts;
	} rows[] = {
		{ "the same", { "/q", "job", 7, 1000, 5, 0, 1 }, true },
		{ "of another parent, in the session", { "/q", "job", 8, 1000, 5, 0, 2 }, true },
		{ "of another session, of the parent", { "/q", "job", 7, 1000, 6, 0, 2 }, true },
		{ "of neither", { "/q", "job", 8, 1000, 6, 0, 1 }, false },
		{ "no session is known", { "/q", "job", 8, 1000, 0, 0, 1 }, false },
		{ "another user's", { "/q", "job", 7, 1001, 5, 0, 1 }, false },
		{ "a fork with another name", { "/q", "n2", 7, 1000, 5, 0, 1 }, true },
		{ "another program", { "/q", "n2", 7, 1000, 5, 0, 2 }, false },
		{ "a fork of another parent", { "/q", "n2", 8, 1000, 5, 0, 1 }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		static struct streak streak;
		struct streak_subject first = JOB;
		struct queue queue;

		print_message("%s\n", rows[i].name);
		streak = (struct streak){ 0 };
		first.n_alike = 4;
		streak_add(&streak, &first, START);
		queue_since(&streak, &rows[i].subject, START + S, &queue);
		assert_int_equal(queue.since, rows[i].counts ? START : 0);
		assert_int_equal(queue.n_then, rows[i].counts ? 4 : 0);
		assert_int_equal(queue.n_kills, rows[i].counts);
	}
}

/* The ring of kills has gone round: the first place has the last one. */
static void test_the_first_of_many_kills(void **state)
{
	static struct streak streak;
	struct streak_subject subject = JOB;
	struct queue queue;

	for (unsigned i = 0; i <= STREAK_MAX; i++) {
		subject.n_alike = 100 + i;
		streak_add(&streak, &subject, START + i);
	}
	queue_since(&streak, &JOB, START + S, &queue);
	assert_int_equal(queue.since, START + 1);
	assert_int_equal(queue.n_then, 101);
	assert_int_equal(queue.n_kills, STREAK_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finished),
		cmocka_unit_test(test_which_kills_count),
		cmocka_unit_test(test_the_first_of_many_kills),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
