/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tick-faults-fixture: a subtree of our own with real processes, and reads of the kernel that fail
 * as the test says.
 */
#pragma once

#include <stddef.h>

#include "daemon/watch/stalls.h"
#include "lib/select/sharers.h"
#include "tests/is-alive.h"
#include "tests/manager-parts.h"

#define PROCESSES_MAX 8

struct tick_faults_fixture {
	struct cgroup_fs cgroups;
	int proc_fd;
	char subtree[64], config[64];
	struct manager *m;
	pid_t processes[PROCESSES_MAX];
	unsigned n_processes;

	/* What fails, 0: nothing. */
	int sample_error, psi_error, census_error, cgroup_result, v1_result;
	int open_error, list_error;
	pid_t error_pid;	   /* of the two before it; of cgroup_result: any */
	unsigned n_cgroup_results; /* so often */
	pid_t sharer;		   /* shares the memory of all */
	int sharers_error;
	unsigned n_signals, n_complaints;
	bool by_pressure;
	enum stalls_answer answer;
};
extern struct tick_faults_fixture test;

int make_group(const char *relative);

/* A process of so many MiB in a group of the subtree. */
pid_t spawn(const char *relative, size_t mib);

/* Memory may be reclaimed a moment before the process is gone. */
bool is_killed(pid_t pid);
void start(const char *policy);

#define KILL "Action=kill\n"

/* A step, as a second later; what takes several turns is waited for. */
void step(void);

/* Until the current victim is done with: at most for a minute. */
void wait_for_outcome(void);
int setup(void **state);
int teardown(void **state);
void require_subtree(void);
