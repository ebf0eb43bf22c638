/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * monitor, reloads: when a signal is followed by one, by the fixture of test-monitor.c.
 */
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/monitor.h"
#include "tests/manager-parts.h"
#include "tests/monitor-fixture.h"

/* clang-format off */
#include <stdarg.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void test_a_reload_waits_for_the_victim(void **state)
{
	struct manager *m = test.m;

	while (turn())
		;
	test.state_after = m->regime->state = REGIME_KILLING;
	m->in_flight->decision.kill.signal = SIGKILL;
	assert_int_equal(raise(SIGHUP), 0);
	assert_true(turn());
	assert_int_equal(test.n_reloads, 0);
	assert_true(m->config->reload_is_wanted);
	assert_string_equal(notification(), "");

	make_urgent(); /* a sample that finds it still exiting */
	test.trigger_result[0] = test.master;
	monitor_arm_pressure(m->monitor);
	assert_true(turn());
	assert_int_equal(test.n_reloads, 0);

	test.state_after = REGIME_WATCH; /* and one that does not */
	assert_true(turn());
	assert_int_equal(test.n_reloads, 1);
	assert_false(m->config->reload_is_wanted);
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

/* Of many signals the first one counts at once, and then all together. */
static void test_reloads_by_signals_are_a_second_apart(void **state)
{
	struct manager *m = test.m;
	uint64_t timer;

	for (int i = 0; i < 10; i++) {
		assert_int_equal(raise(SIGHUP), 0);
		while (turn())
			;
		(void)notification(); /* or the socket is full at some time */
	}
	assert_int_equal(test.n_reloads, 1);
	assert_true(m->config->reload_is_wanted);
	assert_int_equal(sd_event_source_get_time(m->monitor->timer, &timer), 0);
	assert_true(timer <= m->config->reload_not_before);
	m->config->reload_not_before = 0; /* as if it had passed */
	assert_int_equal(sd_event_source_set_time(m->monitor->timer, 0), 0);
	while (turn())
		;
	assert_int_equal(test.n_reloads, 2);
	assert_false(m->config->reload_is_wanted);
	close(test.master);
}

/* Each READY=1 after its RELOADING=1. */
static void assert_notified_of_a_reload(void)
{
	assert_non_null(strstr(notification(), "RELOADING=1"));
	assert_non_null(strstr(notification(), "READY=1"));
	assert_string_equal(notification(), "");
}

/* As often as config_reload() says, by the timer; a signal has to wait for no more than a second.
 */
static void test_a_reload_that_fails_for_now_is_tried_again(void **state)
{
	struct manager *m = test.m;
	usec_t before = clock_now();

	while (turn())
		;
	test.retry_pause = FAR / 2;
	for (unsigned i = 1; i <= 4; i++) {
		if (i == 4)
			test.retry_pause = 0; /* it succeeds, or there is no other attempt */
		if (i == 1) {
			assert_int_equal(raise(SIGHUP), 0);
		} else {
			m->config->reload_not_before = 0; /* as if it had passed */
			assert_int_equal(sd_event_source_set_time(m->monitor->timer, 0), 0);
		}
		while (turn())
			;
		assert_int_equal(test.n_reloads, i);
		assert_notified_of_a_reload();
		assert_true(m->config->reload_is_wanted == (i < 4));
		if (i < 4)
			assert_in_range(planned(), before + FAR / 2, clock_now() + FAR / 2);
	}
	test.retry_pause = FAR / 2;
	m->config->reload_not_before = 0;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(raise(SIGHUP), 0);
		while (turn())
			;
		assert_int_equal(test.n_reloads, 5);
	}
	assert_true(planned() <= clock_now() + USEC_PER_SEC);
	close(test.master);
}

/* Which reads all processes anew. */
static void test_a_reload_is_followed_by_a_sample(void **state)
{
	while (turn())
		;
	assert_int_equal(test.n_ticks, 1);
	assert_int_equal(raise(SIGHUP), 0);
	while (turn())
		;
	assert_int_equal(test.n_reloads, 1);
	assert_int_equal(test.n_ticks, 2);
	close(test.master);
}

/* Nor does a sample in between put off a reload that waits, or is one planned that nothing wants.
 */
static void test_samples_leave_the_timer_to_a_reload_that_waits(void **state)
{
	struct manager *m = test.m;
	usec_t then = clock_now() + FAR / 2;

	while (turn())
		;
	m->config->reload_not_before = then;
	for (int i = 0; i < 2; i++) {
		m->config->reload_is_wanted = i == 1;
		assert_int_equal(sd_event_source_set_time(m->monitor->timer, 0), 0);
		assert_int_equal(sd_event_source_set_enabled(m->monitor->timer, SD_EVENT_ONESHOT),
				 0);
		assert_true(turn());
		if (m->config->reload_is_wanted)
			assert_int_equal(planned(), then);
		else
			assert_true(planned() > then);
	}
	assert_int_equal(test.n_reloads, 0);
	close(test.master);
}

/* It may protect a victim that has only had SIGTERM so far. */
static void test_a_reload_comes_before_sigkill(void **state)
{
	struct manager *m = test.m;

	while (turn())
		;
	test.state_after = m->regime->state = REGIME_KILLING;
	m->in_flight->decision.kill.signal = SIGTERM;
	assert_int_equal(raise(SIGHUP), 0);
	assert_true(turn());
	assert_int_equal(test.n_reloads, 1);
	close(test.master);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_reload_waits_for_the_victim),
		TEST(test_a_reload_without_a_victim_is_done_at_once),
		TEST(test_reloads_by_signals_are_a_second_apart),
		TEST(test_a_reload_that_fails_for_now_is_tried_again),
		TEST(test_a_reload_is_followed_by_a_sample),
		TEST(test_samples_leave_the_timer_to_a_reload_that_waits),
		TEST(test_a_reload_comes_before_sigkill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
