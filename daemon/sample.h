/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sample: what is read of the machine in each tick, and when the next sample is due. */
#pragma once

#include "lib/base/util.h"

struct manager;

/* Watch is left when its reasons are so long over; a census costs more than a second sample. */
#define WATCH_HOLD_USEC (10 * USEC_PER_SEC)

/* 0; 1: the levels alone were read, as nothing has moved since the last full sample, and nothing
 * else is to be done; -errno: memory could not be read.  Reads nothing in a turn that only
 * continues a slice. */
int sample_take(struct manager *manager, usec_t now);

/* Until the next sample, by memory alone. */
usec_t sample_interval(const struct manager *manager);
