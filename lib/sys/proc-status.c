/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proc-status: /proc/PID/status.
 *
 * The kernel writes some 60 lines, of which thirteen are wanted.  A line is identified by its first
 * letter before any name is compared, names are compared in place (a call for each takes half of
 * all), and nothing is read behind "Threads:", the last one wanted.  No value can hold a newline (a
 * name's is written as "\n"), so each line begins with its name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/sys/proc-scan.h"
#include "lib/sys/proc.h"

/* Some 1,500 bytes in practice; the list of groups, which is in front, makes it longer. */
#define STATUS_SIZE 4096

struct status_parser {
	struct proc_status status;
	bool has_uid;
	bool is_done; /* "Threads:" was seen: nothing wanted follows it */
};

/* "1234\n" */
static int parse_u32(const char *value, uint32_t max, uint64_t *ret)
{
	return proc_scan_number(&value, '\n', max, ret);
}

static int parse_state(const char *value, struct proc_status *status)
{
	if (value[0] == '\0' || !strchr("RSDTtWXxZPIK", value[0]) ||
	    (value[1] != ' ' && value[1] != '\n'))
		return -EBADMSG;
	status->state = value[0];
	return 0;
}

/* real, effective, saved, file system */
static int parse_uids(const char *value, struct status_parser *parser)
{
	uint64_t uid;

	if (proc_scan_number(&value, '\t', UINT32_MAX, &uid) < 0 ||
	    proc_scan_number(&value, '\t', UINT32_MAX, &uid) < 0)
		return -EBADMSG;
	parser->status.uid = (uid_t)uid;
	parser->has_uid = true;
	return 0;
}

static int parse_threads(const char *value, struct status_parser *parser)
{
	uint64_t number;

	if (parse_u32(value, INT32_MAX, &number) < 0)
		return -EBADMSG;
	parser->status.n_threads = (unsigned)number;
	parser->is_done = true;
	return 0;
}

static int parse_pid(const char *value, pid_t *ret)
{
	uint64_t number;

	if (parse_u32(value, INT32_MAX, &number) < 0)
		return -EBADMSG;
	*ret = (pid_t)number;
	return 0;
}

/* What follows the name, a literal, if the line of this length begins with it; else NULL. */
#define AFTER(line, length, name)                                                                  \
	((length) >= sizeof(name) - 1 && memcmp((line), (name), sizeof(name) - 1) == 0             \
		 ? (line) + sizeof(name) - 1                                                       \
		 : NULL)

/* RssAnon, RssFile, RssShmem. */
static int parse_rss(const char *line, size_t length, struct proc_status *status)
{
	const char *value;

	if ((value = AFTER(line, length, "RssAnon:"))) {
		status->has_rss = true;
		return proc_scan_kib(value, '\n', &status->rss_anon);
	}
	if ((value = AFTER(line, length, "RssFile:")))
		return proc_scan_kib(value, '\n', &status->rss_file);
	if ((value = AFTER(line, length, "RssShmem:")))
		return proc_scan_kib(value, '\n', &status->rss_shmem);
	return 0;
}

/* VmSize, VmLck, VmExe, VmPTE, VmSwap. */
static int parse_vm(const char *line, size_t length, struct proc_status *status)
{
	const char *value;

	status->has_mm = true;
	if ((value = AFTER(line, length, "VmLck:")))
		return proc_scan_kib(value, '\n', &status->locked_bytes);
	if ((value = AFTER(line, length, "VmPTE:")))
		return proc_scan_kib(value, '\n', &status->pagetable_bytes);
	if ((value = AFTER(line, length, "VmExe:")))
		return proc_scan_kib(value, '\n', &status->code_bytes);
	if ((value = AFTER(line, length, "VmSwap:")))
		return proc_scan_kib(value, '\n', &status->swap_bytes);
	return 0;
}

static int parse_line(const char *line, size_t length, struct status_parser *parser)
{
	struct proc_status *status = &parser->status;
	const char *value = NULL;

	switch (line[0]) {
	case 'S':
		value = AFTER(line, length, "State:\t");
		return value ? parse_state(value, status) : 0;
	case 'T':
		if ((value = AFTER(line, length, "Tgid:\t")))
			return parse_pid(value, &status->tgid);
		value = AFTER(line, length, "Threads:\t");
		return value ? parse_threads(value, parser) : 0;
	case 'P':
		value = AFTER(line, length, "PPid:\t");
		return value ? parse_pid(value, &status->ppid) : 0;
	case 'U':
		value = AFTER(line, length, "Uid:\t");
		return value ? parse_uids(value, parser) : 0;
	case 'R':
		return parse_rss(line, length, status);
	case 'V':
		return line[1] == 'm' ? parse_vm(line, length, status) : 0;
	default:
		return 0;
	}
}

/* Takes in the lines of text that are whole; *ret_rest is where the last, cut one begins. */
static int parse_lines(const char *text, size_t length, struct status_parser *parser,
		       const char **ret_rest)
{
	const char *end = text + length, *newline;
	int r;

	while (!parser->is_done && (newline = memchr(text, '\n', (size_t)(end - text)))) {
		r = parse_line(text, (size_t)(newline - text), parser);
		if (r < 0)
			return r;
		text = newline + 1;
	}

	*ret_rest = text;
	return 0;
}

int proc_status_parse(const char *text, struct proc_status *ret)
{
	struct status_parser parser = {};
	const char *rest;
	int r;

	r = parse_lines(text, strlen(text), &parser, &rest);
	if (r < 0)
		return r;
	if (!parser.has_uid)
		return -EBADMSG;

	*ret = parser.status;
	return 0;
}

/*
 * Piece by piece, until what is wanted has been seen: "Groups:" precedes the memory, and a process
 * may be in 65536 groups (half a MiB).  A line longer than the buffer is none of ours.
 */
static int read_status(int fd, bool read_on, struct proc_status *ret)
{
	struct status_parser parser = {};
	char buf[STATUS_SIZE];
	unsigned n_interruptions = 0;
	size_t kept = 0;
	off_t at = 0;

	while (!parser.is_done) {
		const char *rest;
		ssize_t n;
		int r;

		n = pread(fd, buf + kept, sizeof(buf) - 1 - kept, at);
		if (io_is_interrupted(n, &n_interruptions))
			continue;
		if (n < 0)
			return proc_fold_gone(-errno);
		if (n == 0)
			break;
		at += n;
		kept += (size_t)n;
		buf[kept] = '\0';

		r = parse_lines(buf, kept, &parser, &rest);
		if (r < 0)
			return r;
		kept -= (size_t)(rest - buf);
		if (at == sizeof(buf) - 1 && !parser.is_done && !parser.status.has_mm) {
			parser.status.is_oversized = true;
			if (!read_on)
				break;
		}
		if (kept == sizeof(buf) - 1)
			kept = 1; /* its beginning, so that no middle is taken for a line */
		memmove(buf, rest, kept);
	}
	if (!parser.has_uid)
		return -EBADMSG;

	*ret = parser.status;
	return parser.status.is_oversized && !read_on ? -E2BIG : 0;
}

int proc_read_status_fd(int fd, struct proc_status *ret)
{
	return read_status(fd, false, ret);
}

int proc_read_status_all_fd(int fd, struct proc_status *ret)
{
	return read_status(fd, true, ret);
}

int proc_read_status(int proc_fd, pid_t pid, struct proc_status *ret)
{
	_cleanup_close_ int fd = -EBADF;
	char path[32];

	(void)snprintf(path, sizeof(path), "%d/status", pid);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return proc_fold_gone(-errno);
	return read_status(fd, true, ret);
}
