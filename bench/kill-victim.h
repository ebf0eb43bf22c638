/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill-victim: a process that holds so much memory, in 4 KiB pages, and is in a condition in
 * which it may be slow to die; and the processes that keep all CPUs busy meanwhile.
 *
 * All get SIGKILL from the kernel when their parent exits (PR_SET_PDEATHSIG).
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "bench/kill-places.h"
#include "lib/base/util.h"

struct condition {
	const char *name;
	bool loaded; /* twice as many busy processes as there are CPUs */
	int nice;
	bool sched_idle;
	bool stopped;
	bool frozen_v1;
	bool frozen_v2; /* three levels up */
	unsigned cpu_percent;
	unsigned n_threads;
};

struct victim {
	pid_t pid;
	uint64_t start_ticks;
};

/* Why this cannot be had here, or NULL. */
const char *condition_is_missing(const struct condition *condition, const struct places *places);

/* Returns when it holds the memory and is in that condition: 0 or -errno. */
int victim_start(const struct condition *condition, const struct places *places, int proc_fd,
		 uint64_t bytes, struct victim *ret);

/* Takes it out of its condition, kills it and waits for it. */
void victim_clear(const struct condition *condition, const struct places *places, int proc_fd,
		  struct victim *victim);

#define LOAD_MAX 64

struct load {
	unsigned n;
	pid_t pids[LOAD_MAX];
};

/* Two for each CPU, stopped; 0 or -errno. */
int load_new(struct load *load);
void load_run(const struct load *load, bool run);
void load_done(struct load *load);

/*
 * A bystander: a process of ordinary priority that is to run for a moment every millisecond. How
 * late it was at most since the last call, in microseconds.
 */
int bystander_start(void);
usec_t bystander_read(void);
