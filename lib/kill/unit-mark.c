/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unit-mark: the thread that writes the attributes.  Orders are passed to it one at a time: those
 * made while it is busy add up (`changes`), or are refused.
 */
#include "lib/kill/unit-mark.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/parse.h"
#include "lib/base/thread.h"
#include "lib/sys/cgroup.h"

#define STACK_SIZE (64 * 1024)
/* Of a number in an attribute. */
#define NUMBER_SIZE sizeof("18446744073709551615")

struct unit_marker {
	int v2_fd;
	pthread_t thread;
	sem_t ordered;
	sem_t done; /* an order of unit_mark() */

	/* Written by the caller while `is_busy` is not set. */
	char path[CGROUP_PATH_MAX];
	uint64_t least;
	atomic_bool is_busy; /* with the path: from unit_mark() until its write is over */
	atomic_bool stop;
	atomic_int result;
	atomic_int kills;      /* to be added */
	atomic_bool cancelled; /* to be taken back */

	/* The thread's: the cgroup of the last unit_mark(), and its number before. */
	int dir_fd;
	char before[NUMBER_SIZE];
};

uint64_t unit_mark_next(const char *text, uint64_t n, uint64_t least)
{
	uint64_t value = 0;

	if (parse_unsigned(text, UINT64_MAX, &value) < 0)
		value = 0;
	return max_u64(add_u64(value, n), least);
}

/* before: what was there, "" if nothing. */
static int change(int dir_fd, const char *name, uint64_t n, uint64_t least,
		  char before[static NUMBER_SIZE])
{
	ssize_t size = fgetxattr(dir_fd, name, before, NUMBER_SIZE - 1);
	char text[NUMBER_SIZE];
	int length;

	if (size < 0 && errno != ENODATA && errno != ERANGE)
		return -errno;
	before[size < 0 ? 0 : size] = '\0';
	length = snprintf(text, sizeof(text), "%" PRIu64, unit_mark_next(before, n, least));
	return fsetxattr(dir_fd, name, text, (size_t)length, 0) < 0 ? -errno : 0;
}

static void restore(int dir_fd, const char *name, const char *before)
{
	if (before[0] == '\0')
		(void)fremovexattr(dir_fd, name);
	else
		(void)fsetxattr(dir_fd, name, before, strlen(before), 0);
}

static int mark(struct unit_marker *marker)
{
	closep(&marker->dir_fd);
	marker->dir_fd = cgroup_open(marker->v2_fd, marker->path);
	if (marker->dir_fd < 0)
		return marker->dir_fd;
	return change(marker->dir_fd, UNIT_MARK_OOMS, 1, marker->least, marker->before);
}

/* Writes the pending changes, unless the cgroup is gone. */
static void change_rest(struct unit_marker *marker)
{
	int kills = atomic_exchange(&marker->kills, 0);
	bool cancelled = atomic_exchange(&marker->cancelled, false);
	char kills_before[NUMBER_SIZE];

	if (marker->dir_fd < 0)
		return;
	if (kills > 0)
		(void)change(marker->dir_fd, UNIT_MARK_KILLS, (uint64_t)kills, 0, kills_before);
	if (cancelled)
		restore(marker->dir_fd, UNIT_MARK_OOMS, marker->before);
}

static void destroy(struct unit_marker *marker)
{
	closep(&marker->dir_fd);
	(void)sem_destroy(&marker->ordered);
	(void)sem_destroy(&marker->done);
	free(marker);
}

static void *run(void *userdata)
{
	struct unit_marker *marker = userdata;

	while (!atomic_load(&marker->stop)) {
		if (sem_wait(&marker->ordered) < 0)
			continue; /* EINTR */
		if (atomic_load(&marker->is_busy)) {
			atomic_store(&marker->result, mark(marker));
			atomic_store(&marker->is_busy, false);
			(void)sem_post(&marker->done);
		}
		change_rest(marker);
	}
	return NULL;
}

static int start(struct unit_marker *marker)
{
	const struct thread_options options = { .name = "unit-mark", .stack_size = STACK_SIZE };

	return thread_start(&options, run, marker, &marker->thread);
}

int unit_marker_new(int v2_fd, struct unit_marker **ret)
{
	struct unit_marker *marker = calloc(1, sizeof(*marker));
	int r;

	if (!marker)
		return -ENOMEM;
	marker->v2_fd = v2_fd;
	marker->dir_fd = -EBADF;
	(void)sem_init(&marker->ordered, 0, 0);
	(void)sem_init(&marker->done, 0, 0);
	r = start(marker);
	if (r < 0) {
		destroy(marker);
		return r;
	}
	*ret = marker;
	return 0;
}

struct unit_marker *unit_marker_free(struct unit_marker *marker)
{
	if (!marker)
		return NULL;
	atomic_store(&marker->stop, true);
	(void)sem_post(&marker->ordered);
	if (atomic_load(&marker->is_busy)) { /* it may be blocked for long */
		(void)pthread_detach(marker->thread);
		return NULL;
	}
	(void)pthread_join(marker->thread, NULL);
	destroy(marker);
	return NULL;
}

int unit_mark(struct unit_marker *marker, const char *path, size_t length, usec_t deadline)
{
	const struct timespec until = {
		.tv_sec = (time_t)(deadline / USEC_PER_SEC),
		.tv_nsec = (long)(deadline % USEC_PER_SEC * 1000),
	};

	if (atomic_load(&marker->is_busy))
		return -EBUSY;
	if (length >= sizeof(marker->path))
		return -ENAMETOOLONG;
	memcpy(marker->path, path, length);
	marker->path[length] = '\0';
	marker->least = deadline;
	atomic_store(&marker->cancelled, false);
	atomic_store(&marker->is_busy, true);
	(void)sem_post(&marker->ordered);
	while (atomic_load(&marker->is_busy)) /* (a post may be of an order that was too late) */
		if (sem_clockwait(&marker->done, CLOCK_MONOTONIC, &until) < 0 && errno != EINTR)
			return -EINPROGRESS;
	return atomic_load(&marker->result);
}

void unit_mark_killed(struct unit_marker *marker, unsigned n_processes)
{
	atomic_fetch_add(&marker->kills, (int)min_u64(n_processes, INT_MAX / 2));
	(void)sem_post(&marker->ordered);
}

void unit_mark_cancel(struct unit_marker *marker)
{
	atomic_store(&marker->cancelled, true);
	(void)sem_post(&marker->ordered);
}
