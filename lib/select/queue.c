/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* queue: finds the first of the kills of one kin, and counts them. */
#include "lib/select/queue.h"

/* As those are counted that are there: is_alike() of victim-queue.c. */
static bool is_alike(const struct streak_kill *kill, const struct streak_subject *subject)
{
	return streak_is_kin(kill, subject) ||
	       (kill->uid == subject->uid && kill->ppid == subject->ppid &&
		streak_is_forked(kill, subject));
}

/* Of what was killed with another it is not known which it was. */
static usec_t last_of_many(const struct streak *streak, const struct streak_subject *subject)
{
	usec_t last = 0;

	for (unsigned i = 0; i < STREAK_MAX; i++)
		if (streak->kills[i].n_alike == 0 && is_alike(&streak->kills[i], subject))
			last = max_u64(last, streak->kills[i].at);
	return last;
}

void queue_since(const struct streak *streak, const struct streak_subject *subject, usec_t now,
		 struct queue *ret)
{
	usec_t after = last_of_many(streak, subject);

	*ret = (struct queue){ 0 };
	for (unsigned i = 0; i < STREAK_MAX; i++) {
		const struct streak_kill *kill = &streak->kills[i];

		if (streak_is_recent(kill, now) && kill->at > after && is_alike(kill, subject) &&
		    (ret->since == 0 || kill->at < ret->since)) {
			ret->since = kill->at;
			ret->n_then = kill->n_alike;
		}
	}
	for (unsigned i = 0; i < STREAK_MAX; i++) {
		const struct streak_kill *kill = &streak->kills[i];

		if (kill->at < ret->since || !is_alike(kill, subject))
			continue;
		ret->n_kills++;
		ret->n_killed += kill->started_at <= ret->since;
	}
}
