/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus: the daemon on a bus that is this test's own end of a socket: what it does when that bus
 * refuses, does not answer or disconnects.  What a client of a real bus sees is tested by
 * check-bus.sh.
 *
 * A dry run of the real manager on the real /proc; its own timer is off, so that no process is read
 * but for an answer.
 */
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/bus/bus-internal.h"
#include "daemon/bus/bus.h"
#include "daemon/log/log.h"
#include "daemon/service.h"
#include "tests/bus-fixture.h"
#include "tests/manager-parts.h"

/* clang-format off */
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

static void test_all_is_answered(void **state)
{
	join();
	assert_true(is_joined());
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		call(&calls[i]);
		if (test.error[0])
			print_error("%s: %s: %s\n", calls[i].member, test.error, test.error_text);
		assert_true(test.is_answered);
		assert_string_equal(test.error, "");
	}
}

static void test_the_answer_to_the_name(void **state)
{
	struct bus *b = test.m->monitor->bus;

	test.name_answer = 2; /* another process has it: it comes to us when that exits */
	join();
	assert_true(is_joined());

	/* Refused: it leaves, and does not connect again soon. */
	assert_int_equal(shutdown(sd_bus_get_fd(test.peer), SHUT_RDWR), 0);
	pump();
	assert_false(is_joined());
	test.name_answer = 0;
	join();
	assert_false(is_joined());
	assert_true(b->join_at > clock_now() + 50 * USEC_PER_SEC);
	bus_turn(b, clock_now());
	pump();
	assert_false(is_joined());
	test.name_answer = 1; /* the policy file is there now */
	join();
	assert_true(is_joined());
}

/* It has accepted the connection, and does not say hello: it is not waited for for ever. */
static void test_a_bus_that_does_not_answer_is_left(void **state)
{
	struct bus *b = test.m->monitor->bus;

	test.says_hello = false;
	join();
	assert_int_equal(test.n_hellos, 1);
	assert_non_null(b->link.bus);
	assert_false(bus_io_is_ready(&b->link));
	for (unsigned i = 0; i < 10; i++) { /* left, and joined again, later each time */
		usec_t now = clock_now();

		b->link.joined_at -= 11 * USEC_PER_SEC;
		bus_io_on_check(b->link.check, 0, &b->link);
		bus_turn(b, now);
		assert_null(b->link.bus);
		assert_int_equal(b->join_at - now, b->join_pause);
		assert_int_equal(b->join_pause,
				 min_u64(500 * USEC_PER_MSEC << i, 60 * USEC_PER_SEC));
		join();
		assert_int_equal(test.n_hellos, 2 + i);
		assert_false(is_joined());
	}
	b->link.joined_at -= 11 * USEC_PER_SEC;
	bus_io_on_check(b->link.check, 0, &b->link);
	bus_turn(b, clock_now());
	test.says_hello = true;
	join();
	assert_true(is_joined());
}

/* Nothing is there where the bus would be, or nothing that listens: tried again, later each time.
 */
static void test_a_bus_that_is_not_there(void **state)
{
	static const char *const addresses[] = { "unix:path=/nonexistent", "unix:path=/dev/null",
						 "nonsense", "unix:abstract=test-bus-nonesuch" };
	struct bus *b = test.m->monitor->bus;

	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		usec_t pause = b->join_pause;

		setenv("DBUS_SYSTEM_BUS_ADDRESS", addresses[i], 1);
		join();
		assert_null(b->link.bus);
		assert_true(b->join_at > clock_now());
		assert_true(b->join_pause > pause);
	}
}

/* Root may, and the user that the daemon runs as; no other, and none that has disconnected. */
static void test_which_callers_may_change_something(void **state)
{
	static const struct {
		uint32_t uid;
		bool may;
	} cases[] = { { 0, true }, { 4242, false }, { UINT32_MAX, false }, { 0, true } };
	static const struct call reload = MANAGER("Reload", "");
	static const struct call set =
		LOG("Set", "ssv", .text = { "org.freedesktop.LogControl1", "LogLevel" });

	join();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned n_reloads = test.m->config->n_reloads;

		test.uid = cases[i].uid;
		call(&reload);
		assert_string_equal(test.error, cases[i].may ? "" : SD_BUS_ERROR_ACCESS_DENIED);
		assert_int_equal(test.m->config->n_reloads, n_reloads + cases[i].may);
		log_set_max_level(LOG_INFO);
		call(&set);
		assert_string_equal(test.error, cases[i].may ? "" : SD_BUS_ERROR_ACCESS_DENIED);
		assert_int_equal(log_get_max_level(), cases[i].may ? LOG_DEBUG : LOG_INFO);
	}
}

static void test_what_cannot_be_set(void **state)
{
	static const struct {
		struct call call;
		const char *error;
	} cases[] = {
		{ LOG("Set", "ssv", .text = { "org.freedesktop.LogControl1", "SyslogIdentifier" }),
		  SD_BUS_ERROR_PROPERTY_READ_ONLY },
		{ LOG("Set", "ssv", .text = { "org.example.Other", "LogLevel" }),
		  SD_BUS_ERROR_PROPERTY_READ_ONLY },
		/* (there is no target "debug") */
		{ LOG("Set", "ssv", .text = { "org.freedesktop.LogControl1", "LogTarget" }),
		  SD_BUS_ERROR_INVALID_ARGS },
	};

	join();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		call(&cases[i].call);
		assert_string_equal(test.error, cases[i].error);
	}
	assert_int_equal(log_get_max_level(), LOG_INFO);
}

/* What is wrong is in the answer, and the old one remains in use. */
static void test_a_reload_that_is_refused(void **state)
{
	static const struct call reload = MANAGER("Reload", "");
	size_t n_policies = test.m->config->policies.n_policies;

	join();
	write_conf(CONF "[Policy x]\nMemoryAvailable=plenty\n");
	call(&reload);
	assert_string_equal(test.error, BUS_ERROR_BAD_CONFIGURATION);
	assert_non_null(strstr(test.error_text, "MemoryAvailable="));
	assert_int_equal(test.m->config->policies.n_policies, n_policies);
	assert_int_equal(test.m->config->n_reloads, 0);
}

/* Which is signalled, as is that the next one succeeds; one that changes nothing is not. */
static void test_a_reload_that_is_refused_is_signalled(void **state)
{
	static const struct call reload = MANAGER("Reload", "");

	join();
	write_conf(CONF "[Policy x]\nMemoryAvailable=plenty\nNone=1\nAction=kill\n");
	call(&reload);
	assert_string_equal(test.changes, "ReloadErrors=2\n");
	call(&reload);
	assert_string_equal(test.changes, "ReloadErrors=2\n");
	test.changes[0] = '\0';
	test.m->config->reload_error = -EMFILE; /* it could not be read */
	bus_note_refusal(test.m->monitor->bus);
	pump();
	assert_string_equal(test.changes, "ReloadErrors=1\n");
	test.changes[0] = '\0';
	test.m->config->retry_pause = USEC_PER_SEC; /* ... for now, which it says */
	bus_note_refusal(test.m->monitor->bus);
	pump();
	assert_string_equal(test.changes, "ReloadErrors=1\n");
	test.changes[0] = '\0';
	write_conf(CONF);
	call(&reload);
	assert_string_equal(test.changes, "ReloadErrors=0\n");
	call(&reload);
	assert_string_equal(test.changes, "ReloadErrors=0\n");
}

/* However long the last answer was. */
static void test_news_are_not_cut_for_an_answer(void **state)
{
	struct manager *m = test.m;
	char *errors = NULL;

	join();
	write_conf(CONF "[Policy x]\nMemoryAvailable=plenty\nNone=1\nAction=kill\n");
	assert_int_equal(service_reload(m->monitor, &errors), 1);
	free(errors);
	m->monitor->bus->n_bytes = BUS_PAGE_BYTES;
	pump();
	assert_string_equal(test.changes, "ReloadErrors=2\n");
}

static void call_and_wait(const struct call *c)
{
	renew_quota();
	send_call(c, ":1.7");
	for (int i = 0; i < 5000 && !test.is_answered; i++) {
		usleep(1000);
		renew_quota();
		pump();
	}
	assert_true(test.is_answered);
}

/* The files are read on a thread; the answer follows. */
static void test_reloads_that_wait_for_files(void **state)
{
	static const struct call reload = MANAGER("Reload", "");

	join();
	assert_int_equal(monitor_watch_loader(test.m->monitor), 0);
	for (unsigned i = 1; i <= 20; i++) {
		write_conf(CONF);
		call_and_wait(&reload);
		assert_string_equal(test.error, "");
		assert_int_equal(test.m->config->n_reloads, i);
	}
	write_conf(CONF "[Policy x]\nMemoryAvailable=plenty\n");
	call_and_wait(&reload);
	assert_string_equal(test.error, BUS_ERROR_BAD_CONFIGURATION);
	assert_non_null(strstr(test.error_text, "MemoryAvailable="));
}

static int refuse_without_memory(void *userdata, char **ret_errors)
{
	return 1;
}

/* What is wrong is known, but there was no memory for the text of it. */
static void test_a_reload_that_is_refused_without_a_reason(void **state)
{
	static const struct call reload = MANAGER("Reload", "");

	join();
	test.m->monitor->bus->subject.reload = refuse_without_memory;
	call(&reload);
	assert_string_equal(test.error, BUS_ERROR_BAD_CONFIGURATION);
	assert_string_equal(test.error_text, strerror(ENOMEM));
}

/* The bus does not report the caller: so many wait, no more; all are dropped with the bus. */
static void test_questions_that_are_not_answered(void **state)
{
	static const struct call reload = MANAGER("Reload", "");

	join();
	test.is_silent = true;
	for (int i = 0; i < 17; i++) {
		char sender[16];

		renew_quota();
		snprintf(sender, sizeof(sender), ":1.%d", 100 + i);
		send_call(&reload, sender);
		pump();
		assert_int_equal(test.is_answered, i == 16);
	}
	assert_string_equal(test.error, SD_BUS_ERROR_LIMITS_EXCEEDED);
	assert_int_equal(test.m->monitor->bus->n_questions, 16);
	assert_int_equal(shutdown(sd_bus_get_fd(test.peer), SHUT_RDWR), 0);
	pump();
	assert_null(test.m->monitor->bus->link.bus);
	assert_int_equal(test.m->monitor->bus->n_questions, 0);
	assert_int_equal(test.m->config->n_reloads, 0);
}

/* What would read processes is refused with the process that is being killed, and what to do. */
static void test_while_a_victim_exits(void **state)
{
	static const struct call candidates = MANAGER("ListCandidates", "uu", .numbers = { 0, 1 });
	static const struct call properties = PROPERTIES("GetAll", "s", .text = { BUS_INTERFACE });
	struct manager *m = test.m;
	struct decision *d = &m->in_flight->decision;

	join();
	m->regime->state = REGIME_KILLING;
	*d = (struct decision){
		.pid = 812, .comm = "leak", .policy = "now", .kill.signal = SIGKILL
	};
	d->kill.signalled_at = clock_now() - 2 * USEC_PER_SEC;
	call(&candidates);
	assert_string_equal(test.error, BUS_ERROR_BUSY);
	assert_non_null(strstr(test.error_text, "leak (pid 812) was sent SIGKILL 2"));
	d->kill.signal = SIGTERM;
	d->target = POLICY_TARGET_CGROUP;
	d->others.n_processes = 3;
	strcpy(d->cgroup, "/a/b");
	call(&candidates);
	assert_non_null(strstr(test.error_text, "cgroup /a/b (3 processes) was sent SIGTERM"));
	strcpy(d->others.group, "/a");
	d->others.n_processes = 1;
	call(&candidates);
	assert_non_null(strstr(test.error_text, "cgroup /a (1 process) was sent"));
	m->monitor->bus->hides_processes = true;
	m->monitor->bus->hides_read_at = clock_now();
	call(&candidates);
	assert_non_null(strstr(test.error_text, "A process was sent SIGTERM"));
	call(&properties); /* is in memory */
	assert_string_equal(test.error, "");

	/* Just now: it waits, as that is soon over. */
	m->monitor->bus->hides_processes = false;
	renew_quota();
	d->kill.signalled_at = clock_now();
	send_call(&candidates, ":1.7");
	pump();
	if (clock_now() - d->kill.signalled_at < USEC_PER_SEC) { /* else: a busy machine */
		assert_int_equal(m->monitor->bus->n_waiting, 1);
		assert_false(test.is_answered);
	}
	m->regime->state = REGIME_WATCH;
	bus_schedule(m->monitor->bus);
	for (int i = 0; i < 50 && !test.is_answered; i++)
		pump();
	assert_string_equal(test.error, "");
}

static void test_news_are_reported_once(void **state)
{
	struct manager *m = test.m;
	struct policy *policy = &m->config->policies.policies[0];
	const struct policy_judgement judgement = { .policy = policy }, none = { 0 };

	join();
	test.n_signals = 0;
	pump();
	assert_int_equal(test.n_signals, 0);
	m->regime->state = REGIME_WATCH;
	m->in_flight->n_kills++;
	m->conflicts->found = 1;
	bus_schedule(m->monitor->bus);
	pump();
	assert_string_equal(test.signals, "StateChanged\nPropertiesChanged\n");
	bus_schedule(m->monitor->bus);
	pump();
	assert_int_equal(test.n_signals, 2);

	test.signals[0] = '\0';
	policy->action = POLICY_ACTION_WARN;
	bus_note_judgement(m->monitor->bus, &judgement, 100 * USEC_PER_SEC);
	bus_note_judgement(m->monitor->bus, &judgement, 101 * USEC_PER_SEC);
	bus_schedule(m->monitor->bus);
	pump();
	assert_string_equal(test.signals, "LowMemory\n");
	bus_note_judgement(m->monitor->bus, &none, 102 * USEC_PER_SEC); /* too short a time */
	bus_note_judgement(m->monitor->bus, &judgement, 103 * USEC_PER_SEC);
	bus_schedule(m->monitor->bus);
	pump();
	assert_string_equal(test.signals, "LowMemory\n");
	bus_note_judgement(m->monitor->bus, &none, 113 * USEC_PER_SEC);
	bus_note_judgement(m->monitor->bus, &judgement, 114 * USEC_PER_SEC);
	bus_schedule(m->monitor->bus);
	pump();
	assert_string_equal(test.signals, "LowMemory\nLowMemory\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_all_is_answered),
		TEST(test_the_answer_to_the_name),
		TEST(test_a_bus_that_does_not_answer_is_left),
		TEST(test_a_bus_that_is_not_there),
		TEST(test_which_callers_may_change_something),
		TEST(test_what_cannot_be_set),
		TEST(test_a_reload_that_is_refused),
		TEST(test_a_reload_that_is_refused_is_signalled),
		TEST(test_news_are_not_cut_for_an_answer),
		TEST(test_reloads_that_wait_for_files),
		TEST(test_a_reload_that_is_refused_without_a_reason),
		TEST(test_questions_that_are_not_answered),
		TEST(test_while_a_victim_exits),
		TEST(test_news_are_reported_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
