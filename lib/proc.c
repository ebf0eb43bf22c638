/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proc: reading one process.
 *
 * The parsers are pure and take nothing on trust: a process chooses its own name, and any byte
 * but NUL may be in it.  A number counts only if what ends it is there too, so a text that was
 * cut can be refused but is never misread.  Nothing is allocated; the buffers are on the stack.
 */
#include "lib/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"

/* "2147483647/task/2147483647/smaps_rollup" and some room. */
#define PROC_PATH_SIZE 64

/* Some 50 numbers, 350 bytes in practice; 20 digits each would still fit. */
#define STAT_SIZE 2048

/* 30 lines of 28 bytes. */
#define ROLLUP_SIZE 4096

/* For getdents64; some 130 threads at a time. */
#define TASK_LIST_SIZE 4096

/* Digits, up to max, followed by the byte `end`; *p is moved behind that. */
static int scan_number(const char **p, char end, uint64_t max, uint64_t *ret)
{
	const char *s = *p;
	uint64_t value = 0;

	if (*s < '0' || *s > '9')
		return -EBADMSG;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*s - '0'), &value))
			return -EBADMSG;
	if (*s != end || value > max)
		return -EBADMSG;

	*p = s + 1;
	*ret = value;
	return 0;
}

/* n numbers of any sign, each followed by a blank. */
static int skip_numbers(const char **p, unsigned n)
{
	const char *s = *p;

	while (n-- > 0) {
		size_t digits;

		s += *s == '-';
		digits = strspn(s, "0123456789");
		if (digits == 0 || s[digits] != ' ')
			return -EBADMSG;
		s += digits + 1;
	}

	*p = s;
	return 0;
}

/*
 * "PID (comm) S PPID ...": see proc(5).  comm may hold blanks and parentheses; nothing behind it
 * can, so it ends at the last ')'.
 */
int proc_stat_parse(const char *text, struct proc_stat *ret)
{
	uint64_t pid, ppid, session, flags, n_threads, start_ticks;
	struct proc_stat stat = {};
	const char *p = text, *end;

	if (scan_number(&p, ' ', INT32_MAX, &pid) < 0 || *p++ != '(')
		return -EBADMSG;
	end = strrchr(p, ')');
	if (!end || (size_t)(end - p) >= sizeof(stat.comm))
		return -EBADMSG;
	memcpy(stat.comm, p, (size_t)(end - p));

	p = end + 1;
	if (p[0] != ' ' || p[1] == '\0' || !strchr("RSDTtWXxZPIK", p[1]) || p[2] != ' ')
		return -EBADMSG;
	stat.state = p[1];
	p += 3;

	/* Between them: pgrp; tty_nr tpgid; five fault counts less flags .. nice. */
	if (scan_number(&p, ' ', INT32_MAX, &ppid) < 0 || skip_numbers(&p, 1) < 0 ||
	    scan_number(&p, ' ', INT32_MAX, &session) < 0 || skip_numbers(&p, 2) < 0 ||
	    scan_number(&p, ' ', UINT32_MAX, &flags) < 0 || skip_numbers(&p, 10) < 0 ||
	    scan_number(&p, ' ', INT32_MAX, &n_threads) < 0 || skip_numbers(&p, 1) < 0 ||
	    scan_number(&p, ' ', UINT64_MAX, &start_ticks) < 0)
		return -EBADMSG;

	stat.pid = (pid_t)pid;
	stat.ppid = (pid_t)ppid;
	stat.session = (pid_t)session;
	stat.flags = (unsigned)flags;
	stat.n_threads = (unsigned)n_threads;
	stat.start_ticks = start_ticks;
	*ret = stat;
	return 0;
}

int proc_statm_parse(const char *text, struct proc_statm *ret)
{
	const uint64_t max = UINT64_MAX / (64 * KIB); /* fits in bytes with the largest pages */
	struct proc_statm statm;
	const char *p = text;

	if (scan_number(&p, ' ', max, &statm.size) < 0 ||
	    scan_number(&p, ' ', max, &statm.resident) < 0 ||
	    scan_number(&p, ' ', max, &statm.shared) < 0)
		return -EBADMSG;

	*ret = statm;
	return 0;
}

/* "   1234 kB\n", as in status and smaps. */
static int parse_kib(const char *text, uint64_t *ret_bytes)
{
	uint64_t kib, bytes;

	text += strspn(text, " \t");
	if (scan_number(&text, ' ', UINT64_MAX, &kib) < 0 || strncmp(text, "kB\n", 3) != 0 ||
	    __builtin_mul_overflow(kib, KIB, &bytes))
		return -EBADMSG;

	*ret_bytes = bytes;
	return 0;
}

/* What follows the name (with its colon) if the line begins with it, else NULL. */
static const char *after_name(const char *line, const char *name)
{
	size_t length = strlen(name);

	return strncmp(line, name, length) == 0 ? line + length : NULL;
}

enum {
	STATUS_UID = 1 << 0,
	STATUS_PAGETABLES = 1 << 1,
	STATUS_SWAP = 1 << 2,
	STATUS_ALL = (1 << 3) - 1,
};

static int status_parse_line(const char *line, struct proc_status *status, unsigned *seen)
{
	const char *value;
	uint64_t uid, tgid;

	value = after_name(line, "Tgid:\t");
	if (value) {
		if (scan_number(&value, '\n', INT32_MAX, &tgid) < 0)
			return -EBADMSG;
		status->tgid = (pid_t)tgid;
		return 0;
	}

	value = after_name(line, "Uid:\t"); /* real, effective, saved, file system */
	if (value) {
		if (scan_number(&value, '\t', UINT32_MAX, &uid) < 0 ||
		    scan_number(&value, '\t', UINT32_MAX, &uid) < 0)
			return -EBADMSG;
		status->uid = (uid_t)uid;
		*seen |= STATUS_UID;
		return 0;
	}

	value = after_name(line, "VmPTE:");
	if (value) {
		*seen |= STATUS_PAGETABLES;
		return parse_kib(value, &status->pagetable_bytes);
	}

	value = after_name(line, "VmSwap:");
	if (value) {
		*seen |= STATUS_SWAP;
		return parse_kib(value, &status->swap_bytes);
	}
	return 0;
}

/* Takes in the lines of text that are whole; *ret_rest is where the last, cut one begins. */
static int status_parse_lines(const char *text, struct proc_status *status, unsigned *seen,
			      const char **ret_rest)
{
	const char *newline;
	int r;

	for (; (newline = strchr(text, '\n')); text = newline + 1) {
		r = status_parse_line(text, status, seen);
		if (r < 0)
			return r;
	}

	*ret_rest = text;
	return 0;
}

int proc_status_parse(const char *text, struct proc_status *ret)
{
	struct proc_status status = {};
	unsigned seen = 0;
	const char *rest;
	int r;

	r = status_parse_lines(text, &status, &seen, &rest);
	if (r < 0)
		return r;
	if (!(seen & STATUS_UID))
		return -EBADMSG;

	*ret = status;
	return 0;
}

int proc_rollup_parse(const char *text, struct proc_memory *ret)
{
	struct proc_memory memory = {};
	uint64_t rss = 0;
	const struct {
		const char *name;
		uint64_t *value;
	} fields[] = {
		{ "Rss:", &rss },
		{ "Anonymous:", &memory.anon },
		{ "Swap:", &memory.swap },
	};
	unsigned seen = 0;
	const char *newline;

	for (; (newline = strchr(text, '\n')); text = newline + 1)
		for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
			const char *value = after_name(text, fields[i].name);

			if (!value)
				continue;
			if (parse_kib(value, fields[i].value) < 0)
				return -EBADMSG;
			seen |= 1U << i;
		}
	if (seen != (1U << ARRAY_SIZE(fields)) - 1)
		return -EBADMSG;

	memory.shared = sub_u64(rss, memory.anon);
	*ret = memory;
	return 0;
}

/* 0, or PROC_GONE for what a process that went looks like, at open as at read. */
static int fold_gone(int r)
{
	return errno_is_gone(r) ? PROC_GONE : r;
}

/*
 * The pid's file below dir_fd: a proc file system, or the task directory of a process, where the
 * pid is a thread's.  0, PROC_GONE or -errno.
 */
static int read_file(int dir_fd, pid_t pid, const char *name, char *buf, size_t size)
{
	char path[PROC_PATH_SIZE];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%d/%s", pid, name);
	n = io_read_at(dir_fd, path, buf, size);
	return n < 0 ? fold_gone((int)n) : 0;
}

int proc_read_stat(int proc_fd, pid_t pid, struct proc_stat *ret)
{
	char buf[STAT_SIZE];
	int r;

	r = read_file(proc_fd, pid, "stat", buf, sizeof(buf));
	return r != 0 ? r : proc_stat_parse(buf, ret);
}

/*
 * Piece by piece, until what is wanted has been seen: "Groups:" comes before it, and a process
 * may be in 65536 groups (half a MiB).  A line longer than the buffer is none of ours.
 */
int proc_read_status(int proc_fd, pid_t pid, struct proc_status *ret)
{
	struct proc_status status = {};
	char path[PROC_PATH_SIZE], buf[4096];
	_cleanup_close_ int fd = -EBADF;
	unsigned seen = 0;
	size_t kept = 0;
	off_t at = 0;
	int r;

	(void)snprintf(path, sizeof(path), "%d/status", pid);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fold_gone(-errno);

	while (seen != STATUS_ALL) {
		const char *rest;
		ssize_t n;

		n = pread(fd, buf + kept, sizeof(buf) - 1 - kept, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fold_gone(-errno);
		if (n == 0)
			break;
		at += n;
		buf[kept + (size_t)n] = '\0';

		r = status_parse_lines(buf, &status, &seen, &rest);
		if (r < 0)
			return r;
		kept = strlen(rest);
		if (kept == sizeof(buf) - 1)
			kept = 1; /* its beginning, so that no middle is taken for a line */
		memmove(buf, rest, kept);
	}
	if (!(seen & STATUS_UID))
		return -EBADMSG;

	*ret = status;
	return 0;
}

int proc_read_oom_score_adj(int proc_fd, pid_t pid, int *ret)
{
	uint64_t value;
	const char *p;
	char buf[32];
	int r;

	r = read_file(proc_fd, pid, "oom_score_adj", buf, sizeof(buf));
	if (r != 0)
		return r;

	p = buf + (buf[0] == '-');
	r = scan_number(&p, '\n', 1000, &value);
	if (r < 0)
		return r;

	*ret = buf[0] == '-' ? -(int)value : (int)value;
	return 0;
}

/* Zombie, or dead: what is left is to be waited for. */
static bool state_is_dead(char state)
{
	return state == 'Z' || state == 'X' || state == 'x';
}

struct memory_request {
	int dir_fd; /* proc, or the task directory of a process */
	bool with_swap;
	uint64_t page_size;
	struct proc_memory *ret;
	bool has_mm; /* the task has memory of its own: no zombie, no kernel thread */
};

static int read_task_memory(struct memory_request *request, pid_t pid)
{
	struct proc_status status = {};
	struct proc_statm statm;
	char buf[256];
	int r;

	r = read_file(request->dir_fd, pid, "statm", buf, sizeof(buf));
	if (r != 0)
		return r;
	r = proc_statm_parse(buf, &statm);
	if (r < 0)
		return r;

	if (request->with_swap) {
		r = proc_read_status(request->dir_fd, pid, &status);
		if (r != 0)
			return r;
	}

	request->has_mm = statm.size > 0;
	*request->ret = (struct proc_memory){
		.anon = sub_u64(statm.resident, statm.shared) * request->page_size,
		.swap = status.swap_bytes,
		.shared = statm.shared * request->page_size,
		.pagetables = status.pagetable_bytes,
	};
	return 0;
}

/* Ends the listing at the first thread that has not let go of the memory yet. */
static int read_thread_memory(pid_t tid, void *userdata)
{
	struct memory_request *request = userdata;
	int r;

	r = read_task_memory(request, tid);
	if (r < 0)
		return r;
	return r == 0 && request->has_mm;
}

static int open_tasks(int proc_fd, pid_t pid)
{
	char path[PROC_PATH_SIZE];
	int fd;

	(void)snprintf(path, sizeof(path), "%d/task", pid);
	fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int read_memory_by_threads(int proc_fd, pid_t pid, struct memory_request *request)
{
	_Alignas(struct dirent64) char buf[TASK_LIST_SIZE];
	_cleanup_close_ int task_fd = open_tasks(proc_fd, pid);
	int r;

	if (task_fd < 0)
		return fold_gone(task_fd);

	request->dir_fd = task_fd;
	r = proc_list(task_fd, buf, sizeof(buf), read_thread_memory, request);
	return r < 0 ? fold_gone(r) : 0;
}

int proc_read_memory(int proc_fd, const struct proc_stat *stat, bool with_swap, uint64_t page_size,
		     struct proc_memory *ret)
{
	struct proc_memory memory = {};
	struct memory_request request = {
		.dir_fd = proc_fd,
		.with_swap = with_swap,
		.page_size = page_size,
		.ret = &memory,
	};
	int r = 0;

	if (!(stat->flags & PROC_FLAG_KTHREAD) && !state_is_dead(stat->state))
		r = read_task_memory(&request, stat->pid);
	/* A leader without memory may have ended, also since stat was read, while its threads
	 * live on: they hold what was the process's. */
	if (r == 0 && !request.has_mm && stat->n_threads > 1)
		r = read_memory_by_threads(proc_fd, stat->pid, &request);
	if (r == 0)
		*ret = memory;
	return r;
}

int proc_read_rollup(int proc_fd, pid_t pid, struct proc_memory *ret)
{
	char path[PROC_PATH_SIZE], buf[ROLLUP_SIZE];
	pid_t tid;
	int r;

	r = read_file(proc_fd, pid, "smaps_rollup", buf, sizeof(buf));
	if (r == PROC_GONE) {
		ssize_t n;

		/* No memory: gone, or a leader that has ended before its threads. */
		r = proc_find_live_thread(proc_fd, pid, &tid);
		if (r != 0)
			return r;
		(void)snprintf(path, sizeof(path), "%d/task/%d/smaps_rollup", pid, tid);
		n = io_read_at(proc_fd, path, buf, sizeof(buf));
		r = n < 0 ? fold_gone((int)n) : 0;
	}
	return r != 0 ? r : proc_rollup_parse(buf, ret);
}

/* A name that is a pid: the kernel writes digits, without zeros in front. */
static pid_t pid_of_name(const char *name)
{
	uint64_t pid;

	if (*name == '0' || scan_number(&name, '\0', INT32_MAX, &pid) < 0)
		return 0;
	return (pid_t)pid;
}

int proc_list_part(int fd, void *buf, size_t size, proc_list_fn f, void *userdata, bool *ret_end)
{
	ssize_t n = getdents64(fd, buf, size);

	if (n < 0)
		return -errno;
	*ret_end = n == 0;
	for (ssize_t at = 0; at < n;) {
		const struct dirent64 *entry = (const void *)((const char *)buf + at);
		pid_t pid = pid_of_name(entry->d_name);
		int r = pid > 0 ? f(pid, userdata) : 0;

		if (r != 0)
			return r;
		at += entry->d_reclen;
	}
	return 0;
}

int proc_list(int proc_fd, void *buf, size_t size, proc_list_fn f, void *userdata)
{
	/* One of its own, for its position: others may be listing the same directory. */
	_cleanup_close_ int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool end = false;
	int r = fd < 0 ? -errno : 0;

	while (r == 0 && !end)
		r = proc_list_part(fd, buf, size, f, userdata, &end);
	return r;
}

struct live_thread {
	int task_fd;
	pid_t tid;
};

static int find_live_thread(pid_t tid, void *userdata)
{
	struct live_thread *live = userdata;
	struct proc_stat stat;
	int r;

	r = proc_read_stat(live->task_fd, tid, &stat);
	if (r < 0)
		return r;
	if (r == PROC_GONE || state_is_dead(stat.state))
		return 0;

	live->tid = tid;
	return 1;
}

int proc_find_live_thread(int proc_fd, pid_t pid, pid_t *ret_tid)
{
	_Alignas(struct dirent64) char buf[TASK_LIST_SIZE];
	_cleanup_close_ int task_fd = open_tasks(proc_fd, pid);
	struct live_thread live = { .task_fd = task_fd };
	int r;

	if (task_fd < 0)
		return fold_gone(task_fd);

	r = proc_list(task_fd, buf, sizeof(buf), find_live_thread, &live);
	if (r < 0)
		return fold_gone(r);
	if (r == 0)
		return PROC_GONE;

	*ret_tid = live.tid;
	return 0;
}
