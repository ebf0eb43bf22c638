/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill: see kill.h.  Called from the daemon's tick (open, signal, judge) and at its start (the
 * reapers, the rehearsal).
 */
#include "lib/kill.h"

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/proc.h"

static int system_pidfd_open(pid_t pid)
{
	int fd = pidfd_open(pid, 0); /* always O_CLOEXEC */

	return fd < 0 ? -errno : fd;
}

static int system_pidfd_send_signal(int pidfd, int signal)
{
	return pidfd_send_signal(pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

static int system_process_mrelease(int pidfd)
{
	return process_mrelease(pidfd, 0) < 0 ? -errno : 0;
}

static int system_read_start(int proc_fd, pid_t pid, uint64_t *ret_start_ticks)
{
	struct proc_stat stat;
	int r = proc_read_stat(proc_fd, pid, &stat);

	if (r == 0)
		*ret_start_ticks = stat.start_ticks;
	return r;
}

struct boost {
	unsigned n_left; /* threads, until it is enough */
	int error;	 /* the first */
};

static int boost_thread(pid_t tid, void *userdata)
{
	struct boost *boost = userdata;
	int policy = sched_getscheduler(tid) & ~SCHED_RESET_ON_FORK;
	int r = 0;

	/* A thread with a real-time or deadline policy already goes before what a nice level
	 * could give it. */
	if (policy == SCHED_IDLE || policy == SCHED_BATCH)
		r = sched_setscheduler(tid, SCHED_OTHER, &(struct sched_param){ 0 });
	if (r == 0)
		r = setpriority(PRIO_PROCESS, (id_t)tid, -20);
	if (r < 0 && errno != ESRCH && boost->error == 0)
		boost->error = -errno;
	return --boost->n_left == 0;
}

static int system_boost(int proc_fd, pid_t pid)
{
	_Alignas(8) char buf[4096];
	char path[sizeof("2147483647/task")];
	_cleanup_close_ int task_fd = -EBADF;
	struct boost boost = { .n_left = KILL_BOOST_MAX_THREADS };
	int r;

	(void)snprintf(path, sizeof(path), "%d/task", pid);
	task_fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (task_fd < 0)
		return -errno;
	r = proc_list(task_fd, buf, sizeof(buf), boost_thread, &boost);
	return r < 0 ? r : boost.error;
}

static usec_t now_usec(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (usec_t)now.tv_sec * USEC_PER_SEC + (usec_t)now.tv_nsec / 1000;
}

const struct kill_ops kill_ops_system = {
	.pidfd_open = system_pidfd_open,
	.pidfd_send_signal = system_pidfd_send_signal,
	.process_mrelease = system_process_mrelease,
	.read_start = system_read_start,
	.boost = system_boost,
	.thaw = freezer_thaw,
	.now = now_usec,
};

const char *kill_step_to_string(enum kill_step step)
{
	static const char *const names[] = {
		[KILL_STEP_OPEN] = "open",     [KILL_STEP_BOOST] = "boost",
		[KILL_STEP_SIGNAL] = "signal", [KILL_STEP_THAW] = "thaw",
		[KILL_STEP_REAP] = "reap",
	};

	return (unsigned)step < ARRAY_SIZE(names) ? names[step] : NULL;
}

void kill_victim_init(struct kill_victim *victim)
{
	*victim = (struct kill_victim){ .pidfd = -EBADF };
	freezer_thawed_init(&victim->thawed);
	for (int step = 0; step < _KILL_STEP_MAX; step++)
		victim->step_result[step] = 1;
}

void kill_victim_done(struct kill_victim *victim)
{
	closep(&victim->pidfd);
	freezer_thawed_done(&victim->thawed);
	kill_victim_init(victim);
}

static void step_is_over(const struct kill_ops *ops, struct kill_victim *victim,
			 enum kill_step step, int result)
{
	victim->step_result[step] = result;
	victim->step_at[step] = ops->now ? ops->now() : 0;
}

/* The pidfd of the very process that was chosen, KILL_GONE, or -errno. */
static int open_target(const struct kill_ops *ops, int proc_fd, const struct kill_target *target,
		       int *ret_pidfd)
{
	_cleanup_close_ int pidfd = ops->pidfd_open(target->pid);
	uint64_t start_ticks;
	int r;

	/* EINVAL: the number is that of a thread now, no longer of a process (pidfd_open(2)). */
	if (errno_is_gone(pidfd) || pidfd == -EINVAL)
		return KILL_GONE;
	if (pidfd < 0)
		return pidfd;

	r = ops->read_start(proc_fd, target->pid, &start_ticks);
	if (r < 0)
		return r;
	if (r == PROC_GONE || start_ticks != target->start_ticks)
		return KILL_GONE;

	*ret_pidfd = take_fd(&pidfd);
	return 0;
}

int kill_open(const struct kill_ops *ops, int proc_fd, const struct kill_target *target,
	      struct kill_victim *victim)
{
	int r;

	assert(victim->pidfd < 0);
	r = open_target(ops, proc_fd, target, &victim->pidfd);
	step_is_over(ops, victim, KILL_STEP_OPEN, r == KILL_GONE ? -ESRCH : r);
	if (r == 0) {
		victim->pid = target->pid;
		victim->start_ticks = target->start_ticks;
	}
	return r;
}

/* 0, 1 where there was nothing to thaw, in this call or an earlier one, or -errno. */
static int thaw_group(const struct kill_ops *ops, const struct cgroup_fs *fs,
		      const struct kill_target *target, struct freezer_thawed *thawed)
{
	int r = ops->thaw ? ops->thaw(fs, target->v2_path, target->v1_path, thawed) : 0;

	if (r < 0)
		return r;
	if (thawed->error < 0)
		return thawed->error;
	return r > 0 || thawed->n_levels > 0 ? 0 : 1;
}

int kill_signal(const struct kill_ops *ops, int proc_fd, const struct cgroup_fs *fs,
		const struct kill_target *target, int signal, struct kill_reapers *reapers,
		struct kill_victim *victim)
{
	const bool final = signal == SIGKILL;
	int r;

	assert(victim->pidfd >= 0);
	if (final && ops->boost)
		step_is_over(ops, victim, KILL_STEP_BOOST, ops->boost(proc_fd, victim->pid));

	r = ops->pidfd_send_signal(victim->pidfd, signal);
	step_is_over(ops, victim, KILL_STEP_SIGNAL, r);
	if (r < 0)
		return errno_is_gone(r) ? KILL_GONE : r;
	victim->signal = signal;

	step_is_over(ops, victim, KILL_STEP_THAW, thaw_group(ops, fs, target, &victim->thawed));
	if (final && reapers && ops->process_mrelease)
		step_is_over(ops, victim, KILL_STEP_REAP,
			     kill_reapers_push(reapers, victim->pidfd));
	return 0;
}

bool kill_is_gone(const struct kill_victim *victim)
{
	struct pollfd pollfd = { .fd = victim->pidfd, .events = POLLIN };

	return poll(&pollfd, 1, 0) > 0 && pollfd.revents & (POLLIN | POLLHUP);
}

/*
 * The reapers.  The ring is that of D. Vyukov's bounded queue: a slot's sequence says whose turn
 * it is.  pos: free for the push number pos; pos + 1: holds it; a turn later it is free again.
 */
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
		if (sequence != at + 1) { /* another has been here */
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

/* Has the pages of the stack before they are needed: locked on fault, they then stay. */
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
		atomic_fetch_add(&reapers->n_done, 1); /* last: who sees it sees the others */
	}
}

/* A thread with a small stack that takes no signals. */
static int start_reaper(struct kill_reapers *reapers, pthread_t *ret)
{
	const size_t minimum = (size_t)sysconf(_SC_THREAD_STACK_MIN) + 2 * REAPER_STACK_USED;
	pthread_attr_t attributes;
	sigset_t all, before;
	int r;

	r = pthread_attr_init(&attributes);
	if (r != 0)
		return -r;
	r = pthread_attr_setstacksize(&attributes, max_u64(minimum, REAPER_STACK_SIZE));
	if (r == 0) {
		sigfillset(&all);
		(void)pthread_sigmask(SIG_SETMASK, &all, &before);
		r = pthread_create(ret, &attributes, reaper_run, reapers);
		(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	(void)pthread_attr_destroy(&attributes);
	if (r != 0)
		return -r;

	(void)pthread_setname_np(*ret, "reaper");
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

const char *kill_progress_to_string(enum kill_progress progress)
{
	static const char *const names[] = {
		[KILL_PROGRESS_WAIT] = "wait",
		[KILL_PROGRESS_GONE] = "gone",
		[KILL_PROGRESS_MEMORY_BACK] = "memory-back",
		[KILL_PROGRESS_ESCALATE] = "escalate",
		[KILL_PROGRESS_STAND_DOWN] = "stand-down",
		[KILL_PROGRESS_UNKILLABLE] = "unkillable",
	};

	return (unsigned)progress < ARRAY_SIZE(names) ? names[progress] : NULL;
}

static uint64_t back_bytes(uint64_t expected)
{
	return (__uint128_t)expected * KILL_BACK_PERMYRIAD / PERMYRIAD;
}

/* What the victim may keep and still count as having given its memory back. */
static uint64_t may_remain(const struct kill_facts *facts)
{
	return facts->expected_bytes - back_bytes(facts->expected_bytes);
}

/* Memory has come back, and as far as can be told it is the victim's. */
static bool memory_is_back(const struct kill_facts *facts)
{
	return facts->expected_bytes >= KILL_BACK_MIN &&
	       sub_u64(facts->available_now, facts->available_before) >=
		       back_bytes(facts->expected_bytes) &&
	       (facts->footprint_now == UINT64_MAX || facts->footprint_now <= may_remain(facts));
}

static enum kill_progress judge_killed(const struct kill_facts *facts)
{
	if (memory_is_back(facts))
		return KILL_PROGRESS_MEMORY_BACK;
	if (facts->since_signal < facts->timeout)
		return KILL_PROGRESS_WAIT;
	/* Gone to others meanwhile, perhaps, but no longer the victim's; UINT64_MAX is larger. */
	return facts->footprint_now <= may_remain(facts) ? KILL_PROGRESS_MEMORY_BACK
							 : KILL_PROGRESS_UNKILLABLE;
}

static enum kill_progress judge_asked(const struct kill_facts *facts)
{
	if (facts->next_level)
		return KILL_PROGRESS_ESCALATE;
	if (!facts->emergency_holds && memory_is_back(facts))
		return KILL_PROGRESS_MEMORY_BACK;
	if (facts->since_signal < facts->grace)
		return KILL_PROGRESS_WAIT;
	return facts->emergency_holds ? KILL_PROGRESS_ESCALATE : KILL_PROGRESS_STAND_DOWN;
}

enum kill_progress kill_judge(const struct kill_facts *facts)
{
	if (facts->gone)
		return KILL_PROGRESS_GONE;
	if (facts->signal == 0)
		return KILL_PROGRESS_WAIT;
	return facts->signal == SIGKILL ? judge_killed(facts) : judge_asked(facts);
}
