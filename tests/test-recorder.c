/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tests of daemon/recorder.c: a manager made by hand, in which memory is reclaimed and time passes
 * as the test says.  The whole path is tested by test-tick.c.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/manager.h"
#include "daemon/recorder.h"
#include "lib/base/cleanup.h"
#include "lib/snapshot/census-tree.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#define MSEC	  USEC_PER_MSEC
#define SIGNALLED (1000 * USEC_PER_SEC)
#define BEFORE	  (100 * MIB)
#define UNKNOWN	  HISTORY_UNKNOWN_U64

static struct {
	struct manager *m;
	struct history *history;
	struct policy policy;
	struct policy_judgement none, acting;
	struct census_process processes[VICTIM_RANKED_MAX];
	struct census_cgroup *cgroup;
} test;

static int setup(void **state)
{
	_cleanup_close_ int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	static char name[] = "kill", path[] = "/a/b";

	memset(&test, 0, sizeof(test));
	test.m = malloc(sizeof(*test.m));
	test.cgroup = calloc(1, sizeof(*test.cgroup) + sizeof(path));
	if (!test.m || !test.cgroup)
		return -1;
	manager_init(test.m);
	if (recorder_new(proc_fd, &test.m->in_flight, &test.m->tick.recorder) < 0)
		return -1;
	memcpy(test.cgroup->path, path, sizeof(path));
	test.cgroup->node.kind = CENSUS_CGROUP;
	test.history = recorder_history(test.m->tick.recorder);
	test.policy = (struct policy){ .name = name, .action = POLICY_ACTION_KILL };
	test.acting.policy = &test.policy;
	test.m->sampler.reading = (struct memory_reading){ .total = GIB, .available = BEFORE };
	kill_victim_init(&test.m->in_flight.victim);
	return 0;
}

static int teardown(void **state)
{
	fail_malloc = false;
	recorder_free(test.m->tick.recorder);
	free(test.m);
	free(test.cgroup);
	return 0;
}

/* As tick.c does: a process of 64 MiB is chosen. */
static void choose(pid_t pid, usec_t now)
{
	struct victim_result *choice = &test.m->selection.choice;

	choice->n_ranked = 12;
	choice->n_candidates = 40;
	choice->n_reads = 3;
	for (unsigned i = 0; i < choice->n_ranked; i++) {
		struct census_process *process = &test.processes[i];

		*process = (struct census_process){
			.pid = pid + (pid_t)i,
			.uid = 1000,
			.above = &test.cgroup->branch,
			.oom_score_adj = -5,
			.weight = 0.5F,
		};
		strcpy(process->comm, "leak\xff");
		choice->ranked[i] = (struct victim_candidate){
			.process = process,
			.score = { (60 - i) * MIB, (61 - i) * MIB },
			.memory = { .anon = 60 * MIB, .swap = 4 * MIB },
			.precise = i < 3,
			.verdict = i == 0 ? VICTIM_CHOSEN : VICTIM_SMALLER,
		};
	}
	test.m->in_flight.decision = (struct decision){
		.pid = pid,
		.start_ticks = 7,
		.cgroup = "/a/b",
		.before = test.m->sampler.reading,
		.decided_at = now,
	};
	recorder_choice(test.m->tick.recorder, &test.policy, now + 40);
}

static void note(enum report_event event, usec_t now)
{
	recorder_note(test.m->tick.recorder, event, &test.acting, now);
}

static void signal_it(int signal, usec_t now)
{
	struct kill_victim *victim = &test.m->in_flight.victim;
	bool escalates = test.m->in_flight.decision.signal != 0;

	test.m->in_flight.decision.signal = signal;
	test.m->in_flight.decision.signalled_at = now;
	for (int step = 0; step < _KILL_STEP_MAX; step++) {
		victim->step_result[step] = step == KILL_STEP_THAW ? 1 : 0;
		victim->step_at[step] = now - 10 + (usec_t)step;
	}
	victim->step_result[KILL_STEP_BOOST] = -EPERM;
	note(escalates ? REPORT_ESCALATED : REPORT_SIGNALLED, now);
}

/* Chosen 100 us before its signal at SIGNALLED. */
static void kill_one(pid_t pid, int signal)
{
	choose(pid, SIGNALLED - 100);
	signal_it(signal, SIGNALLED);
}

static void sample(usec_t since_signal, uint64_t returned)
{
	test.m->sampler.reading.available = BEFORE + returned;
	recorder_look(test.m->tick.recorder, SIGNALLED + since_signal);
}

static void end(enum kill_progress outcome, usec_t since_signal)
{
	test.m->in_flight.decision.outcome = outcome;
	test.m->in_flight.decision.ended_at = SIGNALLED + since_signal;
	note(REPORT_ENDED, SIGNALLED + since_signal);
}

static const struct history_entry *newest(void)
{
	return history_get(test.history, 0);
}

static void test_note_fills_the_record(void **state)
{
	const struct history_entry *e;

	test.m->sampler.has_psi = true;
	test.m->sampler.reading.swap_total = 2 * GIB;
	/* A second of which half was stalled, a tenth wholly. */
	psi_history_add(&test.m->sampler.psi, 1 * USEC_PER_SEC, &(struct psi_reading){ 0 });
	psi_history_add(
		&test.m->sampler.psi, 2 * USEC_PER_SEC,
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
	assert_string_equal(e->outcome, "wait");
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
	struct decision *d = &test.m->in_flight.decision;
	const struct history_entry *e;

	choose(812, SIGNALLED - 100);
	d->target = POLICY_TARGET_CGROUP;
	strcpy(d->group, "/a");
	strcpy(d->comm, "largest");
	d->uid = 1001;
	d->n_sharers = 2;
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
	test.m->in_flight.victim.n_others = 1;
	test.m->in_flight.victim.others[0].pid = 814;
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
static void test_note_fills_in_what_was_avoided(void **state)
{
	struct census_process app = {
		.node.kind = CENSUS_PROCESS,
		.pid = 900,
		.above = &test.cgroup->branch,
	};
	const struct victim_candidate avoided = {
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
		{ BACKOFF_SIMILAR, "kind" },
		{ BACKOFF_CONSECUTIVE, "failed" },
	};

	strcpy(app.comm, "app\xff");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct history_entry *e;
		bool is_known = rows[i].verdict != BACKOFF_NONE;

		test.m->selection.choice.avoided =
			is_known ? avoided : (struct victim_candidate){ 0 };
		test.m->selection.choice.skipped_for = rows[i].verdict;
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

static void test_pressure_is_not_known_without_psi(void **state)
{
	kill_one(812, SIGKILL);
	assert_int_equal(newest()->pressure_some_permyriad, HISTORY_UNKNOWN_U32);
	assert_int_equal(newest()->pressure_full_permyriad, HISTORY_UNKNOWN_U32);
}

static void test_what_was_reclaimed_is_noted_in_time(void **state)
{
	const struct history_entry *e;

	kill_one(812, SIGKILL);
	sample(30 * MSEC, 60 * MIB);
	end(KILL_PROGRESS_GONE, 30 * MSEC);
	e = newest();
	assert_string_equal(e->outcome, "gone");
	assert_int_equal(e->exited_usec, 30 * MSEC + 100);
	assert_int_equal(e->reclaimed_bytes, 60 * MIB);
	assert_int_equal(e->reclaimed_100ms_bytes, UNKNOWN);
	assert_true(
		recorder_is_open(test.m->tick.recorder)); /* it has exited, but is not recorded */

	assert_int_equal(recorder_next(test.m->tick.recorder, SIGNALLED + 30 * MSEC), 70 * MSEC);
	sample(101 * MSEC, 62 * MIB);
	assert_int_equal(recorder_next(test.m->tick.recorder, SIGNALLED + 101 * MSEC), 399 * MSEC);
	sample(400 * MSEC, 10 * MIB); /* not yet */
	sample(500 * MSEC, 50 * MIB);
	assert_int_equal(recorder_next(test.m->tick.recorder, SIGNALLED + 3 * USEC_PER_SEC),
			 0); /* late */
	sample(1999 * MSEC, 10 * MIB);
	assert_true(recorder_is_open(test.m->tick.recorder));
	sample(2000 * MSEC, 40 * MIB);
	assert_false(recorder_is_open(test.m->tick.recorder));
	assert_int_equal(recorder_next(test.m->tick.recorder, SIGNALLED + 2000 * MSEC),
			 USEC_INFINITY);
	sample(2100 * MSEC, 0); /* no longer its business */

	e = newest();
	assert_int_equal(history_count(test.history), 1);
	assert_int_equal(e->reclaimed_100ms_bytes, 62 * MIB);
	assert_int_equal(e->reclaimed_500ms_bytes, 50 * MIB);
	assert_int_equal(e->reclaimed_2s_bytes, 40 * MIB);
	assert_int_equal(e->reclaimed_bytes, 40 * MIB);
	assert_int_equal(e->available_after_bytes, BEFORE + 40 * MIB);
	assert_int_equal(e->swap_free_after_bytes, 0);
}

/* It exits after its memory was reclaimed: that is what is kept, as long as it is its record. */
static void test_a_late_exit_is_recorded(void **state)
{
	kill_one(812, SIGKILL);
	recorder_exited(test.m->tick.recorder, 812); /* not over yet */
	assert_string_equal(newest()->outcome, "wait");
	sample(30 * MSEC, 60 * MIB);
	end(KILL_PROGRESS_RECLAIMED, 30 * MSEC);
	recorder_exited(test.m->tick.recorder, 813);
	assert_string_equal(newest()->outcome, "reclaimed");
	recorder_exited(test.m->tick.recorder, 812);
	assert_string_equal(newest()->outcome, "gone");
	assert_int_equal(newest()->exited_usec, 30 * MSEC + 100);
	assert_int_equal(history_count(test.history), 1);

	kill_one(813, SIGKILL);
	end(KILL_PROGRESS_RECLAIMED, 30 * MSEC);
	kill_one(814, SIGKILL); /* closes the other */
	recorder_exited(test.m->tick.recorder, 813);
	assert_string_equal(newest()->outcome, "wait");
	assert_string_equal(history_get(test.history, 1)->outcome, "reclaimed");

	end(KILL_PROGRESS_UNKILLABLE, 30 * MSEC);
	recorder_exited(test.m->tick.recorder, 814);
	assert_string_equal(newest()->outcome, "unkillable");
}

static void test_swap_that_became_free_is_reclaimed_too(void **state)
{
	test.m->sampler.reading.swap_free = 8 * MIB;
	kill_one(812, SIGKILL);
	test.m->sampler.reading.swap_free = 12 * MIB;
	sample(100 * MSEC, 60 * MIB);
	end(KILL_PROGRESS_GONE, 100 * MSEC);
	assert_int_equal(newest()->reclaimed_100ms_bytes, 64 * MIB);
	assert_int_equal(newest()->swap_free_before_bytes, 8 * MIB);
	assert_int_equal(newest()->swap_free_after_bytes, 12 * MIB);
	test.m->sampler.reading.available = 0; /* less than before is nothing */
	test.m->sampler.reading.swap_free = 0;
	recorder_look(test.m->tick.recorder, SIGNALLED + 500 * MSEC);
	recorder_look(test.m->tick.recorder, SIGNALLED + 2000 * MSEC);
	assert_int_equal(newest()->reclaimed_500ms_bytes, 0);
}

static void test_a_late_sample_is_not_used(void **state)
{
	static const struct {
		usec_t at;
		bool is_100ms, is_500ms, is_2s;
	} cases[] = {
		{ 99 * MSEC, false, false, false },    { 100 * MSEC, true, false, false },
		{ 150 * MSEC, true, false, false },    { 151 * MSEC, false, false, false },
		{ 500 * MSEC, false, true, false },    { 750 * MSEC, false, true, false },
		{ 751 * MSEC, false, false, false },   { 2000 * MSEC, false, false, true },
		{ 3000 * MSEC, false, false, true },   { 3001 * MSEC, false, false, false },
		{ 60000 * MSEC, false, false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		test.m->sampler.reading.available = BEFORE;
		kill_one((pid_t)(100 + i), SIGKILL);
		sample(cases[i].at, MIB);
		end(KILL_PROGRESS_GONE, cases[i].at);
		assert_int_equal(newest()->reclaimed_100ms_bytes,
				 cases[i].is_100ms ? MIB : UNKNOWN);
		assert_int_equal(newest()->reclaimed_500ms_bytes,
				 cases[i].is_500ms ? MIB : UNKNOWN);
		assert_int_equal(newest()->reclaimed_2s_bytes, cases[i].is_2s ? MIB : UNKNOWN);
		assert_int_equal(newest()->reclaimed_bytes, MIB);
	}
}

static void test_the_next_victim_closes_the_record(void **state)
{
	const struct history_entry *first;

	kill_one(812, SIGKILL);
	sample(30 * MSEC, 60 * MIB);
	end(KILL_PROGRESS_GONE, 30 * MSEC);
	sample(120 * MSEC, 62 * MIB);
	choose(900, SIGNALLED + 120 * MSEC);
	assert_true(recorder_is_open(test.m->tick.recorder)); /* a choice is not yet a signal */
	assert_int_equal(newest()->pid, 812);
	signal_it(SIGKILL, SIGNALLED + 121 * MSEC);
	assert_int_equal(newest()->pid, 900);
	first = history_get(test.history, 1);
	assert_int_equal(first->pid, 812);
	assert_int_equal(first->reclaimed_100ms_bytes, 62 * MIB);
	assert_int_equal(first->reclaimed_500ms_bytes, UNKNOWN);
	assert_int_equal(first->reclaimed_2s_bytes, UNKNOWN);
	assert_int_equal(first->reclaimed_bytes, 62 * MIB);

	/* The second one's is against what was there when it was chosen. */
	sample(221 * MSEC, 100 * MIB);
	end(KILL_PROGRESS_GONE, 221 * MSEC);
	assert_int_equal(newest()->reclaimed_100ms_bytes, 38 * MIB);
	assert_int_equal(history_count(test.history), 2);
}

static void test_time_counts_from_the_last_signal(void **state)
{
	const struct history_entry *e;

	kill_one(812, SIGTERM);
	assert_string_equal(newest()->signal, "SIGTERM");
	assert_int_equal(newest()->signal_usec, 92);
	assert_int_equal(newest()->escalated_usec, UNKNOWN);
	sample(100 * MSEC, 1 * MIB);
	sample(500 * MSEC, 2 * MIB);
	sample(2000 * MSEC, 3 * MIB);
	assert_true(recorder_is_open(test.m->tick.recorder)); /* its end is not known */
	assert_int_equal(recorder_next(test.m->tick.recorder, SIGNALLED + 2000 * MSEC),
			 USEC_INFINITY);
	signal_it(SIGKILL, SIGNALLED + 5000 * MSEC);
	e = newest();
	assert_true(e->escalated);
	assert_string_equal(e->signal, "SIGKILL");
	assert_int_equal(e->reclaimed_100ms_bytes, UNKNOWN);
	/* The first signal's time is kept, and what was done for it; SIGKILL has its own. */
	assert_int_equal(e->signal_usec, 92);
	assert_int_equal(e->escalated_usec, 5000 * MSEC + 92);
	assert_int_equal(e->open_usec, 90);
	sample(5100 * MSEC, 64 * MIB);
	end(KILL_PROGRESS_GONE, 5100 * MSEC);
	sample(5500 * MSEC, 65 * MIB);
	sample(7000 * MSEC, 66 * MIB);
	e = newest();
	assert_int_equal(e->reclaimed_100ms_bytes, 64 * MIB);
	assert_int_equal(e->reclaimed_500ms_bytes, 65 * MIB);
	assert_int_equal(e->reclaimed_2s_bytes, 66 * MIB);
	assert_int_equal(history_count(test.history), 1);
}

static void test_what_takes_long_is_recorded_at_the_end(void **state)
{
	kill_one(812, SIGTERM);
	sample(100 * MSEC, 0);
	sample(500 * MSEC, 0);
	sample(2000 * MSEC, 0);
	sample(3200 * MSEC, 64 * MIB);
	test.m->in_flight.decision.ineffective = true;
	end(KILL_PROGRESS_GONE, 3200 * MSEC);
	assert_true(newest()->ineffective);
	assert_false(recorder_is_open(test.m->tick.recorder));
	assert_int_equal(newest()->reclaimed_2s_bytes, 0);
	assert_int_equal(newest()->reclaimed_bytes, 64 * MIB);
}

static void test_returned_is_the_shortest_time_for_nearly_all(void **state)
{
	uint64_t bytes;
	usec_t within;

	kill_one(812, SIGKILL);
	assert_false(recorder_returned(test.m->tick.recorder, &bytes, &within));
	sample(10 * MSEC, 0);
	assert_false(recorder_returned(test.m->tick.recorder, &bytes, &within));
	sample(20 * MSEC, 32 * MIB);
	sample(30 * MSEC, 60 * MIB);
	sample(100 * MSEC, 64 * MIB);
	sample(500 * MSEC, 5 * MIB);
	assert_true(recorder_returned(test.m->tick.recorder, &bytes, &within));
	assert_int_equal(bytes, 60 * MIB);
	assert_int_equal(within, 30 * MSEC);
	end(KILL_PROGRESS_GONE, 500 * MSEC);
	kill_one(900, SIGKILL);
	assert_false(recorder_returned(test.m->tick.recorder, &bytes, &within));
}

static void test_refreezing_is_noted_where_there_was_something_to(void **state)
{
	test.m->in_flight.victim.thawed.n_levels = 2;
	kill_one(812, SIGKILL);
	assert_int_equal(newest()->thawed_levels, 2);
	test.m->in_flight.decision.refrozen = 2;
	end(KILL_PROGRESS_GONE, MSEC);
	assert_int_equal(newest()->refrozen, 2);

	kill_one(813, SIGKILL); /* still exiting: it will be later */
	end(KILL_PROGRESS_UNKILLABLE, MSEC);
	assert_int_equal(newest()->refrozen, HISTORY_UNKNOWN_I32);

	test.m->in_flight.victim.thawed.n_levels = 0;
	kill_one(814, SIGKILL);
	end(KILL_PROGRESS_GONE, MSEC);
	assert_int_equal(newest()->thawed_levels, 0);
	assert_int_equal(newest()->refrozen, HISTORY_UNKNOWN_I32);
}

static void test_what_was_refused_is_noted_with_the_error(void **state)
{
	choose(812, SIGNALLED);
	test.m->in_flight.decision.error = -EPERM;
	test.m->in_flight.decision.outcome = KILL_PROGRESS_UNKILLABLE;
	note(REPORT_ENDED, SIGNALLED);
	assert_string_equal(newest()->kind, "not-killed");
	assert_string_equal(newest()->outcome, "unkillable");
	assert_string_equal(newest()->signal, "");
	assert_string_equal(newest()->error, strerror(EPERM));
	assert_false(recorder_is_open(test.m->tick.recorder));

	choose(900, SIGNALLED);
	test.m->in_flight.decision.error = -EMFILE;
	note(REPORT_CANNOT_OPEN, SIGNALLED);
	assert_string_equal(newest()->error, strerror(EMFILE));
	assert_int_equal(history_count(test.history), 2);

	/* One that was refused while another is still recorded is not that one. */
	test.m->in_flight.decision.error = 0;
	kill_one(812, SIGKILL);
	end(KILL_PROGRESS_GONE, MSEC);
	choose(901, SIGNALLED + MSEC);
	test.m->in_flight.decision.error = -EPERM;
	end(KILL_PROGRESS_UNKILLABLE, 2 * MSEC);
	assert_int_equal(newest()->pid, 901);
	assert_string_equal(newest()->outcome, "unkillable");
	assert_string_equal(history_get(test.history, 1)->outcome, "gone");
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
	recorder_note(test.m->tick.recorder, REPORT_NOTHING, &test.none, now += 59 * USEC_PER_SEC);
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
		census_init(&test.m->sampler.census, -1, NULL, NULL, &test.m->config.policies), 0);
	for (pid_t pid = 1; pid <= 4; pid++) {
		struct census_process *process = census_add(&test.m->sampler.census, pid, 7);

		assert_non_null(process);
		process->kthread = pid == 2;
		process->protected_by = &rule;
	}
	test.m->config.policies.subtree = (char[]){ "/" };
	for (unsigned i = 0; i < 1000; i++)
		note(REPORT_NO_VICTIM, now += 20 * MSEC);
	census_done(&test.m->sampler.census);
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
	recorder_close(test.m->tick.recorder);
	assert_int_equal(history_count(test.history), 0);
	kill_one(812, SIGKILL);
	test.m->sampler.reading.available = BEFORE + MIB;
	recorder_close(test.m->tick.recorder);
	assert_string_equal(newest()->outcome, "wait");
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
	end(KILL_PROGRESS_GONE, 200 * MSEC);
	fail_malloc = false;
	assert_int_equal(n_mallocs, 0);
	assert_int_equal(history_count(test.history), 1);
}

#define with_manager(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_manager(test_note_fills_the_record),
		with_manager(test_note_fills_in_what_is_killed_with_it),
		with_manager(test_note_fills_in_what_was_avoided),
		with_manager(test_pressure_is_not_known_without_psi),
		with_manager(test_what_was_reclaimed_is_noted_in_time),
		with_manager(test_a_late_exit_is_recorded),
		with_manager(test_swap_that_became_free_is_reclaimed_too),
		with_manager(test_a_late_sample_is_not_used),
		with_manager(test_the_next_victim_closes_the_record),
		with_manager(test_time_counts_from_the_last_signal),
		with_manager(test_what_takes_long_is_recorded_at_the_end),
		with_manager(test_returned_is_the_shortest_time_for_nearly_all),
		with_manager(test_refreezing_is_noted_where_there_was_something_to),
		with_manager(test_what_was_refused_is_noted_with_the_error),
		with_manager(test_what_failed_is_kept_once_in_an_emergency),
		with_manager(test_no_victim_is_logged_once_in_an_emergency),
		with_manager(test_the_exit_of_the_daemon_closes_what_is_open),
		with_manager(test_nothing_is_allocated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
