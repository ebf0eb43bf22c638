/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cgroup: where the hierarchies are mounted, and what is in them, by directory fd.
 *
 * v2 is found by its file system (a v2 mount without controllers is invisible to libcgroup);
 * the v1 freezer's mount by libcgroup.  Paths of cgroups begin with '/' and are relative to the
 * mount, as in /proc/PID/cgroup.  On a hybrid machine a process's cgroup is that of the v2 mount;
 * without v2 it is that of the v1 freezer, else "/".
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/base/util.h"

#define CGROUP_PATH_MAX 4096

enum cgroup_layout {
	CGROUP_LAYOUT_NONE,
	CGROUP_LAYOUT_V1,
	CGROUP_LAYOUT_HYBRID, /* v1 controllers, and a v2 mount beside them */
	CGROUP_LAYOUT_V2,
};

struct cgroup_fs {
	enum cgroup_layout layout;
	int v2_fd; /* -EBADF where there is none; likewise the next */
	int v1_freezer_fd;
	bool v2_has_memory;	 /* the memory controller is on the v2 mount */
	char v2_mount[PATH_MAX]; /* for messages */
};

/* One line of /proc/PID/mountinfo that is a mount of cgroups. */
struct cgroup_mount {
	bool is_v2;
	bool has_controllers; /* v1: not one that is only named, as systemd's own */
	bool has_freezer;     /* v1 */
	bool is_whole;	      /* not a bind mount of some cgroup within */
	char path[PATH_MAX];
};

/* 1 with *ret set, 0 for a mount of anything else, -EBADMSG, -ENOBUFS. */
int cgroup_parse_mountinfo(const char *line, struct cgroup_mount *ret);

/* Finds the mounts by proc_fd/self/mountinfo and libcgroup; -errno only if mountinfo cannot be
 * read, or a mount that is there cannot be opened.  No cgroups at all is a layout, not an error. */
int cgroup_fs_open(int proc_fd, struct cgroup_fs *ret);
/* For tests, and for roots of delegated trees: takes fds (either may be -EBADF), owns them. */
void cgroup_fs_init(struct cgroup_fs *fs, int v2_fd, int v1_freezer_fd);
void cgroup_fs_done(struct cgroup_fs *fs);
const char *cgroup_layout_to_string(enum cgroup_layout layout);

/*
 * The path in the text of /proc/PID/cgroup: of the v2 hierarchy if controller is NULL, else of
 * the v1 hierarchy with that controller.  0; -ENOENT if there is no such line; -ENOBUFS if the
 * path does not fit; -EBADMSG for other text.  As it is there: that of a removed cgroup ends in
 * " (deleted)".
 */
int cgroup_parse_membership(const char *text, const char *controller, char *buf, size_t size);

/* The process's cgroup on this machine (see above): 0, PROC_GONE (proc.h), or -errno
 * (-ENAMETOOLONG from the kernel, -ENOBUFS from here: nested too deep for a path).  Of a removed
 * cgroup, the path that it had. */
int cgroup_of_process(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *buf, size_t size);
/* The same in the v1 freezer hierarchy; "/" where there is none.  (Of a process whose leader has
 * exited: that of a living thread.) */
int cgroup_of_process_v1_freezer(const struct cgroup_fs *fs, int proc_fd, pid_t pid, char *buf,
				 size_t size);

/* Opens the cgroup's directory at a mount fd; "/" is the mount itself.  Path components ".."
 * are refused (-EINVAL). */
int cgroup_open(int mount_fd, const char *path);

/* Is there such a cgroup in the hierarchy of cgroup_of_process()?  0, -ENOENT, or another -errno;
 * "/" is always there. */
int cgroup_find(const struct cgroup_fs *fs, const char *path);

/* Is path equal to ancestor or below it?  "/" is above all. */
bool cgroup_path_is_below(const char *path, const char *ancestor);

/* fnmatch(3) of path against pattern, where '*' does not cross '/', and a match of an ancestor
 * of path counts: the glob names a cgroup, and all that is in it belongs to it.  A backslash is
 * itself, for it is common in systemd's names (\\x2d); a pattern without glob characters is a
 * literal path. */
bool cgroup_path_matches(const char *path, const char *pattern);
