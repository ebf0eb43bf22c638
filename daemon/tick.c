/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tick: the whole daemon on one screen: sample, judge, choose, confirm, kill, report.
 *
 * Each call of tick() samples once and takes at most one step for at most one victim.  From
 * choose_victim() to the end of in_flight_start() nothing is allocated, logged or waited for; what
 * there is to report is reported by report(), after that.
 */
#include "daemon/tick.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/choose.h"
#include "daemon/clock.h"
#include "daemon/history-store.h"
#include "daemon/in-flight.h"
#include "daemon/judge.h"
#include "daemon/manager.h"
#include "daemon/next-sample.h"
#include "daemon/recorder.h"
#include "daemon/report.h"
#include "daemon/sample.h"
#include "daemon/stalls.h"
#include "daemon/stuck.h"
#include "daemon/swap-use.h"
#include "daemon/thaw-state.h"
#include "daemon/watch.h"

/* After a failure to read memory. */
#define RETRY_USEC USEC_PER_SEC
/* A policy demands a kill, and for so long no victim could be chosen. */
#define HOPELESS_USEC (30 * USEC_PER_SEC)

struct tick {
	usec_t now;
	usec_t cpu_time; /* of the thread, when it began */
	struct policy_judgement judgement;
	int signal;   /* to be sent; 0: nothing */
	bool goes_on; /* the choice is not complete */
	enum report_event event;
};

/* What is kept in watch.  A census that cannot be kept up to date is better than none: that is
 * logged, and does not end the tick. */
static void keep(struct manager *m, const struct tick *t)
{
	int r;

	stalls_look(&m->sampler, t->now);
	r = watch_keep(&m->sampler, &m->selection.request, t->now, judge_kills(&m->sampler));
	if (r >= 0)
		r = victim_reserve(&m->selection.choice, &m->sampler.census);
	swap_use_look(&m->sampler, t->now);
	if (m->regime.state == MANAGER_CALM)
		stuck_note_calm(&m->selection, t->now);
	else if (m->regime.state == MANAGER_WATCH)
		stuck_watch(&m->selection, t->now);
	if (r < 0)
		report_sample_failed(m, r, t->now);
}

/* Which state this is, and what is to be done: nothing, SIGTERM or SIGKILL. */
static void judge(struct manager *m, struct tick *t)
{
	const struct policy *policy;
	enum kill_progress progress;

	t->event = judge_policies(&m->sampler, t->now, &t->judgement);
	policy = t->judgement.policy;
	if (t->judgement.watch || policy)
		m->regime.watch_until = t->now + WATCH_HOLD_USEC;

	if (m->regime.state == MANAGER_KILLING) {
		thaw_state_look(&m->in_flight, t->now);
		progress = in_flight_judge(&m->in_flight, &t->judgement, t->now);
		if (progress == KILL_PROGRESS_ESCALATE)
			t->signal = SIGKILL;
		else if (progress != KILL_PROGRESS_WAIT)
			t->event = in_flight_end(&m->in_flight, t->now, progress);
		return;
	}
	if (m->regime.state != MANAGER_CALM && t->now >= m->regime.watch_until) {
		watch_rest(&m->sampler);
		selection_rest(&m->selection, &m->sampler.census);
	}
	m->regime.state = t->now < m->regime.watch_until ? MANAGER_WATCH : MANAGER_CALM;
	if (!policy || policy->action < POLICY_ACTION_TERMINATE ||
	    t->now < m->selection.quiet_until) {
		m->selection.n_vanished = 0;
		return;
	}
	if (m->selection.stuck.since != 0)
		m->regime.state = MANAGER_STUCK;
	if (!stuck_is_to_choose(&m->selection, t->now))
		return;
	t->signal = policy->action == POLICY_ACTION_KILL ? SIGKILL : SIGTERM;
}

/* A policy demands a kill, and none is in progress. */
static bool choose_to_kill(struct manager *m, struct tick *t)
{
	struct choosing choosing;
	bool chosen = choose_victim(m, t->judgement.policy, t->now, &choosing);

	if (choosing.event != REPORT_NOTHING)
		t->event = choosing.event;
	t->goes_on = choosing.goes_on;
	return chosen;
}

/* Left when no policy that kills holds any more, or when there is a victim. */
static void check_if_stuck(struct manager *m, struct tick *t)
{
	if (m->regime.state != MANAGER_STUCK && !t->goes_on)
		stuck_leave(&m->selection);
	else if (t->event != REPORT_NOTHING) /* that it is stuck now, mostly */
		stuck_look_later(&m->selection, t->now);
	else if (stuck_look(&m->selection, t->now))
		t->event = REPORT_STUCK;
}

/* Not the time to write files.  But where there is nothing that could be done about it, it may be
 * the machine's last. */
static bool is_emergency(const struct manager *m, usec_t now)
{
	if (m->regime.state == MANAGER_KILLING || recorder_is_open(m->recorder))
		return true;
	return judge_kills(&m->sampler) && now - m->in_flight.decision.decided_at < HOPELESS_USEC;
}

usec_t tick(struct manager *m, usec_t now)
{
	struct tick t = { .now = now, .cpu_time = clock_cpu_time() };
	enum manager_state before = m->regime.state;
	usec_t next;
	pid_t exited;
	int r;

	while ((exited = in_flight_put_back(&m->in_flight)) != 0)
		recorder_exited(m, exited);
	r = sample_take(&m->sampler, recorder_is_open(m->recorder), now);
	if (r < 0) {
		report_sample_failed(m, r, now);
		return RETRY_USEC;
	}
	if (r == 0 || judge_kills(&m->sampler))
		keep(m, &t);
	recorder_look(m, now);
	judge(m, &t);
	if (t.signal != 0 && m->regime.state != MANAGER_KILLING && !choose_to_kill(m, &t))
		t.signal = 0;
	if (t.signal != 0)
		t.event = in_flight_start(&m->in_flight, t.signal, now);
	if (t.goes_on) /* it is about to act: no warning */
		t.judgement.policy = NULL;
	if (m->selection.stuck.since != 0)
		check_if_stuck(m, &t);
	recorder_note(m, t.event, &t.judgement, now);
	report(m, t.event, &t.judgement, before, now);
	if (history_store_is_due(m->history_store, now) && !is_emergency(m, now))
		history_store_write(m->history_store, now);
	next = next_sample(m, t.event, t.goes_on, clock_cpu_time() - t.cpu_time, now);
	gap_plan(&m->sampler.gap, next);
	return next;
}
