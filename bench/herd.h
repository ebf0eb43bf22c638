/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * herd: real processes that sleep, to be sampled.
 *
 * A keeper forks them into cgroups of their own and sleeps too.  All get SIGKILL from the kernel
 * when their parent exits, for whatever reason (PR_SET_PDEATHSIG), and are waited for by the
 * caller, which must be a subreaper (PR_SET_CHILD_SUBREAPER) and may have no other children.
 */
#pragma once

#include <sys/types.h>

#include "lib/base/util.h"

/* The first is the largest by far, and a few are large: the victim is never in doubt. */
#define HERD_LARGEST_BYTES (256 * MIB)
#define HERD_LARGE_BYTES   (64 * MIB)
#define HERD_N_LARGE	   4

struct herd {
	int cgroup_fd; /* borrowed: a cgroup v2 directory to make theirs in; negative: none */
	unsigned n_processes;
	unsigned n_cgroups;
	pid_t keeper;
};

/* Returns when all are asleep; 0 or -errno (-EAGAIN: not all could be made). */
int herd_start(struct herd *herd);

/* Kills them, waits for them, and removes their cgroups. */
void herd_end(struct herd *herd);

/* The cgroups directly below this one, which must be empty. */
void herd_remove_cgroups(int cgroup_fd);

/* Every child there is, and those that were left to us. */
void herd_wait(void);
