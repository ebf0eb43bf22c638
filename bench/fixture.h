/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fixture: a /proc of files, for more processes than the machine has room or numbers for.
 *
 * The processes have the sizes of those of herd.h.  What the kernel takes to write a file of its
 * /proc is not in a time that is measured by it, so times stand beside those of real ones only for
 * what is done with the text.
 */
#pragma once

#include "bench/herd.h"

struct fixture {
	int proc_fd; /* negative: there is none */
	char path[64];
	unsigned n_processes;
};

/* Below /dev/shm, in cgroups below this one.  0 or -errno. */
int fixture_make(const char *cgroup, unsigned n_processes, unsigned n_cgroups, struct fixture *ret);
void fixture_remove(struct fixture *fixture);

/* What all of its processes hold. */
uint64_t fixture_anon(const struct fixture *fixture);

/* What was left of one by a process that was killed. */
void fixture_clean(const char *cgroup);
