/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* count-fds: how many file descriptors are open, and the one that counts them. */
#pragma once

#include <dirent.h>

#include "lib/base/cleanup.h"

static inline unsigned count_fds(void)
{
	_cleanup_dir_ DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	return n;
}
