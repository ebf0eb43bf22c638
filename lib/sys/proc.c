/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proc: reading one process.
 *
 * The parsers are pure and do not trust their input: a process chooses its own name, and any byte
 * but NUL may be in it (see proc-scan.h).  Nothing is allocated; the buffers are on the stack.
 */
#include "lib/sys/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/sys/proc-scan.h"

/* "2147483647/task/2147483647/smaps_rollup" and some room. */
#define PROC_PATH_SIZE 64

/* Some 50 numbers, 350 bytes in practice; 20 digits each would still fit. */
#define STAT_SIZE 2048

/* 30 lines of 28 bytes. */
#define ROLLUP_SIZE 4096

/* For getdents64; some 130 threads at a time. */
#define TASK_LIST_SIZE 4096

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

/* What follows start_ticks; the addresses are 0 for a process that may not be traced. */
static void parse_addresses(const char *p, struct proc_stat *stat)
{
	uint64_t begin, end;

	/* Between them: vsize .. endcode; kstkesp .. start_brk. */
	if (*p == '\0' || skip_numbers(&p, 5) < 0 ||
	    proc_scan_number(&p, ' ', UINT64_MAX, &stat->stack_start) < 0)
		return;
	if (*p != '\0' && skip_numbers(&p, 19) == 0 &&
	    proc_scan_number(&p, ' ', UINT64_MAX, &begin) == 0 &&
	    proc_scan_number(&p, ' ', UINT64_MAX, &end) == 0)
		stat->args_length = sub_u64(end, begin);
}

/*
 * "PID (comm) S PPID ...": see proc(5).  comm may hold blanks and parentheses; nothing behind it
 * can, so it ends at the last ')'.
 */
int proc_stat_parse(const char *text, struct proc_stat *ret)
{
	uint64_t pid, ppid, pgrp, session, tty, flags, n_threads, start_ticks;
	struct proc_stat stat = {};
	const char *p = text, *end;

	if (proc_scan_number(&p, ' ', INT32_MAX, &pid) < 0 || *p++ != '(')
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

	/* Between them: tpgid; five fault counts less flags .. nice. */
	if (proc_scan_number(&p, ' ', INT32_MAX, &ppid) < 0 ||
	    proc_scan_number(&p, ' ', INT32_MAX, &pgrp) < 0 ||
	    proc_scan_number(&p, ' ', INT32_MAX, &session) < 0 ||
	    proc_scan_number(&p, ' ', INT32_MAX, &tty) < 0 || skip_numbers(&p, 1) < 0 ||
	    proc_scan_number(&p, ' ', UINT32_MAX, &flags) < 0 || skip_numbers(&p, 10) < 0 ||
	    proc_scan_number(&p, ' ', INT32_MAX, &n_threads) < 0 || skip_numbers(&p, 1) < 0 ||
	    proc_scan_number(&p, ' ', UINT64_MAX, &start_ticks) < 0)
		return -EBADMSG;

	stat.pid = (pid_t)pid;
	stat.ppid = (pid_t)ppid;
	stat.pgrp = (pid_t)pgrp;
	stat.session = (pid_t)session;
	stat.tty = (int)tty;
	stat.flags = (unsigned)flags;
	stat.n_threads = (unsigned)n_threads;
	stat.start_ticks = start_ticks;
	parse_addresses(p, &stat);
	*ret = stat;
	return 0;
}

int proc_statm_parse(const char *text, struct proc_statm *ret)
{
	const uint64_t max = UINT64_MAX / (64 * KIB); /* fits in bytes with the largest pages */
	struct proc_statm statm;
	const char *p = text;

	if (proc_scan_number(&p, ' ', max, &statm.size) < 0 ||
	    proc_scan_number(&p, ' ', max, &statm.resident) < 0 ||
	    proc_scan_number(&p, ' ', max, &statm.shared) < 0)
		return -EBADMSG;

	*ret = statm;
	return 0;
}

int proc_scan_kib_lines(const char *text, const struct proc_kib_field *fields, size_t n_fields,
			unsigned *ret_seen)
{
	unsigned seen = 0;
	const char *newline;

	for (; (newline = strchr(text, '\n')); text = newline + 1)
		for (size_t i = 0; i < n_fields; i++) {
			const char *value = proc_after_name(text, fields[i].name);

			if (!value)
				continue;
			if (proc_scan_kib(value, '\n', fields[i].value) < 0)
				return -EBADMSG;
			seen |= 1U << i;
		}
	*ret_seen = seen;
	return 0;
}

int proc_rollup_parse(const char *text, struct proc_memory *ret)
{
	struct proc_memory memory = {};
	uint64_t rss = 0;
	const struct proc_kib_field fields[] = {
		{ "Rss:", &rss },
		{ "Anonymous:", &memory.anon },
		{ "Swap:", &memory.swap },
	};
	unsigned seen;

	if (proc_scan_kib_lines(text, fields, ARRAY_SIZE(fields), &seen) < 0 ||
	    seen != (1U << ARRAY_SIZE(fields)) - 1)
		return -EBADMSG;

	memory.shared = sub_u64(rss, memory.anon);
	*ret = memory;
	return 0;
}

int proc_fold_gone(int r)
{
	return errno_is_gone(r) ? PROC_GONE : r;
}

/* All of the pid's file below dir_fd: a proc file system, or the task directory of a process, where
 * the pid is a thread's.  0, PROC_GONE or -errno. */
static int read_file(int dir_fd, pid_t pid, const char *name, char *buf, size_t size)
{
	char path[PROC_PATH_SIZE];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%d/%s", pid, name);
	n = io_read_record_at(dir_fd, path, buf, size);
	return n < 0 ? proc_fold_gone((int)n) : 0;
}

int proc_read_stat(int proc_fd, pid_t pid, struct proc_stat *ret)
{
	char buf[STAT_SIZE];
	int r;

	r = read_file(proc_fd, pid, "stat", buf, sizeof(buf));
	return r != 0 ? r : proc_stat_parse(buf, ret);
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
	r = proc_scan_number(&p, '\n', 1000, &value);
	if (r < 0)
		return r;

	*ret = buf[0] == '-' ? -(int)value : (int)value;
	return 0;
}

/* Zombie, or dead: to be reaped by its parent. */
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

/* By statm alone: swap and page tables are not known. */
static int read_statm_memory(struct memory_request *request, pid_t pid)
{
	struct proc_statm statm;
	char buf[256];
	int r;

	r = read_file(request->dir_fd, pid, "statm", buf, sizeof(buf));
	if (r != 0)
		return r;
	r = proc_statm_parse(buf, &statm);
	if (r < 0)
		return r;

	request->has_mm = statm.size > 0;
	*request->ret = (struct proc_memory){
		.anon = sub_u64(statm.resident, statm.shared) * request->page_size,
		.shared = statm.shared * request->page_size,
	};
	return 0;
}

/* status tells all that statm does, from the same counters: one file is enough.  Where it does not
 * (a kernel before 4.5), both are read. */
static int read_task_memory(struct memory_request *request, pid_t pid)
{
	struct proc_status status;
	int r;

	if (!request->with_swap)
		return read_statm_memory(request, pid);
	r = proc_read_status(request->dir_fd, pid, &status);
	if (r != 0)
		return r;

	request->has_mm = status.has_mm;
	*request->ret = (struct proc_memory){
		.anon = status.rss_anon,
		.shared = add_u64(status.rss_file, status.rss_shmem),
		.shmem = add_u64(status.rss_shmem, proc_locked_file(&status)),
	};
	if (status.has_mm && !status.has_rss)
		r = read_statm_memory(request, pid);
	request->ret->swap = status.swap_bytes;
	request->ret->pagetables = status.pagetable_bytes;
	return r;
}

/* Stops the listing at the first thread that has not released the memory yet. */
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
		return proc_fold_gone(task_fd);

	request->dir_fd = task_fd;
	r = proc_list(task_fd, buf, sizeof(buf), read_thread_memory, request);
	return r < 0 ? proc_fold_gone(r) : 0;
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
	/* A leader without memory may have exited, also since stat was read, while its threads are
	 * alive: they hold the memory of the process. */
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

		/* No memory: gone, or a leader that has exited before its threads. */
		r = proc_find_live_thread(proc_fd, pid, &tid);
		if (r != 0)
			return r;
		(void)snprintf(path, sizeof(path), "%d/task/%d/smaps_rollup", pid, tid);
		n = io_read_at(proc_fd, path, buf, sizeof(buf));
		r = n < 0 ? proc_fold_gone((int)n) : 0;
	}
	return r != 0 ? r : proc_rollup_parse(buf, ret);
}

/* A name that is a pid: the kernel writes digits, without zeros in front. */
static pid_t pid_of_name(const char *name)
{
	uint64_t pid;

	if (*name == '0' || proc_scan_number(&name, '\0', INT32_MAX, &pid) < 0)
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
		return proc_fold_gone(task_fd);

	r = proc_list(task_fd, buf, sizeof(buf), find_live_thread, &live);
	if (r < 0)
		return proc_fold_gone(r);
	if (r == 0)
		return PROC_GONE;

	*ret_tid = live.tid;
	return 0;
}
