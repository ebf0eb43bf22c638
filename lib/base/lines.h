/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lines: a file of any size, line by line, through one small buffer.  Allocates nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define LINES_SIZE 4096

struct lines {
	int fd;	     /* borrowed; read from its current offset */
	size_t left; /* so many bytes may still be read */
	bool is_cut; /* there was more than that */
	bool is_end;
	size_t from, used; /* in buf */
	char buf[LINES_SIZE];
};

void lines_init(struct lines *lines, int fd, size_t max_bytes);

/*
 * 1 with the next line, which has a NUL in place of its newline and is valid until the next call; 0
 * at the end (of the file, or of what may be read); -errno.  A line that was cut is not returned.
 * Of one that is longer than the buffer the middle is missing: its first and its last kilobyte are
 * kept.
 */
int lines_next(struct lines *lines, char **ret);
