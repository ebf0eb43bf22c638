/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-plan: processes that hold files together with the victim by descriptors. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "daemon/kill/kill-plan.h"
#include "tests/kill-plan-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* SIGTERM is sent to all of them, as nothing is freed before the last one has exited. */
static void test_holders_are_terminated_together(void **state)
{
	static const struct {
		const char *label;
		uint64_t held;
		unsigned n_together;
		pid_t may_not, fails;
		enum report_event event;
		unsigned n_relatives;
	} rows[] = {
		{ "two others", MIB, 2, 0, 0, REPORT_NOTHING, 2 },
		{ "none", MIB, 0, 0, 0, REPORT_NOTHING, 0 },
		{ "the victim was not chosen for that", 0, 2, 0, 0, REPORT_NOTHING, 0 },
		{ "one may not be killed", MIB, 2, VICTIM + 2, 0, REPORT_SPARED, 1 },
		{ "none can be opened", MIB, 1, 0, VICTIM + 1, REPORT_NOTHING, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct in_flight *f;
		struct stuck *s;

		print_message("%s\n", rows[i].label);
		teardown(state);
		assert_int_equal(setup(state), 0);
		f = test.m->in_flight;
		s = &test.m->selection->stuck;
		for (pid_t pid = VICTIM + 1; pid < VICTIM + 4; pid++)
			add(pid, 0, "/a/b");
		test.may_not = rows[i].may_not;
		test.fails = rows[i].fails;
		test.failure = -EMFILE;
		s->together[0] = VICTIM + 1;
		s->together[1] = VICTIM + 2;
		s->n_together = rows[i].n_together;
		f->decision.held = rows[i].held;
		assert_int_equal(gather(), rows[i].event);
		assert_int_equal(f->decision.others.n_relatives, rows[i].n_relatives);
		assert_int_equal(f->victim.n_others, rows[i].n_relatives);
		assert_int_equal(f->victim.is_family, rows[i].n_relatives > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_holders_are_terminated_together, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
