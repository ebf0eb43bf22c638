/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* freezer-level: walks down the levels of a cgroup path, and reads each level's flag, state and
 * members. */
#include "lib/kill/freezer-level.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/kill/freezer.h"

#define DIRECTORY_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* A level's own flag, and how to change it; by freezer_level.v1. */
static const struct {
	const char *flag;
	const char *state;
	const char *frozen;
	const char *thawed;
} files[] = {
	[false] = { "cgroup.freeze", "cgroup.freeze", "1", "0" },
	[true] = { "freezer.self_freezing", "freezer.state", "FROZEN", "THAWED" },
};

int freezer_level_open_mount(int mount_fd, const char *path)
{
	int fd = path[0] == '/' ? openat(mount_fd, ".", DIRECTORY_FLAGS) : -EINVAL;

	return fd == -1 ? -errno : fd;
}

int freezer_level_descend(int *dir_fd, const char **path)
{
	const char *start = *path + strspn(*path, "/");
	size_t length = strcspn(start, "/");
	char name[NAME_MAX + 1];
	int fd;

	if (length == 0)
		return 0;
	if (length >= sizeof(name))
		return -ENAMETOOLONG;
	memcpy(name, start, length);
	name[length] = '\0';
	if (strcmp(name, "..") == 0) /* outside of our cgroup namespace, cgroup_namespaces(7) */
		return -EINVAL;

	fd = openat(*dir_fd, name, DIRECTORY_FLAGS);
	if (fd < 0)
		return -errno;
	close(*dir_fd);
	*dir_fd = fd;
	*path = start + length;
	return 1;
}

int freezer_level_has_flag(int dir_fd, bool v1)
{
	char text[16];
	ssize_t n = io_read_at(dir_fd, files[v1].flag, text, sizeof(text));

	if (n < 0)
		return errno_is_gone((int)n) ? 0 : (int)n;
	return text[0] == '1';
}

int freezer_level_write(int dir_fd, bool v1, bool freeze)
{
	return io_write_at(dir_fd, files[v1].state, freeze ? files[v1].frozen : files[v1].thawed);
}

/* Is there a line "key 1" in the text of cgroup.events?  key is with its space. */
static bool events_has(const char *text, const char *key)
{
	size_t length = strlen(key);

	for (; text; text = strchr(text, '\n')) {
		text += *text == '\n';
		if (strncmp(text, key, length) == 0)
			return text[length] == '1';
	}
	return false;
}

bool freezer_level_events_report_frozen(const char *text)
{
	return events_has(text, "frozen ");
}

int freezer_level_reports_frozen(int dir_fd, bool v1)
{
	char text[256];
	ssize_t n = io_read_at(dir_fd, v1 ? "freezer.state" : "cgroup.events", text, sizeof(text));

	if (n < 0)
		return errno_is_gone((int)n) ? 0 : (int)n;
	return v1 ? strncmp(text, "THAWED", 6) != 0 : freezer_level_events_report_frozen(text);
}

static bool is_dot_or_dot_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/*
 * v1 has no "populated": looks for a first pid here and below.  Deeper than the buffers are meant
 * for, the answer is yes: what was frozen is then frozen again, empty or not.
 */
static int has_processes(int dir_fd, unsigned depth)
{
	_Alignas(struct dirent64) char buf[1024];
	_cleanup_close_ int list_fd = -EBADF;
	char pid[2];
	ssize_t n;

	n = io_read_at(dir_fd, "cgroup.procs", pid, sizeof(pid));
	if (n != 0)
		return n > 0 || n == -ENOBUFS ? 1 : (int)n;
	if (depth == FREEZER_MAX_LEVELS)
		return 1;

	list_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (list_fd < 0)
		return -errno;
	while ((n = getdents64(list_fd, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n; p += ((struct dirent64 *)p)->d_reclen) {
			const struct dirent64 *entry = (struct dirent64 *)p;
			_cleanup_close_ int child_fd = -EBADF;
			int r;

			if (entry->d_type != DT_DIR || is_dot_or_dot_dot(entry->d_name))
				continue;
			child_fd = openat(dir_fd, entry->d_name, DIRECTORY_FLAGS);
			r = child_fd < 0 ? -errno : has_processes(child_fd, depth + 1);
			if (r != 0 && !errno_is_gone(r))
				return r;
		}
	}
	return n < 0 ? -errno : 0;
}

int freezer_level_is_populated(const struct freezer_level *level)
{
	char text[256];
	ssize_t n;

	if (level->v1)
		return has_processes(level->dir_fd, 0);
	n = io_read_at(level->dir_fd, "cgroup.events", text, sizeof(text));
	return n < 0 ? (int)n : events_has(text, "populated ");
}
