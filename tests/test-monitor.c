/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * monitor: what wakes the loop and what comes of it, without a machine: tick() and what reads the
 * configuration are wrapped, the pressure trigger is a file that the test makes poll as it likes.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "daemon/clock.h"
#include "daemon/manager.h"
#include "daemon/monitor.h"
#include "daemon/tick.h"
#include "tests/fail-malloc.h"

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* A timer that is not due while the test runs. */
#define FAR (3600 * USEC_PER_SEC)
/* No memory is needed for more than so many allocations. */
#define N_MALLOCS_MAX 200

static struct {
	struct manager m;
	unsigned n_ticks;
	usec_t next;
	enum regime_state state_after; /* a tick */
	usec_t stuck_since_after;
	unsigned exits_at; /* this tick has the loop exit; 0: none */
	bool is_too_large;
	unsigned n_reloads;
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
} test;

usec_t __wrap_tick(struct tick *t, usec_t now);
usec_t __wrap_tick(struct tick *t, usec_t now)
{
	struct manager *m = &test.m;

	test.n_ticks++;
	m->regime.state = test.state_after;
	m->selection.stuck.since = test.stuck_since_after;
	if (test.n_ticks == test.exits_at)
		(void)sd_event_exit(m->monitor.event, 0);
	return test.next;
}

bool __wrap_self_is_too_large(struct self *self, const struct machine *machine,
			      const struct regime *regime, size_t n_processes, usec_t now);
bool __wrap_self_is_too_large(struct self *self, const struct machine *machine,
			      const struct regime *regime, size_t n_processes, usec_t now)
{
	return test.is_too_large;
}

int __wrap_manager_reload(struct manager *m, char **ret_errors);
int __wrap_manager_reload(struct manager *m, char **ret_errors)
{
	test.n_reloads++;
	*ret_errors = NULL;
	return 0;
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

static int setup(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char name[64];

	memset(&test, 0, sizeof(test));
	test.next = FAR;
	manager_init(&test.m);
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
	return monitor_new(&test.m);
}

static int teardown(void **state)
{
	monitor_free(&test.m);
	reserve_release(&test.m.self.reserve);
	close(test.slave);
	close(test.notify_fd);
	(void)unlink(test.notify_path);
	return 0;
}

/* What the service manager was sent last; "": nothing more. */
static const char *notification(void)
{
	static char text[512];
	ssize_t n = recv(test.notify_fd, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

/* One turn of the loop, without waiting: has something been dispatched? */
static bool turn(void)
{
	int r = sd_event_run(test.m.monitor.event, 0);

	assert_true(r >= 0);
	return r > 0;
}

static void make_urgent(void)
{
	assert_int_equal(tcflush(test.slave, TCIFLUSH), 0);
}

/* What made it urgent is read, as a trigger is re-armed by the kernel. */
static void calm_down(void)
{
	char byte;

	assert_int_equal(read(test.master, &byte, 1), 1);
}

/* The timer was set far off: only the trigger wakes the loop. */
static void test_pressure_wakes_the_loop_and_has_it_watch(void **state)
{
	struct manager *m = &test.m;
	usec_t before;

	test.trigger_result[0] = test.master;
	monitor_arm_pressure(m);
	assert_int_equal(m->probed.psi_trigger_error, 0);
	assert_true(turn()); /* the timer is due at once at first */
	assert_int_equal(test.n_ticks, 1);
	assert_false(turn());
	assert_int_equal(m->regime.watch_until, 0);

	before = clock_now();
	make_urgent();
	assert_true(turn());
	assert_int_equal(test.n_ticks, 2);
	assert_true(m->regime.watch_until >= before + 10 * USEC_PER_SEC);
	calm_down();
	assert_false(turn());

	/* It is never shortened. */
	m->regime.watch_until = USEC_INFINITY;
	make_urgent();
	assert_true(turn());
	assert_int_equal(m->regime.watch_until, USEC_INFINITY);
}

/* A trigger that has failed polls for ever: it is not used again, and the timer remains. */
static void test_a_failed_trigger_leaves_the_timer(void **state)
{
	struct manager *m = &test.m;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	close(ends[0]); /* EPOLLERR */
	test.trigger_result[0] = ends[1];
	monitor_arm_pressure(m);
	test.next = 0; /* the timer is always due */
	for (int i = 0; i < 10; i++)
		assert_true(turn());
	assert_int_equal(m->regime.watch_until, 0);
	assert_true(test.n_ticks >= 9);
	test.next = FAR;
	while (turn())
		;
	assert_false(turn());
	close(test.master);
}

static void test_triggers_that_are_requested(void **state)
{
	static const struct {
		int first, second; /* -errno; 0: it is there */
		unsigned n_asked;
		int trigger_error, fallback_error;
		bool is_armed;
	} cases[] = {
		{ 0, 0, 1, 0, 0, true },
		{ -EPERM, 0, 2, -EPERM, 0, true },
		{ -EPERM, -EINVAL, 2, -EPERM, -EINVAL, false },
		{ -EOPNOTSUPP, -EOPNOTSUPP, 2, -EOPNOTSUPP, -EOPNOTSUPP, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct manager *m = &test.m;

		test.n_triggers = 0;
		test.trigger_result[0] = cases[i].first < 0 ? cases[i].first : dup(test.master);
		test.trigger_result[1] = cases[i].second < 0 ? cases[i].second : dup(test.master);
		m->probed = (struct probe_results){ 0 };
		monitor_arm_pressure(m);
		assert_int_equal(test.n_triggers, cases[i].n_asked);
		assert_int_equal(m->probed.psi_trigger_error, cases[i].trigger_error);
		assert_int_equal(m->probed.psi_fallback_error, cases[i].fallback_error);
		assert_true((m->monitor.psi_source != NULL) == cases[i].is_armed);
		/* Without privileges: two seconds, or a multiple. */
		assert_int_equal(test.wanted[0].window_usec, USEC_PER_SEC);
		if (cases[i].n_asked == 2)
			assert_int_equal(test.wanted[1].window_usec % (2 * USEC_PER_SEC), 0);
		m->monitor.psi_source = sd_event_source_disable_unref(m->monitor.psi_source);
		for (unsigned j = test.n_triggers; j < 2; j++)
			if (test.trigger_result[j] >= 0)
				close(test.trigger_result[j]);
	}
	close(test.master);
}

/* As epoll refuses a regular file: nothing stays open, and nothing is armed. */
static void test_a_trigger_that_cannot_be_polled(void **state)
{
	struct manager *m = &test.m;
	int fd = memfd_create("trigger", MFD_CLOEXEC);

	assert_true(fd >= 0);
	test.trigger_result[0] = fd;
	monitor_arm_pressure(m);
	assert_null(m->monitor.psi_source);
	assert_int_equal(m->probed.psi_fallback_error, -EPERM);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	close(test.master);
}

/* A configuration is not read while a kill is in progress. */
static void test_a_reload_waits_for_the_victim(void **state)
{
	struct manager *m = &test.m;

	while (turn())
		;
	test.state_after = m->regime.state = REGIME_KILLING;
	m->in_flight.decision.signal = SIGKILL;
	assert_int_equal(raise(SIGHUP), 0);
	assert_true(turn());
	assert_int_equal(test.n_reloads, 0);
	assert_true(m->config.reload_is_wanted);
	assert_string_equal(notification(), "");

	make_urgent(); /* a sample that finds it still exiting */
	test.trigger_result[0] = test.master;
	monitor_arm_pressure(m);
	assert_true(turn());
	assert_int_equal(test.n_reloads, 0);

	test.state_after = REGIME_WATCH; /* and one that does not */
	assert_true(turn());
	assert_int_equal(test.n_reloads, 1);
	assert_false(m->config.reload_is_wanted);
	assert_non_null(strstr(notification(), "RELOADING=1"));
	assert_non_null(strstr(notification(), "READY=1"));
	assert_true(turn()); /* sampled again at once */
}

static void test_a_reload_without_a_victim_is_done_at_once(void **state)
{
	assert_int_equal(raise(SIGHUP), 0);
	while (turn())
		;
	assert_int_equal(test.n_reloads, 1);
	close(test.master);
}

/* It may protect a victim that has only had SIGTERM so far. */
static void test_a_reload_comes_before_sigkill(void **state)
{
	struct manager *m = &test.m;

	while (turn())
		;
	test.state_after = m->regime.state = REGIME_KILLING;
	m->in_flight.decision.signal = SIGTERM;
	assert_int_equal(raise(SIGHUP), 0);
	assert_true(turn());
	assert_int_equal(test.n_reloads, 1);
	close(test.master);
}

/* A tick has signalled a victim: what is to be watched is another. */
static void watch_in_flight(void)
{
	test.m.in_flight.is_watched = true;
	test.m.in_flight.n_watched++;
	sd_event_source_set_time(test.m.monitor.timer, 0);
	assert_true(turn());
	while (turn())
		;
}

/* Returns its pidfd. */
static int start_victim(pid_t *ret_pid)
{
	int pidfd;

	*ret_pid = fork();
	assert_true(*ret_pid >= 0);
	if (*ret_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	pidfd = (int)syscall(SYS_pidfd_open, *ret_pid, 0);
	assert_true(pidfd >= 0);
	return pidfd;
}

static void kill_victim(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
}

/* The pidfd of a victim that is over is closed, and the next victim's can have its number. */
static void test_the_number_of_a_pidfd_is_used_again(void **state)
{
	struct manager *m = &test.m;
	pid_t first, second;
	int pidfd = start_victim(&first), next;

	while (turn())
		;
	m->in_flight.victim.pidfd = pidfd;
	watch_in_flight();
	close(pidfd);
	kill_victim(first);
	next = start_victim(&second);
	assert_int_equal(next, pidfd);
	watch_in_flight();
	assert_false(turn());
	kill_victim(second);
	assert_true(turn());
	assert_false(turn());
	(void)waitpid(first, NULL, 0);
	(void)waitpid(second, NULL, 0);
	close(next);
	close(test.master);
}

/* It polls until it is waited for: one sample, and no more. */
static void test_the_exit_of_a_victim_is_sampled_once(void **state)
{
	struct manager *m = &test.m;
	unsigned n_ticks;
	pid_t pid;
	int pidfd = start_victim(&pid);

	while (turn())
		;
	m->in_flight.victim.pidfd = pidfd;
	watch_in_flight();
	n_ticks = test.n_ticks;
	assert_false(turn());
	kill_victim(pid);
	assert_true(turn());
	assert_int_equal(test.n_ticks, n_ticks + 1);
	assert_false(turn());
	assert_int_equal(test.n_ticks, n_ticks + 1);
	(void)waitpid(pid, NULL, 0);
	close(pidfd);
	close(test.master);
}

/* cgroup.events of a cgroup that was removed cannot be read, and polls for ever. */
static void test_the_events_of_a_vanished_cgroup(void **state)
{
	struct manager *m = &test.m;
	unsigned n_ticks;

	while (turn())
		;
	watch_in_flight(); /* nothing was thawed */
	m->in_flight.victim.thawed.events_fd = test.master;
	watch_in_flight();
	n_ticks = test.n_ticks;
	make_urgent(); /* pread() fails, so it stays urgent */
	assert_true(turn());
	assert_int_equal(test.n_ticks, n_ticks + 1);
	assert_false(turn());
	close(test.master);
}

static void test_being_stuck_is_in_the_status(void **state)
{
	while (turn())
		;
	assert_string_equal(notification(), "");
	test.next = 0;
	test.stuck_since_after = 1;
	test.m.selection.stuck.since = 0;
	sd_event_source_set_time(test.m.monitor.timer, 0);
	sd_event_source_set_enabled(test.m.monitor.timer, SD_EVENT_ONESHOT);
	assert_true(turn());
	assert_non_null(strstr(notification(), "no process is worth killing"));
	assert_true(turn()); /* still: not again */
	assert_string_equal(notification(), "");
	test.stuck_since_after = 0;
	assert_true(turn());
	assert_non_null(strstr(notification(), "Watching memory"));
	close(test.master);
}

/* The service manager starts it again. */
static void test_a_daemon_that_is_too_large_exits(void **state)
{
	test.is_too_large = true;
	assert_int_equal(monitor_run(&test.m), -E2BIG);
	assert_int_equal(test.n_ticks, 1);
	close(test.master);
}

static void test_run_notifies_the_service_manager(void **state)
{
	static const char *const watchdogs[] = { NULL, "10000000", "not a number" };

	for (size_t i = 0; i < ARRAY_SIZE(watchdogs); i++) {
		if (i > 0) {
			assert_int_equal(setenv("WATCHDOG_USEC", watchdogs[i], 1), 0);
			monitor_free(&test.m);
			assert_int_equal(monitor_new(&test.m), 0);
		}
		test.exits_at = test.n_ticks + 1;
		test.next = 0;
		assert_int_equal(monitor_run(&test.m), 0);
		for (const char *text = notification(); !strstr(text, "READY=1");
		     text = notification())
			assert_string_equal(text, "WATCHDOG=1");
		for (const char *text = notification(); strcmp(text, "STOPPING=1") != 0;
		     text = notification())
			assert_string_equal(text, "WATCHDOG=1");
		assert_string_equal(notification(), "");
	}
	unsetenv("WATCHDOG_USEC");
	close(test.master);
}

/* Memory is sampled all the same, and the loop continues: without an end for want of memory, else
 * so many times. */
static void test_the_loop_outlives_errors_of_its_own(void **state)
{
	static const struct {
		int error;
		unsigned n; /* that follow each other */
		int result;
	} cases[] = {
		{ -ENOMEM, 3, 0 }, { -ENOMEM, 20, 0 }, { -EIO, 1, 0 },
		{ -EIO, 8, 0 },	   { -EIO, 9, -EIO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		monitor_free(&test.m);
		assert_int_equal(monitor_new(&test.m), 0);
		test.n_run_errors = cases[i].n;
		test.run_error = cases[i].error;
		test.next = FAR;
		test.n_ticks = 0;
		test.exits_at = cases[i].n + 1; /* the first sample, and one for each */
		assert_int_equal(monitor_run(&test.m), cases[i].result);
		assert_int_equal(test.n_run_errors, 0);
		assert_int_equal(test.n_ticks, cases[i].n + (cases[i].result == 0));
	}
	close(test.master);
}

/* Only those that follow each other count. */
static void test_the_loop_outlives_an_error_now_and_then(void **state)
{
	test.n_run_errors = 20;
	test.run_error = -EIO;
	test.every_second_runs = true;
	test.next = 0;
	test.exits_at = 60;
	assert_int_equal(monitor_run(&test.m), 0);
	assert_int_equal(test.n_run_errors, 0);
	close(test.master);
}

/* The loop cannot read the signal: it is seen at the next sample. */
static void test_a_signal_that_cannot_be_read(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		monitor_free(&test.m);
		assert_int_equal(monitor_new(&test.m), 0);
		assert_int_equal(raise(signals[i]), 0); /* blocked */
		test.n_run_errors = 1;
		test.run_error = -ENOMEM;
		test.next = 0;
		test.n_ticks = 0;
		test.exits_at = 5;
		assert_int_equal(monitor_run(&test.m), 0);
		assert_int_equal(test.exit_was_asked, signals[i] != SIGHUP);
		assert_true(signal(signals[i], SIG_IGN) != SIG_ERR); /* it is pending no more */
		assert_true(signal(signals[i], SIG_DFL) != SIG_ERR);
	}
	close(test.master);
}

/* Each of its allocations fails once: an error that says so, and nothing is left behind. */
static void test_a_loop_without_memory(void **state)
{
	int r = -ENOMEM;

	(void)r;
	close(test.master);
	if (!FAIL_MALLOC_WORKS)
		skip();
#if FAIL_MALLOC_WORKS
	for (unsigned n = 0; r < 0; n++) {
		struct manager m;

		assert_true(n < N_MALLOCS_MAX);
		manager_init(&m);
		n_mallocs_allowed = n;
		fail_malloc = true;
		r = monitor_new(&m);
		fail_malloc = false;
		assert_true(r == 0 || r == -ENOMEM);
		monitor_free(&m);
		assert_null(m.monitor.event);
		assert_int_equal(m.monitor.placeholder_fd, -EBADF);
	}
#endif
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_pressure_wakes_the_loop_and_has_it_watch),
		TEST(test_a_failed_trigger_leaves_the_timer),
		TEST(test_triggers_that_are_requested),
		TEST(test_a_trigger_that_cannot_be_polled),
		TEST(test_a_reload_waits_for_the_victim),
		TEST(test_a_reload_without_a_victim_is_done_at_once),
		TEST(test_a_reload_comes_before_sigkill),
		TEST(test_the_exit_of_a_victim_is_sampled_once),
		TEST(test_the_number_of_a_pidfd_is_used_again),
		TEST(test_the_events_of_a_vanished_cgroup),
		TEST(test_being_stuck_is_in_the_status),
		TEST(test_a_daemon_that_is_too_large_exits),
		TEST(test_run_notifies_the_service_manager),
		TEST(test_the_loop_outlives_errors_of_its_own),
		TEST(test_the_loop_outlives_an_error_now_and_then),
		TEST(test_a_signal_that_cannot_be_read),
		TEST(test_a_loop_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
