/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tick: one sample of the machine, and what follows from it. */
#pragma once

#include "lib/base/util.h"

struct manager;

/* Returns how long until the next one is due. */
usec_t tick(struct manager *m, usec_t now);
