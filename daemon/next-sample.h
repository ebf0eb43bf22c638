/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* next-sample: how long the loop may sleep. */
#pragma once

#include <stdbool.h>

#include "daemon/report-event.h"
#include "lib/base/util.h"

struct tick;

/* After a tick at now with this event; goes_on: its choice is not complete; cpu_time: what it has
 * used. */
usec_t next_sample(struct tick *t, enum report_event event, bool goes_on, usec_t cpu_time,
		   usec_t now);
