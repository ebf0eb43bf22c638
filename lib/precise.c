/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * precise: see precise.h.
 *
 * Two semaphores, one each way: the request is written before `asked` is posted and the answer
 * before `answered` is, so nothing else is shared and no lock can be held by a thread that hangs.
 * Called from the second pass of the choice, through the census's reader.
 */
#include "lib/precise.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "lib/cleanup.h"

struct precise {
	int proc_fd;
	pthread_t thread;
	sem_t asked;
	sem_t answered;
	bool late; /* an answer is out that nobody waits for */
	atomic_bool stop;
	pid_t pid;
	int result;
	struct proc_memory memory;
	/* The caller and the thread; the last one frees.  A thread that hangs cannot be joined. */
	atomic_uint n_owners;
};

/* proc_read_rollup() takes some 5 KiB. */
#define PRECISE_STACK_SIZE (64 * 1024)

static void disown(struct precise *precise)
{
	if (atomic_fetch_sub(&precise->n_owners, 1) > 1)
		return;
	closep(&precise->proc_fd);
	(void)sem_destroy(&precise->asked);
	(void)sem_destroy(&precise->answered);
	free(precise);
}

static void disownp(struct precise **precise)
{
	if (*precise)
		disown(*precise);
}

static void *precise_run(void *userdata)
{
	struct precise *precise = userdata;

	for (;;) {
		while (sem_wait(&precise->asked) < 0)
			; /* EINTR */
		if (atomic_load(&precise->stop))
			break;
		precise->result =
			proc_read_rollup(precise->proc_fd, precise->pid, &precise->memory);
		(void)sem_post(&precise->answered);
	}
	disown(precise);
	return NULL;
}

/* A thread with a small stack that takes no signals. */
static int start_thread(struct precise *precise)
{
	const size_t minimum = (size_t)sysconf(_SC_THREAD_STACK_MIN) + PRECISE_STACK_SIZE / 2;
	pthread_attr_t attributes;
	sigset_t all, before;
	int r;

	r = pthread_attr_init(&attributes);
	if (r != 0)
		return -r;
	r = pthread_attr_setstacksize(&attributes, max_u64(minimum, PRECISE_STACK_SIZE));
	if (r == 0) {
		sigfillset(&all);
		(void)pthread_sigmask(SIG_SETMASK, &all, &before);
		r = pthread_create(&precise->thread, &attributes, precise_run, precise);
		(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	(void)pthread_attr_destroy(&attributes);
	if (r != 0)
		return -r;

	atomic_fetch_add(&precise->n_owners, 1);
	(void)pthread_setname_np(precise->thread, "precise");
	return 0;
}

int precise_new(int proc_fd, struct precise **ret)
{
	_cleanup_(disownp) struct precise *precise = calloc(1, sizeof(*precise));
	int r;

	if (!precise)
		return -ENOMEM;
	atomic_init(&precise->n_owners, 1);
	(void)sem_init(&precise->asked, 0, 0);
	(void)sem_init(&precise->answered, 0, 0);
	precise->proc_fd = fcntl(proc_fd, F_DUPFD_CLOEXEC, 0);
	if (precise->proc_fd < 0)
		return -errno;
	r = start_thread(precise);
	if (r < 0)
		return r;

	*ret = take_ptr(precise);
	return 0;
}

/*
 * Waits for an answer no longer than the timeout.  Nothing is decided by the clock: it is read
 * only because the system call wants a point in time, and a length of time is what we have.
 */
static bool is_answered_within(struct precise *precise, usec_t timeout)
{
	struct timespec until;
	usec_t usec;
	int r;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	usec = add_u64((usec_t)until.tv_nsec / 1000, timeout);
	until.tv_sec += (time_t)(usec / USEC_PER_SEC);
	until.tv_nsec = (long)(usec % USEC_PER_SEC) * 1000;
	do
		r = sem_clockwait(&precise->answered, CLOCK_MONOTONIC, &until);
	while (r < 0 && errno == EINTR);
	return r == 0;
}

int precise_read(struct precise *precise, pid_t pid, usec_t deadline, struct proc_memory *ret)
{
	if (precise->late && sem_trywait(&precise->answered) < 0)
		return PRECISE_LATE;

	precise->pid = pid;
	(void)sem_post(&precise->asked);
	precise->late = !is_answered_within(precise, deadline);
	if (precise->late)
		return PRECISE_LATE;

	if (precise->result == 0)
		*ret = precise->memory;
	return precise->result;
}

struct precise *precise_free(struct precise *precise)
{
	bool hangs;

	if (!precise)
		return NULL;

	hangs = precise->late && !is_answered_within(precise, USEC_PER_SEC);
	atomic_store(&precise->stop, true);
	(void)sem_post(&precise->asked);
	if (hangs)
		(void)pthread_detach(precise->thread);
	else
		(void)pthread_join(precise->thread, NULL);
	disown(precise);
	return NULL;
}
