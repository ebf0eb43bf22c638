/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* record: a decision as an entry of the history. */
#include "daemon/record/record.h"

#include <signal.h>
#include <stdio.h>

#include "daemon/base/clock.h"
#include "daemon/base/config.h"
#include "daemon/kill/in-flight.h"
#include "daemon/select/selection.h"
#include "daemon/watch/sampler.h"
#include "lib/base/format.h"
#include "lib/explain/describe.h"
#include "lib/history/event.h"

_Static_assert(EVENT_PATH_MAX >= CGROUP_PATH_MAX, "a path of a cgroup is kept whole");

void record_occasion(const struct sampler *s, const struct policy *policy, const char *boot,
		     struct history_entry *e)
{
	usec_t window = max_u64(policy->for_usec, USEC_PER_SEC);

	history_entry_init(e);
	e->time_usec = clock_realtime();
	set_text(e->boot, boot);
	set_text(e->policy, policy->name);
	set_text(e->action, policy_action_to_string(policy->action));
	set_text(e->rank_by,
		 policy_rank_by_to_string(policy_rank_by_now(policy, &s->domain.reading)));
	set_text(e->target, policy_target_to_string(policy->target));
	e->dry_run = s->config->policies.dry_run;
	e->memory_total_bytes = s->domain.reading.total;
	e->swap_total_bytes = s->domain.reading.swap_total;
	e->available_before_bytes = s->domain.reading.available;
	e->swap_free_before_bytes = s->domain.reading.swap_free;
	if (s->domain.has_psi) {
		e->pressure_some_permyriad = psi_history_some(&s->domain.psi, window);
		e->pressure_full_permyriad = psi_history_full(&s->domain.psi, window);
	}
}

static void fill_ranked(const struct victim_candidate *candidate, struct history_ranked *ranked)
{
	const struct census_process *process = candidate->process;

	if (process) {
		ranked->pid = (uint32_t)process->pid;
		set_text(ranked->comm, process->comm);
	}
	set_path(ranked->cgroup, process ? census_cgroup_path(process) : candidate->cgroup->path);
	ranked->score_min_bytes = candidate->score.lo;
	ranked->score_max_bytes = candidate->score.hi;
	ranked->footprint_bytes = proc_reclaimable(&candidate->memory);
	ranked->precise = candidate->precise;
	set_text(ranked->verdict, victim_verdict_to_string(candidate->verdict));
}

static void fill_skipped(const struct selection *sel, struct history_entry *e)
{
	const struct victim_result *choice = &sel->choice;
	const struct victim_candidate *skipped = &choice->skipped;
	const struct census_process *process;

	if (!skipped->node)
		return;
	process = victim_leader(&sel->sampler->census, &sel->request, skipped->node);
	set_text(e->skipped_for, choice->skipped_for == BACKOFF_SIMILAR ? "similar" : "failed");
	e->skipped_pid = (uint32_t)process->pid;
	set_text(e->skipped_comm, process->comm);
	set_path(e->skipped_cgroup,
		 skipped->cgroup ? skipped->cgroup->path : census_cgroup_path(process));
	e->skipped_footprint_bytes = proc_reclaimable(&skipped->memory);
	e->skipped_score_bytes = skipped->estimate;
}

static void fill_victim(const struct victim_candidate *victim, struct history_entry *e)
{
	const struct census_process *process = victim->process;

	if (process) {
		e->pid = (uint32_t)process->pid;
		e->uid = process->uid; /* (uid_t)-1 is not known here either */
		set_text(e->comm, process->comm);
		e->oom_score_adj = process->oom_score_adj;
		e->weight = (double)process->weight;
	}
	set_path(e->cgroup, process ? census_cgroup_path(process) : victim->cgroup->path);
	e->footprint_bytes = e->would_free_bytes = proc_reclaimable(&victim->memory);
	if (victim->precise)
		e->alone_bytes = victim->alone;
	e->anonymous_bytes = victim->memory.anon;
	e->swap_bytes = victim->memory.swap;
	e->score_min_bytes = victim->score.lo;
	e->score_max_bytes = victim->score.hi;
}

void record_choice(const struct in_flight *f, const struct policy *policy, const char *boot,
		   struct history_entry *e)
{
	const struct victim_result *choice = &f->selection->choice;

	record_occasion(f->sampler, policy, boot, e);
	fill_victim(&choice->ranked[0], e);
	e->candidates = (uint32_t)choice->n_candidates;
	e->precise_reads = choice->n_reads;
	e->approximate = choice->approximate;
	fill_skipped(f->selection, e);
	e->choose_usec = f->decision.choose_usec;
	e->n_ranked = (uint32_t)min_u64(choice->n_ranked, HISTORY_RANKED_MAX);
	for (unsigned i = 0; i < e->n_ranked; i++)
		fill_ranked(&choice->ranked[i], &e->ranked[i]);
}

const char *record_signal_name(int signal)
{
	return signal == SIGKILL ? "SIGKILL" : "SIGTERM";
}

uint64_t record_reclaimed(const struct memory_reading *now, uint64_t before)
{
	return sub_u64(now->available + now->swap_free, before);
}

/* As it is by now, with all that is killed with it. */
static void fill_killed(const struct decision *d, struct history_entry *e)
{
	set_text(e->target, policy_target_to_string(d->target));
	set_text(e->comm, d->comm);
	e->pid = (uint32_t)d->pid;
	e->uid = d->uid;
	e->footprint_bytes = e->would_free_bytes = proc_reclaimable(&d->memory);
	e->alone_bytes = HISTORY_UNKNOWN_U64;
	e->anonymous_bytes = d->memory.anon;
	e->swap_bytes = d->memory.swap;
}

void record_group(const struct decision *d, struct history_entry *e)
{
	fill_killed(d, e);
	set_path(e->cgroup, d->others.group);
}

void record_killed_with(const struct in_flight *f, struct history_entry *e)
{
	for (unsigned i = 1; i < e->n_ranked; i++)
		e->ranked[i].killed_with = decision_is_killed_with(&f->decision, &f->victim,
								   &f->selection->choice.ranked[i]);
}

/* The victim, and what became of it so far. */
static void fill_event(const struct decision *d, struct event *event)
{
	struct history_entry *e = &event->entry;

	event->start_ticks = d->start_ticks;
	snprintf(event->victim_cgroup, sizeof(event->victim_cgroup), "%s", d->cgroup);
	snprintf(event->target_cgroup, sizeof(event->target_cgroup), "%s", d->others.group);
	event->processes = d->others.n_processes;
	fill_killed(d, e);
	format_foreign(d->comm, e->comm, sizeof(d->comm)); /* the catalog names it */
	e->sharers = d->others.n_sharers;
	e->choose_usec = d->choose_usec;
	e->signal_usec = d->kill.signal_usec;
	set_text(e->signal, d->kill.signal ? record_signal_name(d->kill.signal) : "none");
	set_text(e->outcome, kill_progress_to_string(d->kill.outcome));
	e->ineffective = d->kill.ineffective;
}

void record_event(const struct in_flight *f, const struct history_entry *noted, struct event *ret)
{
	const struct memory_reading *now = &f->sampler->domain.reading;
	const struct decision *d = &f->decision;
	struct history_entry *e = &ret->entry;

	event_init(ret);
	if (noted)
		*e = *noted;
	set_text(e->policy, d->policy);
	set_text(e->action, policy_action_to_string(d->action));
	e->dry_run = d->dry_run;
	e->candidates = (uint32_t)d->n_candidates;
	e->precise_reads = d->n_reads;
	e->approximate = d->approximate;
	e->available_before_bytes = d->before.available;
	e->available_after_bytes = now->available;
	e->reclaimed_bytes = record_reclaimed(now, d->before.available + d->before.swap_free);
	fill_event(d, ret);
}
