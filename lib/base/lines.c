/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lines: a file of any size, line by line.
 */
#include "lib/base/lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/io.h"
#include "lib/base/util.h"

#define LINES_KEPT (LINES_SIZE / 4)

void lines_init(struct lines *lines, int fd, size_t max_bytes)
{
	lines->fd = fd;
	lines->left = max_bytes;
	lines->is_cut = false;
	lines->is_end = false;
	lines->from = 0;
	lines->used = 0;
}

/* Makes room behind what is there, by leaving out the middle of a line if need be. */
static void make_room(struct lines *lines)
{
	memmove(lines->buf, lines->buf + lines->from, lines->used - lines->from);
	lines->used -= lines->from;
	lines->from = 0;
	if (lines->used < LINES_SIZE)
		return;
	memmove(lines->buf + LINES_KEPT, lines->buf + LINES_SIZE - LINES_KEPT, LINES_KEPT);
	lines->used = (size_t)2 * LINES_KEPT;
}

/* *ret: so many bytes were added. */
static int read_more(struct lines *lines, size_t *ret)
{
	unsigned n_interruptions = 0;
	size_t room;
	ssize_t n;
	char more;

	make_room(lines);
	room = LINES_SIZE - lines->used;
	*ret = 0;
	do
		n = lines->left == 0
			    ? read(lines->fd, &more, 1)
			    : read(lines->fd, lines->buf + lines->used, min_u64(room, lines->left));
	while (io_is_interrupted(n, &n_interruptions));
	if (n < 0)
		return -errno;
	lines->is_end = n == 0 || lines->left == 0;
	lines->is_cut = n > 0 && lines->left == 0;
	if (lines->is_end)
		return 0;
	lines->left -= (size_t)n;
	lines->used += (size_t)n;
	*ret = (size_t)n;
	return 0;
}

int lines_next(struct lines *lines, char **ret)
{
	size_t fresh = lines->used - lines->from; /* not searched yet, at the end of buf */

	for (;;) {
		char *begin = lines->buf + lines->used - fresh;
		char *newline = memchr(begin, '\n', fresh);
		int r;

		if (newline) {
			*newline = '\0';
			*ret = lines->buf + lines->from;
			lines->from = (size_t)(newline + 1 - lines->buf);
			return 1;
		}
		if (lines->is_end)
			return 0;
		r = read_more(lines, &fresh);
		if (r < 0)
			return r;
	}
}
