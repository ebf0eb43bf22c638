/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* regime: how much the daemon does: set by the tick, after each sample. */
#pragma once

#include "lib/base/util.h"

enum manager_state {
	MANAGER_CALM,	 /* plenty of memory: no process is read */
	MANAGER_WATCH,	 /* the census is kept fresh */
	MANAGER_STUCK,	 /* a policy that kills holds, and no process is worth killing */
	MANAGER_KILLING, /* a victim was signalled: no other until that is over */
};
const char *manager_state_to_string(enum manager_state state);

struct regime {
	enum manager_state state;
	usec_t watch_until; /* watch is not left before */
};
