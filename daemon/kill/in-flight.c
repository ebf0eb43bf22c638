/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* in-flight: waits for the victim, escalates, and freezes again what was thawed for it. */
#include "daemon/kill/in-flight.h"

#include <poll.h>
#include <signal.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/config.h"
#include "daemon/base/machine.h"
#include "daemon/base/regime.h"
#include "daemon/kill/confirm.h"
#include "daemon/kill/kill-plan.h"
#include "daemon/kill/thaw-state.h"
#include "daemon/kill/unit.h"
#include "daemon/log/log.h"
#include "daemon/select/selection.h"
#include "daemon/watch/sampler.h"
#include "lib/base/errors.h"
#include "lib/domain/domain.h"
#include "lib/select/victim-group.h"

/* How long killed processes are waited for at the exit of the daemon, all together. */
#define LAST_WAIT_USEC USEC_PER_SEC

/* false: that process has vanished. */
static bool read_process(const struct in_flight *f, pid_t pid, uint64_t start_ticks,
			 struct backoff_seen *ret)
{
	char cgroup[CGROUP_PATH_MAX], v1_freezer[CGROUP_PATH_MAX];
	struct proc_memory memory = { 0 };
	struct proc_stat stat;

	if (proc_read_stat(f->machine->proc_fd, pid, &stat) != 0 || stat.start_ticks != start_ticks)
		return false;
	if (cgroup_of_process(&f->machine->cgroups, f->machine->proc_fd, pid, cgroup,
			      sizeof(cgroup)) != 0)
		strcpy(cgroup, "/");
	if (cgroup_of_process_v1_freezer(&f->machine->cgroups, f->machine->proc_fd, pid, v1_freezer,
					 sizeof(v1_freezer)) != 0)
		strcpy(v1_freezer, "/");
	(void)proc_read_memory(f->machine->proc_fd, &stat, true, f->machine->accuracy.page_size,
			       &memory);
	*ret = (struct backoff_seen){
		.pid = pid,
		.start_ticks = start_ticks,
		.state = stat.state,
		.frozen = freezer_is_frozen(&f->machine->cgroups, cgroup, v1_freezer) > 0,
		.footprint = proc_reclaimable(&memory),
	};
	return true;
}

/* By the whole machine, since the choice. */
static uint64_t freed_since(const struct in_flight *f)
{
	const struct memory_reading *before = &f->decision.before,
				    *now = &f->sampler->domain.reading;

	return add_u64(sub_u64(now->freed, before->freed),
		       sub_u64(now->swap_free, before->swap_free));
}

static bool is_ineffective(const struct in_flight *f)
{
	return backoff_is_ineffective(proc_reclaimable(&f->decision.memory), freed_since(f));
}

static bool is_conclusive(const struct decision *d)
{
	return worth_is_conclusive(d->others.n_sharers, d->others.n_sharers_left);
}

/* A killed victim of which nothing is reclaimed is hastened.  By available memory: the victim's own
 * figures fall to nothing long before its pages are free. */
static void hasten_if_starved(struct in_flight *f, usec_t now)
{
	struct decision *d = &f->decision;
	uint64_t before = add_u64(d->before.available, d->before.swap_free);
	uint64_t reclaimed = sub_u64(
		add_u64(f->sampler->domain.reading.available, f->sampler->domain.reading.swap_free),
		before);

	if (d->kill.hastened || d->kill.signal != SIGKILL ||
	    !kill_is_starved(&d->kill.watch, now, reclaimed, proc_reclaimable(&d->memory)))
		return;
	d->kill.hastened = true;
	kill_hasten(f->machine->kill_ops, f->machine->proc_fd, f->reapers, &f->victim);
}

/* May it not be killed any more?  Rules may allocate, so they are matched only if they are others
 * than those by which it was chosen. */
static bool is_cancelled(const struct in_flight *f)
{
	const struct decision *d = &f->decision;

	if (d->n_reloads == f->config->n_reloads)
		return false;
	return f->config->policies.dry_run ||
	       !confirm_may_kill(f, d->pid, f->config->policies.subtree);
}

static bool may_free_more(struct in_flight *f, uint64_t available, usec_t now)
{
	const struct decision *d = &f->decision;

	return kill_may_free_more(&(struct kill_late){
		.expected = &d->memory,
		.since_gone = now - d->kill.gone_at,
		.available_then = d->kill.gone_available,
		.available_now = available,
		.is_read = precise_hurry(f->sampler->precise, d->pid),
	});
}

enum kill_progress in_flight_judge(struct in_flight *f, const struct policy_judgement *judgement,
				   usec_t now)
{
	struct decision *d = &f->decision;
	enum policy_action demanded =
		judgement->policy ? judgement->policy->action : POLICY_ACTION_NONE;
	enum kill_progress progress;
	struct kill_facts facts = {
		.signal = d->kill.signal,
		.gone = kill_plan_is_gone(f),
		.since_signal = sub_u64(sub_u64(now, d->kill.signalled_at), d->kill.frozen_usec),
		.grace = d->kill.stays_frozen ? 0 : d->grace_usec,
		.timeout = f->config->policies.kill_timeout_usec,
		.emergency_holds = demanded >= POLICY_ACTION_TERMINATE,
		.next_level = demanded == POLICY_ACTION_KILL,
		.expected_bytes = proc_reclaimable(&d->memory),
		.available_before = d->before.available + d->before.swap_free,
		.available_now =
			f->sampler->domain.reading.available + f->sampler->domain.reading.swap_free,
		.footprint_now = UINT64_MAX,
	};

	if (!facts.gone) {
		(void)precise_hurry(f->sampler->precise, d->pid);
		hasten_if_starved(f, now);
		facts.footprint_now = kill_plan_footprint(f);
	} else if (d->kill.gone_at == 0) {
		d->kill.gone_at = now;
		d->kill.gone_available = facts.available_now;
	}
	if (facts.gone && is_conclusive(d) && is_ineffective(f) &&
	    may_free_more(f, facts.available_now, now))
		return KILL_PROGRESS_WAIT;
	progress = kill_judge(&facts);
	d->kill.cancelled_by_reload = progress == KILL_PROGRESS_ESCALATE && is_cancelled(f);
	return d->kill.cancelled_by_reload ? KILL_PROGRESS_CANCELLED : progress;
}

/* Its memory is theirs, and what keeps it keeps theirs. */
static void skip_sharers(struct in_flight *f, enum backoff_why why, usec_t now)
{
	struct backoff_seen seen;

	for (unsigned i = 0; i < f->victim.n_others; i++)
		if (read_process(f, f->victim.others[i].pid, f->victim.others[i].start_ticks,
				 &seen) &&
		    seen.state != 'Z')
			(void)backoff_add(&f->selection->backoff, why, &seen, now);
}

static void skip_victim(struct in_flight *f, enum backoff_why why, usec_t now)
{
	struct decision *d = &f->decision;
	struct backoff_seen seen;
	usec_t wait;

	skip_sharers(f, why, now);
	if (!read_process(f, d->pid, d->start_ticks, &seen)) {
		backoff_succeed(&f->selection->backoff, d->pid, d->start_ticks);
		return;
	}
	wait = backoff_add(&f->selection->backoff, why, &seen, now);
	if (why != BACKOFF_STILL_EXITING)
		d->kill.backoff_usec = wait;
}

void in_flight_skip(struct in_flight *f, usec_t now)
{
	/* It is no reason to kill another one: this one is tried again at the next sample. */
	if (error_is_transient(f->decision.error))
		return;
	skip_victim(f, BACKOFF_REFUSED, now);
}

void in_flight_observe_skipped(struct in_flight *f)
{
	for (unsigned i = 0; i < BACKOFF_MAX; i++) {
		const struct backoff_seen *failed = &f->selection->backoff.entries[i].failed;
		struct backoff_seen seen;

		if (failed->pid == 0)
			continue;
		if (read_process(f, failed->pid, failed->start_ticks, &seen))
			backoff_observe(&f->selection->backoff, i, &seen);
		else
			backoff_observe(&f->selection->backoff, i, NULL);
	}
}

static void forget_one(struct in_flight *f, pid_t pid, uint64_t start_ticks)
{
	struct census_process *process = census_find(&f->sampler->census, pid);

	if (process && process->start_ticks == start_ticks)
		census_note_gone(&f->sampler->census, process);
}

/* Killed processes hold nothing any more, though their last readings say so: a zombie stays listed
 * until its parent has waited for it.  And what they shared with others is counted for these. */
static void forget_killed(struct in_flight *f)
{
	forget_one(f, f->decision.pid, f->decision.start_ticks);
	for (unsigned i = 0; i < f->victim.n_others; i++)
		if (f->victim.others[i].pidfd >= 0)
			forget_one(f, f->victim.others[i].pid, f->victim.others[i].start_ticks);
	for (unsigned i = 0; i < f->decision.others.rest.n; i++)
		forget_one(f, f->decision.others.rest.items[i].pid,
			   f->decision.others.rest.items[i].start_ticks);
	census_forget_shares(&f->sampler->census);
}

/* By all that was freed: where others take memory as fast, available memory does not rise. */
static void note_worth(struct in_flight *f)
{
	const struct decision *d = &f->decision;

	if (d->kill.outcome == KILL_PROGRESS_CANCELLED)
		worth_reset(&f->selection->worth);
	else if (d->kill.outcome != KILL_PROGRESS_UNKILLABLE && is_conclusive(d))
		worth_note(&f->selection->worth, proc_reclaimable(&d->memory), d->kill.freed);
}

static void note_heirs(struct in_flight *f, usec_t now)
{
	const struct decision *d = &f->decision;
	const struct census_process *parent = census_find(&f->sampler->census, d->ppid);
	const struct backoff_subject subject = decision_subject(d);

	backoff_note_heirs(
		&f->selection->backoff, &subject, parent && parent->code_pages == d->code_pages,
		clock_ticks_before(sub_u64(now, d->kill.signalled_at)), clock_ticks_after(0), now);
}

/* What is not to be chosen again after this: the process, or others like it. */
static void learn(struct in_flight *f, usec_t now)
{
	struct decision *d = &f->decision;
	const struct backoff_subject subject = decision_subject(d);

	if (d->kill.outcome == KILL_PROGRESS_UNKILLABLE)
		skip_victim(f, d->error < 0 ? BACKOFF_REFUSED : BACKOFF_UNKILLABLE, now);
	else if (d->kill.outcome == KILL_PROGRESS_RECLAIMED)
		skip_victim(f, BACKOFF_STILL_EXITING, now);
	else if (d->kill.outcome == KILL_PROGRESS_EXITED)
		backoff_succeed(&f->selection->backoff, d->pid, d->start_ticks);
	if (d->kill.outcome == KILL_PROGRESS_EXITED && d->kill.signal == SIGTERM)
		note_heirs(f, now);
	if (d->kill.outcome == KILL_PROGRESS_EXITED)
		forget_killed(f);

	d->kill.freed = freed_since(f);
	note_worth(f);
	d->kill.ineffective = is_conclusive(d) &&
			      (d->kill.outcome == KILL_PROGRESS_EXITED ||
			       d->kill.outcome == KILL_PROGRESS_RECLAIMED) &&
			      is_ineffective(f);
	if (d->kill.ineffective)
		backoff_add_kind(&f->selection->backoff, &subject,
				 clock_ticks_before(sub_u64(now, d->kill.signalled_at)),
				 clock_ticks_after(BACKOFF_RESPAWN_USEC), now);
}

/* It runs in a cgroup where it should not be, and does not exit.  (A killed one would never exit
 * there.) */
static void move_back(struct kill_victim *victim)
{
	int r;

	if (victim->pidfd < 0 || victim->signal == SIGKILL || kill_is_gone(victim))
		return;
	r = freezer_move_back(&victim->thawed);
	if (r != 0)
		log_notice("Pid %d %s%s.", victim->pid,
			   r < 0 ? "could not be put back into its group: "
				 : "is back in its frozen group",
			   r < 0 ? strerror(-r) : "");
}

static void refreeze_group(struct kill_victim *victim)
{
	int r;

	move_back(victim);
	r = freezer_refreeze(&victim->thawed);
	if (r != 0)
		log_notice("Pid %d: its group %s%s.", victim->pid,
			   r < 0 ? "could not be frozen again: " : "is frozen again",
			   r < 0 ? strerror(-r) : "");
	kill_victim_done(victim);
	kill_victim_init(victim);
}

struct kill_victim *in_flight_make_place(struct in_flight *f)
{
	struct kill_victim *victim = &f->exiting[f->n_exiting++ % EXITING_MAX];

	refreeze_group(victim);
	return victim;
}

/* Frozen again, it could not exit.  Of one that need not be killed nothing is expected any more: it
 * was frozen on purpose. */
static bool is_still_exiting(const struct in_flight *f, enum kill_progress outcome)
{
	if (outcome == KILL_PROGRESS_RECLAIMED && f->victim.thawed.n_levels == 0)
		return true; /* its exit is recorded */
	return outcome != KILL_PROGRESS_EXITED && outcome != KILL_PROGRESS_CANCELLED &&
	       f->victim.thawed.n_levels > 0 && f->decision.refreeze;
}

static void keep_until_exit(struct in_flight *f)
{
	*in_flight_make_place(f) = f->victim; /* its fds move with it */
	kill_victim_init(&f->victim);
}

enum report_event in_flight_finish(struct in_flight *f, usec_t now, enum kill_progress outcome)
{
	struct decision *d = &f->decision;

	d->kill.outcome = outcome;
	d->kill.finished_at = now;
	learn(f, now);
	if (outcome == KILL_PROGRESS_CANCELLED)
		unit_cancel(f);
	census_read_anew(&f->sampler->census, d->pid, now, f->sampler->domain.reading.allocated);
	f->is_watched = false;
	f->n_watched++;
	if (is_still_exiting(f, outcome)) {
		keep_until_exit(f);
	} else {
		if (d->refreeze)
			move_back(&f->victim);
		d->kill.refrozen = freezer_refreeze(&f->victim.thawed);
		kill_victim_done(&f->victim);
	}
	/* What was stalled before is no reason to kill another. */
	domain_forget_activity(&f->sampler->domain);
	f->regime->state = REGIME_WATCH;
	return REPORT_FINISHED;
}

/* Of the processes that are like the victim, it included; 0: others were killed with it. */
static unsigned count_alike(const struct in_flight *f)
{
	const struct decision *d = &f->decision;
	const struct census_process *victim = census_find(&f->sampler->census, d->pid);

	return victim && decision_is_of_one(d) ? victim_count_alike(&f->sampler->census, victim)
					       : 0;
}

/* One more kill for streak.h.  (All processes are walked: after the signal.) */
static void note_streak(struct in_flight *f, usec_t now)
{
	const struct decision *d = &f->decision;
	const struct streak_subject subject = {
		.cgroup = d->cgroup,
		.comm = d->comm,
		.ppid = d->ppid,
		.uid = d->uid,
		.session = d->session,
		.age = streak_age(d->start_ticks, clock_ticks_before(0)),
		.stack_start = d->stack_start,
		.args_length = d->args_length,
		.args_hash = d->args_hash,
		.n_alike = count_alike(f),
	};

	streak_add(&f->selection->streak, &subject, now);
}

/* What is counted, and what others learn of it, when the first signal was sent. */
static void note_start(struct in_flight *f, usec_t now)
{
	struct decision *d = &f->decision;

	if (f->victim.group.n_signalled > 0)
		d->others.n_processes = f->victim.group.n_signalled;
	/* Not by signalled_at: until then a thaw may have waited for other writers of cgroup.procs.
	 */
	d->kill.signal_usec = sub_u64(f->victim.step_at[KILL_STEP_SIGNAL], now);
	f->n_kills++;
	f->selection->n_vanished = 0;
	note_streak(f, now);
	backoff_confirm(&f->selection->backoff);
	backoff_spend(&f->selection->backoff, d->skipped.kinds);
}

enum report_event in_flight_start(struct in_flight *f, int signal, usec_t now)
{
	struct decision *d = &f->decision;
	struct kill_target target = kill_plan_target(f);
	const struct backoff_subject subject = decision_subject(d);
	bool escalates = d->kill.signal != 0;
	int r;

	/* SIGTERM would be for one of them alone. */
	if (d->others.n_siblings > 0 ||
	    !worth_is_conclusive(d->others.n_sharers, d->others.n_sharers_left))
		signal = SIGKILL;
	/* What has forked it was asked to exit, and has left its memory to it instead. */
	if (d->stack_start != 0 && backoff_is_heir(&f->selection->backoff, &subject, now))
		signal = SIGKILL;
	signal = thaw_state_prepare(f, signal);
	if (!escalates)
		unit_before_signal(f);
	r = kill_signal(f->machine->kill_ops, f->machine->proc_fd, &f->machine->cgroups, &target,
			signal, f->reapers, &f->victim);
	if (!escalates)
		unit_after_signal(f, r);
	d->kill.signalled_at = clock_now();
	d->kill.watch = (struct kill_watch){ .moved_at = d->kill.signalled_at };
	if (r < 0) { /* not permitted: there is nothing to wait for */
		d->error = r;
		return in_flight_finish(f, now, KILL_PROGRESS_UNKILLABLE);
	}
	d->kill.signal = signal;
	f->regime->state = REGIME_KILLING;
	if (escalates)
		return REPORT_ESCALATED;
	note_start(f, now);
	f->is_watched = true;
	f->n_watched++;
	return REPORT_SIGNALLED;
}

pid_t in_flight_put_back(struct in_flight *f)
{
	for (size_t i = 0; i < min_u64(f->n_exiting, EXITING_MAX); i++) {
		pid_t pid = f->exiting[i].pid;

		if (f->exiting[i].pidfd < 0 || !kill_is_gone(&f->exiting[i]))
			continue;
		refreeze_group(&f->exiting[i]);
		return pid;
	}
	return 0;
}

struct in_flight_watched in_flight_watched(const struct in_flight *f)
{
	return (struct in_flight_watched){
		.victim_fd = f->is_watched ? f->victim.pidfd : -EBADF,
		.thaw_fd = f->is_watched ? f->victim.thawed.events_fd : -EBADF,
		.n = f->n_watched,
	};
}

/* Frozen while it exits, a killed process would remain: on v1 nothing terminates it then. */
static void wait_for_exit(const struct kill_victim *victim, usec_t deadline)
{
	struct pollfd pollfd = { .fd = victim->pidfd, .events = POLLIN };

	if (victim->pidfd >= 0 && victim->signal == SIGKILL && victim->thawed.n_levels > 0)
		(void)poll(&pollfd, 1, (int)(sub_u64(deadline, clock_now()) / USEC_PER_MSEC));
}

void in_flight_put_back_all(struct in_flight *f)
{
	usec_t deadline = clock_now() + LAST_WAIT_USEC;

	for (size_t i = 0; i < EXITING_MAX; i++) {
		wait_for_exit(&f->exiting[i], deadline);
		refreeze_group(&f->exiting[i]);
	}
	wait_for_exit(&f->victim, deadline);
	refreeze_group(&f->victim);
}
