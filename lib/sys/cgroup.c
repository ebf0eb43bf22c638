/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cgroup: membership of processes, and cgroups by path, below the directory fds of the mounts. */
#include "lib/sys/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <libcgroup.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/errors.h"
#include "lib/base/io.h"
#include "lib/base/slice.h"
#include "lib/sys/proc.h"

/* A v1 machine has some twelve lines, and each may be as long as a path. */
#define MEMBERSHIP_SIZE (4 * CGROUP_PATH_MAX)

const char *cgroup_layout_to_string(enum cgroup_layout layout)
{
	static const char *const names[] = {
		[CGROUP_LAYOUT_NONE] = "none",
		[CGROUP_LAYOUT_V1] = "v1",
		[CGROUP_LAYOUT_HYBRID] = "hybrid",
		[CGROUP_LAYOUT_V2] = "v2",
	};

	return names[layout];
}

static bool list_has(struct slice list, const char *word)
{
	const char *p = list.text;

	while (p < list.text + list.length)
		if (slice_is(next_slice(&p, ",:"), word))
			return true;
	return false;
}

/*
 * "ID:CONTROLLERS:PATH", v2 being "0::PATH".  The kernel admits no newline in a cgroup's name,
 * but it does admit colons.
 */
int cgroup_parse_membership(const char *text, const char *controller, char *buf, size_t size)
{
	for (const char *p = text; *p != '\0';) {
		struct slice line = next_slice(&p, "\n"), id, controllers, path;
		const char *q = line.text, *end = line.text + line.length;

		id = next_slice(&q, ":\n");
		controllers = next_slice(&q, ":\n");
		if (*end != '\n' || q >= end || *q != '/')
			return -EBADMSG;
		path = (struct slice){ q, (size_t)(end - q) };
		if (controller ? !list_has(controllers, controller)
			       : !slice_is(id, "0") || controllers.length > 0)
			continue;

		if (path.length >= size)
			return -ENOBUFS;
		memcpy(buf, path.text, path.length);
		buf[path.length] = '\0';
		return 0;
	}
	return -ENOENT;
}

static int put_root(char *buf, size_t size)
{
	if (size < sizeof("/"))
		return -ENOBUFS;
	memcpy(buf, "/", sizeof("/"));
	return 0;
}

/*
 * " (deleted)" follows the path of a cgroup that was removed, in which there are at most processes
 * that are exiting; but any user can choose a name with this ending.  So it is cut off only where
 * there is no such cgroup.
 */
static void cut_deleted(int mount_fd, char *path)
{
	static const char deleted[] = " (deleted)";
	size_t length = strlen(path), n_deleted = sizeof(deleted) - 1;
	_cleanup_close_ int fd = -EBADF;

	if (length <= n_deleted || strcmp(path + length - n_deleted, deleted) != 0)
		return;
	fd = cgroup_open(mount_fd, path);
	if (fd < 0 && error_classify(fd) == ERROR_GONE)
		path[length - n_deleted] = '\0';
}

static int read_membership(int mount_fd, int proc_fd, pid_t pid, const char *controller, char *buf,
			   size_t size)
{
	char text[MEMBERSHIP_SIZE], path[32];
	ssize_t n;
	int r;

	(void)snprintf(path, sizeof(path), "%d/cgroup", pid);
	n = io_read_record_at(proc_fd, path, text, sizeof(text));
	if (n < 0)
		return errno_is_gone((int)n) ? PROC_GONE : (int)n;

	r = cgroup_parse_membership(text, controller, buf, size);
	if (r == 0)
		cut_deleted(mount_fd, buf);
	/* Unmounted since, or mounted after the process was started: it is in none but the root. */
	return r == -ENOENT ? put_root(buf, size) : r;
}

/* On v1, "/" is also shown for an exiting task (proc_cgroup_show() in kernel/cgroup/cgroup.c): such
 * as an exited leader whose threads are still alive in their cgroup. */
static int read_v1_membership(int mount_fd, int proc_fd, pid_t pid, char *buf, size_t size)
{
	struct proc_stat stat;
	pid_t tid;
	int r;

	r = read_membership(mount_fd, proc_fd, pid, "freezer", buf, size);
	if (r == 0 && strcmp(buf, "/") == 0 && proc_read_stat(proc_fd, pid, &stat) == 0 &&
	    stat.state == 'Z' && stat.n_threads > 1 &&
	    proc_find_live_thread(proc_fd, pid, &tid) == 0)
		r = read_membership(mount_fd, proc_fd, tid, "freezer", buf, size);
	return r;
}

int cgroup_of_process(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *buf, size_t size)
{
	if (fs->v2_fd >= 0)
		return read_membership(fs->v2_fd, proc_fd, pid, NULL, buf, size);
	return cgroup_of_process_v1_freezer(fs, proc_fd, pid, buf, size);
}

int cgroup_of_process_v1_freezer(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *buf,
				 size_t size)
{
	if (fs->v1_freezer_fd >= 0)
		return read_v1_membership(fs->v1_freezer_fd, proc_fd, pid, buf, size);
	return put_root(buf, size);
}

static bool has_dot_dot(const char *path)
{
	while (*path != '\0')
		if (slice_is(next_slice(&path, "/"), ".."))
			return true;
	return false;
}

int cgroup_open(int mount_fd, const char *path)
{
	int fd;

	/* A process in a cgroup outside of our cgroup namespace shows as "/../x". */
	if (*path != '/' || has_dot_dot(path))
		return -EINVAL;

	path += strspn(path, "/");
	fd = openat(mount_fd, *path == '\0' ? "." : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int cgroup_find(const struct cgroup_fs *fs, const char *path)
{
	int mount_fd = fs->v2_fd >= 0 ? fs->v2_fd : fs->v1_freezer_fd;
	_cleanup_close_ int fd = -EBADF;

	if (strcmp(path, "/") == 0)
		return 0;
	fd = mount_fd < 0 ? -ENOENT : cgroup_open(mount_fd, path);
	return fd < 0 ? fd : 0;
}

bool cgroup_path_is_below(const char *path, const char *ancestor)
{
	size_t length = strlen(ancestor);

	if (length == 0)
		return false;
	while (length > 0 && ancestor[length - 1] == '/')
		length--;
	return strncmp(path, ancestor, length) == 0 &&
	       (path[length] == '/' || (path[length] == '\0' && length > 0));
}

bool cgroup_path_matches(const char *path, const char *pattern)
{
	if (!strpbrk(pattern, "*?["))
		return cgroup_path_is_below(path, pattern);
	/* Else "*" would match the nothing in front of the first '/'. */
	if (*pattern != '/')
		return false;
	return fnmatch(pattern, path, FNM_PATHNAME | FNM_NOESCAPE | FNM_LEADING_DIR) == 0;
}
