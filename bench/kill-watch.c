/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-watch: the thread that samples the use, and the time at which it has come down. */
#include "bench/kill-watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/kill/kill.h"

#define SAMPLE_NSEC 250000

struct watch {
	const char *source;
	int fd;
	bool is_meminfo;
	int64_t page_size;
	pthread_t thread;
	clockid_t clock;
	sem_t begin, end;
	atomic_bool stop;
	int64_t down_to;
	usec_t deadline, seen_at;
};

static usec_t usec_by(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

usec_t watch_now(void)
{
	return usec_by(CLOCK_MONOTONIC);
}

usec_t watch_cpu_of_others(const struct watch *watch)
{
	return usec_by(CLOCK_PROCESS_CPUTIME_ID) - usec_by(watch->clock);
}

const char *watch_source(const struct watch *watch)
{
	return watch->source;
}

/* Pages on the CPUs' own lists of free ones, which MemFree leaves out (lib/sys/memory.h). */
static int64_t listed_bytes(const struct watch *watch)
{
	_cleanup_fclose_ FILE *zoneinfo = fopen("/proc/zoneinfo", "re");
	int64_t sum = 0, count;
	char line[256];

	while (zoneinfo && fgets(line, sizeof(line), zoneinfo))
		if (sscanf(line, " count: %" SCNd64, &count) == 1)
			sum += count;
	return sum * watch->page_size;
}

int64_t watch_read(const struct watch *watch)
{
	char buf[4096], *at;

	if (io_read_fd(watch->fd, buf, sizeof(buf)) < 0 && !watch->is_meminfo)
		return INT64_MAX;
	if (!watch->is_meminfo)
		return atoll(buf);
	at = strstr(buf, "MemFree:");
	if (!at)
		return INT64_MAX;
	return -atoll(at + strlen("MemFree:")) * (int64_t)KIB - listed_bytes(watch);
}

static void wait_for_use(struct watch *watch)
{
	const struct timespec pause = { .tv_nsec = SAMPLE_NSEC };

	for (watch->seen_at = 0; watch->seen_at == 0; (void)nanosleep(&pause, NULL)) {
		usec_t now;

		if (watch_read(watch) <= watch->down_to)
			watch->seen_at = watch_now();
		now = watch_now();
		if (now >= watch->deadline)
			break;
	}
}

static void *run(void *userdata)
{
	struct watch *watch = userdata;

	for (;;) {
		while (sem_wait(&watch->begin) < 0)
			;
		if (atomic_load(&watch->stop))
			return NULL;
		wait_for_use(watch);
		(void)sem_post(&watch->end);
	}
}

/* The narrowest count there is. */
static void open_source(struct watch *watch, const struct places *places, int proc_fd)
{
	const char *name = places->memory_is_v1 ? "memory.usage_in_bytes" : "memory.current";

	watch->fd = places->memory_fd < 0 ? -EBADF
					  : openat(places->memory_fd, name, O_RDONLY | O_CLOEXEC);
	watch->source = name;
	if (watch->fd >= 0)
		return;
	watch->is_meminfo = true;
	watch->source = "MemFree";
	watch->fd = openat(proc_fd, "meminfo", O_RDONLY | O_CLOEXEC);
}

struct watch *watch_new(const struct places *places, int proc_fd)
{
	const struct sched_param param = { .sched_priority = KILL_REAPER_PRIORITY + 1 };
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->page_size = sysconf(_SC_PAGESIZE);
	open_source(watch, places, proc_fd);
	(void)sem_init(&watch->begin, 0, 0);
	(void)sem_init(&watch->end, 0, 0);
	if (watch->fd < 0 || pthread_create(&watch->thread, NULL, run, watch) != 0) {
		free(watch);
		return NULL;
	}
	(void)pthread_getcpuclockid(watch->thread, &watch->clock);
	(void)pthread_setschedparam(watch->thread, SCHED_FIFO, &param);
	return watch;
}

void watch_free(struct watch *watch)
{
	atomic_store(&watch->stop, true);
	(void)sem_post(&watch->begin);
	(void)pthread_join(watch->thread, NULL);
	close(watch->fd);
	free(watch);
}

void watch_begin(struct watch *watch, int64_t down_to, usec_t deadline)
{
	watch->down_to = down_to;
	watch->deadline = deadline;
	(void)sem_post(&watch->begin);
}

usec_t watch_end(struct watch *watch)
{
	while (sem_wait(&watch->end) < 0)
		;
	return watch->seen_at;
}
