/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * event: what happened, for all that report it: the record that the history keeps, and what the
 * journal says beyond that.  Its fields are rows of history_fields (history.h).
 */
#pragma once

#include "lib/history/history.h"

#define EVENT_PATH_MAX 4096

struct event {
	struct history_entry entry; /* first: the rows of both have one table */

	uint64_t start_ticks;		    /* with the pid: which process the victim is */
	char victim_cgroup[EVENT_PATH_MAX]; /* whole */
	char target_cgroup[EVENT_PATH_MAX]; /* what is killed as a whole; or "" */
	uint32_t processes;		    /* killed */
};

/* Nothing is known. */
void event_init(struct event *event);

/* A field's value for the journal: in buf, or where it is.  A bool is "yes" or "no". */
#define EVENT_TEXT_SIZE 32
const char *event_text(const struct history_field *field, const struct event *event,
		       char buf[static EVENT_TEXT_SIZE]);
