/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rehearsal: finds out at start, not in the emergency, what this daemon is not permitted to do:
 * it ends a child of its own by the same functions that end a victim.
 */
#pragma once

struct manager;

/* Locks memory, asks for priority, lowers its own oom_score_adj; what it lacks for that and for its
 * work.  Results in m->abilities. */
void rehearsal_protect_self(struct manager *m);

/*
 * The whole path, open to reap, on a child; results in m->abilities.  The child is frozen first, in
 * a cgroup that is made for it below our own, in each hierarchy where that is possible; where it is
 * not, a file that would be written to thaw somebody is looked at.  0, or -errno where no child
 * could be made.
 */
int rehearsal_run(struct manager *m);
