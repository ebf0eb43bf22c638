/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freezer: finds, thaws, remembers and freezes again the levels of a cgroup path; see freezer.h.
 *
 * One walk from the mount down to the process's cgroup, a component at a time, finds every level
 * that freezes by its own flag; only when the cgroup itself has been reached are they thawed.  So a
 * cgroup that has vanished (with its processes) makes no level above it lose its freeze, and
 * "frozen 1" is read before the thaw that clears it.  Called from kill and, to freeze again, from
 * the daemon.
 */
#include "lib/kill/freezer.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/kill/freezer-level.h"
#include "lib/kill/ledger.h"

void freezer_thawed_init(struct freezer_thawed *thawed)
{
	*thawed = (struct freezer_thawed){ .events_fd = -EBADF };
}

/* The level need not, or no longer, be frozen again. */
static void strike_level(struct freezer_thawed *thawed, struct freezer_level *level)
{
	if (thawed->order.ledger)
		ledger_strike(thawed->order.ledger, level->slot);
	level->slot = -1;
}

/* Forgets all levels from the n-th on. */
static void forget_levels(struct freezer_thawed *thawed, unsigned n)
{
	while (thawed->n_levels > n) {
		struct freezer_level *level = &thawed->levels[--thawed->n_levels];

		strike_level(thawed, level);
		close(level->dir_fd);
	}
}

void freezer_thawed_done(struct freezer_thawed *thawed)
{
	for (unsigned i = 0; i < thawed->n_levels; i++)
		close(thawed->levels[i].dir_fd);
	closep(&thawed->events_fd);
	freezer_thawed_init(thawed);
}

static void note_error(struct freezer_thawed *thawed, int r)
{
	if (thawed->error == 0)
		thawed->error = r;
}

/* Enters the level in the ledger, as path up to its length; that it cannot be is noted. */
static void enter_level(struct freezer_thawed *thawed, struct freezer_level *level,
			const char *path, size_t length)
{
	const struct freezer_order *order = &thawed->order;
	struct ledger_entry entry = {
		.pid = order->pid,
		.start_ticks = order->start_ticks,
		.v1 = level->v1,
		.moved = level->moved != 0,
	};
	struct stat st;

	level->slot = -1;
	if (!order->ledger || order->for_good)
		return;
	if (fstat(level->dir_fd, &st) == 0) {
		entry.cgroup_id = st.st_ino;
		level->slot = ledger_enter(order->ledger, &entry, length > 0 ? path : "/",
					   length > 0 ? length : 1);
	}
	if (level->slot < 0 && thawed->ledger_error == 0)
		thawed->ledger_error = level->slot;
}

/* Remembers the level before anything is done to it; its dir_fd still belongs to the caller: 0 or
 * -errno. */
static int remember_level(struct freezer_thawed *thawed, struct freezer_level level,
			  const char *path, size_t length)
{
	if (thawed->n_levels == FREEZER_MAX_LEVELS)
		return -EOVERFLOW;
	level.dir_fd = fcntl(level.dir_fd, F_DUPFD_CLOEXEC, 0);
	if (level.dir_fd < 0)
		return -errno;
	enter_level(thawed, &level, path, length);
	thawed->levels[thawed->n_levels++] = level;
	return 0;
}

/*
 * Remembers every frozen level from the mount to the cgroup, whose directory is returned in
 * *ret_own_fd.  A level that cannot be remembered is thawed here and now: the memory matters more
 * than that it cannot be frozen again.  These are counted in *n_thawed.
 */
static int find_frozen(int mount_fd, const char *path, bool v1, struct freezer_thawed *thawed,
		       int *n_thawed, int *ret_own_fd)
{
	_cleanup_close_ int fd = -EBADF;
	const char *start = path;
	int r;

	fd = freezer_level_open_mount(mount_fd, path);
	if (fd < 0)
		return fd;
	do {
		r = freezer_level_has_flag(fd, v1);
		if (r > 0) {
			struct freezer_level level = { .dir_fd = fd, .v1 = v1 };

			r = remember_level(thawed, level, start, (size_t)(path - start));
			if (r < 0)
				*n_thawed += freezer_level_write(level.dir_fd, v1, false) == 0;
		}
		if (r < 0)
			note_error(thawed, r);
		r = freezer_level_descend(&fd, &path);
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
	    freezer_level_events_report_frozen(text))
		thawed->events_fd = take_fd(&fd);
}

/*
 * Thaws all remembered levels that are frozen, those of an earlier call too: they may have been
 * frozen again.  Of the new ones, from n_before on, only those really thawed are kept; a level that
 * was known already has been thawed by then, and so is not kept twice.
 */
static int thaw_levels(struct freezer_thawed *thawed, bool v1, unsigned n_before)
{
	unsigned n_kept = 0;
	int n_thawed = 0;

	for (unsigned i = 0; i < thawed->n_levels; i++) {
		struct freezer_level level = thawed->levels[i];
		bool frozen = level.v1 == v1 && !level.moved &&
			      freezer_level_has_flag(level.dir_fd, v1) > 0;
		int r = frozen ? freezer_level_write(level.dir_fd, v1, false) : 0;

		if (r < 0 && !errno_is_gone(r))
			note_error(thawed, r);
		if (frozen && r == 0)
			n_thawed++;
		else if (i >= n_before) {
			strike_level(thawed, &level);
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

/*
 * Returns the innermost cgroup on the way down that is not frozen in *ret_place_fd, the process's
 * own one in *ret_own_fd: 1, 0 if that is not frozen (or has vanished), -EBUSY if there is no such
 * place, or another -errno.
 */
static int find_place(int mount_fd, const char *path, int *ret_place_fd, int *ret_own_fd)
{
	_cleanup_close_ int fd = -EBADF, place_fd = -EBADF;
	bool frozen = false;
	int r;

	fd = freezer_level_open_mount(mount_fd, path);
	if (fd < 0)
		return fd;
	do {
		r = freezer_level_reports_frozen(fd, true); /* what is above the mount counts too */
		if (r < 0)
			return r;
		frozen = r > 0;
		if (!frozen) {
			closep(&place_fd);
			place_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
			if (place_fd < 0)
				return -errno;
		}
		r = freezer_level_descend(&fd, &path);
	} while (r > 0);

	if (r < 0 || !frozen)
		return errno_is_gone(r) ? 0 : r;
	if (place_fd < 0)
		return -EBUSY;
	*ret_place_fd = take_fd(&place_fd);
	*ret_own_fd = take_fd(&fd);
	return 1;
}

static int write_pid(int dir_fd, pid_t pid)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%d", pid);
	return io_write_at(dir_fd, "cgroup.procs", text);
}

static bool has_moved(const struct freezer_thawed *thawed, pid_t pid)
{
	for (unsigned i = 0; i < thawed->n_levels; i++)
		if (thawed->levels[i].moved == pid)
			return true;
	return false;
}

/* Takes the victim alone out of its frozen v1 group: 1, 0 if it was not frozen, or -errno.  Its pid
 * cannot have been reused: a frozen process cannot exit, even if it was killed. */
static int take_out(int mount_fd, const char *path, struct freezer_thawed *thawed)
{
	_cleanup_close_ int place_fd = -EBADF, own_fd = -EBADF;
	unsigned n_before = thawed->n_levels;
	const pid_t pid = thawed->order.pid;
	struct freezer_level level = { .v1 = true, .moved = pid };
	int r;

	if (mount_fd < 0 || !path)
		return 0;
	r = find_place(mount_fd, path, &place_fd, &own_fd);
	if (r > 0) {
		level.dir_fd = own_fd;
		/* Only the first time: where it was at first is where it belongs. */
		r = has_moved(thawed, pid) ? 0 : remember_level(thawed, level, path, strlen(path));
		if (r < 0) /* see find_frozen() */
			note_error(thawed, r);
		r = write_pid(place_fd, pid);
		if (r == 0)
			return 1;
		forget_levels(thawed, n_before);
	}
	if (errno_is_gone(r))
		return 0;
	if (r < 0)
		note_error(thawed, r);
	return r;
}

int freezer_thaw(const struct cgroup_fs *fs, const char *v2_path, const char *v1_path,
		 struct freezer_thawed *thawed)
{
	int v2, v1;

	if (thawed->order.victim_only)
		return take_out(fs->v1_freezer_fd, v1_path, thawed);
	v2 = thaw_hierarchy(fs->v2_fd, v2_path, false, thawed);
	v1 = thaw_hierarchy(fs->v1_freezer_fd, v1_path, true, thawed);
	if (v2 <= 0 && v1 <= 0)
		return v2 < 0 ? v2 : v1;
	return (v2 > 0 ? v2 : 0) + (v1 > 0 ? v1 : 0);
}

/* Frozen by any level's flag (events say so only when the last task has stopped), or by what the
 * cgroup itself reports (the flag may be above the mount, in a container). */
static int hierarchy_is_frozen(int mount_fd, const char *path, bool v1)
{
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (mount_fd < 0 || !path)
		return 0;
	fd = freezer_level_open_mount(mount_fd, path);
	if (fd < 0)
		return fd;
	do {
		r = freezer_level_has_flag(fd, v1);
		if (r != 0)
			return r;
		r = freezer_level_descend(&fd, &path);
	} while (r > 0);
	if (r < 0)
		return errno_is_gone(r) ? 0 : r;
	return freezer_level_reports_frozen(fd, v1);
}

int freezer_is_frozen(const struct cgroup_fs *fs, const char *v2_path, const char *v1_path)
{
	int v2 = hierarchy_is_frozen(fs->v2_fd, v2_path, false);
	int v1 = hierarchy_is_frozen(fs->v1_freezer_fd, v1_path, true);

	if (v2 > 0 || v1 > 0)
		return 1;
	return v2 < 0 ? v2 : v1;
}

/* Freezes the level again: 1, 0 if that is not to be done, or -errno. */
static int refreeze_level(const struct freezer_level *level)
{
	int r = freezer_level_has_flag(level->dir_fd, level->v1);

	if (r != 0)
		return r > 0 ? 0 : r;
	r = freezer_level_is_populated(level);
	if (r <= 0)
		return r;
	r = freezer_level_write(level->dir_fd, level->v1, true);
	return r < 0 ? r : 1;
}

int freezer_refreeze(struct freezer_thawed *thawed)
{
	int n_frozen = 0, error = 0;

	for (unsigned i = thawed->n_levels; i-- > 0;) {
		struct freezer_level *level = &thawed->levels[i];
		int r = level->moved || thawed->order.for_good ? 0 : refreeze_level(level);

		strike_level(thawed, level);
		if (r > 0)
			n_frozen++;
		else if (r < 0 && !errno_is_gone(r) && error == 0)
			error = r;
	}
	return error < 0 ? error : n_frozen;
}

int freezer_move_back(struct freezer_thawed *thawed)
{
	int n_moved = 0, error = 0;

	for (unsigned i = 0; i < thawed->n_levels && !thawed->order.for_good; i++) {
		struct freezer_level *level = &thawed->levels[i];
		int r = level->moved ? write_pid(level->dir_fd, level->moved) : -ENOENT;

		if (r == 0)
			n_moved++;
		else if (!errno_is_gone(r) && error == 0)
			error = r;
	}
	return error < 0 ? error : n_moved;
}

static int open_path(int mount_fd, const char *path)
{
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (mount_fd < 0)
		return -ENOENT;
	fd = freezer_level_open_mount(mount_fd, path);
	if (fd < 0)
		return fd;
	do
		r = freezer_level_descend(&fd, &path);
	while (r > 0);
	return r < 0 ? r : take_fd(&fd);
}

int freezer_take_over(const struct cgroup_fs *fs, const struct ledger_entry *entry, int slot,
		      struct freezer_thawed *thawed)
{
	_cleanup_close_ int fd = -EBADF;
	struct stat st;

	if (thawed->n_levels == FREEZER_MAX_LEVELS)
		return -EOVERFLOW;
	fd = open_path(entry->v1 ? fs->v1_freezer_fd : fs->v2_fd, entry->path);
	if (fd < 0)
		return errno_is_gone(fd) ? FREEZER_NOT_THERE : fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_ino != entry->cgroup_id)
		return FREEZER_NOT_THERE;
	thawed->levels[thawed->n_levels++] = (struct freezer_level){
		.dir_fd = take_fd(&fd),
		.v1 = entry->v1,
		.moved = entry->moved ? entry->pid : 0,
		.slot = slot,
	};
	return 0;
}
