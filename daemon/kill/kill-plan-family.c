/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill-plan-family: opens the relatives that share most of the victim's memory (kill-set.h).
 * The memory is freed only if all of them are killed: so all are part of the plan, or none is.
 */
#include <errno.h>

#include "daemon/kill/in-flight.h"
#include "daemon/kill/kill-plan.h"
#include "daemon/select/decision.h"
#include "daemon/select/selection.h"
#include "lib/select/kill-set.h"

struct gathering {
	struct in_flight *f;
	const struct kill_set *set;
	unsigned n;
	uint64_t alone; /* of the relatives, what is theirs alone */
	/* One that cannot be killed, as it may not be, or is not to be opened. */
	const struct census_process *spared;
	int error;
};

static bool open_relative(const struct census_process *process, void *userdata)
{
	struct gathering *g = userdata;
	int r;

	if (kill_plan_has(g->f, process->pid))
		return true; /* a sharer */
	r = kill_plan_may_kill(g->f, g->set, process) ? kill_plan_open(g->f, process) : -EPERM;
	if (r == KILL_GONE)
		return true;
	if (r == -EPERM)
		g->spared = process;
	g->error = r;
	if (r < 0)
		return false;
	if (process->memory.is_measured)
		g->alone = add_u64(g->alone, process->alone);
	g->n++;
	return true;
}

/* What it frees without its relatives. */
static bool is_worth_it(const struct in_flight *f)
{
	const struct decision *d = &f->decision;

	return d->held > 0 || d->others.as_one != VICTIM_ALONE ||
	       proc_reclaimable(&d->memory) >= f->selection->request.min_victim;
}

enum report_event kill_plan_gather_family(struct in_flight *f, const struct kill_set *set)
{
	struct decision *d = &f->decision;
	struct gathering g = { .f = f, .set = set };
	unsigned n_others = f->victim.n_others, n_rest = d->others.rest.n;
	const struct census_process *refused = kill_set_relatives(set, open_relative, &g);

	if (!refused && g.error >= 0) {
		d->others.n_relatives += g.n;
		f->victim.is_family = f->victim.is_family || g.n > 0;
		d->memory = kill_set_frees(set, g.n > 0, g.alone);
		return REPORT_NOTHING;
	}
	kill_victim_drop_others(&f->victim, n_others);
	d->others.rest.n = n_rest;
	d->memory = kill_set_frees(set, false, 0);
	if (is_worth_it(f))
		return REPORT_NOTHING;
	if (!refused && !g.spared) {
		d->error = g.error;
		return REPORT_CANNOT_OPEN;
	}
	kill_plan_spare(d, refused ? refused : g.spared);
	return REPORT_SPARED;
}
