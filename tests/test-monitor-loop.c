/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * monitor: when the loop exits, what it reports to the service manager, and which errors it
 * outlives.
 */
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/base/config-loader.h"
#include "daemon/base/notify.h"
#include "daemon/monitor.h"
#include "daemon/service.h"
#include "tests/fail-malloc.h"
#include "tests/manager-parts.h"
#include "tests/monitor-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

/* No memory is needed for more than so many allocations. */
#define N_MALLOCS_MAX 200

static void test_being_stuck_is_in_the_status(void **state)
{
	while (turn())
		;
	assert_string_equal(notification(), "");
	test.next = 0;
	test.stuck_since_after = 1;
	test.m->selection->stuck.since = 0;
	sd_event_source_set_time(test.m->monitor->timer, 0);
	sd_event_source_set_enabled(test.m->monitor->timer, SD_EVENT_ONESHOT);
	assert_true(turn());
	assert_non_null(strstr(notification(), "no process is worth killing"));
	assert_true(turn()); /* still: not again */
	assert_string_equal(notification(), "");
	test.stuck_since_after = 0;
	assert_true(turn());
	assert_non_null(strstr(notification(), "Watching memory"));
	close(test.master);
}

/* An eventfd that stays readable, as it could not be read, does not make the loop spin; each
 * configuration is noticed all the same. */
static void test_a_configuration_is_noticed_once(void **state)
{
	assert_int_equal(monitor_watch_loader(test.m->monitor), 0);
	while (turn())
		;
	for (unsigned i = 0; i < 2; i++) {
		test.n_ticks = 0;
		assert_int_equal(eventfd_write(config_loader_fd(test.m->config->loader), 1), 0);
		assert_true(turn());
		assert_false(turn());
		assert_int_equal(test.n_ticks, 1);
	}
	test.m->monitor->loader_source =
		sd_event_source_disable_unref(test.m->monitor->loader_source);
	test.m->config->loader = config_loader_free(test.m->config->loader);
	close(test.master);
}

/* The service manager starts it again. */
static void test_a_daemon_that_is_too_large_exits(void **state)
{
	test.is_too_large = true;
	assert_int_equal(monitor_run(test.m->monitor), -E2BIG);
	assert_int_equal(test.n_ticks, 1);
	close(test.master);
}

static void test_run_notifies_the_service_manager(void **state)
{
	static const char *const watchdogs[] = { NULL, "10000000", "not a number" };

	for (size_t i = 0; i < ARRAY_SIZE(watchdogs); i++) {
		if (i > 0) {
			assert_int_equal(setenv("WATCHDOG_USEC", watchdogs[i], 1), 0);
			monitor_free(test.m->monitor);
			assert_int_equal(monitor_new(test.m->monitor), 0);
		}
		test.exits_at = test.n_ticks + 1;
		test.next = 0;
		assert_int_equal(monitor_run(test.m->monitor), 0);
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

/* Its queue is full: neither the watchdog, nor a reload, nor a state waits for it. */
static void test_a_service_manager_that_does_not_read(void **state)
{
	char *errors = NULL;

	(void)alarm(20); /* a call that waits ends the test */
	assert_int_equal(setenv("WATCHDOG_USEC", "4000", 1), 0);
	monitor_free(test.m->monitor);
	assert_int_equal(monitor_new(test.m->monitor), 0);
	assert_int_equal(notify_start(), 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(monitor_reload(test.m->monitor, &errors), 0);
	test.exits_at = test.n_ticks + 50;
	test.next = 2 * USEC_PER_MSEC;
	assert_int_equal(monitor_run(test.m->monitor), 0);
	notify_stop();
	(void)alarm(0);
	while (*notification() != '\0')
		;
	notify_stop(); /* the first time it gave up */
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
		monitor_free(test.m->monitor);
		assert_int_equal(monitor_new(test.m->monitor), 0);
		test.n_run_errors = cases[i].n;
		test.run_error = cases[i].error;
		test.next = FAR;
		test.n_ticks = 0;
		test.exits_at = cases[i].n + 1; /* the first sample, and one for each */
		assert_int_equal(monitor_run(test.m->monitor), cases[i].result);
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
	assert_int_equal(monitor_run(test.m->monitor), 0);
	assert_int_equal(test.n_run_errors, 0);
	close(test.master);
}

/* The loop cannot read the signal: it is seen at the next sample. */
static void test_a_signal_that_cannot_be_read(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		monitor_free(test.m->monitor);
		assert_int_equal(monitor_new(test.m->monitor), 0);
		assert_int_equal(raise(signals[i]), 0); /* blocked */
		test.n_run_errors = 1;
		test.run_error = -ENOMEM;
		test.next = 0;
		test.n_ticks = 0;
		test.exits_at = 5;
		assert_int_equal(monitor_run(test.m->monitor), 0);
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
		struct manager *m = manager_alloc();

		assert_non_null(m);
		assert_true(n < N_MALLOCS_MAX);
		n_mallocs_allowed = n;
		fail_malloc = true;
		r = monitor_new(m->monitor);
		fail_malloc = false;
		assert_true(r == 0 || r == -ENOMEM);
		monitor_free(m->monitor);
		assert_null(m->monitor->event);
		assert_int_equal(m->monitor->placeholder_fd, -EBADF);
		free(m);
	}
#endif
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_being_stuck_is_in_the_status),
		TEST(test_a_configuration_is_noticed_once),
		TEST(test_a_daemon_that_is_too_large_exits),
		TEST(test_run_notifies_the_service_manager),
		TEST(test_a_service_manager_that_does_not_read),
		TEST(test_the_loop_outlives_errors_of_its_own),
		TEST(test_the_loop_outlives_an_error_now_and_then),
		TEST(test_a_signal_that_cannot_be_read),
		TEST(test_a_loop_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
