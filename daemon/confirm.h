/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* confirm: the last check of the chosen process, before the signal. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/report-event.h"
#include "lib/config/policy.h"

struct in_flight;

/*
 * Opens the victim of f->decision.  Is it still the process that was chosen, may it still
 * be killed, does the policy still hold?  The order matters: with the pidfd open and the start time
 * compared, what is read after that by pid is read of this process, until it exits.  Then opens
 * those that are killed with it (kill_plan_gather()).
 *
 * reading: of the sampler, which is sampled anew.  Allocates nothing.  REPORT_NOTHING: confirmed;
 * f->victim is open, and so it is otherwise, unless it could not be opened.
 */
enum report_event confirm_victim(struct in_flight *f, const struct policy *policy,
				 const struct policy_reading *reading);

/*
 * May this process be killed with the victim, or the victim itself, as it is now, in the cgroup
 * `within` or below?  Rules of the configuration may allocate (regexec(3)), so they are matched
 * only if it is not as the census has it.  One that has vanished may.
 */
bool confirm_may_kill(const struct in_flight *f, pid_t pid, const char *within);
