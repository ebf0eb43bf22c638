/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* monitor-fixture: makes a monitor, and wraps tick() and what reads the kernel. */
#include "tests/monitor-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "daemon/monitor.h"
#include "daemon/service.h"
#include "daemon/tick/tick.h"
#include "tests/manager-parts.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

struct monitor_fixture test;

usec_t __wrap_tick(struct tick *t, usec_t now);
usec_t __wrap_tick(struct tick *t, usec_t now)
{
	struct manager *m = test.m;

	test.n_ticks++;
	m->regime->state = test.state_after;
	m->selection->stuck.since = test.stuck_since_after;
	if (test.closes_victim) {
		close(m->in_flight->victim.pidfd);
		m->in_flight->is_watched = test.closes_victim = false;
		m->in_flight->n_watched++;
	}
	if (test.n_ticks == test.exits_at)
		(void)sd_event_exit(m->monitor->event, 0);
	return test.next;
}

bool __wrap_self_is_too_large(struct self *self, const struct machine *machine,
			      const struct regime *regime, size_t n_processes, usec_t now);
bool __wrap_self_is_too_large(struct self *self, const struct machine *machine,
			      const struct regime *regime, size_t n_processes, usec_t now)
{
	return test.is_too_large;
}

int __wrap_service_reload(struct monitor *m, char **ret_errors);
int __wrap_service_reload(struct monitor *m, char **ret_errors)
{
	test.n_reloads++;
	*ret_errors = NULL;
	m->config->retry_pause = test.retry_pause;
	return test.retry_pause > 0 ? -EMFILE : 0;
}

int __wrap_psi_trigger_open(int dir_fd, const char *path, const struct psi_trigger *trigger);
int __wrap_psi_trigger_open(int dir_fd, const char *path, const struct psi_trigger *trigger)
{
	assert_true(test.n_triggers < 2);
	assert_string_equal(path, "pressure/memory");
	test.wanted[test.n_triggers] = *trigger;
	return test.trigger_result[test.n_triggers++];
}

/* Fails so often, before it does what it does. */
int __real_sd_event_run(sd_event *event, uint64_t timeout);
int __wrap_sd_event_run(sd_event *event, uint64_t timeout);
int __wrap_sd_event_run(sd_event *event, uint64_t timeout)
{
	if (test.n_run_errors > 0 && (test.n_runs++ % 2 == 0 || !test.every_second_runs)) {
		test.n_run_errors--;
		test.exit_was_asked = sd_event_get_exit_code(event, &(int){ 0 }) >= 0;
		return test.run_error;
	}
	return __real_sd_event_run(event, timeout);
}

int setup(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char name[64];

	memset(&test, 0, sizeof(test));
	test.next = FAR;
	test.m = manager_alloc();
	if (!test.m)
		return -1;
	test.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (test.master < 0 || grantpt(test.master) < 0 || unlockpt(test.master) < 0 ||
	    ptsname_r(test.master, name, sizeof(name)) != 0)
		return -1;
	test.slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (test.slave < 0 || ioctl(test.master, TIOCPKT, &(int){ 1 }) < 0)
		return -1;

	test.notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(test.notify_path, sizeof(test.notify_path), "/tmp/test-monitor-%d", getpid());
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", test.notify_path);
	if (bind(test.notify_fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	setenv("NOTIFY_SOCKET", test.notify_path, 1);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return monitor_new(test.m->monitor);
}

int teardown(void **state)
{
	monitor_free(test.m->monitor);
	reserve_release(&test.m->self->reserve);
	free(test.m);
	close(test.slave);
	close(test.notify_fd);
	(void)unlink(test.notify_path);
	return 0;
}

const char *notification(void)
{
	static char text[512];
	ssize_t n = recv(test.notify_fd, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

bool turn(void)
{
	int r = sd_event_run(test.m->monitor->event, 0);

	assert_true(r >= 0);
	return r > 0;
}

void make_urgent(void)
{
	assert_int_equal(tcflush(test.slave, TCIFLUSH), 0);
}

uint64_t planned(void)
{
	uint64_t usec;

	assert_int_equal(sd_event_source_get_time(test.m->monitor->timer, &usec), 0);
	return usec;
}
