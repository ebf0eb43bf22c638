/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * turns: how late the daemon itself is: by how much its samples of memory begin after their time,
 * and how long they take; see lib/base/latency.h.
 *
 * In an emergency the first one that is late is reported with what it was waiting for; all are
 * counted (the bus has them).  What the thread has used is read TURNS_USAGE_USEC apart at least, so
 * a cause may lie as long before; in calm it is not read.
 */
#pragma once

#include "lib/base/latency.h"

#define TURNS_USAGE_USEC (250 * USEC_PER_MSEC)

struct turns {
	struct latency delays;
	struct latency durations;
	int schedstat_fd; /* 0 or negative: none */
	struct latency_usage usage;
	usec_t usage_at; /* 0: it is not known */
	usec_t began;
	bool is_reported; /* since watch began */
};

/* What it reads is opened now: later there may be no files. */
void turns_open(struct turns *turns, int proc_fd);
void turns_close(struct turns *turns);

/* The timer came so late. */
void turns_note_delay(struct turns *turns, usec_t delay, bool is_calm);
/* A tick begins, and ends.  is_calm: after it. */
void turns_begin(struct turns *turns, usec_t now);
void turns_end(struct turns *turns, usec_t now, bool is_calm);
