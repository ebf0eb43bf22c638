/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* manager: opens all that the daemon has at start, and frees it. */
#include "daemon/manager.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/config.h"
#include "daemon/base/conflicts.h"
#include "daemon/base/machine.h"
#include "daemon/base/notify.h"
#include "daemon/base/regime.h"
#include "daemon/base/reserve.h"
#include "daemon/base/self.h"
#include "daemon/base/startup.h"
#include "daemon/bus/bus.h"
#include "daemon/kill/in-flight.h"
#include "daemon/kill/self-test.h"
#include "daemon/kill/thaw-state.h"
#include "daemon/log/log.h"
#include "daemon/log/message-ids.h"
#include "daemon/monitor.h"
#include "daemon/record/history-store.h"
#include "daemon/record/recorder.h"
#include "daemon/record/report.h"
#include "daemon/select/selection.h"
#include "daemon/tick/tick.h"
#include "daemon/watch/sampler-open.h"
#include "daemon/watch/sampler.h"
#include "lib/base/cleanup.h"
#include "lib/base/format.h"
#include "lib/base/heap.h"
#include "lib/kill/unit-mark.h"

/* One frees, another is free should a second victim follow before the first one's memory is. */
#define N_REAPERS 2

static int load_config(void *userdata)
{
	struct manager *m = userdata;
	uint64_t before = heap_used();
	int r = config_load(m->config, &m->sampler->domain);

	m->self->config_bytes = sub_u64(heap_used(), before);
	return r;
}

static int open_machine(struct manager *m)
{
	int r;

	reserve_raise_limit();
	r = sampler_open(m->sampler, m->machine);
	if (r == 0)
		conflicts_open(m->conflicts, m->machine); /* without it: no other daemon is known */
	return r;
}

struct self_test manager_self_test(struct manager *m)
{
	return (struct self_test){
		.machine = m->machine,
		.probed = m->probed,
		.reapers = m->in_flight->reapers,
		.subtree = m->config->policies.subtree,
	};
}

static int probe_accuracy(void *userdata)
{
	struct manager *m = userdata;

	return accuracy_probe(m->machine->proc_fd, m->machine->sys_fd, &m->machine->accuracy);
}

static int begin_self_test(void *userdata)
{
	const struct self_test test = manager_self_test(userdata);

	return self_test_begin(&test);
}

/* All that is forked, while there are no threads yet: in a child of a process with threads only the
 * one that has called fork() is left, and the locks of the others stay held. */
static void fork_helpers(struct manager *m)
{
	int r = startup_try("find out how exact statm is", probe_accuracy, m);

	if (r < 0)
		log_warning("Cannot find out how exact statm is: %s; the worst is assumed.",
			    strerror(-r));
	r = m->config->policies.dry_run ? 0
					: startup_try("fork for the self-test", begin_self_test, m);
	if (r < 0)
		log_warning("Cannot fork for the self-test: %s.", strerror(-r));
}

static int start_notification(void *userdata)
{
	return notify_start();
}

/* The threads that write to what may be read late, or not at all. */
static void start_output(struct manager *m)
{
	int r;

	log_start();
	r = startup_try("start the thread for notification", start_notification, m);
	if (r < 0)
		log_warning("No thread for notification: %s; a service manager that stops reading "
			    "blocks reckond.",
			    strerror(-r));
}

static int start_precise(void *userdata)
{
	struct manager *m = userdata;

	return precise_new(m->machine->proc_fd, &m->sampler->precise);
}

static int start_reapers(void *userdata)
{
	struct manager *m = userdata;

	return kill_reapers_new(m->machine->kill_ops, N_REAPERS, &m->in_flight->reapers,
				&m->probed->fifo_error);
}

static int start_unit_marker(void *userdata)
{
	struct manager *m = userdata;

	return unit_marker_new(m->machine->cgroups.v2_fd, &m->in_flight->unit_marker);
}

static int start_surveys(void *userdata)
{
	struct manager *m = userdata;

	return stuck_init(m->selection);
}

static int start_helpers(struct manager *m)
{
	int r = startup_require("start the thread that measures memory", start_precise, m);

	if (r >= 0)
		r = startup_require("start the threads that free memory", start_reapers, m);
	if (r < 0)
		return r;
	if (m->machine->cgroups.layout == CGROUP_LAYOUT_V2) {
		r = startup_try("start the thread that marks units", start_unit_marker, m);
		if (r < 0)
			log_warning("systemd is not notified of units that are killed: %s.",
				    strerror(-r));
	}
	r = startup_try("start the threads that find out where memory is", start_surveys, m);
	if (r < 0)
		log_warning("Cannot start the thread that finds out where memory is: %s, ignoring.",
			    strerror(-r));
	return 0;
}

static int open_pressure(void *userdata)
{
	struct manager *m = userdata;

	return sampler_open_pressure(m->sampler);
}

static int open_loop(void *userdata)
{
	struct manager *m = userdata;
	int r = monitor_new(m->monitor);

	if (r < 0)
		monitor_free(m->monitor);
	return r;
}

static int open_bus(void *userdata)
{
	struct manager *m = userdata;
	const struct bus_subject subject = manager_bus_subject(m);

	return bus_new(&subject, &m->monitor->bus);
}

/*
 * Everything that the emergency will need is allocated and touched now.  In one piece, unlike what
 * the loop does later: nothing waits for it.  The loop does not run yet, and the watchdog begins
 * with READY=1, which follows.  30,000 processes take a second; a service manager waits for a start
 * for a minute and a half.
 */
static int take_first_census(void *userdata)
{
	struct manager *m = userdata;
	int r;

	r = sampler_begin(m->sampler);
	if (r >= 0)
		r = selection_reserve(m->selection);
	if (r < 0)
		census_done(&m->sampler->census);
	return r;
}

static int reload(void *userdata, char **ret_errors)
{
	return monitor_reload(userdata, ret_errors);
}

static bool prepare_reload(void *userdata)
{
	struct monitor *m = userdata;

	return config_prepare_reload(m->config);
}

static void expire(void *userdata)
{
	struct monitor *m = userdata;

	config_expire(m->config);
}

struct bus_subject manager_bus_subject(struct manager *m)
{
	return (struct bus_subject){
		.event = m->monitor->event,
		.machine = m->machine,
		.config = m->config,
		.users = &m->config->users,
		.regime = m->regime,
		.sampler = m->sampler,
		.selection = m->selection,
		.in_flight = m->in_flight,
		.recorder = m->tick->recorder,
		.probed = m->probed,
		.conflicts = m->conflicts,
		.turns = &m->monitor->turns,
		.self = m->self,
		.reload = reload,
		.prepare_reload = prepare_reload,
		.expire = expire,
		.userdata = m->monitor,
	};
}

static int open_thaw_state(void *userdata)
{
	struct manager *m = userdata;

	return thaw_state_open(m->in_flight);
}

static int arm_pressure(void *userdata)
{
	struct manager *m = userdata;

	return monitor_arm_pressure(m->monitor);
}

static int prepare(struct manager *m)
{
	static const struct {
		const char *what;
		startup_fn *step;
	} steps[] = {
		{ "open /proc/pressure/memory", open_pressure },
		{ "set up the event loop", open_loop },
		{ "set up the bus", open_bus },
		{ "read all processes", take_first_census },
	};
	struct self_test test;
	int r;

	r = start_helpers(m);
	if (r < 0)
		return r;
	test = manager_self_test(m);
	self_test_protect_self(&test);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(steps); i++)
		r = startup_require(steps[i].what, steps[i].step, m);
	if (r < 0)
		return r;
	if (m->sampler->domain.has_psi) /* without it: by the timer */
		(void)startup_try("arm the pressure trigger", arm_pressure, m);
	if (m->config->policies.dry_run)
		return 0;
	(void)startup_try("open the state of thawed cgroups", open_thaw_state, m);
	self_test_clean_up(&test);
	r = self_test_run(&test);
	if (r < 0)
		log_warning("The self-test failed: %s, ignoring.", strerror(-r));
	return 0;
}

/* A manager and all of its parts. */
struct daemon {
	struct manager manager; /* the first: it is freed as that */
	struct config config;
	struct probe_results probed;
	struct self self;
	struct machine machine;
	struct regime regime;
	struct sampler sampler;
	struct selection selection;
	struct in_flight in_flight;
	struct tick tick;
	struct reporter reporter;
	struct conflicts conflicts;
	struct monitor monitor;
};

/* Each part knows those that it works on. */
static void connect_parts(struct daemon *d)
{
	d->manager = (struct manager){
		.config = &d->config,
		.probed = &d->probed,
		.self = &d->self,
		.machine = &d->machine,
		.regime = &d->regime,
		.sampler = &d->sampler,
		.selection = &d->selection,
		.in_flight = &d->in_flight,
		.tick = &d->tick,
		.reporter = &d->reporter,
		.conflicts = &d->conflicts,
		.monitor = &d->monitor,
	};
	d->sampler.machine = d->selection.machine = d->in_flight.machine = &d->machine;
	d->sampler.config = d->selection.config = d->in_flight.config = &d->config;
	d->sampler.regime = d->in_flight.regime = d->tick.regime = &d->regime;
	d->selection.sampler = d->in_flight.sampler = d->tick.sampler = &d->sampler;
	d->sampler.domain.root = &d->sampler.census.machine;
	d->in_flight.selection = d->tick.selection = &d->selection;
	d->tick.in_flight = d->reporter.f = &d->in_flight;
	d->tick.reporter = &d->reporter;
	d->reporter.probed = &d->probed;
	d->monitor = (struct monitor){
		.config = &d->config,
		.probed = &d->probed,
		.self = &d->self,
		.machine = &d->machine,
		.regime = &d->regime,
		.sampler = &d->sampler,
		.selection = &d->selection,
		.in_flight = &d->in_flight,
		.tick = &d->tick,
		.reporter = &d->reporter,
		.conflicts = &d->conflicts,
	};
}

struct manager *manager_alloc(void)
{
	struct daemon *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	connect_parts(d);
	d->machine.proc_fd = d->machine.sys_fd = d->sampler.psi_fd = d->conflicts.units_fd =
		d->monitor.placeholder_fd = d->in_flight.ledger_fd = -EBADF;
	d->sampler.census.loadavg_fd = d->sampler.census.listing_fd = -EBADF;
	cgroup_fs_init(&d->machine.cgroups, -EBADF, -EBADF);
	kill_victim_init(&d->in_flight.victim);
	for (size_t i = 0; i < EXITING_MAX; i++)
		kill_victim_init(&d->in_flight.exiting[i]);
	return &d->manager;
}

static int open_recorder(void *userdata)
{
	struct manager *m = userdata;

	return recorder_new(m->in_flight, &m->tick->recorder);
}

static int start_private(void *userdata)
{
	struct manager *m = userdata;

	return bus_listen(m->monitor->bus);
}

static int start_loader(void *userdata)
{
	struct manager *m = userdata;

	return monitor_watch_loader(m->monitor);
}

int manager_new(const struct config_options *options, bool with_log, const struct kill_ops *ops,
		struct manager **ret)
{
	_cleanup_(manager_freep) struct manager *m = NULL;
	int r;

	m = manager_alloc();
	if (!m) {
		log_error("Cannot start: out of memory.");
		return -ENOMEM;
	}
	m->config->options = *options;
	m->machine->kill_ops = ops;

	r = startup_try("read the configuration", load_config, m);
	if (r < 0 && r != -EINVAL) /* which has been logged */
		log_error("Cannot start: cannot read the configuration: %s.", strerror(-r));
	if (r == 0)
		r = open_machine(m);
	if (r == 0)
		r = config_check_subtree(m->config, &m->machine->cgroups);
	if (r < 0)
		return r;
	fork_helpers(m);
	if (with_log)
		start_output(m);
	r = startup_require("set up the history", open_recorder, m);
	if (r < 0)
		return r;
	m->reporter->recorder = m->tick->recorder;
	m->tick->history_store = history_store_open(recorder_history(m->tick->recorder));
	r = prepare(m);
	if (r < 0)
		return r;
	m->probed->private_socket_error = startup_try("open the private socket", start_private, m);
	r = with_log ? startup_try("start the thread for reloads", start_loader, m) : 0;
	if (r < 0)
		log_warning("No thread for reloads: %s; they delay samples of memory.",
			    strerror(-r));
	self_limit(m->machine);
	m->self->started_usec = clock_realtime();
	report_start(m->reporter, m->tick->history_store);
	config_warn_of_subtree(m->config, &m->machine->cgroups);
	conflicts_find(m->conflicts, m->machine, m->regime, clock_now());
	thaw_state_recover(m->in_flight);
	*ret = take_ptr(m);
	return 0;
}

struct manager *manager_free(struct manager *m)
{
	struct self_test test;

	if (!m)
		return NULL;
	test = manager_self_test(m);
	self_test_end(&test);
	in_flight_put_back_all(m->in_flight);
	if (m->tick->recorder)
		recorder_close(m->tick->recorder);
	m->tick->history_store = history_store_close(m->tick->history_store);
	m->tick->recorder = recorder_free(m->tick->recorder);
	bus_free(m->monitor->bus);
	thaw_state_close(m->in_flight);
	monitor_free(m->monitor);
	kill_reapers_free(m->in_flight->reapers);
	unit_marker_free(m->in_flight->unit_marker);
	precise_free(m->sampler->precise);
	stuck_done(m->selection);
	census_done(&m->sampler->census);
	victim_done(&m->selection->choice);
	memory_source_free(m->sampler->source);
	domain_done(&m->sampler->domain);
	stall_clear(&m->sampler->stalls.walk);
	cgroup_fs_done(&m->machine->cgroups);
	reserve_release(&m->self->reserve);
	conflicts_close(m->conflicts);
	closep(&m->sampler->psi_fd);
	closep(&m->machine->proc_fd);
	closep(&m->machine->sys_fd);
	config_done(m->config);
	probe_lines_done(&m->probed->missing_privileges);
	probe_lines_done(&m->probed->limitations);
	free(m);
	return NULL;
}
