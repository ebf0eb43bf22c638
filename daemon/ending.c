/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ending: see the header. */
#include "daemon/ending.h"

#include <string.h>

#include "daemon/log.h"
#include "daemon/manager.h"
#include "daemon/monitor.h"

/* How long a victim that cannot be ended is passed over. */
#define PASS_OVER_USEC (30 * USEC_PER_SEC)

/* What the victim holds now; UINT64_MAX where that cannot be known. */
static uint64_t footprint_now(const struct manager *m)
{
	const struct decision *d = &m->decision;
	struct proc_memory memory;
	struct proc_stat stat;

	if (proc_read_stat(m->proc_fd, d->pid, &stat) != 0 || stat.start_ticks != d->start_ticks ||
	    proc_read_memory(m->proc_fd, &stat, true, m->accuracy.page_size, &memory) != 0)
		return UINT64_MAX;
	return census_footprint(&memory);
}

enum kill_progress ending_judge(const struct manager *m, const struct policy_judgement *judgement,
				usec_t now)
{
	const struct decision *d = &m->decision;
	enum policy_action demanded =
		judgement->policy ? judgement->policy->action : POLICY_ACTION_NONE;
	struct kill_facts facts = {
		.signal = d->signal,
		.gone = kill_is_gone(&m->victim),
		.since_signal = sub_u64(now, d->signalled_at),
		.grace = d->grace_usec,
		.timeout = m->policies.kill_timeout_usec,
		.emergency_holds = demanded >= POLICY_ACTION_TERMINATE,
		.next_level = demanded == POLICY_ACTION_KILL,
		.expected_bytes = census_footprint(&d->memory),
		.available_before = d->before.available + d->before.swap_free,
		.available_now = m->reading.available + m->reading.swap_free,
		.footprint_now = UINT64_MAX,
	};

	if (!facts.gone)
		facts.footprint_now = footprint_now(m);
	return kill_judge(&facts);
}

void ending_pass_over(struct manager *m, usec_t now)
{
	size_t slot = m->n_passed_over++ % MANAGER_PASSED_OVER_MAX; /* the oldest is forgotten */

	m->passed_over[slot] = (struct victim_passed_over){
		.pid = m->decision.pid,
		.start_ticks = m->decision.start_ticks,
		.until = now + PASS_OVER_USEC,
	};
}

static void put_back(struct kill_victim *victim)
{
	int r = freezer_refreeze(&victim->thawed);

	if (r != 0)
		log_notice("Pid %d: its group %s%s.", victim->pid,
			   r < 0 ? "could not be frozen again: " : "is frozen again",
			   r < 0 ? strerror(-r) : "");
	kill_victim_done(victim);
	kill_victim_init(victim);
}

/* Frees one of the places: the oldest has had its time. */
static void linger(struct manager *m)
{
	struct kill_victim *victim = &m->lingering[m->n_lingering++ % MANAGER_LINGERING_MAX];

	put_back(victim);
	*victim = m->victim; /* its fds go with it */
	kill_victim_init(&m->victim);
}

void ending_settle(struct manager *m, usec_t now, enum kill_progress outcome)
{
	struct decision *d = &m->decision;

	d->outcome = outcome;
	d->ended_at = now;
	/* Who lingers is not to be chosen again, whether its memory came back or not. */
	if (outcome == KILL_PROGRESS_UNKILLABLE || outcome == KILL_PROGRESS_MEMORY_BACK)
		ending_pass_over(m, now);
	census_look_again(&m->census, d->pid, now, m->reading.allocated);
	monitor_unwatch_victim(m);
	if (outcome != KILL_PROGRESS_GONE && m->victim.thawed.n_levels > 0) {
		linger(m);
	} else {
		d->refrozen = freezer_refreeze(&m->victim.thawed);
		kill_victim_done(&m->victim);
	}
	/* What was stalled before is no reason to end another. */
	m->psi = (struct psi_history){ 0 };
}

void ending_put_back(struct manager *m)
{
	for (size_t i = 0; i < min_u64(m->n_lingering, MANAGER_LINGERING_MAX); i++)
		if (m->lingering[i].pidfd >= 0 && kill_is_gone(&m->lingering[i]))
			put_back(&m->lingering[i]);
}

void ending_put_back_all(struct manager *m)
{
	for (size_t i = 0; i < MANAGER_LINGERING_MAX; i++)
		put_back(&m->lingering[i]);
	put_back(&m->victim);
}
