/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * load-fuse: a process that holds its own mmap lock for ever, as any user can who may mount FUSE.
 *
 * The server never answers a write, so a page of its file stays under writeback; mmap(2) of the
 * file for direct I/O waits for that page, with the lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/host/load.h"

enum { FILE_NODE = 2, FILE_SIZE = 1 << 16, BUFFER_SIZE = 1 << 18 };

static int device;
static char path[256];

static void reply(const struct fuse_in_header *in, int error, const void *data, size_t size)
{
	static char answer[sizeof(struct fuse_out_header) + FILE_SIZE];
	struct fuse_out_header *out = (struct fuse_out_header *)answer;

	*out = (struct fuse_out_header){
		.len = (uint32_t)(sizeof(*out) + size),
		.error = error,
		.unique = in->unique,
	};
	if (size > 0)
		memcpy(answer + sizeof(*out), data, size);
	if (write(device, answer, out->len) < 0 && errno != ENOENT)
		die("an answer of the FUSE server");
}

static struct fuse_attr attributes(uint64_t node)
{
	return (struct fuse_attr){
		.ino = node,
		.mode = node == FILE_NODE ? S_IFREG | 0600 : S_IFDIR | 0700,
		.nlink = 1,
		.size = node == FILE_NODE ? FILE_SIZE : 0,
		.blksize = 4096,
	};
}

static void serve_one(const struct fuse_in_header *in)
{
	static const char zeros[FILE_SIZE];
	static unsigned n_opened;
	const struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION,
		.minor = 31,
		.max_write = FILE_SIZE,
		.flags = FUSE_WRITEBACK_CACHE,
	};
	const struct fuse_entry_out entry = {
		.nodeid = FILE_NODE,
		.attr_valid = 1000,
		.entry_valid = 1000,
		.attr = attributes(FILE_NODE),
	};
	const struct fuse_attr_out attr = { .attr_valid = 1000, .attr = attributes(in->nodeid) };
	struct fuse_open_out opened = { .open_flags = FOPEN_KEEP_CACHE };

	switch (in->opcode) {
	case FUSE_INIT:
		return reply(in, 0, &init, sizeof(init));
	case FUSE_LOOKUP:
		return reply(in, 0, &entry, sizeof(entry));
	case FUSE_GETATTR:
		return reply(in, 0, &attr, sizeof(attr));
	case FUSE_OPEN:
		opened.open_flags |= n_opened++ > 0 ? FOPEN_DIRECT_IO : 0;
		return reply(in, 0, &opened, sizeof(opened));
	case FUSE_READ:
		return reply(in, 0, zeros, ((const struct fuse_read_in *)(in + 1))->size);
	case FUSE_WRITE:
	case FUSE_INTERRUPT:
	case FUSE_FORGET:
		return;
	default:
		return reply(in, -ENOSYS, NULL, 0);
	}
}

static void serve(void)
{
	static char request[BUFFER_SIZE];

	while (read(device, request, sizeof(request)) >= 0 || errno == EINTR || errno == ENOENT)
		serve_one((const struct fuse_in_header *)request);
	_exit(0);
}

static void *map_for_direct_io(void *unused)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	(void)mmap(NULL, FILE_SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
	return unused;
}

void hold_mmap_lock(const char *directory)
{
	pthread_t thread;
	char *page;
	int fd;

	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (device < 0 || mkdir(directory, 0700) < 0)
		die("/dev/fuse");
	(void)snprintf(path, sizeof(path), "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
	if (mount("load", directory, "fuse", 0, path) < 0)
		die("mount");
	if (fork() == 0)
		serve();
	close(device);
	(void)snprintf(path, sizeof(path), "%s/file", directory);
	fd = open(path, O_RDWR | O_CLOEXEC);
	page = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || page == MAP_FAILED)
		die(path);
	*page = 1;
	if (msync(page, FILE_SIZE, MS_ASYNC) < 0 ||
	    sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE) < 0)
		die("writeback");
	pause_seconds(0.2);
	if (pthread_create(&thread, NULL, map_for_direct_io, NULL) != 0)
		die("a thread");
	pause_seconds(0.2);
}
