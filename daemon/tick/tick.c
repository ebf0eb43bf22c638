/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tick: the whole daemon on one screen: sample, judge, choose, confirm, kill, report.
 *
 * Each call of tick() samples once and takes at most one step for at most one victim.  From
 * choose_victim() to the end of in_flight_start() nothing is allocated, logged or waited for; what
 * there is to report is reported by report(), after that.
 */
#include "daemon/tick/tick.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/regime.h"
#include "daemon/kill/in-flight.h"
#include "daemon/kill/thaw-state.h"
#include "daemon/record/history-store.h"
#include "daemon/record/recorder.h"
#include "daemon/record/report.h"
#include "daemon/select/selection.h"
#include "daemon/select/stuck.h"
#include "daemon/select/unowned.h"
#include "daemon/tick/choose.h"
#include "daemon/tick/next-sample.h"
#include "daemon/watch/judge.h"
#include "daemon/watch/sample.h"
#include "daemon/watch/sampler.h"
#include "daemon/watch/stalls.h"
#include "daemon/watch/swap-use.h"
#include "daemon/watch/watch.h"

/* After a failure to read memory. */
#define RETRY_USEC USEC_PER_SEC
/* A policy demands a kill, and for so long no victim could be chosen. */
#define HOPELESS_USEC (30 * USEC_PER_SEC)

struct turn {
	usec_t now;
	usec_t cpu_time; /* of the thread, when it began */
	int signal;	 /* to be sent; 0: nothing */
	bool goes_on;	 /* the choice is not complete */
	enum report_event event;
};

/* What is kept in watch.  A census that cannot be kept up to date is better than none: that is
 * logged, and does not end the tick. */
static void keep(struct tick *t, const struct turn *turn)
{
	int r;

	stalls_sample(t->sampler, turn->now);
	r = watch_keep(t->sampler, &t->selection->request, turn->now, judge_kills(t->sampler));
	if (r >= 0)
		r = victim_reserve(&t->selection->choice, &t->sampler->census);
	swap_use_sample(t->sampler, turn->now);
	unowned_note(t->selection);
	if (t->regime->state == REGIME_CALM)
		unowned_note_calm(t->selection, turn->now);
	else if (t->regime->state == REGIME_WATCH || t->regime->state == REGIME_STUCK)
		stuck_watch(t->selection, turn->now);
	if (r < 0)
		report_sample_failed(t->reporter, r, turn->now);
}

/* Which state this is, and what is to be done: nothing, SIGTERM or SIGKILL. */
static void judge(struct tick *t, struct turn *turn)
{
	const struct policy *policy;
	enum kill_progress progress;

	turn->event = judge_policies(t->sampler, turn->now, &t->judgement);
	policy = t->judgement.policy;
	if (t->judgement.watch || policy)
		t->regime->watch_until = turn->now + WATCH_HOLD_USEC;

	if (t->regime->state == REGIME_KILLING) {
		thaw_state_check(t->in_flight, turn->now);
		progress = in_flight_judge(t->in_flight, &t->judgement, turn->now);
		if (progress == KILL_PROGRESS_ESCALATE)
			turn->signal = SIGKILL;
		else if (progress != KILL_PROGRESS_WAIT)
			turn->event = in_flight_finish(t->in_flight, turn->now, progress);
		return;
	}
	if (t->regime->state != REGIME_CALM && turn->now >= t->regime->watch_until) {
		watch_release(t->sampler);
		selection_release(t->selection, &t->sampler->census);
	}
	t->regime->state = turn->now < t->regime->watch_until ? REGIME_WATCH : REGIME_CALM;
	if (!policy || policy->action < POLICY_ACTION_TERMINATE ||
	    turn->now < t->selection->quiet_until) {
		t->selection->n_vanished = 0;
		return;
	}
	if (t->selection->stuck.since != 0)
		t->regime->state = REGIME_STUCK;
	if (!stuck_is_to_choose(t->selection, turn->now))
		return;
	turn->signal = policy->action == POLICY_ACTION_KILL ? SIGKILL : SIGTERM;
}

/* A policy demands a kill, and none is in progress. */
static bool choose_to_kill(struct tick *t, struct turn *turn)
{
	struct choosing choosing;
	bool chosen = choose_victim(t, t->judgement.policy, turn->now, &choosing);

	if (choosing.event != REPORT_NOTHING)
		turn->event = choosing.event;
	turn->goes_on = choosing.goes_on;
	return chosen;
}

/* Left when no policy that kills holds any more, or when there is a victim. */
static void check_if_stuck(struct tick *t, struct turn *turn)
{
	if (t->regime->state != REGIME_STUCK && !turn->goes_on)
		stuck_leave(t->selection);
	else if (turn->event != REPORT_NOTHING) /* that it is stuck now, mostly */
		stuck_report_later(t->selection, turn->now);
	else if (stuck_has_report(t->selection, turn->now))
		turn->event = REPORT_STUCK;
}

/* Not the time to write files.  But where there is nothing that could be done about it, it may be
 * the machine's last. */
static bool is_emergency(const struct tick *t, usec_t now)
{
	if (t->regime->state == REGIME_KILLING || recorder_is_open(t->recorder))
		return true;
	return judge_kills(t->sampler) && now - t->in_flight->decision.decided_at < HOPELESS_USEC;
}

usec_t tick(struct tick *t, usec_t now)
{
	struct turn turn = { .now = now, .cpu_time = clock_cpu_time() };
	enum regime_state before = t->regime->state;
	usec_t next;
	pid_t exited;
	int r;

	while ((exited = in_flight_put_back(t->in_flight)) != 0)
		recorder_exited(t->recorder, exited);
	r = sample_take(t->sampler, recorder_is_open(t->recorder), now);
	if (r < 0) {
		t->judgement = (struct policy_judgement){ 0 };
		report_sample_failed(t->reporter, r, now);
		return RETRY_USEC;
	}
	if (r == 0 || judge_kills(t->sampler))
		keep(t, &turn);
	recorder_sample(t->recorder, now);
	judge(t, &turn);
	if (turn.signal != 0 && t->regime->state != REGIME_KILLING && !choose_to_kill(t, &turn))
		turn.signal = 0;
	if (turn.signal != 0)
		turn.event = in_flight_start(t->in_flight, turn.signal, now);
	if (turn.goes_on) /* it is about to act: no warning */
		t->judgement.policy = NULL;
	if (t->selection->stuck.since != 0)
		check_if_stuck(t, &turn);
	recorder_note(t->recorder, turn.event, &t->judgement, now);
	report(t->reporter, turn.event, &t->judgement, before, now);
	if (history_store_is_due(t->history_store, now) && !is_emergency(t, now))
		history_store_write(t->history_store, now);
	next = next_sample(t, turn.event, turn.goes_on, clock_cpu_time() - turn.cpu_time, now);
	gap_plan(&t->sampler->gap, next);
	return next;
}
