/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* regime: how much the daemon does: set by the tick, after each sample. */
#pragma once

#include "lib/base/util.h"

enum regime_state {
	REGIME_CALM,	/* plenty of memory: no process is read */
	REGIME_WATCH,	/* the census is kept fresh */
	REGIME_STUCK,	/* a policy that kills holds, and no process is worth killing */
	REGIME_KILLING, /* a victim was signalled: no other until that is over */
};
const char *regime_to_string(enum regime_state state);

struct regime {
	enum regime_state state;
	usec_t watch_until; /* watch is not left before */
};
