/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unit: marks the victim's unit before the signal, and undoes that. */
#include "daemon/kill/unit.h"

#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/machine.h"
#include "daemon/kill/in-flight.h"
#include "lib/kill/unit-mark.h"
#include "lib/sys/cgroup-unit.h"
#include "lib/sys/proc.h"

/* The signal waits for the mark so long at most. */
#define MARK_USEC (5 * USEC_PER_MSEC)

/* Is its exit that of the unit?  cgroup: the unit's. */
static bool ends_unit(const struct in_flight *f, const char *cgroup)
{
	const struct decision *d = &f->decision;
	char parent[CGROUP_PATH_MAX];
	struct proc_stat stat;

	if (d->target == POLICY_TARGET_CGROUP && cgroup_path_is_below(cgroup, d->others.group))
		return true;
	return proc_read_stat(f->machine->proc_fd, d->pid, &stat) == 0 && stat.ppid > 0 &&
	       cgroup_of_process(&f->machine->cgroups, f->machine->proc_fd, stat.ppid, parent,
				 sizeof(parent)) == 0 &&
	       !cgroup_path_is_below(parent, cgroup);
}

void unit_before_signal(struct in_flight *f)
{
	struct decision *d = &f->decision;
	char cgroup[CGROUP_PATH_MAX];
	struct cgroup_unit unit;

	d->kill.unit_error = 0;
	d->kill.unit_is_marked = false;
	if (!f->unit_marker)
		return;
	cgroup_unit_find(d->cgroup, &unit);
	memcpy(cgroup, d->cgroup, unit.length);
	cgroup[unit.length] = '\0';
	if (unit.length == 0 || !ends_unit(f, cgroup))
		return;
	d->kill.unit_error =
		unit_mark(f->unit_marker, cgroup, unit.length, clock_now() + MARK_USEC);
	d->kill.unit_is_marked = d->kill.unit_error == 0 || d->kill.unit_error == -EINPROGRESS;
}

void unit_after_signal(struct in_flight *f, int r)
{
	if (r != 0)
		unit_cancel(f);
	else if (f->decision.kill.unit_is_marked)
		unit_mark_killed(f->unit_marker, (unsigned)max_u64(f->victim.group.n_signalled, 1));
}

void unit_cancel(struct in_flight *f)
{
	if (f->decision.kill.unit_is_marked)
		unit_mark_cancel(f->unit_marker);
	f->decision.kill.unit_is_marked = false;
}
