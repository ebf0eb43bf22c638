/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unit: marks the victim's unit before the signal, and undoes that. */
#include "daemon/unit.h"

#include <string.h>

#include "daemon/clock.h"
#include "daemon/manager.h"
#include "lib/kill/unit-mark.h"
#include "lib/sys/cgroup-unit.h"
#include "lib/sys/proc.h"

/* The signal waits for the mark so long at most. */
#define MARK_USEC (5 * USEC_PER_MSEC)

/* Is its exit that of the unit?  cgroup: the unit's. */
static bool ends_unit(const struct manager *m, const char *cgroup)
{
	const struct decision *d = &m->in_flight.decision;
	char parent[CGROUP_PATH_MAX];
	struct proc_stat stat;

	if (d->target == POLICY_TARGET_CGROUP && cgroup_path_is_below(cgroup, d->group))
		return true;
	return proc_read_stat(m->machine.proc_fd, d->pid, &stat) == 0 && stat.ppid > 0 &&
	       cgroup_of_process(&m->machine.cgroups, m->machine.proc_fd, stat.ppid, parent,
				 sizeof(parent)) == 0 &&
	       !cgroup_path_is_below(parent, cgroup);
}

void unit_before_signal(struct manager *m)
{
	struct decision *d = &m->in_flight.decision;
	char cgroup[CGROUP_PATH_MAX];
	struct cgroup_unit unit;

	d->unit_error = 0;
	d->unit_is_marked = false;
	if (!m->in_flight.unit_marker)
		return;
	cgroup_unit_find(d->cgroup, &unit);
	memcpy(cgroup, d->cgroup, unit.length);
	cgroup[unit.length] = '\0';
	if (unit.length == 0 || !ends_unit(m, cgroup))
		return;
	d->unit_error =
		unit_mark(m->in_flight.unit_marker, cgroup, unit.length, clock_now() + MARK_USEC);
	d->unit_is_marked = d->unit_error == 0 || d->unit_error == -EINPROGRESS;
}

void unit_after_signal(struct manager *m, int r)
{
	if (r != 0)
		unit_cancel(m);
	else if (m->in_flight.decision.unit_is_marked)
		unit_mark_killed(m->in_flight.unit_marker,
				 (unsigned)max_u64(m->in_flight.victim.group.n_signalled, 1));
}

void unit_cancel(struct manager *m)
{
	if (m->in_flight.decision.unit_is_marked)
		unit_mark_cancel(m->in_flight.unit_marker);
	m->in_flight.decision.unit_is_marked = false;
}
