/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* choose: the two passes over the snapshot, and what makes them continue. */
#include "daemon/choose.h"

#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/confirm.h"
#include "daemon/in-flight.h"
#include "daemon/judge.h"
#include "daemon/manager.h"
#include "daemon/recorder.h"
#include "daemon/report.h"
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
static bool has_vanished(const struct manager *m)
{
	const struct victim_result *choice = &m->selection.choice;
	const struct victim_candidate *best = choice->n_ranked > 0 ? &choice->ranked[0] : NULL;

	if (choice->vanished_pid != 0 && (!best || choice->vanished_score > best->estimate))
		return true;
	return census_unseen(&m->sampler.census) / 2 >
	       (best ? proc_reclaimable(&best->memory) : m->selection.request.min_victim);
}

/* There may be one that is worth it: that it cannot be read for now does not show that there is
 * none. */
static bool none_can_be_read(struct manager *m, usec_t now)
{
	if (m->selection.choice.n_ranked > 0 || !error_is_transient(m->selection.choice.read_error))
		return false;
	report_sample_failed(m, m->selection.choice.read_error, now);
	return true;
}

/* own_cgroup: of CGROUP_PATH_MAX; points to it. */
static struct victim_request request_of(struct manager *m, const struct policy *policy, usec_t now,
					char *own_cgroup)
{
	const struct memory_reading *reading = &m->sampler.reading;

	return (struct victim_request){
		.n_wanted = VICTIM_REPORTED,
		.node_budget = VICTIM_REPORTED_NODES,
		.rank_by = policy_rank_by_now(policy, reading),
		.target = policy->target,
		.allocated = reading->allocated,
		.total = reading->counters.total + reading->counters.swap_total,
		.memory = reading->total,
		.min_victim = stuck_min_victim(&m->selection, policy),
		.now = now,
		.ticks_now = clock_ticks_before(0),
		.self = getpid(),
		.backoff = &m->selection.backoff,
		.streak = &m->selection.streak,
		.own_cgroup = decision_own_cgroup(&m->in_flight, own_cgroup, CGROUP_PATH_MAX),
	};
}

/* Is there more to be done, in turns that follow at once, before a kill may rest on the choice? */
static bool is_to_continue(struct manager *m, const struct policy *policy)
{
	if ((m->selection.choice.is_cut || stuck_has_more(&m->selection, policy)) &&
	    m->selection.n_cut++ < CUT_MAX)
		return true;
	m->selection.n_cut = 0;
	if (m->selection.n_vanished >= VANISHED_MAX || !has_vanished(m))
		return false;
	m->selection.n_vanished++;
	return true;
}

/* Two passes over the census: a victim, or none. */
static bool choose(struct manager *m, const struct policy *policy, usec_t now, struct choosing *ret)
{
	usec_t began = clock_now();
	struct reader reader = {
		.accuracy = &m->machine.accuracy,
		.precise = m->sampler.precise,
		.proc_fd = m->machine.proc_fd,
		/* (One that vanishes all the time does not live as long as a precise read takes.)
		 */
		.left = m->selection.n_vanished > 0 ? 0 : PRECISE_BUDGET_USEC,
		.now = clock_now,
		.reread_until = began + REREAD_BUDGET_USEC,
		.allocated = m->sampler.reading.allocated,
		.sampled_at = now,
	};
	const struct victim_reader reads = {
		.precise = reader_read,
		.reread = reader_reread,
		.userdata = &reader,
	};
	char own_cgroup[CGROUP_PATH_MAX];

	in_flight_observe_skipped(&m->in_flight);
	m->selection.request = request_of(m, policy, now, own_cgroup);
	census_set_totals(&m->sampler.census, &m->sampler.reading.counters);
	victim_choose(&m->sampler.census, &m->selection.request, &reads, &m->selection.choice);
	m->selection.request.own_cgroup = NULL;
	ret->goes_on = is_to_continue(m, policy);
	if (ret->goes_on || none_can_be_read(m, now))
		return false;
	stuck_take_holder(&m->selection, &m->in_flight.decision, &reads, now);
	if (m->selection.choice.n_ranked == 0) {
		ret->event = m->selection.stuck.since == 0 ? REPORT_NO_VICTIM : REPORT_NOTHING;
		stuck_enter(&m->selection, now);
		return false;
	}
	decision_record(&m->in_flight.decision, &m->selection, policy, now);
	m->in_flight.decision.choose_usec = clock_now() - began;
	recorder_choice(m, policy, clock_now());
	return true;
}

bool choose_has_failed(enum report_event event)
{
	return event == REPORT_CANNOT_OPEN || event == REPORT_CANNOT_CONFIRM ||
	       event == REPORT_SPARED;
}

bool choose_victim(struct manager *m, const struct policy *policy, usec_t now, struct choosing *ret)
{
	struct policy_reading reading = judge_reading(&m->sampler);

	*ret = (struct choosing){ .goes_on = watch_is_incomplete(&m->sampler, now) };
	if (ret->goes_on || stuck_waits_for_holder(&m->selection, &m->in_flight.decision, now) ||
	    !choose(m, policy, now, ret)) {
		m->regime.state = m->selection.stuck.since != 0 ? MANAGER_STUCK : MANAGER_WATCH;
		return false;
	}
	ret->event = confirm_victim(&m->in_flight, policy, &reading);
	if (ret->event == REPORT_NOTHING && !m->in_flight.decision.dry_run)
		return true;
	if (ret->event == REPORT_NOTHING) {
		m->selection.quiet_until = now + DRY_RUN_PAUSE_USEC;
		ret->event = REPORT_DRY_RUN;
	}
	if (ret->event == REPORT_VANISHED && m->selection.n_vanished < VANISHED_MAX) {
		m->selection.n_vanished++;
		ret->goes_on = true;
	}
	if (ret->event == REPORT_CHANGED && backoff_is_evasive(&m->selection.backoff, now)) {
		m->in_flight.decision.error = -EBUSY;
		ret->event = REPORT_CANNOT_CONFIRM;
	}
	if (choose_has_failed(ret->event))
		in_flight_skip(&m->in_flight, now);
	if (ret->event == REPORT_CHANGED || ret->event == REPORT_VANISHED)
		census_read_anew(&m->sampler.census, m->in_flight.decision.pid, now,
				 m->sampler.reading.allocated);
	kill_victim_done(&m->in_flight.victim);
	m->regime.state = MANAGER_WATCH;
	return false;
}
