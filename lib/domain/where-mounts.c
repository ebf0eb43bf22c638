/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* where-mounts: the survey: reads tmpfs and System V segments.  Allocates nothing. */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/lines.h"
#include "lib/domain/where-walk.h"

/* The clock of CPU time is a system call, unlike the other one. */
#define CPU_TIME_CHECKED 16

bool where_is_late(struct where_walk *s)
{
	const struct where_limits *limits = s->limits;

	s->is_late = s->is_late || limits->now() >= limits->deadline ||
		     (limits->cpu_time && s->n_checks++ % CPU_TIME_CHECKED == 0 &&
		      limits->cpu_time() >= limits->cpu_deadline);
	return s->is_late;
}

bool where_is_over(struct where_walk *s)
{
	if (!where_is_late(s) && s->n_links < WHERE_LINKS_MAX)
		return false;
	s->ret->is_partial = true;
	return true;
}

/* Octal escapes of mountinfo, in place. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
		    from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
			*to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* The device and the mount point of a line of mountinfo, if it is a tmpfs. */
static bool parse_tmpfs(char *line, dev_t *ret_device, char **ret_path)
{
	unsigned major, minor;
	char *dash = strstr(line, " - "), *path = line, *end;

	if (!dash || strncmp(dash, " - tmpfs ", 9) != 0 ||
	    sscanf(line, "%*u %*u %u:%u", &major, &minor) != 2)
		return false;
	for (int i = 0; i < 4; i++) {
		path = strchr(path, ' ');
		if (!path)
			return false;
		path++;
	}
	end = strchr(path, ' ');
	if (!end || *path != '/')
		return false;
	*end = '\0';
	unescape(path);
	*ret_device = makedev(major, minor);
	*ret_path = path;
	return true;
}

bool where_is_known_tmpfs(struct where_walk *s, dev_t device)
{
	for (unsigned i = 0; i < s->n_devices; i++)
		if (s->scratch->devices[i] == device)
			return true;
	return false;
}

static void add_tmpfs(struct where_survey *ret, const char *path, uint64_t bytes)
{
	unsigned i = ret->n_tmpfs;

	ret->tmpfs_bytes += bytes;
	if (i == WHERE_TMPFS_MAX && ret->tmpfs[--i].bytes >= bytes)
		return;
	for (; i > 0 && ret->tmpfs[i - 1].bytes < bytes; i--)
		ret->tmpfs[i] = ret->tmpfs[i - 1];
	ret->tmpfs[i].bytes = bytes;
	snprintf(ret->tmpfs[i].path, WHERE_PATH_MAX, "%s", path);
	if (ret->n_tmpfs < WHERE_TMPFS_MAX)
		ret->n_tmpfs++;
}

/* What is mounted there now is asked only if it is that one: another may be mounted over it. */
static void read_tmpfs(struct where_walk *s, dev_t device, const char *path)
{
	_cleanup_close_ int fd =
		openat(s->root_fd, path[1] ? path + 1 : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	struct statfs fs;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != device || fstatfs(fd, &fs) < 0 ||
	    fs.f_type != TMPFS_MAGIC)
		return;
	if (s->n_devices < WHERE_DEVICES_MAX)
		s->scratch->devices[s->n_devices++] = device;
	if (fs.f_blocks == 0) /* without a limit the kernel does not say how much is used */
		s->ret->is_partial = true;
	else if (fs.f_blocks > fs.f_bfree)
		add_tmpfs(s->ret, path,
			  (uint64_t)(fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize);
}

void where_read_mounts(struct where_walk *s)
{
	_cleanup_close_ int fd = openat(s->proc_fd, "self/mountinfo", O_RDONLY | O_CLOEXEC);
	struct lines lines;
	char *line, *path;
	dev_t device;

	if (fd < 0) {
		s->ret->is_partial = true;
		return;
	}
	lines_init(&lines, fd, WHERE_MOUNTINFO_BYTES);
	while (!where_is_over(s) && lines_next(&lines, &line) > 0)
		if (parse_tmpfs(line, &device, &path) && !where_is_known_tmpfs(s, device))
			read_tmpfs(s, device, path);
	if (lines.is_cut)
		s->ret->is_partial = true;
}

/* key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap */
void where_read_sysv(struct where_walk *s)
{
	_cleanup_close_ int fd = openat(s->proc_fd, "sysvipc/shm", O_RDONLY | O_CLOEXEC);
	unsigned long long attached, rss;
	struct lines lines;
	char *line;

	if (fd < 0)
		return;
	lines_init(&lines, fd, WHERE_MOUNTINFO_BYTES);
	while (lines_next(&lines, &line) > 0)
		if (sscanf(line, "%*d %*d %*o %*u %*u %*u %llu %*u %*u %*u %*u %*u %*u %*u %llu",
			   &attached, &rss) == 2 &&
		    attached == 0)
			s->ret->sysv_bytes = add_u64(s->ret->sysv_bytes, rss);
}

/* In the mount namespace of the process: a container has a tmpfs of its own. */
bool where_is_tmpfs_of(struct where_walk *s, const char *pid, dev_t device)
{
	_cleanup_close_ int fd = -EBADF;
	char path[64], *line, *ignored;
	struct lines lines;
	dev_t found;

	snprintf(path, sizeof(path), "%.16s/mountinfo", pid);
	if (device == s->other_device)
		return false;
	fd = openat(s->proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	lines_init(&lines, fd, WHERE_MOUNTINFO_BYTES);
	while (!where_is_over(s) && lines_next(&lines, &line) > 0)
		if (parse_tmpfs(line, &found, &ignored) && found == device)
			return true;
	s->other_device = device; /* it may have thousands of files there */
	return false;
}
