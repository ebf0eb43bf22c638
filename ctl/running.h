/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * running: what /proc says where the daemon does not answer, for messages, and for nothing else.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Is there a reckond that is not on the bus?  By its name, which any process may have.  The pid of
 * a process named reckond that is not in a container (by a pid namespace below this one's); 0:
 * there is none; -EACCES: the processes of others are hidden here; -errno. */
pid_t running_find(int proc_fd);

/* The process of which pid is a thread, or that it is; 0: there is neither. */
pid_t running_process_of(int proc_fd, pid_t pid, bool *ret_is_zombie);
