/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report: what an administrator reads of each event, of a manager made by hand.  What is logged is
 * kept here instead.
 */
#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "tests/report-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

CHANGE(dry)
{
	d->dry_run = true;
	d->kill.signal = 0;
}
CHANGE(asked)
{
	d->kill.signal = SIGTERM;
}
CHANGE(one_sharer)
{
	d->others.n_sharers = 1;
}
CHANGE(sharer_and_relative)
{
	d->others.n_sharers = d->others.n_relatives = 1;
}
CHANGE(siblings)
{
	d->others.n_siblings = 3;
}
CHANGE(with_starter)
{
	siblings(d, m);
	d->others.as_one = VICTIM_WITH_STARTER;
	d->others.n_siblings = 1;
	d->n_respawned = 3;
	d->others.starter_pid = 99;
	strcpy(d->others.starter_comm, "loop");
}
CHANGE(started_again)
{
	d->n_respawned = 3;
}
CHANGE(started_again_before)
{
	d->n_respawned = 4;
}

CHANGE(of_group_as_one)
{
	of_group(d, m);
	d->others.as_one = VICTIM_AS_CGROUP;
}
CHANGE(flagged)
{
	of_group(d, m);
	d->others.n_processes = 1;
	d->others.is_flagged = true;
}
CHANGE(group_with_sharers)
{
	of_group(d, m);
	d->others.n_sharers = 2;
}
CHANGE(of_hostile_name)
{
	strcpy(d->comm, "a\nb\033[1m");
}
CHANGE(next_process)
{
	d->next.pid = 7;
	strcpy(d->next.comm, "worker");
	d->next.footprint = 256 * MIB;
}
CHANGE(next_cgroup)
{
	strcpy(d->next.group, "/c");
	d->next.footprint = 256 * MIB;
}
CHANGE(skipped_kind)
{
	d->skipped.pid = 9;
	strcpy(d->skipped.comm, "app");
	d->skipped.why = BACKOFF_SIMILAR;
}
CHANGE(skipped_group)
{
	strcpy(d->skipped.group, "/d");
}
CHANGE(approximately)
{
	d->approximate = true;
}
CHANGE(by_descriptors)
{
	d->held = 512 * MIB;
}
CHANGE(partly_by_descriptors)
{
	d->held = 300 * MIB;
}
CHANGE(sharers_unknown)
{
	d->others.n_sharers_left = 2;
	d->others.sharers_error = -ETIMEDOUT;
}
CHANGE(sharers_left)
{
	d->others.n_sharers_left = 2;
}
CHANGE(sharers_refused)
{
	d->others.sharers_error = -EPERM;
}
CHANGE(sharers_gone)
{
	d->others.sharers_error = -ESRCH;
}
CHANGE(not_boosted)
{
	m->in_flight->victim.step_result[KILL_STEP_BOOST] = -EPERM;
}
CHANGE(one_level)
{
	m->in_flight->victim.thawed.n_levels = 1;
}
CHANGE(two_levels_for_good)
{
	m->in_flight->victim.thawed.n_levels = 2;
	m->in_flight->victim.thawed.order.for_good = true;
}
CHANGE(taken_out)
{
	m->in_flight->victim.thawed.n_levels = 1;
	m->in_flight->victim.thawed.order.victim_only = true;
}
CHANGE(nothing_taken_out)
{
	m->in_flight->victim.thawed.order.victim_only = true;
}
CHANGE(without_sigterm)
{
	d->kill.skips_term = true;
}
CHANGE(not_in_ledger)
{
	m->in_flight->victim.thawed.n_levels = 1;
	m->in_flight->victim.thawed.ledger_error = -ENOSPC;
}
CHANGE(some_spared)
{
	of_group(d, m);
	m->in_flight->victim.group.n_spared = 2;
}
CHANGE(unit_not_told)
{
	d->kill.unit_error = -EACCES;
}
CHANGE(unit_late)
{
	d->kill.unit_error = -EINPROGRESS;
}
CHANGE(unit_gone)
{
	d->kill.unit_error = -ENOENT;
}
CHANGE(unit_cannot)
{
	d->kill.unit_error = -EOPNOTSUPP;
}

static void test_a_kill(void **state)
{
	static const struct change changes[] = {
		{ NULL,
		  "Killing leak (pid 812, uid 1000, /a/b): would free 512 MiB of memory, SIGKILL. "
		  "Policy now: 12.5% of 8.0 GiB available, no swap, stalled 0.0%. 3 of 40 "
		  "candidates read.\n",
		  "ignoring" },
		{ dry, "Would kill leak", "SIG" },
		{ dry, "but this is a dry run", "Killing" },
		{ asked, ", SIGTERM. Policy", "SIGKILL" },
		{ one_sharer, " and 1 that shares its memory: ", NULL },
		{ sharer_and_relative, " and 2 that share its memory: ", NULL },
		{ siblings,
		  " and 3 others with its name and parent, after repeated kills: ", NULL },
		{ with_starter,
		  " and loop (pid 99), which has started it again after 3 kills: ", "of the last" },
		{ started_again, "Pid 812: it was started again after each of the last 3 kills",
		  NULL },
		{ started_again_before, "Killing leak", "started again" },
		{ of_group,
		  "Killing cgroup /a (3 processes, with leak, pid 812, uid 1000): would free",
		  "as one" },
		{ of_group_as_one, ") as one, after repeated kills in it: ", NULL },
		{ flagged, "cgroup /a (1 process by memory.oom.group, with leak", "processes" },
		{ group_with_sharers, "uid 1000): would free", "share" },
		{ of_hostile_name, "Killing a?b?[1m (pid 812", "\033" },
		{ next_process, "; next would be worker (pid 7, 256 MiB).", NULL },
		{ next_cgroup, "; next would be /c (256 MiB).", "pid 0" },
		{ skipped_kind,
		  "; not the larger app (pid 9), as killing a similar one freed little", NULL },
		{ skipped_group,
		  "; not the larger cgroup /d, as the last attempt to kill it failed", NULL },
		{ approximately, "candidates read, approximately.", NULL },
		{ by_descriptors,
		  "of memory, which it holds by descriptors or untouched mappings, SIGKILL", NULL },
		{ partly_by_descriptors,
		  "of memory, part of which it holds by descriptors or untouched mappings", NULL },
	};

	check_changes(REPORT_SIGNALLED, changes, ARRAY_SIZE(changes));
	check_changes(REPORT_DRY_RUN, changes + 1, 2);
}

static void test_what_failed_besides_a_kill(void **state)
{
	static const struct change changes[] = {
		{ sharers_unknown,
		  "Pid 812: others may share its memory and would be next: 2 not examined, "
		  "Connection timed out.\n",
		  NULL },
		{ sharers_left, "would be next: 2 not examined.\n", NULL },
		{ sharers_refused, "0 not examined, Operation not permitted.\n", NULL },
		{ sharers_gone, NULL, "may share" }, /* it has exited meanwhile */
		{ not_boosted, "Pid 812: could not boost: Operation not permitted, ignoring.\n",
		  NULL },
		{ one_level, "Pid 812: its group was frozen, thawed (1 level).\n", NULL },
		{ two_levels_for_good, "thawed (2 levels) for good.\n", NULL },
		{ taken_out, "it was frozen, and taken out of its group, which stays so.\n",
		  "thawed" },
		{ nothing_taken_out, NULL, "frozen" },
		{ without_sigterm, "is not to be thawed: SIGKILL in place of SIGTERM.\n", NULL },
		{ not_in_ledger, "it remains thawed: No space left on device.\n", NULL },
		{ some_spared,
		  "Cgroup /a: 2 of its processes are not eligible and were not killed.\n", NULL },
		{ unit_not_told,
		  "systemd may not learn that its unit ran out of memory: Permission denied.\n",
		  NULL },
		{ unit_late, NULL, "systemd" },
		{ unit_gone, NULL, "systemd" },
		{ unit_cannot, NULL, "systemd" },
	};

	check_changes(REPORT_SIGNALLED, changes, ARRAY_SIZE(changes));
	test.m->in_flight->decision.dry_run = true; /* no step was taken */
	not_boosted(&test.m->in_flight->decision, test.m);
	say(REPORT_DRY_RUN);
	check_not_said("boost");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_kill),
		TEST(test_what_failed_besides_a_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
