/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill-reap: the reaper threads and their queue.
 *
 * The ring is that of D. Vyukov's bounded queue: a slot's sequence tells which push or pop is next.
 * pos: free for the push number pos; pos + 1: holds it; a turn later it is free again.
 */
#include "lib/kill/kill-reap.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/thread.h"
#include "lib/kill/kill.h"

struct reap_slot {
	atomic_uint sequence;
	int pidfd;
};

struct kill_reapers {
	const struct kill_ops *ops;
	struct reap_slot ring[KILL_REAP_QUEUE];
	unsigned push_at; /* one thread pushes */
	atomic_uint pop_at;
	sem_t waiting; /* counts the slots filled, and the order to stop */
	sem_t started;
	atomic_bool stop;
	atomic_uint n_pushed, n_done, n_reaped;
	atomic_int last_result;
	atomic_uint_fast64_t last_usec;
	unsigned n_threads;
	pthread_t threads[];
};

/* An mm with a busy mmu notifier cannot be reaped at once: EAGAIN.  The kernel's own reaper tries
 * ten times (MAX_OOM_REAP_RETRIES, mm/oom_kill.c). */
#define REAP_TRIES	10
#define REAP_PAUSE_NSEC 20000000

#define REAPER_STACK_SIZE (64 * 1024)
#define REAPER_STACK_USED (16 * 1024)

static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore) < 0)
		; /* EINTR */
}

static usec_t now_usec(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (usec_t)now.tv_sec * USEC_PER_SEC + (usec_t)now.tv_nsec / 1000;
}

/* The next pidfd, or -EBADF if there is none. */
static int ring_pop(struct kill_reapers *reapers)
{
	unsigned at = atomic_load_explicit(&reapers->pop_at, memory_order_relaxed);

	for (;;) {
		struct reap_slot *slot = &reapers->ring[at % KILL_REAP_QUEUE];
		unsigned sequence = atomic_load_explicit(&slot->sequence, memory_order_acquire);
		int pidfd;

		if ((int)(sequence - (at + 1)) < 0)
			return -EBADF;
		if (sequence != at + 1) { /* another thread was faster */
			at = atomic_load_explicit(&reapers->pop_at, memory_order_relaxed);
			continue;
		}
		if (!atomic_compare_exchange_weak_explicit(&reapers->pop_at, &at, at + 1,
							   memory_order_relaxed,
							   memory_order_relaxed))
			continue;
		pidfd = slot->pidfd;
		atomic_store_explicit(&slot->sequence, at + KILL_REAP_QUEUE, memory_order_release);
		return pidfd;
	}
}

static int reap(const struct kill_ops *ops, int pidfd)
{
	const struct timespec pause = { .tv_nsec = REAP_PAUSE_NSEC };
	int r = -EAGAIN;

	for (int i = 0; i < REAP_TRIES && (r == -EAGAIN || r == -EINTR); i++) {
		if (i > 0 && r == -EAGAIN)
			(void)nanosleep(&pause, NULL);
		r = ops->process_mrelease(pidfd);
	}
	return r;
}

/* Faults in the pages of the stack before they are needed: locked on fault, they are not
 * reclaimed. */
static __attribute__((noinline)) void touch_stack(void)
{
	volatile char stack[REAPER_STACK_USED];

	for (size_t i = 0; i < sizeof(stack); i += 1024)
		stack[i] = 0;
}

static void *reaper_run(void *userdata)
{
	struct kill_reapers *reapers = userdata;

	touch_stack();
	(void)sem_post(&reapers->started);
	for (;;) {
		_cleanup_close_ int pidfd = -EBADF;
		usec_t begin;
		int r;

		wait_for(&reapers->waiting);
		if (atomic_load(&reapers->stop))
			return NULL;
		pidfd = ring_pop(reapers);
		if (pidfd < 0)
			continue;

		begin = now_usec();
		r = reap(reapers->ops, pidfd);
		atomic_store(&reapers->last_usec, now_usec() - begin);
		atomic_store(&reapers->last_result, r);
		if (r == 0)
			atomic_fetch_add(&reapers->n_reaped, 1);
		atomic_fetch_add(&reapers->n_done, 1); /* last: it implies the others */
	}
}

static int start_reaper(struct kill_reapers *reapers, pthread_t *ret)
{
	const struct thread_options options = { .name = "reaper", .stack_size = REAPER_STACK_SIZE };
	int r = thread_start(&options, reaper_run, reapers, ret);

	if (r < 0)
		return r;
	wait_for(&reapers->started);
	return 0;
}

struct kill_reapers *kill_reapers_free(struct kill_reapers *reapers)
{
	int pidfd;

	if (!reapers)
		return NULL;
	atomic_store(&reapers->stop, true);
	for (unsigned i = 0; i < reapers->n_threads; i++)
		(void)sem_post(&reapers->waiting);
	for (unsigned i = 0; i < reapers->n_threads; i++)
		(void)pthread_join(reapers->threads[i], NULL);

	while ((pidfd = ring_pop(reapers)) >= 0)
		close(pidfd);
	(void)sem_destroy(&reapers->waiting);
	(void)sem_destroy(&reapers->started);
	free(reapers);
	return NULL;
}

static void kill_reapers_freep(struct kill_reapers **reapers)
{
	kill_reapers_free(*reapers);
}

int kill_reapers_new(const struct kill_ops *ops, unsigned n_threads, struct kill_reapers **ret,
		     int *ret_priority_error)
{
	const struct sched_param param = { .sched_priority = KILL_REAPER_PRIORITY };
	_cleanup_(kill_reapers_freep) struct kill_reapers *reapers = NULL;
	int priority_error = 0;

	reapers = calloc(1, sizeof(*reapers) + n_threads * sizeof(reapers->threads[0]));
	if (!reapers)
		return -ENOMEM;
	reapers->ops = ops;
	for (unsigned i = 0; i < KILL_REAP_QUEUE; i++)
		atomic_init(&reapers->ring[i].sequence, i);
	(void)sem_init(&reapers->waiting, 0, 0);
	(void)sem_init(&reapers->started, 0, 0);

	while (reapers->n_threads < n_threads) {
		pthread_t *thread = &reapers->threads[reapers->n_threads];
		int r = start_reaper(reapers, thread);

		if (r < 0)
			return r;
		reapers->n_threads++;
		r = pthread_setschedparam(*thread, SCHED_FIFO, &param);
		if (r != 0)
			priority_error = -r;
	}

	*ret_priority_error = priority_error;
	*ret = take_ptr(reapers);
	return 0;
}

int kill_reapers_push(struct kill_reapers *reapers, int pidfd)
{
	struct reap_slot *slot = &reapers->ring[reapers->push_at % KILL_REAP_QUEUE];
	int fd;

	if (atomic_load_explicit(&slot->sequence, memory_order_acquire) != reapers->push_at)
		return -EAGAIN;
	fd = fcntl(pidfd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;

	slot->pidfd = fd;
	atomic_store_explicit(&slot->sequence, ++reapers->push_at, memory_order_release);
	atomic_fetch_add(&reapers->n_pushed, 1);
	(void)sem_post(&reapers->waiting);
	return 0;
}

void kill_reapers_stats(const struct kill_reapers *reapers, struct kill_reap_stats *ret)
{
	*ret = (struct kill_reap_stats){ .n_done = atomic_load(&reapers->n_done) };
	ret->n_pushed = atomic_load(&reapers->n_pushed);
	ret->n_reaped = atomic_load(&reapers->n_reaped);
	ret->last_result = atomic_load(&reapers->last_result);
	ret->last_usec = atomic_load(&reapers->last_usec);
}
