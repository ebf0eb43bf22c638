/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * turns: how late the daemon itself is: by how much its samples of memory begin after their time,
 * and how long they take; see lib/base/latency.h.
 *
 * In an emergency the first one that is late is reported with what it was waiting for; all are
 * counted (the bus has them).  Costs three system calls a sample, in calm none.
 */
#pragma once

#include "lib/base/latency.h"

struct turns {
	struct latency delays;
	struct latency durations;
	int schedstat_fd;	       /* 0 or negative: none */
	struct latency_usage ended;    /* as of the end of the last tick, */
	struct latency_usage began_as; /* and as of the begin of this one */
	usec_t began;
	bool is_reported; /* since watch began */
};

/* What it reads is opened now: later there may be no files. */
void turns_open(struct turns *turns, int proc_fd);
void turns_close(struct turns *turns);

/* The timer came so late. */
void turns_note_delay(struct turns *turns, usec_t delay, bool is_calm);
/* A tick begins, and ends.  is_calm: before and after it. */
void turns_begin(struct turns *turns, usec_t now, bool is_calm);
void turns_end(struct turns *turns, usec_t now, bool is_calm);
