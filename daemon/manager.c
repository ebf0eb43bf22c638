/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* manager: opens all that the daemon has at start, and frees it. */
#include "daemon/manager.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/config.h"
#include "daemon/base/conflicts.h"
#include "daemon/base/machine.h"
#include "daemon/base/notify.h"
#include "daemon/base/regime.h"
#include "daemon/base/reserve.h"
#include "daemon/base/self.h"
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
#include "daemon/watch/sampler.h"
#include "lib/base/cleanup.h"
#include "lib/base/errors.h"
#include "lib/base/format.h"
#include "lib/kill/unit-mark.h"

/* One frees, another is free should a second victim follow before the first one's memory is. */
#define N_REAPERS 2

/* A file that cannot be opened for want of files or of memory, or for an error of the file system,
 * is there: to continue as if it were not would be to take every process for one without a cgroup,
 * or every kernel for one without PSI.  So the start fails, and is tried again. */
static int fail_for_now(const char *what, int r)
{
	log_error("Cannot open %s for now: %s.", what, strerror(-r));
	return r;
}

static int open_machine(struct manager *m)
{
	int r;

	reserve_raise_limit();
	m->machine->proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->machine->proc_fd < 0) {
		r = -errno;
		log_error("Cannot open /proc: %s", strerror(-r));
		return r;
	}
	m->machine->sys_fd =
		open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* without it: no zram */
	if (m->machine->sys_fd < 0 && error_is_transient(-errno))
		return fail_for_now("/sys", -errno);
	r = memory_source_new(m->machine->proc_fd, m->machine->sys_fd, &m->sampler->source);
	if (r == 0)
		r = memory_sample(m->sampler->source, &m->sampler->domain.reading);
	if (r < 0) {
		log_error("Cannot read /proc/meminfo and /proc/vmstat (is /proc mounted?): %s",
			  strerror(-r));
		return r;
	}
	r = cgroup_fs_open(m->machine->proc_fd, &m->machine->cgroups);
	if (r < 0 && !error_is_unreachable(r))
		return fail_for_now("the cgroups", r);
	if (r < 0) {
		log_warning("Cannot find the cgroups: %s; continuing without them.", strerror(-r));
		cgroup_fs_init(&m->machine->cgroups, -EBADF, -EBADF);
	}
	conflicts_open(m->conflicts, m->machine); /* without it: no other daemon is known */
	return 0;
}

/* One that is given by hand, for this run, is to be there. */
static int check_subtree(const struct manager *m)
{
	const char *subtree = m->config->policies.subtree;
	int r;

	if (subtree[0] != '/') {
		log_error("Subtree %s: a cgroup's path begins with '/', as in /proc/PID/cgroup.",
			  subtree);
		return -EINVAL;
	}
	r = cgroup_find(&m->machine->cgroups, subtree);
	if (r == -ENOENT && !m->config->options.subtree)
		return 0;
	if (r < 0)
		log_error("Subtree %s: %s", subtree,
			  m->machine->cgroups.layout == CGROUP_LAYOUT_NONE
				  ? "there are no cgroups here"
			  : r == -ENOENT ? "there is no such cgroup"
					 : strerror(-r));
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

/* All that is forked, while there are no threads yet: in a child of a process with threads only the
 * one that has called fork() is left, and the locks of the others stay held. */
static void fork_helpers(struct manager *m)
{
	const struct self_test test = manager_self_test(m);
	int r;

	r = accuracy_probe(m->machine->proc_fd, m->machine->sys_fd, &m->machine->accuracy);
	if (r < 0)
		log_warning("Cannot find out how exact statm is: %s; the worst is assumed.",
			    strerror(-r));
	r = m->config->policies.dry_run ? 0 : self_test_begin(&test);
	if (r < 0)
		log_warning("Cannot fork for the self-test: %s.", strerror(-r));
}

/* The threads that write to what may be read late, or not at all. */
static void start_output(void)
{
	int r;

	log_start();
	r = notify_start();
	if (r < 0)
		log_warning("No thread for notification: %s; a service manager that stops reading "
			    "blocks reckond.",
			    strerror(-r));
}

static int start_helpers(struct manager *m)
{
	int r;

	r = precise_new(m->machine->proc_fd, &m->sampler->precise);
	if (r < 0)
		return r;
	if (m->machine->cgroups.layout == CGROUP_LAYOUT_V2) {
		r = unit_marker_new(m->machine->cgroups.v2_fd, &m->in_flight->unit_marker);
		if (r < 0)
			log_warning("systemd is not notified of units that are killed: %s.",
				    strerror(-r));
	}
	stuck_init(m->selection);
	return kill_reapers_new(m->machine->kill_ops, N_REAPERS, &m->in_flight->reapers,
				&m->probed->fifo_error);
}

/*
 * Everything that the emergency will need is allocated and touched now.  In one piece, unlike what
 * the loop does later: nothing waits for it.  The loop does not run yet, and the watchdog begins
 * with READY=1, which follows.  30,000 processes take a second; a service manager waits for a start
 * for a minute and a half.
 */
static int take_first_census(struct manager *m)
{
	int r;

	stall_init(&m->sampler->stalls.walk, m->machine->cgroups.v2_fd);
	r = census_init(&m->sampler->census, m->machine->proc_fd, &m->machine->cgroups,
			&m->machine->accuracy, &m->config->policies);
	if (r < 0)
		return r;
	m->sampler->census.kept_fds_max = reserve_files_to_keep();
	r = census_sweep(&m->sampler->census, clock_now(), m->sampler->domain.reading.allocated,
			 m->sampler->domain.reading.counters.swap_free <
				 m->sampler->domain.reading.counters.swap_total);
	if (r < 0)
		return r;
	return victim_reserve(&m->selection->choice, &m->sampler->census);
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

static int prepare(struct manager *m)
{
	struct psi_reading psi;
	struct bus_subject subject;
	struct self_test test;
	int r;

	r = start_helpers(m);
	if (r < 0)
		return r;
	test = manager_self_test(m);
	self_test_protect_self(&test);
	m->sampler->psi_fd = openat(m->machine->proc_fd, "pressure/memory", O_RDONLY | O_CLOEXEC);
	if (m->sampler->psi_fd < 0 && error_is_transient(-errno))
		return fail_for_now("/proc/pressure/memory", -errno);
	m->sampler->domain.has_psi =
		m->sampler->psi_fd >= 0 && psi_read_fd(m->sampler->psi_fd, &psi) == 0;
	if (!m->sampler->domain.has_psi) { /* psi=0: there is a file, but it cannot be read */
		closep(&m->sampler->psi_fd);
		m->sampler->psi_fd = -EBADF;
	}
	r = monitor_new(m->monitor);
	if (r < 0)
		return r;
	if (m->sampler->domain.has_psi)
		monitor_arm_pressure(m->monitor);
	subject = manager_bus_subject(m);
	r = bus_new(&subject, &m->monitor->bus);
	if (r < 0)
		return r;
	r = take_first_census(m);
	if (r < 0)
		return r;
	if (m->config->policies.dry_run)
		return 0;
	(void)thaw_state_open(m->in_flight);
	self_test_clean_up(&test);
	r = self_test_run(&test);
	if (r < 0)
		log_warning("The self-test failed: %s, ignoring.", strerror(-r));
	return 0;
}

static uint64_t realtime_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
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

int manager_new(const struct config_options *options, bool with_log, const struct kill_ops *ops,
		struct manager **ret)
{
	_cleanup_(manager_freep) struct manager *m = NULL;
	uint64_t heap_used;
	int r;

	m = manager_alloc();
	if (!m)
		return -ENOMEM;
	m->config->options = *options;
	m->machine->kill_ops = ops;

	heap_used = self_heap_used();
	r = config_load(m->config, &m->sampler->domain);
	m->self->config_bytes = sub_u64(self_heap_used(), heap_used);
	if (r == 0)
		r = open_machine(m);
	if (r == 0)
		r = check_subtree(m);
	if (r < 0)
		return r;
	fork_helpers(m);
	if (with_log)
		start_output();
	r = recorder_new(m->machine->proc_fd, m->in_flight, &m->tick->recorder);
	if (r < 0)
		return r;
	m->reporter->recorder = m->tick->recorder;
	m->tick->history_store = history_store_open(recorder_history(m->tick->recorder));
	r = prepare(m);
	if (r < 0) {
		log_error("Cannot get ready: %s", strerror(-r));
		return r;
	}
	r = with_log ? monitor_watch_loader(m->monitor) : 0;
	if (r < 0)
		log_warning("No thread for reloads: %s; they delay samples of memory.",
			    strerror(-r));
	self_limit(m->machine);
	m->self->started_usec = realtime_now();
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
