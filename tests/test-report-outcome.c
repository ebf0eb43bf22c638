/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report: what is read of the outcome of a kill, and of an emergency without a victim. */
#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "tests/report-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

CHANGE(reclaimed)
{
	test.returned = 500 * MIB;
	test.returned_in = 12100;
}
CHANGE(hardly_reclaimed)
{
	test.returned = 63 * MIB; /* of 512: less than an eighth */
	test.returned_in = 12100;
}
CHANGE(cancelled_by_reload)
{
	d->kill.cancelled_by_reload = true;
	d->kill.outcome = KILL_PROGRESS_CANCELLED;
}
CHANGE(recovered)
{
	d->kill.outcome = KILL_PROGRESS_CANCELLED;
}
CHANGE(unkillable)
{
	d->kill.outcome = KILL_PROGRESS_UNKILLABLE;
	d->kill.backoff_usec = 30 * USEC_PER_SEC;
}
CHANGE(refused)
{
	d->kill.outcome = KILL_PROGRESS_UNKILLABLE;
	d->error = -EPERM;
}
CHANGE(still_exiting)
{
	reclaimed(d, m);
	d->kill.outcome = KILL_PROGRESS_RECLAIMED;
	d->kill.signal = SIGTERM;
}
CHANGE(killed_still_exiting)
{
	reclaimed(d, m);
	d->kill.outcome = KILL_PROGRESS_RECLAIMED;
}
CHANGE(frozen_again)
{
	d->kill.refrozen = 1;
}
CHANGE(not_frozen_again)
{
	d->kill.refrozen = -EACCES;
}
CHANGE(ineffective)
{
	d->kill.ineffective = true;
	d->kill.freed = 4 * MIB;
	d->kill.backoff_usec = 30 * USEC_PER_SEC;
}

static void test_an_outcome(void **state)
{
	static const struct change changes[] = {
		{ NULL,
		  "Killed leak (pid 812, uid 1000, /a/b): exited after 30 ms, so far little more "
		  "is available; now 25.0% of 8.0 GiB available, no swap.\n",
		  "frozen" },
		{ reclaimed, ": 500 MiB reclaimed in 13 ms; now", "little" },
		{ hardly_reclaimed, "so far little more is available", "reclaimed" },
		{ cancelled_by_reload, "is not killed: the configuration has changed; now",
		  "recovered" },
		{ recovered, "did not exit on SIGTERM and is not killed: memory has recovered",
		  "Killed" },
		{ unkillable, "cannot be killed, 30 ms after the decision; now", "Killed" },
		{ unkillable, " It is skipped for 30 s.\n", NULL },
		{ refused, "cannot be killed: Operation not permitted, 30 ms after", "skipped" },
		{ still_exiting,
		  "Terminated leak (pid 812, uid 1000, /a/b): 500 MiB reclaimed in "
		  "13 ms, still exiting;",
		  "Killed" },
		{ killed_still_exiting, "Killed leak", "still exiting" },
		{ frozen_again, " Its group is frozen again.\n", NULL },
		{ not_frozen_again, " Its group could not be frozen again: Permission denied.\n",
		  NULL },
		{ ineffective, " Ineffective: of 512 MiB expected at most 4.0 MiB was freed; ",
		  "It is skipped" },
	};

	check_changes(REPORT_FINISHED, changes, ARRAY_SIZE(changes));
}

CHANGE(group_not_opened)
{
	d->target = POLICY_TARGET_CGROUP;
	d->error = -EPERM;
	d->kill.backoff_usec = 30 * USEC_PER_SEC;
}
CHANGE(not_opened)
{
	d->error = -EMFILE;
	d->kill.backoff_usec = 0;
}
CHANGE(spared)
{
	d->others.spared_pid = 9;
	strcpy(d->others.spared_comm, "db");
	d->kill.backoff_usec = 30 * USEC_PER_SEC;
}

static void test_a_victim_that_is_none(void **state)
{
	static const struct change opens[] = {
		{ not_opened,
		  "Pid 812 cannot be opened for now: Too many open files; trying again.\n", NULL },
		/* (no group was opened: the one that it was chosen in) */
		{ group_not_opened,
		  "Cgroup /a/b cannot be opened: Operation not permitted; skipped for 30 s.\n",
		  NULL },
	};
	static const struct change spares[] = {
		{ spared,
		  "Pid 812 shares its memory with db (pid 9), which is not eligible: skipped for "
		  "30 s.\n",
		  NULL },
	};
	static const struct change confirms[] = {
		{ NULL, "Pid 812 had changed or was moved after each of ", "opened" },
	};
	static const struct change changes[] = {
		{ NULL, "Pid 812 has changed or was moved since it was chosen: choosing again.\n",
		  NULL },
	};
	static const struct change recoveries[] = {
		{ NULL,
		  "Not killing leak (pid 812, uid 1000, /a/b): memory has recovered before the "
		  "signal.\n",
		  NULL },
	};
	static const struct change escalations[] = {
		{ NULL, "Pid 812 has not exited after SIGTERM: sending SIGKILL.\n", NULL },
		{ of_group, "Cgroup /a has not exited after SIGTERM: sending SIGKILL.\n", NULL },
	};
	static const enum report_event silent[] = { REPORT_NOTHING, REPORT_VANISHED,
						    REPORT_NO_VICTIM };

	check_changes(REPORT_CANNOT_OPEN, opens, ARRAY_SIZE(opens));
	check_changes(REPORT_SPARED, spares, ARRAY_SIZE(spares));
	check_changes(REPORT_CANNOT_CONFIRM, confirms, ARRAY_SIZE(confirms));
	check_changes(REPORT_CHANGED, changes, ARRAY_SIZE(changes));
	check_changes(REPORT_CANCELLED, recoveries, ARRAY_SIZE(recoveries));
	check_changes(REPORT_ESCALATED, escalations, ARRAY_SIZE(escalations));
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++) {
		say(silent[i]);
		assert_string_equal(test.said, "");
	}
}

CHANGE(held)
{
	m->selection->stuck.minimum = 64 * MIB;
	m->selection->stuck.n_reports = 1;
	m->selection->stuck.account = (struct where_account){
		.n_rows = 1,
		.rows = { { .kind = WHERE_TMPFS,
			    .bytes = 6 * GIB,
			    .text = "tmpfs",
			    .path = "/tmp" } },
		.total = 8 * GIB,
		.is_surveyed = true,
	};
}
CHANGE(held_still)
{
	held(d, m);
	m->selection->stuck.n_reports = 2;
}
CHANGE(held_by_cgroup)
{
	held(d, m);
	m->selection->request.target = POLICY_TARGET_CGROUP;
}
CHANGE(held_without_survey)
{
	held(d, m);
	m->selection->stuck.account.is_surveyed = false;
}
CHANGE(held_in_part)
{
	held(d, m);
	m->selection->stuck.account.is_partial = true;
}
CHANGE(held_beside_a_large_one)
{
	held(d, m);
	m->selection->stuck.largest_pid = 7;
	strcpy(m->selection->stuck.largest_comm, "db");
	m->selection->stuck.largest_bytes = GIB;
	m->selection->stuck.largest_why = ELIGIBILITY_PROTECTED;
}
CHANGE(held_beside_a_small_one)
{
	held_beside_a_large_one(d, m);
	m->selection->stuck.largest_bytes = MIB;
	m->selection->stuck.largest_why = ELIGIBILITY_ELIGIBLE;
}

static void test_where_memory_is(void **state)
{
	static const struct change changes[] = {
		{ held,
		  "Memory is low but no process is worth killing (it would have to free 64.0 MiB). "
		  "Memory is: 6.0 GiB tmpfs /tmp.\n",
		  "not known" },
		{ held_still, "Memory is now: 6.0 GiB", NULL },
		{ held_by_cgroup, "no cgroup as a whole is worth killing", NULL },
		{ held_without_survey, "; not known which tmpfs.\n", NULL },
		{ held_in_part, "; some could not be read.\n", NULL },
		{ held_beside_a_large_one,
		  "; the largest process is db (pid 7, 1.0 GiB): ", "too small" },
		{ held_beside_a_small_one,
		  "; the largest process is db (pid 7, 1.0 MiB): too small to be worth a kill.\n",
		  NULL },
	};

	check_changes(REPORT_STUCK, changes, ARRAY_SIZE(changes));
}

static void test_pressure_of_a_limited_cgroup_is_logged_with_its_name(void **state)
{
	struct stall_verdict *v = &test.m->sampler->stalls.walk.verdict;

	test.m->sampler->stalls.policy = &test.policy;
	strcpy(v->limited, "/tenant");
	v->limited_share.full = 8540;
	v->unexplained.full = 120;
	say(REPORT_CGROUP_LIMIT);
	check_said("not killing for policy now: cgroup /tenant is at its own limit and stalled "
		   "85.4% of the time, all others at most 1.2%.\n");
	assert_true(test.m->sampler->stalls.reported);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_an_outcome),
		TEST(test_a_victim_that_is_none),
		TEST(test_where_memory_is),
		TEST(test_pressure_of_a_limited_cgroup_is_logged_with_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
