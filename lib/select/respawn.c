/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* respawn: follows the chain of kills back from a victim. */
#include "lib/select/respawn.h"

/* The last kill before the start; NULL: there was none just then. */
static const struct streak_kill *find_before(const struct streak *streak,
					     const struct streak_subject *subject, usec_t started)
{
	const struct streak_kill *last = NULL;

	for (unsigned i = 0; i < STREAK_MAX; i++) {
		const struct streak_kill *kill = &streak->kills[i];

		if (kill->at <= started && started - kill->at <= RESPAWN_USEC &&
		    streak_may_be_again(kill, subject) && !streak_is_forked(kill, subject) &&
		    (!last || kill->at > last->at))
			last = kill;
	}
	return last;
}

void respawn_count(const struct streak *streak, const struct streak_subject *subject, usec_t now,
		   struct respawn *ret)
{
	usec_t started = streak_started_at(subject, now), killed = now;

	*ret = (struct respawn){ 0 };
	while (killed - started <= STREAK_REPLACED_USEC) {
		const struct streak_kill *kill = find_before(streak, subject, started);

		if (!kill) /* each is earlier than the last: there are STREAK_MAX at most */
			break;
		ret->n++;
		ret->n_same += kill->args_hash != 0 && kill->args_hash == subject->args_hash;
		ret->killed_at = max_u64(ret->killed_at, kill->at);
		killed = kill->at;
		started = kill->started_at;
	}
}

bool respawn_is_loop(const struct respawn *respawn)
{
	return respawn->n >= RESPAWN_KILLS && respawn->n_same >= RESPAWN_KILLS - 1;
}

bool respawn_is_small(uint64_t starter, uint64_t victim)
{
	return starter <= RESPAWN_STARTER_MAX && starter <= victim / RESPAWN_STARTER_SHARE;
}
