/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sample: what is read of the machine in each tick, and when the next sample is due. */
#pragma once

#include <stdbool.h>

#include "lib/base/util.h"

struct sampler;

/* Watch is left when its reasons are so long over; a census costs more than a second sample. */
#define WATCH_HOLD_USEC (10 * USEC_PER_SEC)
/* While stuck, a victim is searched for again so soon where memory keeps falling. */
#define STUCK_SOON_USEC (100 * USEC_PER_MSEC)

/* 0; 1: the levels alone were read, as nothing has moved since the last full sample, and nothing
 * else is to be done; -errno: memory could not be read.  Reads nothing in a turn that only
 * continues a slice.  is_recording: what a kill freed is still to be recorded. */
int sample_take(struct sampler *s, bool is_recording, usec_t now);

/* Until the next sample, by memory alone. */
usec_t sample_interval(const struct sampler *s);
