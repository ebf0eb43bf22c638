/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill-plan-fixture: a census made by hand; which may be killed, and what can be opened, is
 * wrapped.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/select/sharers.h"
#include "tests/manager-parts.h"

#define VICTIM 100
#define CODE   7
#define START  1000

struct kill_plan_fixture {
	struct manager *m;
	struct policy policy;
	usec_t now;
	usec_t open_takes; /* each */
	pid_t may_not;	   /* be killed */
	enum eligibility odd_why;
	pid_t odd; /* is excluded for that */
	pid_t fails;
	int failure;	  /* of opening it */
	unsigned n_opens; /* of others */
	unsigned n_sharers;
	size_t group_length;
	int group_result;
	int own_cgroup_result;
	char state; /* of all processes, by /proc */
	bool group_is_gone;
	uint64_t footprints[8]; /* by pid from VICTIM on; UINT64_MAX: gone */
};
extern struct kill_plan_fixture test;

struct census_process *add(pid_t pid, uint64_t bytes, const char *cgroup);
int setup(void **state);
int teardown(void **state);
enum report_event gather(void);
