/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * manager: owns everything that the daemon has, from setup to exit.  tick.c works on it, monitor.c
 * wires it to the event loop, report.c logs what it did.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "daemon/config.h"
#include "daemon/in-flight.h"
#include "daemon/machine.h"
#include "daemon/regime.h"
#include "daemon/reserve.h"
#include "daemon/sampler.h"
#include "daemon/selection.h"
#include "daemon/self.h"
#include "daemon/turns.h"

struct recorder;
struct history_store;

/* What was found at start: see self-test.h. */
struct probe_results {
	bool psi;	       /* there is a pressure file */
	int psi_trigger_error; /* -errno of the privileged trigger */
	int psi_fallback_error;
	int memory_lock_error;
	int oom_score_adj_error;
	int fifo_error;
	int ledger_error; /* thaw_state_strerror() */
	int self_test_result[_KILL_STEP_MAX];
	int thaw_error[2];	/* by "is v1": where it could not be tested */
	bool in_user_namespace; /* and others are outside of it */
	bool self_test_reaped;
	bool self_test_stuck;	       /* its child does not exit */
	uint64_t missing_capabilities; /* bit by number, of those that are needed */
};

struct bus;

struct manager {
	struct config config;
	struct probe_results probed;
	pid_t self_test_pid; /* the child of the self-test; 0: none */
	struct self self;
	struct reserve reserve;
	char **missing_privileges; /* what it is not permitted to do, as logged at start */
	size_t n_missing_privileges;
	unsigned doubts;       /* about memory's figures: those that were reported */
	uint64_t started_usec; /* CLOCK_REALTIME */

	struct machine machine;
	struct regime regime;
	struct sampler sampler;
	struct selection selection;
	usec_t complained_at; /* the last line about what does not work: one in ten seconds */

	struct in_flight in_flight;
	struct recorder *recorder;	     /* what is written down of it */
	struct history_store *history_store; /* NULL: that is not kept over a restart */
	bool warned;			     /* since watch began */

	int units_fd;	    /* where systemd has its units; negative: nowhere */
	unsigned conflicts; /* see conflict.h */
	usec_t conflicts_at;
	struct bus *bus;

	/* Owned by monitor.c. */
	sd_event *event;
	sd_event_source *timer;
	sd_event_source *victim_source;
	sd_event_source *thaw_source; /* cgroup.events of its group, while that thaws */
	sd_event_source *psi_source;
	struct turns turns;
	int placeholder_fd; /* what these two watch when there is no victim */
};

/* Finds out everything, locks memory, runs the self-test, and logs what it found.  Errors in the
 * configuration are no reason to fail (conf_load_lenient()).  0 or -errno. */
int manager_new(const struct manager_options *options, const struct kill_ops *ops,
		struct manager **ret);
struct manager *manager_free(struct manager *manager);
static inline void manager_freep(struct manager **manager)
{
	manager_free(*manager);
}

/* Reads the configuration: 0, 1 if it has errors (each printed on standard error), -errno. */
int manager_load_policies(const struct manager_options *options, struct policy_set *ret);

/* manager-config.c.  For the start: what can be used of the configuration.  0 or -ENOMEM. */
int manager_load(struct manager *manager);

/* The configuration anew; with errors the old one stays.  0; 1 if it has errors, with all of them
 * in *ret_errors, a line each (to be freed; NULL: no memory for it); -errno. */
int manager_reload(struct manager *manager, char **ret_errors);

/* For the service manager, in one line.  Returns buf. */
#define MANAGER_STATUS_SIZE 128
const char *manager_status(const struct manager *manager, char buf[static MANAGER_STATUS_SIZE]);

/* Is there a cgroup of that path now?  If not, no process may be killed until there is. */
bool manager_subtree_exists(const struct manager *manager);
void manager_warn_of_subtree(const struct manager *manager);

/* Checks, now and then, whether other out-of-memory daemons are there; logs it when that changes.
 */
void manager_find_conflicts(struct manager *manager, usec_t now);
