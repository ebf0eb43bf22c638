/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * recorder-fixture: a manager made by hand, in which memory is reclaimed and time passes as the
 * test says.
 */
#pragma once

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/record/recorder.h"
#include "tests/fail-malloc.h"
#include "tests/manager-parts.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
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

static inline int setup(void **state)
{
	static char name[] = "kill", path[] = "/a/b";

	memset(&test, 0, sizeof(test));
	test.m = manager_alloc();
	test.cgroup = calloc(1, sizeof(*test.cgroup) + sizeof(path));
	if (!test.m || !test.cgroup)
		return -1;
	if (recorder_new(test.m->in_flight, &test.m->tick->recorder) < 0)
		return -1;
	memcpy(test.cgroup->path, path, sizeof(path));
	test.cgroup->node.kind = CENSUS_CGROUP;
	test.history = recorder_history(test.m->tick->recorder);
	test.policy = (struct policy){ .name = name, .action = POLICY_ACTION_KILL };
	test.acting.policy = &test.policy;
	test.m->sampler->domain.reading =
		(struct memory_reading){ .total = GIB, .available = BEFORE };
	kill_victim_init(&test.m->in_flight->victim);
	return 0;
}

static inline int teardown(void **state)
{
	fail_malloc = false;
	recorder_free(test.m->tick->recorder);
	free(test.m);
	free(test.cgroup);
	return 0;
}

/* As tick.c does: a process of 64 MiB is chosen. */
static inline void choose(pid_t pid, usec_t now)
{
	struct victim_result *choice = &test.m->selection->choice;

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
	test.m->in_flight->decision = (struct decision){
		.pid = pid,
		.start_ticks = 7,
		.cgroup = "/a/b",
		.before = test.m->sampler->domain.reading,
		.decided_at = now,
		.choose_usec = 40,
	};
	recorder_choice(test.m->tick->recorder, &test.policy);
}

static inline void note(enum report_event event, usec_t now)
{
	recorder_note(test.m->tick->recorder, event, &test.acting, now);
}

static inline void signal_it(int signal, usec_t now)
{
	struct kill_victim *victim = &test.m->in_flight->victim;
	bool escalates = test.m->in_flight->decision.kill.signal != 0;

	test.m->in_flight->decision.kill.signal = signal;
	test.m->in_flight->decision.kill.signalled_at = now;
	for (int step = 0; step < _KILL_STEP_MAX; step++) {
		victim->step_result[step] = step == KILL_STEP_THAW ? 1 : 0;
		victim->step_at[step] = now - 10 + (usec_t)step;
	}
	victim->step_result[KILL_STEP_BOOST] = -EPERM;
	note(escalates ? REPORT_ESCALATED : REPORT_SIGNALLED, now);
}

/* Chosen 100 us before its signal at SIGNALLED. */
static inline void kill_one(pid_t pid, int signal)
{
	choose(pid, SIGNALLED - 100);
	signal_it(signal, SIGNALLED);
}

static inline void sample(usec_t since_signal, uint64_t returned)
{
	test.m->sampler->domain.reading.available = BEFORE + returned;
	recorder_sample(test.m->tick->recorder, SIGNALLED + since_signal);
}

static inline void end(enum kill_progress outcome, usec_t since_signal)
{
	test.m->in_flight->decision.kill.outcome = outcome;
	test.m->in_flight->decision.kill.finished_at = SIGNALLED + since_signal;
	note(REPORT_FINISHED, SIGNALLED + since_signal);
}

static inline const struct history_entry *newest(void)
{
	return history_get(test.history, 0);
}

#define with_manager(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
