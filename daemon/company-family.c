/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * company-family: the relatives that share most of the victim's memory copy on write (family.h).
 * The memory is freed only if all of them are killed: so they are part of the plan, or what they
 * keep does not count as freed.
 */
#include "daemon/company.h"
#include "daemon/decision.h"
#include "daemon/manager.h"
#include "daemon/monitor.h"
#include "lib/family.h"

/* All readings of shares together: some milliseconds for each GiB. */
#define SHARE_BUDGET_USEC (100 * USEC_PER_MSEC)

/* A relative counts if it shares at least this part of what is common: others of the program have
 * memory of their own. */
#define SHARED_PART 4

struct gathering {
	struct manager *m;
	usec_t until;
	uint64_t common; /* of the victim's memory, what it shares */
	uint64_t alone;	 /* of the relatives, what is theirs alone */
	bool is_partial; /* not all that share it are killed */
};

/* 0 with *ret, or anything else. */
static int read_share(const struct gathering *g, pid_t pid, struct reclaimable *ret)
{
	usec_t now = monitor_now();

	if (now >= g->until)
		return PRECISE_LATE;
	return precise_read(g->m->precise, pid, g->until - now, ret);
}

static uint64_t shared_of(const struct reclaimable *r)
{
	return sub_u64(proc_mapped(&r->full), r->alone);
}

static void add_relative(struct gathering *g, const struct census_process *process)
{
	struct manager *m = g->m;
	struct reclaimable r;
	int result = read_share(g, process->pid, &r);

	if (result == PROC_GONE || (result == 0 && shared_of(&r) < g->common / SHARED_PART))
		return;
	if (result != 0 || !decision_may_kill(m, process->pid, m->policies.scope)) {
		g->is_partial = true;
		return;
	}
	result = kill_open_other(m->kill_ops, m->proc_fd, process->pid, process->start_ticks,
				 &m->victim);
	if (result < 0)
		g->is_partial = true;
	if (result != 0)
		return;
	g->alone = add_u64(g->alone, r.alone);
	m->decision.n_relatives++;
}

void company_gather_family(struct manager *m, const struct census_process *victim)
{
	struct decision *d = &m->decision;
	struct gathering g = { .m = m, .until = monitor_now() + SHARE_BUDGET_USEC };
	const struct census_process *other;
	struct reclaimable r;

	if (d->memory.kept == 0 || read_share(&g, victim->pid, &r) != 0)
		return; /* it shares nothing, or that cannot be told */
	d->memory = r.full;
	d->memory.is_measured = true;
	d->memory.kept = shared_of(&r);
	g.common = shared_of(&r);
	if (!d->is_unit || g.common <= r.alone)
		return;
	census_for_each(&m->census, other)
		if (family_has_both(&m->census, victim, other))
			add_relative(&g, other);
	if (d->n_relatives == 0 || g.is_partial)
		return;
	/* All die that share it: nothing is kept. */
	d->memory.kept = 0;
	d->memory.anon = add_u64(d->memory.anon, g.alone);
}
