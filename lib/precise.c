/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * precise: see precise.h.
 *
 * Two semaphores, one each way: the request is written before `asked` is posted and the answer
 * before `answered` is, so nothing else is shared and no lock can be held by a thread that hangs.
 * Called from the second pass of the choice, through the census's reader, and before a signal, to
 * find who shares the victim's memory.
 */
#include "lib/precise.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"

struct precise {
	int proc_fd;
	pthread_t thread;
	sem_t asked;
	sem_t answered;
	bool late;	      /* an answer is out that nobody waits for */
	atomic_bool given_up; /* the same, for the thread: the rest need not be compared */
	atomic_bool stop;
	pid_t pid;	 /* whose memory is read, or compared with the others' */
	unsigned n_tids; /* 0: it is read */
	pid_t tids[PRECISE_COMPARE_MAX];
	int same[PRECISE_COMPARE_MAX];
	atomic_uint n_compared; /* so many of same[] are good */
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

static int compare(pid_t a, pid_t b)
{
	long r = syscall(SYS_kcmp, a, b, KCMP_VM, 0, 0);

	return r < 0 ? -errno : r == 0;
}

static void compare_all(struct precise *precise)
{
	for (unsigned i = 0; i < precise->n_tids && !atomic_load(&precise->given_up); i++) {
		precise->same[i] = compare(precise->pid, precise->tids[i]);
		atomic_store(&precise->n_compared, i + 1);
	}
}

static void *precise_run(void *userdata)
{
	struct precise *precise = userdata;

	/* Somebody waits for each answer.  Of this thread alone (setpriority(2), BUGS). */
	(void)setpriority(PRIO_PROCESS, 0, -20);
	for (;;) {
		while (sem_wait(&precise->asked) < 0)
			; /* EINTR */
		if (atomic_load(&precise->stop))
			break;
		if (precise->n_tids > 0)
			compare_all(precise);
		else
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

/* An answer that was late may have come by now: it is dropped. */
static bool is_busy(struct precise *precise)
{
	return precise->late && sem_trywait(&precise->answered) < 0;
}

/* Lets the thread find out what was written for it; false: not within the deadline. */
static bool ask(struct precise *precise, usec_t deadline)
{
	(void)sem_post(&precise->asked);
	precise->late = !is_answered_within(precise, deadline);
	return !precise->late;
}

int precise_read(struct precise *precise, pid_t pid, usec_t deadline, struct proc_memory *ret)
{
	if (is_busy(precise))
		return PRECISE_LATE;

	precise->pid = pid;
	precise->n_tids = 0;
	if (!ask(precise, deadline))
		return PRECISE_LATE;
	if (precise->result == 0)
		*ret = precise->memory;
	return precise->result;
}

void precise_compare(struct precise *precise, pid_t tid, const pid_t *tids, unsigned n,
		     usec_t deadline, int *ret)
{
	unsigned n_compared = 0;

	assert(n <= PRECISE_COMPARE_MAX);
	if (n > 0 && !is_busy(precise)) {
		precise->pid = tid;
		precise->n_tids = n;
		memcpy(precise->tids, tids, n * sizeof(*tids));
		atomic_store(&precise->n_compared, 0);
		atomic_store(&precise->given_up, false);
		atomic_store(&precise->given_up, !ask(precise, deadline));
		n_compared = atomic_load(&precise->n_compared);
	}
	for (unsigned i = 0; i < n; i++)
		ret[i] = i < n_compared ? precise->same[i] : -ETIMEDOUT;
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
