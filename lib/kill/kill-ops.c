/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill-ops: the real steps, each a system call or a few; see kill.h.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/kill/kill.h"
#include "lib/sys/proc.h"

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

	/* A real-time or deadline policy already has priority over any nice level. */
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

/* All pids of one cgroup; f stops the listing with anything but 0. */
static int list_own(int dir_fd, kill_list_fn f, void *userdata)
{
	_cleanup_close_ int fd = openat(dir_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	unsigned n_interruptions = 0;
	char buf[1024];
	pid_t pid = 0;
	ssize_t n;
	int r;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, buf, sizeof(buf))) > 0 || io_is_interrupted(n, &n_interruptions)) {
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] >= '0' && buf[i] <= '9') {
				pid = pid * 10 + (buf[i] - '0'); /* may continue in the next */
				continue;
			}
			r = f(pid, userdata);
			if (r != 0)
				return r;
			pid = 0;
		}
	}
	return n < 0 ? -errno : 0;
}

static int list_all(int dir_fd, unsigned depth, kill_list_fn f, void *userdata);

/* A cgroup below.  One that is threaded has its processes listed above. */
static int list_child(int dir_fd, const char *name, unsigned depth, kill_list_fn f, void *userdata)
{
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = fd < 0 ? -errno : list_all(fd, depth, f, userdata);
	return errno_is_gone(r) || r == -EOPNOTSUPP ? 0 : r;
}

static int list_all(int dir_fd, unsigned depth, kill_list_fn f, void *userdata)
{
	_Alignas(struct dirent64) char buf[1024];
	_cleanup_close_ int list_fd = -EBADF;
	ssize_t n;
	int r;

	r = list_own(dir_fd, f, userdata);
	if (r != 0)
		return r;
	if (depth == KILL_GROUP_DEPTH)
		return -ELOOP;
	list_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (list_fd < 0)
		return -errno;
	while ((n = getdents64(list_fd, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n; p += ((struct dirent64 *)p)->d_reclen) {
			const struct dirent64 *entry = (struct dirent64 *)p;

			r = entry->d_type == DT_DIR
				    ? list_child(dir_fd, entry->d_name, depth + 1, f, userdata)
				    : 0;
			if (r != 0)
				return r;
		}
	}
	return n < 0 ? -errno : 0;
}

static int system_group_list(int dir_fd, kill_list_fn f, void *userdata)
{
	return list_all(dir_fd, 0, f, userdata);
}

static int system_group_kill(int dir_fd)
{
	return io_write_at(dir_fd, "cgroup.kill", "1");
}

static int system_group_freeze(int dir_fd, bool freeze)
{
	char text[8];
	ssize_t n;

	n = io_read_at(dir_fd, "cgroup.freeze", text, sizeof(text));
	if (n < 0)
		return (int)n;
	if (freeze && text[0] == '1')
		return 1;
	return io_write_at(dir_fd, "cgroup.freeze", freeze ? "1" : "0");
}

static int system_group_is_populated(int dir_fd)
{
	char text[256];
	ssize_t n = io_read_at(dir_fd, "cgroup.events", text, sizeof(text));

	if (n < 0)
		return errno_is_gone((int)n) ? 0 : (int)n;
	return strstr(text, "populated 0") == NULL;
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
	.group_list = system_group_list,
	.group_kill = system_group_kill,
	.group_freeze = system_group_freeze,
	.group_is_populated = system_group_is_populated,
	.now = system_now,
	.thaw = freezer_thaw,
};
