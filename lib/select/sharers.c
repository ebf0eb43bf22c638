/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sharers: see the header. */
#include "lib/select/sharers.h"

#include <stdbool.h>

/* Those to ask about. */
struct candidates {
	const struct census_process *processes[SHARERS_COMPARED_MAX];
	unsigned n;
	unsigned n_related; /* the first of them */
	unsigned n_left_out;
};

static bool is_related(const struct census_process *victim, const struct census_process *other)
{
	return other->ppid == victim->pid || other->pid == victim->ppid ||
	       other->ppid == victim->ppid;
}

/* Relatives first: they take the place of others if there is no other. */
static void add_candidate(struct candidates *candidates, const struct census_process *process,
			  bool related)
{
	unsigned place = related ? candidates->n_related : candidates->n;

	if (place == SHARERS_COMPARED_MAX) {
		candidates->n_left_out++;
		return;
	}
	if (candidates->n == SHARERS_COMPARED_MAX)
		candidates->n_left_out++;
	else if (place < candidates->n++)
		candidates->processes[candidates->n - 1] = candidates->processes[place];
	candidates->processes[place] = process;
	candidates->n_related += related;
}

/*
 * Who cannot have as much by now has other memory.  The size of the code is that of the address
 * space, too; it is read with statm alone, so not while swap is in use.
 */
static bool may_share(const struct census *census, const struct census_process *victim,
		      const struct census_process *other, uint64_t at_least, uint64_t allocated)
{
	if (other == victim || other->kthread)
		return false;
	/* Without other threads it has no memory, whatever the last reading says. */
	if (other->state == 'Z' && other->n_threads <= 1)
		return false;
	if (!census->with_swap && victim->code_pages != 0 && other->code_pages != 0 &&
	    other->code_pages != victim->code_pages)
		return false;
	return census_mapped_at_most(census, other, allocated) >= at_least;
}

static void find_candidates(const struct census *census, const struct census_process *victim,
			    const struct proc_memory *memory, uint64_t allocated,
			    struct candidates *ret)
{
	const struct census_process *other;
	struct interval has = accuracy_interval(census->accuracy, memory->anon + memory->swap,
						census->with_swap, victim->n_threads);

	ret->n = ret->n_related = ret->n_left_out = 0;
	census_for_each(census, other)
		if (may_share(census, victim, other, has.lo, allocated))
			add_candidate(ret, other, is_related(victim, other));
}

/*
 * Has the task let go of its memory, or will it at any moment?  PF_EXITING comes first (do_exit()
 * in kernel/exit.c).
 */
static bool is_exiting(const struct census *census, pid_t tid)
{
	struct proc_stat stat;

	return proc_read_stat(census->proc_fd, tid, &stat) != 0 || stat.state == 'Z' ||
	       stat.state == 'X' || stat.flags & PROC_FLAG_EXITING;
}

/* A task that has the memory of the process: the leader may have exited before other threads. */
static pid_t find_task(const struct census *census, const struct census_process *process,
		       bool leader_has_it)
{
	pid_t tid = process->pid;

	if (!leader_has_it)
		(void)proc_find_live_thread(census->proc_fd, process->pid, &tid);
	return tid;
}

static void take_same(const struct candidates *candidates, const int *same, struct sharers *ret)
{
	ret->n_more = candidates->n_left_out;
	for (unsigned i = 0; i < candidates->n; i++) {
		if (same[i] < 0 && !errno_is_gone(same[i]))
			ret->error = same[i];
		if (same[i] == -ETIMEDOUT)
			ret->n_more++;
		if (same[i] <= 0)
			continue;
		if (ret->n < SHARERS_MAX)
			ret->items[ret->n++] = candidates->processes[i];
		else
			ret->n_more++;
	}
}

static bool is_any_late(const int *same, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (same[i] == -ETIMEDOUT)
			return true;
	return false;
}

/* If a relative that has its memory were left, the kill would be in vain: that takes longer than to
 * ask again.  (Others may have as much, but seldom have the same.) */
static void compare_again(const struct candidates *candidates, pid_t tid, const pid_t *tids,
			  sharers_compare_fn compare, void *userdata, int *same)
{
	for (unsigned i = 1; i < SHARERS_TRIES && is_any_late(same, candidates->n_related); i++)
		compare(tid, tids, candidates->n_related, same, userdata);
}

void sharers_find(const struct census *census, const struct census_process *victim,
		  const struct proc_memory *memory, uint64_t allocated, sharers_compare_fn compare,
		  void *userdata, struct sharers *ret)
{
	struct candidates candidates;
	pid_t tid, tids[SHARERS_COMPARED_MAX];
	int same[SHARERS_COMPARED_MAX];

	*ret = (struct sharers){ 0 };
	find_candidates(census, victim, memory, allocated, &candidates);
	if (candidates.n == 0)
		return;
	tid = find_task(census, victim, !is_exiting(census, victim->pid));
	for (unsigned i = 0; i < candidates.n; i++)
		tids[i] = find_task(census, candidates.processes[i],
				    candidates.processes[i]->state != 'Z');
	compare(tid, tids, candidates.n, same, userdata);
	compare_again(&candidates, tid, tids, compare, userdata, same);
	/* Two that have no memory (any more) compare equal. */
	if (is_exiting(census, tid))
		ret->error = -ESRCH;
	else
		take_same(&candidates, same, ret);
}
