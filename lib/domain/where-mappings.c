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
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/base/lines.h"
#include "lib/domain/where-walk.h"
#include "lib/sys/proc.h"

/* Some 40,000 mappings. */
#define MAPS_BYTES (4 * MIB)

static bool is_untouched(struct where_walk *s, pid_t tid)
{
	uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	char path[64], text[128];
	struct proc_statm statm;

	snprintf(path, sizeof(path), "%d/statm", tid);
	return io_read_at(s->proc_fd, path, text, sizeof(text)) >= 0 &&
	       proc_statm_parse(text, &statm) == 0 &&
	       sub_u64(statm.size, statm.resident) >= s->least_untouched / page_size;
}

/* "7fcc41f35000-7fcc42f35000 rw-s 00000000 00:01 1031     /dev/zero (deleted)": the name of the
 * magic link, if it may be shared memory without a name.  (A System V segment may have one.) */
static bool parse_mapping(const char *line, char *name, size_t size)
{
	static const char deleted[] = " (deleted)";
	uint64_t start, end;
	unsigned major;
	char shared;
	int n = 0;
	size_t length = strlen(line);

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*c%*c%*c%c %*x %x:%*x %*u %n", &start, &end,
		   &shared, &major, &n) != 4 ||
	    n == 0 || shared != 's' || major != 0 || end < start || end - start < WHERE_FILE_MIN)
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

void where_read_mappings(struct where_walk *s, const char *pid, pid_t tid)
{
	_cleanup_close_ int fd = -EBADF, dir_fd = -EBADF;
	char path[64], name[40], *line;
	struct lines lines;

	if (!is_untouched(s, tid))
		return;
	snprintf(path, sizeof(path), "%d/maps", tid);
	fd = openat(s->proc_fd, path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%d/map_files", tid);
	dir_fd = openat(s->proc_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || dir_fd < 0)
		return;
	lines_init(&lines, fd, MAPS_BYTES);
	while (!where_is_over(s) && lines_next(&lines, &line) > 0) {
		s->n_links++;
		if (parse_mapping(line, name, sizeof(name)))
			where_read_file(s, pid, dir_fd, name, WHERE_FILE_MAPPED);
	}
}
