/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dumped-seams: what stands in for the kernel, the clock and the log: see dumped-machine.h. */
#pragma once

#include "lib/kill/kill.h"
#include "tests/dumped-machine.h"

/* One process; those that have exited keep their place. */
struct dumped_place {
	struct dumped_process process; /* pid 0: free */
	int event_fd;		       /* readable when it has exited; pidfds are copies */
	bool is_alive;
};
extern struct dumped_place dumped_places[DUMPED_PROCESSES_MAX];

struct dumped_place *dumped_place_of(pid_t pid);

pid_t dumped_pid_of_fd(int pidfd);

extern const struct kill_ops dumped_kill_ops;
extern struct precise *const dumped_precise;
extern struct survey *const dumped_survey;
