/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reserve: opens the reserved descriptors, closes them, and raises the limit. */
#include "daemon/base/reserve.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/base/util.h"

/* 256 are kept of processes, and 160 are enough for all else: 80 for a victim and those with it. */
#define LIMIT_SENSIBLE 4096
#define KEPT_MAX       256
#define KEPT_MIN       16
#define OTHERS	       160

void reserve_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= LIMIT_SENSIBLE)
		return;
	limit.rlim_cur = min_u64(limit.rlim_max, LIMIT_SENSIBLE);
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

unsigned reserve_files_to_keep(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return KEPT_MIN;
	return (unsigned)min_u64(max_u64(sub_u64(limit.rlim_cur, OTHERS), KEPT_MIN), KEPT_MAX);
}

void reserve_fill(struct reserve *reserve, int proc_fd)
{
	struct rlimit limit;
	uint64_t most;

	if (reserve->n == RESERVE_MAX || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	most = min_u64(RESERVE_MAX, limit.rlim_cur / 4);
	/* Each a file of its own: copies of one count as one for the machine. */
	while (reserve->n < most) {
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
