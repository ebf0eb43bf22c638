/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * monitor: what wakes the daemon: the timer, PSI triggers, the exit of a victim, signals, the
 * watchdog.  All of it calls tick().
 */
#pragma once

#include <systemd/sd-event.h>

#include "daemon/base/turns.h"
#include "lib/base/util.h"

struct bus;
struct config;
struct conflicts;
struct in_flight;
struct machine;
struct probe_results;
struct regime;
struct reporter;
struct sampler;
struct selection;
struct self;
struct tick;

struct monitor {
	/* Borrowed. */
	struct config *config;
	struct probe_results *probed;
	struct self *self;
	struct machine *machine;
	struct regime *regime;
	struct sampler *sampler;
	struct selection *selection;
	struct in_flight *in_flight;
	struct tick *tick;
	struct reporter *reporter;
	struct conflicts *conflicts;

	struct bus *bus; /* NULL: it was not opened yet */
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

/* The event loop and its sources; 0, or -errno (then monitor_free()).  Of the parts it needs the
 * fds. */
int monitor_new(struct monitor *m);
void monitor_free(struct monitor *m);

/* Arms the PSI trigger, with the fallback for daemons without CAP_SYS_RESOURCE; what it found is
 * in m->probed.  0 or -errno: the timer alone. */
int monitor_arm_pressure(struct monitor *m);

/* From then on reloads wait until a thread has read the configuration.  0, or -errno: they read it
 * themselves. */
int monitor_watch_loader(struct monitor *m);

/* Runs until SIGTERM or SIGINT: 0 or -errno. */
int monitor_run(struct monitor *m);

/* The configuration anew, with RELOADING=1 and READY=1 to the service manager, at each attempt;
 * samples again soon.  As service_reload(). */
int monitor_reload(struct monitor *m, char **ret_errors);
