/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stuck: where memory is while no process is worth killing, and when a victim is chosen again. */
#include "daemon/select/stuck.h"

#include <stdio.h>
#include <string.h>

#include "daemon/base/config.h"
#include "daemon/base/machine.h"
#include "daemon/select/decision.h"
#include "daemon/select/holders.h"
#include "daemon/select/selection.h"
#include "daemon/select/stuck-survey.h"
#include "daemon/select/survey.h"
#include "daemon/select/unowned.h"
#include "daemon/watch/sample.h"
#include "daemon/watch/sampler.h"
#include "lib/base/format.h"
#include "lib/domain/holder.h"

/* A victim is searched for again so often; sooner where memory continues to fall (STUCK_SOON_USEC).
 */
#define CHOOSE_AGAIN_USEC (1 * USEC_PER_SEC)
/* While none is eligible, a survey is examined so often, at consecutive samples. */
#define NOMINATIONS_MAX 4
/* What was reported this long ago is reported again when it happens again. */
#define REPORT_AGAIN_USEC (60 * USEC_PER_SEC)

int stuck_init(struct selection *sel)
{
	struct stuck *s = &sel->stuck;
	int r = s->survey ? 0 : survey_new(sel->machine->proc_fd, "survey", &s->survey);

	if (r >= 0 && !s->deep)
		r = survey_new(sel->machine->proc_fd, "survey-maps", &s->deep);
	return r;
}

void stuck_done(struct selection *sel)
{
	sel->stuck.survey = survey_free(sel->stuck.survey);
	sel->stuck.deep = survey_free(sel->stuck.deep);
}

/* What a victim has to free, by the configuration alone. */
static uint64_t least(const struct selection *sel)
{
	return worth_min_victim(&sel->config->policies.min_victim,
				sel->sampler->domain.reading.total);
}

static uint64_t missing(const struct selection *sel, const struct policy *policy)
{
	return worth_missing(policy, &sel->sampler->domain.reading);
}

uint64_t stuck_minimum(const struct selection *sel, const struct policy *policy)
{
	return worth_minimum(&sel->worth, least(sel), missing(sel, policy), unowned_growth(sel));
}

uint64_t stuck_min_victim(struct selection *sel, const struct policy *policy)
{
	struct stuck *s = &sel->stuck;

	s->unowned_growth = unowned_growth(sel);
	s->minimum =
		worth_minimum(&sel->worth, least(sel), missing(sel, policy), s->unowned_growth);
	s->held_growth = unowned_growth_of_holders(sel, s->unowned_growth);
	s->holder_minimum =
		worth_holder_minimum(&sel->worth, least(sel), missing(sel, policy), s->held_growth);
	return s->minimum;
}

/* What is mapped is taken as held by processes until it is measured: a file of a tmpfs is not freed
 * with them. */
bool stuck_has_more(struct selection *sel, const struct policy *policy)
{
	const struct victim_result *choice = &sel->choice;

	return choice->n_ranked > 0 && choice->as_one == VICTIM_ALONE &&
	       proc_reclaimable(&choice->ranked[0].memory) < stuck_min_victim(sel, policy);
}

/* By the newest readings; of those that are read. */
static void find_largest(struct selection *sel)
{
	const struct census_process *largest = NULL, *process;
	struct stuck *s = &sel->stuck;

	census_for_each(&sel->sampler->census, process)
		if (!largest || proc_mapped(&process->memory) > proc_mapped(&largest->memory))
			largest = process;
	s->largest_pid = largest ? largest->pid : 0;
	if (!largest)
		return;
	snprintf(s->largest_comm, sizeof(s->largest_comm), "%s", largest->comm);
	s->largest_bytes = proc_mapped(&largest->memory);
	s->largest_why = victim_exclusion(&sel->sampler->census, largest, &sel->request);
}

void stuck_enter(struct selection *sel, usec_t now)
{
	struct stuck *s = &sel->stuck;

	s->chosen_at = now;
	s->available_then = sel->sampler->domain.reading.available;
	if (s->since != 0)
		return;
	s->since = now;
	/* What it named may have been killed since. */
	if (!stuck_has_fresh_survey(s, now) || s->nominated_at == s->surveyed_at)
		s->has_survey = false;
	s->is_new = s->has_survey;
	if (!s->is_waiting && !s->has_survey)
		s->asked_at = 0;
	if (now - s->reported_at >= REPORT_AGAIN_USEC)
		s->reported_at = 0;
}

void stuck_leave(struct selection *sel)
{
	sel->stuck.since = 0;
}

bool stuck_is_to_choose(const struct selection *sel, usec_t now)
{
	const struct stuck *s = &sel->stuck;
	usec_t wait = sub_u64(s->available_then, sel->sampler->domain.reading.available) >=
				      max_u64(s->minimum, 1)
			      ? STUCK_SOON_USEC
			      : CHOOSE_AGAIN_USEC;

	if (stuck_has_fresh_survey(s, now) && s->nominated_at != s->surveyed_at)
		return true; /* it may name a process */
	return s->since == 0 || now - s->chosen_at >= wait;
}

/* What proc_memory.shmem of all processes is of: locked pages of files too, and what is swapped
 * out, which is not told from other swap. */
static uint64_t shmem_of(const struct memory_counters *c)
{
	return add_u64(add_u64(c->shmem, c->mlocked), sub_u64(c->swap_total, c->swap_free));
}

static struct holder_facts holder_facts_of(const struct selection *sel, const struct decision *d,
					   usec_t now)
{
	const struct stuck *s = &sel->stuck;

	return (struct holder_facts){
		.expected = d->memory,
		.is_holder = d->held > 0,
		.freed = d->kill.freed,
		.shmem_before = shmem_of(&d->before.counters),
		.shmem_now = shmem_of(&sel->sampler->domain.reading.counters),
		.missing = s->missing,
		.finished_at = d->kill.outcome == KILL_PROGRESS_EXITED ? d->kill.finished_at : 0,
		.asked_at = s->asked_at,
		.surveyed_at = s->has_survey && !s->is_waiting ? s->surveyed_at : 0,
		.cpu_time = s->survey ? survey_cpu_time(s->survey) : 0,
		.now = now,
	};
}

static enum holder_step next_step(const struct selection *sel, const struct decision *last,
				  usec_t now)
{
	const struct holder_facts facts = holder_facts_of(sel, last, now);

	return sel->stuck.survey ? holder_next(&facts) : HOLDER_NONE;
}

bool stuck_waits_for_holder(struct selection *sel, const struct decision *last, usec_t now)
{
	const struct holder_facts facts = holder_facts_of(sel, last, now);
	enum holder_step step;

	stuck_collect_survey(sel, now);
	step = next_step(sel, last, now);
	if (step == HOLDER_ASK)
		stuck_ask_survey(&sel->stuck, holder_missing(&facts), now);
	return step == HOLDER_ASK || step == HOLDER_WAIT;
}

/* May what was chosen be smaller than a process that holds memory besides what it maps? */
static bool may_be_larger(const struct selection *sel)
{
	return sel->request.rank_by == POLICY_RANK_BY_FOOTPRINT &&
	       sel->choice.as_one == VICTIM_ALONE && !sel->choice.is_reluctant;
}

bool stuck_waits_before(struct selection *sel, const struct decision *last, usec_t now)
{
	struct stuck *s = &sel->stuck;
	struct holder_doubt doubt;
	enum holder_step step;

	if (!s->survey || sel->choice.n_ranked == 0 || !may_be_larger(sel))
		return false;
	stuck_collect_survey(sel, now);
	doubt = (struct holder_doubt){
		.chosen = proc_reclaimable(&sel->choice.ranked[0].memory),
		.grown = unowned_may_be_held(sel),
		.grown_asked = s->grown_asked,
		.regrown_at = s->regrown_at,
		.memory = sel->sampler->domain.reading.total,
		.asked_at = s->asked_at,
		.is_under_way = s->is_waiting,
		.surveyed_from = s->surveyed_from,
		.is_fresh = stuck_has_fresh_survey(s, now),
		.cpu_time = survey_cpu_time(s->survey),
		.killed_at = last->held > 0 ? last->kill.finished_at : 0,
		.pause = stuck_survey_pause(s),
		.now = now,
	};
	step = holder_before(&doubt);
	if (step == HOLDER_NONE)
		return false;
	if (step == HOLDER_ASK_AGAIN)
		s->regrown_at = now;
	if (step != HOLDER_WAIT)
		stuck_ask_about_growth(sel, now);
	s->waited_at = s->asked_at;
	return true;
}

bool stuck_is_waited_for(struct selection *sel, usec_t now)
{
	struct stuck *s = &sel->stuck;

	if (!stuck_delays_choice(s))
		return false;
	stuck_collect_survey(sel, now);
	return s->is_waiting && holder_is_waited_for(s->asked_at, survey_cpu_time(s->survey), now);
}

/* It was expected to free all that nothing else explains. */
static bool may_take_receiver(const struct selection *sel, const struct decision *last, usec_t now)
{
	const struct stuck *s = &sel->stuck;
	bool was_in_vain =
		last->held == 0 || last->kill.freed < proc_reclaimable(&last->memory) / 4;

	return sel->choice.n_ranked == 0 && stuck_has_old_receiver(s) &&
	       (s->receiver.taken_at == 0 || !was_in_vain ||
		now - s->receiver.taken_at >= STUCK_VAIN_USEC);
}

/* If one that was started since the survey were left, the kill would be in vain.  Once in a pause:
 * a process may start others all the time. */
static bool asks_for_heirs(struct selection *sel, const struct census_process *process, usec_t now)
{
	struct stuck *s = &sel->stuck;

	if ((s->heirs_at != 0 && now - s->heirs_at < stuck_survey_pause(s)) ||
	    !holders_have_heirs(sel, process, now))
		return false;
	s->heirs_at = now;
	stuck_ask_about_growth(sel, now);
	s->waited_at = s->asked_at;
	return true;
}

/* None holds by descriptors what the last kill did not free: a process may have touched it since it
 * was read, which allocates nothing, so that nothing tells that its reading is old. */
static void reread_all(struct selection *sel, const struct victim_reader *reader)
{
	struct census_process *process;
	int r = 0;

	census_for_each(&sel->sampler->census, process) {
		if (process->is_gone || process->kthread)
			continue;
		r = reader->reread(&sel->sampler->census, process, reader->userdata);
		if (r == VICTIM_READ_GONE)
			census_note_gone(&sel->sampler->census, process);
		if (r == VICTIM_READ_LATE)
			break;
	}
}

bool stuck_take_holder(struct selection *sel, const struct decision *last,
		       const struct victim_reader *reader, usec_t now)
{
	const struct holder_facts facts = holder_facts_of(sel, last, now);
	struct stuck *s = &sel->stuck;
	bool was_in_vain = next_step(sel, last, now) == HOLDER_COMPARE;
	bool is_first = sel->choice.n_ranked == 0 || was_in_vain;
	struct census_process *process;
	uint64_t held;

	if (!is_first && !may_be_larger(sel))
		return false;
	stuck_collect_survey(sel, now);
	if (!stuck_has_fresh_survey(s, now) || s->nominated_at == s->surveyed_at)
		return false;
	process = holders_find_best(sel, !is_first, reader, now, &held);
	if (process && asks_for_heirs(sel, process, now))
		return true;
	if (!process && may_take_receiver(sel, last, now)) {
		process = holders_find_receiver(sel, reader, now, &held);
		s->receiver.taken_at = process ? now : s->receiver.taken_at;
	}
	/* (One that has exited has a successor, which may be known at the next sample only.) */
	if (process || (is_first && (s->surveyed.unmapped[0].pid == 0 ||
				     ++s->n_nominations >= NOMINATIONS_MAX)))
		s->nominated_at = s->surveyed_at;
	if (!process && was_in_vain && s->nominated_at == s->surveyed_at) {
		reread_all(sel, reader);
		return true;
	}
	if (!process)
		return false;
	s->missing = holder_missing(&facts);
	victim_take(process, held, &sel->choice);
	return false;
}

void stuck_report_later(struct selection *sel, usec_t now)
{
	if (stuck_is_surveyed(sel, now))
		sel->stuck.is_new = true;
}

bool stuck_has_report(struct selection *sel, usec_t now)
{
	struct stuck *s = &sel->stuck;
	struct where_account account;

	if (!stuck_is_surveyed(sel, now))
		return false;
	where_account(&sel->sampler->domain.reading.counters, s->has_survey ? &s->surveyed : NULL,
		      &account);
	if (s->reported_at != 0 && !where_has_changed(&s->account, &account))
		return false;
	s->account = account;
	s->reported_at = now;
	s->n_reports++;
	find_largest(sel);
	return true;
}

const char *stuck_largest_why(const struct stuck *s)
{
	return eligibility_is_refused(s->largest_why) ? eligibility_to_string(s->largest_why)
						      : "too small to be worth a kill";
}

const char *stuck_largest_text(const struct stuck *s, char *buf, size_t size)
{
	char comm[16], bytes[FORMAT_BYTES_SIZE];

	buf[0] = '\0';
	if (s->largest_pid != 0)
		snprintf(buf, size, "; the largest process is %s (pid %d, %s): %s",
			 format_foreign(s->largest_comm, comm, sizeof(comm)), s->largest_pid,
			 format_bytes(s->largest_bytes, bytes), stuck_largest_why(s));
	return buf;
}
