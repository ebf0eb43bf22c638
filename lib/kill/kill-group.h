/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill-group: a cgroup that is killed as a whole, with all cgroups below it.
 *
 * SIGKILL is sent to all of it at once by cgroup.kill where there is one (v2, from 5.14 on) and no
 * process in it is to be spared.  Else each member is signalled by its pidfd, and the members are
 * looked up again until there is no new one: they may fork meanwhile.  A v2 group in which no
 * process is to be spared is frozen for that time, so that none of them forks for long (on v2
 * SIGKILL kills frozen processes; on v1 it does not).  A group with a spared process is not frozen:
 * that process would remain frozen if this one were killed.  Called by kill_signal(), and by the
 * daemon for the choice of the cgroup.
 *
 * (Documentation/admin-guide/cgroup-v2.rst; __cgroup_kill() in kernel/cgroup/cgroup.c.)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/base/util.h"
#include "lib/sys/cgroup.h"

struct kill_ops;
struct kill_target;

struct kill_group {
	int dir_fd; /* -EBADF: there is no group, one process is killed */
	bool v2;
	uint64_t newest_ticks; /* start of the youngest that was signalled */
	unsigned n_signalled;
	unsigned n_spared;
	int error; /* of the first member that could not be signalled, though others were */
};

void kill_group_init(struct kill_group *group);
void kill_group_done(struct kill_group *group);

/*
 * Which cgroup is killed where `path` is that of the victim?  Returns the length of its path, which
 * is a prefix of `path`; 0: none that may be killed.  That is never the root, never one outside of
 * the subtree, and never one with own_path (the daemon's) in it.
 *
 * flagged: the highest one with memory.oom.group 1, as the kernel does
 * (mem_cgroup_get_oom_group() in mm/memcontrol.c).  whole: the one at path itself; if that is
 * threaded, the one above that has its processes.
 */
size_t kill_group_find_flagged(const struct cgroup_fs *fs, const char *path, const char *subtree,
			       const char *own_path);
size_t kill_group_find_whole(const struct cgroup_fs *fs, const char *path, const char *subtree,
			     const char *own_path);

/* path: in the hierarchy of cgroup_of_process().  0, KILL_GONE (kill.h), or -errno. */
int kill_group_open(const struct cgroup_fs *fs, const char *path, struct kill_group *group);

/* The members are looked up so often at most: of a group that forks faster, some are left. */
#define KILL_GROUP_ROUNDS 16
/* And in cgroups so deep below at most; deeper ones make it fail with -ELOOP. */
#define KILL_GROUP_DEPTH 64

/*
 * Signals all but those that target->spares().  0 if at least one was signalled (an error of
 * another: in group->error); KILL_GONE: no process is left but spared ones; or -errno.
 */
int kill_group_signal(const struct kill_ops *ops, int proc_fd, const struct kill_target *target,
		      int signal, struct kill_group *group);

/* Have all processes exited that were signalled?  What started later (a service that is restarted)
 * and what is spared does not count.  True without a group. */
bool kill_group_is_gone(const struct kill_ops *ops, int proc_fd, const struct kill_target *target,
			const struct kill_group *group);
