/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* victim-respawn: what is killed with a victim that is started again each time; see respawn.h. */
#include "lib/select/family.h"
#include "lib/select/respawn.h"
#include "lib/select/victim-walk.h"

/* Generations between the victim and what starts it: a shell for each, make. */
#define DEPTH_MAX 16

struct loop {
	struct choice *choice;
	const struct census_process *victim, *starter;
	uint64_t killed_ticks; /* the last kill */
	struct proc_stat stat; /* the victim's */
};

/* The nearest ancestor that was there before the last kill: those below it are of one round. */
static const struct census_process *find_starter(const struct loop *loop)
{
	const struct census *census = loop->choice->census;
	const struct census_process *process = loop->victim;

	for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
		const struct census_process *parent = census_find(census, process->ppid);

		if (!parent || parent->start_ticks > process->start_ticks)
			return NULL;
		if (parent->start_ticks <= loop->killed_ticks)
			return parent;
		process = parent;
	}
	return NULL;
}

static bool may_be_killed(const struct loop *loop, const struct census_process *process)
{
	return victim_exclusion(loop->choice->census, process, loop->choice->request) ==
		       ELIGIBILITY_ELIGIBLE &&
	       respawn_is_small(proc_mapped(&process->memory), proc_mapped(&loop->victim->memory));
}

static bool is_of_this_round(const struct loop *loop, const struct census_process *process)
{
	return process->is_gone || process->state == 'Z' ||
	       process->start_ticks > loop->killed_ticks;
}

/* Another program that it has started earlier needs it. */
static bool does_nothing_else(const struct loop *loop)
{
	const struct census_process *process;

	census_for_each(loop->choice->census, process)
		if (process->ppid == loop->starter->pid && !is_of_this_round(loop, process))
			return false;
	return true;
}

/* A script waits for what it runs in its own process group; a shell at a terminal, or an editor,
 * gives it another one, or a session of its own. */
static bool is_of_its_group(const struct loop *loop)
{
	struct proc_stat stat;

	return proc_read_stat(loop->choice->census->proc_fd, loop->starter->pid, &stat) == 0 &&
	       stat.start_ticks == loop->starter->start_ticks && stat.pgrp == loop->stat.pgrp;
}

/* A script.  A session leader is a login shell, a terminal or the main process of a service. */
static bool may_kill_starter(const struct loop *loop)
{
	const struct census_process *victim = loop->victim, *starter = loop->starter;

	return starter->pid != starter->session && starter->session == victim->session &&
	       starter->uid == victim->uid &&
	       census_cgroup_of(starter) == census_cgroup_of(victim) &&
	       may_be_killed(loop, starter) && does_nothing_else(loop) && is_of_its_group(loop);
}

/* Is all in it the victim, what has started it, or of this round? */
static bool is_all_of_loop(const struct loop *loop, const struct census_node *node)
{
	const struct census_process *process = (const struct census_process *)node;
	const struct census_node *child;

	if (node->kind != CENSUS_PROCESS) {
		census_for_each_child(child, node)
			if (!is_all_of_loop(loop, child))
				return false;
		return true;
	}
	return is_of_this_round(loop, process) ||
	       (may_be_killed(loop, process) &&
		family_descends(loop->choice->census, loop->victim, process));
}

/* A service or a container that does nothing else, and no shell that a person types in. */
static bool may_kill_unit(const struct loop *loop)
{
	const struct census_cgroup *cgroup = census_cgroup_of(loop->victim);

	return cgroup && cgroup == census_cgroup_of(loop->starter) && loop->stat.tty == 0 &&
	       loop->starter->session == loop->victim->session &&
	       streak_is_unit(census_cgroup_path(loop->victim),
			      loop->choice->census->policies->subtree,
			      loop->choice->request->own_cgroup) &&
	       is_all_of_loop(loop, &cgroup->node);
}

static void judge_loop(struct loop *loop)
{
	struct victim_result *result = loop->choice->result;

	if (proc_read_stat(loop->choice->census->proc_fd, loop->victim->pid, &loop->stat) != 0 ||
	    loop->stat.start_ticks != loop->victim->start_ticks)
		return;
	loop->starter = find_starter(loop);
	if (!loop->starter)
		return;
	if (may_kill_starter(loop)) {
		result->as_one = VICTIM_WITH_STARTER;
		result->starter_pid = loop->starter->pid;
	} else if (may_kill_unit(loop)) {
		result->as_one = VICTIM_AS_CGROUP;
	}
}

void victim_judge_respawn(struct choice *choice)
{
	const struct victim_request *request = choice->request;
	const struct census_process *victim = choice->result->ranked[0].process;
	struct streak_subject subject = victim_streak_subject(choice, victim);
	struct respawn respawn;
	struct loop loop = { .choice = choice, .victim = victim };

	respawn_count(request->streak, &subject, request->now, &respawn);
	if (respawn.n > 0) { /* else they are not needed */
		subject.args_hash = victim_read_args(choice, victim);
		respawn_count(request->streak, &subject, request->now, &respawn);
	}
	choice->result->n_respawned = respawn.n;
	if (!respawn_is_loop(&respawn))
		return;
	loop.killed_ticks = sub_u64(request->ticks_now,
				    sub_u64(request->now, respawn.killed_at) / USEC_PER_TICK);
	judge_loop(&loop);
}
