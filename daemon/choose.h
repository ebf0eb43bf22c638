/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * choose: from a policy that demands a kill to a victim that is confirmed and open.  Allocates
 * nothing, and waits for nothing.
 */
#pragma once

#include <stdbool.h>

#include "daemon/report-event.h"
#include "lib/base/util.h"
#include "lib/config/policy.h"

struct tick;

struct choosing {
	enum report_event event; /* what came of it */
	bool goes_on;		 /* it is not complete yet: to be called again at once */
};

/* None is in progress.  True: the victim is open, to be signalled.  Else the state
 * is what is next.
 */
bool choose_victim(struct tick *t, const struct policy *policy, usec_t now, struct choosing *ret);

/* The chosen process, or one that has to be killed with it, cannot be killed: it is skipped for
 * some time. */
bool choose_has_failed(enum report_event event);
