/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* recorder: entries of the history, opened at a signal and closed when their outcome is known. */
#include "daemon/record/recorder.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/base/boot.h"
#include "daemon/base/regime.h"
#include "daemon/kill/in-flight.h"
#include "daemon/log/log.h"
#include "daemon/record/record.h"
#include "daemon/select/selection.h"
#include "daemon/watch/sampler.h"
#include "lib/domain/domain.h"
#include "lib/explain/describe.h"

/* An emergency is over when no policy has demanded a kill for so long; what follows after that is
 * another. */
#define EMERGENCY_USEC (60 * USEC_PER_SEC)
/* Decisions without a signal are kept so many times an emergency: they may be repeated often, and
 * are not to displace kills. */
#define UNSIGNALLED_MAX 8

/* What was reclaimed is noted so long after the signal; a sample that is later by more than half of
 * that is not used for it. */
static const struct {
	usec_t after;
	size_t offset;
} marks[] = {
	{ 100 * USEC_PER_MSEC, offsetof(struct history_entry, reclaimed_100ms_bytes) },
	{ 500 * USEC_PER_MSEC, offsetof(struct history_entry, reclaimed_500ms_bytes) },
	{ 2 * USEC_PER_SEC, offsetof(struct history_entry, reclaimed_2s_bytes) },
};

struct recorder {
	const struct in_flight *f; /* borrowed */
	struct history *history;
	char boot[SD_ID128_STRING_MAX];
	struct history_entry draft; /* of the decision in hand */
	bool is_signalled;	    /* its record is `entry` now */

	/* The last victim. */
	struct history_entry entry;
	bool is_open;
	bool is_over; /* its outcome is known */
	usec_t decided_at;
	usec_t signalled_at;
	uint64_t before; /* available + swap free, at the decision */
	unsigned next_mark;
	uint64_t gain; /* with reclaimed_at: see recorder_reclaimed(); 0: nothing yet */
	usec_t reclaimed_at;

	/* The emergency. */
	usec_t emergency_until; /* if nothing more is demanded */
	unsigned n_unsignalled;
	bool has_reported_no_victim;
	pid_t last_pid; /* the last one that was not signalled: that one is kept once */
	uint64_t last_start_ticks;
	char last_kind[sizeof(((struct history_entry *)NULL)->kind)];
};

int recorder_new(const struct in_flight *in_flight, struct recorder **ret)
{
	struct recorder *a = malloc(sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	memset(a, 0, sizeof(*a)); /* touched: it is written to when memory is short */
	r = history_new(&a->history);
	if (r < 0) {
		free(a);
		return r;
	}
	a->f = in_flight;
	r = boot_read_id(a->boot);
	if (r < 0)
		log_warning("Cannot read the boot's id: %s, ignoring.", strerror(-r));
	*ret = a;
	return 0;
}

struct recorder *recorder_free(struct recorder *recorder)
{
	if (recorder)
		history_free(recorder->history);
	free(recorder);
	return NULL;
}

struct history *recorder_history(const struct recorder *recorder)
{
	return recorder->history;
}

bool recorder_is_open(const struct recorder *recorder)
{
	return recorder->is_open;
}

uint64_t recorder_open_id(const struct recorder *recorder)
{
	return recorder->entry.id;
}

const struct history_entry *recorder_current(const struct recorder *recorder)
{
	return recorder->is_signalled ? &recorder->entry : &recorder->draft;
}

void recorder_choice(struct recorder *a, const struct policy *policy)
{
	record_choice(a->f, policy, a->boot, &a->draft);
	a->is_signalled = false;
}

/* Since the decision. */
static uint64_t gain_of(const struct recorder *a)
{
	return record_reclaimed(&a->f->sampler->domain.reading, a->before);
}

static void fill_after(const struct recorder *a, struct history_entry *e)
{
	e->available_after_bytes = a->f->sampler->domain.reading.available;
	e->swap_free_after_bytes = a->f->sampler->domain.reading.swap_free;
	e->reclaimed_bytes = gain_of(a);
}

static bool is_exiting(const struct recorder *a)
{
	return a->is_open && a->is_over &&
	       strcmp(a->entry.outcome, kill_progress_to_string(KILL_PROGRESS_RECLAIMED)) == 0;
}

static void close_record(struct recorder *a)
{
	if (is_exiting(a))
		log_notice("Pid %d is still exiting (memory already reclaimed).",
			   (pid_t)a->entry.pid);
	fill_after(a, &a->entry);
	history_put(a->history, &a->entry);
	a->is_open = false;
}

static void close_if_complete(struct recorder *a)
{
	if (a->is_open && a->is_over && a->next_mark == ARRAY_SIZE(marks))
		close_record(a);
}

void recorder_exited(struct recorder *a, pid_t pid)
{
	if (!is_exiting(a) || a->entry.pid != (uint32_t)pid)
		return;
	set_text(a->entry.outcome, kill_progress_to_string(KILL_PROGRESS_EXITED));
	history_put(a->history, &a->entry);
}

static uint64_t since_decision(const struct recorder *a, const struct kill_victim *victim,
			       enum kill_step step)
{
	if (victim->step_at[step] == 0 || victim->step_result[step] != 0)
		return HISTORY_UNKNOWN_U64;
	return sub_u64(victim->step_at[step], a->decided_at);
}

static void note_steps(const struct recorder *a, const struct kill_victim *victim,
		       struct history_entry *e)
{
	static const size_t offsets[_KILL_STEP_MAX] = {
		[KILL_STEP_OPEN] = offsetof(struct history_entry, open_usec),
		[KILL_STEP_BOOST] = offsetof(struct history_entry, boost_usec),
		[KILL_STEP_SIGNAL] = offsetof(struct history_entry, signal_usec),
		[KILL_STEP_THAW] = offsetof(struct history_entry, thaw_usec),
		[KILL_STEP_REAP] = offsetof(struct history_entry, reap_usec),
	};

	if (e->escalated)
		e->escalated_usec = since_decision(a, victim, KILL_STEP_SIGNAL);
	for (unsigned step = 0; step < _KILL_STEP_MAX; step++) {
		uint64_t *usec = (uint64_t *)((char *)e + offsets[step]);

		if (*usec == HISTORY_UNKNOWN_U64)
			*usec = since_decision(a, victim, step);
	}
}

void recorder_sample(struct recorder *a, usec_t now)
{
	uint64_t bytes;

	if (!a->is_open)
		return;
	bytes = gain_of(a);
	if (bytes > a->gain + a->gain / 8) {
		a->gain = bytes;
		a->reclaimed_at = now;
	}
	if (a->f->regime->state == REGIME_KILLING && a->f->decision.kill.hastened)
		note_steps(a, &a->f->victim, &a->entry);
	while (a->next_mark < ARRAY_SIZE(marks)) {
		usec_t after = marks[a->next_mark].after, since = sub_u64(now, a->signalled_at);

		if (since < after)
			break;
		if (since <= after + after / 2)
			*(uint64_t *)((char *)&a->entry + marks[a->next_mark].offset) = bytes;
		a->next_mark++;
	}
	close_if_complete(a);
}

usec_t recorder_next(const struct recorder *a, usec_t now)
{
	if (!a->is_open || a->next_mark == ARRAY_SIZE(marks))
		return USEC_INFINITY;
	return sub_u64(a->signalled_at + marks[a->next_mark].after, now);
}

bool recorder_reclaimed(const struct recorder *a, uint64_t *ret_bytes, usec_t *ret_within)
{
	if (a->gain == 0)
		return false;
	*ret_bytes = a->gain;
	*ret_within = sub_u64(a->reclaimed_at, a->signalled_at);
	return true;
}

/* What is reclaimed is timed from here.  Steps that were not needed, or failed, have no time. */
static void note_signal(struct recorder *a)
{
	const struct decision *d = &a->f->decision;
	const struct kill_victim *victim = &a->f->victim;
	struct history_entry *e = &a->entry;

	a->signalled_at = d->kill.signalled_at;
	a->next_mark = 0;
	a->gain = 0;
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		*(uint64_t *)((char *)e + marks[i].offset) = HISTORY_UNKNOWN_U64;

	set_text(e->signal, record_signal_name(d->kill.signal));
	note_steps(a, victim, e);
	e->thawed_levels = victim->thawed.n_levels;
	set_text(e->outcome, kill_progress_to_string(KILL_PROGRESS_WAIT));
	history_put(a->history, e);
}

static void open_record(struct recorder *a)
{
	const struct decision *d = &a->f->decision;

	if (a->is_open) /* the next one comes first */
		close_record(a);
	a->entry = a->draft;
	a->is_signalled = true;
	a->is_open = true;
	a->is_over = false;
	a->decided_at = d->decided_at;
	a->before = d->before.available + d->before.swap_free;
	set_text(a->entry.kind, "killed");
	set_path(a->entry.cgroup, d->cgroup); /* it may have been moved since the choice */
	if (d->target == POLICY_TARGET_CGROUP)
		record_group(d, &a->entry);
	a->entry.sharers = d->others.n_sharers;
	record_killed_with(a->f, &a->entry);
	note_signal(a);
}

static void note_escalated(struct recorder *a)
{
	a->entry.escalated = true;
	note_signal(a);
}

static void note_outcome(struct recorder *a)
{
	const struct decision *d = &a->f->decision;
	struct history_entry *e = &a->entry;

	a->is_over = true;
	set_text(e->outcome, kill_progress_to_string(d->kill.outcome));
	e->exited_usec = sub_u64(d->kill.finished_at, d->decided_at);
	e->ineffective = d->kill.ineffective;
	if (d->error < 0)
		set_text(e->error, strerror(-d->error));
	if (e->thawed_levels > 0 && d->kill.outcome == KILL_PROGRESS_EXITED)
		e->refrozen = d->kill.refrozen;
	fill_after(a, e);
	history_put(a->history, e);
	close_if_complete(a);
}

/* The draft of a decision without a signal; the same is kept once in an emergency. */
static void note_unsignalled(struct recorder *a, const char *kind)
{
	const struct decision *d = &a->f->decision;
	bool is_known = a->last_pid == d->pid && a->last_start_ticks == d->start_ticks &&
			strcmp(a->last_kind, kind) == 0;

	if (is_known || a->n_unsignalled >= UNSIGNALLED_MAX)
		return;
	a->n_unsignalled++;
	a->last_pid = d->pid;
	a->last_start_ticks = d->start_ticks;
	set_text(a->last_kind, kind);
	set_text(a->draft.kind, kind);
	history_put(a->history, &a->draft);
}

/* It could not be opened or signalled, or its kill would have freed nothing. */
static void note_refused(struct recorder *a)
{
	struct history_entry *e = &a->draft;

	set_text(e->outcome, kill_progress_to_string(KILL_PROGRESS_UNKILLABLE));
	set_text(e->error, strerror(-a->f->decision.error));
	note_unsignalled(a, "not-killed");
}

static void note_no_victim(struct recorder *a, const struct policy *policy)
{
	char excluded[DESCRIBE_EXCLUSIONS_SIZE];
	size_t n[_ELIGIBILITY_MAX];

	if (a->has_reported_no_victim)
		return;
	a->has_reported_no_victim = true;
	victim_count_exclusions(&a->f->sampler->census, &a->f->selection->request, n);
	record_occasion(a->f->sampler, policy, a->boot, &a->draft);
	set_text(a->draft.kind, "no-victim");
	a->draft.candidates = 0;
	set_text(a->draft.excluded, describe_exclusions(n, excluded));
	history_put(a->history, &a->draft);
}

/* Of the limited cgroup; there was no choice. */
static void note_cgroup_limit(struct recorder *a)
{
	record_occasion(a->f->sampler, a->f->sampler->stalls.policy, a->boot, &a->draft);
	set_text(a->draft.kind, "cgroup-limit");
	set_path(a->draft.cgroup, a->f->sampler->stalls.walk.verdict.limited);
	history_put(a->history, &a->draft);
}

/* Does a policy demand a kill, and is it the first time for long? */
static void note_emergency(struct recorder *a, const struct policy_judgement *judgement, usec_t now)
{
	if (!judgement->policy || judgement->policy->action < POLICY_ACTION_TERMINATE)
		return;
	if (now >= a->emergency_until) {
		a->n_unsignalled = 0;
		a->has_reported_no_victim = false;
		a->last_kind[0] = '\0';
	}
	a->emergency_until = now + EMERGENCY_USEC;
}

void recorder_note(struct recorder *a, enum report_event event,
		   const struct policy_judgement *judgement, usec_t now)
{
	note_emergency(a, judgement, now);
	switch (event) {
	case REPORT_SIGNALLED:
		open_record(a);
		break;
	case REPORT_ESCALATED:
		note_escalated(a);
		break;
	case REPORT_FINISHED:
		if (a->is_open && !a->is_over)
			note_outcome(a);
		else /* it never had a signal */
			note_refused(a);
		break;
	case REPORT_CANNOT_OPEN:
	case REPORT_CANNOT_CONFIRM:
	case REPORT_SPARED:
		note_refused(a);
		break;
	case REPORT_DRY_RUN:
		note_unsignalled(a, "dry-run");
		break;
	case REPORT_CANCELLED:
		note_unsignalled(a, "cancelled");
		break;
	case REPORT_NO_VICTIM:
		note_no_victim(a, judgement->policy);
		break;
	case REPORT_CGROUP_LIMIT:
		note_cgroup_limit(a);
		break;
	case REPORT_STUCK:
	case REPORT_CHANGED:
	case REPORT_VANISHED:
	case REPORT_NOTHING:
		break;
	}
}

void recorder_close(struct recorder *a)
{
	if (a->is_open)
		close_record(a);
}
