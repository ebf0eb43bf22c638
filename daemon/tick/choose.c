/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* choose: the two passes over the snapshot, and what makes them continue. */
#include "daemon/tick/choose.h"

#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/machine.h"
#include "daemon/base/regime.h"
#include "daemon/kill/confirm.h"
#include "daemon/kill/in-flight.h"
#include "daemon/record/recorder.h"
#include "daemon/record/report.h"
#include "daemon/select/selection.h"
#include "daemon/tick/tick.h"
#include "daemon/watch/judge.h"
#include "daemon/watch/sampler.h"
#include "daemon/watch/watch.h"
#include "lib/base/errors.h"
#include "lib/select/reader.h"

/* A choice that was cut short by its limits is continued so many times, at once, before a kill is
 * based on it all the same: 0.2 s in all. */
#define CUT_MAX 4
/* Likewise after a candidate vanished that was larger than all others. */
#define VANISHED_MAX 64
/* All precise reads of one choice together: they must not make the emergency longer. */
#define PRECISE_BUDGET_USEC (100 * USEC_PER_MSEC)
/* All re-reading at little cost in one choice: some 8,000 processes. */
#define REREAD_BUDGET_USEC (40 * USEC_PER_MSEC)
#define DRY_RUN_PAUSE_USEC (10 * USEC_PER_SEC)

/* A process that changes its pid (clone(CLONE_VM) or fork(), and exit) vanishes while its memory is
 * kept, whether it was known before or not.  It is new in the next sample, so that is waited for,
 * rather than another killed that has less. */
static bool has_vanished(const struct tick *t)
{
	const struct victim_result *choice = &t->selection->choice;
	const struct victim_candidate *best = choice->n_ranked > 0 ? &choice->ranked[0] : NULL;

	if (choice->vanished_pid != 0 && (!best || choice->vanished_score > best->estimate))
		return true;
	return census_unseen(&t->sampler->census) / 2 >
	       (best ? proc_reclaimable(&best->memory) : t->selection->request.min_victim);
}

/* There may be one that is worth it: that it cannot be read for now does not show that there is
 * none. */
static bool none_can_be_read(struct tick *t, usec_t now)
{
	if (t->selection->choice.n_ranked > 0 ||
	    !error_is_transient(t->selection->choice.read_error))
		return false;
	report_sample_failed(t->reporter, t->selection->choice.read_error, now);
	return true;
}

/* In which no other process may be killed as one of a streak; NULL where it is not known, or not
 * needed as there was no kill yet. */
static const char *own_cgroup_of(const struct in_flight *f, char *buf, size_t size)
{
	if (f->n_kills == 0 ||
	    cgroup_of_process(&f->machine->cgroups, f->machine->proc_fd, getpid(), buf, size) != 0)
		return NULL;
	return buf;
}

/* own_cgroup: of CGROUP_PATH_MAX; points to it. */
static struct victim_request request_of(struct tick *t, const struct policy *policy, usec_t now,
					char *own_cgroup)
{
	struct victim_request request = victim_request_of(policy, &t->sampler->domain.reading, now);

	request.root = t->sampler->domain.root;
	request.n_wanted = VICTIM_REPORTED;
	request.node_budget = VICTIM_REPORTED_NODES;
	request.min_victim = stuck_min_victim(t->selection, policy);
	request.ticks_now = clock_ticks_before(0);
	request.backoff = &t->selection->backoff;
	request.streak = &t->selection->streak;
	request.args = t->sampler->watch.args;
	request.own_cgroup = own_cgroup_of(t->in_flight, own_cgroup, CGROUP_PATH_MAX);
	return request;
}

/* Is there more to be done, in turns that follow at once, before a kill may rest on the choice? */
static bool is_to_continue(struct tick *t, const struct policy *policy)
{
	if ((t->selection->choice.is_cut || stuck_has_more(t->selection, policy)) &&
	    t->selection->n_cut++ < CUT_MAX)
		return true;
	t->selection->n_cut = 0;
	if (t->selection->n_vanished >= VANISHED_MAX || !has_vanished(t))
		return false;
	t->selection->n_vanished++;
	return true;
}

/* Two passes over the census: a victim, or none. */
static bool choose(struct tick *t, const struct policy *policy, usec_t now, struct choosing *ret)
{
	usec_t began = clock_now();
	struct reader reader = {
		.accuracy = &t->selection->machine->accuracy,
		.precise = t->sampler->precise,
		.proc_fd = t->selection->machine->proc_fd,
		/* (One that vanishes all the time does not live as long as a precise read takes.)
		 */
		.left = t->selection->n_vanished > 0 ? 0 : PRECISE_BUDGET_USEC,
		.now = clock_now,
		.reread_until = began + REREAD_BUDGET_USEC,
		.allocated = t->sampler->domain.reading.allocated,
		.sampled_at = now,
	};
	const struct victim_reader reads = {
		.precise = reader_read,
		.reread = reader_reread,
		.userdata = &reader,
	};
	char own_cgroup[CGROUP_PATH_MAX];

	in_flight_observe_skipped(t->in_flight);
	t->selection->request = request_of(t, policy, now, own_cgroup);
	census_set_totals(&t->sampler->census, &t->sampler->domain.reading.counters);
	victim_choose(&t->sampler->census, &t->selection->request, &reads, &t->selection->choice);
	t->selection->request.own_cgroup = NULL;
	ret->goes_on = is_to_continue(t, policy);
	if (ret->goes_on || none_can_be_read(t, now))
		return false;
	ret->goes_on = stuck_waits_before(t->selection, &t->in_flight->decision, now) ||
		       stuck_take_holder(t->selection, &t->in_flight->decision, &reads, now);
	if (ret->goes_on)
		return false;
	if (t->selection->choice.n_ranked == 0) {
		ret->event = t->selection->stuck.since == 0 ? REPORT_NO_VICTIM : REPORT_NOTHING;
		stuck_enter(t->selection, now);
		return false;
	}
	decision_record(&t->in_flight->decision, t->selection, policy, now);
	t->in_flight->decision.choose_usec = clock_now() - now;
	recorder_choice(t->recorder, policy);
	return true;
}

bool choose_has_failed(enum report_event event)
{
	return event == REPORT_CANNOT_OPEN || event == REPORT_CANNOT_CONFIRM ||
	       event == REPORT_SPARED;
}

bool choose_victim(struct tick *t, const struct policy *policy, usec_t now, struct choosing *ret)
{
	struct policy_reading reading = judge_reading(t->sampler);

	*ret = (struct choosing){ .goes_on = watch_is_incomplete(t->sampler, now) };
	if (!ret->goes_on && stuck_is_waited_for(t->selection, now))
		ret->goes_on = true;
	if (ret->goes_on || stuck_waits_for_holder(t->selection, &t->in_flight->decision, now) ||
	    !choose(t, policy, now, ret)) {
		t->regime->state = t->selection->stuck.since != 0 ? REGIME_STUCK : REGIME_WATCH;
		return false;
	}
	ret->event = confirm_victim(t->in_flight, policy, &reading);
	if (ret->event == REPORT_NOTHING && !t->in_flight->decision.dry_run)
		return true;
	if (ret->event == REPORT_NOTHING) {
		t->selection->quiet_until = now + DRY_RUN_PAUSE_USEC;
		ret->event = REPORT_DRY_RUN;
	}
	if (ret->event == REPORT_VANISHED && t->selection->n_vanished < VANISHED_MAX) {
		t->selection->n_vanished++;
		t->selection->stuck.nominated_at = 0;
		ret->goes_on = true;
	}
	if (ret->event == REPORT_CHANGED && backoff_is_evasive(&t->selection->backoff, now)) {
		t->in_flight->decision.error = -EBUSY;
		ret->event = REPORT_CANNOT_CONFIRM;
	}
	if (choose_has_failed(ret->event))
		in_flight_skip(t->in_flight, now);
	if (ret->event == REPORT_CHANGED || ret->event == REPORT_VANISHED)
		census_read_anew(&t->sampler->census, t->in_flight->decision.pid, now,
				 t->sampler->domain.reading.allocated);
	kill_victim_done(&t->in_flight->victim);
	t->regime->state = REGIME_WATCH;
	return false;
}
