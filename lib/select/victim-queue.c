/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim-queue: which processes are there that are like the victim; see queue.h. */
#include "lib/select/kinship.h"
#include "lib/select/queue.h"
#include "lib/select/victim-group.h"
#include "lib/select/victim-walk.h"

static bool is_alike(const struct census_process *a, const struct census_process *b)
{
	return !b->is_gone && b->state != 'Z' &&
	       (victim_are_siblings(a, b) || kinship_has(KINSHIP_BY_PROGRAM, a, b));
}

/* Those that were started by then. */
static unsigned count_alike(const struct census *census, const struct census_process *victim,
			    uint64_t until_ticks)
{
	const struct census_process *process;
	unsigned n = 0;

	census_for_each(census, process)
		n += process->start_ticks <= until_ticks && is_alike(victim, process);
	return n;
}

unsigned victim_count_alike(const struct census *census, const struct census_process *victim)
{
	return count_alike(census, victim, UINT64_MAX);
}

bool victim_is_of_queue(const struct choice *choice, const struct census_process *process,
			const struct streak_subject *subject)
{
	const struct victim_request *request = choice->request;
	struct queue queue;
	uint64_t ticks;

	queue_since(request->streak, subject, request->now, &queue);
	if (queue.since == 0) /* no process is to be counted */
		return false;
	ticks = sub_u64(request->now, queue.since) / USEC_PER_TICK;
	return queue_is_one(
		&queue, count_alike(choice->census, process, sub_u64(request->ticks_now, ticks)));
}
