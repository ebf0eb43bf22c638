/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stuck: see the header. */
#include "daemon/stuck.h"

#include <stdio.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/manager.h"
#include "daemon/survey.h"
#include "lib/format.h"

/* A victim is looked for again so often; and so much later where memory goes on falling. */
#define CHOOSE_AGAIN_USEC (1 * USEC_PER_SEC)
#define CHOOSE_SOON_USEC  (100 * USEC_PER_MSEC)
/* The account is made again so often; a survey that is late is not waited for. */
#define SURVEY_AGAIN_USEC (10 * USEC_PER_SEC)
#define SURVEY_LATE_USEC  (2 * USEC_PER_SEC)
/* So long is known how much was available at best, and once more. */
#define WINDOW_USEC (300 * USEC_PER_SEC)
/* What was reported this long ago is reported again when it happens again. */
#define REPORT_AGAIN_USEC (60 * USEC_PER_SEC)

void stuck_init(struct manager *m)
{
	int r = survey_new(m->proc_fd, &m->stuck.survey);

	if (r < 0)
		log_warning("Cannot start the thread that finds out where memory is: %s, ignoring.",
			    strerror(-r));
}

void stuck_done(struct manager *m)
{
	m->stuck.survey = survey_free(m->stuck.survey);
}

/* Where it was measured, without what stays: a file of a tmpfs. */
static uint64_t freed_shmem(const struct proc_memory *memory)
{
	return memory->is_measured ? sub_u64(memory->shmem, memory->kept) : memory->shmem;
}

static uint64_t mapped_shmem(const struct census *census)
{
	const struct census_process *process;
	uint64_t sum = 0;

	census_for_each(census, process)
		sum = add_u64(sum, freed_shmem(&process->memory));
	return sum;
}

static struct worth_holdings holdings_now(const struct manager *m)
{
	return (struct worth_holdings){
		.available = add_u64(m->reading.available, m->reading.swap_free),
		.unowned = worth_unowned(&m->reading.counters, mapped_shmem(&m->census)),
	};
}

/* No process is known then: all shared memory is taken for held by none, so that less of it seems
 * to have been added since.  What fills memory slowly does so in calm too: the last look before
 * watch would know the last part of it alone. */
void stuck_note_calm(struct manager *m, usec_t now)
{
	struct stuck *s = &m->stuck;
	struct worth_holdings holdings = {
		.available = add_u64(m->reading.available, m->reading.swap_free),
		.unowned = worth_unowned(&m->reading.counters, 0),
	};

	if (now - s->window_began >= WINDOW_USEC) {
		s->best_earlier = s->best;
		s->best = holdings;
		s->window_began = now;
	} else if (holdings.available >= s->best.available) {
		s->best = holdings;
	}
}

uint64_t stuck_min_victim(struct manager *m, const struct policy *policy)
{
	struct stuck *s = &m->stuck;
	struct worth_holdings now = holdings_now(m);
	const struct worth_holdings *before =
		s->best_earlier.available > s->best.available ? &s->best_earlier : &s->best;

	s->unowned_growth = worth_unowned_growth(before, &now, m->reading.total);
	s->minimum = worth_minimum(&m->worth,
				   worth_min_victim(&m->policies.min_victim, m->reading.total),
				   worth_missing(policy, &m->reading), s->unowned_growth);
	return s->minimum;
}

/* What is mapped passes for held by processes until it is measured: a file of a tmpfs, that stays.
 */
bool stuck_has_more(struct manager *m, const struct policy *policy)
{
	const struct victim_result *choice = &m->choice;

	return choice->n_ranked > 0 && choice->as_one == VICTIM_ALONE &&
	       proc_reclaimable(&choice->ranked[0].memory) < stuck_min_victim(m, policy);
}

/* By the newest readings; of those that are read. */
static void find_largest(struct manager *m)
{
	const struct census_process *largest = NULL, *process;
	struct stuck *s = &m->stuck;

	census_for_each(&m->census, process)
		if (!largest || proc_mapped(&process->memory) > proc_mapped(&largest->memory))
			largest = process;
	s->largest_pid = largest ? largest->pid : 0;
	if (!largest)
		return;
	snprintf(s->largest_comm, sizeof(s->largest_comm), "%s", largest->comm);
	s->largest_bytes = proc_mapped(&largest->memory);
	s->largest_why = victim_exclusion(&m->census, largest, &m->request);
}

void stuck_enter(struct manager *m, usec_t now)
{
	struct stuck *s = &m->stuck;

	s->chosen_at = now;
	s->available_then = m->reading.available;
	if (s->since != 0)
		return;
	s->since = now;
	s->asked_at = 0;
	s->is_waiting = s->has_survey = false;
	if (s->reported_at != 0 && now - s->reported_at >= REPORT_AGAIN_USEC)
		s->reported_at = 0;
}

void stuck_leave(struct manager *m)
{
	m->stuck.since = 0;
}

bool stuck_is_to_choose(const struct manager *m, usec_t now)
{
	const struct stuck *s = &m->stuck;
	usec_t wait = sub_u64(s->available_then, m->reading.available) >= max_u64(s->minimum, 1)
			      ? CHOOSE_SOON_USEC
			      : CHOOSE_AGAIN_USEC;

	return s->since == 0 || now - s->chosen_at >= wait;
}

/* Is there something to make an account of? */
static bool is_surveyed(struct stuck *s, usec_t now)
{
	struct where_survey ignored;

	if (s->is_waiting && survey_collect(s->survey, &s->surveyed)) {
		s->is_waiting = false;
		s->has_survey = true;
		return true;
	}
	if (s->is_waiting) { /* it may hang: once without it */
		if (s->has_survey || now - s->asked_at < SURVEY_LATE_USEC || s->reported_at != 0)
			return false;
		return true;
	}
	if (s->asked_at != 0 && now - s->asked_at < SURVEY_AGAIN_USEC)
		return false;
	s->asked_at = now;
	if (!s->survey)
		return true;
	(void)survey_collect(s->survey, &ignored); /* of an earlier time */
	s->is_waiting = true;
	(void)survey_ask(s->survey);
	return false;
}

bool stuck_look(struct manager *m, usec_t now)
{
	struct stuck *s = &m->stuck;
	struct where_account account;

	if (!is_surveyed(s, now))
		return false;
	where_account(&m->reading.counters, s->has_survey ? &s->surveyed : NULL, &account);
	if (s->reported_at != 0 && !where_has_changed(&s->account, &account))
		return false;
	s->account = account;
	s->reported_at = now;
	s->n_reports++;
	find_largest(m);
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
