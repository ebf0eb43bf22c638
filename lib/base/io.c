/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * io: small files of /proc and of cgroup file systems, at a directory fd.
 *
 * Everything that is read from the kernel is read by these functions, so the whole of lib/ can be
 * pointed at a tree of fixtures.  Reading is by pread(2): a kept fd is read again from its
 * beginning without a seek, and two readers of one fd do not disturb each other.
 */
#include "lib/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"

#define INTERRUPTIONS_MAX 20

bool io_is_interrupted(ssize_t r, unsigned *n_interruptions)
{
	return r < 0 && errno == EINTR && (*n_interruptions)++ < INTERRUPTIONS_MAX;
}

static ssize_t read_all(int fd, char *buf, size_t size, bool is_record)
{
	unsigned n_interruptions = 0;
	size_t length = 0;
	ssize_t n;
	char more;

	if (size == 0)
		return -ENOBUFS;

	/* Multi-record files (cgroup.procs, smaps) are returned in pieces; only 0 is the end. */
	do {
		bool full = length == size - 1;

		n = pread(fd, full ? &more : buf + length, full ? 1 : size - 1 - length,
			  (off_t)length);
		if (io_is_interrupted(n, &n_interruptions))
			continue;
		if (n < 0)
			return -errno;
		if (n > 0 && full) {
			buf[length] = '\0';
			return -ENOBUFS;
		}
		if (n > 0)
			length += (size_t)n;
	} while (n != 0 && !(is_record && n > 0 && length < size - 1 && buf[length - 1] == '\n'));

	buf[length] = '\0';
	return (ssize_t)length;
}

static ssize_t read_at(int dir_fd, const char *path, char *buf, size_t size, bool is_record)
{
	_cleanup_close_ int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return -errno;
	return read_all(fd, buf, size, is_record);
}

ssize_t io_read_at(int dir_fd, const char *path, char *buf, size_t size)
{
	return read_at(dir_fd, path, buf, size, false);
}

ssize_t io_read_fd(int fd, char *buf, size_t size)
{
	return read_all(fd, buf, size, false);
}

ssize_t io_read_record_at(int dir_fd, const char *path, char *buf, size_t size)
{
	return read_at(dir_fd, path, buf, size, true);
}

ssize_t io_read_record_fd(int fd, char *buf, size_t size)
{
	return read_all(fd, buf, size, true);
}

int io_write_at(int dir_fd, const char *path, const char *text)
{
	unsigned n_interruptions = 0;
	size_t length = strlen(text);
	_cleanup_close_ int fd = -EBADF;
	ssize_t n;

	/* No O_TRUNC: kernfs would take it for a change of attributes and allocate for it
	 * (kernfs_iop_setattr), which is not wanted while memory is short. */
	fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;

	do
		n = write(fd, text, length);
	while (io_is_interrupted(n, &n_interruptions));
	if (n < 0)
		return -errno;
	return (size_t)n == length ? 0 : -EIO;
}
