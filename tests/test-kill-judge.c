/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tests of lib/kill/kill-judge.c: what a kill has come to, by tables. */
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include "lib/kill/kill.h"
#include "lib/sys/proc.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* The judgement.  A gibibyte is expected of most; 7/8 of it counts as reclaimed. */
#define TIMEOUT	 (2 * USEC_PER_SEC)
#define GRACE	 (5 * USEC_PER_SEC)
#define EARLY	 (TIMEOUT - 1)
#define LATE	 TIMEOUT
#define IN_GRACE (GRACE - 1)
#define BEFORE	 (3 * GIB) /* available */
#define SAME	 BEFORE
#define RISEN	 (BEFORE + GIB - GIB / 8)
#define ALMOST	 (RISEN - 1)
#define SMALL	 (16 * MIB - 1)
#define UNKNOWN	 UINT64_MAX

#define WAIT	   KILL_PROGRESS_WAIT
#define EXITED	   KILL_PROGRESS_EXITED
#define RECLAIMED  KILL_PROGRESS_RECLAIMED
#define ESCALATE   KILL_PROGRESS_ESCALATE
#define CANCELLED  KILL_PROGRESS_CANCELLED
#define UNKILLABLE KILL_PROGRESS_UNKILLABLE

/* clang-format off */
static const struct {
	const char *name;
	int signal;
	bool gone;
	usec_t since_signal;
	bool emergency_holds;
	bool next_level;
	uint64_t expected_bytes, available_now, footprint_now;
	enum kill_progress progress;
} judge_cases[] = {
	{ "nothing sent",                    0,       0, LATE,     1, 1, GIB,        RISEN,  0,           WAIT },

	{ "gone",                            SIGKILL, 1, LATE,     1, 1, GIB,        SAME,   UNKNOWN,     EXITED },
	{ "gone, and memory reclaimed",      SIGKILL, 1, EARLY,    0, 0, GIB,        RISEN,  0,           EXITED },
	{ "reclaimed at once",               SIGKILL, 0, 0,        1, 0, GIB,        RISEN,  UNKNOWN,     RECLAIMED },
	{ "reclaimed after the timeout",     SIGKILL, 0, LATE,     1, 0, GIB,        RISEN,  UNKNOWN,     RECLAIMED },
	{ "reclaimed, and it reads empty",   SIGKILL, 0, 0,        1, 0, GIB,        RISEN,  GIB / 8,     RECLAIMED },
	{ "reclaimed, but another's",        SIGKILL, 0, 0,        1, 0, GIB,        RISEN,  GIB,         WAIT },
	{ "another's, after the timeout",    SIGKILL, 0, LATE,     1, 0, GIB,        RISEN,  GIB,         UNKILLABLE },
	{ "almost reclaimed",                SIGKILL, 0, EARLY,    1, 0, GIB,        ALMOST, UNKNOWN,     WAIT },
	{ "within the timeout",              SIGKILL, 0, EARLY,    1, 1, GIB,        SAME,   UNKNOWN,     WAIT },
	{ "reads 0, still freeing",          SIGKILL, 0, EARLY,    1, 1, GIB,        SAME,   0,           WAIT },
	{ "less available than before",      SIGKILL, 0, EARLY,    1, 0, GIB,        0,      GIB,         WAIT },
	{ "stuck",                           SIGKILL, 0, LATE,     1, 1, GIB,        SAME,   UNKNOWN,     UNKILLABLE },
	{ "stuck, emergency over",           SIGKILL, 0, LATE,     0, 0, GIB,        SAME,   GIB,         UNKILLABLE },
	{ "stuck, almost reclaimed",         SIGKILL, 0, LATE,     1, 0, GIB,        ALMOST, GIB,         UNKILLABLE },
	{ "drained, and taken by others",    SIGKILL, 0, LATE,     1, 0, GIB,        SAME,   0,           RECLAIMED },
	{ "an eighth left",                  SIGKILL, 0, LATE,     1, 0, GIB,        SAME,   GIB / 8,     RECLAIMED },
	{ "more than an eighth left",        SIGKILL, 0, LATE,     1, 0, GIB,        SAME,   GIB / 8 + 1, UNKILLABLE },
	{ "small: available shows nothing",  SIGKILL, 0, EARLY,    1, 0, SMALL,      RISEN,  UNKNOWN,     WAIT },
	{ "just not small",                  SIGKILL, 0, EARLY,    1, 0, SMALL + 1,  RISEN,  UNKNOWN,     RECLAIMED },
	{ "small, stuck",                    SIGKILL, 0, LATE,     1, 0, SMALL,      RISEN,  SMALL,       UNKILLABLE },
	{ "small, drained",                  SIGKILL, 0, LATE,     1, 0, SMALL,      SAME,   0,           RECLAIMED },
	{ "expected beyond all bounds",      SIGKILL, 0, EARLY,    1, 0, UINT64_MAX, RISEN,  UNKNOWN,     WAIT },

	{ "SIGTERM, gone",                   SIGTERM, 1, 0,        1, 1, GIB,        SAME,   UNKNOWN,     EXITED },
	{ "SIGTERM, next level",             SIGTERM, 0, 0,        1, 1, GIB,        SAME,   UNKNOWN,     ESCALATE },
	{ "SIGTERM, reclaimed, next level",  SIGTERM, 0, 0,        0, 1, GIB,        RISEN,  UNKNOWN,     ESCALATE },
	{ "SIGTERM, in its grace",           SIGTERM, 0, IN_GRACE, 1, 0, GIB,        SAME,   UNKNOWN,     WAIT },
	{ "SIGTERM, emergency over",         SIGTERM, 0, IN_GRACE, 0, 0, GIB,        SAME,   UNKNOWN,     WAIT },
	{ "SIGTERM, over, reclaimed",        SIGTERM, 0, 0,        0, 0, GIB,        RISEN,  UNKNOWN,     RECLAIMED },
	{ "SIGTERM, emergency over, almost", SIGTERM, 0, 0,        0, 0, GIB,        ALMOST, UNKNOWN,     WAIT },
	{ "SIGTERM, reclaimed, holds",       SIGTERM, 0, IN_GRACE, 1, 0, GIB,        RISEN,  0,           WAIT },
	{ "SIGTERM, small, emergency over",  SIGTERM, 0, 0,        0, 0, SMALL,      RISEN,  UNKNOWN,     WAIT },
	{ "grace over, emergency holds",     SIGTERM, 0, GRACE,    1, 0, GIB,        SAME,   UNKNOWN,     ESCALATE },
	{ "grace over, reclaimed, holds",    SIGTERM, 0, GRACE,    1, 0, GIB,        RISEN,  0,           ESCALATE },
	{ "grace over, emergency over",      SIGTERM, 0, GRACE,    0, 0, GIB,        SAME,   UNKNOWN,     CANCELLED },
	{ "grace over, another's, over",     SIGTERM, 0, GRACE,    0, 0, GIB,        RISEN,  GIB,         CANCELLED },
	{ "grace over, reclaimed, over",     SIGTERM, 0, GRACE,    0, 0, GIB,        RISEN,  UNKNOWN,     RECLAIMED },
	{ "grace over, small, over",         SIGTERM, 0, GRACE,    0, 0, SMALL,      RISEN,  UNKNOWN,     CANCELLED },
};
/* clang-format on */

static void test_judge(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(judge_cases); i++) {
		const struct kill_facts facts = {
			.signal = judge_cases[i].signal,
			.gone = judge_cases[i].gone,
			.since_signal = judge_cases[i].since_signal,
			.grace = GRACE,
			.timeout = TIMEOUT,
			.emergency_holds = judge_cases[i].emergency_holds,
			.next_level = judge_cases[i].next_level,
			.expected_bytes = judge_cases[i].expected_bytes,
			.available_before = BEFORE,
			.available_now = judge_cases[i].available_now,
			.footprint_now = judge_cases[i].footprint_now,
		};
		enum kill_progress progress = kill_judge(&facts);

		if (progress != judge_cases[i].progress)
			fail_msg("%s: %s, not %s", judge_cases[i].name,
				 kill_progress_to_string(progress),
				 kill_progress_to_string(judge_cases[i].progress));
	}
}

static void test_late_memory_is_waited_for(void **state)
{
	static const struct {
		usec_t since_gone; /* ms */
		uint64_t then, now;
		bool waits;
		unsigned tables; /* of 100 MiB that were expected */
		bool is_read;
	} rows[] = {
		{ 0, GIB, 0, true, 0 },
		{ 99, GIB, 0, true, 0 },
		{ 100, GIB, GIB, true, 0 },
		{ 100, GIB, GIB - GIB / 8, true, 0 },
		{ 100, GIB, GIB - GIB / 8 - 1, false, 0 },
		{ 999, GIB, 2 * GIB, true, 0 },
		{ 1000, GIB, 2 * GIB, false, 0 },
		{ 1000, GIB, 2 * GIB, false, 50 },
		{ 1000, GIB, 2 * GIB, true, 51 },
		{ 9999, GIB, GIB, true, 100 },
		{ 10000, GIB, GIB, false, 100 },
		{ 1000, GIB, GIB / 2, false, 100 },
		{ 500, 0, 0, true, 0 },
		{ 999, GIB, 0, true, 0, true },
		{ 1000, GIB, 0, false, 0, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct proc_memory expected = {
			.anon = (100 - rows[i].tables) * MIB,
			.pagetables = rows[i].tables * MIB,
		};

		const struct kill_late late = {
			.expected = &expected,
			.since_gone = rows[i].since_gone * USEC_PER_MSEC,
			.available_then = rows[i].then,
			.available_now = rows[i].now,
			.is_read = rows[i].is_read,
		};

		assert_int_equal(kill_may_free_more(&late), rows[i].waits);
	}
}

static void test_names_are_complete(void **state)
{
	for (int step = 0; step < _KILL_STEP_MAX; step++)
		assert_non_null(kill_step_to_string(step));
	for (int progress = 0; progress <= KILL_PROGRESS_UNKILLABLE; progress++)
		assert_non_null(kill_progress_to_string(progress));
	assert_null(kill_step_to_string(_KILL_STEP_MAX));
	assert_null(kill_progress_to_string(KILL_PROGRESS_UNKILLABLE + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_late_memory_is_waited_for),
		cmocka_unit_test(test_names_are_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
