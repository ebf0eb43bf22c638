/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rehearsal: see the header. */
#include "daemon/rehearsal.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/manager.h"
#include "daemon/monitor.h"
#include "lib/cleanup.h"
#include "lib/io.h"

#define CHILD_BYTES   (4 * MIB)
#define PATIENCE_MSEC 1000

/* Nobody asks for these in vain: each has its line in report.c. */
static const unsigned wanted[] = {
	CAP_KILL, CAP_SYS_NICE, CAP_SYS_PTRACE, CAP_SYS_RESOURCE, CAP_DAC_OVERRIDE,
};

static uint64_t missing_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	uint64_t have = 0, missing = 0;

	if (syscall(SYS_capget, &header, data) == 0)
		have = data[0].effective | (uint64_t)data[1].effective << 32;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		missing |= ((uint64_t)1 << wanted[i]) & ~have;
	return missing;
}

/* PROC_USER_INIT_INO in include/linux/proc_ns.h: the inode of the initial user namespace. */
#define INITIAL_USER_NAMESPACE 0xEFFFFFFDU

/* Capabilities count in their user namespace only.  In a container whose init is in it too there is
 * nobody else to be ended, so that nothing is missing. */
static bool is_in_user_namespace(int proc_fd)
{
	struct stat own, init;

	if (fstatat(proc_fd, "self/ns/user", &own, 0) < 0 || own.st_ino == INITIAL_USER_NAMESPACE)
		return false;
	return fstatat(proc_fd, "1/ns/user", &init, 0) < 0 || init.st_ino != own.st_ino;
}

void rehearsal_protect_self(struct manager *m)
{
	struct abilities *a = &m->abilities;
	char text[16];

	a->missing_capabilities = missing_capabilities();
	a->in_user_namespace = is_in_user_namespace(m->proc_fd);
	/* A huge page is half of what there is to be of it all. */
	(void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	/* On fault: what is never touched (libcgroup's tables alone are 2.4 MB) costs nothing. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		a->memory_lock_error = -errno;
	/* Late is too late: the loop itself must not wait behind what thrashes. */
	(void)setpriority(PRIO_PROCESS, 0, -20);
	/* The service has it from its unit; started by hand it may be permitted. */
	if (io_read_at(m->proc_fd, "self/oom_score_adj", text, sizeof(text)) > 0 &&
	    strncmp(text, "-1000", 5) != 0)
		a->oom_score_adj_error = io_write_at(m->proc_fd, "self/oom_score_adj", "-1000");
}

static void child(void)
{
	char *memory;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memory =
		mmap(NULL, CHILD_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory != MAP_FAILED)
		memset(memory, 1, CHILD_BYTES);
	for (;;)
		pause();
}

/* A cgroup of our own in one hierarchy; the child is frozen in it. */
struct stage {
	bool v1;
	int parent_fd; /* of the cgroup that we are in; -EBADF: there is no stage */
	int fd;
	char name[32];
	char path[CGROUP_PATH_MAX]; /* from the mount; "/" without a stage */
};

static int read_own_path(const struct manager *m, bool v1, char *buf, size_t size)
{
	return v1 ? cgroup_of_process_v1_freezer(&m->cgroups, m->proc_fd, getpid(), buf, size)
		  : cgroup_of_process(&m->cgroups, m->proc_fd, getpid(), buf, size);
}

/* May somebody be thawed, by the look of it?  The root has no file for that; what it has may be
 * written by the same people. */
static int may_thaw(const struct manager *m, bool v1, int own_fd)
{
	const char *scope = m->policies.scope, *file = v1 ? "freezer.state" : "cgroup.freeze";
	_cleanup_close_ int scope_fd = -EBADF;
	int fd = own_fd;

	if (strcmp(scope, "/") != 0 && (!v1 || m->cgroups.v2_fd < 0)) {
		scope_fd = cgroup_open(v1 ? m->cgroups.v1_freezer_fd : m->cgroups.v2_fd, scope);
		fd = scope_fd >= 0 ? scope_fd : own_fd;
	}
	if (faccessat(fd, file, F_OK, 0) < 0)
		file = "cgroup.procs";
	return faccessat(fd, file, W_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/* Makes one, if it may; else finds out whether thawing is to be feared for. */
static void stage_init(struct manager *m, bool v1, struct stage *stage)
{
	int mount_fd = v1 ? m->cgroups.v1_freezer_fd : m->cgroups.v2_fd;
	_cleanup_close_ int own_fd = -EBADF;
	size_t length;

	*stage = (struct stage){ .v1 = v1, .parent_fd = -EBADF, .fd = -EBADF, .path = "/" };
	if (mount_fd < 0)
		return;
	if (read_own_path(m, v1, stage->path, sizeof(stage->path)) != 0)
		strcpy(stage->path, "/");
	own_fd = cgroup_open(mount_fd, stage->path);
	if (own_fd < 0) /* outside of our cgroup namespace */
		own_fd = cgroup_open(mount_fd, "/");
	(void)snprintf(stage->name, sizeof(stage->name), "reckond-rehearsal-%d", getpid());
	length = strlen(stage->path);
	if (length + strlen(stage->name) + 2 > sizeof(stage->path) ||
	    mkdirat(own_fd, stage->name, 0755) < 0) {
		m->abilities.thaw_error[v1] = may_thaw(m, v1, own_fd);
		strcpy(stage->path, "/");
		return;
	}
	(void)snprintf(stage->path + length, sizeof(stage->path) - length, "%s%s",
		       length > 1 ? "/" : "", stage->name);
	stage->fd = openat(own_fd, stage->name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	stage->parent_fd = take_fd(&own_fd);
}

static void stage_done(struct stage *stage)
{
	if (stage->parent_fd >= 0)
		(void)unlinkat(stage->parent_fd, stage->name, AT_REMOVEDIR);
	closep(&stage->parent_fd);
	closep(&stage->fd);
}

static bool is_frozen(const struct stage *stage)
{
	char text[256];

	return io_read_at(stage->fd, stage->v1 ? "freezer.state" : "cgroup.events", text,
			  sizeof(text)) > 0 &&
	       strstr(text, stage->v1 ? "FROZEN" : "frozen 1");
}

/* Puts the child on the stage and freezes it. */
static void freeze_child(struct manager *m, const struct stage *stage, pid_t pid)
{
	char text[16];
	int r;

	if (stage->fd < 0)
		return;
	(void)snprintf(text, sizeof(text), "%d", pid);
	r = io_write_at(stage->fd, "cgroup.procs", text);
	if (r == 0)
		r = stage->v1 ? io_write_at(stage->fd, "freezer.state", "FROZEN")
			      : io_write_at(stage->fd, "cgroup.freeze", "1");
	m->abilities.thaw_error[stage->v1] = r;
	for (int i = 0; i < PATIENCE_MSEC && r == 0 && !is_frozen(stage); i++)
		usleep(1000);
}

/* Lets the reaper have its turn: it has nothing else to do. */
static bool wait_for_reaper(const struct manager *m, unsigned n_before)
{
	struct kill_reap_stats stats;

	for (int i = 0; i < PATIENCE_MSEC; i++) {
		kill_reapers_stats(m->reapers, &stats);
		if (stats.n_done > n_before)
			break;
		usleep(1000);
	}
	/* That the child was quicker (ESRCH) is an answer too: the call is there. */
	return stats.n_done > n_before && (stats.last_result == 0 || stats.last_result == -ESRCH);
}

static int end_child(struct manager *m, pid_t pid, const char *v2_path, const char *v1_path)
{
	struct kill_target target = { .pid = pid, .v2_path = v2_path, .v1_path = v1_path };
	struct kill_reap_stats stats;
	struct kill_victim victim;
	struct pollfd pollfd;
	struct proc_stat stat;
	int r;

	kill_victim_init(&victim);
	kill_reapers_stats(m->reapers, &stats);
	r = proc_read_stat(m->proc_fd, pid, &stat);
	if (r == 0) {
		target.start_ticks = stat.start_ticks;
		r = kill_open(m->kill_ops, m->proc_fd, &target, &victim);
	}
	if (r == 0)
		r = kill_signal(m->kill_ops, m->proc_fd, &m->cgroups, &target, SIGKILL, m->reapers,
				&victim);
	memcpy(m->abilities.rehearsal_result, victim.step_result, sizeof(victim.step_result));
	if (r == 0) {
		pollfd = (struct pollfd){ .fd = victim.pidfd, .events = POLLIN };
		(void)poll(&pollfd, 1, PATIENCE_MSEC);
		m->abilities.rehearsal_reaped = wait_for_reaper(m, stats.n_done);
	}
	kill_victim_done(&victim);
	return r;
}

int rehearsal_run(struct manager *m)
{
	struct stage v2, v1;
	pid_t pid;
	int r;

	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child();
	stage_init(m, false, &v2);
	stage_init(m, true, &v1);
	/* In this order: who is in the v1 refrigerator does not come to the v2 trap. */
	freeze_child(m, &v2, pid);
	freeze_child(m, &v1, pid);
	r = end_child(m, pid, v2.path, v1.path);
	if (r != 0)
		(void)kill(pid, SIGKILL); /* our own child, not yet waited for: surely it */
	if (v1.fd >= 0) /* or it would be waited for in vain, should the thaw have failed */
		(void)io_write_at(v1.fd, "freezer.state", "THAWED");
	(void)waitpid(pid, NULL, 0);
	stage_done(&v2);
	stage_done(&v1);
	return r < 0 ? r : 0;
}
