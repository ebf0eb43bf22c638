/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freezer: see freezer.h.
 *
 * One walk from the mount down to the process's cgroup, a component at a time, finds every level
 * that freezes by its own flag; only when the cgroup itself has been reached are they thawed.  So
 * a cgroup that has vanished (with its processes) costs nobody above it the freeze, and "frozen 1"
 * is read before the thaw that ends it.  Called from kill and, to freeze again, from the daemon.
 */
#include "lib/freezer.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"

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

void freezer_thawed_init(struct freezer_thawed *thawed)
{
	*thawed = (struct freezer_thawed){ .events_fd = -EBADF };
}

/* Closes all levels from the n-th on. */
static void forget_levels(struct freezer_thawed *thawed, unsigned n)
{
	while (thawed->n_levels > n)
		close(thawed->levels[--thawed->n_levels].dir_fd);
}

void freezer_thawed_done(struct freezer_thawed *thawed)
{
	forget_levels(thawed, 0);
	closep(&thawed->events_fd);
	freezer_thawed_init(thawed);
}

static void note_error(struct freezer_thawed *thawed, int r)
{
	if (thawed->error == 0)
		thawed->error = r;
}

/* Does this level freeze by its own flag?  1, 0 (also the root, which has none, and a vanished
 * one), or -errno. */
static int level_is_frozen(int dir_fd, bool v1)
{
	char text[16];
	ssize_t n = io_read_at(dir_fd, files[v1].flag, text, sizeof(text));

	if (n < 0)
		return errno_is_gone((int)n) ? 0 : (int)n;
	return text[0] == '1';
}

static int level_write(const struct freezer_level *level, const char *text)
{
	return io_write_at(level->dir_fd, files[level->v1].state, text);
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

/* Where the way to path begins: an fd of the caller's own, or -errno. */
static int open_mount(int mount_fd, const char *path)
{
	int fd = path[0] == '/' ? openat(mount_fd, ".", DIRECTORY_FLAGS) : -EINVAL;

	return fd == -1 ? -errno : fd;
}

/* Moves *dir_fd and *path one component down: 1, 0 at the end of the path, or -errno. */
static int descend(int *dir_fd, const char **path)
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

/* Remembers the level at dir_fd to be thawed: 0 or -errno. */
static int remember_level(struct freezer_thawed *thawed, int dir_fd, bool v1)
{
	int fd;

	if (thawed->n_levels == FREEZER_MAX_LEVELS)
		return -EOVERFLOW;
	fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	thawed->levels[thawed->n_levels++] = (struct freezer_level){ .dir_fd = fd, .v1 = v1 };
	return 0;
}

/*
 * Remembers every frozen level from the mount to the cgroup, whose directory goes to *ret_own_fd.
 * A level that cannot be remembered is thawed here and now: the memory matters more than that it
 * cannot be frozen again.  These are counted in *n_thawed.
 */
static int find_frozen(int mount_fd, const char *path, bool v1, struct freezer_thawed *thawed,
		       int *n_thawed, int *ret_own_fd)
{
	_cleanup_close_ int fd = -EBADF;
	int r;

	fd = open_mount(mount_fd, path);
	if (fd < 0)
		return fd;
	do {
		r = level_is_frozen(fd, v1);
		if (r > 0) {
			r = remember_level(thawed, fd, v1);
			if (r < 0)
				*n_thawed += level_write(&(struct freezer_level){ fd, v1 },
							 files[v1].thawed) == 0;
		}
		if (r < 0)
			note_error(thawed, r);
		r = descend(&fd, &path);
	} while (r > 0);

	if (r == 0)
		*ret_own_fd = take_fd(&fd);
	return r;
}

/* Keeps cgroup.events open if it says frozen now: having been read, it polls POLLPRI when that
 * changes. */
static void watch_events(int own_fd, struct freezer_thawed *thawed)
{
	_cleanup_close_ int fd = openat(own_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	char text[256];

	if (thawed->events_fd < 0 && fd >= 0 && io_read_fd(fd, text, sizeof(text)) > 0 &&
	    events_has(text, "frozen "))
		thawed->events_fd = take_fd(&fd);
}

/*
 * Thaws all remembered levels that are frozen, those of an earlier call too: somebody may have
 * frozen them again.  Of the new ones, from n_before on, only those really thawed are kept; a
 * level that was known already has been thawed by then, and so is not kept twice.
 */
static int thaw_levels(struct freezer_thawed *thawed, bool v1, unsigned n_before)
{
	unsigned n_kept = 0;
	int n_thawed = 0;

	for (unsigned i = 0; i < thawed->n_levels; i++) {
		const struct freezer_level level = thawed->levels[i];
		bool frozen = level.v1 == v1 && level_is_frozen(level.dir_fd, v1) > 0;
		int r = frozen ? level_write(&level, files[v1].thawed) : 0;

		if (r < 0 && !errno_is_gone(r))
			note_error(thawed, r);
		if (frozen && r == 0)
			n_thawed++;
		else if (i >= n_before) {
			close(level.dir_fd);
			continue;
		}
		thawed->levels[n_kept++] = level;
	}
	thawed->n_levels = n_kept;
	return n_thawed;
}

/* One hierarchy: the number of levels thawed, or -errno if none was and the walk was cut short. */
static int thaw_hierarchy(int mount_fd, const char *path, bool v1, struct freezer_thawed *thawed)
{
	_cleanup_close_ int own_fd = -EBADF;
	unsigned n_before = thawed->n_levels;
	int n_thawed = 0, r;

	if (mount_fd < 0 || !path)
		return 0;
	r = find_frozen(mount_fd, path, v1, thawed, &n_thawed, &own_fd);
	if (errno_is_gone(r)) {
		forget_levels(thawed, n_before);
		return n_thawed;
	}
	if (r < 0)
		note_error(thawed, r);
	else if (!v1)
		watch_events(own_fd, thawed);

	n_thawed += thaw_levels(thawed, v1, n_before);
	return n_thawed > 0 ? n_thawed : r;
}

int freezer_thaw(const struct cgroup_fs *fs, const char *v2_path, const char *v1_path,
		 struct freezer_thawed *thawed)
{
	int v2 = thaw_hierarchy(fs->v2_fd, v2_path, false, thawed);
	int v1 = thaw_hierarchy(fs->v1_freezer_fd, v1_path, true, thawed);

	if (v2 <= 0 && v1 <= 0)
		return v2 < 0 ? v2 : v1;
	return (v2 > 0 ? v2 : 0) + (v1 > 0 ? v1 : 0);
}

/* What the cgroup itself says, whoever above it was frozen. */
static int own_is_frozen(int own_fd, bool v1)
{
	char text[256];
	ssize_t n = io_read_at(own_fd, v1 ? "freezer.state" : "cgroup.events", text, sizeof(text));

	if (n < 0)
		return errno_is_gone((int)n) ? 0 : (int)n;
	return v1 ? strncmp(text, "THAWED", 6) != 0 : events_has(text, "frozen ");
}

/* Frozen by any level's flag (events say so only when the last task has stopped), or by what the
 * cgroup itself says (the flag may be above the mount, in a container). */
static int hierarchy_is_frozen(int mount_fd, const char *path, bool v1)
{
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (mount_fd < 0 || !path)
		return 0;
	fd = open_mount(mount_fd, path);
	if (fd < 0)
		return fd;
	do {
		r = level_is_frozen(fd, v1);
		if (r != 0)
			return r;
		r = descend(&fd, &path);
	} while (r > 0);
	if (r < 0)
		return errno_is_gone(r) ? 0 : r;
	return own_is_frozen(fd, v1);
}

int freezer_is_frozen(const struct cgroup_fs *fs, const char *v2_path, const char *v1_path)
{
	int v2 = hierarchy_is_frozen(fs->v2_fd, v2_path, false);
	int v1 = hierarchy_is_frozen(fs->v1_freezer_fd, v1_path, true);

	if (v2 > 0 || v1 > 0)
		return 1;
	return v2 < 0 ? v2 : v1;
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

static int level_is_populated(const struct freezer_level *level)
{
	char text[256];
	ssize_t n;

	if (level->v1)
		return has_processes(level->dir_fd, 0);
	n = io_read_at(level->dir_fd, "cgroup.events", text, sizeof(text));
	return n < 0 ? (int)n : events_has(text, "populated ");
}

int freezer_refreeze(struct freezer_thawed *thawed)
{
	int n_frozen = 0, error = 0;

	for (unsigned i = thawed->n_levels; i-- > 0;) {
		const struct freezer_level *level = &thawed->levels[i];
		int r = level_is_frozen(level->dir_fd, level->v1);

		if (r > 0)
			continue;
		if (r == 0)
			r = level_is_populated(level);
		if (r > 0) {
			r = level_write(level, files[level->v1].frozen);
			n_frozen += r == 0;
		}
		if (r < 0 && !errno_is_gone(r) && error == 0)
			error = r;
	}
	return error < 0 ? error : n_frozen;
}
