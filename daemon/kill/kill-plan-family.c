/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill-plan-family: opens the relatives that share most of the victim's memory (kill-set.h).
 * The memory is freed only if all of them are killed: so they are part of the plan, or what they
 * keep does not count as freed.
 */
#include "daemon/base/config.h"
#include "daemon/kill/confirm.h"
#include "daemon/kill/in-flight.h"
#include "daemon/kill/kill-plan.h"
#include "daemon/select/decision.h"
#include "lib/select/kill-set.h"

struct gathering {
	struct in_flight *f;
	unsigned n;
	uint64_t alone;	 /* of the relatives, what is theirs alone */
	bool is_partial; /* not all that share it are killed */
};

static bool open_relative(const struct census_process *process, void *userdata)
{
	struct gathering *g = userdata;
	struct in_flight *f = g->f;
	int r;

	if (kill_rest_has(&f->decision.others.rest, process->pid))
		return true; /* a sharer */
	if (kill_plan_is_late(f)) {
		g->is_partial = true;
		return false;
	}
	if (!confirm_may_kill(f, process->pid, f->config->policies.subtree)) {
		g->is_partial = true;
		return true;
	}
	r = kill_plan_open(f, process);
	if (r < 0)
		g->is_partial = true;
	if (r != 0)
		return true;
	if (process->memory.is_measured)
		g->alone = add_u64(g->alone, process->alone);
	g->n++;
	return true;
}

void kill_plan_gather_family(struct in_flight *f, const struct kill_set *set)
{
	struct decision *d = &f->decision;
	struct gathering g = { .f = f };

	kill_set_relatives(set, open_relative, &g);
	d->others.n_relatives += g.n;
	f->victim.is_family = f->victim.is_family || g.n > 0;
	d->memory = kill_set_frees(set, g.n > 0 && !g.is_partial, g.alone);
}
