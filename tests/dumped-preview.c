/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dumped-preview: asks for a preview as the bus does, and compares it with the decision. */
#include "tests/dumped-preview.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "lib/explain/preview.h"
#include "lib/select/kill-set.h"
#include "tests/dumped-machine.h"
#include "tests/dumped-seams.h"

static char text[1024];

__attribute__((format(printf, 1, 2))) static void differ(const char *format, ...)
{
	size_t n = strlen(text);
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text + n, sizeof(text) - n, format, ap);
	va_end(ap);
}

static const char *no_user(uid_t uid, void *userdata)
{
	return NULL;
}

static uint64_t min_victim(const struct policy *policy, void *userdata)
{
	return stuck_minimum(dumped.manager->selection, policy);
}

static void make(struct preview *o)
{
	const struct manager *m = dumped.manager;
	const struct domain *domain = &m->sampler->domain;

	*o = (struct preview){
		.policies = &m->config->policies,
		.accuracy = &m->machine->accuracy,
		.census = &m->sampler->census,
		.precise = dumped_precise,
		.comparing = dumped_precise,
		.compare_budget = USEC_PER_MSEC,
		.proc_fd = m->machine->proc_fd,
		.now = clock_now,
		.budget = USEC_PER_SEC,
		.memory = domain->reading,
		.psi = domain->has_psi ? &domain->psi : NULL,
		.reclaim = &domain->reclaim,
		.stalls_are_explained = m->sampler->stalls.explained,
		.unswappable = domain->unswappable,
		.self_name = "reckond",
		.user = no_user,
		.backoff = &m->selection->backoff,
		.streak = &m->selection->streak,
		.ticks_now = clock_ticks_before(0),
		.min_victim = min_victim,
		.own_cgroup = "/system.slice/reckond.service",
	};
	assert(victim_reserve(&o->result, &m->sampler->census) == 0);
	preview_choose(o);
}

static bool is_killed(const struct census_process *process)
{
	const struct kill_victim *victim = &dumped.manager->in_flight->victim;
	const struct decision *d = &dumped.manager->in_flight->decision;
	struct victim_candidate candidate = { .process = process };

	return process->pid == d->pid || decision_is_killed_with(d, victim, &candidate);
}

static bool is_in_group(const struct census_process *process)
{
	const struct decision *d = &dumped.manager->in_flight->decision;

	return d->others.group[0] != '\0' &&
	       cgroup_path_is_below(census_cgroup_path(process), d->others.group);
}

const char *dumped_preview_compare(void)
{
	const struct decision *d = &dumped.manager->in_flight->decision;
	const struct census_process *process;
	static struct preview o;

	text[0] = '\0';
	make(&o);
	if (!preview_victim(&o))
		differ(" none is chosen;");
	else if (preview_victim(&o)->process->pid != d->pid)
		differ(" chosen %d;", preview_victim(&o)->process->pid);
	if (strcmp(o.group.path, d->others.group) != 0)
		differ(" cgroup %s;", o.group.path);
	census_for_each(&dumped.manager->sampler->census, process)
		if (!is_in_group(process) && is_killed(process) != preview_is_victim(&o, process))
			differ(" %skilled with it: %d;", is_killed(process) ? "not " : "",
			       process->pid);
	if (o.frees != proc_reclaimable(&d->memory))
		differ(" frees %lu, not %lu;", o.frees, proc_reclaimable(&d->memory));
	victim_done(&o.result);
	return text;
}
