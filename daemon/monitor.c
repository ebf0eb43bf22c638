/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* monitor: the sources of the event loop, and the loop. */
#include "daemon/monitor.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/config-loader.h"
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
#include "daemon/log/log.h"
#include "daemon/record/report.h"
#include "daemon/select/selection.h"
#include "daemon/service.h"
#include "daemon/tick/tick.h"
#include "daemon/watch/sampler.h"
#include "lib/base/cleanup.h"
#include "lib/base/errors.h"
#include "lib/base/io.h"
#include "lib/sys/psi.h"

#define TIMER_SLACK (1 * USEC_PER_MSEC)
/* A trigger means: watch for at least so long. */
#define TRIGGER_WATCH_USEC (10 * USEC_PER_SEC)
/* After so many consecutive failures it exits, and the service manager starts it again. */
#define LOOP_FAILURES_MAX 8
/* A call of the loop's own failed: it is tried again after so long. */
#define LOOP_AGAIN_USEC (10 * USEC_PER_MSEC)

/* Signals do not make it reload more often than this: after a reload all processes are read anew
 * before one is chosen. */
#define RELOAD_PAUSE_USEC (1 * USEC_PER_SEC)

static int arm_timer(struct monitor *m, usec_t when)
{
	int r;

	r = sd_event_source_set_time(m->timer, when);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(m->timer, SD_EVENT_ONESHOT);
}

/* It reads files, and may resolve users' names: not while a kill is in progress.  A process that
 * has only had SIGTERM may be protected by it. */
static bool may_reload(const struct monitor *m)
{
	return m->config->reload_is_wanted && clock_now() >= m->config->reload_not_before &&
	       (m->regime->state != REGIME_KILLING ||
		m->in_flight->decision.kill.signal == SIGTERM);
}

/* USEC_INFINITY: for that, the timer need not be earlier than it is. */
static usec_t next_reload(const struct monitor *m, usec_t now)
{
	return m->config->reload_is_wanted && now < m->config->reload_not_before
		       ? m->config->reload_not_before
		       : USEC_INFINITY;
}

/* false: not now, or not yet. */
static bool reload_if_wanted(struct monitor *m)
{
	_cleanup_free_ char *errors = NULL;

	if (!may_reload(m) || !config_prepare_reload(m->config))
		return false;		  /* (on_loaded() is called when it has been read) */
	(void)monitor_reload(m, &errors); /* they have been logged */
	return true;
}

/* What systemctl status shows. */
static void notify_if_stuck(struct monitor *m, bool was_stuck)
{
	char status[SERVICE_STATUS_SIZE];

	if (was_stuck != (m->selection->stuck.since != 0))
		notify_status(service_status(m, status));
}

/* SIGTERM or SIGINT has come.  The loop reads them from a file, which can fail for as long as
 * memory is short; that they are pending needs neither. */
static bool exit_is_requested(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 &&
	       (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

static void watch(const struct monitor *m, sd_event_source *source, int fd)
{
	/* Should this fail, the timer finds out too, only later.  The eventfd is never written to.
	 */
	if (sd_event_source_set_io_fd(source, fd < 0 ? m->placeholder_fd : fd) >= 0 && fd >= 0)
		(void)sd_event_source_set_enabled(source, SD_EVENT_ON);
}

static bool pause_source(sd_event_source *source)
{
	int enabled = SD_EVENT_OFF;

	(void)sd_event_source_get_enabled(source, &enabled);
	if (enabled != SD_EVENT_OFF)
		(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return enabled != SD_EVENT_OFF;
}

/*
 * A tick, with the victim's exit watched before and after it, by its pidfd: a child source would
 * break the loop on a process that is not our child.  Allocates nothing: the sources were made at
 * start.  Nothing is watched meanwhile, as the tick may close it: epoll keeps a file of which there
 * is a duplicate (a reaper has one), and then neither its number nor its events can be removed.
 */
static usec_t tick_and_watch(struct monitor *m, usec_t now)
{
	bool waits_for_exit = pause_source(m->victim_source);
	bool waits_for_thaw = pause_source(m->thaw_source);
	usec_t next = tick(m->tick, now);
	struct in_flight_watched watched = in_flight_watched(m->in_flight);

	if (watched.n != m->n_watched) {
		m->n_watched = watched.n;
		watch(m, m->victim_source, watched.victim_fd);
		watch(m, m->thaw_source, watched.thaw_fd);
		return next;
	}
	if (waits_for_exit)
		(void)sd_event_source_set_enabled(m->victim_source, SD_EVENT_ON);
	if (waits_for_thaw)
		(void)sd_event_source_set_enabled(m->thaw_source, SD_EVENT_ON);
	return next;
}

/* What very many processes had taken. */
static void release_memory(struct probe_results *probed)
{
	int r = self_release_memory(probed->memory_lock_error == 0);

	if (r == 0)
		return;
	probed->memory_lock_error = r;
	log_warning("Own memory is not locked any more: %s.", strerror(-r));
}

/* To the service manager, with the ticks; where these are rare, by a timer of its own.  It is the
 * loop that tells it, at most four times in the time that is allowed. */
static void tell_alive(struct monitor *m, usec_t now)
{
	notify_turn();
	if (!m->watchdog_source || now - m->alive_at < m->watchdog_usec / 4)
		return;
	m->alive_at = now;
	notify_watchdog();
	(void)sd_event_source_set_time(m->watchdog_source, now + m->watchdog_usec / 2);
}

static int run_tick(struct monitor *m, usec_t now)
{
	bool was_stuck = m->selection->stuck.since != 0;
	bool was_calm = m->regime->state == REGIME_CALM;
	usec_t next;

	if (!was_calm)
		reserve_release(&m->self->reserve);
	next = tick_and_watch(m, now);
	now = clock_now();
	bus_note_judgement(m->bus, &m->tick->judgement, now);
	if (!was_calm && m->regime->state == REGIME_CALM)
		release_memory(m->probed);
	notify_if_stuck(m, was_stuck);
	tell_alive(m, now);
	if (m->regime->state == REGIME_CALM)
		reserve_fill(&m->self->reserve, m->machine->proc_fd);
	if (self_is_too_large(m->self, m->machine, m->regime, m->sampler->census.n_processes, now))
		return sd_event_exit(m->event, -E2BIG);
	if (exit_is_requested())
		return sd_event_exit(m->event, 0);
	conflicts_find(m->conflicts, m->machine, m->regime, now);
	bus_turn(m->bus, now);
	if (reload_if_wanted(m))
		return 0; /* it samples again at once */
	return arm_timer(m, min_u64(now + next, next_reload(m, now)));
}

/* (The clock is a system call on many a virtual machine: it is not asked twice for one moment.) */
static int sample_at(struct monitor *m, usec_t now)
{
	int r;

	turns_begin(&m->turns, now);
	r = run_tick(m, now);
	turns_end(&m->turns, clock_now(), m->regime->state == REGIME_CALM);
	return r;
}

static int sample(struct monitor *m)
{
	return sample_at(m, clock_now());
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct monitor *m = userdata;
	usec_t now = clock_now();

	turns_note_delay(&m->turns, sub_u64(now, usec), m->regime->state == REGIME_CALM);
	return sample_at(m, now);
}

static int on_victim(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct monitor *m = userdata;

	/* It stays readable; the tick polls the pidfd itself. */
	(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return sample(m);
}

/* Read, so that it polls again only when it has changed again; it cannot be read when the cgroup
 * has vanished, and then polls for ever. */
static int on_thaw(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct monitor *m = userdata;
	char text[256];

	if (io_read_fd(fd, text, sizeof(text)) < 0)
		(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return sample(m);
}

static int on_pressure(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct monitor *m = userdata;

	if (revents & EPOLLERR) {
		log_warning("The pressure trigger has failed; continuing with the timer alone.");
		return sd_event_source_set_enabled(source, SD_EVENT_OFF);
	}
	m->regime->watch_until = max_u64(m->regime->watch_until, clock_now() + TRIGGER_WATCH_USEC);
	return sample(m);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	struct monitor *m = userdata;
	usec_t planned, next;

	m->config->reload_is_wanted = true;
	m->config->reload_not_before =
		min_u64(m->config->reload_not_before, clock_now() + RELOAD_PAUSE_USEC);
	config_expire(m->config); /* it may have changed since */
	(void)reload_if_wanted(m);
	next = next_reload(m, clock_now());
	if (sd_event_source_get_time(m->timer, &planned) >= 0 && next < planned)
		return arm_timer(m, next);
	return 0;
}

/* The configuration has been read, for a signal or for a caller on the bus. */
static int on_loaded(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct monitor *m = userdata;

	config_loader_collect(m->config->loader);
	return sample(m);
}

int monitor_watch_loader(struct monitor *m)
{
	int r = config_start_loader(m->config);

	if (r < 0)
		return r;
	/* Once for each configuration: it would spin where the eventfd cannot be read. */
	r = sd_event_add_io(m->event, &m->loader_source, config_loader_fd(m->config->loader),
			    EPOLLIN | EPOLLET, on_loaded, m);
	if (r < 0) /* a reload would wait for it for ever */
		m->config->loader = config_loader_free(m->config->loader);
	return r < 0 ? r : 0;
}

static void tell_ready(const struct monitor *m)
{
	char status[SERVICE_STATUS_SIZE];

	notify_ready(service_status(m, status));
}

int monitor_reload(struct monitor *m, char **ret_errors)
{
	int r;

	notify_reloading(clock_now());
	r = service_reload(m, ret_errors);
	m->config->reload_is_wanted = m->config->retry_pause > 0;
	m->config->reload_not_before =
		clock_now() + max_u64(m->config->retry_pause, RELOAD_PAUSE_USEC);
	tell_ready(m);
	(void)arm_timer(m, clock_now()); /* fails for a source that is none only */
	return r;
}

void monitor_block_signals(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, NULL); /* fails for a wrong first argument only */
	/* (Inherited, but no child of ours executes anything.) */
	(void)signal(SIGPIPE, SIG_IGN);
}

static int add_signals(struct monitor *m)
{
	int r;

	monitor_block_signals();
	r = sd_event_add_signal(m->event, NULL, SIGTERM, NULL, NULL);
	if (r < 0)
		return r;
	r = sd_event_add_signal(m->event, NULL, SIGINT, NULL, NULL);
	if (r < 0)
		return r;
	return sd_event_add_signal(m->event, NULL, SIGHUP, on_hangup, m);
}

int monitor_new(struct monitor *m)
{
	int r;

	r = sd_event_new(&m->event);
	if (r < 0)
		return r;
	r = add_signals(m);
	if (r < 0)
		return r;
	r = sd_event_add_time(m->event, &m->timer, CLOCK_MONOTONIC, 0, TIMER_SLACK, on_timer, m);
	if (r < 0)
		return r;
	turns_open(&m->turns, m->machine->proc_fd);
	m->placeholder_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->placeholder_fd < 0)
		return -errno;
	r = sd_event_add_io(m->event, &m->victim_source, m->placeholder_fd, EPOLLIN, on_victim, m);
	if (r < 0)
		return r;
	/* Off: epoll takes an fd once only (EEXIST). */
	r = sd_event_source_set_enabled(m->victim_source, SD_EVENT_OFF);
	if (r < 0)
		return r;
	r = sd_event_add_io(m->event, &m->thaw_source, m->placeholder_fd, EPOLLPRI, on_thaw, m);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(m->thaw_source, SD_EVENT_OFF);
	if (r < 0)
		return r;
	/* Before the timer, should both be due: it saves a sample. */
	return sd_event_source_set_priority(m->victim_source, SD_EVENT_PRIORITY_IMPORTANT);
}

void monitor_free(struct monitor *m)
{
	m->psi_source = sd_event_source_disable_unref(m->psi_source);
	m->watchdog_source = sd_event_source_disable_unref(m->watchdog_source);
	m->loader_source = sd_event_source_disable_unref(m->loader_source);
	m->victim_source = sd_event_source_disable_unref(m->victim_source);
	m->thaw_source = sd_event_source_disable_unref(m->thaw_source);
	m->timer = sd_event_source_disable_unref(m->timer);
	m->event = sd_event_unref(m->event);
	turns_close(&m->turns);
	if (m->placeholder_fd >= 0)
		close(m->placeholder_fd);
	m->placeholder_fd = -EBADF;
}

int monitor_arm_pressure(struct monitor *m)
{
	static const struct psi_trigger wanted = {
		.stall_usec = 70 * USEC_PER_MSEC,
		.window_usec = USEC_PER_SEC,
	};
	/* Without CAP_SYS_RESOURCE the window has to be a multiple of two seconds. */
	static const struct psi_trigger unprivileged = {
		.stall_usec = 150 * USEC_PER_MSEC,
		.window_usec = 2 * USEC_PER_SEC,
	};
	int fd, r;

	fd = psi_trigger_open(m->machine->proc_fd, "pressure/memory", &wanted);
	m->probed->psi_trigger_error = m->probed->psi_fallback_error = fd < 0 ? fd : 0;
	if (fd < 0 && !error_is_transient(fd)) {
		fd = psi_trigger_open(m->machine->proc_fd, "pressure/memory", &unprivileged);
		m->probed->psi_fallback_error = fd < 0 ? fd : 0;
	}
	if (fd < 0)
		return fd;
	r = sd_event_add_io(m->event, &m->psi_source, fd, EPOLLPRI, on_pressure, m);
	if (r < 0) {
		close(fd);
		m->probed->psi_trigger_error = m->probed->psi_fallback_error = r;
		return r;
	}
	return sd_event_source_set_io_fd_own(m->psi_source, true);
}

/* As sd_event_loop(), but a call of the loop's own that fails once in a while is no reason to stop
 * protecting, nor is that memory is short: sd-event allocates in between, and can be run again.
 * (Where that lasts, the watchdog terminates it.) */
static int run_loop(struct monitor *m)
{
	unsigned n_failures = 0;
	int r = 0;

	while (sd_event_get_state(m->event) != SD_EVENT_FINISHED) {
		r = sd_event_run(m->event, UINT64_MAX);
		if (r >= 0)
			n_failures = 0;
		if (r >= 0 || sd_event_get_state(m->event) == SD_EVENT_FINISHED)
			continue;
		if (r != -ENOMEM) {
			if (n_failures++ == LOOP_FAILURES_MAX)
				return r;
			report_loop_failed(m->reporter, r, clock_now());
		}
		(void)usleep(LOOP_AGAIN_USEC);
		r = sample(m); /* the timer may not have been armed */
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	return sd_event_get_exit_code(m->event, &r) < 0 ? 0 : r;
}

static int on_watchdog(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct monitor *m = userdata;

	tell_alive(m, clock_now());
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* (sd_event_set_watchdog() would call sd_notify() on the loop, which may wait: notify.h) */
static int arm_watchdog(void *userdata)
{
	struct monitor *m = userdata;
	int r;

	r = sd_watchdog_enabled(0, &m->watchdog_usec);
	if (r <= 0)
		return r;
	return sd_event_add_time(m->event, &m->watchdog_source, CLOCK_MONOTONIC, 0,
				 m->watchdog_usec / 4, on_watchdog, m);
}

int monitor_run(struct monitor *m)
{
	int r;

	r = startup_try("arm the watchdog", arm_watchdog, m);
	if (r < 0)
		log_warning("Cannot arm the watchdog: %s, ignoring.", strerror(-r));
	r = sample(m);
	if (r < 0)
		return r;
	tell_ready(m);
	r = run_loop(m);
	notify_stopping();
	return r;
}
