/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hidepid: finds mounts of proc with hidepid= in mountinfo. */
#include "lib/sys/hidepid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/cleanup.h"

/* "36 35 98:0 / /proc rw,noatime master:1 - proc proc rw,gid=27,hidepid=invisible".  The names of
 * mount points have no blank in them, but as \040. */
bool hidepid_is_set(const char *line)
{
	static const char option[] = "hidepid=";
	const char *p = strstr(line, " - proc ");

	if (!p)
		return false;
	p = strrchr(p, ' ') + 1; /* of the super block */
	while (p) {
		if (strncmp(p, option, sizeof(option) - 1) == 0) {
			p += sizeof(option) - 1;
			return *p != '0' && strncmp(p, "off", 3) != 0;
		}
		p = strchr(p, ',');
		p = p ? p + 1 : NULL;
	}
	return false;
}

int hidepid_find(int proc_fd)
{
	_cleanup_close_ int fd = openat(proc_fd, "self/mountinfo", O_RDONLY | O_CLOEXEC);
	_cleanup_fclose_ FILE *file = NULL;
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	int hides = 0;

	if (fd < 0)
		return -errno;
	file = fdopen(fd, "r");
	if (!file)
		return -errno;
	(void)take_fd(&fd);
	while (errno = 0, !hides && getline(&line, &size, file) >= 0)
		hides = hidepid_is_set(line);
	return hides ? 1 : -errno;
}
