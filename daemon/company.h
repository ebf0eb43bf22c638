/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * company: who goes with the victim that was chosen: those that share its memory.  Found between
 * the choice and the signal, so nothing is allocated here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/util.h"

struct manager;

/*
 * For the victim of m->decision, which is open: finds and opens the others (m->victim.others).
 * false: one of them may not be ended (m->decision.spared_pid); then the victim is not ended
 * either, for its memory would not come back.
 */
bool company_gather(struct manager *m);

/* What the victim and its company hold now; UINT64_MAX where that cannot be known. */
uint64_t company_footprint(const struct manager *m);
