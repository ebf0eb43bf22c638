/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* proc-virtual: compares the file system of a file with that of /proc, or looks in
 * self/mountinfo. */
#include "lib/sys/proc-virtual.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"

static bool is_on_procfs(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* Does the mount point, a word, end in "/proc/NAME"? */
static bool is_point_of(const char *point, const char *name)
{
	static const char parent[] = "/proc/";
	size_t length = strcspn(point, " \n"), n_name = strlen(name), n_parent = sizeof(parent) - 1;

	return length >= n_parent + n_name && strncmp(point + length - n_name, name, n_name) == 0 &&
	       strncmp(point + length - n_name - n_parent, parent, n_parent) == 0;
}

/*
 * 36 35 0:61 /proc/meminfo /proc/meminfo rw,nosuid - fuse.lxcfs lxcfs rw
 *
 * The fifth word is the mount point; after the dash is the type (proc_pid_mountinfo(5)).
 */
static bool is_mount_over(const char *line, const char *name)
{
	const char *point = line, *type;

	for (unsigned i = 0; i < 4; i++) {
		point += strcspn(point, " \n");
		point += *point == ' ';
	}
	if (!is_point_of(point, name))
		return false;
	type = strstr(point, " - ");
	return type && strncmp(type + 3, "proc ", 5) != 0;
}

static bool is_in_mountinfo(int proc_fd, const char *name)
{
	char text[16384], *line, *rest = NULL;
	ssize_t n;

	n = io_read_at(proc_fd, "self/mountinfo", text, sizeof(text));
	if (n < 0 && n != -ENOBUFS) /* of a longer one the beginning has to do */
		return false;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (is_mount_over(line, name))
			return true;
	return false;
}

bool proc_is_virtualised(int proc_fd, const char *name)
{
	_cleanup_close_ int fd = -EBADF;

	if (!is_on_procfs(proc_fd))
		return is_in_mountinfo(proc_fd, name);
	fd = openat(proc_fd, name, O_PATH | O_CLOEXEC);
	return fd >= 0 && !is_on_procfs(fd);
}
