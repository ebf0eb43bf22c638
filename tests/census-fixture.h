/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* census-fixture: a /proc of our own making. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "lib/snapshot/census-tree.h"
#include "tests/accuracy-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#define PAGE 4096ULL

struct world {
	char path[64];
	int proc_fd;
	struct cgroup_fs cgroups;
	struct policy_set policies;
	struct census census;
};

struct row {
	int pid;
	const char *comm;
	char state;
	unsigned flags;
	unsigned n_threads;
	unsigned long long start;
	unsigned long resident, shared; /* pages */
	unsigned long swap_kib;
	unsigned uid;
	const char *cgroup;
	int adj;
	unsigned long locked_kib;
	int ppid; /* 0: 1 */
};

__attribute__((format(printf, 4, 5))) void put(const struct world *world, int pid, const char *file,
					       const char *format, ...);
void put_process(const struct world *world, const struct row *row);
void remove_process(const struct world *world, int pid);
int setup(void **state);
int teardown(void **state);

extern const struct row browser;

const struct census_process *sweep_and_find(struct world *world, usec_t now, uint64_t allocated,
					    bool with_swap, pid_t pid);
void last_pid(const struct world *world, int pid);

extern usec_t fake_clock_now;

usec_t fake_clock(void);

extern usec_t ticks;
usec_t count_ticks(void);

/* As much as before the deadline, which is always over after the first part. */
unsigned catch_up(struct world *world);

#define on_world(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
