/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * monitor: what wakes the loop and what comes of it, without a machine: tick() and what reads the
 * configuration are wrapped, the pressure trigger is a file that the test makes poll as it likes.
 */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/monitor.h"
#include "tests/manager-parts.h"
#include "tests/monitor-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* What made it urgent is read, as a trigger is re-armed by the kernel. */
static void calm_down(void)
{
	char byte;

	assert_int_equal(read(test.master, &byte, 1), 1);
}

/* The timer was set far off: only the trigger wakes the loop. */
static void test_pressure_wakes_the_loop_and_has_it_watch(void **state)
{
	struct manager *m = test.m;
	usec_t before;

	test.trigger_result[0] = test.master;
	monitor_arm_pressure(m->monitor);
	assert_int_equal(m->probed->psi_trigger_error, 0);
	assert_true(turn()); /* the timer is due at once at first */
	assert_int_equal(test.n_ticks, 1);
	assert_false(turn());
	assert_int_equal(m->regime->watch_until, 0);

	before = clock_now();
	make_urgent();
	assert_true(turn());
	assert_int_equal(test.n_ticks, 2);
	assert_true(m->regime->watch_until >= before + 10 * USEC_PER_SEC);
	calm_down();
	assert_false(turn());

	/* It is never shortened. */
	m->regime->watch_until = USEC_INFINITY;
	make_urgent();
	assert_true(turn());
	assert_int_equal(m->regime->watch_until, USEC_INFINITY);
}

/* A trigger that has failed polls for ever: it is not used again, and the timer remains. */
static void test_a_failed_trigger_leaves_the_timer(void **state)
{
	struct manager *m = test.m;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	close(ends[0]); /* EPOLLERR */
	test.trigger_result[0] = ends[1];
	monitor_arm_pressure(m->monitor);
	test.next = 0; /* the timer is always due */
	for (int i = 0; i < 10; i++)
		assert_true(turn());
	assert_int_equal(m->regime->watch_until, 0);
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
		/* It says nothing of privileges. */
		{ -EMFILE, 0, 1, -EMFILE, -EMFILE, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct manager *m = test.m;

		test.n_triggers = 0;
		test.trigger_result[0] = cases[i].first < 0 ? cases[i].first : dup(test.master);
		test.trigger_result[1] = cases[i].second < 0 ? cases[i].second : dup(test.master);
		*m->probed = (struct probe_results){ 0 };
		assert_int_equal(monitor_arm_pressure(m->monitor),
				 cases[i].is_armed ? 0 : cases[i].fallback_error);
		assert_int_equal(test.n_triggers, cases[i].n_asked);
		assert_int_equal(m->probed->psi_trigger_error, cases[i].trigger_error);
		assert_int_equal(m->probed->psi_fallback_error, cases[i].fallback_error);
		assert_true((m->monitor->psi_source != NULL) == cases[i].is_armed);
		/* Without privileges: two seconds, or a multiple. */
		assert_int_equal(test.wanted[0].window_usec, USEC_PER_SEC);
		if (cases[i].n_asked == 2)
			assert_int_equal(test.wanted[1].window_usec % (2 * USEC_PER_SEC), 0);
		m->monitor->psi_source = sd_event_source_disable_unref(m->monitor->psi_source);
		for (unsigned j = test.n_triggers; j < 2; j++)
			if (test.trigger_result[j] >= 0)
				close(test.trigger_result[j]);
	}
	close(test.master);
}

/* As epoll refuses a regular file: nothing stays open, and nothing is armed. */
static void test_a_trigger_that_cannot_be_polled(void **state)
{
	struct manager *m = test.m;
	int fd = memfd_create("trigger", MFD_CLOEXEC);

	assert_true(fd >= 0);
	test.trigger_result[0] = fd;
	monitor_arm_pressure(m->monitor);
	assert_null(m->monitor->psi_source);
	assert_int_equal(m->probed->psi_fallback_error, -EPERM);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	close(test.master);
}

/* A configuration is not read while a kill is in progress. */
/* Until the next sample it is as long as the tick says, and it is due once. */
static void test_the_timer_is_set_by_the_tick(void **state)
{
	usec_t before = clock_now();
	int enabled;

	assert_true(turn());
	assert_in_range(planned(), before + FAR, clock_now() + FAR);
	assert_int_equal(sd_event_source_get_enabled(test.m->monitor->timer, &enabled), 1);
	assert_int_equal(enabled, SD_EVENT_ONESHOT);
	assert_false(turn());
	assert_int_equal(test.n_ticks, 1);
	close(test.master);
}

static unsigned n_clocks;

usec_t __real_clock_now(void);
usec_t __wrap_clock_now(void);
usec_t __wrap_clock_now(void)
{
	n_clocks++;
	return __real_clock_now();
}

/* Before the tick, after it, and at the end of the turn: where the machine's clock is slow it is a
 * system call, and a tenth of what a sample takes in calm. */
static void test_a_turn_asks_for_the_time_three_times(void **state)
{
	while (turn())
		;
	n_clocks = 0;
	assert_int_equal(sd_event_source_set_time(test.m->monitor->timer, 0), 0);
	assert_int_equal(sd_event_source_set_enabled(test.m->monitor->timer, SD_EVENT_ONESHOT), 0);
	assert_true(turn());
	assert_int_equal(test.n_ticks, 2);
	assert_true(n_clocks <= 3);
	close(test.master);
}

/* A tick has signalled a victim: what is to be watched is another. */
static void watch_in_flight(void)
{
	test.m->in_flight->is_watched = true;
	test.m->in_flight->n_watched++;
	sd_event_source_set_time(test.m->monitor->timer, 0);
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
	struct manager *m = test.m;
	pid_t first, second;
	int pidfd = start_victim(&first), next;

	while (turn())
		;
	m->in_flight->victim.pidfd = pidfd;
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

/* What the loop's epoll has: a line "tfd:" each. */
static unsigned n_watched_files(void)
{
	char path[64], line[256];
	unsigned n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d",
		 sd_event_get_fd(test.m->monitor->event));
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strncmp(line, "tfd:", 4) == 0;
	fclose(f);
	return n;
}

/* The timer finds that the kill is over; a reaper still has a duplicate of the pidfd, so that epoll
 * would report it for ever. */
static void test_a_pidfd_that_is_closed_is_not_watched(void **state)
{
	struct manager *m = test.m;
	unsigned n_before, n_ticks;
	pid_t pid;
	int pidfd = start_victim(&pid), copy = fcntl(pidfd, F_DUPFD_CLOEXEC, 0);

	assert_true(copy >= 0);
	while (turn())
		;
	n_before = n_watched_files();
	m->in_flight->victim.pidfd = pidfd;
	watch_in_flight();
	assert_int_equal(n_watched_files(), n_before + 1);
	test.closes_victim = true;
	sd_event_source_set_time(m->monitor->timer, 0);
	assert_true(turn());
	assert_int_equal(n_watched_files(), n_before);
	n_ticks = test.n_ticks;
	kill_victim(pid);
	assert_false(turn());
	assert_int_equal(test.n_ticks, n_ticks);
	(void)waitpid(pid, NULL, 0);
	close(copy);
	close(test.master);
}

/* It polls until it is waited for: one sample, and no more. */
static void test_the_exit_of_a_victim_is_sampled_once(void **state)
{
	struct manager *m = test.m;
	unsigned n_ticks;
	pid_t pid;
	int pidfd = start_victim(&pid);

	while (turn())
		;
	m->in_flight->victim.pidfd = pidfd;
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
	struct manager *m = test.m;
	unsigned n_ticks;

	while (turn())
		;
	watch_in_flight(); /* nothing was thawed */
	m->in_flight->victim.thawed.events_fd = test.master;
	watch_in_flight();
	n_ticks = test.n_ticks;
	make_urgent(); /* pread() fails, so it stays urgent */
	assert_true(turn());
	assert_int_equal(test.n_ticks, n_ticks + 1);
	assert_false(turn());
	close(test.master);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_pressure_wakes_the_loop_and_has_it_watch),
		TEST(test_a_failed_trigger_leaves_the_timer),
		TEST(test_triggers_that_are_requested),
		TEST(test_a_trigger_that_cannot_be_polled),
		TEST(test_the_timer_is_set_by_the_tick),
		TEST(test_a_turn_asks_for_the_time_three_times),
		TEST(test_the_exit_of_a_victim_is_sampled_once),
		TEST(test_the_number_of_a_pidfd_is_used_again),
		TEST(test_a_pidfd_that_is_closed_is_not_watched),
		TEST(test_the_events_of_a_vanished_cgroup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
