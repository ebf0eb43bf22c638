/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stuck-survey: asks for surveys of where memory is, and collects them. */
#include "daemon/select/stuck-survey.h"

#include "daemon/select/selection.h"
#include "daemon/select/survey.h"
#include "daemon/select/unowned.h"
#include "lib/domain/holder.h"

/* The figures are read again so often; a survey that is late is not waited for. */
#define SURVEY_AGAIN_USEC (10 * USEC_PER_SEC)
#define SURVEY_LATE_USEC  (2 * USEC_PER_SEC)
/* One of mappings is waited for until it has used so much CPU time, or for so long: less than for a
 * holder (HOLDER_WAIT_USEC, HOLDER_STARVED_USEC). */
#define SURVEY_DEEP_USEC	 (200 * USEC_PER_MSEC)
#define SURVEY_DEEP_STARVED_USEC (800 * USEC_PER_MSEC)
/* Mappings are read of processes that have not touched so much of what is searched for. */
#define SURVEY_UNTOUCHED_SHARE 4
/* In watch it is checked so often whether a survey is needed. */
#define WATCH_CHECK_USEC (200 * USEC_PER_MSEC)
static bool collect_deep(struct stuck *s)
{
	if (!s->is_deep || !survey_collect(s->deep, &s->surveyed))
		return false;
	s->is_deep = false;
	s->surveyed.took_usec *= 2;
	return true;
}

/* It may be one that was asked for earlier, and what was asked for since waits for it. */
static bool collect_descriptors(struct stuck *s)
{
	if (!survey_collect(s->survey, &s->surveyed))
		return false;
	s->asked_at = s->began_at;
	return true;
}

/* The one of mappings has all that the other one has, which has taken no longer.  It may be over
 * after the other one was taken: then it is another survey, but for one that has hung. */
static bool collect_one(struct stuck *s, usec_t now)
{
	if (!s->is_waiting)
		return now - s->asked_at < SURVEY_LATE_USEC && collect_deep(s);
	if (collect_deep(s))
		return true;
	if (s->is_deep && survey_cpu_time(s->deep) < SURVEY_DEEP_USEC &&
	    now - s->asked_at < SURVEY_DEEP_STARVED_USEC)
		return false;
	return collect_descriptors(s);
}

/* The same one as at the last survey, by the oldest of them? */
static void note_receiver(struct stuck *s)
{
	const struct where_survey *survey = &s->surveyed;
	const struct where_receiver *first = &survey->receivers[0];

	for (unsigned i = 1; i < survey->n_receivers; i++)
		if (survey->receivers[i].start_ticks < first->start_ticks)
			first = &survey->receivers[i];
	if (survey->n_receivers > 0 && first->pid == s->receiver.pid &&
	    first->start_ticks == s->receiver.start_ticks)
		return;
	s->receiver.pid = survey->n_receivers > 0 ? first->pid : 0;
	s->receiver.start_ticks = first->start_ticks;
	s->receiver.since = s->surveyed_from;
}

bool stuck_has_old_receiver(const struct stuck *s)
{
	return s->receiver.pid != 0 && s->surveyed_from - s->receiver.since >= STUCK_RECEIVER_USEC;
}

void stuck_collect_survey(struct selection *sel, usec_t now)
{
	struct stuck *s = &sel->stuck;

	if (!collect_one(s, now))
		return;
	s->is_waiting = false;
	s->has_survey = s->is_new = true;
	s->n_nominations = 0;
	s->surveyed_from = s->asked_at;
	s->surveyed_at = now;
	note_receiver(s);
	unowned_note_survey(sel);
}

void stuck_ask_survey(struct stuck *s, uint64_t missing, usec_t now)
{
	uint64_t least = max_u64(missing / SURVEY_UNTOUCHED_SHARE, HOLDER_MIN);
	struct where_survey ignored;

	s->asked_at = now;
	(void)survey_collect(s->survey, &ignored); /* of an earlier time */
	s->is_waiting = true;
	if (survey_ask(s->survey, 0)) /* not if it is starved */
		s->began_at = now;
	if (!s->deep)
		return;
	(void)survey_collect(s->deep, &ignored);
	s->is_deep = survey_ask(s->deep, least); /* not if it hangs */
}

bool stuck_is_surveyed(struct selection *sel, usec_t now)
{
	struct stuck *s = &sel->stuck;

	stuck_collect_survey(sel, now);
	if (s->is_new) {
		s->is_new = false;
		return true;
	}
	if (s->is_waiting) /* it may hang: once without it */
		return !s->has_survey && now - s->asked_at >= SURVEY_LATE_USEC &&
		       s->reported_at == 0;
	if (s->asked_at != 0 && now - s->asked_at < SURVEY_AGAIN_USEC)
		return false;
	if (!s->survey) {
		s->asked_at = now;
		return true;
	}
	stuck_ask_survey(s, s->unowned_growth, now);
	return false;
}

void stuck_ask_about_growth(struct selection *sel, usec_t now)
{
	sel->stuck.grown_asked = unowned_may_be_held(sel);
	stuck_ask_survey(&sel->stuck, unowned_since(sel), now);
}

/* Sooner, where one has files in flight and it is not known for how long. */
static usec_t watch_pause(const struct stuck *s)
{
	usec_t pause = stuck_survey_pause(s);

	return s->receiver.pid != 0 && !stuck_has_old_receiver(s) ? pause / 2 : pause;
}

void stuck_watch(struct selection *sel, usec_t now)
{
	struct stuck *s = &sel->stuck;

	if (!s->survey || now - s->watched_at < WATCH_CHECK_USEC)
		return;
	s->watched_at = now;
	stuck_collect_survey(sel, now);
	if (!s->is_waiting && now - s->asked_at >= watch_pause(s) && unowned_is_low(sel) &&
	    (unowned_growth_less(sel, 0) > 0 || unowned_may_be_held(sel) > 0 ||
	     unowned_may_be_swapped(sel)))
		stuck_ask_about_growth(sel, now);
}
