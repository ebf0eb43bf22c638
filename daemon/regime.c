/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* regime: the states, as the bus has them. */
#include "daemon/regime.h"

const char *regime_to_string(enum regime_state state)
{
	static const char *const strings[] = {
		[REGIME_CALM] = "calm",
		[REGIME_WATCH] = "watch",
		[REGIME_STUCK] = "stuck",
		[REGIME_KILLING] = "killing",
	};

	return strings[state];
}
