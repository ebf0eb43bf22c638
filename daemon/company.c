/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* company: see the header. */
#include "daemon/company.h"

#include <string.h>
#include <unistd.h>

#include "daemon/decision.h"
#include "daemon/manager.h"
#include "lib/sharers.h"

/* All comparisons together: usually some microseconds, but an exec can hold one up, and on a busy
 * machine the thread that makes them may have to wait for a CPU. */
#define COMPARE_BUDGET_USEC (50 * USEC_PER_MSEC)

static void compare(pid_t tid, const pid_t *tids, unsigned n, int *ret, void *userdata)
{
	const struct manager *m = userdata;

	precise_compare(m->precise, tid, tids, n, COMPARE_BUDGET_USEC, ret);
}

/* Nobody in the company is ended if one of them is spared; so the first one is enough to know. */
static void spare(struct decision *d, const struct census_process *process)
{
	if (d->spared_pid > 0)
		return;
	d->spared_pid = process->pid;
	d->error = -EPERM;
	memcpy(d->spared_comm, process->comm, sizeof(d->spared_comm));
}

static void open_sharer(struct manager *m, const struct census_process *process)
{
	struct decision *d = &m->decision;
	int r;

	if (!decision_may_end(m, process->pid)) {
		spare(d, process);
		return;
	}
	r = kill_open_other(m->kill_ops, m->proc_fd, process->pid, process->start_ticks,
			    &m->victim);
	if (r == 0)
		d->n_sharers++;
	else if (r == -EPERM)
		spare(d, process);
	else if (r < 0)
		d->sharers_error = r;
}

bool company_gather(struct manager *m)
{
	struct decision *d = &m->decision;
	const struct census_process *victim = census_find(&m->census, d->pid);
	struct sharers sharers;

	if (!victim || victim->start_ticks != d->start_ticks)
		return true;
	sharers_find(&m->census, victim, &d->memory, m->reading.allocated, compare, m, &sharers);
	d->sharers_error = sharers.error;
	d->n_sharers_left = sharers.n_more;
	for (unsigned i = 0; i < sharers.n; i++)
		open_sharer(m, sharers.items[i]);
	decision_note_next(d, &m->choice, &m->victim);
	return d->spared_pid == 0;
}

/* Of one process, UINT64_MAX where that cannot be known. */
static uint64_t footprint_of(const struct manager *m, pid_t pid, uint64_t start_ticks)
{
	struct proc_memory memory;
	struct proc_stat stat;

	if (proc_read_stat(m->proc_fd, pid, &stat) != 0 || stat.start_ticks != start_ticks ||
	    proc_read_memory(m->proc_fd, &stat, true, m->accuracy.page_size, &memory) != 0)
		return UINT64_MAX;
	return census_footprint(&memory);
}

uint64_t company_footprint(const struct manager *m)
{
	const struct kill_victim *victim = &m->victim;
	uint64_t footprint = footprint_of(m, victim->pid, victim->start_ticks);

	/* One memory: who is left of them has it all. */
	for (unsigned i = 0; i < victim->n_others; i++) {
		uint64_t other =
			footprint_of(m, victim->others[i].pid, victim->others[i].start_ticks);

		if (footprint == UINT64_MAX || (other != UINT64_MAX && other > footprint))
			footprint = other;
	}
	return footprint;
}
