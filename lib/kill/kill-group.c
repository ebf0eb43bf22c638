/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kill-group: finds the cgroup that is killed as a whole, and signals all of its members. */
#include "lib/kill/kill-group.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cleanup.h"
#include "lib/base/errors.h"
#include "lib/base/io.h"
#include "lib/kill/kill.h"
#include "lib/sys/proc.h"

void kill_group_init(struct kill_group *group)
{
	*group = (struct kill_group){ .dir_fd = -EBADF };
}

void kill_group_done(struct kill_group *group)
{
	closep(&group->dir_fd);
	kill_group_init(group);
}

/* The cgroup whose path is the first `length` bytes of path: may it be killed with all in it? */
static bool may_be_killed(const char *path, size_t length, const char *subtree,
			  const char *own_path)
{
	char prefix[CGROUP_PATH_MAX];

	if (length <= 1 || length >= sizeof(prefix))
		return false;
	memcpy(prefix, path, length);
	prefix[length] = '\0';
	return cgroup_path_is_below(prefix, subtree) && !cgroup_path_is_below(own_path, prefix);
}

/* A file of the cgroup whose path is the first `length` bytes of path: does it begin so? */
static bool file_begins(const struct cgroup_fs *fs, const char *path, size_t length,
			const char *file, const char *beginning)
{
	char name[CGROUP_PATH_MAX + 32], text[64];

	(void)snprintf(name, sizeof(name), ".%.*s/%s", (int)length, path, file);
	return io_read_at(fs->v2_fd, name, text, sizeof(text)) > 0 &&
	       strncmp(text, beginning, strlen(beginning)) == 0;
}

/* Outside of our cgroup namespace (cgroup_namespaces(7)): another's. */
static bool is_foreign(const char *path)
{
	return path[0] != '/' || strncmp(path, "/..", 3) == 0;
}

size_t kill_group_find_flagged(const struct cgroup_fs *fs, const char *path, const char *subtree,
			       const char *own_path)
{
	size_t length = 0;

	if (is_foreign(path))
		return 0;
	while (path[length] != '\0') {
		length += 1 + strcspn(path + length + 1, "/");
		if (may_be_killed(path, length, subtree, own_path) &&
		    file_begins(fs, path, length, "memory.oom.group", "1"))
			return length;
	}
	return 0;
}

size_t kill_group_find_whole(const struct cgroup_fs *fs, const char *path, const char *subtree,
			     const char *own_path)
{
	size_t length = strlen(path);

	if (is_foreign(path))
		return 0;
	while (length > 0 && file_begins(fs, path, length, "cgroup.type", "threaded"))
		while (path[--length] != '/')
			;
	return may_be_killed(path, length, subtree, own_path) ? length : 0;
}

int kill_group_open(const struct cgroup_fs *fs, const char *path, struct kill_group *group)
{
	const bool v2 = fs->v2_fd >= 0;
	int fd = cgroup_open(v2 ? fs->v2_fd : fs->v1_freezer_fd, path);

	if (fd < 0)
		return errno_is_gone(fd) ? KILL_GONE : fd;
	group->dir_fd = fd;
	group->v2 = v2;
	return 0;
}

/*
 * Processes that were signalled in an earlier round.  A pid is not reused within the milliseconds
 * that this takes (alloc_pid() wraps around first).
 */
#define SEEN_SLOTS 1024
#define SEEN_MAX   768

struct seen {
	unsigned n;
	pid_t pids[SEEN_SLOTS]; /* 0: free */
};

/* false if it was there.  Beyond SEEN_MAX nothing is remembered. */
static bool seen_add(struct seen *seen, pid_t pid)
{
	unsigned slot = (unsigned)pid % SEEN_SLOTS;

	for (; seen->pids[slot] != 0; slot = (slot + 1) % SEEN_SLOTS)
		if (seen->pids[slot] == pid)
			return false;
	if (seen->n < SEEN_MAX) {
		seen->n++;
		seen->pids[slot] = pid;
	}
	return true;
}

struct round {
	const struct kill_ops *ops;
	int proc_fd;
	const struct kill_target *target;
	struct kill_group *group;
	int signal;
	unsigned n_members; /* to be signalled, or that were, in this round */
	struct seen seen;
};

/* A process of another pid namespace is listed as 0; it cannot be identified. */
static bool is_spared(const struct kill_target *target, pid_t pid)
{
	return pid == 0 || (target->spares && target->spares(pid, target->userdata));
}

static void note_start(struct kill_group *group, uint64_t start_ticks)
{
	group->newest_ticks = max_u64(group->newest_ticks, start_ticks);
}

/* A first pass: no process is signalled. */
static int count_member(pid_t pid, void *userdata)
{
	struct round *round = userdata;
	uint64_t start_ticks = 0;

	if (pid != 0 && round->ops->read_start(round->proc_fd, pid, &start_ticks) == PROC_GONE)
		return 0;
	if (is_spared(round->target, pid)) {
		round->group->n_spared++;
		return 0;
	}
	round->n_members++;
	note_start(round->group, start_ticks);
	return 0;
}

/*
 * The order matters: with the pidfd open, what is read by pid after that (its start, and all that
 * target->spares() reads) is of this process as long as it is alive; if it is not, the signal has
 * no effect.
 */
static int signal_process(struct round *round, pid_t pid)
{
	_cleanup_close_ int pidfd = round->ops->pidfd_open(pid);
	uint64_t start_ticks;
	int r;

	if (pidfd < 0)
		return pidfd == -EINVAL ? -ESRCH : pidfd;
	r = round->ops->read_start(round->proc_fd, pid, &start_ticks);
	if (r != 0)
		return r < 0 ? r : -ESRCH;
	if (is_spared(round->target, pid))
		return -ESRCH;
	r = round->ops->pidfd_send_signal(pidfd, round->signal);
	if (r == 0)
		note_start(round->group, start_ticks);
	return r;
}

static int signal_member(pid_t pid, void *userdata)
{
	struct round *round = userdata;
	struct kill_group *group = round->group;
	int r;

	if (pid == 0 || !seen_add(&round->seen, pid))
		return 0;
	r = signal_process(round, pid);
	if (r == 0)
		round->n_members++;
	else if (!errno_is_gone(r) && group->error == 0)
		group->error = r;
	return 0;
}

/* Round after round, until there is no new process.  0, or -errno of the listing. */
static int signal_members(struct round *round)
{
	struct kill_group *group = round->group;
	int r;

	for (unsigned i = 0; i < KILL_GROUP_ROUNDS; i++) {
		round->n_members = 0;
		r = round->ops->group_list(group->dir_fd, signal_member, round);
		group->n_signalled += round->n_members;
		if (r < 0)
			return r;
		if (round->n_members == 0)
			break;
		/* A process that is not remembered would get the signal again. */
		if (round->signal != SIGKILL && round->seen.n == SEEN_MAX)
			break;
	}
	return 0;
}

/* Prevents forks meanwhile.  Where that fails, or some are spared, the rounds are repeated. */
static int signal_frozen(struct round *round)
{
	struct kill_group *group = round->group;
	bool freezes = group->v2 && round->signal == SIGKILL && group->n_spared == 0 &&
		       round->ops->group_freeze(group->dir_fd, true) == 0;
	int r = signal_members(round);

	if (freezes)
		(void)round->ops->group_freeze(group->dir_fd, false);
	return r;
}

int kill_group_signal(const struct kill_ops *ops, int proc_fd, const struct kill_target *target,
		      int signal, struct kill_group *group)
{
	struct round round = {
		.ops = ops,
		.proc_fd = proc_fd,
		.target = target,
		.group = group,
		.signal = signal,
	};
	int r;

	group->n_signalled = group->n_spared = 0;
	group->error = 0;
	r = ops->group_list(group->dir_fd, count_member, &round);
	if (r < 0 || round.n_members == 0)
		return r == 0 || errno_is_gone(r) ? KILL_GONE : r;
	if (signal == SIGKILL && group->v2 && group->n_spared == 0 &&
	    ops->group_kill(group->dir_fd) == 0) {
		group->n_signalled = round.n_members;
		return 0;
	}
	r = signal_frozen(&round);
	if (group->error == 0 && r < 0 && !errno_is_gone(r))
		group->error = r;
	if (group->n_signalled > 0)
		return 0;
	return group->error < 0 ? group->error : KILL_GONE;
}

struct left {
	const struct kill_ops *ops;
	int proc_fd;
	const struct kill_target *target;
	uint64_t newest_ticks;
};

/* Stops the listing with 1 at the first process found. */
static int find_left(pid_t pid, void *userdata)
{
	const struct left *left = userdata;
	uint64_t start_ticks;
	int r;

	if (pid == 0)
		return 0;
	r = left->ops->read_start(left->proc_fd, pid, &start_ticks);
	if (error_is_transient(r))
		return 1; /* it is there, whatever it is */
	return r == 0 && start_ticks <= left->newest_ticks && !is_spared(left->target, pid);
}

bool kill_group_is_gone(const struct kill_ops *ops, int proc_fd, const struct kill_target *target,
			const struct kill_group *group)
{
	struct left left = { ops, proc_fd, target, group->newest_ticks };
	int r;

	if (group->dir_fd < 0 || (group->v2 && ops->group_is_populated(group->dir_fd) == 0))
		return true;
	r = ops->group_list(group->dir_fd, find_left, &left);
	return r == 0 || errno_is_gone(r);
}
