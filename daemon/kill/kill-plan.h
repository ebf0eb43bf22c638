/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill-plan: what is killed with the victim that was chosen: processes that share its memory, and
 * all of its cgroup where the policy or memory.oom.group says so.  Found between the choice and the
 * signal, so nothing is allocated here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/report-event.h"
#include "lib/base/util.h"
#include "lib/kill/kill.h"

struct decision;
struct in_flight;
struct policy;

/*
 * For the victim of f->decision, which is open: finds and opens the others and the group
 * (f->victim), and notes them in f->decision.  REPORT_NOTHING: continue.
 * REPORT_SPARED: one that shares its memory may not be killed (spared_pid), so the memory would not
 * be reclaimed. REPORT_CANNOT_OPEN: its cgroup may not be killed (error).  REPORT_VANISHED.
 */
enum report_event kill_plan_gather(struct in_flight *f, const struct policy *policy);

/* One that is killed with the victim: watched, or one of the rest.  0, KILL_GONE, or -errno
 * (-ENOSPC). */
struct census_process;
int kill_plan_open(struct in_flight *f, const struct census_process *process);
/* So much time has passed since the choice that no more are to be opened. */
bool kill_plan_is_late(const struct in_flight *f);

/* Is it the victim, or opened to be killed with it? */
bool kill_plan_has(const struct in_flight *f, pid_t pid);
/* May one that shares the victim's memory be killed?  As it is now, or, where it would take too
 * long to read what each is now, by what the census knows: if one is left, no memory is freed,
 * however many are killed. */
struct kill_set;
bool kill_plan_may_kill(const struct in_flight *f, const struct kill_set *set,
			const struct census_process *process);
/* It may not: so the victim is not killed either.  Only the first one is noted. */
void kill_plan_spare(struct decision *d, const struct census_process *process);

/*
 * Of kill-plan-family.c: the relatives that share most of the victim's memory are opened with it;
 * and f->decision.memory becomes what all of them free.  If one of them cannot be killed, none is,
 * as it keeps what they have in common: the victim alone, if that is worth a kill, else
 * REPORT_SPARED or REPORT_CANNOT_OPEN.
 */
enum report_event kill_plan_gather_family(struct in_flight *f, const struct kill_set *set);

/* For kill_signal(); points into m. */
struct kill_target kill_plan_target(struct in_flight *f);

/* Have all of them exited? */
bool kill_plan_is_gone(struct in_flight *f);

/* What the victim and those killed with it hold now; UINT64_MAX where that cannot be known. */
uint64_t kill_plan_footprint(const struct in_flight *f);
/* The same of one process. */
uint64_t kill_plan_footprint_of(const struct in_flight *f, pid_t pid, uint64_t start_ticks);
