/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reclaimable-kernel-fixture: processes of our own that hold memory, and what is read of each. */
#pragma once

#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/sys/reclaimable.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define SIZE (16 * MIB)
/* What a small process has besides; with sanitizers it is no small process. */
#if FAIL_MALLOC_WORKS
#	define SLACK (1 * MIB)
#else
#	define SLACK (4 * MIB)
#endif

static inline void *map(int flags, int fd)
{
	void *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		_exit(1);
	(void)madvise(p, SIZE, MADV_NOHUGEPAGE);
	return p;
}

static inline void hold_anon(void)
{
	memset(map(MAP_PRIVATE | MAP_ANONYMOUS, -1), 1, SIZE);
}

static inline void hold_memfd(void)
{
	int fd = memfd_create("new\nline (deleted)", MFD_CLOEXEC);

	if (ftruncate(fd, SIZE) < 0)
		_exit(1);
	memset(map(MAP_SHARED, fd), 1, SIZE);
}

/* A file on tmpfs; what is linked is removed by the parent. */
static inline void hold_file(bool is_linked)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/dev/shm/test-reclaimable-%d", getpid());
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, SIZE) < 0)
		_exit(1);
	memset(map(MAP_SHARED, fd), 1, SIZE);
	if (!is_linked)
		(void)unlink(path);
}

static inline void hold_linked_file(void)
{
	hold_file(true);
}

struct child {
	pid_t pid;
	int to, from;
};

static inline void wait_for(const struct child *child)
{
	char byte;

	if (read(child->from, &byte, 1) != 1)
		fail_msg("the child did not hold its memory");
}

/* A child that is ready, and takes hold of its memory on request. */
static inline struct child start(void (*hold)(void))
{
	struct child child;
	int to[2], from[2];
	char byte = 0;

	assert_int_equal(pipe2(to, O_CLOEXEC), 0);
	assert_int_equal(pipe2(from, O_CLOEXEC), 0);
	child = (struct child){ .pid = fork(), .to = to[1], .from = from[0] };
	assert_return_code(child.pid, errno);
	if (child.pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (write(from[1], "", 1) != 1 || read(to[0], &byte, 1) != 1)
			_exit(1);
		hold();
		if (write(from[1], "", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	close(to[0]);
	close(from[1]);
	wait_for(&child);
	return child;
}

static inline void finish(const struct child *child)
{
	char path[64];

	(void)kill(child->pid, SIGKILL); /* our own, not yet waited for */
	assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
	close(child->to);
	close(child->from);
	(void)snprintf(path, sizeof(path), "/dev/shm/test-reclaimable-%d", child->pid);
	(void)unlink(path);
}

static int proc_fd = -EBADF;

static inline struct reclaimable read_of(pid_t pid)
{
	struct reclaimable reclaimable = {};
	int r;

	fail_malloc = true;
	r = reclaimable_read(proc_fd, pid, &reclaimable);
	fail_malloc = false;
	assert_int_equal(r, 0);
	assert_int_equal(n_mallocs, 0);
	assert_true(reclaimable.alone <= reclaimable_total(&reclaimable));
	return reclaimable;
}

static inline void check(const char *what, uint64_t before, uint64_t after, uint64_t wanted)
{
	uint64_t grown = sub_u64(after, before);

	if (grown + SLACK < wanted || grown > wanted + SLACK)
		fail_msg("%s grew by %llu KiB", what, (unsigned long long)(grown / KIB));
}

/* What grows by how much once the child holds its memory. */
static inline void check_growth(void (*hold)(void), const struct reclaimable *wanted)
{
	const struct child child = start(hold);
	struct reclaimable before = read_of(child.pid), after;

	assert_int_equal(write(child.to, "", 1), 1);
	wait_for(&child);
	after = read_of(child.pid);
	finish(&child);
	check("anon", before.anon + before.swap, after.anon + after.swap, wanted->anon);
	check("shmem", before.shmem, after.shmem, wanted->shmem);
	check("pagetables", before.pagetables, after.pagetables, wanted->pagetables);
	check("alone", before.alone, after.alone, wanted->alone);
	check("rss_anon", before.rss_anon + before.all_swap, after.rss_anon + after.all_swap,
	      wanted->rss_anon);
	check("rss_shmem", before.rss_shmem, after.rss_shmem, wanted->rss_shmem);
}

static inline void skip_without_tmpfs(void)
{
	struct statfs fs;

	if (statfs("/dev/shm", &fs) == 0 && fs.f_type == TMPFS_MAGIC)
		return;
	print_message("SKIP: no tmpfs at /dev/shm\n");
	skip();
}
