/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* where-read: the survey: reads memfds and pipes of processes.  Allocates nothing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/domain/unmapped.h"
#include "lib/domain/where-walk.h"
#include "lib/sys/proc.h"

static bool add_inode(uint64_t *inodes, unsigned *n, uint64_t inode)
{
	if (*n == WHERE_INODES_MAX)
		return false;
	inodes[(*n)++] = inode;
	return true;
}

/* False: it is known.  Where there are too many, that is not sure. */
static bool add_memfd(struct where_walk *s, uint64_t inode, uint64_t bytes, bool *ret_is_sure)
{
	for (unsigned i = 0; i < s->n_memfds; i++)
		if (s->scratch->memfds[i] == inode)
			return false;
	*ret_is_sure = add_inode(s->scratch->memfds, &s->n_memfds, inode);
	if (*ret_is_sure)
		s->memfd_bytes = add_u64(s->memfd_bytes, bytes);
	return true;
}

/* What root creates is no attack on others: a program may have had another user before. */
static bool is_foreign(const struct where_walk *s, uid_t creator)
{
	return creator != 0 && s->uid != (uid_t)-1 && creator != s->uid;
}

static bool measure_file(struct where_walk *s, int dir_fd, const char *name, struct held_file *file,
			 uint64_t bytes, bool is_sure)
{
	if (unmapped_measure(dir_fd, name, s->pagemap_fd, bytes, &file->unmapped) < 0)
		return false;
	file->unsure = is_sure ? 0 : file->unmapped;
	file->foreign = is_foreign(s, file->creator) ? file->unmapped : 0;
	held_files_add(&s->scratch->files, file);
	return true;
}

static void add_unmeasured(struct where_walk *s, uid_t creator, uint64_t bytes)
{
	s->unmeasured_bytes = add_u64(s->unmeasured_bytes, bytes);
	s->ret->held_bytes = add_u64(s->ret->held_bytes, bytes);
	if (!is_foreign(s, creator))
		return;
	s->unmeasured_foreign = add_u64(s->unmeasured_foreign, bytes);
	s->unmeasured_creator = creator;
}

static bool is_on_tmpfs(struct where_walk *s, const char *pid, dev_t device, enum where_file kind)
{
	if (device == s->memfd_device)
		return kind != WHERE_FILE_DELETED;
	return kind != WHERE_FILE_MEMFD &&
	       (where_is_known_tmpfs(s, device) || where_is_tmpfs_of(s, pid, device));
}

void where_read_file(struct where_walk *s, const char *pid, int dir_fd, const char *name,
		     enum where_file kind)
{
	struct held_file file = { .pid = (pid_t)strtol(pid, NULL, 10) };
	bool is_memfd = kind == WHERE_FILE_MEMFD, is_sure = true;
	uint64_t bytes;
	struct statx st;
	int r;

	r = statx(dir_fd, name, AT_STATX_DONT_SYNC,
		  STATX_NLINK | STATX_UID | STATX_INO | STATX_BLOCKS, &st);
	if (where_has_failed(s, r < 0, errno))
		return;
	bytes = (uint64_t)st.stx_blocks * 512;
	file.device = makedev(st.stx_dev_major, st.stx_dev_minor);
	file.inode = st.stx_ino;
	file.creator = st.stx_uid;
	if (is_memfd && !add_memfd(s, st.stx_ino, bytes, &is_sure))
		return;
	if (!is_memfd && (st.stx_nlink > 0 || st.stx_dev_major != 0))
		return;
	if (bytes == 0 || held_files_note(&s->scratch->files, file.device, file.inode, file.pid))
		return;
	if ((!is_on_tmpfs(s, pid, file.device, kind) ||
	     !measure_file(s, dir_fd, name, &file, bytes, is_sure)) &&
	    is_memfd && is_sure)
		add_unmeasured(s, file.creator, bytes);
}

/* By its link, whose text the kernel generates. */
static void read_link(struct where_walk *s, const char *pid, int dir_fd, const char *name)
{
	static const char deleted[] = " (deleted)";
	const size_t n_deleted = sizeof(deleted) - 1;
	char link[PATH_MAX];
	ssize_t n = readlinkat(dir_fd, name, link, sizeof(link) - 1);

	if (where_has_failed(s, n < 0, errno) || n == 0)
		return;
	link[n] = '\0';
	if (strncmp(link, "pipe:[", 6) == 0)
		(void)add_inode(s->scratch->pipes, &s->n_pipes, strtoull(link + 6, NULL, 10));
	else if (strncmp(link, "/memfd:", 7) == 0)
		where_read_file(s, pid, dir_fd, name, WHERE_FILE_MEMFD);
	else if (strncmp(link, "socket:[", 8) == 0)
		where_read_socket(s, dir_fd, name);
	else if (strncmp(link, "/dev/dri/", 9) == 0 || strcmp(link, "anon_inode:[io_uring]") == 0)
		s->ret->has_other_holders = true;
	else if (link[0] == '/' && (size_t)n > n_deleted &&
		 strcmp(link + n - n_deleted, deleted) == 0)
		where_read_file(s, pid, dir_fd, name, WHERE_FILE_DELETED);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Pipes of which both ends are here: the inode is listed twice. */
static unsigned count_pairs(struct where_walk *s)
{
	unsigned n_pairs = 0;

	qsort(s->scratch->pipes, s->n_pipes, sizeof(s->scratch->pipes[0]), compare);
	for (unsigned i = 1; i < s->n_pipes; i++)
		if (s->scratch->pipes[i] == s->scratch->pipes[i - 1] &&
		    (i + 1 == s->n_pipes || s->scratch->pipes[i + 1] != s->scratch->pipes[i]))
			n_pairs++;
	return n_pairs;
}

static void hold(struct where_walk *s, struct where_holder *holder, const char *pid)
{
	struct proc_status status;
	struct proc_stat stat;
	char path[64];

	holder->pid = (pid_t)strtol(pid, NULL, 10);
	holder->uid =
		proc_read_status(s->proc_fd, holder->pid, &status) == 0 ? status.uid : (uid_t)-1;
	holder->start_ticks =
		proc_read_stat(s->proc_fd, holder->pid, &stat) == 0 ? stat.start_ticks : 0;
	snprintf(path, sizeof(path), "%s/comm", pid);
	if (io_read_at(s->proc_fd, path, holder->comm, sizeof(holder->comm)) < 0 &&
	    holder->comm[0] == '\0')
		return;
	holder->comm[strcspn(holder->comm, "\n")] = '\0';
}

static void take_process(struct where_walk *s, const char *pid)
{
	struct where_survey *ret = s->ret;
	struct where_holder receiver = { 0 };
	unsigned n_pairs = count_pairs(s);

	if (s->memfd_bytes > ret->memfds.bytes) {
		hold(s, &ret->memfds, pid);
		ret->memfds.bytes = s->memfd_bytes;
		ret->memfds.unmeasured = s->unmeasured_bytes;
		ret->memfds.foreign = s->unmeasured_foreign;
		ret->memfds.creator = s->unmeasured_creator;
	}
	if (n_pairs > ret->pipes.n) {
		hold(s, &ret->pipes, pid);
		ret->pipes.n = n_pairs;
	}
	if (s->n_in_flight > 0) {
		hold(s, &receiver, pid);
		where_take_receiver(s, &receiver);
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
pid_t where_find_thread(struct where_walk *s, pid_t pid)
{
	char path[64];
	_cleanup_(closedirp) DIR *dir = NULL;
	const struct dirent *entry;
	pid_t tid = pid;

	snprintf(path, sizeof(path), "%d/task", pid);
	dir = open_directory(s->proc_fd, path);
	while (dir && tid == pid && (entry = readdir(dir)) && !where_is_over(s)) {
		s->n_links++;
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			tid = (pid_t)strtol(entry->d_name, NULL, 10);
	}
	return tid;
}

/* Has the process what it may have of this survey, or is that over? */
static bool is_enough(struct where_walk *s)
{
	return s->n_links >= s->n_links_end || where_is_over(s);
}

/* from: where an earlier one was cut; 0: all.  Returns where this one was; 0: it was not. */
static long read_descriptors(struct where_walk *s, const char *pid, pid_t tid, long from)
{
	char path[64];
	_cleanup_(closedirp) DIR *dir = NULL;
	const struct dirent *entry;

	snprintf(path, sizeof(path), "%.16s/task/%d/fd", pid, tid);
	dir = open_directory(s->proc_fd, path);
	if (where_has_failed(s, !dir, errno)) {
		if (errno == EACCES)
			s->ret->has_more_receivers = true;
		return 0;
	}
	seekdir(dir, from);
	while (!is_enough(s)) {
		errno = 0;
		entry = readdir(dir);
		if (where_has_failed(s, !entry, errno))
			return 0;
		s->n_links++;
		if (entry->d_name[0] != '.')
			read_link(s, pid, dirfd(dir), entry->d_name);
	}
	return telldir(dir);
}

/* (Not known, as where the kernel has no kcmp(2): no.) */
static bool has_other_descriptors(pid_t tid, pid_t other)
{
	return syscall(SYS_kcmp, tid, other, KCMP_FILES, 0, 0) > 0;
}

/* Of threads that have called unshare(2) with CLONE_FILES. */
static void read_threads(struct where_walk *s, const char *pid, pid_t tid)
{
	char path[64];
	_cleanup_(closedirp) DIR *dir = NULL;
	const struct dirent *entry;
	pid_t last = tid, other;

	snprintf(path, sizeof(path), "%.16s/task", pid);
	dir = open_directory(s->proc_fd, path);
	while (dir && !is_enough(s) && (entry = readdir(dir))) {
		s->n_links++;
		other = (pid_t)strtol(entry->d_name, NULL, 10);
		if (other <= 0 || other == tid || !has_other_descriptors(tid, other) ||
		    (last != tid && !has_other_descriptors(last, other)))
			continue;
		last = other;
		(void)read_descriptors(s, pid, other, 0);
	}
}

/* By status, not by smaps: that waits for the mmap lock, which a process can hold forever.  Returns
 * a thread that has the process's memory, and so its descriptors; *ret_n_threads: 0 if not known.
 * s->uid is the process's then. */
static pid_t add_mapped(struct where_walk *s, pid_t pid, unsigned *ret_n_threads)
{
	struct proc_status status;
	uint64_t mapped;
	pid_t tid = pid;
	int r = proc_read_status(s->proc_fd, pid, &status);

	*ret_n_threads = 0;
	s->uid = (uid_t)-1;
	if (where_has_failed(s, r != 0, -r))
		return pid;
	*ret_n_threads = status.n_threads;
	s->uid = status.uid;
	if (!status.has_mm && status.n_threads > 1) {
		tid = where_find_thread(s, pid);
		if (proc_read_status(s->proc_fd, tid, &status) != 0)
			return tid;
	}
	mapped = add_u64(status.rss_shmem, proc_locked_file(&status));
	if (mapped < WHERE_MAPPED_SMALL)
		s->ret->small_mapped_bytes = add_u64(s->ret->small_mapped_bytes, mapped);
	return tid;
}

static void begin_process(struct where_walk *s, unsigned n_links)
{
	s->n_pipes = s->n_memfds = s->n_in_flight = 0;
	s->memfd_bytes = s->unmeasured_bytes = s->unmeasured_foreign = 0;
	s->other_device = 0;
	s->n_links_end = s->n_links + n_links;
}

static void read_process(struct where_walk *s, const char *pid)
{
	unsigned n_threads;
	pid_t tid = add_mapped(s, (pid_t)strtol(pid, NULL, 10), &n_threads);
	struct where_rest rest = { .tid = tid, .uid = s->uid, .is_threaded = n_threads > 1 };

	begin_process(s, WHERE_PROCESS_LINKS);
	snprintf(rest.pid, sizeof(rest.pid), "%.15s", pid);
	rest.from = read_descriptors(s, pid, tid, 0);
	if (rest.is_threaded)
		read_threads(s, pid, tid);
	if (s->n_links >= s->n_links_end && s->n_rest < WHERE_REST_MAX)
		s->rest[s->n_rest++] = rest;
	else if (s->n_links >= s->n_links_end)
		s->ret->is_partial = true;
	take_process(s, pid);
}

/* The rest of what is to be read, in equal parts; another is the first each time. */
static void read_rest(struct where_walk *s)
{
	unsigned turn = s->scratch->turn++;

	for (unsigned i = 0; i < s->n_rest && !where_is_over(s); i++) {
		const struct where_rest *rest = &s->rest[(turn + i) % s->n_rest];

		s->uid = rest->uid;
		begin_process(s, (WHERE_LINKS_MAX - s->n_links) / (s->n_rest - i));
		if (rest->from > 0)
			(void)read_descriptors(s, rest->pid, rest->tid, rest->from);
		if (rest->is_threaded)
			read_threads(s, rest->pid, rest->tid);
		s->ret->is_partial = s->ret->is_partial || s->n_links >= s->n_links_end;
		take_process(s, rest->pid);
	}
}

/* What is in the pipe whose end for reading this is.  (To open it adds a reader for a moment, which
 * neither end sees.) */
static void add_pipe(struct where_walk *s, int dir_fd, const char *name)
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
static void measure_pipes(struct where_walk *s)
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
	while ((entry = readdir(dir)) && !where_is_over(s)) {
		s->n_links++;
		if (entry->d_name[0] != '.' &&
		    readlinkat(dirfd(dir), entry->d_name, link, sizeof(link)) == sizeof(link) &&
		    strncmp(link, "pipe:[", 6) == 0)
			add_pipe(s, dirfd(dir), entry->d_name);
	}
}

/* All processes, from the one on at which an earlier survey was cut.  Returns where this one was;
 * 0: it was not. */
static pid_t for_each_process(struct where_walk *s, pid_t from,
			      bool (*is_over)(struct where_walk *s),
			      void (*read)(struct where_walk *s, const char *pid))
{
	_cleanup_(closedirp) DIR *dir = open_directory(s->proc_fd, ".");
	const struct dirent *entry;
	unsigned n = 0;
	pid_t pid = from;

	if (!dir) {
		s->ret->is_partial = true;
		return 0;
	}
	for (unsigned turn = 0; turn < (from > 0 ? 2 : 1); turn++, rewinddir(dir)) {
		while ((entry = readdir(dir))) {
			if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
			    (strtol(entry->d_name, NULL, 10) > from) != (turn == 0) ||
			    strtol(entry->d_name, NULL, 10) == s->limits->skipped)
				continue;
			if (n++ == WHERE_PROCESSES_MAX)
				s->ret->is_partial = true;
			if (n > WHERE_PROCESSES_MAX || is_over(s))
				return pid;
			pid = (pid_t)strtol(entry->d_name, NULL, 10);
			read(s, entry->d_name);
		}
	}
	return 0;
}

/* (What is cut of mappings does not make it partial: there may be any number.) */
static bool has_enough_mappings(struct where_walk *s)
{
	return s->n_lines >= WHERE_MAPPINGS_MAX || where_is_late(s);
}

/* Mappings after all descriptors: these are more likely. */
static void read_processes(struct where_walk *s)
{
	struct where_scratch *scratch = s->scratch;

	scratch->descriptors_from =
		for_each_process(s, scratch->descriptors_from, where_is_over, read_process);
	read_rest(s);
	measure_pipes(s);
	if (s->ret->n_receivers > 0)
		(void)for_each_process(s, 0, where_is_over, where_read_hidden);
	if (s->limits->least_untouched > 0)
		scratch->mappings_from = for_each_process(s, scratch->mappings_from,
							  has_enough_mappings, where_read_mappings);
}

static void take_unmapped(struct where_walk *s)
{
	const struct held_files *files = &s->scratch->files;
	struct held_sum sums[WHERE_UNMAPPED_MAX];
	unsigned n = held_files_most(&s->scratch->files, sums, WHERE_UNMAPPED_MAX);
	char text[16];

	for (unsigned i = 0; i < files->n; i++)
		s->ret->held_bytes = add_u64(s->ret->held_bytes, files->files[i].unmapped);
	for (unsigned i = 0; i < n; i++) {
		s->ret->unmapped[i].bytes = sums[i].bytes;
		s->ret->unmapped[i].unmeasured = sums[i].unsure;
		s->ret->unmapped[i].together = sums[i].together;
		s->ret->unmapped[i].foreign = sums[i].foreign;
		s->ret->unmapped[i].creator = sums[i].creator;
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

void where_survey(int proc_fd, int root_fd, const struct where_limits *limits,
		  struct where_scratch *scratch, struct where_survey *ret)
{
	_cleanup_close_ int pagemap_fd = openat(proc_fd, "self/pagemap", O_RDONLY | O_CLOEXEC);
	struct where_walk survey = {
		.proc_fd = proc_fd,
		.root_fd = root_fd,
		.pagemap_fd = pagemap_fd,
		.memfd_device = find_memfd_device(),
		.limits = limits,
		.scratch = scratch,
		.ret = ret,
	};
	usec_t began = limits->now();

	*ret = (struct where_survey){ 0 };
	held_files_clear(&scratch->files);
	where_read_mounts(&survey);
	where_read_sysv(&survey);
	read_processes(&survey);
	take_unmapped(&survey);
	ret->took_usec = limits->now() - began;
}
