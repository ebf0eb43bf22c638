/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * where-mappings: the survey: files that processes map and have touched little of.
 *
 * Of such a mapping nothing is resident in the process, but it keeps all of the file.  The child of
 * a process with shared anonymous memory has it from fork(2) on.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/base/lines.h"
#include "lib/domain/where-walk.h"
#include "lib/sys/proc.h"

/* Some 40,000 mappings. */
#define MAPS_BYTES (4 * MIB)
/* The clock is read after so many lines: some 10 us, or 1 ms where each is of a file. */
#define LINES_CHECKED 32

/* 0: not known, or its first thread has exited. */
static uint64_t read_size(struct where_walk *s, pid_t tid, uint64_t *ret_untouched)
{
	uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	char path[64], text[128];
	struct proc_statm statm;

	snprintf(path, sizeof(path), "%d/statm", tid);
	if (io_read_at(s->proc_fd, path, text, sizeof(text)) < 0 ||
	    proc_statm_parse(text, &statm) != 0)
		return 0;
	*ret_untouched = sub_u64(statm.size, statm.resident) * page_size;
	return statm.size;
}

/* A thread of it, if there is enough that it has not touched; 0: there is not. */
static pid_t find_untouched(struct where_walk *s, pid_t pid)
{
	uint64_t untouched = 0;
	pid_t tid = pid;

	if (read_size(s, pid, &untouched) == 0) {
		tid = where_find_thread(s, pid);
		if (tid == pid || read_size(s, tid, &untouched) == 0)
			return 0;
	}
	return untouched >= s->limits->least_untouched ? tid : 0;
}

/* "7fcc41f35000-7fcc42f35000 rw-s ...": most are not, and a process may have 65,530. */
static bool is_shared(const char *line)
{
	const char *flags = strchr(line, ' ');

	return flags && strnlen(flags, 5) == 5 && flags[4] == 's';
}

/* "7fcc41f35000-7fcc42f35000 rw-s 00000000 00:01 1031     /dev/zero (deleted)": the name of the
 * magic link, if it may be shared memory without a name.  (A System V segment may have one.) */
static bool parse_mapping(const char *line, char *name, size_t size)
{
	static const char deleted[] = " (deleted)";
	uint64_t start, end;
	unsigned major;
	int n = 0;
	size_t length;

	if (!is_shared(line))
		return false;
	length = strlen(line);
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*x %x:%*x %*u %n", &start, &end, &major,
		   &n) != 3 ||
	    major != 0 || end < start || end - start < WHERE_MAPPING_MIN)
		return false;
	line += n;
	length -= (size_t)n;
	if (strncmp(line, "[anon_shmem:", 12) != 0 &&
	    (line[0] != '/' || strncmp(line, "/SYSV", 5) == 0 || length < sizeof(deleted) - 1 ||
	     strcmp(line + length - (sizeof(deleted) - 1), deleted) != 0))
		return false;
	snprintf(name, size, "%" PRIx64 "-%" PRIx64, start, end);
	return true;
}

void where_read_mappings(struct where_walk *s, const char *pid)
{
	_cleanup_close_ int fd = -EBADF, dir_fd = -EBADF;
	pid_t tid = find_untouched(s, (pid_t)strtol(pid, NULL, 10));
	char path[64], name[40], *line;
	struct proc_status status;
	struct lines lines;

	if (tid == 0)
		return;
	s->other_device = 0;
	s->uid = proc_read_status(s->proc_fd, tid, &status) == 0 ? status.uid : (uid_t)-1;
	snprintf(path, sizeof(path), "%d/maps", tid);
	fd = openat(s->proc_fd, path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%d/map_files", tid);
	dir_fd = openat(s->proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || dir_fd < 0)
		return;
	lines_init(&lines, fd, MAPS_BYTES);
	while (lines_next(&lines, &line) > 0) {
		if (++s->n_lines % LINES_CHECKED == 0 && where_is_late(s))
			break;
		if (parse_mapping(line, name, sizeof(name)))
			where_read_file(s, pid, dir_fd, name, WHERE_FILE_MAPPED);
	}
}
