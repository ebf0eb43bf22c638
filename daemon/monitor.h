/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * monitor: what wakes the daemon: the timer, PSI triggers, the exit of a victim, signals, the
 * watchdog.  All of it calls tick().
 */
#pragma once

#include <systemd/sd-event.h>

#include "daemon/base/turns.h"
#include "lib/base/util.h"

struct manager;

struct monitor {
	sd_event *event;
	sd_event_source *timer;
	sd_event_source *victim_source;
	sd_event_source *thaw_source; /* cgroup.events of its group, while that thaws */
	sd_event_source *psi_source;
	sd_event_source *loader_source;
	sd_event_source *watchdog_source; /* NULL: the service manager expects no WATCHDOG=1, */
	usec_t watchdog_usec;		  /* else one at least so often; */
	usec_t alive_at;		  /* the last one */
	struct turns turns;
	int placeholder_fd; /* what these two watch when there is no victim */
	unsigned n_watched; /* in_flight_watched(), as of what they watch */
};

/* First of all: a signal that arrives before the loop is there waits for it; and a log without a
 * reader is no reason to exit (SIGPIPE). */
void monitor_block_signals(void);

/* The event loop and its sources; 0 or -errno.  Needs nothing of the manager but its fds. */
int monitor_new(struct manager *m);
void monitor_free(struct manager *m);

/* Arms the PSI trigger, with the fallback for daemons without CAP_SYS_RESOURCE; what it found is
 * in m->probed. */
void monitor_arm_pressure(struct manager *m);

/* From then on reloads wait until a thread has read the configuration.  0 or -errno. */
int monitor_watch_loader(struct manager *m);

/* Runs until SIGTERM or SIGINT: 0 or -errno. */
int monitor_run(struct manager *m);

/* The configuration anew, with READY=1 and RELOADING=1 to the service manager; samples again soon.
 * As manager_reload(). */
int monitor_reload(struct manager *m, char **ret_errors);
