/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill: see kill.h.  Called from the daemon's tick (open, signal, judge) and at its start (the
 * reapers, the rehearsal).
 */
#include "lib/kill.h"

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
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
