/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * age-ways-outside: the ways in which pages come from outside of the process: others write to its
 * memory, userfaultfd fills it, io_uring holds it, a pipe has had it.  They need no change to the
 * machine either.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/age-ways.h"
#include "lib/base/cleanup.h"
#include "lib/base/util.h"

/* Newer than Debian 12's headers. */
#ifndef UFFDIO_MOVE
struct uffdio_move {
	uint64_t dst, src, len, mode;
	int64_t move;
};
#	define UFFDIO_MOVE	  _IOWR(UFFDIO, 0x05, struct uffdio_move)
#	define UFFD_FEATURE_MOVE (1 << 16)
#endif

/* From outside: a page at a time, or all at once. */
static int write_by_process_vm(pid_t pid, struct scene *scene)
{
	_cleanup_free_ char *from = calloc(1, HUGE_SIZE);
	struct iovec local = { from, HUGE_SIZE }, remote = { scene->at, HUGE_SIZE };

	for (size_t i = 0; from && i < scene->size; i += HUGE_SIZE) {
		remote.iov_base = scene->at + i;
		if (process_vm_writev(pid, &local, 1, &remote, 1, 0) != (ssize_t)HUGE_SIZE)
			return way_fails(scene, "process_vm_writev");
	}
	return from ? 0 : way_fails(scene, "calloc");
}

static int write_by_proc_mem(pid_t pid, struct scene *scene)
{
	_cleanup_close_ int fd = -EBADF;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return way_fails(scene, path);
	for (size_t i = 0; i < scene->size; i += PAGE_SIZE)
		if (pwrite(fd, "x", 1, (off_t)(uintptr_t)(scene->at + i)) != 1)
			return way_fails(scene, "pwrite");
	return 0;
}

static int poke(pid_t pid, struct scene *scene)
{
	if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0 || waitpid(pid, NULL, __WALL) < 0)
		return way_fails(scene, "PTRACE_ATTACH");
	for (size_t i = 0; i < scene->size; i += PAGE_SIZE)
		if (ptrace(PTRACE_POKEDATA, pid, scene->at + i, (void *)1) < 0)
			return way_fails(scene, "PTRACE_POKEDATA");
	return ptrace(PTRACE_DETACH, pid, NULL, NULL) < 0 ? way_fails(scene, "PTRACE_DETACH") : 0;
}

static int register_missing(struct scene *scene, uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	if (way_map_small(scene) < 0)
		return -1;
	scene->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (scene->fd < 0 || ioctl(scene->fd, UFFDIO_API, &api) < 0)
		return way_fails(scene, features ? "userfaultfd with UFFDIO_MOVE" : "userfaultfd");
	range.range.start = (uintptr_t)scene->at;
	range.range.len = scene->size;
	return ioctl(scene->fd, UFFDIO_REGISTER, &range) < 0 ? way_fails(scene, "UFFDIO_REGISTER")
							     : 0;
}

static int prepare_uffd(struct scene *scene)
{
	scene->other = way_map(scene, HUGE_SIZE);
	if (!scene->other)
		return -1;
	way_touch(scene->other, HUGE_SIZE);
	return register_missing(scene, 0);
}

static int copy_by_uffd(struct scene *scene)
{
	for (size_t i = 0; i < scene->size; i += HUGE_SIZE) {
		struct uffdio_copy copy = { .dst = (uintptr_t)(scene->at + i),
					    .src = (uintptr_t)scene->other,
					    .len = HUGE_SIZE };

		if (ioctl(scene->fd, UFFDIO_COPY, &copy) < 0)
			return way_fails(scene, "UFFDIO_COPY");
	}
	return 0;
}

static int zero_by_uffd(struct scene *scene)
{
	struct uffdio_zeropage zero = { .range = { (uintptr_t)scene->at, scene->size } };

	if (ioctl(scene->fd, UFFDIO_ZEROPAGE, &zero) < 0)
		return way_fails(scene, "UFFDIO_ZEROPAGE");
	way_touch(scene->at, scene->size);
	return 0;
}

static int prepare_uffd_move(struct scene *scene)
{
	if (way_map_small(scene) < 0)
		return -1;
	way_touch(scene->at, scene->size);
	scene->other = scene->at;
	return register_missing(scene, UFFD_FEATURE_MOVE);
}

static int move_by_uffd(struct scene *scene)
{
	struct uffdio_move move = { .dst = (uintptr_t)scene->at,
				    .src = (uintptr_t)scene->other,
				    .len = scene->size };

	return ioctl(scene->fd, UFFDIO_MOVE, &move) < 0 ? way_fails(scene, "UFFDIO_MOVE") : 0;
}

static int register_buffer(struct scene *scene)
{
	struct io_uring_params params = { 0 };
	struct iovec buffer = { scene->at, scene->size };
	int fd = (int)syscall(SYS_io_uring_setup, 1, &params);

	if (fd < 0)
		return way_fails(scene, "io_uring_setup");
	if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, &buffer, 1) < 0)
		return way_fails(scene, "IORING_REGISTER_BUFFERS");
	return 0;
}

/* The pages live on in a pipe; to read them copies. */
static int gift_to_pipe(struct scene *scene)
{
	struct iovec from;
	int fds[2];

	if (!way_map(scene, MIB)) /* /proc/sys/fs/pipe-max-size */
		return -1;
	if (pipe2(fds, O_CLOEXEC) < 0 || fcntl(fds[1], F_SETPIPE_SZ, (int)scene->size) < 0)
		return way_fails(scene, "F_SETPIPE_SZ");
	way_touch(scene->at, scene->size);
	scene->fd = fds[0];
	from = (struct iovec){ scene->at, scene->size };
	if (vmsplice(fds[1], &from, 1, SPLICE_F_GIFT) != (ssize_t)scene->size)
		return way_fails(scene, "vmsplice");
	return madvise(scene->at, scene->size, MADV_DONTNEED);
}

static int read_pipe(struct scene *scene)
{
	for (size_t i = 0; i < scene->size;) {
		ssize_t n = read(scene->fd, scene->at + i, scene->size - i);

		if (n <= 0)
			return way_fails(scene, "read");
		i += (size_t)n;
	}
	return 0;
}

const struct way ways_outside[] = {
	{ "process_vm_writev from outside", way_map_small, NULL, write_by_process_vm },
	{ "/proc/PID/mem from outside", way_map_small, NULL, write_by_proc_mem },
	{ "PTRACE_POKEDATA from outside", way_map_small, NULL, poke },
	{ "UFFDIO_COPY", prepare_uffd, copy_by_uffd },
	{ "UFFDIO_ZEROPAGE, then written", prepare_uffd, zero_by_uffd },
	{ "UFFDIO_MOVE", prepare_uffd_move, move_by_uffd },
	{ "io_uring registered buffer", way_map_small, register_buffer },
	{ "given to a pipe, dropped, read back", gift_to_pipe, read_pipe },
};
const size_t n_ways_outside = ARRAY_SIZE(ways_outside);
