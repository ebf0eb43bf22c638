/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tick: the whole daemon on one screen: sample, judge, choose, confirm, end, report.
 *
 * Each call of tick() looks once and takes at most one step for at most one victim.  From choose()
 * to the watching of the victim nothing is allocated, logged or waited for; what there is to say
 * is said by report(), after that.
 */
#include "daemon/tick.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/confirm.h"
#include "daemon/history-store.h"
#include "daemon/in-flight.h"
#include "daemon/kill-plan.h"
#include "daemon/manager.h"
#include "daemon/monitor.h"
#include "daemon/recorder.h"
#include "daemon/report.h"
#include "daemon/stalls.h"
#include "daemon/stuck.h"
#include "daemon/swap-use.h"
#include "daemon/thaw-state.h"
#include "daemon/unit.h"
#include "daemon/watch.h"
#include "lib/base/errors.h"
#include "lib/select/reader.h"

/* Watch is left when its reasons are so long over; a census costs more than a second look. */
#define WATCH_LINGER_USEC (10 * USEC_PER_SEC)
/* A choice that was cut short by its limits is gone on with so many times, at once, before a kill
 * rests on it all the same: 0.2 s in all. */
#define CUT_MAX	   4
#define GO_ON_USEC (1 * USEC_PER_MSEC)
/* Likewise after a candidate vanished that was larger than all others. */
#define VANISHED_MAX 64
/* The next slice of a round. */
#define NEXT_SLICE_USEC (4 * USEC_PER_MSEC)
/* Stalled so much of the time since the last look: worth watching (the trigger's 70 ms in 1 s). */
#define WATCH_PRESSURE 700U
/* All precise reads of one choice together: they must not make the emergency longer. */
#define PRECISE_BUDGET_USEC (100 * USEC_PER_MSEC)
/* All re-reading at little cost in one choice: some 8,000 processes. */
#define REREAD_BUDGET_USEC (40 * USEC_PER_MSEC)
/* The next look after a victim is gone or could not be had; memory has to be counted anew. */
#define SOON_USEC (20 * USEC_PER_MSEC)
/* While a victim is on its way, beside the event of its exit. */
#define SETTLE_USEC	   (50 * USEC_PER_MSEC)
#define RETRY_USEC	   USEC_PER_SEC
#define DRY_RUN_PAUSE_USEC (10 * USEC_PER_SEC)
/* A policy demands somebody, and so long nobody could be chosen. */
#define HOPELESS_USEC (30 * USEC_PER_SEC)

struct tick {
	usec_t now;
	usec_t cpu_time; /* of the thread, when it began */
	struct policy_judgement judgement;
	int signal;   /* what end() is to send, 0: nothing */
	bool goes_on; /* the choice was cut short */
	enum report_event event;
};

static struct policy_reading policy_reading(const struct manager *m)
{
	return (struct policy_reading){
		.memory = &m->sampler.reading,
		.psi = m->probed.psi ? &m->sampler.psi : NULL,
		.reclaim = &m->sampler.reclaim,
		.stalls_are_explained = m->stalls.explained,
		.unswappable = m->unswappable,
		.page_size = m->accuracy.page_size,
	};
}

static bool acting_policy_holds(const struct manager *m)
{
	struct policy_reading reading = policy_reading(m);

	for (size_t i = 0; i < m->policies.n_policies; i++) {
		const struct policy *policy = &m->policies.policies[i];

		if (policy->action >= POLICY_ACTION_TERMINATE && policy_holds(policy, &reading))
			return true;
	}
	return false;
}

/* Not while a victim is on its way, and not in calm. */
static int keep_census(struct manager *m, usec_t now)
{
	bool near = acting_policy_holds(m);
	int r;

	if (m->state == MANAGER_KILLING)
		return 0;
	if (m->state == MANAGER_CALM && !near && now >= m->watch_until &&
	    m->sampler.reading.available >
		    policy_line_bytes(&m->policies.watch_below, m->sampler.reading.total))
		return 0;
	if (m->state == MANAGER_CALM) { /* so far only the levels are known */
		r = memory_sample(m->sampler.source, &m->sampler.reading);
		if (r < 0)
			return r;
	}
	return watch_keep(m, now, near);
}

/* A turn that only goes on with a round of the census, or with a walk over the cgroups: nothing can
 * have crossed a threshold since memory was read. */
static bool is_slice_only(const struct manager *m, usec_t now)
{
	return (m->state == MANAGER_WATCH || m->state == MANAGER_STUCK) &&
	       now < m->sampler.due_at &&
	       (census_round_is_under_way(&m->census) || stall_is_walking(&m->stalls.walk));
}

/* What is kept in watch.  A census that cannot be kept up to date is better than none: that is
 * said, and does not end the look. */
static void keep(struct manager *m, const struct tick *t)
{
	int r;

	stalls_look(m, t->now);
	r = keep_census(m, t->now);
	swap_use_look(m, t->now);
	if (m->state == MANAGER_CALM)
		stuck_note_calm(m, t->now);
	else if (m->state == MANAGER_WATCH)
		stuck_watch(m, t->now);
	if (r < 0)
		report_sample_failed(m, r, t->now);
}

/* Memory and pressure. */
static int sample(struct manager *m, const struct tick *t)
{
	usec_t gap;
	int r;

	if (is_slice_only(m, t->now))
		return 0;
	r = sampler_sample(&m->sampler, m->state == MANAGER_CALM, t->now, clock_asleep(), &gap);
	if (r < 0)
		return r;
	if (gap > 0) {
		policy_forget(&m->policies);
		report_gap(gap);
	}
	if (psi_history_some(&m->sampler.psi, USEC_PER_SEC) >= WATCH_PRESSURE)
		m->watch_until = t->now + WATCH_LINGER_USEC;
	m->sampler.due_at = t->now + policy_interval(&m->policies, &m->sampler.reading,
						     m->state != MANAGER_CALM);
	return 0;
}

/* It is over with this victim, one way or another. */
static void settle(struct manager *m, struct tick *t, enum kill_progress outcome)
{
	in_flight_finish(m, t->now, outcome);
	m->state = MANAGER_WATCH;
	t->event = REPORT_ENDED;
}

/* What the policies say; one that goes by pressure only if that is the machine's. */
static void ask_policies(struct manager *m, struct tick *t)
{
	struct policy_reading reading = policy_reading(m);
	enum stalls_answer answer;

	reading.stalls_are_explained = false;
	policy_judge(&m->policies, &reading, t->now, &t->judgement);
	if (!t->judgement.policy || !policy_waits_for_pressure(t->judgement.policy))
		return;
	answer = stalls_ask(m, t->judgement.policy, t->now);
	if (answer == STALLS_COUNT)
		return;
	if (answer == STALLS_EXPLAINED && !m->stalls.reported)
		t->event = REPORT_EXPLAINED;
	m->stalls.policy = t->judgement.policy;
	reading.stalls_are_explained = true;
	policy_judge(&m->policies, &reading, t->now, &t->judgement);
}

/* Which state this is, and what is to be done: nothing, SIGTERM or SIGKILL. */
static void judge(struct manager *m, struct tick *t)
{
	const struct policy *policy;
	enum kill_progress progress;

	ask_policies(m, t);
	policy = t->judgement.policy;
	if (t->judgement.watch || policy)
		m->watch_until = t->now + WATCH_LINGER_USEC;

	if (m->state == MANAGER_KILLING) {
		thaw_state_look(m, t->now);
		progress = in_flight_judge(m, &t->judgement, t->now);
		if (progress == KILL_PROGRESS_ESCALATE)
			t->signal = SIGKILL;
		else if (progress != KILL_PROGRESS_WAIT)
			settle(m, t, progress);
		return;
	}
	if (m->state != MANAGER_CALM && t->now >= m->watch_until) {
		watch_rest(m);
		worth_reset(&m->worth); /* memory has recovered */
	}
	m->state = t->now < m->watch_until ? MANAGER_WATCH : MANAGER_CALM;
	if (!policy || policy->action < POLICY_ACTION_TERMINATE || t->now < m->quiet_until) {
		m->n_vanished = 0;
		return;
	}
	if (m->stuck.since != 0)
		m->state = MANAGER_STUCK;
	if (!stuck_is_to_choose(m, t->now))
		return;
	t->signal = policy->action == POLICY_ACTION_KILL ? SIGKILL : SIGTERM;
}

/* A process that changes its pid (clone(CLONE_VM) or fork(), and exit) vanishes while its memory
 * stays, be it after it was known or before.  It is new in the next look, so that is waited for,
 * rather than another killed that has less. */
static bool has_vanished(const struct manager *m)
{
	const struct victim_result *choice = &m->choice;
	const struct victim_candidate *best = choice->n_ranked > 0 ? &choice->ranked[0] : NULL;

	if (choice->vanished_pid != 0 && (!best || choice->vanished_score > best->estimate))
		return true;
	return census_unseen(&m->census) / 2 >
	       (best ? proc_reclaimable(&best->memory) : m->request.min_victim);
}

/* There may be one that is worth it: that it cannot be read for now says nothing of it. */
static bool none_can_be_read(struct manager *m, const struct tick *t)
{
	if (m->choice.n_ranked > 0 || !error_is_transient(m->choice.read_error))
		return false;
	report_sample_failed(m, m->choice.read_error, t->now);
	return true;
}

/* Two passes over the census: a victim, or none. */
static bool choose(struct manager *m, struct tick *t)
{
	const struct policy *policy = t->judgement.policy;
	struct reader reader = {
		/* (One that vanishes all the time does not live as long as a precise read takes.)
		 */
		.accuracy = &m->accuracy,
		.precise = m->precise,
		.proc_fd = m->proc_fd,
		.left = m->n_vanished > 0 ? 0 : PRECISE_BUDGET_USEC,
		.now = clock_now,
		.reread_until = clock_now() + REREAD_BUDGET_USEC,
		.allocated = m->sampler.reading.allocated,
		.sampled_at = t->now,
	};
	const struct victim_reader reads = {
		.precise = reader_read,
		.reread = reader_reread,
		.userdata = &reader,
	};
	usec_t began = clock_now();
	char own_cgroup[CGROUP_PATH_MAX];

	in_flight_observe_skipped(m);
	m->request = (struct victim_request){
		.n_wanted = VICTIM_TOLD,
		.n_looks = VICTIM_TOLD_LOOKS,
		.rank_by = policy_rank_by_now(policy, &m->sampler.reading),
		.target = policy->target,
		.allocated = m->sampler.reading.allocated,
		.total = m->sampler.reading.counters.total + m->sampler.reading.counters.swap_total,
		.memory = m->sampler.reading.total,
		.min_victim = stuck_min_victim(m, policy),
		.now = t->now,
		.ticks_now = clock_ticks_before(0),
		.self = getpid(),
		.backoff = &m->backoff,
		.streak = &m->streak,
		.own_cgroup = decision_own_cgroup(m, own_cgroup, sizeof(own_cgroup)),
	};
	census_set_totals(&m->census, &m->sampler.reading.counters);
	victim_choose(&m->census, &m->request, &reads, &m->choice);
	m->request.own_cgroup = NULL;
	if ((m->choice.is_cut || stuck_has_more(m, policy)) && m->n_cut++ < CUT_MAX) {
		t->goes_on = true;
		return false;
	}
	m->n_cut = 0;
	if (m->n_vanished < VANISHED_MAX && has_vanished(m)) {
		m->n_vanished++;
		t->goes_on = true;
		return false;
	}
	if (none_can_be_read(m, t))
		return false;
	if (m->choice.n_ranked == 0)
		stuck_take_holder(m, &reads, t->now);
	if (m->choice.n_ranked == 0) {
		t->event = m->stuck.since == 0 ? REPORT_NO_VICTIM : REPORT_NOTHING;
		stuck_enter(m, t->now);
		return false;
	}
	decision_record(&m->decision, m, policy, &m->choice, t->now);
	m->decision.choose_usec = clock_now() - began;
	recorder_choice(m, policy, clock_now());
	return true;
}

/* Signal, reap, thaw, and watch. */
static void end(struct manager *m, struct tick *t)
{
	struct decision *d = &m->decision;
	struct kill_target target = kill_plan_target(m);
	bool escalates = d->signal != 0;
	int r;

	/* SIGTERM would be for one of them alone. */
	if (d->n_siblings > 0 || !worth_is_conclusive(d->n_sharers, d->n_sharers_left))
		t->signal = SIGKILL;
	t->signal = thaw_state_prepare(m, t->signal);
	if (!escalates)
		unit_before_signal(m);
	r = kill_signal(m->kill_ops, m->proc_fd, &m->cgroups, &target, t->signal, m->reapers,
			&m->victim);
	if (!escalates)
		unit_after_signal(m, r);
	d->signal = t->signal;
	d->signalled_at = clock_now();
	d->watch = (struct kill_watch){ .moved_at = d->signalled_at };
	if (r < 0) { /* not permitted: there is nothing to wait for */
		d->error = r;
		settle(m, t, KILL_PROGRESS_UNKILLABLE);
		return;
	}
	m->state = MANAGER_KILLING;
	t->event = escalates ? REPORT_ESCALATED : REPORT_SIGNALLED;
	if (escalates)
		return;
	if (m->victim.group.n_signalled > 0)
		d->n_processes = m->victim.group.n_signalled;
	/* Not by signalled_at: until then a thaw may have waited for others who move processes. */
	d->signal_usec = sub_u64(m->victim.step_at[KILL_STEP_SIGNAL], t->now);
	m->n_kills++;
	m->n_vanished = 0;
	decision_note_streak(m, t->now);
	backoff_confirm(&m->backoff);
	backoff_spend(&m->backoff, d->avoided_kinds);
	/* Should this fail, the timer finds out too, only later. */
	(void)monitor_watch_victim(m, m->victim.pidfd);
	(void)monitor_watch_thaw(m, m->victim.thawed.events_fd);
}

/* For some time, as it cannot be killed. */
static bool is_to_be_skipped(enum report_event event)
{
	return event == REPORT_CANNOT_OPEN || event == REPORT_CANNOT_CONFIRM ||
	       event == REPORT_SPARED;
}

/* A policy demands a kill, and none is in progress. */
static bool choose_and_confirm(struct manager *m, struct tick *t)
{
	struct policy_reading reading = policy_reading(m);

	if (watch_is_incomplete(m, t->now))
		t->goes_on = true;
	if (t->goes_on || !choose(m, t)) {
		m->state = m->stuck.since != 0 ? MANAGER_STUCK : MANAGER_WATCH;
		return false;
	}
	t->event = confirm_victim(m, t->judgement.policy, &reading);
	if (t->event == REPORT_NOTHING && !m->decision.dry_run)
		return true;
	if (t->event == REPORT_NOTHING) {
		m->quiet_until = t->now + DRY_RUN_PAUSE_USEC;
		t->event = REPORT_DRY_RUN;
	}
	if (t->event == REPORT_VANISHED && m->n_vanished < VANISHED_MAX) {
		m->n_vanished++;
		t->goes_on = true;
	}
	if (t->event == REPORT_CHANGED && backoff_is_evasive(&m->backoff, t->now)) {
		m->decision.error = -EBUSY;
		t->event = REPORT_CANNOT_CONFIRM;
	}
	if (is_to_be_skipped(t->event))
		in_flight_skip(m, t->now);
	if (t->event == REPORT_CHANGED || t->event == REPORT_VANISHED)
		census_look_again(&m->census, m->decision.pid, t->now,
				  m->sampler.reading.allocated);
	kill_victim_done(&m->victim);
	m->state = MANAGER_WATCH;
	return false;
}

/* Left when no policy that kills holds any more, or when there is a victim. */
static void look_if_stuck(struct manager *m, struct tick *t)
{
	if (m->state != MANAGER_STUCK && !t->goes_on)
		stuck_leave(m);
	else if (stuck_look(m, t->now) && t->event == REPORT_NOTHING)
		t->event = REPORT_STUCK;
}

/* Something was not as thought, or is over: memory is to be counted anew. */
static bool is_to_look_again(enum report_event event)
{
	return event == REPORT_ENDED || event == REPORT_VANISHED || event == REPORT_CHANGED ||
	       is_to_be_skipped(event);
}

static usec_t next_by_state(const struct manager *m, const struct tick *t)
{
	usec_t spent = sub_u64(clock_cpu_time(), t->cpu_time);

	if (t->goes_on)
		return GO_ON_USEC;
	if (is_to_look_again(t->event))
		return SOON_USEC;
	if (m->state == MANAGER_KILLING) /* beside the event of its exit */
		return policy_pause(m->decision.signal == SIGKILL && !m->decision.hastened
					    ? KILL_STARVED_USEC
					    : SETTLE_USEC,
				    spent);
	if (watch_is_busy(m) && (m->state == MANAGER_WATCH || m->state == MANAGER_STUCK))
		return NEXT_SLICE_USEC;
	return policy_pause(
		policy_interval(&m->policies, &m->sampler.reading, m->state != MANAGER_CALM),
		spent);
}

static usec_t next_look(const struct manager *m, const struct tick *t)
{
	return min_u64(min_u64(next_by_state(m, t), stalls_next(m)), recorder_next(m, t->now));
}

/* Not the time to write files.  But where there is nothing that could be done about it, it may be
 * the machine's last. */
static bool is_emergency(const struct manager *m, usec_t now)
{
	if (m->state == MANAGER_KILLING || recorder_is_open(m->recorder))
		return true;
	return acting_policy_holds(m) && now - m->decision.decided_at < HOPELESS_USEC;
}

usec_t tick(struct manager *m, usec_t now)
{
	struct tick t = { .now = now, .cpu_time = clock_cpu_time() };
	enum manager_state before = m->state;
	usec_t next;
	int r;

	in_flight_put_back(m);
	r = sample(m, &t);
	if (r < 0) {
		report_sample_failed(m, r, now);
		return RETRY_USEC;
	}
	keep(m, &t);
	recorder_look(m, now);
	judge(m, &t);
	if (t.signal != 0 && (m->state == MANAGER_KILLING || choose_and_confirm(m, &t)))
		end(m, &t);
	if (t.goes_on) /* it is about to act: no warning */
		t.judgement.policy = NULL;
	if (m->stuck.since != 0)
		look_if_stuck(m, &t);
	recorder_note(m, t.event, &t.judgement, now);
	report(m, t.event, &t.judgement, before, now);
	if (history_store_is_due(m->history_store, now) && !is_emergency(m, now))
		history_store_write(m->history_store, now);
	next = next_look(m, &t);
	gap_plan(&m->sampler.gap, next);
	return next;
}
