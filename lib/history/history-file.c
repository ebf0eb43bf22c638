/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* history-file: reads, replaces and sets aside the file.  Called by the daemon's history-store.c,
 * at start and on its thread, and by reckonctl. */
#include "lib/history/history-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/history/history.h"

#define NEW_NAME HISTORY_FILE_NAME ".new"

/* What is not even to be read: 0, or -EBADMSG with the reason. */
static int check(int fd, char *error, size_t error_size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		snprintf(error, error_size, "it is not a file");
	else if (st.st_size > (off_t)HISTORY_TEXT_MAX)
		snprintf(error, error_size, "it is longer than %u bytes",
			 (unsigned)HISTORY_TEXT_MAX);
	else
		return 0;
	return -EBADMSG;
}

/* (Mapped, not from the heap, which would never shrink again.) */
static int read_from(int fd, struct history *history, char *error, size_t error_size)
{
	const size_t size = HISTORY_TEXT_MAX + 1;
	char *text;
	ssize_t n;
	int r;

	r = check(fd, error, error_size);
	if (r < 0)
		return r;
	text = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (text == MAP_FAILED)
		return -errno;
	n = io_read_fd(fd, text, size);
	r = n < 0 ? (int)n : history_decode(history, text, (size_t)n, error, error_size);
	(void)munmap(text, size);
	return r;
}

int history_file_peek(int dir_fd, struct history *history, char *error, size_t error_size)
{
	_cleanup_close_ int fd = -EBADF;

	error[0] = '\0';
	/* (A fifo must not block; a link would lead out of the directory.) */
	fd = openat(dir_fd, HISTORY_FILE_NAME,
		    O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return HISTORY_FILE_MISSING;
	if (fd < 0 && errno != ELOOP)
		return -errno;
	if (fd < 0) {
		snprintf(error, error_size, "it is a symbolic link");
		return -EBADMSG;
	}
	return read_from(fd, history, error, error_size);
}

int history_file_read(int dir_fd, struct history *history, char *error, size_t error_size)
{
	int r = history_file_peek(dir_fd, history, error, error_size);

	if (r != -EBADMSG)
		return r;
	if (renameat(dir_fd, HISTORY_FILE_NAME, dir_fd, HISTORY_FILE_BAD_NAME) < 0)
		return -errno;
	return HISTORY_FILE_SET_ASIDE;
}

static int write_all(int fd, const char *text, size_t length)
{
	unsigned n_interruptions = 0;

	while (length > 0) {
		ssize_t n = write(fd, text, length);

		if (io_is_interrupted(n, &n_interruptions))
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		text += n;
		length -= (size_t)n;
	}
	return 0;
}

static int write_new(int dir_fd, const char *text, size_t length)
{
	_cleanup_close_ int fd = openat(dir_fd, NEW_NAME,
					O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = write_all(fd, text, length);
	/* The name must not reach the disk before the file's data: the history is needed most after
	 * a machine had to be reset. */
	if (r == 0 && fdatasync(fd) < 0)
		r = -errno;
	return r;
}

int history_file_write(int dir_fd, const char *text, size_t length)
{
	int r;

	if (unlinkat(dir_fd, NEW_NAME, 0) < 0 && errno != ENOENT)
		return -errno; /* what an earlier one left behind */
	r = write_new(dir_fd, text, length);
	if (r == 0 && renameat(dir_fd, NEW_NAME, dir_fd, HISTORY_FILE_NAME) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dir_fd, NEW_NAME, 0);
	return r;
}
