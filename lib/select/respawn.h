/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * respawn: is one program started again each time it is killed?
 *
 * What is killed frees all that it held, and its supervisor (a service manager, a loop in a script)
 * starts it again, so that memory is full soon.  A chain of kills shows that: each victim but the
 * first was started just after the one before it was killed, by the same parent or in the same
 * session, and with the same arguments.  A job that finishes between them breaks the chain, as the
 * next is not started just after a kill.  Jobs of a queue have different arguments; where these are
 * not known of enough victims, it is no loop.  Nor where they were forked and have not called
 * execve(2): then the next job of a queue cannot be told from the same again.
 *
 * Pure: the time is an argument.
 */
#pragma once

#include <stdbool.h>

#include "lib/select/streak.h"

/* Started no later after the signal; to exit takes some of that. */
#define RESPAWN_USEC (5 * USEC_PER_SEC)
/* So many kills in succession were undone so: the next is of what starts it, too. */
#define RESPAWN_KILLS 3

struct respawn {
	unsigned n;	 /* kills that were undone, one after the other, by the subject the last */
	unsigned n_same; /* of those, of processes that had the arguments of the subject for certain
			  */
	usec_t killed_at; /* the last of them; 0: none */
};

void respawn_count(const struct streak *streak, const struct streak_subject *subject, usec_t now,
		   struct respawn *ret);

/* The arguments of the first victim may not be known: it was no reason to read them. */
bool respawn_is_loop(const struct respawn *respawn);

/*
 * May a process be killed as one that starts the victim again?  It holds little itself: one that
 * holds more (an editor, the host of a program's extensions) is more than a supervisor.
 */
#define RESPAWN_STARTER_MAX   (32 * MIB)
#define RESPAWN_STARTER_SHARE 8 /* of what the victim holds */
bool respawn_is_small(uint64_t starter, uint64_t victim);
