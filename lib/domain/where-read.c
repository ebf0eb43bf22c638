/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* where-read: the survey: reads tmpfs, memfds, pipes and System V segments.  Allocates nothing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/base/lines.h"
#include "lib/domain/unmapped.h"
#include "lib/domain/where.h"
#include "lib/sys/proc.h"

struct survey {
	int proc_fd, root_fd;
	usec_t (*now)(void);
	usec_t deadline;
	unsigned n_links;
	unsigned n_devices;
	unsigned n_pipes, n_memfds; /* of the process that is read */
	uint64_t memfd_bytes, unmeasured_bytes;
	int pagemap_fd;	    /* of this process */
	dev_t memfd_device; /* 0: not known */
	dev_t other_device; /* no tmpfs of the process that is read; 0: none */
	struct where_scratch *scratch;
	struct where_survey *ret;
};

static bool is_over(struct survey *s)
{
	if (s->now() < s->deadline && s->n_links < WHERE_LINKS_MAX)
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

static bool is_known(struct survey *s, dev_t device)
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
static void read_tmpfs(struct survey *s, dev_t device, const char *path)
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

static void read_mounts(struct survey *s)
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
	while (!is_over(s) && lines_next(&lines, &line) > 0)
		if (parse_tmpfs(line, &device, &path) && !is_known(s, device))
			read_tmpfs(s, device, path);
	if (lines.is_cut)
		s->ret->is_partial = true;
}

/* key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap */
static void read_sysv(struct survey *s)
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

static bool add_inode(uint64_t *inodes, unsigned *n, uint64_t inode)
{
	if (*n == WHERE_INODES_MAX)
		return false;
	inodes[(*n)++] = inode;
	return true;
}

/* In the mount namespace of the process: a container has a tmpfs of its own. */
static bool is_tmpfs_of(struct survey *s, const char *pid, dev_t device)
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
	while (!is_over(s) && lines_next(&lines, &line) > 0)
		if (parse_tmpfs(line, &found, &ignored) && found == device)
			return true;
	s->other_device = device; /* it may have thousands of files there */
	return false;
}

static bool add_memfd(struct survey *s, uint64_t inode, uint64_t bytes)
{
	for (unsigned i = 0; i < s->n_memfds; i++)
		if (s->scratch->memfds[i] == inode)
			return false;
	if (!add_inode(s->scratch->memfds, &s->n_memfds, inode))
		return false;
	s->memfd_bytes = add_u64(s->memfd_bytes, bytes);
	return true;
}

static bool measure_file(struct survey *s, int dir_fd, const char *name, struct held_file *file,
			 uint64_t bytes)
{
	return unmapped_measure(dir_fd, name, s->pagemap_fd, bytes, &file->unmapped) >= 0 &&
	       held_files_add(&s->scratch->files, file);
}

/* A memfd, or a file that seems to be deleted.  (It may be on any file system: none is asked for
 * its attributes.) */
static void read_file(struct survey *s, const char *pid, int dir_fd, const char *name,
		      bool is_memfd)
{
	struct held_file file = { .pid = (pid_t)strtol(pid, NULL, 10) };
	uint64_t bytes;
	struct statx st;

	if (statx(dir_fd, name, AT_STATX_DONT_SYNC, STATX_NLINK | STATX_INO | STATX_BLOCKS, &st) <
	    0)
		return;
	bytes = (uint64_t)st.stx_blocks * 512;
	file.device = makedev(st.stx_dev_major, st.stx_dev_minor);
	file.inode = st.stx_ino;
	if (is_memfd && !add_memfd(s, st.stx_ino, bytes))
		return;
	if (!is_memfd && (st.stx_nlink > 0 || st.stx_dev_major != 0 || bytes < WHERE_FILE_MIN))
		return;
	if (bytes == 0 || held_files_note(&s->scratch->files, file.device, file.inode, file.pid))
		return;
	if (is_memfd ? file.device != s->memfd_device
		     : !is_known(s, file.device) && !is_tmpfs_of(s, pid, file.device))
		file.device = 0;
	if ((file.device == 0 || !measure_file(s, dir_fd, name, &file, bytes)) && is_memfd)
		s->unmeasured_bytes = add_u64(s->unmeasured_bytes, bytes);
}

/* By its link, whose text the kernel generates. */
static void read_link(struct survey *s, const char *pid, int dir_fd, const char *name)
{
	static const char deleted[] = " (deleted)";
	const size_t n_deleted = sizeof(deleted) - 1;
	char link[PATH_MAX];
	ssize_t n = readlinkat(dir_fd, name, link, sizeof(link) - 1);

	if (n <= 0)
		return;
	link[n] = '\0';
	if (strncmp(link, "pipe:[", 6) == 0)
		(void)add_inode(s->scratch->pipes, &s->n_pipes, strtoull(link + 6, NULL, 10));
	else if (strncmp(link, "/memfd:", 7) == 0)
		read_file(s, pid, dir_fd, name, true);
	else if (link[0] == '/' && (size_t)n > n_deleted &&
		 strcmp(link + n - n_deleted, deleted) == 0)
		read_file(s, pid, dir_fd, name, false);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Pipes of which both ends are here: the inode is listed twice. */
static unsigned count_pairs(struct survey *s)
{
	unsigned n_pairs = 0;

	qsort(s->scratch->pipes, s->n_pipes, sizeof(s->scratch->pipes[0]), compare);
	for (unsigned i = 1; i < s->n_pipes; i++)
		if (s->scratch->pipes[i] == s->scratch->pipes[i - 1] &&
		    (i + 1 == s->n_pipes || s->scratch->pipes[i + 1] != s->scratch->pipes[i]))
			n_pairs++;
	return n_pairs;
}

static void hold(struct survey *s, struct where_holder *holder, const char *pid)
{
	char path[64];

	holder->pid = (pid_t)strtol(pid, NULL, 10);
	snprintf(path, sizeof(path), "%s/comm", pid);
	if (io_read_at(s->proc_fd, path, holder->comm, sizeof(holder->comm)) < 0 &&
	    holder->comm[0] == '\0')
		return;
	holder->comm[strcspn(holder->comm, "\n")] = '\0';
}

static void take_process(struct survey *s, const char *pid)
{
	struct where_survey *ret = s->ret;
	unsigned n_pairs = count_pairs(s);

	if (s->memfd_bytes > ret->memfds.bytes) {
		hold(s, &ret->memfds, pid);
		ret->memfds.bytes = s->memfd_bytes;
		ret->memfds.unmeasured = s->unmeasured_bytes;
	}
	if (n_pairs > ret->pipes.n) {
		hold(s, &ret->pipes, pid);
		ret->pipes.n = n_pairs;
	}
}

static DIR *open_directory(int dir_fd, const char *path)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		close(fd);
	return dir;
}

/* Its first thread may have exited: that has neither memory nor descriptors, but another has. */
static pid_t find_thread(struct survey *s, pid_t pid)
{
	char path[64];
	_cleanup_(closedirp) DIR *dir = NULL;
	const struct dirent *entry;
	pid_t tid = pid;

	snprintf(path, sizeof(path), "%d/task", pid);
	dir = open_directory(s->proc_fd, path);
	while (dir && tid == pid && (entry = readdir(dir)) && !is_over(s)) {
		s->n_links++;
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			tid = (pid_t)strtol(entry->d_name, NULL, 10);
	}
	return tid;
}

static DIR *open_descriptors(struct survey *s, pid_t pid, pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "%d/task/%d/fd", pid, tid);
	return open_directory(s->proc_fd, path);
}

/* By status, not by smaps: that waits for the mmap lock, which a process can hold forever.  Returns
 * a thread that has the process's memory, and so its descriptors. */
static pid_t add_mapped(struct survey *s, pid_t pid)
{
	struct proc_status status;
	uint64_t mapped;
	pid_t tid = pid;

	if (proc_read_status(s->proc_fd, pid, &status) != 0)
		return pid;
	if (!status.has_mm && status.n_threads > 1) {
		tid = find_thread(s, pid);
		if (proc_read_status(s->proc_fd, tid, &status) != 0)
			return tid;
	}
	mapped = add_u64(status.rss_shmem, proc_locked_file(&status));
	if (mapped < WHERE_MAPPED_SMALL)
		s->ret->small_mapped_bytes = add_u64(s->ret->small_mapped_bytes, mapped);
	return tid;
}

static void read_process(struct survey *s, const char *pid)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	const struct dirent *entry;
	pid_t number = (pid_t)strtol(pid, NULL, 10);

	dir = open_descriptors(s, number, add_mapped(s, number));
	if (!dir)
		return;
	s->n_pipes = s->n_memfds = 0;
	s->memfd_bytes = s->unmeasured_bytes = 0;
	s->other_device = 0;
	while ((entry = readdir(dir)) && !is_over(s)) {
		s->n_links++;
		if (entry->d_name[0] != '.')
			read_link(s, pid, dirfd(dir), entry->d_name);
	}
	take_process(s, pid);
}

/* What is in the pipe whose end for reading this is.  (To open it adds a reader for a moment, which
 * neither end sees.) */
static void add_pipe(struct survey *s, int dir_fd, const char *name)
{
	_cleanup_close_ int fd = -EBADF;
	struct stat st;
	int n = 0;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (st.st_mode & (S_IRUSR | S_IWUSR)) != S_IRUSR)
		return;
	fd = openat(dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0 && ioctl(fd, FIONREAD, &n) == 0 && n > 0)
		s->ret->pipes.bytes = add_u64(s->ret->pipes.bytes, (uint64_t)n);
}

/* Of the process that has most of them. */
static void measure_pipes(struct survey *s)
{
	char path[64], link[8];
	_cleanup_(closedirp) DIR *dir = NULL;
	const struct dirent *entry;

	if (s->ret->pipes.n < WHERE_PIPES_MIN)
		return;
	snprintf(path, sizeof(path), "%d/fd", s->ret->pipes.pid);
	dir = open_directory(s->proc_fd, path);
	if (!dir)
		return;
	while ((entry = readdir(dir)) && !is_over(s)) {
		s->n_links++;
		if (entry->d_name[0] != '.' &&
		    readlinkat(dirfd(dir), entry->d_name, link, sizeof(link)) == sizeof(link) &&
		    strncmp(link, "pipe:[", 6) == 0)
			add_pipe(s, dirfd(dir), entry->d_name);
	}
}

static void read_processes(struct survey *s)
{
	_cleanup_(closedirp) DIR *dir = open_directory(s->proc_fd, ".");
	const struct dirent *entry;

	if (!dir) {
		s->ret->is_partial = true;
		return;
	}
	for (unsigned n = 0; n < WHERE_PROCESSES_MAX && (entry = readdir(dir)) && !is_over(s);)
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') {
			read_process(s, entry->d_name);
			n++;
		}
}

static void take_unmapped(struct survey *s)
{
	struct held_sum sums[WHERE_UNMAPPED_MAX];
	unsigned n = held_files_most(&s->scratch->files, sums, WHERE_UNMAPPED_MAX);
	char text[16];

	for (unsigned i = 0; i < n; i++) {
		s->ret->unmapped[i].bytes = sums[i].bytes;
		s->ret->unmapped[i].together = sums[i].together;
		s->ret->unmapped[i].n_others = sums[i].n_others;
		memcpy(s->ret->unmapped[i].others, sums[i].others, sizeof(sums[i].others));
		snprintf(text, sizeof(text), "%d", sums[i].pid);
		hold(s, &s->ret->unmapped[i], text);
	}
}

/* All memfds are on the one tmpfs of the kernel. */
static dev_t find_memfd_device(void)
{
	_cleanup_close_ int fd = memfd_create("reckond", MFD_CLOEXEC);
	struct stat st;

	return fd < 0 || fstat(fd, &st) < 0 ? 0 : st.st_dev;
}

void where_survey(int proc_fd, int root_fd, usec_t (*now)(void), usec_t deadline,
		  struct where_scratch *scratch, struct where_survey *ret)
{
	_cleanup_close_ int pagemap_fd = openat(proc_fd, "self/pagemap", O_RDONLY | O_CLOEXEC);
	struct survey survey = {
		.proc_fd = proc_fd,
		.root_fd = root_fd,
		.pagemap_fd = pagemap_fd,
		.memfd_device = find_memfd_device(),
		.now = now,
		.deadline = deadline,
		.scratch = scratch,
		.ret = ret,
	};
	usec_t began = now();

	*ret = (struct where_survey){ 0 };
	scratch->files.n = 0;
	read_mounts(&survey);
	read_sysv(&survey);
	read_processes(&survey);
	take_unmapped(&survey);
	measure_pipes(&survey);
	ret->took_usec = now() - began;
}
