/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill-plan-family: the relatives that share most of the victim's memory (family.h).
 * The memory is freed only if all of them are killed: so they are part of the plan, or what they
 * keep does not count as freed.
 *
 * A relative that maps half of what is common or more is taken to map that.  Reading the shares of
 * each would take milliseconds for each, in an emergency.  Those that map less by what the census
 * knows are read again: a relative that touches what is there already allocates nothing, so nothing
 * says that its reading is old.
 */
#include "daemon/base/config.h"
#include "daemon/kill/confirm.h"
#include "daemon/kill/in-flight.h"
#include "daemon/kill/kill-plan.h"
#include "daemon/select/decision.h"
#include "daemon/select/selection.h"
#include "daemon/watch/sampler.h"
#include "lib/select/family.h"

struct gathering {
	struct in_flight *f;
	struct family family;
	uint64_t common; /* of the victim's memory, what it shares */
	uint64_t alone;	 /* of the relatives, what is theirs alone */
	bool is_partial; /* not all that share it are killed */
	unsigned n_reads_left;
};

/* A relative that may not be killed keeps all that they have in common: then it is no use to kill
 * the others. */
static bool may_kill_all(struct gathering *g)
{
	const struct in_flight *f = g->f;
	const struct census_process *other;

	census_for_each(&f->sampler->census, other)
		if (proc_mapped(&other->memory) > 0 &&
		    eligibility_is_refused(
			    victim_exclusion(&f->sampler->census, other, &f->selection->request)) &&
		    family_has(&g->family, other))
			return false;
	return true;
}

static void add_relative(struct gathering *g, const struct census_process *process)
{
	struct in_flight *f = g->f;
	int r;

	if (kill_rest_has(&f->decision.rest, process->pid))
		return; /* a sharer */
	if (kill_plan_is_late(f) ||
	    !confirm_may_kill(f, process->pid, f->config->policies.subtree)) {
		g->is_partial = true;
		return;
	}
	r = kill_plan_open(f, process);
	if (r < 0)
		g->is_partial = true;
	if (r != 0)
		return;
	if (process->memory.is_measured)
		g->alone = add_u64(g->alone, process->alone);
	f->decision.n_relatives++;
}

static bool has_touched_it_since(struct gathering *g, const struct census_process *process)
{
	uint64_t footprint;

	if (process->is_gone || proc_mapped(&process->memory) >= g->common / 2 ||
	    g->n_reads_left == 0 || kill_plan_is_late(g->f) || !family_has(&g->family, process))
		return false;
	g->n_reads_left--;
	footprint = kill_plan_footprint_of(g->f, process->pid, process->start_ticks);
	return footprint != UINT64_MAX && footprint >= g->common / 2;
}

void kill_plan_gather_family(struct in_flight *f, const struct census_process *victim)
{
	struct decision *d = &f->decision;
	struct gathering g = {
		.f = f,
		.common = family_common(&d->memory, d->alone),
		.n_reads_left = FAMILY_READS,
	};
	const struct census_process *other;

	if (!d->is_unit || d->memory.kept == 0)
		return; /* it shares little */
	d->memory.kept = sub_u64(proc_mapped(&d->memory), d->alone);
	family_init(&g.family, &f->sampler->census, victim, KILL_TOGETHER_MAX);
	if (!may_kill_all(&g))
		return;
	census_for_each(&f->sampler->census, other)
		if (proc_mapped(&other->memory) >= g.common / 2 && family_has(&g.family, other))
			add_relative(&g, other);
	census_for_each(&f->sampler->census, other)
		if (has_touched_it_since(&g, other))
			add_relative(&g, other);
	f->victim.is_family = d->n_relatives > 0;
	if (d->n_relatives == 0 || g.is_partial)
		return;
	/* All processes that share it are killed: of what is common nothing is kept. */
	d->memory.kept = sub_u64(d->memory.kept, g.common);
	d->memory.anon = add_u64(d->memory.anon, g.alone);
}
