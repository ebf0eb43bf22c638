/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* policy-fixture: readings, stalls and reclaim as a policy is given them. */
#pragma once

#include <stdint.h>

#include "lib/config/policy.h"

#define TOTAL (10 * GIB)
#define SWAP  (4 * GIB)

static inline struct memory_reading reading_of(uint64_t available, uint64_t swap_total,
					       uint64_t swap_free)
{
	return (struct memory_reading){
		.total = TOTAL,
		.available = available,
		.swap_total = swap_total,
		.swap_free = swap_free,
	};
}

/* A history of usec until now, stalled by these shares all along. */
static inline void stall(struct psi_history *history, usec_t now, usec_t usec,
			 unsigned some_percent, unsigned full_percent)
{
	struct psi_reading reading = {};

	*history = (struct psi_history){};
	for (usec_t at = now - usec; at <= now; at += PSI_STEP_USEC) {
		psi_history_add(history, at, &reading);
		reading.some.total += PSI_STEP_USEC * some_percent / 100;
		reading.full.total += PSI_STEP_USEC * full_percent / 100;
	}
}

/* For 10 s: each 250 ms so many pages reclaimed, of which so many percent are refaulted. */
static inline void reclaim(struct reclaim_history *history, usec_t until, unsigned pages,
			   unsigned percent)
{
	struct vmstat_counters c = { .allocated = 1 };

	*history = (struct reclaim_history){ 0 };
	for (usec_t age = 10 * USEC_PER_SEC; age <= 10 * USEC_PER_SEC; age -= RECLAIM_STEP_USEC) {
		c.scanned += 2 * (uint64_t)pages;
		c.stolen += pages;
		c.refaulted_anon += (uint64_t)pages * percent / 100;
		reclaim_history_add(history, until - age, &c, TOTAL / 100);
	}
}
