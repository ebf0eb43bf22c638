/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freezer-level: one cgroup on the way from the mount to a process's own, as the freezer sees it:
 * its flag, the state it reports, and whether there are processes in it.  Private to freezer.
 */
#pragma once

#include <stdbool.h>

struct freezer_level;

/* Where the way to path begins: an fd of the caller's own, or -errno. */
int freezer_level_open_mount(int mount_fd, const char *path);
/* Moves *dir_fd and *path one component down: 1, 0 at the end of the path, or -errno. */
int freezer_level_descend(int *dir_fd, const char **path);

/* Does it freeze by its own flag?  1, 0 (also the root, which has none, and a vanished one), or
 * -errno. */
int freezer_level_has_flag(int dir_fd, bool v1);
/* The state it reports, whichever level above it was frozen: 1, 0 or -errno. */
int freezer_level_reports_frozen(int dir_fd, bool v1);
/* The same of the text of cgroup.events. */
bool freezer_level_events_report_frozen(const char *text);
/* Is there a process in it or below?  1, 0 or -errno. */
int freezer_level_is_populated(const struct freezer_level *level);

int freezer_level_write(int dir_fd, bool v1, bool freeze);
