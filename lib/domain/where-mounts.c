/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* where-mounts: the survey: reads tmpfs and System V segments.  Allocates nothing. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/hash.h"
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

/* What it may hold at most, by its options; if there is no limit of its own: half of memory. */
static uint64_t parse_limit(const char *line)
{
	const char *options = strstr(line, " - tmpfs "), *size;
	uint64_t kib;

	size = options ? strstr(options, ",size=") : NULL;
	return size && sscanf(size, ",size=%" SCNu64 "k", &kib) == 1 && kib < UINT64_MAX / KIB
		       ? kib * KIB
		       : UINT64_MAX;
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

static bool is_new_namespace(struct where_walk *s, const char *pid)
{
	struct where_scratch *scratch = s->scratch;
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "%.16s/ns/mnt", pid);
	if (fstatat(s->proc_fd, path, &st, 0) < 0) {
		if (errno == EACCES)
			s->ret->hidden_tmpfs = UINT64_MAX;
		return false;
	}
	for (unsigned i = 0; i < s->n_namespaces; i++)
		if (scratch->namespaces[i] == st.st_ino)
			return false;
	if (s->n_namespaces == WHERE_NAMESPACES_MAX) {
		s->ret->hidden_tmpfs = UINT64_MAX;
		return false;
	}
	scratch->namespaces[s->n_namespaces++] = st.st_ino;
	return true;
}

static void add_hidden(struct where_walk *s, dev_t device, uint64_t limit)
{
	dev_t *devices = s->scratch->hidden_devices;

	for (unsigned i = 0; i < s->n_hidden; i++)
		if (devices[i] == device)
			return;
	if (s->n_hidden == WHERE_DEVICES_MAX)
		limit = UINT64_MAX;
	else
		devices[s->n_hidden++] = device;
	s->ret->hidden_tmpfs = add_u64(s->ret->hidden_tmpfs, limit);
}

#define CANDIDATES_MAX 64

struct candidates {
	unsigned n;
	struct {
		unsigned id;
		dev_t device;
		uint64_t limit, path; /* a hash */
	} mounts[CANDIDATES_MAX];
};

static uint64_t hash_path(const char *path)
{
	return hash_bytes(HASH_BEGIN, path, strcspn(path, " "));
}

/* What is mounted over it can be written to by no path. */
static void drop_covered(struct candidates *c, unsigned parent, uint64_t path)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->mounts[i].id == parent && c->mounts[i].path == path)
			c->mounts[i] = c->mounts[--c->n];
}

/* A line of mountinfo: "36 35 98:0 /mnt1 /mnt2 rw ...". */
static void read_candidate(struct where_walk *s, struct candidates *c, char *line)
{
	uint64_t limit = parse_limit(line), hash;
	unsigned id, parent;
	char *path;
	dev_t device;
	int n = 0;

	if (sscanf(line, "%u %u %*u:%*u %*s %n", &id, &parent, &n) != 2 || n == 0)
		return;
	hash = hash_path(line + n);
	drop_covered(c, parent, hash);
	if (!parse_tmpfs(line, &device, &path) || where_is_known_tmpfs(s, device))
		return;
	if (c->n == CANDIDATES_MAX) {
		s->ret->hidden_tmpfs = UINT64_MAX;
		return;
	}
	c->mounts[c->n].id = id;
	c->mounts[c->n].device = device;
	c->mounts[c->n].limit = limit;
	c->mounts[c->n++].path = hash;
}

/* (Not by statfs(2): a path there may lead through a file system that hangs.) */
void where_read_hidden(struct where_walk *s, const char *pid)
{
	_cleanup_close_ int fd = -EBADF;
	struct candidates candidates = { 0 };
	char path[64], *line;
	struct lines lines;

	if (!is_new_namespace(s, pid))
		return;
	snprintf(path, sizeof(path), "%.16s/mountinfo", pid);
	fd = openat(s->proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	lines_init(&lines, fd, WHERE_MOUNTINFO_BYTES);
	while (!where_is_over(s) && lines_next(&lines, &line) > 0)
		read_candidate(s, &candidates, line);
	if (lines.is_cut)
		s->ret->hidden_tmpfs = UINT64_MAX;
	for (unsigned i = 0; i < candidates.n; i++)
		add_hidden(s, candidates.mounts[i].device, candidates.mounts[i].limit);
}
