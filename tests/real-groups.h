/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* real-groups: cgroups of the kernel's own freezers, v2 and v1, by the directory that they are
 * below and their path in it. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/io.h"

/* Within ten seconds, on a machine that is busy. */
#define assert_soon(condition)                                                                     \
	do {                                                                                       \
		bool is_true_ = false;                                                             \
                                                                                                   \
		for (int i_ = 0; i_ < 10000 && !is_true_; i_++) {                                  \
			usleep(i_ > 0 ? 1000 : 0);                                                 \
			is_true_ = (condition);                                                    \
		}                                                                                  \
		if (!is_true_)                                                                     \
			fail_msg("%s", #condition);                                                \
	} while (0)

static inline int group_write(int fd, const char *group, const char *file, const char *text)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", group, file);
	return io_write_at(fd, path, text);
}

static inline int group_freeze(int fd, bool v1, const char *group, bool frozen)
{
	if (v1)
		return group_write(fd, group, "freezer.state", frozen ? "FROZEN" : "THAWED");
	return group_write(fd, group, "cgroup.freeze", frozen ? "1" : "0");
}

/* What the group itself says. */
static inline bool group_is_frozen(int fd, bool v1, const char *group)
{
	char path[512], text[256] = "";

	(void)snprintf(path, sizeof(path), "%s/%s", group, v1 ? "freezer.state" : "cgroup.events");
	(void)io_read_at(fd, path, text, sizeof(text));
	return strstr(text, v1 ? "FROZEN" : "frozen 1");
}

static inline int group_put(int fd, const char *group, const char *file, pid_t pid)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%d", pid);
	return group_write(fd, group, file, text);
}

static inline bool group_is_removed(int fd, const char *group)
{
	return unlinkat(fd, group, AT_REMOVEDIR) == 0 || errno == ENOENT;
}
