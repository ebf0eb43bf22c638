/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queue: do processes finish by themselves while others like them are killed?
 *
 * The workers of a server do not: when one is killed another is started, and that is all.  Of the
 * jobs of a queue some are done meanwhile, so that kills help; where these are forks that do not
 * call execve(2), or have the same arguments, nothing else tells them apart.  So of those that were
 * there at the first kill it is counted how many are there no more, and were not killed.
 *
 * Pure: the time is an argument.
 */
#pragma once

#include <stdbool.h>

#include "lib/select/streak.h"

struct queue {
	usec_t since;	   /* the first kill of its kin that counts; 0: there was none */
	unsigned n_then;   /* of its kin were there, with the one that was killed */
	unsigned n_killed; /* of those, since */
	unsigned n_kills;  /* of any of its kin, since */
};

/* The first kill within STREAK_USEC after which all of the victims are known. */
void queue_since(const struct streak *streak, const struct streak_subject *subject, usec_t now,
		 struct queue *ret);

/* n_left: of those that were there then, that are there now. */
static inline unsigned queue_finished(const struct queue *queue, unsigned n_left)
{
	return queue->since == 0 ? 0 : (unsigned)sub_u64(queue->n_then, queue->n_killed + n_left);
}

/* At least one for two that were killed: a worker may exit by itself once. */
#define QUEUE_KILLED 2
static inline bool queue_is_one(const struct queue *queue, unsigned n_left)
{
	unsigned n_finished = queue_finished(queue, n_left);

	return n_finished > 0 && n_finished >= queue->n_kills / QUEUE_KILLED;
}
