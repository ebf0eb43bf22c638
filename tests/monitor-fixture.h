/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* monitor-fixture: a monitor without a machine: tick() and what reads the kernel are wrapped. */
#pragma once

#include "tests/manager-parts.h"

/* A timer that is not due while the test runs. */
#define FAR (3600 * USEC_PER_SEC)

struct monitor_fixture {
	struct manager *m;
	unsigned n_ticks;
	usec_t next;
	enum regime_state state_after; /* a tick */
	usec_t stuck_since_after;
	unsigned exits_at;  /* this tick has the loop exit; 0: none */
	bool closes_victim; /* and so its kill is over */
	bool is_too_large;
	unsigned n_reloads;
	usec_t retry_pause;    /* of a reload that fails for now; 0: it does not */
	int trigger_result[2]; /* by attempt: an fd, or -errno */
	struct psi_trigger wanted[2];
	unsigned n_triggers;
	unsigned n_run_errors; /* of the loop itself */
	bool every_second_runs;
	unsigned n_runs;
	int run_error;
	bool exit_was_asked; /* when it failed */
	int master, slave;   /* of a pty: urgent when the slave is flushed */
	int notify_fd;
	char notify_path[64];
};
extern struct monitor_fixture test;

int setup(void **state);
int teardown(void **state);

/* What the service manager was sent last; "": nothing more. */
const char *notification(void);

/* One turn of the loop, without waiting: has something been dispatched? */
bool turn(void);

/* The pressure trigger polls as urgent from now on. */
void make_urgent(void);
/* When the timer is due. */
uint64_t planned(void);
