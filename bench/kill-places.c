/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-places: makes the cgroups, moves processes to them, and removes them. */
#include "bench/kill-places.h"

#include <fcntl.h>
#include <mntent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"

#define QUOTA_PERIOD_USEC 100000
#define PATIENCE_MSEC	  5000

static const char *const v2_levels[] = { "a", "a/b", "a/b/c" };

static void pause_msec(unsigned msec)
{
	nanosleep(&(struct timespec){ .tv_nsec = (long)msec * 1000000 }, NULL);
}

/* The mount of the v1 hierarchy with this controller; -ENOENT if there is none. */
static int open_v1_mount(const char *controller)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *entry;
	int fd = -ENOENT;

	if (!mounts)
		return -errno;
	while (fd < 0 && (entry = getmntent(mounts)))
		if (strcmp(entry->mnt_type, "cgroup") == 0 && hasmntopt(entry, controller))
			fd = open(entry->mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	endmntent(mounts);
	return fd;
}

/* The new cgroup's fd, or -errno. */
static int make_below(int parent_fd, const char *name)
{
	int fd;

	if (mkdirat(parent_fd, name, 0755) < 0)
		return -errno;
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int make_v1(const struct places *places, const char *controller)
{
	_cleanup_close_ int mount_fd = open_v1_mount(controller);

	return mount_fd < 0 ? mount_fd : make_below(mount_fd, places->name + 1);
}

static bool has_file(int dir_fd, const char *name)
{
	return dir_fd >= 0 && faccessat(dir_fd, name, W_OK, 0) == 0;
}

static int make_v2(struct places *places, const struct cgroup_fs *fs)
{
	size_t n = ARRAY_SIZE(v2_levels);

	if (fs->v2_fd < 0)
		return -ENOENT;
	places->v2_fd = make_below(fs->v2_fd, places->name + 1);
	for (size_t i = 0; i < n && places->v2_fd >= 0; i++)
		if (mkdirat(places->v2_fd, v2_levels[i], 0755) < 0)
			return -errno;
	if (places->v2_fd < 0)
		return places->v2_fd;
	places->v2_leaf_fd =
		openat(places->v2_fd, v2_levels[n - 1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return places->v2_leaf_fd < 0 ? -errno : 0;
}

void places_make(struct places *places, const struct cgroup_fs *fs)
{
	int r;

	places->memory_fd = places->cpu_fd = places->v1_freezer_fd = -EBADF;
	places->v2_fd = places->v2_leaf_fd = -EBADF;
	snprintf(places->name, sizeof(places->name), "/reckond-kill-%d", getpid());
	snprintf(places->v2_path, sizeof(places->v2_path), "%s/%s", places->name,
		 v2_levels[ARRAY_SIZE(v2_levels) - 1]);

	r = make_v2(places, fs);
	if (r < 0)
		printf("No cgroups of v2: %s.\n", strerror(-r));
	places->v1_freezer_fd = make_v1(places, "freezer");
	places->memory_fd = make_v1(places, "memory");
	places->memory_is_v1 = places->memory_fd >= 0;
	if (!places->memory_is_v1 && has_file(places->v2_fd, "memory.max"))
		places->memory_fd = dup(places->v2_fd);
	places->cpu_fd = make_v1(places, "cpu");
	places->cpu_is_v1 = places->cpu_fd >= 0;
	if (!places->cpu_is_v1 && has_file(places->v2_fd, "cpu.max"))
		places->cpu_fd = dup(places->v2_fd);
}

static bool enter(int dir_fd)
{
	return dir_fd < 0 || io_write_at(dir_fd, "cgroup.procs", "0") == 0;
}

bool places_enter(const struct places *places, bool limited)
{
	return (!places->memory_is_v1 || enter(places->memory_fd)) &&
	       (!places->cpu_is_v1 || !limited || enter(places->cpu_fd)) &&
	       enter(places->v1_freezer_fd) && enter(places->v2_leaf_fd);
}

static int wait_for_text(int dir_fd, const char *file, const char *text)
{
	char buf[256];

	for (int i = 0; i < PATIENCE_MSEC; i++) {
		ssize_t n = io_read_at(dir_fd, file, buf, sizeof(buf));

		if (n < 0)
			return (int)n;
		if (strstr(buf, text))
			return 0;
		pause_msec(1);
	}
	return -ETIMEDOUT;
}

int places_freeze_v1(const struct places *places, bool freeze)
{
	const char *state = freeze ? "FROZEN" : "THAWED";
	int r = io_write_at(places->v1_freezer_fd, "freezer.state", state);

	return r < 0 ? r : wait_for_text(places->v1_freezer_fd, "freezer.state", state);
}

int places_freeze_v2(const struct places *places, bool freeze)
{
	int r = io_write_at(places->v2_fd, "cgroup.freeze", freeze ? "1" : "0");

	if (r < 0 || !freeze)
		return r;
	return wait_for_text(places->v2_leaf_fd, "cgroup.events", "frozen 1");
}

int places_limit_cpu(const struct places *places, unsigned percent)
{
	char text[64];

	if (places->cpu_is_v1) {
		snprintf(text, sizeof(text), "%d",
			 percent ? (int)percent * QUOTA_PERIOD_USEC / 100 : -1);
		return io_write_at(places->cpu_fd, "cpu.cfs_quota_us", text);
	}
	if (percent == 0)
		strcpy(text, "max");
	else
		snprintf(text, sizeof(text), "%u %d", percent * QUOTA_PERIOD_USEC / 100,
			 QUOTA_PERIOD_USEC);
	return io_write_at(places->cpu_fd, "cpu.max", text);
}

/* Our own children by now: no other process is put there. */
static void kill_members(int dir_fd)
{
	int fd = dir_fd < 0 ? -EBADF : openat(dir_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	_cleanup_fclose_ FILE *procs = fd < 0 ? NULL : fdopen(fd, "re");
	int pid;

	while (procs && fscanf(procs, "%d", &pid) == 1)
		kill(pid, SIGKILL);
}

static void remove_place(int fd, int mount_fd, const char *name)
{
	if (fd >= 0 && mount_fd >= 0 && unlinkat(mount_fd, name, AT_REMOVEDIR) < 0)
		fprintf(stderr, "kill: cannot remove cgroup %s: %s\n", name, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void remove_v1(int fd, const char *controller, const char *name)
{
	_cleanup_close_ int mount_fd = fd < 0 ? -EBADF : open_v1_mount(controller);

	remove_place(fd, mount_fd, name);
}

void places_clear(struct places *places, const struct cgroup_fs *fs)
{
	const char *name = places->name + 1;

	if (places->v1_freezer_fd >= 0)
		(void)places_freeze_v1(places, false);
	if (places->v2_fd >= 0)
		(void)places_freeze_v2(places, false);
	if (places->cpu_fd >= 0)
		(void)places_limit_cpu(places, 0);
	kill_members(places->v2_leaf_fd);
	kill_members(places->v1_freezer_fd);
	kill_members(places->memory_is_v1 ? places->memory_fd : -EBADF);
	while (wait(NULL) > 0 || errno == EINTR)
		;

	remove_v1(places->memory_is_v1 ? places->memory_fd : -EBADF, "memory", name);
	remove_v1(places->cpu_is_v1 ? places->cpu_fd : -EBADF, "cpu", name);
	remove_place(places->v1_freezer_fd, fs->v1_freezer_fd, name);
	closep(&places->v2_leaf_fd);
	for (size_t i = ARRAY_SIZE(v2_levels); i-- > 0 && places->v2_fd >= 0;)
		(void)unlinkat(places->v2_fd, v2_levels[i], AT_REMOVEDIR);
	remove_place(places->v2_fd, fs->v2_fd, name);
}
