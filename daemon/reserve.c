/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reserve: see the header. */
#include "daemon/reserve.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/util.h"

/* 256 are kept of processes, 80 of a victim and those with it; the rest is for what nobody thought
 * of. */
#define LIMIT_SENSIBLE 4096

void reserve_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= LIMIT_SENSIBLE)
		return;
	limit.rlim_cur = min_u64(limit.rlim_max, LIMIT_SENSIBLE);
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

void reserve_fill(struct reserve *reserve, int proc_fd)
{
	/* Each a file of its own: copies of one count as one for the machine. */
	while (reserve->n < RESERVE_MAX) {
		int fd = openat(proc_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			return;
		reserve->fds[reserve->n++] = fd;
	}
}

void reserve_release(struct reserve *reserve)
{
	while (reserve->n > 0)
		close(reserve->fds[--reserve->n]);
}
