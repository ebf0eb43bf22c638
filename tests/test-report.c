/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report: what an administrator reads of each event, of a manager made by hand.  What is logged is
 * kept here instead.
 */
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/manager.h"
#include "daemon/message-ids.h"
#include "daemon/recorder.h"
#include "daemon/report.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define NOW  (1000 * USEC_PER_SEC)
#define MSEC USEC_PER_MSEC

static struct {
	struct manager *m;
	struct policy policy;
	struct policy_judgement judgement;
	char said[8192];   /* a line each */
	char entry[4096];  /* the fields of the last journal entry, a line each */
	uint64_t returned; /* 0: nothing is known yet */
	usec_t returned_in;
} test;

__attribute__((format(printf, 3, 0))) static void keep(char *buf, size_t size, const char *format,
						       va_list ap)
{
	size_t n = strlen(buf);

	(void)vsnprintf(buf + n, size - n, format, ap);
	n = strlen(buf);
	(void)snprintf(buf + n, size - n, "\n");
}

__attribute__((format(printf, 2, 3))) void __wrap_log_line(int priority, const char *format, ...);
void __wrap_log_line(int priority, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	keep(test.said, sizeof(test.said), format, ap);
	va_end(ap);
}

__attribute__((format(printf, 3, 4))) void __wrap_log_event(const char *message_id, int priority,
							    const char *format, ...);
void __wrap_log_event(const char *message_id, int priority, const char *format, ...)
{
	va_list ap;

	assert_int_equal(strlen(message_id), 32);
	va_start(ap, format);
	keep(test.said, sizeof(test.said), format, ap);
	va_end(ap);
}

void __wrap_log_entry_begin(struct log_entry *entry);
void __wrap_log_entry_begin(struct log_entry *entry)
{
	test.entry[0] = '\0';
}

__attribute__((format(printf, 2, 3))) void __wrap_log_entry_add(struct log_entry *entry,
								const char *format, ...);
void __wrap_log_entry_add(struct log_entry *entry, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	keep(test.entry, sizeof(test.entry), format, ap);
	va_end(ap);
}

void __wrap_log_entry_end(struct log_entry *entry);
void __wrap_log_entry_end(struct log_entry *entry)
{
}

bool __wrap_recorder_returned(const struct recorder *recorder, uint64_t *ret_bytes,
			      usec_t *ret_within);
bool __wrap_recorder_returned(const struct recorder *recorder, uint64_t *ret_bytes,
			      usec_t *ret_within)
{
	*ret_bytes = test.returned;
	*ret_within = test.returned_in;
	return test.returned > 0;
}

static int setup(void **state)
{
	static char name[] = "now", subtree[] = "/";
	struct manager *m;

	memset(&test, 0, sizeof(test));
	m = test.m = malloc(sizeof(*m));
	if (!m)
		return -1;
	manager_init(m);
	test.policy = (struct policy){ .name = name, .action = POLICY_ACTION_KILL };
	m->config.policies.subtree = subtree;
	m->regime.state = REGIME_WATCH;
	m->reporter.warned = true;
	m->sampler.reading = (struct memory_reading){ .total = 8 * GIB, .available = 2 * GIB };
	m->in_flight.decision = (struct decision){
		.pid = 812,
		.uid = 1000,
		.comm = "leak",
		.cgroup = "/a/b",
		.policy = "now",
		.signal = SIGKILL,
		.n_processes = 1,
		.n_candidates = 40,
		.n_reads = 3,
		.memory = { .anon = 512 * MIB },
		.before = { .total = 8 * GIB, .available = GIB },
		.decided_at = NOW,
		.finished_at = NOW + 30 * MSEC,
		.outcome = KILL_PROGRESS_GONE,
	};
	kill_victim_init(&m->in_flight.victim);
	log_set_target(LOG_TARGET_CONSOLE);
	log_set_max_level(LOG_INFO);
	return 0;
}

static int teardown(void **state)
{
	fail_malloc = false;
	for (size_t i = 0; i < test.m->probed.n_missing_privileges; i++)
		free(test.m->probed.missing_privileges[i]);
	free(test.m->probed.missing_privileges);
	free(test.m);
	log_set_target(LOG_TARGET_AUTO);
	return 0;
}

static void say(enum report_event event)
{
	test.said[0] = '\0';
	report(&test.m->reporter, event, &test.judgement, test.m->regime.state, NOW);
}

static void check_said(const char *text)
{
	if (!strstr(test.said, text))
		print_error("'%s' is not in '%s'\n", text, test.said);
	assert_non_null(strstr(test.said, text));
}

static void check_not_said(const char *text)
{
	if (strstr(test.said, text))
		print_error("'%s' is in '%s'\n", text, test.said);
	assert_null(strstr(test.said, text));
}

/* One thing about the decision is changed; the text has to have this, and not that. */
struct change {
	void (*apply)(struct decision *d, struct manager *m);
	const char *says, *says_not;
};

static void check_changes(enum report_event event, const struct change *changes, size_t n)
{
	void *state = NULL;

	for (size_t i = 0; i < n; i++) {
		teardown(&state);
		assert_int_equal(setup(&state), 0);
		if (changes[i].apply)
			changes[i].apply(&test.m->in_flight.decision, test.m);
		say(event);
		if (changes[i].says)
			check_said(changes[i].says);
		if (changes[i].says_not)
			check_not_said(changes[i].says_not);
	}
}

#define CHANGE(name) static void name(struct decision *d, struct manager *m)

CHANGE(dry)
{
	d->dry_run = true;
	d->signal = 0;
}
CHANGE(asked)
{
	d->signal = SIGTERM;
}
CHANGE(one_sharer)
{
	d->n_sharers = 1;
}
CHANGE(sharer_and_relative)
{
	d->n_sharers = d->n_relatives = 1;
}
CHANGE(siblings)
{
	d->n_siblings = 3;
}
CHANGE(of_group)
{
	d->target = POLICY_TARGET_CGROUP;
	d->n_processes = 3;
	strcpy(d->group, "/a");
}
CHANGE(of_group_as_one)
{
	of_group(d, m);
	d->as_one = VICTIM_AS_CGROUP;
}
CHANGE(flagged)
{
	of_group(d, m);
	d->n_processes = 1;
	d->is_flagged = true;
}
CHANGE(group_with_sharers)
{
	of_group(d, m);
	d->n_sharers = 2;
}
CHANGE(of_hostile_name)
{
	strcpy(d->comm, "a\nb\033[1m");
}
CHANGE(next_process)
{
	d->next_pid = 7;
	strcpy(d->next_comm, "worker");
	d->next_footprint = 256 * MIB;
}
CHANGE(next_cgroup)
{
	strcpy(d->next_group, "/c");
	d->next_footprint = 256 * MIB;
}
CHANGE(avoided_kind)
{
	d->skipped_pid = 9;
	strcpy(d->skipped_comm, "app");
	d->skipped_for = BACKOFF_SIMILAR;
}
CHANGE(avoided_group)
{
	strcpy(d->avoided_group, "/d");
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
	d->n_sharers_left = 2;
	d->sharers_error = -ETIMEDOUT;
}
CHANGE(sharers_left)
{
	d->n_sharers_left = 2;
}
CHANGE(sharers_refused)
{
	d->sharers_error = -EPERM;
}
CHANGE(sharers_gone)
{
	d->sharers_error = -ESRCH;
}
CHANGE(not_boosted)
{
	m->in_flight.victim.step_result[KILL_STEP_BOOST] = -EPERM;
}
CHANGE(one_level)
{
	m->in_flight.victim.thawed.n_levels = 1;
}
CHANGE(two_levels_for_good)
{
	m->in_flight.victim.thawed.n_levels = 2;
	m->in_flight.victim.thawed.order.for_good = true;
}
CHANGE(taken_out)
{
	m->in_flight.victim.thawed.n_levels = 1;
	m->in_flight.victim.thawed.order.victim_only = true;
}
CHANGE(nothing_taken_out)
{
	m->in_flight.victim.thawed.order.victim_only = true;
}
CHANGE(without_sigterm)
{
	d->skips_term = true;
}
CHANGE(not_in_ledger)
{
	m->in_flight.victim.thawed.n_levels = 1;
	m->in_flight.victim.thawed.ledger_error = -ENOSPC;
}
CHANGE(some_spared)
{
	of_group(d, m);
	m->in_flight.victim.group.n_spared = 2;
}
CHANGE(unit_not_told)
{
	d->unit_error = -EACCES;
}
CHANGE(unit_late)
{
	d->unit_error = -EINPROGRESS;
}
CHANGE(unit_gone)
{
	d->unit_error = -ENOENT;
}
CHANGE(unit_cannot)
{
	d->unit_error = -EOPNOTSUPP;
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
		{ of_group,
		  "Killing cgroup /a (3 processes, with leak, pid 812, uid 1000): would free",
		  "as one" },
		{ of_group_as_one, ") as one, after repeated kills in it: ", NULL },
		{ flagged, "cgroup /a (1 process by memory.oom.group, with leak", "processes" },
		{ group_with_sharers, "uid 1000): would free", "share" },
		{ of_hostile_name, "Killing a?b?[1m (pid 812", "\033" },
		{ next_process, "; next would be worker (pid 7, 256 MiB).", NULL },
		{ next_cgroup, "; next would be /c (256 MiB).", "pid 0" },
		{ avoided_kind,
		  "; not the larger app (pid 9), as killing a similar one freed little", NULL },
		{ avoided_group, "; not the larger cgroup /d, as the last try to kill it failed",
		  NULL },
		{ approximately, "candidates read, approximately.", NULL },
		{ by_descriptors, "of memory, which it holds by descriptors, SIGKILL", NULL },
		{ partly_by_descriptors, "of memory, part of which it holds by descriptors", NULL },
	};

	check_changes(REPORT_SIGNALLED, changes, ARRAY_SIZE(changes));
	check_changes(REPORT_DRY_RUN, changes + 1, 2);
}

static void test_what_failed_besides_a_kill(void **state)
{
	static const struct change changes[] = {
		{ sharers_unknown,
		  "Pid 812: others may share its memory and would be next: 2 not asked about, "
		  "Connection timed out.\n",
		  NULL },
		{ sharers_left, "would be next: 2 not asked about.\n", NULL },
		{ sharers_refused, "0 not asked about, Operation not permitted.\n", NULL },
		{ sharers_gone, NULL, "may share" }, /* it has exited meanwhile */
		{ not_boosted, "Pid 812: could not boost: Operation not permitted, ignoring.\n",
		  NULL },
		{ one_level, "Pid 812: its group was frozen, thawed (1 level).\n", NULL },
		{ two_levels_for_good, "thawed (2 levels) for good.\n", NULL },
		{ taken_out, "it was frozen, and taken out of its group, which stays so.\n",
		  "thawed" },
		{ nothing_taken_out, NULL, "frozen" },
		{ without_sigterm, "is not to be thawed: SIGKILL in place of SIGTERM.\n", NULL },
		{ not_in_ledger, "that is not made up for: No space left on device.\n", NULL },
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
	test.m->in_flight.decision.dry_run = true; /* no step was taken */
	not_boosted(&test.m->in_flight.decision, test.m);
	say(REPORT_DRY_RUN);
	check_not_said("boost");
}

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
CHANGE(called_off)
{
	d->called_off = true;
	d->outcome = KILL_PROGRESS_CANCELLED;
}
CHANGE(recovered)
{
	d->outcome = KILL_PROGRESS_CANCELLED;
}
CHANGE(unkillable)
{
	d->outcome = KILL_PROGRESS_UNKILLABLE;
	d->backoff_usec = 30 * USEC_PER_SEC;
}
CHANGE(refused)
{
	d->outcome = KILL_PROGRESS_UNKILLABLE;
	d->error = -EPERM;
}
CHANGE(still_exiting)
{
	reclaimed(d, m);
	d->outcome = KILL_PROGRESS_RECLAIMED;
	d->signal = SIGTERM;
}
CHANGE(killed_still_exiting)
{
	reclaimed(d, m);
	d->outcome = KILL_PROGRESS_RECLAIMED;
}
CHANGE(frozen_again)
{
	d->refrozen = 1;
}
CHANGE(not_frozen_again)
{
	d->refrozen = -EACCES;
}
CHANGE(ineffective)
{
	d->ineffective = true;
	d->freed = 4 * MIB;
	d->backoff_usec = 30 * USEC_PER_SEC;
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
		{ called_off, "is not killed: the configuration has changed; now", "recovered" },
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
	d->backoff_usec = 30 * USEC_PER_SEC;
}
CHANGE(not_opened)
{
	d->error = -EMFILE;
	d->backoff_usec = 0;
}
CHANGE(spared)
{
	d->spared_pid = 9;
	strcpy(d->spared_comm, "db");
	d->backoff_usec = 30 * USEC_PER_SEC;
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
		{ NULL, "Pid 812 was not what it was chosen as, or where, in ", "opened" },
	};
	static const struct change changes[] = {
		{ NULL, "Pid 812 is not any more what it was chosen as, or where: looking again.\n",
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
	m->selection.stuck.minimum = 64 * MIB;
	m->selection.stuck.n_reports = 1;
	m->selection.stuck.account = (struct where_account){
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
	m->selection.stuck.n_reports = 2;
}
CHANGE(held_by_cgroup)
{
	held(d, m);
	m->selection.request.target = POLICY_TARGET_CGROUP;
}
CHANGE(held_without_survey)
{
	held(d, m);
	m->selection.stuck.account.is_surveyed = false;
}
CHANGE(held_in_part)
{
	held(d, m);
	m->selection.stuck.account.is_partial = true;
}
CHANGE(held_beside_a_large_one)
{
	held(d, m);
	m->selection.stuck.largest_pid = 7;
	strcpy(m->selection.stuck.largest_comm, "db");
	m->selection.stuck.largest_bytes = GIB;
	m->selection.stuck.largest_why = ELIGIBILITY_PROTECTED;
}
CHANGE(held_beside_a_small_one)
{
	held_beside_a_large_one(d, m);
	m->selection.stuck.largest_bytes = MIB;
	m->selection.stuck.largest_why = ELIGIBILITY_ELIGIBLE;
}

static void test_where_memory_is(void **state)
{
	static const struct change changes[] = {
		{ held,
		  "Memory is low but no process is worth killing (it would have to free 64.0 MiB). "
		  "Memory is: 6.0 GiB tmpfs /tmp. Not eligible: .\n",
		  "not known" },
		{ held_still, "Memory is now: 6.0 GiB", NULL },
		{ held_by_cgroup, "no cgroup as a whole is worth killing", NULL },
		{ held_without_survey, "; not known which tmpfs. ", NULL },
		{ held_in_part, "; some could not be read. ", NULL },
		{ held_beside_a_large_one,
		  "; the largest process is db (pid 7, 1.0 GiB): ", "too small" },
		{ held_beside_a_small_one,
		  "; the largest process is db (pid 7, 1.0 MiB): too small to be worth a kill. ",
		  NULL },
	};

	check_changes(REPORT_STUCK, changes, ARRAY_SIZE(changes));
}

static void test_pressure_of_a_limited_cgroup_is_logged_with_its_name(void **state)
{
	struct stall_verdict *v = &test.m->sampler.stalls.walk.verdict;

	test.m->sampler.stalls.policy = &test.policy;
	strcpy(v->limited, "/tenant");
	v->limited_share.full = 8540;
	v->unexplained.full = 120;
	say(REPORT_EXPLAINED);
	check_said("not killing for policy now: cgroup /tenant is at its own limit and stalled "
		   "85.4% of the time, all others at most 1.2%.\n");
	assert_true(test.m->sampler.stalls.reported);
}

/* One warning for consecutive samples; watching and calm when that changes; a kill warns enough. */
static void test_warnings_are_logged_once(void **state)
{
	struct manager *m = test.m;

	m->reporter.warned = false;
	test.judgement.policy = &test.policy;
	report(&m->reporter, REPORT_NOTHING, &test.judgement, REGIME_CALM, NOW);
	check_said(
		"Watching: 25.0% of 8.0 GiB available, no swap, stalled 0.0% of the last second.\n");
	check_said("Memory is getting short: 25.0% of 8.0 GiB available, no swap (policy now).\n");
	say(REPORT_NOTHING);
	assert_string_equal(test.said, "");

	m->regime.state = REGIME_CALM;
	test.judgement.policy = NULL;
	report(&m->reporter, REPORT_NOTHING, &test.judgement, REGIME_WATCH, NOW);
	check_said("Calm again: ");
	assert_false(m->reporter.warned);

	m->regime.state = REGIME_WATCH;
	test.judgement.policy = &test.policy;
	test.said[0] = '\0';
	report(&m->reporter, REPORT_SIGNALLED, &test.judgement, REGIME_WATCH, NOW);
	check_said("Killing leak");
	check_not_said("Memory is getting short");
}

static void test_debugging_logs_each_sample(void **state)
{
	say(REPORT_NOTHING);
	assert_string_equal(test.said, "");
	log_set_max_level(LOG_DEBUG);
	say(REPORT_NOTHING);
	check_said("sample: watch, 25.0% of 8.0 GiB available, no swap, policy none\n");
	test.judgement.policy = &test.policy;
	say(REPORT_NOTHING);
	check_said("policy now\n");
}

static void test_failures_are_logged_once_in_a_while(void **state)
{
	static const char line[] =
		"Cannot read memory or processes: Input/output error; trying again.\n";

	for (usec_t second = 0; second < 10; second++)
		report_sample_failed(&test.m->reporter, -EIO, NOW + second * USEC_PER_SEC);
	assert_string_equal(test.said, line);
	test.said[0] = '\0';
	report_sample_failed(&test.m->reporter, -EIO, NOW + 10 * USEC_PER_SEC);
	assert_string_equal(test.said, line);
}

struct entry_case {
	enum log_target target;
	int max_level;
	bool has_line, has_entry;
};

static void test_entries_and_lines_are_sent_to_their_target(void **state)
{
	static const struct entry_case cases[] = {
		{ LOG_TARGET_CONSOLE, LOG_INFO, true, false },
		{ LOG_TARGET_JOURNAL, LOG_INFO, false, true },
		{ LOG_TARGET_JOURNAL, LOG_ERR, false, false }, /* a kill is a warning */
		{ LOG_TARGET_NULL, LOG_INFO, false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		log_set_target(cases[i].target);
		log_set_max_level(cases[i].max_level);
		test.entry[0] = '\0';
		say(REPORT_SIGNALLED);
		assert_true((strstr(test.said, "Killing") != NULL) == cases[i].has_line);
		assert_true((test.entry[0] != '\0') == cases[i].has_entry);
	}
}

static bool entry_has(const char *field)
{
	const char *found = strstr(test.entry, field);

	return found && (found == test.entry || found[-1] == '\n') && found[strlen(field)] == '\n';
}

static void test_an_entry_has_its_fields(void **state)
{
	struct decision *d = &test.m->in_flight.decision;

	log_set_target(LOG_TARGET_JOURNAL);
	strcpy(d->cgroup, "/system.slice/db.service");
	say(REPORT_SIGNALLED);
	assert_true(entry_has("MESSAGE_ID=" MESSAGE_ID_SIGNALLED));
	assert_true(entry_has("RECKOND_VICTIM_PID=812"));
	assert_true(entry_has("RECKOND_SIGNAL=SIGKILL"));
	assert_true(entry_has("RECKOND_DRY_RUN=no"));
	assert_true(entry_has("RECKOND_APPROXIMATE=no"));
	assert_true(entry_has("RECKOND_FREED=1073741824")); /* available has risen by 1 GiB */
	assert_true(entry_has("OBJECT_SYSTEMD_UNIT=db.service"));
	assert_null(strstr(test.entry, "OBJECT_SYSTEMD_USER_UNIT"));

	d->dry_run = d->approximate = d->ineffective = true;
	d->signal = 0;
	strcpy(d->cgroup, "/user.slice/user-1000.slice/user@1000.service/app.slice/app.scope");
	say(REPORT_DRY_RUN);
	assert_true(entry_has("MESSAGE_ID=" MESSAGE_ID_DRY_RUN));
	assert_true(entry_has("RECKOND_SIGNAL=none"));
	assert_true(entry_has("RECKOND_DRY_RUN=yes"));
	assert_true(entry_has("RECKOND_APPROXIMATE=yes"));
	assert_true(entry_has("RECKOND_INEFFECTIVE=yes"));
	assert_true(entry_has("OBJECT_SYSTEMD_USER_UNIT=app.scope"));

	strcpy(d->cgroup, "/");
	say(REPORT_SIGNALLED);
	assert_null(strstr(test.entry, "OBJECT_SYSTEMD"));
}

/* What was found at start: each lack has its line, and is kept for MissingPrivileges. */
struct lack {
	void (*apply)(struct probe_results *a, struct manager *m);
	const char *says, *says_not;
	unsigned n_limits;
};

#define LACK(name) static void name(struct probe_results *a, struct manager *m)

LACK(nothing_lacks)
{
	m->sampler.has_psi = true;
	a->self_test_reaped = true;
}
LACK(no_psi)
{
	a->self_test_reaped = true;
}
LACK(coarse_trigger)
{
	nothing_lacks(a, m);
	a->psi_trigger_error = -EPERM;
}
LACK(no_trigger)
{
	coarse_trigger(a, m);
	a->psi_fallback_error = -EINVAL;
}
LACK(no_capabilities)
{
	nothing_lacks(a, m);
	a->missing_capabilities = UINT64_MAX;
}
LACK(no_kill)
{
	nothing_lacks(a, m);
	a->missing_capabilities = (uint64_t)1 << CAP_KILL;
}
LACK(in_namespace)
{
	nothing_lacks(a, m);
	a->in_user_namespace = true;
}
LACK(not_locked)
{
	nothing_lacks(a, m);
	a->memory_lock_error = -ENOMEM;
}
LACK(no_adj)
{
	nothing_lacks(a, m);
	a->oom_score_adj_error = -EACCES;
}
LACK(no_fifo)
{
	nothing_lacks(a, m);
	a->fifo_error = -EPERM;
}
LACK(ledger_is_taken)
{
	nothing_lacks(a, m);
	m->in_flight.ledger_error = -EBUSY;
}
LACK(ledger_on_disk)
{
	nothing_lacks(a, m);
	m->in_flight.ledger_error = -ENOTSUP;
}
LACK(unreadable)
{
	nothing_lacks(a, m);
	m->sampler.census.n_unreadable = 3;
}
LACK(no_signal)
{
	nothing_lacks(a, m);
	a->self_test_result[KILL_STEP_SIGNAL] = -EPERM;
}
LACK(no_signal_in_a_dry_run)
{
	no_signal(a, m);
	m->config.policies.dry_run = true;
}
LACK(no_thaw)
{
	nothing_lacks(a, m);
	a->thaw_error[0] = a->thaw_error[1] = -EROFS;
}
LACK(child_is_stuck)
{
	nothing_lacks(a, m);
	a->self_test_stuck = true;
}
LACK(no_reap)
{
	m->sampler.has_psi = true;
}
LACK(doubtful)
{
	nothing_lacks(a, m);
	m->sampler.reading.doubts = MEMORY_DOUBT_SWAP | MEMORY_DOUBT_EVENTS;
}
LACK(scoped)
{
	static char subtree[] = "/tenant";

	nothing_lacks(a, m);
	m->config.policies.subtree = subtree;
}
LACK(swap_on_zram)
{
	nothing_lacks(a, m);
	m->sampler.reading.swap_total = GIB;
	m->sampler.reading.counters.zram_disksize = GIB;
	m->sampler.reading.counters.arc_size = GIB;
}

static void test_lacks_are_logged_and_kept(void **state)
{
	static const struct lack lacks[] = {
		{ nothing_lacks, "pressure: PSI, trigger at some 70 ms in 1 s\n",
		  "missing privilege:", 0 },
		{ nothing_lacks, "swap: none\n", "subtree", 0 },
		{ nothing_lacks, "history: not kept over a restart", "dry run", 0 },
		{ no_psi, "pressure: no PSI on this kernel", "missing privilege:", 0 },
		{ coarse_trigger,
		  "150 ms in 2 s (finer: Operation not permitted), and by the timer\n",
		  "missing privilege:", 0 },
		{ no_trigger, "pressure: PSI by the timer alone (trigger: Invalid argument)\n",
		  "missing privilege:", 0 },
		{ no_capabilities, "missing privilege: may not raise priorities (CAP_SYS_NICE)",
		  NULL, 6 },
		{ no_kill, "missing privilege: may not kill processes of other users",
		  "CAP_SYS_NICE", 1 },
		{ in_namespace, "missing privilege: in a user namespace: ", NULL, 1 },
		{ not_locked,
		  "missing privilege: own memory is not locked: Cannot allocate memory\n", NULL,
		  1 },
		{ no_adj, "missing privilege: own oom_score_adj is not -1000: Permission denied\n",
		  NULL, 1 },
		{ no_fifo, "missing privilege: reapers run at normal priority: ", NULL, 1 },
		{ ledger_is_taken, "runtime directory: another reckond has it\n", NULL, 1 },
		{ ledger_on_disk, "runtime directory: not on a tmpfs\n", NULL, 1 },
		{ unreadable,
		  "missing privilege: 3 processes cannot be read and will not be chosen\n", NULL,
		  1 },
		{ no_signal,
		  "missing privilege: self-test could not signal: Operation not permitted\n", NULL,
		  1 },
		{ no_signal_in_a_dry_run, "dry run: no process will be killed.\n",
		  "missing privilege:", 0 },
		{ no_thaw,
		  "missing privilege: may not thaw frozen groups (v1): Read-only file system\n",
		  NULL, 2 },
		{ child_is_stuck, "missing privilege: the child of the self-test does not exit",
		  NULL, 1 },
		{ no_reap, "missing privilege: process_mrelease does not work here", NULL, 1 },
		{ doubtful, "missing privilege: ", NULL, 2 },
		{ scoped, ", subtree /tenant\n", NULL, 0 },
		{ swap_on_zram,
		  "swap: 1.0 GiB, on zram; ZFS ARC that can shrink counts as available\n", NULL,
		  0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(lacks); i++) {
		teardown(state);
		assert_int_equal(setup(state), 0);
		lacks[i].apply(&test.m->probed, test.m);
		report_start(&test.m->reporter, test.m->tick.history_store);
		check_said(lacks[i].says);
		if (lacks[i].says_not)
			check_not_said(lacks[i].says_not);
		assert_int_equal(test.m->probed.n_missing_privileges, lacks[i].n_limits);
	}
}

static void test_doubts_are_logged_once_each(void **state)
{
	struct manager *m = test.m;

	m->sampler.reading.doubts = MEMORY_DOUBT_SWAP;
	report_doubts(&m->reporter);
	report_doubts(&m->reporter);
	m->sampler.reading.doubts = MEMORY_DOUBT_SWAP | MEMORY_DOUBT_AVAILABLE;
	report_doubts(&m->reporter);
	m->sampler.reading.doubts = 0;
	report_doubts(&m->reporter);
	assert_int_equal(m->probed.n_missing_privileges, 2);
	assert_string_equal(m->probed.missing_privileges[0],
			    memory_doubt_to_string(MEMORY_DOUBT_SWAP));
	assert_string_equal(m->probed.missing_privileges[1],
			    memory_doubt_to_string(MEMORY_DOUBT_AVAILABLE));
}

/* It is in the log at least; what is kept is whole. */
static void test_a_lack_that_there_is_no_memory_for(void **state)
{
	struct manager *m = test.m;

	(void)m;
	if (!FAIL_MALLOC_WORKS)
		skip();
#if FAIL_MALLOC_WORKS
	for (unsigned n = 0; n < 2; n++) {
		m->sampler.reading.doubts = 1U << n;
		n_mallocs_allowed = n;
		fail_malloc = true;
		report_doubts(&m->reporter);
		fail_malloc = false;
		check_said(memory_doubt_to_string((enum memory_doubt)(1U << n)));
		assert_int_equal(m->probed.n_missing_privileges, 0);
	}
#endif
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_kill),
		TEST(test_what_failed_besides_a_kill),
		TEST(test_an_outcome),
		TEST(test_a_victim_that_is_none),
		TEST(test_where_memory_is),
		TEST(test_pressure_of_a_limited_cgroup_is_logged_with_its_name),
		TEST(test_warnings_are_logged_once),
		TEST(test_debugging_logs_each_sample),
		TEST(test_failures_are_logged_once_in_a_while),
		TEST(test_entries_and_lines_are_sent_to_their_target),
		TEST(test_an_entry_has_its_fields),
		TEST(test_lacks_are_logged_and_kept),
		TEST(test_doubts_are_logged_once_each),
		TEST(test_a_lack_that_there_is_no_memory_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
