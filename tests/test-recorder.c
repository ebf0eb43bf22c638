/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of daemon/record/recorder.c: a manager made by hand, in which memory is reclaimed and time
 * passes as the test says.  The whole path is tested by test-tick.c.
 */
#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "daemon/record/record.h"
#include "daemon/record/recorder.h"
#include "lib/history/event.h"
#include "lib/snapshot/census-tree.h"
#include "tests/fail-malloc.h"
#include "tests/recorder-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void test_note_fills_the_record(void **state)
{
	const struct history_entry *e;

	test.m->sampler->domain.has_psi = true;
	test.m->sampler->domain.reading.swap_total = 2 * GIB;
	/* A second of which half was stalled, a tenth wholly. */
	psi_history_add(&test.m->sampler->domain.psi, 1 * USEC_PER_SEC, &(struct psi_reading){ 0 });
	psi_history_add(
		&test.m->sampler->domain.psi, 2 * USEC_PER_SEC,
		&(struct psi_reading){ .some.total = 500 * MSEC, .full.total = 100 * MSEC });
	kill_one(812, SIGKILL);
	e = newest();
	assert_non_null(e);
	assert_int_equal(e->id, 1);
	assert_true(e->time_usec > 1500000000 * USEC_PER_SEC);
	assert_int_equal(strlen(e->boot), 32);
	assert_string_equal(e->kind, "killed");
	assert_string_equal(e->policy, "kill");
	assert_string_equal(e->action, "kill");
	assert_string_equal(e->target, "process");
	assert_string_equal(e->rank_by, "footprint");
	assert_int_equal(e->pid, 812);
	assert_int_equal(e->uid, 1000);
	assert_string_equal(e->comm, "leak\xef\xbf\xbd");
	assert_string_equal(e->cgroup, "/a/b");
	assert_int_equal(e->oom_score_adj, -5);
	assert_true(e->weight == 0.5);
	assert_int_equal(e->footprint_bytes, 64 * MIB);
	assert_int_equal(e->would_free_bytes, 64 * MIB);
	assert_int_equal(e->anonymous_bytes, 60 * MIB);
	assert_int_equal(e->swap_bytes, 4 * MIB);
	assert_int_equal(e->score_min_bytes, 60 * MIB);
	assert_int_equal(e->score_max_bytes, 61 * MIB);
	assert_int_equal(e->candidates, 40);
	assert_int_equal(e->precise_reads, 3);
	assert_int_equal(e->memory_total_bytes, GIB);
	assert_int_equal(e->available_before_bytes, BEFORE);
	assert_int_equal(e->swap_total_bytes, 2 * GIB);
	assert_int_equal(e->pressure_some_permyriad, 5000);
	assert_int_equal(e->pressure_full_permyriad, 1000);
	assert_string_equal(e->signal, "SIGKILL");
	assert_string_equal(e->outcome, "in-progress");
	assert_false(e->escalated);
	/* From the decision; what failed or was not needed has no time. */
	assert_int_equal(e->choose_usec, 40);
	assert_int_equal(e->open_usec, 90);
	assert_int_equal(e->boost_usec, UNKNOWN);
	assert_int_equal(e->signal_usec, 92);
	assert_int_equal(e->thaw_usec, UNKNOWN);
	assert_int_equal(e->reap_usec, 93);
	assert_int_equal(e->exited_usec, UNKNOWN);
	assert_int_equal(e->reclaimed_bytes, UNKNOWN);
	assert_int_equal(e->n_ranked, HISTORY_RANKED_MAX);
	assert_int_equal(e->ranked[7].pid, 819);
	assert_string_equal(e->ranked[0].verdict, "chosen");
	assert_string_equal(e->ranked[7].cgroup, "/a/b");
	assert_true(e->ranked[2].precise && !e->ranked[3].precise);
}

/* The chosen process was in a cgroup that is killed as a whole, or shared its memory. */
static void test_note_fills_in_what_is_killed_with_it(void **state)
{
	struct decision *d = &test.m->in_flight->decision;
	const struct history_entry *e;

	choose(812, SIGNALLED - 100);
	d->target = POLICY_TARGET_CGROUP;
	strcpy(d->others.group, "/a");
	strcpy(d->comm, "largest");
	d->uid = 1001;
	d->others.n_sharers = 2;
	d->memory = (struct proc_memory){ .anon = 100 * MIB, .swap = MIB };
	signal_it(SIGKILL, SIGNALLED);
	e = newest();
	assert_string_equal(e->target, "cgroup");
	assert_string_equal(e->cgroup, "/a");
	assert_string_equal(e->comm, "largest");
	assert_int_equal(e->pid, 812);
	assert_int_equal(e->uid, 1001);
	assert_int_equal(e->sharers, 2);
	assert_false(e->ranked[0].killed_with);
	assert_true(e->ranked[1].killed_with); /* in the group, too */
	assert_int_equal(e->footprint_bytes, 101 * MIB);
	assert_int_equal(e->would_free_bytes, 101 * MIB);
	assert_int_equal(e->alone_bytes, UNKNOWN); /* of all of them it is not known */
	assert_int_equal(e->anonymous_bytes, 100 * MIB);
	assert_int_equal(e->swap_bytes, MIB);

	choose(812, SIGNALLED);
	test.m->in_flight->victim.n_others = 1;
	test.m->in_flight->victim.others[0].pid = 814;
	signal_it(SIGKILL, SIGNALLED);
	assert_false(newest()->ranked[1].killed_with);
	assert_true(newest()->ranked[2].killed_with);

	/* Shares it with one that is to live. */
	choose(813, SIGNALLED + USEC_PER_SEC);
	d->error = -EPERM;
	note(REPORT_SPARED, SIGNALLED + USEC_PER_SEC);
	e = newest();
	assert_int_equal(e->pid, 813);
	assert_string_equal(e->outcome, "unkillable");
	assert_string_equal(e->error, strerror(EPERM));
}

/* No process is named where none was skipped. */
static void test_note_fills_in_what_was_skipped(void **state)
{
	struct census_process app = {
		.node.kind = CENSUS_PROCESS,
		.pid = 900,
		.above = &test.cgroup->branch,
	};
	const struct victim_candidate skipped = {
		.node = &app.node,
		.process = &app,
		.estimate = 400 * MIB,
		.memory = { .anon = 700 * MIB, .swap = 100 * MIB },
	};
	static const struct {
		enum backoff_verdict verdict;
		const char *text;
	} rows[] = {
		{ BACKOFF_NONE, "" },
		{ BACKOFF_SIMILAR, "similar" },
		{ BACKOFF_CONSECUTIVE, "failed" },
	};

	strcpy(app.comm, "app\xff");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct history_entry *e;
		bool is_known = rows[i].verdict != BACKOFF_NONE;

		test.m->selection->choice.skipped =
			is_known ? skipped : (struct victim_candidate){ 0 };
		test.m->selection->choice.skipped_for = rows[i].verdict;
		kill_one((pid_t)(812 + i), SIGKILL);
		e = newest();
		assert_string_equal(e->skipped_for, rows[i].text);
		assert_int_equal(e->skipped_pid, is_known ? 900 : HISTORY_UNKNOWN_U32);
		assert_string_equal(e->skipped_comm, is_known ? "app\xef\xbf\xbd" : "");
		assert_string_equal(e->skipped_cgroup, is_known ? "/a/b" : "");
		assert_int_equal(e->skipped_footprint_bytes, is_known ? 800 * MIB : UNKNOWN);
		assert_int_equal(e->skipped_score_bytes, is_known ? 400 * MIB : UNKNOWN);
	}
}

/* What the journal says is the record in hand, as far as the decision does not know better. */
static void test_an_event_is_the_record_in_hand(void **state)
{
	struct decision *d = &test.m->in_flight->decision;
	const struct recorder *recorder = test.m->tick->recorder;
	struct event event;

	kill_one(700, SIGKILL);
	choose(812, SIGNALLED);
	assert_int_equal(recorder_current(recorder)->pid, 812);
	strcpy(d->comm, "a\nb");
	strcpy(d->others.group, "/a");
	d->others.n_processes = 3;
	d->memory = (struct proc_memory){ .anon = 100 * MIB };
	test.m->sampler->domain.reading.available = BEFORE + MIB;
	record_event(test.m->in_flight, recorder_current(recorder), &event);
	assert_int_equal(event.entry.pid, 812);
	assert_string_equal(event.entry.comm, "a?b");
	assert_string_equal(event.entry.rank_by, "footprint"); /* only the record has it */
	assert_int_equal(event.entry.footprint_bytes, 100 * MIB);
	assert_int_equal(event.entry.available_before_bytes, BEFORE);
	assert_int_equal(event.entry.available_after_bytes, BEFORE + MIB);
	assert_int_equal(event.entry.reclaimed_bytes, MIB);
	assert_string_equal(event.entry.signal, "none");
	assert_string_equal(event.entry.outcome, "in-progress");
	assert_string_equal(event.victim_cgroup, "/a/b");
	assert_string_equal(event.target_cgroup, "/a");
	assert_int_equal(event.processes, 3);
	assert_int_equal(event.start_ticks, 7);

	signal_it(SIGTERM, SIGNALLED);
	assert_int_equal(recorder_current(recorder)->id, newest()->id);
	record_event(test.m->in_flight, NULL, &event);
	assert_string_equal(event.entry.signal, "SIGTERM");
	assert_string_equal(event.entry.rank_by, "");
}

static void test_pressure_is_not_known_without_psi(void **state)
{
	kill_one(812, SIGKILL);
	assert_int_equal(newest()->pressure_some_permyriad, HISTORY_UNKNOWN_U32);
	assert_int_equal(newest()->pressure_full_permyriad, HISTORY_UNKNOWN_U32);
}

static void test_what_was_refused_is_noted_with_the_error(void **state)
{
	choose(812, SIGNALLED);
	test.m->in_flight->decision.error = -EPERM;
	test.m->in_flight->decision.kill.outcome = KILL_PROGRESS_UNKILLABLE;
	note(REPORT_FINISHED, SIGNALLED);
	assert_string_equal(newest()->kind, "not-killed");
	assert_string_equal(newest()->outcome, "unkillable");
	assert_string_equal(newest()->signal, "");
	assert_string_equal(newest()->error, strerror(EPERM));
	assert_false(recorder_is_open(test.m->tick->recorder));

	choose(900, SIGNALLED);
	test.m->in_flight->decision.error = -EMFILE;
	note(REPORT_CANNOT_OPEN, SIGNALLED);
	assert_string_equal(newest()->error, strerror(EMFILE));
	assert_int_equal(history_count(test.history), 2);

	/* One that was refused while another is still recorded is not that one. */
	test.m->in_flight->decision.error = 0;
	kill_one(812, SIGKILL);
	end(KILL_PROGRESS_EXITED, MSEC);
	choose(901, SIGNALLED + MSEC);
	test.m->in_flight->decision.error = -EPERM;
	end(KILL_PROGRESS_UNKILLABLE, 2 * MSEC);
	assert_int_equal(newest()->pid, 901);
	assert_string_equal(newest()->outcome, "unkillable");
	assert_string_equal(history_get(test.history, 1)->outcome, "exited");
}

static void test_what_failed_is_kept_once_in_an_emergency(void **state)
{
	usec_t now = SIGNALLED;

	for (unsigned i = 0; i < 100; i++, now += USEC_PER_SEC) {
		choose(812, now);
		note(REPORT_DRY_RUN, now);
	}
	assert_int_equal(history_count(test.history), 1);
	assert_string_equal(newest()->kind, "dry-run");
	choose(812, now);
	note(REPORT_CANCELLED, now);
	assert_int_equal(history_count(test.history), 2);
	assert_string_equal(newest()->kind, "cancelled");
	assert_string_equal(newest()->outcome, "");
	for (unsigned i = 0; i < 100; i++) {
		choose((pid_t)(812 + i % 2), now);
		note(REPORT_CANCELLED, now);
	}
	assert_int_equal(history_count(test.history), 8); /* two that take turns */

	/* A sample at which nothing is demanded changes nothing; a minute of them is an end. */
	recorder_note(test.m->tick->recorder, REPORT_NOTHING, &test.none, now += 59 * USEC_PER_SEC);
	choose(900, now);
	note(REPORT_CANCELLED, now);
	assert_int_equal(history_count(test.history), 8);
	choose(900, now += 60 * USEC_PER_SEC);
	note(REPORT_CANCELLED, now);
	assert_int_equal(history_count(test.history), 9);
}

static void test_no_victim_is_logged_once_in_an_emergency(void **state)
{
	static const struct rule rule = { .kind = RULE_PROTECT };
	usec_t now = SIGNALLED;

	assert_int_equal(
		census_init(&test.m->sampler->census, -1, NULL, NULL, &test.m->config->policies),
		0);
	for (pid_t pid = 1; pid <= 4; pid++) {
		struct census_process *process = census_add(&test.m->sampler->census, pid, 7);

		assert_non_null(process);
		process->kthread = pid == 2;
		process->protected_by = &rule;
	}
	test.m->config->policies.subtree = (char[]){ "/" };
	for (unsigned i = 0; i < 1000; i++)
		note(REPORT_NO_VICTIM, now += 20 * MSEC);
	census_done(&test.m->sampler->census);
	assert_int_equal(history_count(test.history), 1);
	assert_string_equal(newest()->kind, "no-victim");
	assert_string_equal(newest()->policy, "kill");
	assert_int_equal(newest()->candidates, 0);
	assert_string_equal(newest()->excluded, "init, 1 kernel thread, 2 protected");
	assert_int_equal(newest()->pid, HISTORY_UNKNOWN_U32);
	assert_int_equal(newest()->n_ranked, 0);
	note(REPORT_NO_VICTIM, now + 61 * USEC_PER_SEC);
	assert_int_equal(history_count(test.history), 2);
}

static void test_the_exit_of_the_daemon_closes_what_is_open(void **state)
{
	recorder_close(test.m->tick->recorder);
	assert_int_equal(history_count(test.history), 0);
	kill_one(812, SIGKILL);
	test.m->sampler->domain.reading.available = BEFORE + MIB;
	recorder_close(test.m->tick->recorder);
	assert_string_equal(newest()->outcome, "in-progress");
	assert_int_equal(newest()->reclaimed_bytes, MIB);
	assert_int_equal(newest()->reclaimed_100ms_bytes, UNKNOWN);
}

static void test_nothing_is_allocated(void **state)
{
	if (!FAIL_MALLOC_WORKS) {
		print_message("SKIP: AddressSanitizer has its own malloc\n");
		skip();
	}
	n_mallocs = 0;
	fail_malloc = true;
	kill_one(812, SIGTERM);
	sample(100 * MSEC, MIB);
	signal_it(SIGKILL, SIGNALLED + MSEC);
	end(KILL_PROGRESS_EXITED, 200 * MSEC);
	fail_malloc = false;
	assert_int_equal(n_mallocs, 0);
	assert_int_equal(history_count(test.history), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_manager(test_note_fills_the_record),
		with_manager(test_note_fills_in_what_is_killed_with_it),
		with_manager(test_note_fills_in_what_was_skipped),
		with_manager(test_an_event_is_the_record_in_hand),
		with_manager(test_pressure_is_not_known_without_psi),
		with_manager(test_what_was_refused_is_noted_with_the_error),
		with_manager(test_what_failed_is_kept_once_in_an_emergency),
		with_manager(test_no_victim_is_logged_once_in_an_emergency),
		with_manager(test_the_exit_of_the_daemon_closes_what_is_open),
		with_manager(test_nothing_is_allocated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
