/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * running: is there a reckond that is not on the bus?  By the names of processes, which any process
 * may have: good for messages, and for nothing else.
 */
#pragma once

#include <sys/types.h>

/* The pid of a process named reckond that is not in a container (by a pid namespace below this
 * one's); 0: there is none; -EACCES: the processes of others are hidden here; -errno. */
pid_t running_find(int proc_fd);
