/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* regime: the states, as the bus has them. */
#include "daemon/regime.h"

const char *manager_state_to_string(enum manager_state state)
{
	static const char *const strings[] = {
		[MANAGER_CALM] = "calm",
		[MANAGER_WATCH] = "watch",
		[MANAGER_STUCK] = "stuck",
		[MANAGER_KILLING] = "killing",
	};

	return strings[state];
}
