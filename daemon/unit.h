/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unit: notifies the manager of the victim's unit (systemd's PID 1, or a user's) that it is killed
 * for want of memory: lib/kill/unit-mark.h.
 *
 * Only where the victim's exit is the unit's: of a process whose parent is not of the unit, as is
 * that of a service's main process; or where the whole cgroup of the unit is killed.  The manager
 * does not see the exit of any other process.  It would read the attributes when the unit is
 * stopped, perhaps days later, and take that for a kill.
 */
#pragma once

struct in_flight;

/* Just before the first signal. */
void unit_before_signal(struct in_flight *f);
/* After it: r is what kill_signal() returned. */
void unit_after_signal(struct in_flight *f, int r);
/* It has only had SIGTERM, and need not exit any more. */
void unit_cancel(struct in_flight *f);
