/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * io: small files of /proc and of cgroup file systems, read and written at a directory fd
 * into the caller's buffer.  Allocates nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Whether the call that returned r was interrupted and is to be made again; counts from 0.  Nothing
 * interrupts a call so often that it has to be made a hundred times: it then fails with EINTR.
 */
bool io_is_interrupted(ssize_t r, unsigned *n_interruptions);

/*
 * Reads all of path (relative to dir_fd) into buf and appends a NUL.  Returns the length, -ENOBUFS
 * if the file does not fit into size - 1 bytes (buf then holds its beginning, NUL terminated), or
 * another negative errno.  Interrupted and short reads are continued.
 */
ssize_t io_read_at(int dir_fd, const char *path, char *buf, size_t size);

/* The same from offset 0 of an open fd. */
ssize_t io_read_fd(int fd, char *buf, size_t size);

/* The same of a file that the kernel returns whole in one read, if there is room (single_open() in
 * fs/seq_file.c, and those of one value): what ends with a newline is all of it, and no other read
 * looks for its end. */
ssize_t io_read_record_at(int dir_fd, const char *path, char *buf, size_t size);
ssize_t io_read_record_fd(int fd, char *buf, size_t size);

/* Writes text with one write(2), as kernel attribute files want it; 0 or negative errno. */
int io_write_at(int dir_fd, const char *path, const char *text);
