/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * precise: the reader thread, its requests and its queue.
 *
 * No lock can be held by a thread that hangs: there is none.  A request that is waited for is
 * written before `has_request` is set, and is the thread's from when the thread takes that back;
 * its answer is written before `answered` is posted.  The queue is a ring whose slots belong to
 * the caller while free or finished and to the thread while queued.  `asked` only wakes: there
 * may be nothing to do.
 * Called from the second pass of the choice, through the census's reader, and before a signal, to
 * find which processes share the victim's memory.
 */
#include "lib/sys/precise.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/thread.h"

enum slot_state { SLOT_FREE, SLOT_QUEUED, SLOT_FINISHED };

struct slot {
	atomic_int state; /* enum slot_state */
	pid_t pid;
	uint64_t start_ticks;
	int result;
	struct reclaimable reclaimable;
};

struct precise {
	int proc_fd;
	pthread_t thread;
	sem_t asked;
	sem_t answered;
	sem_t ended; /* the thread has seen `stop` */
	atomic_bool stop;

	/* What is waited for. */
	atomic_bool has_request;
	bool late;		  /* an answer is pending that is no longer waited for */
	bool hangs;		  /* a request was not taken in time ... */
	unsigned n_finished_then; /* ... when the thread had finished so many measurements */
	atomic_uint n_answered; /* for ThreadSanitizer, to which sem_clockwait(3) orders nothing */
	atomic_bool given_up;	/* late, for the thread: the rest need not be compared */
	pid_t pid;		/* whose memory is read, or compared with the others' */
	unsigned n_tids;	/* 0: it is read */
	pid_t tids[PRECISE_COMPARE_MAX];
	int same[PRECISE_COMPARE_MAX];
	atomic_uint n_compared; /* so many of same[] are good */
	int result;
	struct reclaimable reclaimable;

	/* What is queued. */
	struct slot slots[PRECISE_QUEUE_MAX];
	unsigned n_asked;	/* the caller's; modulo PRECISE_QUEUE_MAX the next free slot */
	unsigned n_collected;	/* likewise */
	atomic_uint n_finished; /* the thread's */

	atomic_ullong spent; /* CPU time on what was queued, us */

	atomic_int tid;
	atomic_bool can_raise; /* the thread has begun, and it may have nice -20 */

	atomic_int *left; /* of the table, when it was left to its read; else NULL */

	/* The caller and the thread; the last one frees.  A thread that hangs cannot be joined. */
	atomic_uint n_owners;
};

/* The processes that threads were left to; 0: a free place. */
static atomic_int left_to[PRECISE_LEFT_MAX];

#define NICE_WAITED_FOR (-20)
#define NICE_QUEUED	0

/* reclaimable_read() takes some 20 KiB. */
#define PRECISE_STACK_SIZE (96 * 1024)

static void disown(struct precise *precise)
{
	if (atomic_fetch_sub(&precise->n_owners, 1) > 1)
		return;
	if (precise->left)
		atomic_store(precise->left, 0);
	closep(&precise->proc_fd);
	(void)sem_destroy(&precise->asked);
	(void)sem_destroy(&precise->answered);
	(void)sem_destroy(&precise->ended);
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

static void answer(struct precise *precise)
{
	if (precise->n_tids > 0)
		compare_all(precise);
	else
		precise->result =
			reclaimable_read(precise->proc_fd, precise->pid, &precise->reclaimable);
	atomic_fetch_add(&precise->n_answered, 1);
	(void)sem_post(&precise->answered);
}

/* Which process has the pid after the reading: what was read was read below one directory
 * (reclaimable.c), so it is that process's or nothing's. */
static void measure(struct precise *precise, struct slot *slot)
{
	struct proc_stat stat;
	int r;

	slot->result = reclaimable_read(precise->proc_fd, slot->pid, &slot->reclaimable);
	if (slot->result == PROC_GONE)
		return;
	r = proc_read_stat(precise->proc_fd, slot->pid, &stat);
	if (r == 0 && stat.start_ticks != slot->start_ticks)
		r = PROC_GONE;
	if (r != 0)
		slot->result = r;
}

static usec_t cpu_time(clockid_t clock)
{
	struct timespec t = { 0 };

	(void)clock_gettime(clock, &t);
	return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

/* Of the thread alone (setpriority(2), BUGS). */
static bool set_nice(pid_t tid, int nice)
{
	return setpriority(PRIO_PROCESS, (id_t)tid, nice) == 0;
}

/*
 * What is waited for, or else the next that is queued; false: there is nothing to do.
 *
 * The caller sets has_request and raises the thread after that; so if it is not set here, after the
 * thread has lowered itself, the thread will be raised.  With nothing to do it is at its higher
 * level: a request has it wake up soon.
 */
static bool do_next(struct precise *precise)
{
	struct slot *slot = &precise->slots[atomic_load(&precise->n_finished) % PRECISE_QUEUE_MAX];
	bool has_queued = atomic_load(&slot->state) == SLOT_QUEUED;
	bool can_raise = atomic_load(&precise->can_raise);
	usec_t began;

	if (can_raise && has_queued)
		(void)set_nice(gettid(), NICE_QUEUED);
	if (atomic_exchange(&precise->has_request, false)) {
		if (can_raise && has_queued)
			(void)set_nice(gettid(), NICE_WAITED_FOR);
		answer(precise);
		return true;
	}
	if (!has_queued)
		return false;
	began = cpu_time(CLOCK_THREAD_CPUTIME_ID);
	measure(precise, slot);
	atomic_fetch_add(&precise->spent, cpu_time(CLOCK_THREAD_CPUTIME_ID) - began);
	if (can_raise)
		(void)set_nice(gettid(), NICE_WAITED_FOR);
	atomic_store(&slot->state, SLOT_FINISHED);
	atomic_fetch_add(&precise->n_finished, 1);
	return true;
}

static void *precise_run(void *userdata)
{
	struct precise *precise = userdata;

	atomic_store(&precise->tid, gettid());
	atomic_store(&precise->can_raise, set_nice(gettid(), NICE_WAITED_FOR));
	for (;;) {
		while (sem_wait(&precise->asked) < 0)
			; /* EINTR */
		while (!atomic_load(&precise->stop) && do_next(precise))
			;
		if (atomic_load(&precise->stop))
			break;
	}
	(void)sem_post(&precise->ended);
	disown(precise);
	return NULL;
}

static int start_thread(struct precise *precise)
{
	const struct thread_options options = { .name = "precise",
						.stack_size = PRECISE_STACK_SIZE };
	int r = thread_start(&options, precise_run, precise, &precise->thread);

	if (r < 0)
		return r;
	atomic_fetch_add(&precise->n_owners, 1);
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
	(void)sem_init(&precise->ended, 0, 0);
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
 * Waits no longer than the timeout.  Nothing is decided by the clock: it is read only because the
 * system call wants a point in time, and a length of time is what we have.
 */
static bool is_posted_within(sem_t *sem, usec_t timeout)
{
	struct timespec until;
	usec_t usec;
	int r;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	usec = add_u64((usec_t)until.tv_nsec / 1000, timeout);
	until.tv_sec += (time_t)(usec / USEC_PER_SEC);
	until.tv_nsec = (long)(usec % USEC_PER_SEC) * 1000;
	do
		r = sem_clockwait(sem, CLOCK_MONOTONIC, &until);
	while (r < 0 && errno == EINTR);
	return r == 0;
}

/* An answer that was late may have been posted by now: it is dropped.  A request that was withdrawn
 * found the thread in a measurement, which may be over. */
static bool is_busy(struct precise *precise)
{
	if (precise->late)
		precise->late = sem_trywait(&precise->answered) < 0;
	if (precise->hangs)
		precise->hangs = atomic_load(&precise->n_finished) == precise->n_finished_then;
	return precise->late || precise->hangs;
}

/* Posts the request that was written to the thread; false: no answer within the deadline. */
static bool ask(struct precise *precise, usec_t deadline)
{
	unsigned n_finished = atomic_load(&precise->n_finished);

	atomic_store(&precise->has_request, true);
	if (n_finished != precise->n_asked && atomic_load(&precise->can_raise))
		(void)set_nice(atomic_load(&precise->tid), NICE_WAITED_FOR);
	(void)sem_post(&precise->asked);
	if (is_posted_within(&precise->answered, deadline)) {
		(void)atomic_load(&precise->n_answered);
		return true;
	}

	precise->late = !atomic_exchange(&precise->has_request, false);
	precise->hangs = !precise->late && n_finished != precise->n_asked;
	precise->n_finished_then = n_finished;
	return false;
}

static bool is_left(pid_t pid)
{
	for (unsigned i = 0; i < PRECISE_LEFT_MAX; i++)
		if (atomic_load(&left_to[i]) == pid)
			return true;
	return false;
}

pid_t precise_is_at(struct precise *precise, unsigned *ret_n_done)
{
	unsigned n_finished = atomic_load(&precise->n_finished);
	const struct slot *slot = &precise->slots[n_finished % PRECISE_QUEUE_MAX];
	clockid_t clock;
	pid_t pid = 0;

	(void)is_busy(precise);
	if (precise->late)
		pid = precise->pid;
	else if (atomic_load(&slot->state) == SLOT_QUEUED)
		pid = slot->pid;
	*ret_n_done = n_finished + atomic_load(&precise->n_answered);
	/* A long read is no hang. */
	if (pid != 0 && pthread_getcpuclockid(precise->thread, &clock) == 0)
		*ret_n_done += (unsigned)(cpu_time(clock) / USEC_PER_MSEC);
	return pid;
}

int precise_replace(struct precise **precise)
{
	struct precise *old = *precise;
	unsigned n_done, i = 0;
	pid_t pid = precise_is_at(old, &n_done);
	int r;

	while (i < PRECISE_LEFT_MAX && atomic_load(&left_to[i]) != 0)
		i++;
	if (i == PRECISE_LEFT_MAX)
		return -EUSERS;
	r = precise_new(old->proc_fd, precise);
	if (r < 0)
		return r;
	atomic_store(&left_to[i], pid);
	old->left = &left_to[i]; /* before `stop`, and so before the thread is through */
	atomic_store(&old->stop, true);
	(void)sem_post(&old->asked);
	(void)pthread_detach(old->thread);
	disown(old);
	return 0;
}

int precise_read(struct precise *precise, pid_t pid, usec_t deadline, struct reclaimable *ret)
{
	if (is_left(pid) || is_busy(precise))
		return PRECISE_LATE;

	precise->pid = pid;
	precise->n_tids = 0;
	if (!ask(precise, deadline))
		return PRECISE_LATE;
	if (precise->result == 0)
		*ret = precise->reclaimable;
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

int precise_measure(struct precise *precise, pid_t pid, uint64_t start_ticks)
{
	struct slot *slot = &precise->slots[precise->n_asked % PRECISE_QUEUE_MAX];

	if (is_left(pid))
		return 0;
	if (is_busy(precise) || atomic_load(&slot->state) != SLOT_FREE)
		return -EBUSY;

	slot->pid = pid;
	slot->start_ticks = start_ticks;
	atomic_store(&slot->state, SLOT_QUEUED);
	precise->n_asked++;
	(void)sem_post(&precise->asked);
	return 0;
}

usec_t precise_spent(const struct precise *precise)
{
	return atomic_load(&precise->spent);
}

bool precise_hurry(struct precise *precise, pid_t pid)
{
	const struct slot *slot;

	if (!precise)
		return false;
	slot = &precise->slots[atomic_load(&precise->n_finished) % PRECISE_QUEUE_MAX];
	(void)is_busy(precise);
	if (precise->late && precise->n_tids == 0 && precise->pid == pid)
		return true;
	if (atomic_load(&slot->state) != SLOT_QUEUED || slot->pid != pid)
		return false;
	if (atomic_load(&precise->can_raise))
		(void)set_nice(atomic_load(&precise->tid), NICE_WAITED_FOR);
	return true;
}

int precise_collect(struct precise *precise, pid_t *ret_pid, uint64_t *ret_start_ticks,
		    int *ret_result, struct reclaimable *ret)
{
	struct slot *slot = &precise->slots[precise->n_collected % PRECISE_QUEUE_MAX];

	if (atomic_load(&slot->state) != SLOT_FINISHED)
		return 0;

	*ret_pid = slot->pid;
	*ret_start_ticks = slot->start_ticks;
	*ret_result = slot->result;
	if (slot->result == 0)
		*ret = slot->reclaimable;
	atomic_store(&slot->state, SLOT_FREE);
	precise->n_collected++;
	return 1;
}

struct precise *precise_free(struct precise *precise)
{
	if (!precise)
		return NULL;

	atomic_store(&precise->stop, true);
	(void)sem_post(&precise->asked);
	if (is_posted_within(&precise->ended, USEC_PER_SEC))
		(void)pthread_join(precise->thread, NULL);
	else
		(void)pthread_detach(precise->thread);
	disown(precise);
	return NULL;
}
