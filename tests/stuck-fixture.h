/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stuck-fixture: a manager with a census made by hand; the survey's thread is wrapped, and time is
 * the test's.
 */
#pragma once

#include <stdbool.h>

#include "daemon/select/stuck.h"
#include "daemon/select/survey.h"
#include "daemon/select/unowned.h"
#include "tests/manager-parts.h"

#define NOW (1000 * USEC_PER_SEC)
#define SEC USEC_PER_SEC

struct stuck_test {
	struct manager *m;
	struct policy policy;
	int new_result;
	unsigned n_asked;
	bool is_finished; /* a survey waits to be taken */
	bool is_busy;	  /* the thread, with an earlier one */
	usec_t cpu_time;  /* that it has used for it */
	struct where_survey survey;
	/* The survey of mappings: it hangs, unless a test says otherwise. */
	struct {
		bool hangs, is_finished;
		unsigned n_asked;
		uint64_t least_untouched;
		usec_t cpu_time;
		struct where_survey survey;
	} deep;
	enum eligibility exclusion;
	pid_t protected_pid;
	int reread_result;
	pid_t alive; /* of those that are read again this one alone; 0: all */
	unsigned n_rereads;
};
extern struct stuck_test test;
extern const struct victim_reader reader;

int setup(void **state);
int teardown(void **state);

/* When what add() adds was started, in ticks. */
#define STARTED 1000
struct census_process *add(pid_t pid, const char *comm, uint64_t bytes);
/* 4 GiB of a tmpfs have been filled since there was most available. */
void fill_tmpfs(void);
