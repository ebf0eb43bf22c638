/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-judge: the progress of a kill; pure.  See kill.h, which has the table. */
#include <signal.h>

#include "lib/kill/kill.h"

const char *kill_progress_to_string(enum kill_progress progress)
{
	static const char *const names[] = {
		[KILL_PROGRESS_WAIT] = "in-progress",	 [KILL_PROGRESS_EXITED] = "exited",
		[KILL_PROGRESS_RECLAIMED] = "reclaimed", [KILL_PROGRESS_ESCALATE] = "escalate",
		[KILL_PROGRESS_CANCELLED] = "cancelled", [KILL_PROGRESS_UNKILLABLE] = "unkillable",
	};

	return (unsigned)progress < ARRAY_SIZE(names) ? names[progress] : NULL;
}

static uint64_t reclaimed_bytes(uint64_t expected)
{
	return (__uint128_t)expected * KILL_RECLAIMED_PERMYRIAD / PERMYRIAD;
}

/* What the victim may keep and still count as reclaimed. */
static uint64_t may_remain(const struct kill_facts *facts)
{
	return facts->expected_bytes - reclaimed_bytes(facts->expected_bytes);
}

/* Memory was reclaimed, and as far as can be told it is the victim's. */
static bool memory_is_reclaimed(const struct kill_facts *facts)
{
	return facts->expected_bytes >= KILL_RECLAIMED_MIN &&
	       sub_u64(facts->available_now, facts->available_before) >=
		       reclaimed_bytes(facts->expected_bytes) &&
	       (facts->footprint_now == UINT64_MAX || facts->footprint_now <= may_remain(facts));
}

static enum kill_progress judge_killed(const struct kill_facts *facts)
{
	if (memory_is_reclaimed(facts))
		return KILL_PROGRESS_RECLAIMED;
	if (facts->since_signal < facts->timeout)
		return KILL_PROGRESS_WAIT;
	/* It may have been allocated to others meanwhile, but is no longer the victim's; UINT64_MAX
	 * is larger. */
	return facts->footprint_now <= may_remain(facts) ? KILL_PROGRESS_RECLAIMED
							 : KILL_PROGRESS_UNKILLABLE;
}

static enum kill_progress judge_asked(const struct kill_facts *facts)
{
	if (facts->next_level)
		return KILL_PROGRESS_ESCALATE;
	if (!facts->emergency_holds && memory_is_reclaimed(facts))
		return KILL_PROGRESS_RECLAIMED;
	if (facts->since_signal < facts->grace)
		return KILL_PROGRESS_WAIT;
	return facts->emergency_holds ? KILL_PROGRESS_ESCALATE : KILL_PROGRESS_CANCELLED;
}

enum kill_progress kill_judge(const struct kill_facts *facts)
{
	if (facts->gone)
		return KILL_PROGRESS_EXITED;
	if (facts->signal == 0)
		return KILL_PROGRESS_WAIT;
	return facts->signal == SIGKILL ? judge_killed(facts) : judge_asked(facts);
}

bool kill_may_free_more(const struct kill_late *late)
{
	const struct proc_memory *expected = late->expected;
	bool is_tables = expected->pagetables > proc_reclaimable(expected) / 2;

	if (late->since_gone < (late->is_read ? KILL_LATE_MAX_USEC : KILL_LATE_USEC))
		return true;
	return late->since_gone < (is_tables ? KILL_LATE_TABLES_USEC : KILL_LATE_MAX_USEC) &&
	       late->available_now >= late->available_then - late->available_then / 8;
}

/* Of what is expected, so much at once is progress. */
#define STARVED_SHARE 64

bool kill_is_starved(struct kill_watch *watch, usec_t now, uint64_t reclaimed, uint64_t expected)
{
	if (watch->moved_at == 0 ||
	    reclaimed >= watch->reclaimed + max_u64(expected / STARVED_SHARE, MIB)) {
		watch->moved_at = now;
		watch->reclaimed = reclaimed;
	}
	return now - watch->moved_at >= KILL_STARVED_USEC;
}
