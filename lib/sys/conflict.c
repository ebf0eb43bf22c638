/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conflict: checks the units' cgroups for processes. */
#include "lib/sys/conflict.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"

const char *const conflict_units[CONFLICT_MAX] = {
	"earlyoom.service",	  "systemd-oomd.service", "nohang.service",
	"nohang-desktop.service", "oomd.service",
};

/* A hierarchy of v1 without controllers, in which there is a system.slice. */
static int open_named(int proc_fd)
{
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *line = NULL;
	struct cgroup_mount mount;
	size_t size = 0;
	int fd;

	fd = openat(proc_fd, "self/mountinfo", O_RDONLY | O_CLOEXEC);
	f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f) {
		int r = -errno;

		closep(&fd);
		return r;
	}
	while (getline(&line, &size, f) >= 0) {
		if (cgroup_parse_mountinfo(line, &mount) != 1 || mount.is_v2 ||
		    mount.has_controllers)
			continue;
		fd = open(mount.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && faccessat(fd, "system.slice", F_OK, 0) == 0)
			return fd;
		closep(&fd);
	}
	return -ENOENT;
}

int conflict_open(int proc_fd, const struct cgroup_fs *cgroups)
{
	int fd;

	if (cgroups->v2_fd < 0)
		return open_named(proc_fd);
	fd = fcntl(cgroups->v2_fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

/* The cgroup of a stopped unit may still exist, without processes. */
static bool is_active(int units_fd, const char *unit)
{
	char path[128], text[256];
	ssize_t n;

	snprintf(path, sizeof(path), "system.slice/%s/cgroup.events", unit);
	if (io_read_at(units_fd, path, text, sizeof(text)) > 0)
		return strstr(text, "populated 1");
	snprintf(path, sizeof(path), "system.slice/%s/cgroup.procs", unit); /* v1 */
	n = io_read_at(units_fd, path, text, sizeof(text));
	return n > 0 || n == -ENOBUFS;
}

unsigned conflict_find(int units_fd)
{
	unsigned found = 0;

	for (unsigned i = 0; i < CONFLICT_MAX; i++)
		if (is_active(units_fd, conflict_units[i]))
			found |= 1U << i;
	return found;
}
