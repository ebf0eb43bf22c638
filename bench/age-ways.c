/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * age-ways: the ways that need no change to the machine.  What a kernel or a container does not
 * permit is reported and skipped.
 */
#include "bench/age-ways.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/util.h"

/* Newer than Debian 12's headers. */
#ifndef MADV_COLLAPSE
#	define MADV_COLLAPSE 25
#endif

int way_fails(struct scene *scene, const char *what)
{
	int e = errno;

	snprintf(scene->why, sizeof(scene->why), "%s: %s", what, strerror(e));
	return e > 0 ? -e : -EIO;
}

static char *map_private(struct scene *scene, size_t size, int flags)
{
	char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1,
			0);

	if (at == MAP_FAILED) {
		(void)way_fails(scene, "mmap");
		return NULL;
	}
	return at;
}

char *way_map(struct scene *scene, size_t size)
{
	char *at = map_private(scene, size, 0);

	if (at)
		(void)madvise(at, size, MADV_NOHUGEPAGE); /* EINVAL: there are none */
	scene->at = at;
	scene->size = size;
	return at;
}

char *way_map_huge(struct scene *scene, size_t size)
{
	char *at = map_private(scene, size + HUGE_SIZE, 0);

	if (!at)
		return NULL;
	at = (char *)(((uintptr_t)at + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1));
	if (madvise(at, size, MADV_HUGEPAGE) < 0) {
		(void)way_fails(scene, "MADV_HUGEPAGE");
		return NULL;
	}
	scene->at = at;
	scene->size = size;
	return at;
}

void way_touch(char *at, size_t size)
{
	for (size_t i = 0; i < size; i += PAGE_SIZE)
		*(volatile char *)(at + i) = 1;
}

void way_touch_read(char *at, size_t size)
{
	for (size_t i = 0; i < size; i += PAGE_SIZE)
		(void)*(volatile char *)(at + i);
}

int way_fork(struct scene *scene, int (*first)(struct scene *scene))
{
	int fds[2];
	pid_t pid;
	char byte;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return way_fails(scene, "pipe");
	pid = fork();
	if (pid < 0)
		return way_fails(scene, "fork");
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (first && first(scene) < 0)
			_exit(EXIT_FAILURE);
		if (write(fds[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(EXIT_FAILURE);
	}
	scene->child = pid;
	close(fds[1]);
	if (read(fds[0], &byte, 1) != 1)
		return scene->why[0] ? -EIO : way_fails(scene, "child");
	close(fds[0]);
	return 0;
}

int way_map_small(struct scene *scene)
{
	return way_map(scene, WAY_SIZE) ? 0 : -1;
}

static int touch(struct scene *scene)
{
	way_touch(scene->at, scene->size);
	return 0;
}

static int map_and_touch(struct scene *scene)
{
	return way_map_small(scene) < 0 ? -1 : touch(scene);
}

static int map_and_read(struct scene *scene)
{
	if (way_map_small(scene) < 0)
		return -1;
	way_touch_read(scene->at, scene->size);
	return 0;
}

static int map_huge(struct scene *scene)
{
	return way_map_huge(scene, WAY_SIZE) ? 0 : -1;
}

static int map_huge_and_touch(struct scene *scene)
{
	return map_huge(scene) < 0 ? -1 : touch(scene);
}

static int map_huge_and_read(struct scene *scene)
{
	if (map_huge(scene) < 0)
		return -1;
	way_touch_read(scene->at, scene->size);
	return 0;
}

static int nothing(struct scene *scene)
{
	usleep(50000);
	return 0;
}

static int populate(struct scene *scene)
{
	return map_private(scene, WAY_SIZE, MAP_POPULATE) ? 0 : -1;
}

static int lock(struct scene *scene)
{
	return mlock(scene->at, scene->size) < 0 ? way_fails(scene, "mlock") : 0;
}

static int extend_heap(struct scene *scene)
{
	char *at = sbrk((intptr_t)WAY_SIZE);

	if (at == (char *)-1)
		return way_fails(scene, "sbrk");
	way_touch(at, WAY_SIZE);
	return 0;
}

static int raise_stack_limit(struct scene *scene)
{
	const struct rlimit limit = { 2 * WAY_SIZE, RLIM_INFINITY };

	return setrlimit(RLIMIT_STACK, &limit) < 0 ? way_fails(scene, "RLIMIT_STACK") : 0;
}

/* What it returns keeps each frame alive until the next one is gone. */
static __attribute__((noinline)) int deepen(size_t n)
{
	volatile char frame[PAGE_SIZE];

	frame[0] = (char)n;
	return n > 0 ? deepen(n - 1) + frame[0] : 0;
}

static int extend_stack(struct scene *scene)
{
	(void)deepen(WAY_SIZE / (PAGE_SIZE + 64));
	return 0;
}

static int touch_and_drop(struct scene *scene)
{
	if (map_and_touch(scene) < 0)
		return -1;
	return madvise(scene->at, scene->size, MADV_DONTNEED) < 0
		       ? way_fails(scene, "MADV_DONTNEED")
		       : 0;
}

/* A part of each huge page, which is not split by that at once. */
static int drop_halves(struct scene *scene)
{
	if (map_huge_and_touch(scene) < 0)
		return -1;
	for (size_t i = 0; i < scene->size; i += HUGE_SIZE)
		if (madvise(scene->at + i, HUGE_SIZE / 2, MADV_DONTNEED) < 0)
			return way_fails(scene, "MADV_DONTNEED");
	return 0;
}

static int remap_larger(struct scene *scene)
{
	char *at = mremap(scene->at, scene->size, 2 * scene->size, MREMAP_MAYMOVE);

	if (at == MAP_FAILED)
		return way_fails(scene, "mremap");
	way_touch(at + scene->size, scene->size);
	return 0;
}

static int remap_elsewhere(struct scene *scene)
{
	char *to = map_private(scene, scene->size, 0);

	if (!to)
		return -1;
	if (mremap(scene->at, scene->size, scene->size, MREMAP_MAYMOVE | MREMAP_FIXED, to) ==
	    MAP_FAILED)
		return way_fails(scene, "mremap");
	return 0;
}

static int map_sparse(struct scene *scene)
{
	if (map_huge(scene) < 0)
		return -1;
	(void)madvise(scene->at, scene->size, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < scene->size; i += HUGE_SIZE)
		scene->at[i] = 1;
	(void)madvise(scene->at, scene->size, MADV_HUGEPAGE);
	return 0;
}

static int collapse(struct scene *scene)
{
	return madvise(scene->at, scene->size, MADV_COLLAPSE) < 0
		       ? way_fails(scene, "MADV_COLLAPSE")
		       : 0;
}

static int fill_memfd(struct scene *scene)
{
	char *at;

	scene->fd = memfd_create("age", MFD_CLOEXEC);
	if (scene->fd < 0 || ftruncate(scene->fd, (off_t)WAY_SIZE) < 0)
		return way_fails(scene, "memfd_create");
	at = mmap(NULL, WAY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, scene->fd, 0);
	if (at == MAP_FAILED)
		return way_fails(scene, "mmap");
	way_touch(at, WAY_SIZE);
	return munmap(at, WAY_SIZE);
}

static int map_memfd(struct scene *scene, int flags)
{
	scene->at = mmap(NULL, WAY_SIZE, PROT_READ | PROT_WRITE, flags, scene->fd, 0);
	scene->size = WAY_SIZE;
	return scene->at == MAP_FAILED ? way_fails(scene, "mmap") : 0;
}

static int map_memfd_late(struct scene *scene)
{
	if (map_memfd(scene, MAP_SHARED) < 0)
		return -1;
	way_touch_read(scene->at, scene->size);
	return 0;
}

static int map_memfd_private(struct scene *scene)
{
	if (fill_memfd(scene) < 0 || map_memfd(scene, MAP_PRIVATE) < 0)
		return -1;
	way_touch_read(scene->at, scene->size);
	return 0;
}

static int share_and_touch(struct scene *scene)
{
	char *at = mmap(NULL, WAY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return way_fails(scene, "mmap");
	way_touch(at, WAY_SIZE);
	return 0;
}

static int touch_and_fork(struct scene *scene)
{
	return map_and_touch(scene) < 0 ? -1 : way_fork(scene, NULL);
}

static int fork_now(struct scene *scene)
{
	return way_fork(scene, NULL);
}

static int sleep_for_ever(void *unused)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
	return unused != NULL;
}

/* Another process in the same memory, as between vfork() and exec. */
static int clone_with_memory(struct scene *scene)
{
	char *stack = map_private(scene, 16 * PAGE_SIZE, 0);

	if (!stack || way_map_small(scene) < 0)
		return -1;
	scene->child = clone(sleep_for_ever, stack + 16 * PAGE_SIZE, CLONE_VM | SIGCHLD, NULL);
	return scene->child < 0 ? way_fails(scene, "clone") : 0;
}

static int exec_self(struct scene *scene)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", scene->control_fd);
	(void)fcntl(scene->control_fd, F_SETFD, 0);
	execl("/proc/self/exe", "age-bound", "--after-exec", number, NULL);
	return way_fails(scene, "exec");
}

_Noreturn void way_after_exec(int control_fd)
{
	struct scene scene = { .control_fd = control_fd };

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (map_and_touch(&scene) == 0 && send(control_fd, "", 1, MSG_NOSIGNAL) == 1)
		for (;;)
			pause();
	_exit(EXIT_FAILURE);
}

const struct way ways[] = {
	{ "nothing at all (the noise)", NULL, nothing },
	{ "anonymous, small pages", way_map_small, touch },
	{ "anonymous, huge pages", map_huge, touch },
	{ "MAP_POPULATE", NULL, populate },
	{ "mlock", way_map_small, lock },
	{ "heap (brk)", NULL, extend_heap },
	{ "stack", raise_stack_limit, extend_stack },
	{ "zero page, then written", map_and_read, touch },
	{ "huge zero page, then written", map_huge_and_read, touch },
	{ "dropped, written again", touch_and_drop, touch },
	{ "halves of huge pages dropped, written again", drop_halves, touch },
	{ "mremap to more, touched", map_and_touch, remap_larger },
	{ "mremap to elsewhere", map_and_touch, remap_elsewhere },
	{ "MADV_COLLAPSE of one page in 512", map_sparse, collapse },
	{ "private copy of a memfd", map_memfd_private, touch },
	{ "shared memory, touched", NULL, share_and_touch },
	{ "memfd of another time, mapped", fill_memfd, map_memfd_late },
	{ "copies after a fork, in the parent", touch_and_fork, touch },
	{ "fork: the child", map_and_touch, fork_now, .subject = WAY_CHILD,
	  .breaks = "new: always read" },
	{ "two processes in one memory, their sum", clone_with_memory, touch, .subject = WAY_BOTH,
	  .breaks = "counted twice: a cgroup's sum" },
	{ "exec, then anonymous", map_and_touch, exec_self },
};
const size_t n_ways = ARRAY_SIZE(ways);
