/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* self-test: locks memory, asks for priority, and kills a child that it has frozen. */
#include "daemon/kill/self-test.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/machine.h"
#include "daemon/base/program.h"
#include "lib/base/cleanup.h"
#include "lib/base/io.h"
#include "lib/sys/proc.h"

#define CHILD_BYTES (4 * MIB)

/* Of each step, and of all of them.  A thaw that fails leaves a child in D state, which no signal
 * terminates. */
#define STEP_USEC USEC_PER_SEC
#define ALL_USEC  (4 * USEC_PER_SEC)

/* More than it can need (self.h). */
#define MEMLOCK_LIMIT_MIN (256 * MIB)

#define GROUP_PREFIX "reckond-self-test-"
/* To make a cgroup, while another daemon removes what it takes for a leftover. */
#define MAKE_TRIES 8
/* Of earlier daemons, removed at one start; and how long their processes may take to exit. */
#define LEFTOVERS_MAX  16
#define LEFTOVERS_USEC (2 * USEC_PER_SEC)

/* Each one that is missing has its line in report-start.c. */
static const unsigned wanted[] = {
	CAP_KILL,	  CAP_SYS_NICE,	    CAP_SYS_PTRACE,
	CAP_SYS_RESOURCE, CAP_DAC_OVERRIDE, CAP_CHECKPOINT_RESTORE,
};

static uint64_t effective_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) != 0)
		return 0;
	return data[0].effective | (uint64_t)data[1].effective << 32;
}

static uint64_t missing_capabilities(void)
{
	uint64_t have = effective_capabilities(), missing = 0;

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		missing |= ((uint64_t)1 << wanted[i]) & ~have;
	return missing;
}

/* PROC_USER_INIT_INO in include/linux/proc_ns.h: the inode of the initial user namespace. */
#define INITIAL_USER_NAMESPACE 0xEFFFFFFDU

/* Capabilities count in their user namespace only.  In a container whose init is in it too there is
 * no other process to be killed, so that nothing is missing. */
static bool is_in_user_namespace(int proc_fd)
{
	struct stat own, init;

	if (fstatat(proc_fd, "self/ns/user", &own, 0) < 0 || own.st_ino == INITIAL_USER_NAMESPACE)
		return false;
	return fstatat(proc_fd, "1/ns/user", &init, 0) < 0 || init.st_ino != own.st_ino;
}

/*
 * On fault: what is never touched (such as the stacks of threads) costs nothing.  With a low limit
 * it is left: what comes later is locked too, and beyond the limit an allocation fails.
 */
static int lock_memory(bool in_user_namespace)
{
	bool is_free = !in_user_namespace && effective_capabilities() & (uint64_t)1 << CAP_IPC_LOCK;
	struct rlimit limit;

	if (!is_free &&
	    (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur < MEMLOCK_LIMIT_MIN))
		return -ENOMEM;
	return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0 ? -errno : 0;
}

void self_test_protect_self(const struct self_test *t)
{
	struct probe_results *a = t->probed;
	char text[16];

	a->is_unprivileged = geteuid() != 0;
	a->missing_capabilities = missing_capabilities();
	a->in_user_namespace = is_in_user_namespace(t->machine->proc_fd);
	/* A huge page is half of what there is to be of it all. */
	(void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	a->memory_lock_error = lock_memory(a->in_user_namespace);
	program_touch();
	/* Late is too late: the loop itself must not wait behind what thrashes. */
	(void)setpriority(PRIO_PROCESS, 0, -20);
	/* The service has it from its unit; started by hand it may be permitted. */
	if (io_read_at(t->machine->proc_fd, "self/oom_score_adj", text, sizeof(text)) > 0 &&
	    strncmp(text, "-1000", 5) != 0)
		a->oom_score_adj_error =
			io_write_at(t->machine->proc_fd, "self/oom_score_adj", "-1000");
}

static void child(pid_t parent)
{
	char *memory;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) /* it has exited before that */
		_exit(0);
	memory =
		mmap(NULL, CHILD_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory != MAP_FAILED)
		memset(memory, 1, CHILD_BYTES);
	for (;;)
		pause();
}

int self_test_begin(const struct self_test *t)
{
	pid_t parent = getpid(), pid;

	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child(parent);
	t->probed->self_test_pid = pid;
	return 0;
}

static usec_t step_until(usec_t deadline)
{
	return min_u64(clock_now() + STEP_USEC, deadline);
}

/*
 * A cgroup of our own in one hierarchy; the child is frozen in it.  Its directory is locked
 * (flock(2)) as long as this daemon uses it: a lock is seen from every pid namespace, a process is
 * not.
 */
struct stage {
	bool v1;
	int parent_fd; /* of the cgroup that we are in; -EBADF: there is no stage */
	int fd;	       /* has the lock */
	char name[32];
	char path[CGROUP_PATH_MAX]; /* from the mount; "/" without a stage */
};

static int read_own_path(const struct self_test *t, bool v1, char *buf, size_t size)
{
	return v1 ? cgroup_of_process_v1_freezer(&t->machine->cgroups, t->machine->proc_fd,
						 getpid(), buf, size)
		  : cgroup_of_process(&t->machine->cgroups, t->machine->proc_fd, getpid(), buf,
				      size);
}

/* Our own cgroup; -EBADF where there is no such hierarchy.  *path is "/" where it is not known. */
static int open_own(const struct self_test *t, bool v1, char *path, size_t size)
{
	int mount_fd = v1 ? t->machine->cgroups.v1_freezer_fd : t->machine->cgroups.v2_fd, fd;

	strcpy(path, "/");
	if (mount_fd < 0)
		return -EBADF;
	if (read_own_path(t, v1, path, size) != 0)
		strcpy(path, "/");
	fd = cgroup_open(mount_fd, path);
	if (fd < 0) /* outside of our cgroup namespace */
		fd = cgroup_open(mount_fd, "/");
	return fd;
}

/* May a process be thawed, by the mode of the file?  The root has no such file; its other files may
 * be written by the same users. */
static int may_thaw(const struct self_test *t, bool v1, int own_fd)
{
	const char *subtree = t->subtree, *file = v1 ? "freezer.state" : "cgroup.freeze";
	_cleanup_close_ int subtree_fd = -EBADF;
	int fd = own_fd;

	if (strcmp(subtree, "/") != 0 && (!v1 || t->machine->cgroups.v2_fd < 0)) {
		subtree_fd = cgroup_open(v1 ? t->machine->cgroups.v1_freezer_fd
					    : t->machine->cgroups.v2_fd,
					 subtree);
		fd = subtree_fd >= 0 ? subtree_fd : own_fd;
	}
	if (faccessat(fd, file, F_OK, 0) < 0)
		file = "cgroup.procs";
	return faccessat(fd, file, W_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/* Is this the directory that the name stands for? */
static bool is_at(int parent_fd, const char *name, int fd)
{
	struct stat named, opened;

	return fstatat(parent_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstat(fd, &opened) == 0 && named.st_ino == opened.st_ino;
}

/* Opens the cgroup and takes its lock: the fd, -EWOULDBLOCK if another has it, or -errno. */
static int open_locked(int parent_fd, const char *name)
{
	_cleanup_close_ int fd =
		openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	unsigned n_interruptions = 0;
	int r;

	if (fd < 0)
		return -errno;
	do
		r = flock(fd, LOCK_EX | LOCK_NB);
	while (io_is_interrupted(r, &n_interruptions));
	return r < 0 ? -errno : take_fd(&fd);
}

/*
 * A new cgroup, with its lock: the fd, or -errno.  Before the lock is taken another daemon may take
 * the cgroup for a leftover and remove it: then it is made again.  Where it cannot be locked for
 * another reason, it is used without.
 */
static int make_locked(int parent_fd, const char *name)
{
	for (int i = 0; i < MAKE_TRIES; i++) {
		_cleanup_close_ int fd = -EBADF;
		int r;

		if (mkdirat(parent_fd, name, 0755) < 0 && (errno != EEXIST || i == 0))
			return -errno;
		fd = open_locked(parent_fd, name);
		if (fd < 0 && fd != -EWOULDBLOCK && fd != -ENOENT)
			fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd == -1) {
			r = -errno;
			(void)unlinkat(parent_fd, name, AT_REMOVEDIR);
			return r;
		}
		if (fd >= 0 && is_at(parent_fd, name, fd))
			return take_fd(&fd);
		usleep(1000);
	}
	return -EBUSY;
}

/* Makes one, if it may; else finds out whether thawing is to be feared for. */
static void stage_init(const struct self_test *t, bool v1, struct stage *stage)
{
	_cleanup_close_ int own_fd = -EBADF;
	size_t length;

	*stage = (struct stage){ .v1 = v1, .parent_fd = -EBADF, .fd = -EBADF };
	own_fd = open_own(t, v1, stage->path, sizeof(stage->path));
	if (own_fd < 0) {
		strcpy(stage->path, "/");
		return;
	}
	(void)snprintf(stage->name, sizeof(stage->name), GROUP_PREFIX "%d", getpid());
	length = strlen(stage->path);
	if (length + strlen(stage->name) + 2 <= sizeof(stage->path))
		stage->fd = make_locked(own_fd, stage->name);
	if (stage->fd < 0) {
		t->probed->thaw_error[v1] = may_thaw(t, v1, own_fd);
		strcpy(stage->path, "/");
		return;
	}
	(void)snprintf(stage->path + length, sizeof(stage->path) - length, "%s%s",
		       length > 1 ? "/" : "", stage->name);
	stage->parent_fd = take_fd(&own_fd);
}

/* If its process is still there, it is left until the next start. */
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

static int thaw(int fd, bool v1)
{
	return v1 ? io_write_at(fd, "freezer.state", "THAWED")
		  : io_write_at(fd, "cgroup.freeze", "0");
}

/* Puts the child on the stage and freezes it. */
static void freeze_child(const struct self_test *t, const struct stage *stage, usec_t deadline)
{
	usec_t until = step_until(deadline);
	char text[16];
	int r;

	if (stage->fd < 0)
		return;
	(void)snprintf(text, sizeof(text), "%d", t->probed->self_test_pid);
	r = io_write_at(stage->fd, "cgroup.procs", text);
	if (r == 0)
		r = stage->v1 ? io_write_at(stage->fd, "freezer.state", "FROZEN")
			      : io_write_at(stage->fd, "cgroup.freeze", "1");
	t->probed->thaw_error[stage->v1] = r;
	while (r == 0 && !is_frozen(stage) && clock_now() < until)
		usleep(1000);
}

/* Lets the reaper have its turn: it has nothing else to do. */
static bool wait_for_reaper(const struct self_test *t, unsigned n_before, usec_t deadline)
{
	usec_t until = step_until(deadline);
	struct kill_reap_stats stats;

	kill_reapers_stats(t->reapers, &stats);
	while (stats.n_done == n_before && clock_now() < until) {
		usleep(1000);
		kill_reapers_stats(t->reapers, &stats);
	}
	/* That the child was quicker (ESRCH) is an answer too: the call is there. */
	return stats.n_done > n_before && (stats.last_result == 0 || stats.last_result == -ESRCH);
}

static int kill_child(const struct self_test *t, const char *v2_path, const char *v1_path,
		      usec_t deadline)
{
	struct kill_target target = {
		.pid = t->probed->self_test_pid,
		.v2_path = v2_path,
		.v1_path = v1_path,
	};
	struct kill_reap_stats stats;
	struct kill_victim victim;
	struct pollfd pollfd;
	struct proc_stat stat;
	int r;

	kill_victim_init(&victim);
	kill_reapers_stats(t->reapers, &stats);
	r = proc_read_stat(t->machine->proc_fd, target.pid, &stat);
	if (r == 0) {
		target.start_ticks = stat.start_ticks;
		r = kill_open(t->machine->kill_ops, t->machine->proc_fd, &target, &victim);
	}
	if (r == 0)
		r = kill_signal(t->machine->kill_ops, t->machine->proc_fd, &t->machine->cgroups,
				&target, SIGKILL, t->reapers, &victim);
	memcpy(t->probed->self_test_result, victim.step_result, sizeof(victim.step_result));
	if (r == 0) {
		pollfd = (struct pollfd){ .fd = victim.pidfd, .events = POLLIN };
		(void)poll(&pollfd, 1, (int)(STEP_USEC / USEC_PER_MSEC));
		t->probed->self_test_reaped = wait_for_reaper(t, stats.n_done, deadline);
	}
	kill_victim_done(&victim);
	return r;
}

/* Has it exited, and been waited for? */
static bool is_collected(const struct self_test *t)
{
	pid_t pid = waitpid(t->probed->self_test_pid, NULL, WNOHANG);

	if (pid == 0 || (pid < 0 && errno == EINTR))
		return false;
	t->probed->self_test_pid = 0;
	return true;
}

/* Makes sure that the child exits, whatever failed before; false: it does not. */
static bool collect_child(const struct self_test *t, const struct stage *v2, const struct stage *v1,
			  usec_t deadline)
{
	usec_t until = step_until(deadline);

	(void)kill(t->probed->self_test_pid,
		   SIGKILL); /* our own child, not yet waited for: surely it */
	while (!is_collected(t)) {
		if (v1->fd >= 0)
			(void)thaw(v1->fd, true);
		if (v2->fd >= 0)
			(void)thaw(v2->fd, false);
		if (clock_now() >= until)
			return false;
		usleep(1000);
	}
	return true;
}

int self_test_run(const struct self_test *t)
{
	usec_t deadline = clock_now() + ALL_USEC;
	struct stage v2, v1;
	int r;

	if (t->probed->self_test_pid == 0)
		return -ECHILD;
	stage_init(t, false, &v2);
	stage_init(t, true, &v1);
	/* In this order: a process in the v1 refrigerator does not get to the v2 trap. */
	freeze_child(t, &v2, deadline);
	freeze_child(t, &v1, deadline);
	r = kill_child(t, v2.path, v1.path, deadline);
	t->probed->self_test_stuck = !collect_child(t, &v2, &v1, deadline);
	stage_done(&v2);
	stage_done(&v1);
	return r < 0 ? r : 0;
}

void self_test_end(const struct self_test *t)
{
	usec_t until = clock_now() + STEP_USEC;

	if (t->probed->self_test_pid == 0)
		return;
	(void)kill(t->probed->self_test_pid, SIGKILL);
	while (!is_collected(t) && clock_now() < until)
		usleep(1000);
}

/* Is it a name that a daemon gives to its cgroup? */
static bool is_of_self_test(const char *name)
{
	const size_t n = sizeof(GROUP_PREFIX) - 1;
	unsigned long pid;
	char *end;

	if (strncmp(name, GROUP_PREFIX, n) != 0)
		return false;
	pid = strtoul(name + n, &end, 10);
	return end > name + n && *end == '\0' && pid > 0 && pid <= INT32_MAX;
}

/* Its process has had SIGKILL when its parent exited, and exits once it is thawed.  One that is
 * locked is of a daemon that runs, here or in another pid namespace. */
static void remove_leftover(int own_fd, const char *name, bool v1, usec_t until)
{
	_cleanup_close_ int fd = open_locked(own_fd, name);

	if (fd < 0)
		return;
	(void)thaw(fd, v1);
	while (unlinkat(own_fd, name, AT_REMOVEDIR) < 0 && errno == EBUSY && clock_now() < until)
		usleep(1000);
}

void self_test_clean_up(const struct self_test *t)
{
	usec_t until = clock_now() + LEFTOVERS_USEC;
	char path[CGROUP_PATH_MAX];

	for (int v1 = 0; v1 < 2; v1++) {
		_cleanup_close_ int own_fd = open_own(t, v1, path, sizeof(path));
		int list_fd = own_fd < 0 ? -EBADF : dup(own_fd);
		DIR *directory = list_fd < 0 ? NULL : fdopendir(list_fd);
		unsigned n = 0;

		for (struct dirent *entry;
		     directory && n < LEFTOVERS_MAX && (entry = readdir(directory));) {
			if (!is_of_self_test(entry->d_name))
				continue;
			remove_leftover(own_fd, entry->d_name, v1, until);
			n++;
		}
		if (directory)
			(void)closedir(directory);
		else if (list_fd >= 0)
			close(list_fd);
	}
}
