/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * census-compare: revalidates what changes of a process with neither an exec nor memory; see
 * CENSUS_ALL_USEC.
 *
 * A revalidation takes 10 to 20 us, five times as long as statm alone.  So it is not made in a
 * round, of which there are many a second where memory is allocated fast, but by the clock: for 100
 * processes it takes 0.05% of a CPU, for 10,000 1.3% (bench/choose).
 */
#include "lib/snapshot/census-tree.h"

/* The slices of a round are closer together than this needs. */
#define PAUSE_USEC (20 * USEC_PER_MSEC)

/* In one poll: 2 ms or so. */
#define COMPARED_MAX 160

/* Pids that one poll may look up: those of threads and of exited processes count too. */
#define YOUNG_PIDS_MAX 16384

/* A new process takes its final name, user and cgroup at once, or when its user has entered a
 * password. */
static const usec_t young_usec[CENSUS_N_YOUNG] = {
	100 * USEC_PER_MSEC,
	1 * USEC_PER_SEC,
	5 * USEC_PER_SEC,
};

struct comparison {
	struct census *census;
	usec_t now;
	uint64_t allocated;
	unsigned n_left;
};

static int compare(struct comparison *c, const struct census_process *process)
{
	if (process->kthread)
		return 0;
	c->n_left--;
	return census_revalidate(c->census, process->pid, c->now, c->allocated);
}

/* The pids allocated meanwhile are the next ones.  Where they have wrapped around, the lowest. */
static void take_next(struct census_young *young, pid_t last_pid, usec_t now)
{
	if (young->to == 0)
		young->from = last_pid;
	else
		young->from = young->to <= last_pid ? young->to : 0;
	if (last_pid - young->from > YOUNG_PIDS_MAX)
		young->from = last_pid - YOUNG_PIDS_MAX;
	young->to = last_pid;
	young->since = now;
}

/* One that is found by a listing may have been there for long: its pid alone says that it was not
 * known.  By the newest process of that time, which is no younger than its own. */
static bool is_settled(const struct census *census, const struct census_process *process)
{
	return process->start_ticks < census->settled_before;
}

static int compare_young(struct comparison *c, struct census_young *young, usec_t after)
{
	const struct census_process *process;
	int r = 0;

	if (c->now - young->since < after)
		return 0;
	while (r == 0 && c->n_left > 0 && young->from < young->to) {
		process = census_find(c->census, ++young->from);
		if (process && !is_settled(c->census, process))
			r = compare(c, process);
	}
	if (young->from == young->to)
		take_next(young, c->census->last_pid, c->now);
	return r;
}

static int compare_largest(struct comparison *c)
{
	const struct census *census = c->census;
	uint64_t size_min = census_large_min(census);
	int r = 0;

	for (size_t i = 0; i < min_u64(census->n_by_size, CENSUS_LARGEST); i++) {
		const struct census_process *process = census_at(census, census->order[i]);

		if (process->pid == 0 || proc_reclaimable(&process->memory) < size_min ||
		    census_since(process->compared_at, c->now) < CENSUS_LARGEST_USEC)
			continue;
		if (r < 0 || c->n_left == 0)
			break;
		r = compare(c, process);
	}
	return r;
}

static int compare_in_turn(struct comparison *c)
{
	struct census *census = c->census;
	usec_t each = CENSUS_ALL_USEC / max_u64(census->n_processes, 1);
	int r = 0;

	/* Not more than once around. */
	census->in_turn_at = max_u64(census->in_turn_at, sub_u64(c->now, CENSUS_ALL_USEC));
	while (r == 0 && c->n_left > 0 && census->in_turn_at + each <= c->now) {
		const struct census_process *process = census_next(census, &census->next_in_turn);

		if (!process) {
			if (census->n_processes == 0)
				break;
			census->next_in_turn = 0;
			continue;
		}
		census->in_turn_at += each;
		r = compare(c, process);
	}
	return r;
}

int census_revalidate_some(struct census *census, usec_t now, uint64_t allocated)
{
	struct comparison c = {
		.census = census,
		.now = now,
		.allocated = allocated,
		.n_left = COMPARED_MAX,
	};
	int r = 0;

	/* (After census_release_fds() the next round revalidates all.) */
	if (census->compares_next || now - census->compared_some_at < PAUSE_USEC)
		return 0;
	census->compared_some_at = now;
	for (unsigned i = 0; i < CENSUS_N_YOUNG && r == 0; i++)
		r = compare_young(&c, &census->young[i], young_usec[i]);
	if (r == 0)
		r = compare_largest(&c);
	if (r == 0)
		r = compare_in_turn(&c);
	return r;
}

void census_begin_turns(struct census *census, usec_t now)
{
	census->next_in_turn = 0;
	census->in_turn_at = now;
}
