/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * boot: the id of this boot.  What is kept over a restart and holds only for one boot (times of the
 * monotonic clock, pids, inodes of cgroups) is kept with its id.
 */
#pragma once

#include <systemd/sd-id128.h>

/* As journalctl --list-boots has it.  0, or -errno. */
static inline int boot_read_id(char ret[static SD_ID128_STRING_MAX])
{
	sd_id128_t id;
	int r = sd_id128_get_boot(&id);

	if (r >= 0)
		sd_id128_to_string(id, ret);
	return r < 0 ? r : 0;
}
