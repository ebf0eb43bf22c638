/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch: keeps the census fresh while memory is low: listings, new processes, rounds, and the
 * shares of the largest few.  In slices: no turn of the loop takes long for it.
 */
#pragma once

#include "lib/util.h"

struct manager;

/* One turn of it; m->reading is sampled anew after it.  near: a policy is about to kill.  0 or
 * -errno. */
int watch_keep(struct manager *m, usec_t now, bool near);

/* Is a listing or a round to be gone on with at once? */
bool watch_is_busy(const struct manager *m);

/* Is the first listing since calm still under way, so that a choice has to wait for it? */
bool watch_is_incomplete(const struct manager *m, usec_t now);

/* Calm again. */
void watch_rest(struct manager *m);
