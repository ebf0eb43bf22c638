/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-backoff-heirs: which processes have the memory of one that forked on SIGTERM. */
#include <stdio.h>

#include "lib/select/backoff.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define S     USEC_PER_SEC
#define START (1000 * S)

static const struct {
	const char *label;
	uint64_t born;
	uid_t uid;
	unsigned code_pages;
	pid_t session, ppid;
	bool forks_siblings; /* the parent of the killed one */
	usec_t since;
	bool is_heir;
	uint64_t stack_start; /* 0: not read */
	uint64_t mapped;      /* MiB */
} rows_of_heirs[] = {
	{ "forked when it was signalled", 100, 1, 9, 5, 1, false, 1, true },
	{ "when it exited", 120, 1, 9, 5, 1, true, 1, true },
	{ "a reaper is its parent now", 110, 1, 9, 5, 70, false, 1, true },
	{ "it has left the session", 110, 1, 9, 300, 1, false, 1, true },
	{ "another session", 110, 1, 9, 6, 70, false, 1, false },
	{ "older", 99, 1, 9, 5, 1, false, 1, false },
	{ "started again after it", 121, 1, 9, 5, 1, false, 1, false },
	{ "another user's", 110, 2, 9, 5, 1, false, 1, false },
	{ "another program", 110, 1, 8, 5, 1, false, 1, false },
	{ "a worker that its server has forked", 110, 1, 9, 5, 60, true, 1, false },
	{ "one of a supervisor, of the same program", 110, 1, 9, 5, 60, false, 1, true },
	{ "long ago", 110, 1, 9, 5, 1, false, 60 * S, false },
	{ "its stack is where that was", 110, 1, 9, 5, 60, false, 1, true, 0x7ff000 },
	{ "a compiler that make has started", 110, 1, 9, 5, 60, false, 1, false, 0x7fe000 },
	{ "a child of its parent, with its memory", 110, 1, 9, 5, 60, true, 1, true, 0, 320 },
	{ "a worker, with less", 110, 1, 9, 5, 60, true, 1, false, 0, 200 },
	{ "it has left the session, and a reaper has it", 110, 1, 9, 300, 70, false, 1, true, 0,
	  400 },
	{ "another that is as large", 110, 1, 9, 300, 70, false, 1, false, 0x7fe000, 400 },
	{ "one that was there before, as large", 99, 1, 9, 5, 60, true, 1, false, 0, 400 },
};

/* A process that handles SIGTERM by fork(2) has exited, and its memory is there. */
static void test_heirs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows_of_heirs); i++) {
		const struct backoff_subject killed = {
			.pid = 200,
			.start_ticks = 50,
			.uid = 1,
			.comm = "hog",
			.cgroup = "/x",
			.ppid = 60,
			.session = 5,
			.code_pages = 9,
			.mapped = 400 * MIB,
			.stack_start = 0x7ff000,
		};
		const struct backoff_subject subject = {
			.pid = 300,
			.start_ticks = rows_of_heirs[i].born,
			.uid = rows_of_heirs[i].uid,
			.comm = "hog",
			.cgroup = "/x",
			.ppid = rows_of_heirs[i].ppid,
			.session = rows_of_heirs[i].session,
			.code_pages = rows_of_heirs[i].code_pages,
			.stack_start = rows_of_heirs[i].stack_start,
			.mapped = rows_of_heirs[i].mapped * MIB,
		};
		struct backoff p = { 0 };

		print_message("%s\n", rows_of_heirs[i].label);
		assert_false(backoff_is_heir(&p, &subject, START));
		backoff_add_kind(&p, &killed, 100, 1120, START);
		assert_int_equal(backoff_judge(&p, &subject, START), BACKOFF_SIMILAR);
		backoff_note_heirs(&p, &killed, rows_of_heirs[i].forks_siblings, 100, 120, START);
		assert_int_equal(backoff_is_heir(&p, &subject, START + rows_of_heirs[i].since),
				 rows_of_heirs[i].is_heir);
		assert_int_equal(backoff_kinds(&p, &subject, START + 1) == 0,
				 rows_of_heirs[i].is_heir || rows_of_heirs[i].since > 1);
	}
}

/* Without the size of its code nothing is told of its program. */
static void test_heirs_of_what_is_not_known(void **state)
{
	const struct backoff_subject killed = { .pid = 200, .comm = "hog", .cgroup = "/x" };
	const struct backoff_subject subject = { .pid = 300, .start_ticks = 110, .ppid = 1 };
	struct backoff p = { 0 };

	(void)state;
	backoff_note_heirs(&p, &killed, false, 100, 120, START);
	assert_false(backoff_is_heir(&p, &subject, START));
}

/* Where it may not be read of the killed one, it is of no other. */
static void test_heirs_without_a_stack(void **state)
{
	const struct backoff_subject killed = { .pid = 200, .code_pages = 9, .session = 5 };
	struct backoff_subject subject = {
		.pid = 300, .start_ticks = 110, .code_pages = 9, .session = 5
	};
	struct backoff p = { 0 };

	(void)state;
	backoff_note_heirs(&p, &killed, false, 100, 120, START);
	assert_true(backoff_is_heir(&p, &subject, START));
	subject.stack_start = 0x7ff000;
	assert_false(backoff_is_heir(&p, &subject, START));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heirs),
		cmocka_unit_test(test_heirs_of_what_is_not_known),
		cmocka_unit_test(test_heirs_without_a_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
