/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill-ops: the real steps, each a system call or a few; see kill.h.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <time.h>

#include "lib/cleanup.h"
#include "lib/kill.h"
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

/* On a machine without v2, v1_path twice (cgroup.h): freezer_thaw() then takes the one it needs. */
static int system_read_cgroups(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *v2_path,
			       char *v1_path, size_t size)
{
	int r = cgroup_of_process(fs, proc_fd, pid, v2_path, size);

	return r != 0 ? r : cgroup_of_process_v1_freezer(fs, proc_fd, pid, v1_path, size);
}

static usec_t system_now(void)
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
	.read_cgroups = system_read_cgroups,
	.now = system_now,
	.thaw = freezer_thaw,
};
